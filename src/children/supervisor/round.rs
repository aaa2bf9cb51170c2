//! The supervisor's thread: it waits until something of a child is ready or a time has come, and does what that asks for.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use super::Shared;
use super::crowd::Crowd;
use crate::children::census::Census;
use crate::children::machine::Due;
use crate::children::one::signal;
use crate::outcome::{ChildState, Stream};

/// How often processes are looked for that were told to end.
const LOOK: Duration = Duration::from_millis(20);

/// A session that ends waits no longer than this for what was killed.
const GONE: Duration = Duration::from_secs(2);

#[derive(Clone, Copy)]
enum Source {
    /// The process of the child of this number has ended.
    End(u64),
    Print(u64, Stream),
}

pub fn run(shared: &Shared) {
    let mut closed = None;
    loop {
        let (sources, timeout) = shared.crowd().wanted(Instant::now());
        let ready = wait(shared, &sources, timeout);
        let mut crowd = shared.crowd();
        let now = Instant::now();
        for source in ready {
            crowd.hear(source, now);
        }
        crowd.look_after(now);
        crowd.tell_skipped(now);
        let has_news = crowd.has_news();
        let over = crowd.closing && {
            let since = *closed.get_or_insert(now);
            crowd.is_empty() || now.saturating_duration_since(since) > super::LAST_GRACE + GONE
        };
        drop(crowd);
        shared.changed.notify_all();
        if has_news {
            shared.waker.wake_by_ref();
        }
        if over {
            return;
        }
    }
}

/// What is ready of these.
fn wait(
    shared: &Shared,
    sources: &[(Source, Arc<OwnedFd>)],
    timeout: Option<Duration>,
) -> Vec<Source> {
    let mut fds = vec![PollFd::new(shared.bell.as_fd(), PollFlags::POLLIN)];
    let polled = sources.iter();
    fds.extend(polled.map(|(_, file)| PollFd::new(file.as_fd(), PollFlags::POLLIN)));
    let timeout = timeout.map_or(PollTimeout::NONE, |timeout| {
        // A part of a millisecond is waited for too.
        let timeout = timeout + Duration::from_micros(999);
        PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX)
    });
    // Interrupted by a signal, it is a short one.
    let _ = poll(&mut fds, timeout);
    let is_ready = |fd: &PollFd<'_>| fd.revents().is_some_and(|events| !events.is_empty());
    if is_ready(&fds[0]) {
        let _ = shared.bell.read();
    }
    let ready = sources.iter().zip(&fds[1..]);
    ready
        .filter(|(_, fd)| is_ready(fd))
        .map(|((source, _), _)| *source)
        .collect()
}

impl Crowd {
    /// What is waited for, and how long at most.
    fn wanted(&self, now: Instant) -> (Vec<(Source, Arc<OwnedFd>)>, Option<Duration>) {
        let mut sources = Vec::new();
        let mut until: Option<Instant> = None;
        let mut by = |at: Option<Instant>| {
            until = match (until, at) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        };
        for one in &self.children {
            if let Some(end) = &one.end {
                sources.push((Source::End(one.number), end.clone()));
            }
            // Where all is to be shown, who prints faster waits.
            let paused = !self.lossy && !self.closing && one.flow.is_full();
            for pipe in one.pipes.iter().filter(|_| !paused) {
                sources.push((Source::Print(one.number, pipe.stream), pipe.file.clone()));
            }
            if one.state() == ChildState::Stopping && one.gone {
                by(now.checked_add(LOOK));
            }
            by(one.machine.at().map(|at| match one.state() {
                // Killed again and again, but not without a pause.
                ChildState::Stopping => at.max(now + LOOK),
                _ => at,
            }));
            by(one.flow.due());
        }
        let timeout = until.map(|until| until.saturating_duration_since(now));
        (sources, timeout)
    }

    fn hear(&mut self, source: Source, now: Instant) {
        let number = match source {
            Source::End(number) | Source::Print(number, _) => number,
        };
        let Some(at) = self.children.iter().position(|one| one.number == number) else {
            return;
        };
        match source {
            Source::Print(_, stream) => {
                let lines = self.children[at].read(stream);
                self.printed(at, lines, now);
            }
            Source::End(_) => {
                let lines = self.children[at].read_last();
                self.printed(at, lines, now);
                let one = &mut self.children[at];
                one.note_end();
                if one.state() == ChildState::Stopping {
                    // All else of it is to end before it has.
                    one.gone = true;
                } else {
                    self.ended(at, now);
                }
            }
        }
    }

    /// Does what has become due.
    fn look_after(&mut self, now: Instant) {
        let stopping = |state| state == ChildState::Stopping;
        let due: Vec<(usize, Due)> = self
            .children
            .iter_mut()
            .enumerate()
            .filter_map(|(at, one)| Some((at, one.machine.due(now)?)))
            .collect();
        for (at, _) in due.iter().filter(|(_, due)| *due == Due::Start) {
            self.start_again(*at, now);
        }
        let waits = |one: &crate::children::one::One| stopping(one.state()) && one.gone;
        let kills = due.iter().any(|(_, due)| *due == Due::Kill);
        if !kills && !self.children.iter().any(waits) {
            return;
        }
        let census = Census::take();
        let marked = census.marked();
        let mut ended = Vec::new();
        for (at, one) in self.children.iter().enumerate() {
            if !stopping(one.state()) {
                continue;
            }
            let marked = marked.get(&one.number).map_or(&[][..], Vec::as_slice);
            let members = one.members(&census, marked);
            if due.contains(&(at, Due::Kill)) {
                one.signal_group(Signal::SIGKILL);
                signal(&members, Signal::SIGKILL);
            }
            if one.gone && members.is_empty() {
                ended.push(at);
            }
        }
        for at in ended {
            let lines = self.children[at].read_last();
            self.printed(at, lines, now);
            self.ended(at, now);
        }
    }

    /// Whether none is left that ends with the session.
    fn is_empty(&self) -> bool {
        let mut all = self.children.iter();
        all.all(|one| one.state().is_over() || one.prints_to.is_some())
    }
}
