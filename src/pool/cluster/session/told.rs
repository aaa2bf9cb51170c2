//! What nodes say, and the queue: it goes to whom it is for.

use std::os::unix::net::UnixStream;
use std::rc::Rc;

use async_nats::Message;
use tokio::task::spawn_local;

use super::super::line::Line;
use super::super::message::{About, FromNode, LineId, Pulse, ToNode};
use super::super::ordered::Garbage;
use super::super::proxy::Proxy;
use super::super::{carry, post, queue};
use super::fit::why_not;
use super::{Peer, Side, stores};
use crate::ids::EngineId;
use crate::outcome::NodeFault;
use crate::wire::{Channel, FromEngine, monotonic, since_1970};

impl Side {
    pub(super) fn feels(&self, pulse: &Message) {
        let number = self.number_of(pulse);
        let Ok(pulse) = postcard::from_bytes::<Pulse>(&pulse.payload) else {
            return;
        };
        if pulse.epoch != self.epoch {
            return;
        }
        let peer = self.peers.borrow().get(number).cloned();
        let Some(peer) = peer else {
            if self.nodes.was(number) {
                self.dismiss(number);
            }
            return;
        };
        peer.unanswered.set(0);
        let engines = peer.engines.borrow();
        for (engine, memory) in &pulse.engines {
            if let Some(proxy) = engines.get(engine) {
                proxy.takes(*memory);
            }
        }
        let now = since_1970();
        self.nodes.feels(peer.id, &pulse, monotonic(), now);
    }

    pub(super) fn hears(self: &Rc<Self>, word: &Message) {
        // It has not heard of this session yet, or has of the next one.
        if !post::is_of(&word.payload, self.epoch) {
            return;
        }
        let number = self.number_of(word);
        let known = self.peers.borrow().get(number).cloned();
        let peer = match known {
            Some(peer) => peer,
            None if self.nodes.was(number) => return self.dismiss(number),
            None => self.meet(number.to_owned()),
        };
        peer.unanswered.set(0);
        let told = |message, _: &[u8]| self.told(&peer, message);
        if let Err(Garbage) = peer.post.take(&word.payload, told) {
            self.give_up(&peer, &NodeFault::Garbage);
        }
    }

    fn why_not(&self, about: &About) -> Option<NodeFault> {
        why_not(
            about,
            self.nodes.for_this_processor(),
            self.publisher.is_some(),
        )
    }

    fn told(&self, peer: &Rc<Peer>, message: FromNode) {
        let proxy = |engine: EngineId| peer.engines.borrow().get(&engine).cloned();
        match message {
            // What is counted and hung up by its number has one of its own.
            FromNode::Connect { line, .. } | FromNode::Store { line, .. }
                if peer.has_line(line) =>
            {
                self.give_up(peer, &NodeFault::Garbage);
            }
            FromNode::Hello(about) => match self.why_not(&about) {
                None => {
                    self.nodes.joined(peer.id, about);
                    peer.post.send(&ToNode::Joined);
                    let stopped = self.publisher.iter().flat_map(|it| it.stopped());
                    for job in stopped {
                        peer.post.send(&ToNode::StopQueued { job, told: true });
                    }
                }
                Some(why) => {
                    self.nodes.refused(peer.id, about, why.clone());
                    peer.post.send(&ToNode::Refused { why });
                }
            },
            FromNode::Started { engine, pid } => {
                if let Some(proxy) = proxy(engine) {
                    proxy.started(pid);
                }
            }
            FromNode::Frame {
                engine,
                message,
                carried,
            } => {
                if let Some(proxy) = proxy(engine) {
                    proxy.frame(peer, message, carried);
                }
            }
            FromNode::Connect {
                engine,
                message,
                line,
            } => {
                if let Some(proxy) = proxy(engine)
                    && self.connect_line(peer, &proxy, message, line).is_err()
                {
                    peer.post.send(&ToNode::LineOver { line });
                }
            }
            FromNode::Line {
                line,
                header,
                carried,
            } => {
                if let Some(line) = peer.lines.borrow().get(&line) {
                    line.put(&header, carry::payload(carried, &peer.post));
                }
            }
            FromNode::LineOver { line } => {
                if let Some(line) = peer.lines.borrow_mut().remove(&line) {
                    line.hang_up();
                }
            }
            FromNode::Store { line, address } => {
                stores::connect(peer, &peer.stores, line, &address);
            }
            FromNode::Lacks { content } => peer.lacks(content),
            FromNode::World(word) => {
                if self.worlds.hear(peer, word).is_err() {
                    self.give_up(peer, &NodeFault::Garbage);
                }
            }
            FromNode::Tunnel(line, word) => peer.tunnels.hear(line, word),
            FromNode::Printed {
                engine,
                stream,
                bytes,
            } => {
                if let Some(proxy) = proxy(engine) {
                    proxy.printed(stream, bytes);
                }
            }
            FromNode::Holding { job, pieces } => {
                if let Some(publisher) = &self.publisher {
                    publisher.holds(job, &peer.number, &pieces);
                }
            }
            FromNode::Unreadable { job, why } => {
                if let Some(publisher) = &self.publisher {
                    publisher.is_unreadable(job, why);
                }
            }
            FromNode::Page { engine, changes } => {
                if let Some(proxy) = proxy(engine) {
                    proxy.page(&changes);
                }
            }
            FromNode::Ended {
                engine,
                cause,
                changes,
            } => {
                if let Some(proxy) = proxy(engine) {
                    proxy.page(&changes);
                    proxy.ended(cause);
                }
            }
        }
    }

    /// An engine has opened a connection to a service of the hub: this is the hub's end of it.
    fn connect_line(
        &self,
        peer: &Rc<Peer>,
        proxy: &Proxy,
        message: FromEngine,
        number: LineId,
    ) -> std::io::Result<()> {
        let (ours, theirs) = UnixStream::pair()?;
        let line = Rc::new(Line::new(Channel::new(ours))?);
        peer.lines.borrow_mut().insert(number, line.clone());
        proxy.connected(message, theirs.into());
        let peer = peer.clone();
        spawn_local(async move {
            let message = |header, carried| ToNode::Line {
                line: number,
                header,
                carried,
            };
            line.serve(&peer.post, message).await;
            // When the node has said that it is over, the number may be another's by now.
            let is_it = |other: &Rc<Line>| Rc::ptr_eq(other, &line);
            let is_there = peer.lines.borrow().get(&number).is_some_and(is_it);
            if is_there {
                peer.lines.borrow_mut().remove(&number);
                peer.post.send(&ToNode::LineOver { line: number });
            }
        });
        Ok(())
    }

    pub(super) fn told_of_queue(&self, told: queue::Word) {
        let Some(publisher) = &self.publisher else {
            return;
        };
        match told {
            queue::Word::Result(message) => publisher.heard(&message),
            queue::Word::Answer(message) => publisher.answered(&message),
            queue::Word::GiveUp(seat) => self.give_seat_up(&seat),
            queue::Word::Ask(ask) => {
                let word = match ask {
                    queue::Ask::Tell(job) => ToNode::AskQueued { job },
                    queue::Ask::Stop(job, told) => ToNode::StopQueued { job, told },
                };
                let peers = self.peers.borrow();
                for peer in peers.values() {
                    peer.post.send(&word);
                }
                publisher.asks(ask, peers.keys().cloned().collect());
            }
        }
    }
}
