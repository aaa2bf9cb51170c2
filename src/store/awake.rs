//! How both sides of a call stay awake for a moment: to wake a core that sleeps takes longer than most calls. Between two
//! looks the core is left to whoever else wants it, the other side among them.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, recv};

/// So long a side looks again and again before it sleeps; a call and its answer take some 5 µs.
const AWAKE: Duration = Duration::from_micros(50);

/// A side that has just had something to do.
pub struct Awake(Option<Instant>);

impl Awake {
    pub fn from_now() -> Self {
        Self(Some(Instant::now() + AWAKE))
    }

    /// Whether it still looks; others have had the core meanwhile.
    pub fn is(&mut self) -> bool {
        self.0 = self.0.filter(|until| Instant::now() < *until);
        if self.0.is_some() {
            std::thread::yield_now();
        }
        self.0.is_some()
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
