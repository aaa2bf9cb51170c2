//! What a node has of the content that it was given.

use super::super::message::{Content, ToNode};
use super::Peer;

/// Artifacts that a node keeps for engines that have not loaded them yet.
const ARTIFACTS: usize = 200;

impl Peer {
    /// A node keeps so many artifacts: one that is asked for again is sent again.
    pub(super) fn keep_few(&self, content: Content) {
        if !matches!(content, Content::Artifact(_)) {
            return;
        }
        let mut artifacts = self.artifacts.borrow_mut();
        artifacts.push_back(content);
        if artifacts.len() > ARTIFACTS
            && let Some(content) = artifacts.pop_front()
        {
            self.has.borrow_mut().remove(&content);
            self.post.send(&ToNode::Forget { content });
        }
    }

    /// The node does not have it after all.
    pub(super) fn lacks(&self, content: Option<Content>) {
        match content {
            Some(content) => {
                self.has.borrow_mut().remove(&content);
                self.artifacts.borrow_mut().retain(|it| *it != content);
            }
            // Which one it was is not known: those that it has are sent once more.
            None => self.libraries.borrow_mut().clear(),
        }
    }
}
