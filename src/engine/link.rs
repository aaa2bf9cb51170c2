//! The engine's end of the control connection. One lock around each direction: a worker thread of a thread
//! pool may show a value while others do.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};

use crate::wire::{self, Channel, FromEngine, Payload, ToEngine, WireError};

static WRITER: Mutex<Option<Channel>> = Mutex::new(None);
static READER: Mutex<Option<Channel>> = Mutex::new(None);

/// Exchanges greetings and keeps the socket.
pub fn open(mut socket: UnixStream) -> Result<(), WireError> {
    socket.write_all(&wire::greeting())?;
    let mut theirs = [0; 12];
    socket.read_exact(&mut theirs)?;
    wire::check_greeting(theirs)?;
    let writer = Channel::new(socket);
    *READER.lock().unwrap_or_else(PoisonError::into_inner) = Some(writer.twin());
    *WRITER.lock().unwrap_or_else(PoisonError::into_inner) = Some(writer);
    Ok(())
}

pub fn send(message: &FromEngine, payload: &Payload) -> Result<(), WireError> {
    let mut writer = WRITER.lock().unwrap_or_else(PoisonError::into_inner);
    let writer = writer.as_mut().ok_or(WireError::Closed)?;
    writer.queue(message, payload)?;
    Ok(writer.flush()?)
}

/// To be sent together with what follows, by [`flush`]; how many bytes wait.
pub fn queue(message: &FromEngine, payload: &Payload) -> Result<usize, WireError> {
    let mut writer = WRITER.lock().unwrap_or_else(PoisonError::into_inner);
    let writer = writer.as_mut().ok_or(WireError::Closed)?;
    writer.queue(message, payload)?;
    Ok(writer.queued())
}

pub fn flush() -> Result<(), WireError> {
    let mut writer = WRITER.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(writer.as_mut().ok_or(WireError::Closed)?.flush()?)
}

/// The next frame, when it is there already.
pub fn waiting() -> Result<Option<(ToEngine, Payload)>, WireError> {
    let mut reader = READER.lock().unwrap_or_else(PoisonError::into_inner);
    reader.as_mut().ok_or(WireError::Closed)?.next_frame()
}

/// Waits for the next frame.
pub fn receive() -> Result<(ToEngine, Payload), WireError> {
    let mut reader = READER.lock().unwrap_or_else(PoisonError::into_inner);
    reader.as_mut().ok_or(WireError::Closed)?.receive()
}
