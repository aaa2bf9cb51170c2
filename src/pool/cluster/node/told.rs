//! What the session says to a node, and what engines say: it goes to whom it is for.

use std::rc::Rc;

use nix::sys::signal::Signal;
use tokio::task::spawn_local;

use super::super::carry::{self, Uncarried};
use super::super::line::Line;
use super::super::message::{Carried, Content, FromNode, LineId, ToNode};
use super::super::queue::Hand as _;
use super::around::Around;
use super::{Here, Node};
use crate::ids::EngineId;
use crate::outcome::NodeFault;
use crate::pool::Launch;
use crate::pool::process::Environment;
use crate::wire::{Channel, FromEngine, Payload, ToEngine};

impl Node {
    /// `behind`: what follows the message.
    pub(super) fn told(node: &Rc<Self>, message: ToNode, behind: &[u8]) {
        match message {
            ToNode::Refused { why } => {
                *node.refused.borrow_mut() = Some(why);
                node.over.notify_one();
            }
            ToNode::Joined => node.has_joined.set(true),
            ToNode::Bye => node.over.notify_one(),
            ToNode::Leave => node.leave(),
            ToNode::Start {
                engine,
                id,
                rank,
                size,
                pool,
                environment,
                folder,
                is_held,
            } => {
                let launch = Launch::on_node(id, rank, size, pool);
                let environment = Environment::from(Self::environment(node, environment));
                let around = Around::new(environment, folder);
                node.is_replaced(id);
                Self::start(node, engine, &launch, around, is_held);
            }
            ToNode::BeginsWith { engine, run } => {
                node.with(engine, |it| it.around.borrow_mut().begins_with(*run));
            }
            ToNode::Frame {
                engine,
                message,
                carried,
            } => Self::frame(node, engine, *message, carried),
            ToNode::Line {
                line,
                header,
                carried,
            } => {
                if let Some(line) = node.lines.borrow().get(&line) {
                    line.put(&header, carry::payload(carried, &node.post));
                }
            }
            ToNode::LineOver { line } => {
                if let Some(line) = node.lines.borrow_mut().remove(&line) {
                    line.hang_up();
                }
            }
            ToNode::World(word) => {
                // The session is one of this program.
                let _ = Self::world_told(node, word);
            }
            ToNode::Tunnel(line, word) => node.tunnels.hear(line, word),
            ToNode::Object { content, bytes } => {
                let begun = node.objects.borrow_mut().begin(content, bytes);
                node.has_put(content, begun.is_ok());
            }
            ToNode::Part { content } => {
                let put = node.objects.borrow_mut().put(content, behind);
                node.has_put(content, put.is_ok());
            }
            // What engines begin with those need that stand in for them.
            ToNode::Forget { content } if node.begin_with(content) => {}
            ToNode::Forget { content } => node.objects.borrow_mut().forget(content),
            ToNode::Library { digest, bytes } => {
                let library = node.objects.borrow_mut().put_library(digest, &bytes);
                let Ok(library) = library else {
                    return node.post.send(&FromNode::Lacks { content: None });
                };
                // Those that came with a queued map are there.
                let Some(library) = library else { return };
                for engine in node.engines.borrow().values() {
                    engine.send(&ToEngine::Library, &library);
                }
            }
            ToNode::Taken { engine, bytes } => node.with(engine, |it| it.taken(bytes)),
            ToNode::Heard { engine, bytes } => node.with(engine, |it| it.frames.give(bytes)),
            ToNode::Urgent { number, word } => {
                if node.post.is_next(number) {
                    node.post.was_heard(number);
                    node.urgent(word);
                }
            }
            ToNode::StopQueued { job, told } => node.stop_queued(job, told),
            ToNode::AskQueued { job } => node.tell_queued(job),
            ToNode::TakesPieces { engine, takes } => node.takes_pieces(engine, takes),
            ToNode::Signal { engine, signal } => {
                if signal == Signal::SIGKILL as i32 {
                    node.is_unwanted(engine);
                }
                node.with(engine, |it| it.signal(signal));
            }
        }
    }

    /// The session hears of what is not there; it may come again.
    fn has_put(&self, content: Content, has: bool) {
        if !has {
            let content = Some(content);
            self.post.send(&FromNode::Lacks { content });
        }
    }

    fn frame(node: &Rc<Self>, engine: EngineId, mut message: ToEngine, carried: Carried) {
        if let ToEngine::Environment {
            name,
            value: Some(value),
        } = &mut message
        {
            *value = Self::variable(node, name, value);
        }
        let payload = match Self::payload(node, &mut message, carried) {
            Ok(payload) => payload,
            Err(why) => return node.with(engine, |it| it.fail(why.to_string())),
        };
        node.with(engine, |it| it.around.borrow_mut().is_told(&message));
        if let ToEngine::Renumbered { rank, .. } = message {
            node.with(engine, |it| it.renumbered(rank));
        }
        if !node.is_for_list(engine, &message) {
            node.with(engine, |it| {
                it.sends_run(&message);
                it.send(&message, &payload);
            });
        }
    }

    /// What a frame carries. An error: the engine cannot go on without it.
    fn payload(
        node: &Rc<Self>,
        message: &mut ToEngine,
        carried: Carried,
    ) -> Result<Payload, Uncarried> {
        match (carried, message) {
            (Carried::Object(content), ToEngine::Artifact { why, .. }) => {
                let found = node.objects.borrow().get(content);
                // The engine tells it in its cell.
                Ok(found.unwrap_or_else(|lacking| {
                    *why = lacking;
                    Payload::None
                }))
            }
            (Carried::Object(content), _) => {
                let found = node.objects.borrow().get(content);
                found.map_err(match content {
                    Content::Value(_) => Uncarried::Value,
                    _ => Uncarried::Captures,
                })
            }
            (Carried::World(number), ToEngine::World { why, .. }) => {
                Ok(node.world_file(number).unwrap_or_else(|| {
                    *why = NodeFault::NoMemory.to_string();
                    Payload::None
                }))
            }
            (carried, _) => carry::payload(carried, &node.post).map_err(Uncarried::There),
        }
    }

    /// Sends on what an engine says.
    pub(super) fn hears(node: &Rc<Self>, engine: EngineId, message: FromEngine, payload: Payload) {
        match &message {
            FromEngine::RunDone { .. } => node.with(engine, Here::has_run),
            FromEngine::NoFolder { stays, .. } => {
                node.with(engine, |it| it.around.borrow_mut().stays(stays));
            }
            _ => {}
        }
        if Self::list_hears(node, engine, &message, &payload) {
            return;
        }
        if node.stand_ins.borrow().is_one(engine) {
            // What it connects to ends.
            return;
        }
        let ends = matches!(message, FromEngine::RunDone { .. });
        node.with(engine, |it| node.tell_of_rank(it.rank(), ends));
        if !matches!(message, FromEngine::Connect { .. }) {
            return carry::send(&node.post, &payload, |carried| {
                node.with(engine, |it| it.frames.spend(carried.weight()));
                FromNode::Frame {
                    engine,
                    message,
                    carried,
                }
            });
        }
        let line = node.next_line();
        // A connection that cannot be served ends at once.
        let Some(socket) = payload.into_file() else {
            return;
        };
        let Ok(opened) = Line::new(Channel::new(socket.into())) else {
            return;
        };
        let opened = Rc::new(opened);
        node.lines.borrow_mut().insert(line, opened.clone());
        node.post.send(&FromNode::Connect {
            engine,
            message,
            line,
        });
        let node = node.clone();
        spawn_local(async move {
            let message = |header, carried| FromNode::Line {
                line,
                header,
                carried,
            };
            opened.serve(&node.post, message).await;
            node.lines.borrow_mut().remove(&line);
            node.post.send(&FromNode::LineOver { line });
        });
    }

    pub(super) fn next_line(&self) -> LineId {
        let line = LineId(self.next_line.get());
        self.next_line.set(line.0 + 1);
        line
    }
}
