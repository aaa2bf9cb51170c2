//! What engines of this host take from the session, once for all of them. What has not come as it was sent, or finds no
//! memory, is not kept, and whoever needs it is told why.

use std::collections::HashMap;
use std::io;
use std::rc::Rc;

use xxhash_rust::xxh3::xxh3_128;

use super::super::carry;
use super::super::message::Content;
use super::super::shelf::Shelf;
use crate::wire::Payload;

/// Why content is not there.
#[derive(Debug, thiserror::Error)]
pub enum Lacking {
    #[error("it did not come as it was sent")]
    Damaged,
    #[error("this host has no memory for it: {0}")]
    Memory(#[from] io::Error),
    #[error("it has not come")]
    Missing,
}

#[derive(Default)]
pub struct Objects {
    kept: HashMap<Content, Payload>,
    lacking: HashMap<Content, String>,
    /// What artifacts link to.
    shelf: Rc<Shelf>,
}

/// `digest`: of the bytes as they were sent.
fn checked(bytes: &[u8], digest: u128) -> Result<(), Lacking> {
    match xxh3_128(bytes) == digest {
        true => Ok(()),
        false => Err(Lacking::Damaged),
    }
}

impl Objects {
    pub fn on(shelf: Rc<Shelf>) -> Self {
        Self {
            shelf,
            ..Self::default()
        }
    }

    pub fn put(&mut self, content: Content, digest: u128, bytes: Vec<u8>) -> Result<(), Lacking> {
        let made = checked(&bytes, digest).and_then(|()| {
            Ok(match content {
                Content::Artifact(_) => carry::in_memory(&bytes)?,
                Content::Capture(_) => Payload::of(bytes)?,
            })
        });
        self.kept.remove(&content);
        self.lacking.remove(&content);
        match made {
            Ok(payload) => {
                self.kept.insert(content, payload);
                Ok(())
            }
            Err(lacking) => {
                self.lacking.insert(content, lacking.to_string());
                Err(lacking)
            }
        }
    }

    /// A library, for engines that run now unless they have it; [`Self::libraries`] has it for later ones.
    pub fn put_library(&self, digest: u128, bytes: &[u8]) -> Result<Option<Payload>, Lacking> {
        checked(bytes, digest)?;
        Ok(self.shelf.add(bytes)?)
    }

    /// In the order in which they are loaded.
    pub fn libraries(&self) -> Vec<Payload> {
        self.shelf.all()
    }

    pub fn forget(&mut self, content: Content) {
        self.kept.remove(&content);
        self.lacking.remove(&content);
    }

    /// `Err`: why it is not there.
    pub fn get(&self, content: Content) -> Result<Payload, String> {
        let why = || {
            let known = self.lacking.get(&content).cloned();
            known.unwrap_or_else(|| Lacking::Missing.to_string())
        };
        self.kept.get(&content).cloned().ok_or_else(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_come_as_it_was_sent_is_not_kept_and_may_come_again() {
        let mut objects = Objects::default();
        let bytes = b"an artifact".to_vec();
        let digest = xxh3_128(&bytes);
        for content in [Content::Artifact(1), Content::Capture(1)] {
            assert_eq!(objects.get(content).unwrap_err(), "it has not come");
            let damaged = b"an artefact".to_vec();
            let put = objects.put(content, digest, damaged);
            assert!(matches!(put, Err(Lacking::Damaged)));
            let why = objects.get(content).unwrap_err();
            assert_eq!(why, "it did not come as it was sent");
            objects.put(content, digest, bytes.clone()).unwrap();
            assert!(objects.get(content).is_ok());
            // A later one that is damaged leaves nothing of the former.
            assert!(objects.put(content, 0, bytes.clone()).is_err());
            assert!(objects.get(content).is_err());
        }
        assert!(objects.put_library(digest, b"other").is_err());
        assert!(objects.libraries().is_empty());
        objects.put_library(digest, &bytes).unwrap();
        assert_eq!(objects.libraries().len(), 1);
    }
}
