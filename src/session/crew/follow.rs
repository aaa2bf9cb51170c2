//! A cell in flight, followed to its end, with Ctrl-C at any moment.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Crew;
use super::events::{is_far, travel};
use super::flight::{Ended, Flight, FlightId, Hold};
use super::pump::Awaited;
use crate::compiler::Artifact;
use crate::ids::{CellId, EngineId, JobId, PoolName, Rank};
use crate::outcome::{About, DeathCause, Doing, EngineChange, Event, Origin, Progress, Sink};
use crate::pool::{EndEarly, Ends, EntryPoint, Payload, Run, Signal, WhichMaps};
use crate::session::{Failed, GRACE};
use crate::wire::places::Places;

/// Engines that run the same artifact.
#[derive(Clone, Debug)]
pub struct Batch {
    pub engines: Vec<(EngineId, Origin)>,
    pub artifact: Arc<Artifact>,
    /// Where its lines stand in the cells of the user's.
    pub places: Places,
    /// Per engine the values that the cell takes from the crew.
    pub data: Vec<Vec<Payload>>,
    /// The threads of this pool that it is for; `None`: whichever it asks.
    pub threads: Option<(PoolName, Vec<Rank>)>,
}

impl Batch {
    pub fn new(engines: Vec<(EngineId, Origin)>, artifact: Arc<Artifact>, places: Places) -> Self {
        Self {
            engines,
            artifact,
            places,
            data: Vec::new(),
            threads: None,
        }
    }
}

/// How a flight is waited for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wait {
    pub on_interrupt: OnInterrupt,
    /// When to begin to tell how many engines are done.
    pub progress_after: Option<Duration>,
    /// As if Ctrl-C had been pressed at once.
    pub interrupted: bool,
}

/// What Ctrl-C does to the engines that a cell runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnInterrupt {
    /// It sends this first.
    Signal(Signal),
    /// They go on, and nobody waits for them any more.
    Nothing,
}

impl Default for OnInterrupt {
    fn default() -> Self {
        Self::Signal(Signal::SIGINT)
    }
}

/// How long a cell may go on after the map that it waits for was told to stop.
const MAP_GRACE: Duration = Duration::from_millis(900);

/// How long a rank that speaks with others may go on until its next call.
const CALL_GRACE: Duration = Duration::from_millis(120);

/// How long others go on before a death is told that their table will tell.
const TOLD_AFTER: Duration = Duration::from_millis(300);

/// How often what does not end is killed before it is given up.
const KILLS: u32 = 10;

/// A Ctrl-C that is being carried out.
#[derive(Debug, Default)]
struct Interruption {
    presses: u32,
    /// Maps on threads whose items are waited for. Nothing is killed meanwhile.
    waits_for: Vec<JobId>,
    /// Engines whose next call of `comm` ends them; when they get their signal if they have made none.
    speaking: Vec<EngineId>,
    signal: Option<(Instant, Signal)>,
    /// When what still runs is killed.
    deadline: Option<Instant>,
    kills: u32,
    killed: Vec<EngineId>,
}

/// How a flight that was followed came down.
pub enum Followed {
    Over(Box<Flown>),
    /// Ctrl-C ended the wait alone.
    Left(FlightId),
}

/// A flight that is over.
pub struct Flown {
    pub flight: Flight,
    /// Ctrl-C ended it.
    pub interrupted: bool,
    /// Engines of pools that Ctrl-C has killed: others have to take their places.
    pub killed: Vec<EngineId>,
}

/// What engines are told to run.
pub fn entry_of(artifact: &Artifact, places: Places) -> EntryPoint {
    EntryPoint {
        places,
        artifact: artifact.id,
        file: artifact.so.clone(),
        symbol: artifact.entry.clone(),
    }
}

impl Crew {
    /// Runs artifacts on engines and follows them to their end; also tells whether Ctrl-C ended it.
    pub fn fly(
        &mut self,
        cell: CellId,
        runs: &[Batch],
        hold: Hold,
        sink: &mut dyn Sink,
    ) -> Result<Flown, Failed> {
        let id = self.take_off(cell, runs, hold);
        match self.follow(id, Wait::default(), sink)? {
            Followed::Over(flown) => Ok(*flown),
            Followed::Left(_) => Err(crate::session::explain::interrupted(Doing::Waiting).into()),
        }
    }

    /// Starts artifacts on engines.
    pub fn take_off(&mut self, cell: CellId, runs: &[Batch], hold: Hold) -> FlightId {
        let all = runs.iter().flat_map(|batch| batch.engines.iter().cloned());
        let flight = Flight::new(cell, all, hold);
        let together: Vec<EngineId> = flight.legs.keys().copied().collect();
        for batch in runs {
            self.hub.run(Run {
                engines: batch.engines.iter().map(|(engine, _)| *engine).collect(),
                entry: entry_of(&batch.artifact, batch.places.clone()),
                cell,
                pools: self.pools_in_use(),
                data: batch.data.clone(),
                flight: self.next_flight,
                together: together.clone(),
                threads: batch.threads.clone(),
            });
        }
        let id = FlightId(self.next_flight);
        self.next_flight += 1;
        self.flights.insert(id, flight);
        id
    }

    /// Follows a flight until all its engines have ended.
    pub fn follow(
        &mut self,
        id: FlightId,
        wait: Wait,
        sink: &mut dyn Sink,
    ) -> Result<Followed, Failed> {
        let mut end = FlightEnd {
            id,
            wait,
            interruption: Interruption::default(),
            told: BTreeSet::new(),
        };
        if wait.interrupted {
            end.interrupted(self)?;
        }
        let followed = self.until(end, sink);
        self.finish_stray_prints(sink);
        self.screen.flush(sink);
        sink.send(Event::Progress(None));
        sink.send(Event::Live(None));
        let Some(Interruption {
            presses, killed, ..
        }) = followed?
        else {
            return Ok(Followed::Left(id));
        };
        let flight = self.flights.remove(&id).unwrap_or_default();
        self.spent += flight.started.elapsed();
        let of_pool = |engine: &EngineId| {
            *engine != self.local && !(is_far(&self.pools, *engine) && flight.has_lived(*engine))
        };
        let killed = killed.into_iter().filter(of_pool).collect();
        Ok(Followed::Over(Box::new(Flown {
            flight,
            interrupted: presses > 0,
            killed,
        })))
    }

    /// A flight that is over, if it is.
    pub fn landed(&mut self, id: FlightId) -> Option<Flight> {
        match self.flights.get(&id) {
            Some(flight) if !flight.is_over() => None,
            _ => Some(self.flights.remove(&id).unwrap_or_default()),
        }
    }

    pub fn flight(&mut self, id: FlightId) -> Option<&mut Flight> {
        self.flights.get_mut(&id)
    }
}

/// The end of a flight.
struct FlightEnd {
    id: FlightId,
    wait: Wait,
    interruption: Interruption,
    /// Engines whose deaths were told while others went on.
    told: BTreeSet<EngineId>,
}

impl FlightEnd {
    /// Deaths while others go on.
    fn tell_deaths(&mut self, flight: &Flight, sink: &mut dyn Sink) {
        for (engine, leg) in &flight.legs {
            let Some(Ended::Died(cause)) = &leg.ended else {
                continue;
            };
            let since = flight.started.elapsed().saturating_sub(leg.busy);
            let waits = since >= TOLD_AFTER && self.interruption.presses == 0;
            if let (Origin::Engine(rank), true) = (&leg.origin, waits)
                && self.told.insert(*engine)
            {
                let died = EngineChange::DiedInCell {
                    rank: *rank,
                    cause: cause.clone(),
                };
                sink.send(Event::Engines(About::cell(flight.cell), died));
            }
        }
    }

    fn tell_progress(&self, flight: &Flight, sink: &mut dyn Sink) {
        let Some(after) = self.wait.progress_after else {
            return;
        };
        if flight.started.elapsed() < after {
            return;
        }
        let total = flight.legs.len() as u64;
        sink.send(Event::Progress(Some(Progress {
            what: "px".to_owned(),
            unit: "engines",
            done: total - flight.flying().len() as u64,
            total: Some(total),
            elapsed: flight.started.elapsed().saturating_sub(after),
        })));
    }
}

impl Awaited for FlightEnd {
    /// `None`: nobody waits any more, and it goes on.
    type Outcome = Option<Interruption>;

    fn look(
        &mut self,
        crew: &mut Crew,
        sink: &mut dyn Sink,
    ) -> Result<Option<Self::Outcome>, Failed> {
        if self.wait.on_interrupt == OnInterrupt::Nothing && self.interruption.presses > 0 {
            return Ok(Some(None));
        }
        if !self.interruption.waits_for.is_empty() {
            self.interruption.waits_for = crew.still_on_threads(&self.interruption.waits_for);
            self.interruption.deadline = Some(Instant::now() + MAP_GRACE);
        }
        let flight = crew.flights.get_mut(&self.id);
        let Some(flight) = flight.filter(|flight| !flight.is_over()) else {
            return Ok(Some(Some(std::mem::take(&mut self.interruption))));
        };
        self.tell_deaths(flight, sink);
        self.tell_progress(flight, sink);
        let now = Instant::now();
        if let Some((at, signal)) = self.interruption.signal
            && now >= at
        {
            self.interruption.signal = None;
            let mut computing = flight.flying();
            computing.retain(|engine| self.interruption.speaking.contains(engine));
            self.interruption.killed.extend(&computing);
            crew.hub.signal(computing, signal);
        }
        if self.interruption.deadline.is_some_and(|at| now >= at) {
            // What has not ended by now is killed, and again if that was not enough.
            let flying = flight.flying();
            self.interruption.deadline = Some(now + GRACE);
            self.interruption.kills += 1;
            if self.interruption.kills > KILLS {
                for engine in &flying {
                    flight.give_up(*engine, &DeathCause::GivenUp);
                }
            }
            self.interruption.killed.extend(&flying);
            crew.hub.signal(flying, Signal::SIGKILL);
        }
        Ok(None)
    }

    /// A map is told to stop; its engines are killed at the second Ctrl-C, and it is given up at the third. On
    /// threads the items under way are waited for until then: the session's variables would end with them. A cell
    /// without a map gets its signal, and is killed when that does not end it.
    fn interrupted(&mut self, crew: &mut Crew) -> Result<(), Failed> {
        self.interruption.presses += 1;
        let OnInterrupt::Signal(signal) = self.wait.on_interrupt else {
            return Ok(());
        };
        let how = match self.interruption.presses {
            1 => EndEarly::Cancel,
            2 => EndEarly::Kill,
            _ => EndEarly::Abandon,
        };
        let Some(flight) = crew.flights.get_mut(&self.id) else {
            return Ok(());
        };
        flight.interrupted = true;
        let flying = flight.flying();
        let now = Instant::now();
        let maps = match flight.has(crew.local) {
            true => crew.hub.end_maps(WhichMaps::Foreground, how),
            false => Vec::new(),
        };
        if !maps.is_empty() {
            // The map's own countdown comes first.
            self.interruption.deadline = Some(now + MAP_GRACE);
            self.interruption.waits_for = match how {
                EndEarly::Cancel => crew.still_on_threads(&maps),
                EndEarly::Kill | EndEarly::Abandon => Vec::new(),
            };
        } else if self.interruption.presses == 1 {
            // Who waits for messages or speaks with others ends its call, and keeps its variables.
            let travel = travel(&crew.pools, &flying);
            let ended = crew.hub.end_waits(&flying);
            let (mut speaking, mut rest) = (Vec::new(), flying);
            for (engine, ends) in ended {
                flight.stopped.push(engine);
                rest.retain(|it| *it != engine);
                if ends == Ends::WithNextCall {
                    speaking.push(engine);
                }
            }
            // What far ones do now is not known yet: they may have begun to wait or to speak, and end their calls too.
            let far = rest.iter().filter(|engine| is_far(&crew.pools, **engine));
            flight.stopped.extend(far);
            self.interruption.killed.extend(&rest);
            crew.hub.signal(rest, signal);
            self.interruption.speaking = speaking;
            self.interruption.signal = Some((now + CALL_GRACE + travel, signal));
            self.interruption.deadline = Some(now + GRACE + travel);
        } else {
            self.interruption.deadline = Some(now);
        }
        Ok(())
    }
}
