//! Engines without processes: a link that records what it is sent and says what the test wants, a launcher of
//! such links, and the caller of a map at the other end of its connection.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use nix::sys::signal::Signal;

use regatta_cell::options::{MapOptions, Schedule};

use super::*;
use crate::ids::ArtifactId;
use crate::outcome::DeathCause;
use crate::pool::link::Link;
use crate::pool::{Launch, MpiStart};
use crate::wire::{
    Channel, ChunkEnded, EAGER, FromCaller, FunctionAddress, MapBegin, PanicInfo, Service, Span,
    ToCaller, WireError, Workers,
};

/// What a link has recorded, and what it will say.
#[derive(Default)]
pub struct Desk {
    /// Chunks that it was sent and has not answered: job, which inputs, their bytes.
    pub chunks: VecDeque<(JobId, Span, Vec<u8>)>,
    /// Jobs whose function it was told.
    told: Vec<JobId>,
    /// Artifacts that it was given: the open file, or why there is none.
    pub artifacts: Vec<(ArtifactId, Payload, String)>,
    /// Memory for messages that it was given, or why there is none.
    pub worlds: Vec<(Payload, String)>,
    says: Vec<(FromEngine, Payload)>,
    pub is_up: bool,
    pub is_gone: bool,
    pub is_killed: bool,
    /// It is at the first item of its first chunk; otherwise before it.
    pub is_at: bool,
    pub stop: Option<JobId>,
    /// Since it began its chunk.
    pub has_given_back: bool,
}

impl Desk {
    pub fn says(&mut self, message: FromEngine) {
        self.says.push((message, Payload::None));
    }

    pub fn opens_line(&mut self, socket: UnixStream) {
        let socket = Payload::file(socket.into());
        self.says.push((
            FromEngine::Connect {
                service: Service::Map,
            },
            socket,
        ));
    }

    /// Ends its first chunk; of `done` items the results are their inputs.
    pub fn ends_chunk(&mut self, done: Option<u64>, panics: bool) {
        let (job, span, inputs) = self.chunks.pop_front().expect("a chunk");
        let done = done.unwrap_or(span.to - span.from);
        let from = span.from as usize;
        let results = inputs[from..from + done as usize].to_vec();
        let ended = ChunkEnded {
            busy: 0,
            error: panics.then(|| Box::new(PanicInfo::plain("as wanted"))),
            ..ChunkEnded::well(done)
        };
        let chunk = span.chunk;
        let message = FromEngine::ChunkDone { job, chunk, ended };
        self.says.push((message, Payload::of(results).unwrap()));
        (self.is_at, self.has_given_back) = (false, false);
    }

    /// Gives back what waits behind its first chunk.
    pub fn gives_back(&mut self) {
        let behind = self.chunks.split_off(1);
        let job = behind[0].0;
        let chunks = behind.iter().map(|(_, span, _)| span.chunk).collect();
        self.says(FromEngine::GivenBack { job, chunks });
        self.has_given_back = true;
    }
}

pub struct Recorder {
    desk: Arc<Mutex<Desk>>,
}

fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap()
}

impl Link for Recorder {
    fn send(&mut self, message: &ToEngine, payload: &Payload) {
        let mut desk = lock(&self.desk);
        match message {
            ToEngine::Task { job, .. } => desk.told.push(*job),
            ToEngine::Chunk { job, span } => {
                assert!(!desk.is_gone, "nothing is sent to an engine that is gone");
                assert!(desk.told.contains(job), "a chunk without its function");
                desk.chunks.push_back((*job, *span, payload.copied()));
            }
            ToEngine::Artifact { artifact, why } => {
                let given = (*artifact, payload.clone(), why.clone());
                desk.artifacts.push(given);
            }
            ToEngine::World { why, .. } => desk.worlds.push((payload.clone(), why.clone())),
            _ => {}
        }
    }

    fn flush(&mut self) {}

    fn wants_to_write(&self) -> bool {
        false
    }

    fn hear(&mut self) -> (Vec<(FromEngine, Payload)>, Option<WireError>) {
        let mut desk = lock(&self.desk);
        let ended = desk.is_gone.then_some(WireError::Closed);
        (std::mem::take(&mut desk.says), ended)
    }

    fn socket(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn pipe(&self, _: Stream) -> Option<BorrowedFd<'_>> {
        None
    }

    fn read_printed(&mut self, _: Stream, _: usize, _: &mut Vec<u8>) {}

    fn said(&self, _: usize) -> String {
        String::new()
    }

    fn at(&self, job: JobId) -> Option<(u64, u64)> {
        let desk = lock(&self.desk);
        let (of, span, _) = desk.chunks.front().filter(|_| desk.is_at)?;
        (*of == job).then_some((span.first + span.from, span.chunk.into()))
    }

    fn stop_job(&self, job: JobId) {
        lock(&self.desk).stop = Some(job);
    }

    fn end_waits(&self) -> bool {
        false
    }

    fn signal(&self, signal: Signal) {
        assert_eq!(signal, Signal::SIGKILL);
        lock(&self.desk).is_killed = true;
    }

    fn has_ended(&mut self) -> Option<DeathCause> {
        lock(&self.desk).is_gone.then_some(DeathCause::Signal(9))
    }

    fn bury(&mut self, _: Duration) -> DeathCause {
        lock(&self.desk).is_gone = true;
        DeathCause::Signal(9)
    }

    fn pid(&self) -> u32 {
        0
    }

    fn memory(&self) -> Option<u64> {
        None
    }
}

/// Who launches them: the test keeps the desks.
#[derive(Clone, Default)]
pub struct Office {
    desks: Arc<Mutex<BTreeMap<EngineId, Arc<Mutex<Desk>>>>>,
    /// No process can be started.
    pub is_full: Arc<AtomicBool>,
}

impl Office {
    pub fn with<R>(&self, engine: EngineId, look: impl FnOnce(&mut Desk) -> R) -> R {
        let desk = self.desks.lock().unwrap()[&engine].clone();
        look(&mut lock(&desk))
    }
}

impl Launcher for Office {
    fn launch(&mut self, launch: &Launch) -> std::io::Result<Box<dyn Link>> {
        if self.is_full.load(Ordering::Relaxed) {
            return Err(std::io::ErrorKind::OutOfMemory.into());
        }
        let desk = Arc::new(Mutex::new(Desk::default()));
        let mut desks = self.desks.lock().unwrap();
        desks.insert(launch.id, desk.clone());
        Ok(Box::new(Recorder { desk }))
    }

    fn launch_together(
        &mut self,
        launches: &[Launch],
        _: &MpiStart,
    ) -> std::io::Result<Vec<Box<dyn Link>>> {
        launches.iter().map(|launch| self.launch(launch)).collect()
    }

    fn set_environment(&mut self, _: &str, _: Option<&str>) {}
}

/// Calls maps of the inputs `0..items`, the bytes of an input being its index and ten.
pub struct Caller {
    channel: Channel,
    items: u64,
    unsaid: bool,
    given: u64,
    /// Chunks that were asked for, by their size.
    pub asked: VecDeque<u64>,
    /// By index, the results and errors that it was told.
    pub told: Vec<u32>,
    pub over: Option<Over>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Over {
    pub error: Option<String>,
    pub cancelled: bool,
}

impl Caller {
    pub fn new(socket: UnixStream, items: u64, unsaid: bool) -> Self {
        let channel = Channel::new(socket);
        channel.set_nonblocking().unwrap();
        Self {
            channel,
            items,
            unsaid,
            given: 0,
            asked: VecDeque::new(),
            told: vec![0; items as usize],
            over: None,
        }
    }

    pub fn begins(&mut self, options: MapOptions) {
        let is_eager = options.schedule == Schedule::Dynamic;
        (self.given, self.over) = (0, None);
        self.told.fill(0);
        self.asked.clear();
        let begin = MapBegin {
            options,
            input_type: "u8".to_owned(),
            output_type: "u8".to_owned(),
            items: (!self.unsaid).then_some(self.items),
            workers: Workers::Engines {
                function: FunctionAddress {
                    artifact: ArtifactId::default(),
                    offset: 0,
                },
                captures: None,
            },
        };
        self.says(&FromCaller::Begin(Box::new(begin)), &Payload::None);
        for _ in 0..if is_eager { EAGER } else { 0 } {
            self.gives(1);
        }
    }

    /// To be sent with what follows, by [`Self::sends`].
    pub fn says(&mut self, message: &FromCaller, payload: &Payload) {
        self.channel.queue(message, payload).unwrap();
    }

    pub fn sends(&mut self) {
        self.channel.flush().unwrap();
    }

    pub fn gives(&mut self, most: u64) {
        let count = most.min(self.items - self.given);
        let inputs = (self.given..self.given + count).map(|index| index as u8 + 10);
        self.given += count;
        let message = FromCaller::Inputs {
            count,
            exhausted: self.given == self.items,
            error: None,
            encode: 0,
        };
        self.says(&message, &Payload::of(inputs.collect()).unwrap());
    }

    /// Hears what it is told.
    pub fn hears(&mut self) {
        self.channel.fill();
        while let Ok(Some((message, payload))) = self.channel.next_frame() {
            assert_eq!(self.over, None, "nothing comes after the end: {message:?}");
            match message {
                ToCaller::Pull { items, chunks } => {
                    self.asked.extend((0..chunks).map(|_| items));
                }
                ToCaller::Results { first, count, .. } => {
                    let results: Vec<u8> = (first..first + count).map(|i| i as u8 + 10).collect();
                    assert_eq!(payload.copied(), results, "results of other inputs");
                    for item in first..first + count {
                        self.told[item as usize] += 1;
                    }
                }
                ToCaller::Failed { item, .. } => self.told[item as usize] += 1,
                ToCaller::Over {
                    error, cancelled, ..
                } => self.over = Some(Over { error, cancelled }),
                ToCaller::Job { .. } | ToCaller::WantCaptures | ToCaller::Stop { .. } => {}
            }
        }
    }
}
