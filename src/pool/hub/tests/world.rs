//! A hub with a map of three engines, all of it recorded: what can happen to it next, and what must hold then.

use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, channel};

use regatta_cell::options::{MapOptions, Schedule};

use super::recorder::{Caller, Desk, Office};
pub use super::trouble::{Event, Trouble};
use super::*;
use crate::ids::{ArtifactId, CellId, PoolName, Rank};
use crate::pool::{EntryPoint, Launch, Run, WhichMaps};
use crate::wire::FromCaller;
use crate::wire::places::Places;

const LOCAL: EngineId = EngineId(0);
const ENGINES: [EngineId; 3] = [EngineId(1), EngineId(2), EngineId(3)];
const MAP: JobId = JobId(1);

/// What is tried.
#[derive(Clone, Copy)]
pub struct Plan {
    pub items: u64,
    pub collect: bool,
    /// The caller's inputs are events of their own; otherwise they come at once.
    pub slow_caller: bool,
    /// Nobody waits for it.
    pub background: bool,
    /// How many inputs there are is not said before they have all come.
    pub unsaid: bool,
    /// They are dealt to the engines one by one, so that some wait there.
    pub dealt: bool,
    pub troubles: usize,
    /// Which of them.
    pub wanted: fn(Trouble) -> bool,
}

/// One trouble of any kind at every step.
pub const PLAN: Plan = Plan {
    items: 4,
    collect: false,
    slow_caller: false,
    background: false,
    unsaid: false,
    dealt: false,
    troubles: 1,
    wanted: |_| true,
};

pub struct World {
    plan: Plan,
    state: State,
    office: Office,
    events: Receiver<Happening>,
    caller: Caller,
    pub troubles: usize,
    caller_is_gone: bool,
    /// Ends of the map that the session was told.
    ends: usize,
}

fn options(plan: Plan) -> MapOptions {
    MapOptions {
        function: "f".to_owned(),
        collect: plan.collect,
        background: plan.background,
        schedule: if plan.dealt {
            Schedule::Static
        } else {
            Schedule::Dynamic
        },
        chunk: plan.dealt.then_some(1),
        // So short that whoever is looked at twice at the same item is late.
        timeout: Some(Duration::from_nanos(1)),
        ..MapOptions::default()
    }
}

impl World {
    pub fn new(plan: Plan) -> Self {
        let office = Office::default();
        let (out, events) = channel();
        let mut state = State::new(Box::new(office.clone()), out);
        let pool = PoolName("p0".to_owned());
        for (place, id) in (0..).zip([LOCAL].into_iter().chain(ENGINES)) {
            state.command(Command::Launch(Launch {
                id,
                rank: Rank(u32::saturating_sub(place, 1)),
                size: 3,
                pool: (id != LOCAL).then(|| pool.clone()),
                init: None,
                begins: false,
                items: None,
                starter: crate::pool::Starter::Session,
            }));
        }
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut world = Self {
            plan,
            state,
            office,
            events,
            caller: Caller::new(theirs, plan.items, plan.unsaid),
            troubles: 0,
            caller_is_gone: false,
            ends: 0,
        };
        for engine in [LOCAL].into_iter().chain(ENGINES) {
            world.comes_up(engine);
        }
        world.runs(EntryPoint {
            artifact: ArtifactId::default(),
            file: "code.so".into(),
            symbol: "run".to_owned(),
            places: Places::default(),
        });
        world.says(LOCAL, |desk| desk.opens_line(ours));
        world.begins();
        world
    }

    /// A cell of the local engine.
    pub fn runs(&mut self, entry: EntryPoint) {
        self.state.command(Command::Run(Run {
            engines: vec![LOCAL],
            entry,
            cell: CellId(1),
            pools: vec![PoolUse::Processes {
                name: PoolName("p0".to_owned()),
                engines: ENGINES.to_vec(),
            }],
            data: Vec::new(),
            flight: 0,
            together: vec![LOCAL],
            threads: None,
        }));
    }

    /// What an engine is given that lacks an artifact.
    pub fn wants(&mut self, artifact: ArtifactId) -> Vec<(ArtifactId, Payload, String)> {
        self.says(LOCAL, |desk| {
            desk.says(FromEngine::WantArtifact { artifact });
        });
        self.office
            .with(LOCAL, |desk| std::mem::take(&mut desk.artifacts))
    }

    fn begins(&mut self) {
        self.caller.begins(options(self.plan));
        self.caller.sends();
        let connections = self.state.connections.keys().copied().collect();
        self.round(Ready {
            connections,
            ..Ready::default()
        });
    }

    /// As the hub's thread goes round.
    fn round(&mut self, ready: Ready) {
        self.state.serve_ready(ready);
        self.state.go_on_with_due();
        self.state.flush();
        if !self.caller_is_gone && !self.state.maps.is_empty() {
            self.caller.hears();
            if !self.plan.slow_caller && !self.caller.asked.is_empty() {
                self.gives();
            }
        }
        let is_end = |happening: &Happening| {
            matches!(
                happening.event,
                PoolEvent::MapDone { .. } | PoolEvent::MapFailed(_)
            )
        };
        self.ends += self.events.try_iter().filter(is_end).count();
    }

    fn says(&mut self, engine: EngineId, what: impl FnOnce(&mut Desk)) {
        self.office.with(engine, what);
        self.round(Ready {
            engines: vec![engine],
            ..Ready::default()
        });
    }

    fn hear_caller(&mut self) {
        self.caller.sends();
        let jobs = self.state.maps.keys().copied().collect();
        self.round(Ready {
            jobs,
            ..Ready::default()
        });
    }

    fn gives(&mut self) {
        while let Some(most) = self.caller.asked.pop_front() {
            self.caller.gives(most);
        }
        self.hear_caller();
    }

    fn comes_up(&mut self, engine: EngineId) {
        self.says(engine, |desk| {
            desk.is_up = true;
            desk.says(FromEngine::Ready);
        });
    }

    fn dies(&mut self, engine: EngineId, replaced: bool) {
        self.office.is_full.store(!replaced, Ordering::Relaxed);
        self.says(engine, |desk| desk.is_gone = true);
    }

    fn lives(&self, engine: EngineId) -> bool {
        self.state
            .engines
            .get(&engine)
            .is_some_and(Engine::is_alive)
    }

    /// What can happen of itself.
    pub fn progress(&self) -> Vec<Event> {
        let mut events = Vec::new();
        for engine in ENGINES.into_iter().filter(|engine| self.lives(*engine)) {
            self.office.with(engine, |desk| {
                if !desk.is_up {
                    events.push(Event::ComesUp(engine));
                } else if desk.is_killed {
                    events.push(Event::Falls(engine));
                }
                if let Some((job, ..)) = desk.chunks.front().filter(|_| desk.is_up) {
                    events.push(Event::Answers(engine));
                    events.extend((desk.stop == Some(*job)).then_some(Event::Stops(engine)));
                }
            });
        }
        if self.state.maps.contains_key(&MAP) {
            if self.caller.over.is_some() {
                events.push(Event::CallerCloses);
            } else if !self.caller.asked.is_empty() {
                events.push(Event::CallerGives);
            }
            if self.state.countdowns.contains_key(&MAP) {
                events.push(Event::TimeIsUp);
            }
        }
        events
    }

    pub fn troubles(&self) -> Vec<Event> {
        let mut troubles = Vec::new();
        for engine in ENGINES.into_iter().filter(|engine| self.lives(*engine)) {
            let (chunks, is_up, is_slow) = self
                .office
                .with(engine, |desk| (desk.chunks.len(), desk.is_up, desk.is_at));
            let is_busy = chunks > 0;
            for at in [false, true]
                .into_iter()
                .filter(|at| !at || is_busy && is_up)
            {
                for replaced in [false, true] {
                    troubles.push(Trouble::Dies {
                        engine,
                        at,
                        replaced,
                    });
                }
            }
            if is_busy && is_up && !is_slow {
                troubles.push(Trouble::IsSlow(engine));
                troubles.push(Trouble::AnswersAndDies(engine));
                troubles.push(Trouble::Panics(engine));
            }
            if is_up && chunks > 1 {
                troubles.push(Trouble::GivesBack(engine));
            }
        }
        troubles.push(Trouble::CallerDies);
        troubles.push(Trouble::CallerCancels);
        let ways = [EndEarly::Cancel, EndEarly::Kill, EndEarly::Abandon];
        troubles.extend(ways.map(Trouble::Ends));
        // All of them while the map runs, which is what they could harm.
        let runs = self.state.maps.get(&MAP).is_some_and(|map| !map.is_over());
        troubles.retain(|trouble| runs && (self.plan.wanted)(*trouble));
        troubles.into_iter().map(Event::Trouble).collect()
    }

    pub fn happens(&mut self, event: Event) {
        match event {
            Event::Answers(engine) => self.says(engine, |desk| desk.ends_chunk(None, false)),
            Event::Stops(engine) => self.says(engine, |desk| desk.ends_chunk(Some(0), false)),
            Event::ComesUp(engine) => self.comes_up(engine),
            Event::Falls(engine) => self.dies(engine, true),
            Event::CallerGives => self.gives(),
            Event::CallerCloses => {
                let closed = FromCaller::Closed { decode: 0 };
                self.caller.says(&closed, &Payload::None);
                self.hear_caller();
            }
            Event::TimeIsUp => {
                self.state.countdowns.insert(MAP, Instant::now());
                self.state.tick();
                self.round(Ready::default());
            }
            Event::Trouble(trouble) => {
                self.troubles += 1;
                self.trouble(trouble);
            }
        }
    }

    fn trouble(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::Dies {
                engine,
                at,
                replaced,
            } => {
                self.office.with(engine, |desk| desk.is_at |= at);
                self.dies(engine, replaced);
            }
            Trouble::IsSlow(engine) => {
                self.office.with(engine, |desk| desk.is_at = true);
                let ended = |world: &Self| {
                    world.office.with(engine, |desk| desk.is_killed)
                        || world.state.maps[&MAP].is_over()
                };
                // Once to see where it is, and again until the clock has gone on.
                for _ in 0..1000 {
                    self.state.tick();
                    if ended(self) {
                        break;
                    }
                }
                self.round(Ready::default());
                assert!(ended(self), "nobody ended it");
            }
            Trouble::AnswersAndDies(engine) => {
                self.office.is_full.store(false, Ordering::Relaxed);
                self.says(engine, |desk| {
                    desk.ends_chunk(None, false);
                    desk.is_gone = true;
                });
            }
            Trouble::Panics(engine) => self.says(engine, |desk| desk.ends_chunk(Some(0), true)),
            Trouble::GivesBack(engine) => {
                self.says(engine, Desk::gives_back);
                let chunks = self.office.with(engine, |desk| desk.chunks.len());
                assert_eq!(chunks, 1, "it was sent more behind what holds it up");
            }
            Trouble::CallerCancels => {
                self.caller.says(&FromCaller::Cancel, &Payload::None);
                self.hear_caller();
            }
            Trouble::Ends(how) => {
                let (answer, answers) = channel();
                let which = match self.plan.background {
                    true => WhichMaps::Job(MAP),
                    false => WhichMaps::Foreground,
                };
                self.state.command(Command::Maps(how, which, answer));
                assert_eq!(answers.recv().unwrap(), [MAP]);
                self.round(Ready::default());
            }
            Trouble::CallerDies => {
                self.caller_is_gone = true;
                self.dies(LOCAL, false);
            }
        }
    }

    /// What holds after each event.
    pub fn check(&self) {
        let told = &self.caller.told;
        assert!(told.iter().all(|count| *count <= 1), "{told:?}");
        if let Some(over) = &self.caller.over
            && over.error.is_none()
            && !over.cancelled
        {
            assert!(told.iter().all(|count| *count == 1), "{told:?}");
        }
        let mut at_work = told.clone();
        for engine in ENGINES {
            self.office.with(engine, |desk| {
                let given = self.state.engines[&engine].given();
                assert!(!self.lives(engine) || desk.chunks.len() == given as usize);
                for (_, span, _) in desk.chunks.iter().filter(|_| !desk.is_gone) {
                    for item in span.first + span.from..span.first + span.to {
                        at_work[item as usize] += 1;
                    }
                }
            });
        }
        assert!(
            at_work.iter().all(|count| *count <= 1),
            "twice: {at_work:?}"
        );
        let map = self.state.maps.get(&MAP);
        if self.caller_is_gone {
            assert!(map.is_none() && self.state.connections.is_empty());
        } else if map.is_none() {
            assert!(
                self.caller.over.is_some(),
                "a map whose end nobody was told"
            );
            // Of a job the session asks itself.
            let told = usize::from(!self.plan.background);
            assert_eq!(self.ends, told, "the session is told once");
        }
        if map.is_none() {
            assert!(self.state.countdowns.is_empty() && self.state.due.is_empty());
        }
    }

    /// Nothing is left to try: the map is gone.
    pub fn is_at_end(&self) -> bool {
        !self.state.maps.contains_key(&MAP)
    }

    /// The next map on the same connection has all its results, unless no engine is left.
    pub fn check_next(&mut self) {
        if self.caller_is_gone {
            return;
        }
        self.plan.slow_caller = false;
        self.office.is_full.store(false, Ordering::Relaxed);
        self.begins();
        let left = ENGINES.into_iter().any(|engine| self.lives(engine));
        for _ in 0..100 {
            let busy = ENGINES.into_iter().find(|engine| {
                self.lives(*engine)
                    && self
                        .office
                        .with(*engine, |desk| !desk.is_up || !desk.chunks.is_empty())
            });
            let Some(engine) = busy.filter(|_| self.caller.over.is_none()) else {
                break;
            };
            if self.office.with(engine, |desk| desk.is_up) {
                self.happens(Event::Answers(engine));
            } else {
                self.happens(Event::ComesUp(engine));
            }
        }
        let over = self.caller.over.clone().expect("the next map ends");
        assert_eq!(over.error.is_none(), left, "{over:?}");
        if left {
            assert_eq!(self.caller.told, vec![1; self.plan.items as usize]);
        }
        self.happens(Event::CallerCloses);
        assert_eq!(self.state.connections.len(), 1, "it waits for another map");
        self.trouble(Trouble::CallerDies);
        assert!(self.state.connections.is_empty() && self.state.maps.is_empty());
        let held = self.state.finished.iter().any(|(record, _)| record.held);
        assert!(!held, "nobody holds results of a caller that is gone");
    }

    /// All that matters for what can come, with engines that are alike in one order.
    pub fn digest(&self) -> Vec<u64> {
        let mut engines: Vec<Vec<u64>> = ENGINES
            .into_iter()
            .map(|engine| {
                self.office.with(engine, |desk| {
                    let flags = [
                        self.lives(engine),
                        desk.is_up,
                        desk.is_killed,
                        desk.is_at,
                        desk.stop.is_some(),
                        desk.has_given_back,
                        self.state.late.contains_key(&engine),
                    ];
                    let chunks = desk.chunks.iter().filter(|_| !desk.is_gone);
                    chunks
                        .map(|(_, span, _)| span.first + span.from)
                        .chain(flags.map(|flag| u64::from(flag) + 100))
                        .collect()
                })
            })
            .collect();
        engines.sort();
        let mut digest = engines.concat();
        if let Some(map) = self.state.maps.get(&MAP) {
            let assignment = map.active().assignment;
            digest.extend(assignment.ledger().state(|_| false));
            digest.extend([u64::from(map.is_over()), u64::from(map.is_stopping())]);
        }
        digest.extend(self.caller.told.iter().map(|count| u64::from(*count)));
        digest.push(self.caller.asked.len() as u64);
        digest.push(self.troubles as u64);
        digest.push(self.state.countdowns.len() as u64);
        digest.push(self.caller_is_gone.into());
        if let Some(over) = &self.caller.over {
            digest.extend([u64::from(over.error.is_some()), over.cancelled.into()]);
        }
        digest
    }
}
