//! The session's side: taking over a compiler that waits, or ending it.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::ToCompiler;
use super::key::Key;
use super::record::Record;
use super::shelf::Shelf;
use crate::compiler::message::FromCompiler;
use crate::wire::{Channel, Payload, is_this_users};

/// How long a compiler that waits may take to answer: one that the machine has put aside is not worth it.
const ANSWER: Duration = Duration::from_millis(400);

/// How long one may take to forget a session that has just left, for which it does not listen: another one would
/// take as long to start.
const SOON: Duration = Duration::from_secs(1);

/// How long one may take to end, and how often it is looked whether it has.
const END: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(5);

/// A compiler that now serves this session.
pub struct Taken {
    /// In which it builds.
    pub folder: PathBuf,
    /// Holds back the folder's cleaner.
    pub held: Option<OwnedFd>,
}

/// Takes over one that waits.
pub fn take(shelf: &Shelf, key: Key) -> Option<(Channel, UnixStream, Taken)> {
    let since = Instant::now();
    loop {
        let mut soon = false;
        for record in shelf.waiting(key) {
            match ask(shelf, key, &record) {
                Ok(Some(taken)) => return Some(taken),
                Ok(None) => {}
                Err(_) => soon = true,
            }
        }
        if !soon || since.elapsed() > SOON {
            return None;
        }
        std::thread::sleep(AGAIN);
    }
}

fn ask(
    shelf: &Shelf,
    key: Key,
    record: &Record,
) -> io::Result<Option<(Channel, UnixStream, Taken)>> {
    let socket = UnixStream::connect(shelf.socket(&key.to_string(), record.pid))?;
    if !is_this_users(&socket) {
        return Ok(None);
    }
    socket.set_read_timeout(Some(ANSWER))?;
    let mut channel = Channel::new(socket.try_clone()?);
    let _ = channel.queue(&ToCompiler::Serve, &Payload::None);
    channel.flush()?;
    // Another session may have been quicker: then the connection ends.
    let Ok((FromCompiler::Hello { folder, .. }, held)) = channel.receive() else {
        return Ok(None);
    };
    socket.set_read_timeout(None)?;
    let held = held.into_file();
    Ok(Some((channel, socket, Taken { folder, held })))
}

/// Tells a compiler that waits to end; whether it has.
pub fn end(shelf: &Shelf, record: &Record) -> bool {
    let since = Instant::now();
    let keyed = shelf.keyed().into_iter();
    for (key, _) in keyed.filter(|(_, other)| other.pid == record.pid) {
        // One whose session has just left does not listen yet.
        while tell_to_end(shelf, &key, record).is_err() && since.elapsed() < END {
            std::thread::sleep(AGAIN);
        }
    }
    let gone = || fs::metadata(format!("/proc/{}", record.pid)).is_err() || !record.is_alive();
    while !gone() {
        if since.elapsed() > END {
            return false;
        }
        std::thread::sleep(AGAIN);
    }
    true
}

fn tell_to_end(shelf: &Shelf, key: &str, record: &Record) -> io::Result<()> {
    let socket = UnixStream::connect(shelf.socket(key, record.pid))?;
    let mut channel = Channel::new(socket);
    let _ = channel.queue(&ToCompiler::End, &Payload::None);
    channel.flush()
}
