//! Values of cells that later cells may ask for: `_` and `Out[3]`. The last ones, and no more memory than a
//! limit; the session is told what is kept and what is not any more.

use std::collections::VecDeque;
use std::ffi::c_void;
use std::sync::{MutexGuard, PoisonError};

use regatta_cell::host::{Bytes, Out};

use super::context::context;
use super::link;
use crate::wire::{FromEngine, KEPT_BYTES, KEPT_VALUES, Payload, is_guard};

#[derive(Default)]
pub struct Kept {
    next: u64,
    /// With their numbers, oldest first.
    outs: VecDeque<(u64, Out)>,
}

// SAFETY: the values are touched on the engine's main thread alone, on which its cells run one by one: whoever asks on
// another one gives and gets none (`on_the_cells_thread`).
unsafe impl Send for Kept {}

fn on_the_cells_thread() -> bool {
    nix::unistd::gettid() == nix::unistd::getpid()
}

fn kept() -> MutexGuard<'static, Kept> {
    context()
        .outs
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

impl Kept {
    /// Takes a value in; its number, and the values that have to go.
    fn add(&mut self, out: Out) -> (u64, Vec<(u64, Out)>) {
        let number = self.next;
        self.next += 1;
        self.outs.push_back((number, out));
        let mut bytes: u64 = self.outs.iter().map(|(_, out)| out.bytes).sum();
        let mut gone = Vec::new();
        // One that has no room by itself leaves the others alone.
        if let Some(large) = self.outs.pop_back_if(|(_, out)| out.bytes > KEPT_BYTES) {
            bytes -= large.1.bytes;
            gone.push(large);
        }
        while (self.outs.len() > KEPT_VALUES || bytes > KEPT_BYTES)
            && let Some(oldest) = self.outs.pop_front()
        {
            bytes -= oldest.1.bytes;
            gone.push(oldest);
        }
        (number, gone)
    }

    /// The same of a value that has to go at once.
    fn refuse(&mut self, out: Out) -> (u64, Vec<(u64, Out)>) {
        let number = self.next;
        self.next += 1;
        (number, vec![(number, out)])
    }

    fn remove(&mut self, number: u64, wanted: impl FnOnce(&Out) -> bool) -> Option<Out> {
        let at = self.outs.iter().position(|(other, _)| *other == number)?;
        if !wanted(&self.outs[at].1) {
            return None;
        }
        self.outs.remove(at).map(|(_, out)| out)
    }
}

pub extern "C" fn heap() -> u64 {
    // SAFETY: it reads the allocator's own counters, under its locks.
    let info = unsafe { libc::mallinfo2() };
    (info.uordblks + info.hblkhd) as u64
}

pub extern "C" fn keep(out: Out, type_name: Bytes) {
    if !on_the_cells_thread() {
        return (out.drop)(out.value);
    }
    // SAFETY: the caller's bytes live for the call.
    let type_name = String::from_utf8_lossy(unsafe { type_name.as_slice() }).into_owned();
    let bytes = out.bytes;
    let (number, gone) = match is_guard(&type_name) {
        true => kept().refuse(out),
        false => kept().add(out),
    };
    let dropped = gone.iter().map(|(number, _)| *number).collect();
    // Without the lock: a destructor is user code.
    for (_, out) in gone {
        (out.drop)(out.value);
    }
    let message = FromEngine::Kept {
        number,
        type_name,
        bytes,
        dropped,
    };
    // A session that is gone is noticed by the engine's loop.
    let _ = link::send(&message, &Payload::None);
}

pub extern "C" fn take_kept(number: u64, stamp: u64) -> *mut c_void {
    let wanted = |out: &Out| out.stamp == stamp && on_the_cells_thread();
    let out = kept().remove(number, wanted);
    out.map_or(std::ptr::null_mut(), |out| out.value)
}

pub extern "C" fn drop_kept(number: u64) {
    let out = kept().remove(number, |_| on_the_cells_thread());
    if let Some(out) = out {
        (out.drop)(out.value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(bytes: u64) -> Out {
        extern "C" fn nothing(_: *mut c_void) {}
        Out {
            value: std::ptr::null_mut(),
            drop: nothing,
            stamp: bytes,
            bytes,
        }
    }

    #[test]
    fn the_last_values_are_kept_within_the_limits() {
        let mut kept = Kept::default();
        let mut add = |bytes| {
            let (number, gone) = kept.add(out(bytes));
            (number, gone.into_iter().map(|(number, _)| number).collect())
        };
        for number in 0..KEPT_VALUES as u64 {
            assert_eq!(add(8), (number, Vec::new()));
        }
        let many = KEPT_VALUES as u64;
        assert_eq!(add(8), (many, vec![0]));
        assert_eq!(add(KEPT_BYTES + 1), (many + 1, vec![many + 1]), "too large");
        assert_eq!(add(8), (many + 2, vec![1]));
        let (_, gone): (u64, Vec<u64>) = add(KEPT_BYTES - 8);
        assert_eq!(gone.len(), KEPT_VALUES - 1, "room is made");
        assert!(kept.remove(many + 2, |out| out.stamp == 9).is_none());
        assert!(kept.remove(many + 2, |out| out.stamp == 8).is_some());
        assert!(kept.remove(many + 2, |_| true).is_none());
        let (number, gone) = kept.refuse(out(8));
        assert!(gone.len() == 1 && gone[0].0 == number && number > many + 3);
        assert!(kept.remove(number, |_| true).is_none());
    }
}
