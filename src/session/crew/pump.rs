//! The pump: the one place where the hub's events are taken. Each goes where it belongs, to the flight that its
//! engine is in, to the account of engines that start, or to what is shown, whoever waits for what. What is
//! waited for is a condition that is looked at between events; all of them obey Ctrl-C.

use std::time::Duration;

use super::flight::{Flight, Shown};
use super::{Beginning, Crew};
use crate::outcome::{About, ErrorKind, Report, Sink};
use crate::pool::{Happening, PoolEvent};
use crate::session::{Failed, TICK};
use crate::wire::world::CommTold;

/// Something to wait for. It sees the crew; what takes more than a look is done when the wait is over.
pub trait Awaited {
    type Outcome;

    /// How long the pump may wait for the next event. Whatever is waited for wakes it; only flags and deadlines do not.
    fn patience(&self) -> Duration {
        TICK
    }

    /// What came of it, once it is there.
    fn look(
        &mut self,
        crew: &mut Crew,
        sink: &mut dyn Sink,
    ) -> Result<Option<Self::Outcome>, Failed>;

    /// Whether Ctrl-C is for it; else for what is waited for next.
    fn obeys(&self) -> bool {
        true
    }

    /// Ctrl-C: an error ends the wait, else it goes on.
    fn interrupted(&mut self, crew: &mut Crew) -> Result<(), Failed>;
}

/// Whoever waits.
pub trait Waits {
    fn crew(&mut self) -> &mut Crew;

    /// Does what has become due: jobs that take turns take theirs.
    fn due(&mut self, sink: &mut dyn Sink);
}

/// Waits, and lets everything else go on meanwhile.
pub fn until<A: Awaited>(
    who: &mut impl Waits,
    mut awaited: A,
    sink: &mut dyn Sink,
) -> Result<A::Outcome, Failed> {
    loop {
        who.due(sink);
        let crew = who.crew();
        crew.hear_children(sink);
        if let Some(outcome) = awaited.look(crew, sink)? {
            return Ok(outcome);
        }
        if awaited.obeys() && crew.interrupt.is_pressed() {
            let _ = crew.interrupt.take();
            awaited.interrupted(crew)?;
        }
        crew.turn(awaited.patience(), sink)?;
    }
}

/// The crew alone, which has nothing that is due: a cell is in flight, or the compiler is at work.
impl Waits for Crew {
    fn crew(&mut self) -> &mut Crew {
        self
    }

    fn due(&mut self, _: &mut dyn Sink) {}
}

impl Crew {
    /// Waits.
    pub fn until<A: Awaited>(
        &mut self,
        awaited: A,
        sink: &mut dyn Sink,
    ) -> Result<A::Outcome, Failed> {
        until(self, awaited, sink)
    }

    /// Takes the next event, or all that are there when there is no time to wait for one.
    fn turn(&mut self, patience: Duration, sink: &mut dyn Sink) -> Result<(), Failed> {
        while let Some(Happening { about, event }) = self
            .hub
            .event(patience)
            .map_err(|gone| Failed::from(Report::new(ErrorKind::System, gone.to_string())))?
        {
            self.hear(about, event, sink);
            if !patience.is_zero() {
                break;
            }
        }
        Ok(())
    }

    /// Takes all events that are there, and shows what belongs to nobody.
    pub fn drain_events(&mut self, sink: &mut dyn Sink) {
        // A hub that is gone is told by whoever waits for it.
        let _ = self.turn(Duration::ZERO, sink);
        self.hear_children(sink);
        self.finish_stray_prints(sink);
    }

    /// Gives an event to whom it concerns.
    fn hear(&mut self, about: About, event: PoolEvent, sink: &mut dyn Sink) {
        if let Some(beginning) = self.beginning(&event) {
            let begun = match &event {
                PoolEvent::NotStarted { why, .. } => Beginning::NotStarted(why.clone()),
                PoolEvent::Died { cause, .. } => Beginning::Died(cause.clone()),
                _ => Beginning::Up,
            };
            *beginning = begun;
            return;
        }
        let Some(flight) = self.flight_of(about, &event) else {
            return self.other_event(about, event, sink);
        };
        let cell = flight.cell;
        for shown in flight.take(event) {
            match shown {
                Shown::Output {
                    origin,
                    stream,
                    text,
                } => self.screen.output(about, origin, stream, text, sink),
                Shown::Value(value) => self.show_value(cell, value, sink),
                // The flight's owner tells of the death itself.
                Shown::Died {
                    engine,
                    cause,
                    replaced: true,
                } => self.note_replaced(About::cell(cell), engine, cause, sink),
                Shown::Died { engine, .. } => self.bury(engine),
            }
        }
    }

    /// The account of an engine that is waited for, when the event is about its beginning.
    fn beginning(&mut self, event: &PoolEvent) -> Option<&mut Beginning> {
        let engine = match event {
            PoolEvent::Up { engine }
            | PoolEvent::NotStarted { engine, .. }
            | PoolEvent::Died { engine, .. } => engine,
            _ => return None,
        };
        self.starting
            .get_mut(engine)
            .filter(|beginning| **beginning == Beginning::Awaited)
    }

    /// The flight that an event belongs to: the oldest that its engine has not ended, or of a map the one of the cell
    /// that has called it.
    fn flight_of(&mut self, about: About, event: &PoolEvent) -> Option<&mut Flight> {
        let (local, reports) = (self.local, |flight: &Flight| flight.hold.reports);
        let flights = self.flights.values_mut();
        let calls =
            |flight: &&mut Flight| Some(flight.cell) == about.cell && flight.is_flying(local);
        let engine = match event {
            // It is asked for, whatever else the engine does.
            PoolEvent::Comm {
                told: CommTold::Unreceived { .. },
                ..
            } => return None,
            PoolEvent::Output { engine, .. }
            | PoolEvent::Shown {
                engine,
                in_map: false,
                ..
            }
            | PoolEvent::RunDone { engine, .. }
            | PoolEvent::Data { engine, .. }
            | PoolEvent::Kept { engine, .. }
            | PoolEvent::Comm { engine, .. }
            | PoolEvent::Died { engine, .. } => *engine,
            PoolEvent::MapFailed(_) | PoolEvent::Broadcast { .. } => {
                return { flights }.find(calls);
            }
            // Where the cell wants the reports of its maps instead of their tables.
            PoolEvent::MapPlanned(_) | PoolEvent::MapDone { .. } => {
                return { flights }.find(calls).filter(|flight| reports(flight));
            }
            _ => return None,
        };
        { flights }.find(|flight| flight.is_flying(engine))
    }
}
