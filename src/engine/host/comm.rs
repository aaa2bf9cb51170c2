//! Messages between ranks, as cells call for them.

use std::ffi::c_void;

use regatta_cell::comm::table::{
    ANY_RANK, ANY_TAG, Envelope, Got, Op, Outcome, PROC_NULL, Reduction, Room, Table,
};
use regatta_cell::host::{Bytes, Write};

use crate::engine::comm::{self, Into, Transport, Trouble, tell, with};
use crate::engine::loader;
use crate::engine::notes::refuse;

pub(super) const TABLE: Table = Table {
    rank,
    size,
    processor_name,
    send,
    ssend,
    post_send,
    recv,
    post_recv,
    complete,
    forget,
    sendrecv,
    probe,
    barrier,
    broadcast,
    scatter,
    gather,
    all_gather,
    all_to_all,
    reduce,
    split,
    await_any,
    function,
};

/// The request of what goes to nobody, or comes from there: it is done.
const TO_NOBODY: u64 = u64::MAX;

/// What comes from nobody.
const FROM_NOBODY: Got = Got {
    from: PROC_NULL,
    tag: ANY_TAG,
    bytes: 0,
};

/// Tells what has failed: the session, and the cell.
#[cold]
fn failed(trouble: Trouble) {
    refuse(trouble.text());
    if let Trouble::Told(told) = trouble {
        tell(*told);
    }
}

#[inline]
fn done(call: impl FnOnce(&mut dyn Transport) -> Result<(), Trouble>) -> Outcome {
    match with(call) {
        Ok(()) => Outcome::Done,
        Err(trouble) => {
            failed(trouble);
            Outcome::Failed
        }
    }
}

/// # Safety
/// The cell crate passes envelopes and places for answers that live for the call.
#[inline]
unsafe fn lent<'a>(envelope: *const Envelope) -> &'a Envelope {
    // SAFETY: promised by the caller.
    unsafe { &*envelope }
}

/// # Safety
/// The cell crate passes bytes that live for the call.
#[inline]
unsafe fn bytes<'a>(of: Bytes) -> &'a [u8] {
    // SAFETY: promised by the caller.
    unsafe { of.as_slice() }
}

fn place(comm: u32) -> Option<(u32, u32)> {
    with(|transport| transport.place(comm)).map_err(failed).ok()
}

extern "C" fn rank(comm: u32) -> u32 {
    place(comm).map_or(ANY_RANK, |(rank, _)| rank)
}

extern "C" fn size(comm: u32) -> u32 {
    place(comm).map_or(ANY_RANK, |(_, size)| size)
}

extern "C" fn function(function: *const c_void) -> u64 {
    loader::number_of(function)
}

extern "C" fn processor_name(to: *mut c_void, write: Write) {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    write(to, Bytes::of(name.trim_end().as_bytes()));
}

/// The call concerns nobody else; it is one all the same.
#[cold]
fn known(comm: u32) -> Outcome {
    done(|transport| transport.place(comm).map(drop))
}

#[cold]
fn nobodys(comm: u32) -> u64 {
    match known(comm) {
        Outcome::Done => TO_NOBODY,
        _ => 0,
    }
}

extern "C" fn send(to: *const Envelope, value: Bytes) -> Outcome {
    // SAFETY: see `lent` and `bytes`.
    let (to, value) = unsafe { (lent(to), bytes(value)) };
    if to.peer == PROC_NULL {
        return known(to.comm);
    }
    done(|transport| transport.send(to, value))
}

extern "C" fn ssend(to: *const Envelope, value: Bytes) -> Outcome {
    // SAFETY: as above.
    let (to, value) = unsafe { (lent(to), bytes(value)) };
    if to.peer == PROC_NULL {
        return known(to.comm);
    }
    done(|transport| transport.ssend(to, value))
}

extern "C" fn post_send(to: *const Envelope, value: Bytes) -> u64 {
    // SAFETY: as above.
    let (to, value) = unsafe { (lent(to), bytes(value)) };
    if to.peer == PROC_NULL {
        return nobodys(to.comm);
    }
    let request = with(|transport| transport.post_send(to, value));
    request.map_err(failed).unwrap_or_default()
}

extern "C" fn recv(from: *const Envelope, ctx: *mut c_void, room: Room, got: *mut Got) -> Outcome {
    // SAFETY: as above.
    let (from, got) = unsafe { (lent(from), &mut *got) };
    if from.peer == PROC_NULL {
        *got = FROM_NOBODY;
        return known(from.comm);
    }
    done(|transport| {
        *got = transport.recv(from, Into { ctx, room })?;
        Ok(())
    })
}

extern "C" fn post_recv(from: *const Envelope) -> u64 {
    // SAFETY: as above.
    let from = unsafe { lent(from) };
    if from.peer == PROC_NULL {
        return nobodys(from.comm);
    }
    let request = with(|transport| transport.post_recv(from));
    request.map_err(failed).unwrap_or_default()
}

extern "C" fn complete(
    of: *const Envelope,
    request: u64,
    wait: bool,
    ctx: *mut c_void,
    room: Room,
    got: *mut Got,
) -> Outcome {
    // SAFETY: as above.
    let (of, got) = unsafe { (lent(of), &mut *got) };
    if request == TO_NOBODY {
        *got = FROM_NOBODY;
        return Outcome::Done;
    }
    let into = Into { ctx, room };
    either(
        with(|transport| transport.complete(of, request, wait, into)),
        got,
    )
}

fn either(ended: Result<Option<Got>, Trouble>, got: &mut Got) -> Outcome {
    match ended {
        Ok(None) => Outcome::NotYet,
        Ok(Some(it)) => {
            *got = it;
            Outcome::Done
        }
        Err(trouble) => {
            failed(trouble);
            Outcome::Failed
        }
    }
}

extern "C" fn forget(request: u64) {
    if request != TO_NOBODY {
        comm::forget(request);
    }
}

extern "C" fn sendrecv(
    to: *const Envelope,
    value: Bytes,
    from: *const Envelope,
    ctx: *mut c_void,
    room: Room,
    got: *mut Got,
) -> Outcome {
    // SAFETY: as above.
    let (to, value, from, got) = unsafe { (lent(to), bytes(value), lent(from), &mut *got) };
    done(|transport| {
        if from.peer == PROC_NULL {
            *got = FROM_NOBODY;
            return match to.peer {
                PROC_NULL => transport.place(to.comm).map(drop),
                _ => transport.send(to, value),
            };
        }
        if to.peer == PROC_NULL {
            *got = transport.recv(from, Into { ctx, room })?;
            return Ok(());
        }
        *got = transport.sendrecv(to, value, from, Into { ctx, room })?;
        Ok(())
    })
}

extern "C" fn probe(of: *const Envelope, wait: bool, got: *mut Got) -> Outcome {
    // SAFETY: as above.
    let (of, got) = unsafe { (lent(of), &mut *got) };
    if of.peer == PROC_NULL {
        *got = FROM_NOBODY;
        return known(of.comm);
    }
    either(with(|transport| transport.probe(of, wait)), got)
}

extern "C" fn barrier(of: *const Envelope) -> Outcome {
    // SAFETY: as above.
    let of = unsafe { lent(of) };
    done(|transport| transport.barrier(of))
}

extern "C" fn broadcast(
    of: *const Envelope,
    value: Bytes,
    ctx: *mut c_void,
    room: Room,
) -> Outcome {
    // SAFETY: as above.
    let (of, value) = unsafe { (lent(of), bytes(value)) };
    done(|transport| transport.broadcast(of, value, Into { ctx, room }))
}

/// # Safety
/// There are `count` parts, which live for the call.
unsafe fn parts<'a>(parts: *const Bytes, count: u64) -> Vec<&'a [u8]> {
    if count == 0 {
        return Vec::new();
    }
    // SAFETY: promised by the caller.
    let parts = unsafe { std::slice::from_raw_parts(parts, count as usize) };
    // SAFETY: as above.
    parts.iter().map(|part| unsafe { bytes(*part) }).collect()
}

extern "C" fn scatter(
    of: *const Envelope,
    of_each: *const Bytes,
    count: u64,
    ctx: *mut c_void,
    room: Room,
) -> Outcome {
    // SAFETY: as above.
    let (of, parts) = unsafe { (lent(of), parts(of_each, count)) };
    done(|transport| transport.scatter(of, &parts, Into { ctx, room }))
}

extern "C" fn gather(of: *const Envelope, value: Bytes, ctx: *mut c_void, room: Room) -> Outcome {
    // SAFETY: as above.
    let (of, value) = unsafe { (lent(of), bytes(value)) };
    done(|transport| transport.gather(of, value, Into { ctx, room }))
}

extern "C" fn all_gather(
    of: *const Envelope,
    value: Bytes,
    ctx: *mut c_void,
    room: Room,
) -> Outcome {
    // SAFETY: as above.
    let (of, value) = unsafe { (lent(of), bytes(value)) };
    done(|transport| transport.all_gather(of, value, Into { ctx, room }))
}

extern "C" fn all_to_all(
    of: *const Envelope,
    of_each: *const Bytes,
    count: u64,
    ctx: *mut c_void,
    room: Room,
) -> Outcome {
    // SAFETY: as above.
    let (of, parts) = unsafe { (lent(of), parts(of_each, count)) };
    done(|transport| transport.all_to_all(of, &parts, Into { ctx, room }))
}

extern "C" fn reduce(
    of: *const Envelope,
    who: Reduction,
    op: Op,
    numbers: Bytes,
    to: *mut u8,
) -> Outcome {
    // SAFETY: as above.
    let (of, numbers) = unsafe { (lent(of), bytes(numbers)) };
    done(|transport| transport.reduce(of, who, op, numbers, to))
}

extern "C" fn split(of: *const Envelope, color: u32, key: i64, comm: *mut u32) -> Outcome {
    // SAFETY: as above.
    let (of, comm) = unsafe { (lent(of), &mut *comm) };
    done(|transport| {
        *comm = transport.split(of, color, key)?;
        Ok(())
    })
}

extern "C" fn await_any(
    of: *const Envelope,
    requests: *const u64,
    count: u64,
    wait: bool,
    done: *mut u64,
) -> Outcome {
    // SAFETY: as above; there are `count` requests.
    let (of, done, requests) = unsafe {
        let requests = std::slice::from_raw_parts(requests, count as usize);
        (lent(of), &mut *done, requests)
    };
    let nobodys = requests.iter().position(|request| *request == TO_NOBODY);
    let place = match nobodys {
        Some(place) => Ok(Some(place)),
        None => with(|transport| transport.await_any(of, requests, wait)),
    };
    match place {
        Ok(None) => Outcome::NotYet,
        Ok(Some(place)) => {
            *done = place as u64;
            Outcome::Done
        }
        Err(trouble) => {
            failed(trouble);
            Outcome::Failed
        }
    }
}
