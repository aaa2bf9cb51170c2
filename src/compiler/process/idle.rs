//! A compiler without a session: it listens for the next one, for a while.

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::reply::Outbox;
use crate::compiler::message::ToCompiler;
use crate::compiler::warm::{self, Record, Shelf, Use};
use crate::wire::{Channel, is_this_users};

/// How long whoever connects may take to say what it wants.
const FIRST_WORD: Duration = Duration::from_millis(500);

/// Where this compiler is found.
pub struct Place {
    shelf: Shelf,
    key: String,
    record: Record,
}

impl Place {
    /// `at` is the path of its socket without the process id, as the session has it.
    pub fn new(at: PathBuf, toolchain: String) -> Option<Self> {
        let key = at.file_name()?.to_str()?.to_owned();
        Some(Self {
            shelf: Shelf::at(at.parent()?.to_owned()),
            key,
            record: Record {
                pid: nix::unistd::getpid().as_raw(),
                toolchain,
                usage: Use::Session,
            },
        })
    }

    /// Says that this compiler serves a session now.
    pub fn is_taken(&mut self) {
        self.record.usage = Use::Session;
        // Without it, `regatta warm status` does not know of this one.
        let _ = self.shelf.put(&self.key, &self.record);
    }

    /// Says that the session is gone: whoever wants this compiler to end may wait for it.
    pub fn is_left(&mut self) {
        self.record.usage = Use::Forgets;
        let _ = self.shelf.put(&self.key, &self.record);
    }

    /// Waits for the next session; `None` when it is time to end.
    pub fn wait(&mut self) -> Option<(Channel, Outbox)> {
        // Where it can't listen, nobody would find it.
        self.listen().ok().flatten()
    }

    /// Takes the record away.
    pub fn leave(self) {
        self.shelf.remove(&self.key, self.record.pid);
    }

    fn listen(&mut self) -> io::Result<Option<(Channel, Outbox)>> {
        let patience = warm::patience();
        let socket = self.shelf.socket(&self.key, self.record.pid);
        let listener = {
            let _lock = self.shelf.lock()?;
            if !self.there_is_room() {
                return Ok(None);
            }
            let listener = UnixListener::bind(&socket)?;
            self.record.usage = Use::waits(patience);
            self.shelf.put(&self.key, &self.record)?;
            listener
        };
        let until = Instant::now() + patience;
        let found = loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break None;
            }
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            let mut waits = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
            match poll(&mut waits, timeout) {
                Ok(0) | Err(nix::errno::Errno::EINTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            let (stream, _) = listener.accept()?;
            if !is_this_users(&stream) {
                continue;
            }
            stream.set_read_timeout(Some(FIRST_WORD))?;
            let mut channel = Channel::new(stream.try_clone()?);
            match channel.receive() {
                Ok((ToCompiler::Serve, _)) => {
                    stream.set_read_timeout(None)?;
                    break Some((channel, Outbox::new(stream)));
                }
                Ok((ToCompiler::End, _)) => break None,
                // Of another version, or gone again.
                Ok(_) | Err(_) => {}
            }
        };
        // Whoever else has connected sees the connection end.
        std::fs::remove_file(&socket)?;
        Ok(found)
    }

    /// Whether few enough wait; one of another key gives way, the one that waits longest.
    fn there_is_room(&self) -> bool {
        let waits = |record: &Record| matches!(record.usage, Use::Waits { .. });
        let mut waiting = self.shelf.keyed();
        waiting.retain(|(_, record)| record.pid != self.record.pid && waits(record));
        let same = waiting.iter().filter(|(key, _)| *key == self.key).count();
        if same >= warm::SAME {
            return false;
        }
        if waiting.len() >= warm::ALL
            && let Some((_, oldest)) = waiting.last()
        {
            warm::end(&self.shelf, oldest);
        }
        true
    }
}
