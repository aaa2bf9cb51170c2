//! The pump: the one place where the hub's events are taken. Each goes where it belongs, to the flight that its
//! engine is in, to the account of engines that start, or to what is shown, whoever waits for what. What is
//! waited for is a condition that is looked at between events; all of them obey Ctrl-C.

use std::time::Duration;

use super::flight::{Flight, FlightId, Shown};
use super::{Failed, Session, TICK};
use crate::ids::EngineId;
use crate::outcome::{ErrorKind, Event, Report, Sink};
use crate::pool::PoolEvent;

/// Something to wait for.
pub(super) trait Awaited {
    type Outcome;

    /// How long the pump may wait for the next event; nothing when `look` waits itself.
    fn patience(&self) -> Duration {
        TICK
    }

    /// What came of it, once it is there.
    fn look(
        &mut self,
        session: &mut Session,
        sink: &mut dyn Sink,
    ) -> Result<Option<Self::Outcome>, Failed>;

    /// Ctrl-C: an error ends the wait, else it goes on.
    fn interrupted(&mut self, session: &mut Session, sink: &mut dyn Sink) -> Result<(), Failed>;
}

/// How an engine that was launched has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    Awaited,
    Up,
    NotStarted(String),
    Died(String),
}

impl Session {
    /// Waits, and lets everything else go on meanwhile.
    pub(super) fn until<A: Awaited>(
        &mut self,
        mut awaited: A,
        sink: &mut dyn Sink,
    ) -> Result<A::Outcome, Failed> {
        loop {
            if let Some(outcome) = awaited.look(self, sink)? {
                return Ok(outcome);
            }
            if self.crew.interrupt.is_pressed() {
                let _ = self.crew.interrupt.take();
                awaited.interrupted(self, sink)?;
            }
            self.turn(awaited.patience(), sink)?;
        }
    }

    /// Takes the next event, or all that are there when there is no time to wait for one.
    fn turn(&mut self, patience: Duration, sink: &mut dyn Sink) -> Result<(), Failed> {
        while let Some(event) = self
            .crew
            .hub
            .event(patience)
            .map_err(|gone| Failed::from(Report::new(ErrorKind::System, gone.to_string())))?
        {
            self.hear(event, sink);
            if !patience.is_zero() {
                break;
            }
        }
        Ok(())
    }

    /// Takes all events that are there, and shows what belongs to nobody.
    pub(super) fn drain_events(&mut self, sink: &mut dyn Sink) {
        // A hub that is gone is told by whoever waits for it.
        let _ = self.turn(Duration::ZERO, sink);
        self.finish_stray_prints(sink);
    }

    /// Lets events come in for a moment.
    pub(super) fn idle_turn(&mut self, patience: Duration, sink: &mut dyn Sink) {
        let _ = self.turn(patience, sink);
    }

    /// Gives an event to whom it concerns.
    fn hear(&mut self, event: PoolEvent, sink: &mut dyn Sink) {
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
            return self.other_event(event, sink);
        };
        for shown in flight.take(event) {
            self.show(shown, sink);
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
        self.crew
            .starting
            .get_mut(engine)
            .filter(|beginning| **beginning == Beginning::Awaited)
    }

    /// The flight that an event belongs to: the oldest that its engine has not ended.
    fn flight_of(&mut self, event: &PoolEvent) -> Option<&mut Flight> {
        let engine = match event {
            PoolEvent::Output { engine, .. }
            | PoolEvent::Shown { engine, .. }
            | PoolEvent::RunDone { engine, .. }
            | PoolEvent::Data { engine, .. }
            | PoolEvent::Kept { engine, .. }
            | PoolEvent::Died { engine, .. } => *engine,
            // Cells that map run in the local engine.
            PoolEvent::MapFailed(_) => self.crew.local,
            _ => return None,
        };
        self.crew
            .flights
            .values_mut()
            .find(|flight| flight.is_flying(engine))
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
            Shown::Died {
                engine,
                cause,
                replaced,
            } => {
                // The flight's owner tells of the death itself.
                if replaced {
                    self.note_replaced(engine, &cause, sink);
                } else {
                    self.bury(engine);
                }
            }
        }
    }

    /// Ends what engines that are no more were doing.
    pub(super) fn end_flights_of(&mut self, engines: &[EngineId], cause: &str) {
        for flight in self.crew.flights.values_mut() {
            for engine in engines {
                flight.give_up(*engine, cause);
            }
        }
    }

    /// A new flight's number.
    pub(super) fn enlist(&mut self, flight: Flight) -> FlightId {
        let id = FlightId(self.crew.next_flight);
        self.crew.next_flight += 1;
        self.crew.flights.insert(id, flight);
        id
    }
}
