//! What the hub's thread and the session's have of an engine on a node: what it says waits here until the hub takes it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::page::Change;
use crate::ids::EngineId;
use crate::outcome::{DeathCause, Stream};
use crate::pool::ears::Ears;
use crate::wire::{FromEngine, Payload, status};

pub struct Seat {
    /// As the hub has it.
    id: EngineId,
    ears: Ears,
    /// Its page of numbers, as its host has told it last.
    page: Mutex<Vec<u8>>,
    /// 0 before it has started.
    pid: AtomicU32,
    /// Resident memory in bytes; 0 when nobody knows.
    memory: AtomicU64,
    said: Mutex<Said>,
}

#[derive(Default)]
struct Said {
    frames: VecDeque<(FromEngine, Payload)>,
    /// What they count as on their way, bytes.
    weight: u64,
    /// On standard output and error.
    printed: [Vec<u8>; 2],
    end: Option<DeathCause>,
    /// The hub was told that there is something.
    is_rung: bool,
}

impl Seat {
    pub fn new(id: EngineId, ears: Ears) -> Self {
        Self {
            id,
            ears,
            page: Mutex::new(vec![0; status::LENGTH as usize]),
            pid: AtomicU32::new(0),
            memory: AtomicU64::new(0),
            said: Mutex::default(),
        }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, what: impl FnOnce(&mut Said)) {
        let mut said = self.said();
        what(&mut said);
        if !std::mem::replace(&mut said.is_rung, true) {
            self.ears.ring(self.id);
        }
    }

    /// A frame that counts as so many bytes.
    pub fn frame(&self, message: FromEngine, payload: Payload, weight: u64) {
        self.say(|said| {
            said.frames.push_back((message, payload));
            said.weight += weight;
        });
    }

    pub fn printed(&self, stream: Stream, bytes: Vec<u8>) {
        self.say(|said| match &mut said.printed[stream as usize] {
            before if before.is_empty() => *before = bytes,
            before => before.extend_from_slice(&bytes),
        });
    }

    /// What is told first counts.
    pub fn ended(&self, cause: DeathCause) {
        self.say(|said| {
            said.end.get_or_insert(cause);
        });
    }

    pub fn write_page(&self, changes: &[Change]) {
        let mut page = self.page();
        for change in changes.iter().filter(|change| change.is_of_engine()) {
            let from = change.at() as usize;
            if let Some(to) = page.get_mut(from..from + change.bytes.len()) {
                to.copy_from_slice(&change.bytes);
            }
        }
    }

    pub fn page(&self) -> MutexGuard<'_, Vec<u8>> {
        self.page.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn started(&self, pid: u32) {
        self.pid.store(pid, Ordering::Relaxed);
    }

    pub fn pid(&self) -> u32 {
        self.pid.load(Ordering::Relaxed)
    }

    pub fn takes(&self, memory: u64) {
        self.memory.store(memory, Ordering::Relaxed);
    }

    pub fn memory(&self) -> Option<u64> {
        let memory = self.memory.load(Ordering::Relaxed);
        (memory > 0).then_some(memory)
    }

    /// The frames that have come, the bytes that they count as, and whether there are no more of them for good.
    pub fn hear(&self) -> (Vec<(FromEngine, Payload)>, u64, bool) {
        let mut said = self.said();
        said.is_rung = false;
        let frames = std::mem::take(&mut said.frames).into();
        (frames, std::mem::take(&mut said.weight), said.end.is_some())
    }

    pub fn has_printed(&self) -> bool {
        self.said().printed.iter().any(|bytes| !bytes.is_empty())
    }

    /// Appends what was printed until `to` has so many bytes; how many these were.
    pub fn read_printed(&self, stream: Stream, at_most: usize, to: &mut Vec<u8>) -> usize {
        let mut said = self.said();
        let printed = &mut said.printed[stream as usize];
        let count = printed.len().min(at_most.saturating_sub(to.len()));
        match count == printed.len() && to.is_empty() {
            true => *to = std::mem::take(printed),
            false => to.extend(printed.drain(..count)),
        }
        count
    }

    /// How it has ended, once all that it said is heard.
    pub fn cause(&self) -> Option<DeathCause> {
        let said = self.said();
        said.end.clone().filter(|_| said.frames.is_empty())
    }
}
