//! One cell in flight on one or several engines: follows their events until each has an outcome.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::outs::KeptNote;
use super::prints::{Prints, Told};
use crate::ids::{CellId, EngineId, Rank};
use crate::outcome::{DeathCause, MapReport, Origin, Stream, Value};
use crate::pool::{MapFailure, Payload, PoolEvent};
use crate::session::places::panic_place;
use crate::session::types::shorten;
use crate::wire::world::CommTold;
use crate::wire::{PanicInfo, RunEnd, monotonic};

/// How one engine ended the cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    Returned,
    Panicked(PanicInfo),
    /// A reduction had nothing to reduce.
    NothingToReduce,
    /// The drop of a value panicked after the cell had run; its variables were stored.
    PanickedAtEnd(PanicInfo),
    /// A `?` returned early; what it printed last on standard error.
    Errored(String),
    /// These variables' types were redefined; the cell has not run.
    ChangedTypes(Vec<String>),
    NotLoaded(String),
    Died(DeathCause),
}

/// What one engine made of the cell.
#[derive(Debug)]
pub struct Leg {
    pub origin: Origin,
    pub ended: Option<Ended>,
    pub value: Option<Value>,
    /// Values in the form in which they travel.
    pub sent: Vec<Payload>,
    /// The engine keeps the cell's value.
    pub kept: Option<KeptNote>,
    pub busy: Duration,
    /// When it had ended, since the flight's start.
    pub ended_at: Duration,
    /// Output that is held back, in order.
    pub held: Vec<(Stream, String)>,
    /// The variables that the engine has when the cell has run.
    pub variables: Vec<String>,
    prints: [Prints; 2],
    last_error_line: String,
}

impl Leg {
    fn new(origin: Origin) -> Self {
        let whole = origin != Origin::Local;
        Self {
            origin,
            ended: None,
            value: None,
            sent: Vec::new(),
            kept: None,
            busy: Duration::ZERO,
            ended_at: Duration::ZERO,
            held: Vec::new(),
            prints: [
                Prints::new(Stream::Stdout, whole),
                Prints::new(Stream::Stderr, whole),
            ],
            variables: Vec::new(),
            last_error_line: String::new(),
        }
    }
}

/// What the flight's owner should show now.
#[derive(Debug)]
pub enum Shown {
    Output {
        origin: Origin,
        stream: Stream,
        text: String,
    },
    /// Of the local engine's cell.
    Value(Value),
    /// An engine died in it.
    Died {
        engine: EngineId,
        cause: DeathCause,
        /// Another process has started in its place.
        replaced: bool,
    },
}

/// What is kept for the end instead of being shown at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hold {
    pub values: bool,
    pub output: bool,
    /// Of the maps that the cell waits for, which then show neither plan nor table.
    pub reports: bool,
}

/// A flight under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlightId(pub u64);

#[derive(Debug)]
pub struct Flight {
    pub cell: CellId,
    pub legs: BTreeMap<EngineId, Leg>,
    pub started: Instant,
    /// The same on the machine's monotonic clock, nanoseconds.
    pub began: u64,
    pub(super) hold: Hold,
    /// Ctrl-C ends it: its engines, and those of its maps, are killed by the session.
    pub(super) interrupted: bool,
    /// Engines whose waits for messages Ctrl-C has ended.
    pub stopped: Vec<EngineId>,
    /// Why the last map of the cell failed.
    pub map_failure: Option<MapFailure>,
    /// Of a `%px` on a thread pool: what each thread made of it.
    pub threads: BTreeMap<Rank, Leg>,
    pub reports: Vec<MapReport>,
    /// What ranks have told of their messages.
    pub comm: Vec<(Rank, CommTold)>,
}

impl Default for Flight {
    /// Nobody in the air.
    fn default() -> Self {
        Self::new(CellId(0), [], Hold::default())
    }
}

impl Flight {
    /// Whether the engine has come to the end of its cell.
    pub fn has_lived(&self, engine: EngineId) -> bool {
        let ended = self.legs.get(&engine).and_then(|leg| leg.ended.as_ref());
        ended.is_some_and(|ended| !matches!(ended, Ended::Died(_)))
    }

    pub fn new(
        cell: CellId,
        engines: impl IntoIterator<Item = (EngineId, Origin)>,
        hold: Hold,
    ) -> Self {
        let legs = engines
            .into_iter()
            .map(|(engine, origin)| (engine, Leg::new(origin)))
            .collect();
        Self {
            cell,
            legs,
            started: Instant::now(),
            began: monotonic(),
            hold,
            interrupted: false,
            stopped: Vec::new(),
            map_failure: None,
            threads: BTreeMap::new(),
            reports: Vec::new(),
            comm: Vec::new(),
        }
    }

    /// Since its start, or of its longest leg when it is over.
    pub fn elapsed(&self) -> Duration {
        let longest = self.legs.values().map(|leg| leg.busy).max();
        match longest {
            Some(longest) if self.is_over() => longest,
            _ => self.started.elapsed(),
        }
    }

    pub fn has(&self, engine: EngineId) -> bool {
        self.legs.contains_key(&engine)
    }

    pub fn is_over(&self) -> bool {
        self.legs.values().all(|leg| leg.ended.is_some())
    }

    /// Whether this engine has not ended it yet.
    pub fn is_flying(&self, engine: EngineId) -> bool {
        self.legs
            .get(&engine)
            .is_some_and(|leg| leg.ended.is_none())
    }

    /// From here on what engines print is held back.
    pub fn hold_output(&mut self) {
        self.hold.output = true;
    }

    /// Ends the leg of an engine from which nothing more will be heard.
    pub fn give_up(&mut self, engine: EngineId, cause: &DeathCause) {
        let busy = self.started.elapsed();
        if let Some(leg) = self.legs.get_mut(&engine).filter(|leg| leg.ended.is_none()) {
            leg.ended = Some(Ended::Died(cause.clone()));
            (leg.busy, leg.ended_at) = (busy, busy);
        }
    }

    /// Engines that have not ended yet.
    pub fn flying(&self) -> Vec<EngineId> {
        let flying = |(engine, leg): (&EngineId, &Leg)| leg.ended.is_none().then_some(*engine);
        self.legs.iter().filter_map(flying).collect()
    }

    /// Takes an event of one of its engines, or of a map that its cell waits for, and says what to show of it.
    pub fn take(&mut self, event: PoolEvent) -> Vec<Shown> {
        match event {
            PoolEvent::Output {
                engine,
                stream,
                bytes,
            } => self.printed(engine, stream, bytes.as_slice()),
            PoolEvent::Shown {
                engine,
                rank,
                mut value,
                ..
            } => {
                value.type_name = shorten(&value.type_name);
                self.value(engine, rank, value)
            }
            PoolEvent::RunDone { engine, busy, end } => self.run_done(engine, busy, end),
            PoolEvent::Died {
                engine,
                cause,
                replaced,
                ..
            } => self.died(engine, cause, replaced),
            PoolEvent::Data { engine, value } => {
                if let Some(leg) = self.legs.get_mut(&engine) {
                    leg.sent.push(value);
                }
                Vec::new()
            }
            PoolEvent::Kept {
                engine,
                number,
                type_name,
                bytes,
                dropped,
            } => {
                if let Some(leg) = self.legs.get_mut(&engine) {
                    leg.kept = Some(KeptNote {
                        number,
                        type_name,
                        bytes,
                        dropped,
                    });
                }
                Vec::new()
            }
            PoolEvent::MapFailed(failure) => {
                self.map_failure = Some(failure);
                Vec::new()
            }
            PoolEvent::MapDone { report, .. } => {
                self.reports.push(report);
                Vec::new()
            }
            PoolEvent::Broadcast { threads } => {
                // They have begun together, and the last one has just ended.
                let longest = threads.iter().map(|(busy, _)| *busy).max();
                let began = self.started.elapsed();
                let began = began.saturating_sub(longest.unwrap_or_default());
                for (rank, (busy, panic)) in (0..).map(Rank).zip(threads) {
                    let leg = self.thread(rank);
                    leg.ended_at = began + busy;
                    leg.busy = busy;
                    leg.ended = Some(panic.map_or(Ended::Returned, Ended::Panicked));
                }
                Vec::new()
            }
            PoolEvent::Comm { rank, told, .. } => {
                self.comm.push((rank, told));
                Vec::new()
            }
            // Of no engine in particular.
            _ => Vec::new(),
        }
    }

    fn thread(&mut self, rank: Rank) -> &mut Leg {
        let leg = || Leg::new(Origin::Engine(rank));
        self.threads.entry(rank).or_insert_with(leg)
    }

    fn printed(&mut self, engine: EngineId, stream: Stream, bytes: &[u8]) -> Vec<Shown> {
        let Some(leg) = self.legs.get_mut(&engine) else {
            return Vec::new();
        };
        let told = leg.prints[stream as usize].push(bytes);
        self.told(engine, told)
    }

    fn run_done(&mut self, engine: EngineId, busy: Duration, end: RunEnd) -> Vec<Shown> {
        let mut shown = self.finish_prints(engine);
        let now = self.started.elapsed();
        let Some(leg) = self.legs.get_mut(&engine) else {
            return shown;
        };
        (leg.busy, leg.ended_at) = (busy, now);
        let (ended, stray) = ended(leg, end);
        leg.ended = Some(ended);
        if let Some(panic) = stray {
            // User code caught it; what Rust would have printed should not be lost.
            let at = panic_place(&panic).map_or_else(String::new, |at| format!(" at {at}"));
            let text = format!("panicked{at}:\n{}\n", panic.message);
            shown.extend(self.told(engine, vec![Told::Text(Stream::Stderr, text)]));
        }
        shown
    }

    fn died(&mut self, engine: EngineId, cause: DeathCause, replaced: bool) -> Vec<Shown> {
        let mut shown = self.finish_prints(engine);
        self.give_up(engine, &cause);
        shown.push(Shown::Died {
            engine,
            cause,
            replaced,
        });
        shown
    }

    fn finish_prints(&mut self, engine: EngineId) -> Vec<Shown> {
        let Some(leg) = self.legs.get_mut(&engine) else {
            return Vec::new();
        };
        let mut told = leg.prints[0].finish();
        told.extend(leg.prints[1].finish());
        self.told(engine, told)
    }

    fn value(&mut self, engine: EngineId, rank: Option<Rank>, value: Value) -> Vec<Shown> {
        let Some(leg) = self.legs.get_mut(&engine) else {
            return Vec::new();
        };
        // evcxr's second way to show a value does not name its type.
        if value.type_name == "()" || (value.type_name.is_empty() && value.text() == "()") {
            return Vec::new();
        }
        if let Some(thread) = rank {
            self.thread(thread).value = Some(value);
        } else if self.hold.values {
            leg.value = Some(value);
        } else {
            return vec![Shown::Value(value)];
        }
        Vec::new()
    }

    fn told(&mut self, engine: EngineId, told: Vec<Told>) -> Vec<Shown> {
        let mut shown = Vec::new();
        for one in told {
            let Some(leg) = self.legs.get_mut(&engine) else {
                continue;
            };
            match one {
                Told::Text(stream, text) => {
                    if let (Stream::Stderr, Some(line)) = (stream, text.lines().last()) {
                        leg.last_error_line = line.to_owned();
                    }
                    if self.hold.output {
                        leg.held.push((stream, text));
                    } else {
                        shown.push(Shown::Output {
                            origin: leg.origin.clone(),
                            stream,
                            text,
                        });
                    }
                }
                Told::Content(mime, text) => {
                    let mut value = Value {
                        content: vec![(mime, text)],
                        ..Value::default()
                    };
                    if let Some(earlier) = leg.value.take() {
                        // One value in several representations.
                        value.content.extend(earlier.content);
                        value.content.sort_by_key(|(mime, _)| mime != "text/plain");
                    }
                    shown.extend(self.value(engine, None, value));
                }
            }
        }
        shown
    }
}

/// How the leg ended, and a panic that user code caught itself.
fn ended(leg: &mut Leg, end: RunEnd) -> (Ended, Option<PanicInfo>) {
    match end {
        RunEnd::NotLoaded { why } => (Ended::NotLoaded(why), None),
        RunEnd::Returned { panic, facts } => {
            if !facts.changed.is_empty() {
                return (Ended::ChangedTypes(facts.changed), panic);
            }
            leg.variables = facts.variables;
            if facts.panicked && facts.nothing_to_reduce {
                (Ended::NothingToReduce, None)
            } else if facts.panicked {
                (Ended::Panicked(panic.unwrap_or_default()), None)
            } else if facts.panicked_at_end {
                (Ended::PanickedAtEnd(panic.unwrap_or_default()), None)
            } else if facts.errored {
                (Ended::Errored(leg.last_error_line.clone()), panic)
            } else {
                (Ended::Returned, panic)
            }
        }
    }
}
