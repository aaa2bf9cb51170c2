//! A map on two threads of the local engine, in every order of what its caller can tell and the session can wish.

use std::ops::Range;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, channel};

use regatta_cell::options::MapOptions;

use super::recorder::Office;
use super::*;
use crate::ids::{PoolName, Rank};
use crate::outcome::{JobState, PoolKind};
use crate::pool::{Launch, MapFault, WhichMaps};
use crate::wire::{
    Channel, ChunkEnded, FromCaller, MapBegin, PanicInfo, ThreadChunk, ThreadTold, ThreadsOver,
    ThreadsTold, ToCaller, Workers,
};

const LOCAL: EngineId = EngineId(0);
const MAP: JobId = JobId(1);
/// Two chunks, of which the second can be done before the first.
const ITEMS: u64 = 3;
const CHUNK: u64 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// Another item of this thread is told to be done; it claims a chunk when it has none.
    Done(u32),
    /// The caller tells the end.
    Over,
    /// The same, because of a panic in the next item of this thread.
    Panics(u32),
    CallerCancels,
    Ends(EndEarly),
    CallerDies,
}

struct World {
    options: MapOptions,
    /// Whether it is said how many items there are.
    said: bool,
    state: State,
    office: Office,
    events: Receiver<Happening>,
    caller: Channel,
    /// Where the next claim is, and what is left of each thread's.
    next: u64,
    claims: [Range<u64>; 2],
    /// By index, how often it was done.
    ran: [u64; ITEMS as usize],
    told: ThreadsTold,
    stopped: bool,
    wished: bool,
    /// The map was to end by force.
    forced: bool,
    panicked: Option<u64>,
    is_gone: bool,
    done: Vec<PoolEvent>,
}

impl World {
    fn new(options: MapOptions, said: bool) -> Self {
        let office = Office::default();
        let (out, events) = channel();
        let mut state = State::new(Box::new(office.clone()), out);
        state.command(Command::Launch(Launch {
            id: LOCAL,
            rank: Rank(0),
            size: 1,
            pool: None,
            init: None,
            begins: false,
            items: None,
            starter: crate::pool::Starter::Session,
        }));
        let (ours, theirs) = UnixStream::pair().unwrap();
        let caller = Channel::new(theirs);
        caller.set_nonblocking().unwrap();
        let told = ThreadsTold {
            threads: vec![ThreadTold::default(); 2],
            ..ThreadsTold::default()
        };
        let mut world = Self {
            options,
            said,
            state,
            office,
            events,
            caller,
            next: 0,
            claims: [0..0, 0..0],
            ran: [0; ITEMS as usize],
            told,
            stopped: false,
            wished: false,
            forced: false,
            panicked: None,
            is_gone: false,
            done: Vec::new(),
        };
        world.says(|desk| desk.says(FromEngine::Ready));
        world.says(|desk| desk.opens_line(ours));
        world.begins(1);
        world
    }

    fn begins(&mut self, map: u64) {
        self.sends(&FromCaller::Begin(Box::new(MapBegin {
            options: self.options.clone(),
            input_type: "u8".to_owned(),
            output_type: "u8".to_owned(),
            items: self.said.then_some(ITEMS),
            workers: Workers::Threads {
                pool: PoolName("t0".to_owned()),
                size: 2,
                map,
                began: 1,
            },
        })));
    }

    fn says(&mut self, what: impl FnOnce(&mut recorder::Desk)) {
        self.office.with(LOCAL, what);
        self.round(Ready {
            engines: vec![LOCAL],
            ..Ready::default()
        });
    }

    fn sends(&mut self, message: &FromCaller) {
        self.caller.queue(message, &Payload::None).unwrap();
        self.caller.flush().unwrap();
        let jobs = self.state.maps.keys().copied().collect();
        let connections = self.state.connections.keys().copied().collect();
        self.round(Ready {
            jobs,
            connections,
            ..Ready::default()
        });
    }

    fn round(&mut self, ready: Ready) {
        self.state.serve_ready(ready);
        self.state.go_on_with_due();
        self.state.flush();
        self.done.extend(self.events.try_iter().map(|it| it.event));
        self.caller.fill();
        while let Ok(Some((message, _))) = self.caller.next_frame::<ToCaller>() {
            match message {
                ToCaller::Stop { map: 1 } => self.stopped = true,
                ToCaller::Job { job } => assert_eq!(job, MAP),
                other => panic!("threads hear nothing else: {other:?}"),
            }
        }
    }

    fn items(&self) -> u64 {
        self.ran.iter().sum()
    }

    /// The next item of this thread, unless there is none.
    fn item(&self, rank: u32) -> Option<u64> {
        let claim = &self.claims[rank as usize];
        let next = match (claim.is_empty(), self.stopped) {
            (false, _) => claim.start,
            (true, false) => self.next,
            (true, true) => ITEMS,
        };
        (next < ITEMS).then_some(next)
    }

    fn runs(&mut self, rank: u32) -> u64 {
        let item = self.item(rank).unwrap();
        let claim = &mut self.claims[rank as usize];
        if claim.is_empty() {
            *claim = item..(item + CHUNK).min(ITEMS);
            self.next = claim.end;
        }
        claim.start += 1;
        item
    }

    fn possible(&self) -> Vec<Event> {
        let Some(map) = self.state.maps.get(&MAP) else {
            return Vec::new();
        };
        let mut events = Vec::new();
        for rank in [0, 1] {
            if self.item(rank).is_some() {
                events.extend([Event::Done(rank), Event::Panics(rank)]);
            }
        }
        if self.items() == ITEMS || self.stopped {
            events.push(Event::Over);
        }
        if !self.wished && !map.is_over() {
            let ways = [EndEarly::Cancel, EndEarly::Kill, EndEarly::Abandon];
            events.extend(ways.map(Event::Ends));
            events.extend([Event::CallerCancels, Event::CallerDies]);
        } else if !self.forced && !map.is_over() {
            // Another Ctrl-C.
            events.push(Event::Ends(EndEarly::Kill));
        }
        if self.office.with(LOCAL, |desk| desk.is_killed) {
            events.push(Event::CallerDies);
        }
        events
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Done(rank) => {
                let first = self.runs(rank);
                self.ran[first as usize] += 1;
                let thread = &mut self.told.threads[rank as usize];
                thread.done.push(first..first + 1);
                thread.chunks += 1;
                thread.busy += 5;
                self.told.chunks = vec![ThreadChunk {
                    rank: Rank(rank),
                    first,
                    ended: ChunkEnded {
                        busy: 5,
                        began: 1 + first,
                        ..ChunkEnded::well(1)
                    },
                }];
                self.sends(&FromCaller::Threads(Box::new(self.told.clone())));
                self.told.threads[rank as usize].done.clear();
            }
            Event::Over => self.over(None),
            Event::Panics(rank) => {
                let item = self.runs(rank);
                self.panicked = Some(item);
                self.over(Some((item, PanicInfo::plain("as wanted"))));
            }
            Event::CallerCancels => {
                self.wished = true;
                self.sends(&FromCaller::Cancel);
            }
            Event::Ends(how) => {
                self.wished = true;
                self.forced |= how == EndEarly::Kill;
                let (answer, answers) = channel();
                let which = if self.options.background {
                    WhichMaps::Job(MAP)
                } else {
                    WhichMaps::Foreground
                };
                self.state.command(Command::Maps(how, which, answer));
                assert_eq!(answers.recv().unwrap(), [MAP]);
                self.round(Ready::default());
            }
            Event::CallerDies => {
                self.wished = true;
                self.is_gone = true;
                self.says(|desk| desk.is_gone = true);
            }
        }
    }

    fn over(&mut self, error: Option<(u64, PanicInfo)>) {
        let told = ThreadsTold {
            chunks: Vec::new(),
            over: Some(ThreadsOver {
                wall: 10,
                exhausted: self.items() == ITEMS,
                error,
            }),
            ..self.told.clone()
        };
        self.sends(&FromCaller::Threads(Box::new(told)));
    }

    fn check(&self) {
        let is_killed = self.office.with(LOCAL, |desk| desk.is_killed);
        let by_force = self.forced && !self.options.background;
        assert_eq!(is_killed, by_force, "the user's variables");
        assert!(self.state.countdowns.is_empty(), "threads are waited for");
        let record = match self.state.maps.get(&MAP) {
            Some(map) => map.record(),
            None => self.state.finished[0].0.clone(),
        };
        assert_eq!(
            (record.done, record.total),
            (self.items(), self.said.then_some(ITEMS))
        );
        if self.state.maps.contains_key(&MAP) {
            return;
        }
        self.check_end(record.state);
    }

    fn check_end(&self, state: JobState) {
        assert!(self.state.due.is_empty());
        let timeline = &self.state.finished[0].1;
        assert_eq!(timeline.chunks.len() as u64, self.items());
        assert_eq!(timeline.engines, 2);
        let ends = |event: &&PoolEvent| {
            matches!(event, PoolEvent::MapDone { .. } | PoolEvent::MapFailed(_))
        };
        let ends: Vec<&PoolEvent> = self.done.iter().filter(ends).collect();
        if self.is_gone {
            assert!(self.state.connections.is_empty());
            return;
        }
        let finished = self.ran == [1; ITEMS as usize];
        if finished && state == JobState::Done {
            assert!(self.options.background || matches!(ends[..], [PoolEvent::MapDone { .. }]));
        }
        assert_eq!(
            ends.len(),
            usize::from(!self.options.background),
            "{ends:?}"
        );
        if let [PoolEvent::MapDone { report, .. }] = ends[..] {
            assert_eq!(report.serial, Duration::from_nanos(5 * self.items()));
            assert_eq!(report.wall, Duration::from_nanos(10));
        }
        if let [PoolEvent::MapFailed(failure)] = ends[..]
            && let MapFault::Panicked(_) = failure.what
        {
            assert_eq!(failure.item, self.panicked);
        }
        match state {
            JobState::Done => assert!(finished),
            JobState::Cancelled => assert!(self.wished && self.items() < ITEMS),
            JobState::Failed => assert!(self.panicked.is_some() || self.wished),
            other => panic!("{other:?}"),
        }
        assert_eq!(self.state.connections.len(), 1, "it waits for another map");
    }
}

fn every_order(options: &MapOptions, said: bool) {
    let mut paths = vec![Vec::new()];
    let mut ends = 0;
    while let Some(path) = paths.pop() {
        let mut world = World::new(options.clone(), said);
        for event in &path {
            world.happens(*event);
        }
        world.check();
        let next = world.possible();
        if next.is_empty() {
            ends += 1;
            assert!(!world.state.maps.contains_key(&MAP), "it hangs: {path:?}");
        }
        paths.extend(next.into_iter().map(|event| {
            let mut path = path.clone();
            path.push(event);
            path
        }));
    }
    assert!(ends > 50, "{ends}");
}

#[test]
fn in_every_order() {
    for background in [false, true] {
        for collect in [false, true] {
            let options = MapOptions {
                function: "f".to_owned(),
                background,
                collect,
                ..MapOptions::default()
            };
            every_order(&options, true);
            if !background {
                // Its results are taken one by one.
                every_order(&options, false);
            }
        }
    }
}

/// What is said late of one map is not the next one's.
#[test]
fn the_next_map_on_the_connection_is_another() {
    let mut world = World::new(MapOptions::default(), true);
    for event in [Event::Done(0), Event::Done(1), Event::Done(0), Event::Over] {
        world.happens(event);
    }
    world.sends(&FromCaller::Cancel);
    world.begins(2);
    let map = world.state.maps.get(&JobId(2)).expect("a second map");
    assert_eq!(map.record().state, JobState::Running);
    assert!(!world.stopped);
}

/// The plan alone is told, and nothing is waited for.
#[test]
fn a_plan_is_not_a_map() {
    let options = MapOptions {
        function: "f".to_owned(),
        plan_only: true,
        ..MapOptions::default()
    };
    let world = World::new(options, true);
    assert!(world.state.maps.is_empty());
    assert_eq!(world.state.connections.len(), 1);
    let plan = world.done.iter().find_map(|event| match event {
        PoolEvent::MapPlanned(plan) => Some(plan),
        _ => None,
    });
    let plan = plan.expect("a plan");
    assert_eq!(
        (plan.kind, plan.chunks, plan.engines),
        (PoolKind::Threads, Some(ITEMS), 2)
    );
}
