//! Several requests of a rank of an MPI pool, of which the first that is done is waited for.

use std::time::Duration;

use regatta_cell::comm::table::Envelope;

use super::mpi::{Mpi, Posted};
use super::mpi_waiting::Vigil;
use super::{Request, Trouble, words};
use crate::wire::monotonic;
use crate::wire::world::Call;

/// Awake for so long, nanoseconds; then others have the core between two looks.
const AWAKE: u64 = 100_000;
/// After so long it looks around, and sleeps between two looks.
const UNTIL_NAPS: u64 = 1_000_000;
const NAP: Duration = Duration::from_micros(50);
/// Looks around, one after the other, between two looks at all requests; of sends, which only those see, fewer.
const LOOKS_AROUND: u32 = 500;
const LOOKS_OF_SENDS: u32 = 10;

impl Mpi {
    /// The place of a request that is done.
    pub(super) fn any_of(
        &mut self,
        of: &Envelope,
        requests: &[Request],
        wait: bool,
    ) -> Result<Option<usize>, Trouble> {
        let call = Call::WaitAny;
        let began = monotonic();
        loop {
            for (place, request) in requests.iter().enumerate().filter(|(_, it)| **it != 0) {
                let is_it = |posted: &Posted| posted.request == *request;
                let Some(at) = self.posted.iter().position(is_it) else {
                    return Err(words::of(
                        call,
                        "a request is over, or belongs to engines that are gone",
                    ));
                };
                if self.advance(at, call, of, false)? {
                    let waited = monotonic() - began;
                    self.waited(if waited > AWAKE { waited } else { 0 });
                    return Ok(Some(place));
                }
            }
            if !wait {
                return Ok(None);
            }
            let waited = monotonic() - began;
            if waited > UNTIL_NAPS {
                self.wait_for_any(call, of, requests, began)?;
            } else if waited > AWAKE {
                std::thread::yield_now();
            }
        }
    }

    /// Waits for a while, where the others see it.
    fn wait_for_any(
        &mut self,
        call: Call,
        of: &Envelope,
        requests: &[Request],
        began: u64,
    ) -> Result<(), Trouble> {
        let (on, sends) = self.partners(requests)?;
        let posted = &mut self.posted[..];
        let mut vigil = Vigil::new(self.library, &mut self.book, posted, call, of, &on);
        (vigil.sends, vigil.began) = (sends, began);
        let is_here = |it: &Posted| requests.contains(&it.request) && it.message.is_some();
        for _ in 0..if sends { LOOKS_OF_SENDS } else { LOOKS_AROUND } {
            if vigil.looks_in_vain() || vigil.posted.iter().any(is_here) {
                break;
            }
            std::thread::sleep(NAP);
        }
        let is_here = vigil.posted.iter().any(is_here);
        match vigil.end() {
            Some(trouble) if !is_here => Err(trouble),
            _ => Ok(()),
        }
    }

    /// Whom the requests wait for, and whether one of them is a send.
    fn partners(&self, requests: &[Request]) -> Result<(Vec<u32>, bool), Trouble> {
        let (mut on, mut sends) = (Vec::new(), false);
        for posted in { self.posted.iter() }.filter(|it| requests.contains(&it.request)) {
            sends |= posted.of.is_none();
            on.extend(posted.partners(&self.book)?);
        }
        on.retain(|rank| *rank != self.book.rank);
        on.sort_unstable();
        on.dedup();
        Ok((on, sends))
    }
}
