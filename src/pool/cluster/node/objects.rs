//! What engines of this host take from the session, once for all of them. What has not come as it was sent, or finds no
//! memory, is not kept, and whoever needs it is told why.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::rc::Rc;

use xxhash_rust::xxh3::xxh3_128;

use super::super::content::{self, Growing};
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
    /// Of which not all has come.
    growing: HashMap<Content, Growing>,
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

    /// Of this content so many bytes come now; what there was of it is gone.
    pub fn begin(&mut self, content: Content, bytes: u64) -> Result<(), Lacking> {
        self.forget(content);
        let is_bare = matches!(content, Content::Artifact(_));
        match Growing::new(bytes, is_bare) {
            Ok(growing) => {
                self.growing.insert(content, growing);
                self.look_whether_whole(content);
                Ok(())
            }
            Err(error) => Err(self.lacks(content, error.into())),
        }
    }

    /// The next piece of it, with its digest. Of what is lacking already nothing is said again.
    pub fn put(&mut self, content: Content, piece: &[u8]) -> Result<(), Lacking> {
        let Some(growing) = self.growing.get_mut(&content) else {
            return Ok(());
        };
        let put = match content::checked(piece) {
            Some(bytes) => growing.write(bytes).map_err(Lacking::from),
            None => Err(Lacking::Damaged),
        };
        if let Err(lacking) = put {
            return Err(self.lacks(content, lacking));
        }
        self.look_whether_whole(content);
        Ok(())
    }

    fn look_whether_whole(&mut self, content: Content) {
        if let Entry::Occupied(growing) = self.growing.entry(content)
            && growing.get().is_whole()
        {
            self.kept.insert(content, growing.remove().payload());
        }
    }

    /// It is not there, and why.
    fn lacks(&mut self, content: Content, lacking: Lacking) -> Lacking {
        self.growing.remove(&content);
        self.lacking.insert(content, lacking.to_string());
        lacking
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
        self.growing.remove(&content);
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
        let piece = [&bytes[..], &digest.to_le_bytes()].concat();
        let length = bytes.len() as u64;
        for content in [Content::Artifact(1), Content::Capture(1)] {
            assert_eq!(objects.get(content).unwrap_err(), "it has not come");
            objects.begin(content, length).unwrap();
            assert_eq!(objects.get(content).unwrap_err(), "it has not come");
            let mut damaged = piece.clone();
            damaged[6] = b'e';
            let put = objects.put(content, &damaged);
            assert!(matches!(put, Err(Lacking::Damaged)));
            let why = objects.get(content).unwrap_err();
            assert_eq!(why, "it did not come as it was sent");
            // Its other pieces, which were on their way.
            objects.put(content, &piece).unwrap();
            assert!(objects.get(content).is_err());
            objects.begin(content, length).unwrap();
            objects.put(content, &piece).unwrap();
            assert!(objects.get(content).is_ok());
            // A later one that is damaged leaves nothing of the former.
            objects.begin(content, length).unwrap();
            assert!(objects.put(content, &damaged).is_err());
            assert!(objects.get(content).is_err());
            // One that says less of itself than there is.
            objects.begin(content, 1).unwrap();
            assert!(objects.put(content, &piece).is_err());
            objects.begin(content, 0).unwrap();
            assert!(objects.get(content).is_ok());
        }
        assert!(objects.put_library(digest, b"other").is_err());
        assert!(objects.libraries().is_empty());
        objects.put_library(digest, &bytes).unwrap();
        assert_eq!(objects.libraries().len(), 1);
    }
}
