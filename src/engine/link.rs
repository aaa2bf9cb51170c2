//! The engine's end of the control socket. One lock around it: a worker thread of a thread pool may show a
//! value while others do.

use std::io::{BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};

use crate::wire::{self, FromEngine, ToEngine, WireError, read_frame, write_frame};

static WRITER: Mutex<Option<UnixStream>> = Mutex::new(None);
static READER: Mutex<Option<BufReader<UnixStream>>> = Mutex::new(None);

/// Exchanges greetings and keeps the socket.
pub fn open(mut socket: UnixStream) -> Result<(), WireError> {
    socket.write_all(&wire::greeting())?;
    let mut theirs = [0; 12];
    socket.read_exact(&mut theirs)?;
    wire::check_greeting(theirs)?;
    let reader = BufReader::with_capacity(64 * 1024, socket.try_clone()?);
    *READER.lock().unwrap_or_else(PoisonError::into_inner) = Some(reader);
    *WRITER.lock().unwrap_or_else(PoisonError::into_inner) = Some(socket);
    Ok(())
}

pub fn send(message: &FromEngine, payload: &[u8]) -> Result<(), WireError> {
    let mut writer = WRITER.lock().unwrap_or_else(PoisonError::into_inner);
    write_frame(writer.as_mut().ok_or(WireError::Closed)?, message, payload)
}

/// Waits for the next frame.
pub fn receive() -> Result<(ToEngine, Vec<u8>), WireError> {
    let mut reader = READER.lock().unwrap_or_else(PoisonError::into_inner);
    read_frame(reader.as_mut().ok_or(WireError::Closed)?)
}
