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
/// What was sent before its sender left, and what it has taken, is here by so many further looks, so far apart.
const LAST_LOOKS: u32 = 3;
const BETWEEN_THEM: Duration = Duration::from_micros(500);

impl Mpi {
    /// The place of a request that is done.
    pub(super) fn any_of(
        &mut self,
        of: &Envelope,
        requests: &[Request],
        mut wait: bool,
    ) -> Result<Option<usize>, Trouble> {
        let call = Call::WaitAny;
        let began = monotonic();
        loop {
            for (place, request) in requests.iter().enumerate().filter(|(_, it)| **it != 0) {
                let Some(at) = self.posted_at(*request) else {
                    return Err(words::of(call, words::OVER));
                };
                if self.advance(at, call, of, false)? {
                    let waited = monotonic() - began;
                    self.waited(if waited > AWAKE { waited } else { 0 }, false);
                    return Ok(Some(place));
                }
            }
            if !wait {
                wait = self.is_left(requests)?;
                if !wait {
                    return Ok(None);
                }
            }
            let waited = monotonic() - began;
            if waited > UNTIL_NAPS {
                let ended = self.wait_for_any(call, of, requests, began);
                if ended.is_err() {
                    self.waited(monotonic() - began, false);
                }
                ended?;
            } else if waited > AWAKE {
                std::thread::yield_now();
            }
        }
    }

    /// Waits until one of them is done, where the others see it.
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
        let is_done = |it: &Posted| requests.contains(&it.request) && it.handles.is_empty();
        let mut last_looks = 0;
        loop {
            let is_in_vain = vigil.looks_in_vain();
            if vigil.posted.iter().any(is_done) {
                vigil.end();
                return Ok(());
            }
            if !is_in_vain {
                std::thread::sleep(NAP);
                continue;
            }
            if last_looks == LAST_LOOKS {
                return vigil.end().map_or(Ok(()), Err);
            }
            last_looks += 1;
            std::thread::sleep(BETWEEN_THEM);
            vigil.drain();
        }
    }

    /// Whether a poll of these that was in vain is to wait, as nobody is left for it.
    #[inline]
    pub(super) fn is_left(&mut self, requests: &[Request]) -> Result<bool, Trouble> {
        if !self.book.polls.is_time() {
            return Ok(false);
        }
        let (on, _) = self.partners(requests)?;
        Ok(self.book.waits_for_the_gone(&on))
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
