//! A node, as the session's thread has it: its way there, its engines, and what it has of what they need.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use tokio::task::AbortHandle;

use super::super::content::{Source, pieces};
use super::super::libraries::Known;
use super::super::line::Line;
use super::super::message::{Content, LineId, ToNode, Urgent};
use super::super::nodes::NodeId;
use super::super::post::Post;
use super::super::proxy::Proxy;
use super::super::tunnel::Tunnels;
use super::stores::Named;
use super::values::{Numbered, Values};
use super::worlds::Worlds;
use crate::ids::EngineId;
use crate::wire::Payload;

/// A node, as the session's thread has it.
pub struct Peer {
    pub post: Post,
    pub libraries: RefCell<Known>,
    pub(super) id: NodeId,
    /// What it calls itself.
    pub(super) number: String,
    pub(super) engines: RefCell<BTreeMap<EngineId, Rc<Proxy>>>,
    pub(super) lines: RefCell<HashMap<LineId, Rc<Line>>>,
    /// Connections to stores.
    pub(super) tunnels: Tunnels,
    /// The stores that it may reach.
    pub stores: Rc<Named>,
    pub worlds: Rc<Worlds>,
    /// What the node has, and the engines that have been given it.
    pub(super) has: RefCell<HashMap<Content, BTreeSet<EngineId>>>,
    /// What it is to have soon.
    pub(super) values: RefCell<Values>,
    /// Artifacts that it has, in the order in which they were sent.
    pub(super) artifacts: RefCell<VecDeque<Content>>,
    /// Beats since something was heard of it.
    pub(super) unanswered: Cell<u32>,
    pub(super) serves: RefCell<Option<AbortHandle>>,
}

impl Peer {
    pub fn hurry(&self, word: Urgent) {
        self.post.hurry(|number| ToNode::Urgent { number, word });
    }

    /// Whether a connection of the node has this number.
    pub(super) fn has_line(&self, line: LineId) -> bool {
        self.lines.borrow().contains_key(&line) || self.tunnels.has(line)
    }

    /// Sees to it that the node has this content before it is named to the engine.
    pub fn give(
        &self,
        content: Content,
        engine: EngineId,
        source: impl FnOnce() -> std::io::Result<Source>,
    ) -> std::io::Result<()> {
        let is_new = !self.has.borrow().contains_key(&content);
        if is_new {
            self.send_content(content, source()?);
            self.keep_few(content);
        }
        self.has
            .borrow_mut()
            .entry(content)
            .or_default()
            .insert(engine);
        Ok(())
    }

    fn send_content(&self, content: Content, source: Source) {
        let bytes = source.length();
        self.post.send(&ToNode::Object { content, bytes });
        for piece in pieces(source) {
            let (part, length) = (ToNode::Part { content }, piece.length());
            self.post
                .send_later(&part, length, move |to| piece.write(to));
        }
    }

    /// An engine is to take this value soon.
    pub fn expects(&self, value: &Arc<OwnedFd>, engine: EngineId) {
        self.values.borrow_mut().expects(value, engine);
    }

    /// Sees to it that the node has a value that was expected; what names it there. Its maker may use its memory again at any time.
    pub fn give_value(&self, value: &Arc<OwnedFd>, payload: &Payload) -> Option<Content> {
        let Numbered { number, is_new } = self.values.borrow_mut().sent(value)?;
        let content = Content::Value(number);
        if is_new {
            self.send_content(content, Source::Bytes(payload.copied()));
        }
        Some(content)
    }

    /// An engine runs its cell, or is no more.
    pub fn runs(&self, engine: EngineId) {
        for number in self.values.borrow_mut().runs(engine) {
            let content = Content::Value(number);
            self.post.send(&ToNode::Forget { content });
        }
    }

    /// The engine does not need it any more.
    pub fn forget(&self, content: Content, engine: EngineId) {
        let mut has = self.has.borrow_mut();
        if let Some(users) = has.get_mut(&content)
            && users.remove(&engine)
            && users.is_empty()
        {
            has.remove(&content);
            self.post.send(&ToNode::Forget { content });
        }
    }

    /// The hub has let go of an engine.
    pub(super) fn let_go(&self, engine: EngineId) {
        let Some(proxy) = self.engines.borrow_mut().remove(&engine) else {
            return;
        };
        proxy.let_go(self);
        self.runs(engine);
        // Artifacts stay: the next engine takes them too.
        let captures = |content: &Content| matches!(content, Content::Capture(_));
        let has = self.has.borrow();
        let held: Vec<Content> = has.keys().copied().filter(captures).collect();
        drop(has);
        for content in held {
            self.forget(content, engine);
        }
    }
}
