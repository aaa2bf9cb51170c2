//! A cell in flight, followed to its end, with Ctrl-C at any moment.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::flight::{Flight, Hold, Shown};
use super::{Failed, GRACE, Session, TICK};
use crate::compiler::Artifact;
use crate::ids::EngineId;
use crate::outcome::{ErrorKind, Event, Origin, Progress, Report, Sink};
use crate::pool::{EndEarly, Payload, Run, Signal, WhichMaps};

/// Engines that run the same artifact.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub engines: Vec<(EngineId, Origin)>,
    pub artifact: Arc<Artifact>,
    /// Per engine the values that the cell takes from the session.
    pub data: Vec<Vec<Payload>>,
    /// The user's name for lines of the artifact's source.
    pub places: Vec<(u32, String)>,
}

impl Batch {
    pub fn new(engines: Vec<(EngineId, Origin)>, artifact: Arc<Artifact>) -> Self {
        Self {
            engines,
            artifact,
            data: Vec::new(),
            places: Vec::new(),
        }
    }
}

/// How a flight is waited for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wait {
    /// What Ctrl-C sends first; SIGINT when `None`.
    pub signal: Option<Signal>,
    /// When to begin to tell how many engines are done.
    pub progress_after: Option<Duration>,
}

/// How long a cell may go on after the map that it waits for was told to stop.
const MAP_GRACE: Duration = Duration::from_millis(900);

/// A Ctrl-C that is being carried out.
#[derive(Debug, Default)]
struct Interruption {
    presses: u32,
    signal: Option<Signal>,
    /// When what still runs is killed.
    deadline: Option<Instant>,
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
        let all = runs.iter().flat_map(|batch| batch.engines.iter().cloned());
        let flight = Flight::new(all, hold);
        for batch in runs {
            self.hub.run(Run {
                engines: batch.engines.iter().map(|(engine, _)| *engine).collect(),
                so: batch.artifact.so.clone(),
                entry: batch.artifact.entry.clone(),
                cell: self.cell(),
                pools: self.pools_in_use(),
                places: batch.places.clone(),
                data: batch.data.clone(),
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
        sink.send(Event::Live(None));
        self.timing.run += flight.started.elapsed();
        let interruption = followed?;
        if interruption.presses > 0 {
            let pool_engines: Vec<EngineId> = interruption
                .killed
                .iter()
                .copied()
                .filter(|engine| *engine != self.local)
                .collect();
            self.replace(&pool_engines, sink);
        }
        Ok(interruption.presses > 0)
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
            if self.interrupt.is_pressed() {
                let _ = self.interrupt.take();
                interruption.presses += 1;
                self.interrupting = true;
                self.interrupt_flight(flight, &mut interruption);
            }
            if interruption
                .deadline
                .is_some_and(|deadline| Instant::now() >= deadline)
            {
                // What has not ended by now is killed, and again if that was not enough.
                interruption.deadline = Some(Instant::now() + GRACE);
                interruption.killed.extend(flight.flying());
                self.hub.signal(flight.flying(), Signal::SIGKILL);
            }
        }
        Ok(interruption)
    }

    /// A map is told to stop; its engines are killed at the second Ctrl-C, and it is given up at the third. A
    /// cell without one gets its signal, and is killed when that does not end it.
    fn interrupt_flight(&self, flight: &Flight, interruption: &mut Interruption) {
        let how = match interruption.presses {
            1 => EndEarly::Cancel,
            2 => EndEarly::Kill,
            _ => EndEarly::Abandon,
        };
        if flight.has(self.local) && self.hub.end_maps(WhichMaps::Foreground, how) {
            // The map's own countdown comes first.
            interruption.deadline = Some(Instant::now() + MAP_GRACE);
            return;
        }
        if interruption.presses == 1 {
            let signal = interruption.signal.unwrap_or(Signal::SIGINT);
            interruption.killed.extend(flight.flying());
            self.hub.signal(flight.flying(), signal);
            interruption.deadline = Some(Instant::now() + GRACE);
        } else {
            interruption.deadline = Some(Instant::now());
        }
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
