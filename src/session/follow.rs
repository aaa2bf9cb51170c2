//! A cell in flight, followed to its end, with Ctrl-C at any moment.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::flight::{Flight, Hold, Shown};
use super::{Failed, GRACE, Session, TICK};
use crate::compiler::Artifact;
use crate::ids::EngineId;
use crate::outcome::{ErrorKind, Event, Origin, Progress, Report, Sink};
use crate::pool::{EngineState, Run, Signal, Work};

/// Engines that run the same artifact.
pub(super) type Batch = (Vec<(EngineId, Origin)>, Arc<Artifact>);

/// How a flight is waited for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wait {
    /// What Ctrl-C sends first; SIGINT when `None`.
    pub signal: Option<Signal>,
    /// When to begin to tell how many engines are done.
    pub progress_after: Option<Duration>,
}

/// A Ctrl-C that is being carried out.
#[derive(Debug, Default)]
struct Interruption {
    since: Option<Instant>,
    signal: Option<Signal>,
    map_engines_done: bool,
    killed: Vec<EngineId>,
}

impl Session {
    /// Runs artifacts on engines and follows them to their end; also tells whether Ctrl-C ended it.
    pub(super) fn fly(
        &mut self,
        runs: &[Batch],
        hold: Hold,
        wait: Wait,
        sink: &mut dyn Sink,
    ) -> Result<(Flight, bool), Failed> {
        let mut flight = self.take_off(runs, hold);
        let interrupted = self.follow(&mut flight, wait, sink)?;
        Ok((flight, interrupted))
    }

    /// Starts artifacts on engines.
    pub(super) fn take_off(&mut self, runs: &[Batch], hold: Hold) -> Flight {
        let all = runs.iter().flat_map(|(engines, _)| engines.iter().cloned());
        let flight = Flight::new(all, hold);
        for (engines, artifact) in runs {
            self.hub.run(Run {
                engines: engines.iter().map(|(engine, _)| *engine).collect(),
                so: artifact.so.clone(),
                entry: artifact.entry.clone(),
                cell: self.cell(),
                pool: self.pool_use(),
            });
        }
        flight
    }

    /// Follows a flight until all its engines have ended.
    pub(super) fn follow(
        &mut self,
        flight: &mut Flight,
        wait: Wait,
        sink: &mut dyn Sink,
    ) -> Result<bool, Failed> {
        self.in_flight = true;
        let followed = self.follow_events(flight, wait, sink);
        self.in_flight = false;
        self.interrupting = false;
        self.finish_stray_prints(sink);
        self.flush_map_report(sink);
        sink.send(Event::Progress(None));
        self.timing.run += flight.started.elapsed();
        let mut interruption = followed?;
        if interruption.since.is_some() {
            self.end_map_engines(&mut interruption);
            let pool_engines: Vec<EngineId> = interruption
                .killed
                .iter()
                .copied()
                .filter(|engine| *engine != self.local)
                .collect();
            self.replace(&pool_engines, sink);
        }
        Ok(interruption.since.is_some())
    }

    fn follow_events(
        &mut self,
        flight: &mut Flight,
        wait: Wait,
        sink: &mut dyn Sink,
    ) -> Result<Interruption, Failed> {
        let mut interruption = Interruption {
            signal: wait.signal,
            ..Interruption::default()
        };
        while !flight.is_over() {
            let event = self
                .hub
                .event(TICK)
                .map_err(|gone| Failed::from(Report::new(ErrorKind::System, gone.to_string())))?;
            if let Some(event) = event.and_then(|event| self.route(event)) {
                for shown in flight.take(event) {
                    self.show(shown, sink);
                }
            }
            if let Some(after) = wait
                .progress_after
                .filter(|after| flight.started.elapsed() >= *after)
            {
                let total = flight.legs.len() as u64;
                let done = total - flight.flying().len() as u64;
                let elapsed = flight.started.elapsed().saturating_sub(after);
                let what = "px".to_owned();
                let progress = Progress {
                    what,
                    unit: "engines",
                    done,
                    total: Some(total),
                    elapsed,
                };
                sink.send(Event::Progress(Some(progress)));
            }
            if self.interrupt.is_pressed() && interruption.since.is_none() {
                let _ = self.interrupt.take();
                interruption.since = Some(Instant::now());
                self.interrupting = true;
                self.interrupt_softly(flight, &mut interruption);
            }
            if interruption
                .since
                .is_some_and(|since| since.elapsed() >= GRACE)
            {
                self.interrupt_hard(flight, &mut interruption);
            }
        }
        Ok(interruption)
    }

    /// A map that was interrupted is over for its caller at once; an engine that does not end its chunk by
    /// itself is killed.
    fn end_map_engines(&self, interruption: &mut Interruption) {
        let since = Instant::now();
        loop {
            let busy: Vec<EngineId> = self
                .hub
                .status()
                .iter()
                .filter(|status| status.state == EngineState::Busy(Work::Map))
                .map(|status| status.id)
                .collect();
            if busy.is_empty() {
                return;
            }
            if since.elapsed() >= GRACE {
                self.hub.signal(busy.clone(), Signal::SIGKILL);
                interruption.killed.extend(busy);
                return;
            }
            std::thread::sleep(TICK);
        }
    }

    /// The first moment of a Ctrl-C: a map is told to end, a cell gets its signal.
    fn interrupt_softly(&self, flight: &Flight, interruption: &mut Interruption) {
        let has_map = flight.has(self.local) && self.hub.interrupt_map();
        if !has_map {
            let signal = interruption.signal.unwrap_or(Signal::SIGINT);
            interruption.killed.extend(flight.flying());
            self.hub.signal(flight.flying(), signal);
        }
    }

    /// What has not ended by now is killed: a map's busy engines first, then the cell's own.
    fn interrupt_hard(&mut self, flight: &Flight, interruption: &mut Interruption) {
        let mut victims: Vec<EngineId> = Vec::new();
        if !interruption.map_engines_done {
            interruption.map_engines_done = true;
            let busy =
                |status: &crate::pool::EngineStatus| status.state == EngineState::Busy(Work::Map);
            victims.extend(
                self.hub
                    .status()
                    .iter()
                    .filter(|status| busy(status))
                    .map(|s| s.id),
            );
            interruption.killed.extend(&victims);
        }
        if victims.is_empty() {
            victims = flight.flying();
            interruption.killed.extend(&victims);
        }
        // The next round, if this was not enough.
        interruption.since = Some(Instant::now());
        self.hub.signal(victims, Signal::SIGKILL);
    }

    fn show(&mut self, shown: Shown, sink: &mut dyn Sink) {
        match shown {
            Shown::Output {
                origin,
                stream,
                text,
            } => {
                self.flush_map_report(sink);
                sink.send(Event::Output {
                    origin,
                    stream,
                    text,
                });
            }
            Shown::Value { origin, value } => {
                self.flush_map_report(sink);
                self.show_value(origin, value, sink);
            }
            Shown::Other(event) => self.other_event(event, sink),
        }
    }
}
