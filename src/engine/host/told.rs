//! What cells tell: values to show, facts of their run, panics.

use std::ffi::c_void;

use regatta_cell::host::{Bytes, Fact, Write, packed, unpacked};

use super::cell;
use crate::engine::{link, notes, places};
use crate::ids::Rank;
use crate::wire::places::Place;
use crate::wire::{FromEngine, PanicInfo, Payload};

pub(super) extern "C" fn take_panic(to: *mut c_void, write: Write) {
    let panic = notes::take_panic().unwrap_or_else(|| PanicInfo::plain("it panicked"));
    let place = panic
        .place
        .map_or_else(String::new, |place| place.to_string());
    write(to, Bytes::of(&packed(&(panic.message, place))));
}

pub(super) extern "C" fn place(file: Bytes, line: u32, to: *mut c_void, write: Write) {
    if let Some(place) = place_of(file, line) {
        write(to, Bytes::of(place.to_string().as_bytes()));
    }
}

fn place_of(file: Bytes, line: u32) -> Option<Place> {
    // SAFETY: it lives as long as the call, as every argument does.
    let file = std::str::from_utf8(unsafe { file.as_slice() }).ok()?;
    places::place(file, line)
}

/// A copy of bytes that the cell lends.
pub fn text(bytes: Bytes) -> String {
    // SAFETY: the cell crate lends `Bytes` of a live slice for the time of the call.
    String::from_utf8_lossy(unsafe { bytes.as_slice() }).into_owned()
}

pub(super) extern "C" fn show(mime: Bytes, value: Bytes, type_name: Bytes) {
    let worker = notes::worker();
    let message = FromEngine::Shown {
        rank: worker.map(|worker| Rank(worker.rank)),
        map: worker.and_then(|worker| worker.map),
        mime: text(mime),
        type_name: text(type_name),
    };
    // SAFETY: as in `text`.
    let text = unsafe { value.as_slice() }.to_vec();
    if let Ok(payload) = Payload::of(text) {
        // A session that is gone will end this process; there is nobody to tell.
        let _ = link::send(&message, &payload);
    }
}

pub(super) extern "C" fn tell(fact: Fact, what: Bytes) {
    let facts = &mut cell().facts;
    match fact {
        Fact::Panicked => facts.panicked = true,
        Fact::Errored => facts.errored = true,
        Fact::ChangedType => facts.changed.push(text(what)),
        Fact::PanickedAtEnd => facts.panicked_at_end = true,
        // SAFETY: as in `text`.
        Fact::Variables => facts.variables = unpacked(unsafe { what.as_slice() }),
        Fact::NothingToReduce => facts.nothing_to_reduce = true,
    }
}

/// What the standard library says of a panic that ends the process, and where: a panic of the user's stands in no file
/// of that name. That it cannot unwind is not among what a hook is told of it.
const FATAL: [&str; 2] = [
    "panic in a function that cannot unwind",
    "panic in a destructor during cleanup",
];
const FATAL_IN: &str = "core/src/panicking.rs";

pub(super) extern "C" fn panicked(message: Bytes, file: Bytes, line: u32, column: u32) -> bool {
    if !notes::is_watched() {
        return false;
    }
    let panic = PanicInfo {
        message: message_of(message),
        file: text(file),
        line,
        column,
        place: place_of(file, line),
    };
    let fatal = FATAL.contains(&panic.message.as_str()) && panic.file.ends_with(FATAL_IN);
    notes::note_panic(panic, fatal)
}

pub(super) extern "C" fn escaped(message: Bytes) {
    notes::note_escaped(&message_of(message));
}

/// Of a panic's message so many bytes are kept.
const LONGEST: usize = 64 * 1024;

fn message_of(message: Bytes) -> String {
    // SAFETY: as in `text`.
    let bytes = unsafe { message.as_slice() };
    let Some(kept) = bytes.get(..LONGEST) else {
        return text(message);
    };
    let mut kept = String::from_utf8_lossy(kept).into_owned();
    kept.push_str(&format!("… {} bytes in all", bytes.len()));
    kept
}

pub(super) extern "C" fn timing(per_loop: *const f64, runs: u64, loops: u64) {
    // SAFETY: the cell crate passes a live slice of `runs` numbers.
    let per_loop = unsafe { std::slice::from_raw_parts(per_loop, runs as usize) };
    let per_loop = per_loop.iter().map(|seconds| seconds.to_bits()).collect();
    let _ = link::send(&FromEngine::Timing { per_loop, loops }, &Payload::None);
}
