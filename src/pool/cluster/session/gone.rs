//! Nodes of which nothing is heard, or that are lost in another way: they are given up, with what they had.

use std::rc::Rc;

use tokio::task::spawn_local;

use super::super::post;
use super::{BEAT, Peer, SILENT, SUSPICIOUS, Side};
use crate::outcome::{DeathCause, NodeFault};

impl Side {
    pub(super) fn look_for_silence(&self) {
        let mut waits: Vec<u32> = Vec::new();
        let silent = |peer: &&Rc<Peer>| {
            let beats = peer.unanswered.get() + 1;
            peer.unanswered.set(beats);
            waits.push(beats);
            beats > SILENT
        };
        let silent: Vec<Rc<Peer>> = self
            .peers
            .borrow()
            .values()
            .filter(silent)
            .cloned()
            .collect();
        if waits.contains(&SUSPICIOUS) {
            let all = waits.len() > 1 && waits.iter().all(|beats| *beats >= SUSPICIOUS);
            self.upkeep.end_if_it_may_be(all);
        }
        for peer in silent {
            let seconds = (SILENT * BEAT).as_secs();
            self.give_up(&peer, &NodeFault::Silent { seconds });
        }
    }

    /// Of all nodes that there are.
    pub(super) fn give_all_up(&self, why: &NodeFault) {
        let peers: Vec<Rc<Peer>> = self.peers.borrow().values().cloned().collect();
        for peer in peers {
            self.give_up(&peer, why);
        }
    }

    /// The node of a seat, or all those with one file, have said what is no message.
    pub(super) fn give_seat_up(&self, seat: &str) {
        let is_there = |peer: &&Rc<Peer>| {
            let below = peer.number.strip_prefix(seat);
            below.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let peers = self.peers.borrow();
        let all: Vec<Rc<Peer>> = peers.values().filter(is_there).cloned().collect();
        drop(peers);
        for peer in all {
            self.give_up(&peer, &NodeFault::Garbage);
        }
    }

    /// The node is not one any more. Should it live, it is told so when it speaks.
    pub(super) fn give_up(&self, peer: &Rc<Peer>, why: &NodeFault) {
        self.peers.borrow_mut().retain(|number, other| {
            let is_other = other.id != peer.id;
            if !is_other {
                self.dismiss(number);
            }
            is_other
        });
        self.by_id.borrow_mut().remove(&peer.id);
        let host = self.nodes.gone(peer.id, why.clone());
        if let Some(publisher) = &self.publisher {
            publisher.without(&peer.number);
        }
        let engines = std::mem::take(&mut *peer.engines.borrow_mut());
        for proxy in engines.values() {
            let (host, why) = (host.clone(), why.clone());
            proxy.ended(DeathCause::NodeGone { host, why });
            proxy.let_go(peer);
        }
        for line in std::mem::take(&mut *peer.lines.borrow_mut()).values() {
            line.hang_up();
        }
        peer.tunnels.hang_up();
        peer.post.close();
        if let Some(serves) = peer.serves.take() {
            serves.abort();
        }
    }

    /// Tells a node that it was given up, as often as it speaks: it lives, and the word may be lost.
    pub(super) fn dismiss(&self, number: &str) {
        if self.is_lost.get() {
            return;
        }
        let to = format!("{}.to.{number}", self.cluster);
        let (client, word) = (self.client.clone(), post::given_up(self.epoch));
        spawn_local(async move {
            let _ = client.publish(to, word.into()).await;
        });
    }
}
