//! How both sides of a call stay awake for a moment: to wake a core that sleeps takes longer than most calls. Between two
//! looks the core is left to whoever else wants it, the other side among them. Where somebody who computes takes it for
//! long, a side that sleeps gets it back sooner than one that stays awake: then it sleeps for a while.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, recv};

/// So long a side looks again and again before it sleeps; a call and its answer take some 5 µs.
const AWAKE: Duration = Duration::from_micros(50);

/// Who has the core for so long computes: those that only look in are there for less.
const LONG: Duration = Duration::from_micros(500);

/// So long a side sleeps at once after that.
const BUSY: Duration = Duration::from_millis(50);

/// A side, for all of its calls.
#[derive(Default)]
pub struct Awake {
    until: Option<Instant>,
    busy: Option<Instant>,
}

impl Awake {
    /// It has just had something to do.
    pub fn begin(&mut self) {
        let now = Instant::now();
        self.busy = self.busy.filter(|until| now < *until);
        self.until = match self.busy {
            Some(_) => None,
            None => Some(now + AWAKE),
        };
    }

    /// Whether it still looks; others have had the core meanwhile.
    pub fn is(&mut self) -> bool {
        let Some(until) = self.until else {
            return false;
        };
        let before = Instant::now();
        if before < until {
            std::thread::yield_now();
            let after = Instant::now();
            if after - before < LONG {
                return true;
            }
            self.busy = Some(after + BUSY);
        }
        self.until = None;
        false
    }
}

/// Reads what is there, and waits for nothing.
pub struct Here<'a>(pub &'a UnixStream);

impl Read for Here<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let (read, _) = recv(self.0, to, RecvFlags::DONTWAIT)?;
        Ok(read)
    }
}
