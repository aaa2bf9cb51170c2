//! The pump: the one place where the hub's events are taken. Each goes where it belongs, to the flight that its
//! engine is in, to the account of engines that start, or to what is shown, whoever waits for what. What is
//! waited for is a condition that is looked at between events; all of them obey Ctrl-C.

use std::time::Duration;

use super::flight::{Flight, Shown};
use super::{Beginning, Crew};
use crate::outcome::{About, ErrorKind, Report, Sink};
use crate::pool::{Happening, PoolEvent};
use crate::session::{Failed, TICK};

/// Something to wait for. It sees the crew; what takes more than a look is done when the wait is over.
pub trait Awaited {
    type Outcome;

    /// How long the pump may wait for the next event; nothing when `look` waits itself.
    fn patience(&self) -> Duration {
        TICK
    }

    /// What came of it, once it is there.
    fn look(
        &mut self,
        crew: &mut Crew,
        sink: &mut dyn Sink,
    ) -> Result<Option<Self::Outcome>, Failed>;

    /// Ctrl-C: an error ends the wait, else it goes on.
    fn interrupted(&mut self, crew: &mut Crew) -> Result<(), Failed>;
}

impl Crew {
    /// Waits, and lets everything else go on meanwhile.
    pub fn until<A: Awaited>(
        &mut self,
        mut awaited: A,
        sink: &mut dyn Sink,
    ) -> Result<A::Outcome, Failed> {
        loop {
            if let Some(outcome) = awaited.look(self, sink)? {
                return Ok(outcome);
            }
            if self.interrupt.is_pressed() {
                let _ = self.interrupt.take();
                awaited.interrupted(self)?;
            }
            self.turn(awaited.patience(), sink)?;
        }
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
        let Some(flight) = self.flight_of(&event) else {
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

    /// The flight that an event belongs to: the oldest that its engine has not ended.
    fn flight_of(&mut self, event: &PoolEvent) -> Option<&mut Flight> {
        let engine = match event {
            PoolEvent::Output { engine, .. }
            | PoolEvent::Shown {
                engine,
                in_map: false,
                ..
            }
            | PoolEvent::RunDone { engine, .. }
            | PoolEvent::Data { engine, .. }
            | PoolEvent::Kept { engine, .. }
            | PoolEvent::Died { engine, .. } => *engine,
            // Cells that map run in the local engine.
            PoolEvent::MapFailed(_) | PoolEvent::Broadcast { .. } => self.local,
            PoolEvent::MapPlanned(_) | PoolEvent::MapDone { .. } if self.collects_reports() => {
                self.local
            }
            _ => return None,
        };
        self.flights
            .values_mut()
            .find(|flight| flight.is_flying(engine))
    }

    /// Whether the local engine's cell wants the reports of its maps instead of their tables.
    fn collects_reports(&self) -> bool {
        let mut flights = self.flights.values();
        flights.any(|flight| flight.is_flying(self.local) && flight.hold.reports)
    }
}
