//! Cells' calls of children: each goes to the session over a connection of its own, so that one that waits holds up no
//! other.

use std::ffi::c_void;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use regatta_cell::children::{Call, Error, Reply};
use regatta_cell::host::{Bytes, Write, packed};

use super::commands;
use super::context::context;
use super::store::Waiting;
use crate::wire::{Channel, FromEngine, Payload, Service, WireError};

/// How often Ctrl-C is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// For the C table.
pub extern "C" fn call(call: Bytes, to: *mut c_void, write: Write) {
    // SAFETY: the cell lends the bytes for this call.
    let bytes = unsafe { call.as_slice() };
    let asked = postcard::from_bytes::<Call>(bytes);
    let reply = match asked {
        Ok(call) => answered(&call).unwrap_or_else(|error| {
            let why = format!("the session cannot be asked: {error}");
            Reply::Refused(Error(why))
        }),
        Err(error) => Reply::Refused(Error(error.to_string())),
    };
    write(to, Bytes::of(&packed(&reply)));
}

fn answered(call: &Call) -> Result<Reply, WireError> {
    let (ours, theirs) = UnixStream::pair()?;
    let service = Service::Children;
    let theirs = Payload::file(theirs.into());
    context()
        .link
        .send(&FromEngine::Connect { service }, &theirs)?;
    drop(theirs);
    let mut channel = Channel::new(ours);
    channel.queue(call, &Payload::None)?;
    channel.flush()?;
    // Here Ctrl-C can end a cell and leave its engine.
    let waiting = Waiting::begin();
    loop {
        if let Some((reply, _)) = channel.next_frame()? {
            return Ok(reply);
        }
        if waiting.is_to_end() || commands::is_stopped() {
            return Ok(Reply::Interrupted);
        }
        let mut wanted = [PollFd::new(channel.socket(), PollFlags::POLLIN)];
        let look = PollTimeout::try_from(LOOK).unwrap_or(PollTimeout::NONE);
        if poll(&mut wanted, look).is_ok_and(|ready| ready > 0) {
            channel.wait()?;
        }
    }
}
