//! The file of kept results as this process has it open: from the first use on, opened anew when it was harmed. Trouble
//! with it costs a notice and never a result: then everything is computed.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError, RwLock};

use regatta_cell::host::now;

use super::disk::{Disk, DiskError, Key, Put, checked, set_aside};
use super::flight::Flights;
use super::writer::Writer;
use crate::wire::MemoTrouble;

/// Where results are kept, instead of in the cache folder; empty: nowhere on disk.
const FOLDER: &str = "REGATTA_MEMO";

/// A version of what is written there.
const VERSION: &str = "2";

/// Milliseconds for which nothing is written when that has failed.
const PAUSE: u64 = 10_000;

/// Whoever sets the file aside.
const ASIDE: Key = [0xff; 32];

#[derive(Default)]
pub struct Shelf {
    state: RwLock<State>,
    flights: OnceLock<Option<Flights>>,
    troubles: Mutex<Vec<MemoTrouble>>,
    /// Nothing is written until then.
    pause: AtomicU64,
    writer: Writer,
}

#[derive(Default)]
enum State {
    #[default]
    Closed,
    Open(Disk),
    /// It cannot be opened, and is tried again then.
    Off(u64),
}

impl Shelf {
    /// One whose file is open already.
    #[cfg(test)]
    pub fn of(disk: Disk) -> Self {
        Self {
            state: RwLock::new(State::Open(disk)),
            ..Self::default()
        }
    }

    /// Asks the file; nothing when there is none.
    pub fn with<R>(&self, ask: impl Fn(&Disk) -> Result<R, DiskError>) -> Option<R> {
        for _ in 0..3 {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            match &*state {
                State::Open(disk) => match ask(disk) {
                    Ok(answer) => return Some(answer),
                    Err(DiskError::Other(why)) => {
                        self.fails(&why);
                        return None;
                    }
                    Err(DiskError::Changed | DiskError::Bad(_)) => {
                        drop(state);
                        self.close_harmed();
                    }
                },
                State::Off(until) if now() < *until => return None,
                State::Off(_) | State::Closed => {
                    drop(state);
                    self.open();
                }
            }
        }
        None
    }

    /// Whether there is to be a file.
    pub fn has_folder(&self) -> bool {
        folder().is_some()
    }

    /// Keeps a result, now or soon.
    pub fn keep(&'static self, put: Put) {
        if let Err(put) = self.writer.put(self, put) {
            self.write(&[put]);
        }
    }

    pub(super) fn write(&self, puts: &[Put]) {
        if !puts.is_empty() && now() >= self.pause.load(Relaxed) {
            self.with(|disk| disk.put(puts));
        }
    }

    /// Waits until everything is written.
    pub fn flush(&self) {
        self.writer.flush();
    }

    fn fails(&self, why: &str) {
        self.pause.store(now() + PAUSE, Relaxed);
        self.note(MemoTrouble::Off {
            why: why.to_owned(),
        });
    }

    fn note(&self, trouble: MemoTrouble) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        if !troubles.contains(&trouble) {
            troubles.push(trouble);
        }
    }

    pub fn take_troubles(&self) -> Vec<MemoTrouble> {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut troubles)
    }

    fn open(&self) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let Some(folder) = folder() else {
            *state = State::Off(u64::MAX);
            return;
        };
        match &*state {
            State::Open(_) => return,
            State::Off(until) if now() < *until => return,
            State::Off(_) | State::Closed => {}
        }
        *state = match Disk::open(&folder, checked) {
            Ok(opened) => {
                if let Some(aside) = opened.aside {
                    self.note(set_aside_as(&aside));
                }
                State::Open(opened.disk)
            }
            Err(error) => {
                self.fails(&format!("{}: {error}", folder.display()));
                State::Off(now() + PAUSE)
            }
        };
    }

    /// The file is not what it was: it is let go of, and set aside if it still has its place.
    fn close_harmed(&self) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let State::Open(disk) = &*state else { return };
        // One process of all that notice it does so.
        let locked = self.take(&ASIDE, true);
        if disk.is_its_own() {
            match set_aside(disk.folder()) {
                Ok(aside) => self.note(set_aside_as(&aside)),
                Err(error) => self.fails(&error.to_string()),
            }
        }
        if locked {
            self.leave_now(&ASIDE);
        }
        *state = State::Closed;
    }

    /// The locks of keys. Without a folder for them each process computes for itself.
    fn flights(&self) -> Option<&Flights> {
        let flights = self.flights.get_or_init(|| Flights::open(&folder()?).ok());
        flights.as_ref()
    }

    /// Takes the lock of a key; false when another process has it and it is not waited for.
    pub fn take(&self, key: &Key, waits: bool) -> bool {
        let flights = self.flights();
        flights.is_some_and(|flights| flights.take(key, waits).unwrap_or(false))
    }

    /// Gives the lock of a key back, when its result can be found.
    pub fn leave(&self, key: &Key) {
        if !self.writer.leave(*key) {
            self.leave_now(key);
        }
    }

    pub(super) fn leave_now(&self, key: &Key) {
        if let Some(flights) = self.flights() {
            flights.leave(key);
        }
    }

    pub fn seal(&self) {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        if let State::Open(disk) = &*state {
            disk.seal();
        }
    }
}

fn set_aside_as(aside: &Path) -> MemoTrouble {
    MemoTrouble::SetAside {
        file: aside.display().to_string(),
    }
}

fn folder() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return (!folder.is_empty()).then(|| PathBuf::from(folder));
    }
    Some(
        dirs::cache_dir()?
            .join("regatta")
            .join("memo")
            .join(VERSION),
    )
}
