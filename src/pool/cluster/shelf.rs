//! What the engines of a node share, by content: the shared objects that artifacts link to, whoever has sent them, and which
//! captured values the session has named.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io;

use super::carry;
use super::queue::schema::content;
use crate::wire::Payload;

#[derive(Default)]
pub struct Shelf {
    /// In the order in which they came: what another one links to is before it.
    libraries: RefCell<Vec<(u128, Payload)>>,
    named: RefCell<HashSet<u128>>,
}

impl Shelf {
    pub fn has(&self, library: u128) -> bool {
        let libraries = self.libraries.borrow();
        libraries.iter().any(|(hash, _)| *hash == library)
    }

    /// Keeps a library; its file, unless it is there already.
    pub fn add(&self, bytes: &[u8]) -> io::Result<Option<Payload>> {
        let hash = content(bytes);
        if self.has(hash) {
            return Ok(None);
        }
        let library = carry::in_memory(bytes)?;
        self.libraries.borrow_mut().push((hash, library.clone()));
        Ok(Some(library))
    }

    pub fn all(&self) -> Vec<Payload> {
        let libraries = self.libraries.borrow();
        libraries
            .iter()
            .map(|(_, library)| library.clone())
            .collect()
    }

    /// The session has given engines these captured values, or has them forget them.
    pub fn names(&self, captures: u128, is_named: bool) {
        let mut named = self.named.borrow_mut();
        if is_named {
            named.insert(captures);
        } else {
            named.remove(&captures);
        }
    }

    pub fn is_named(&self, captures: u128) -> bool {
        self.named.borrow().contains(&captures)
    }
}
