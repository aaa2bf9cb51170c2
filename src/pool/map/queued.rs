//! A map whose inputs nodes take from their cluster's queue: what is put there, and what has come of it.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::{Map, Runners, Step};
use crate::ids::Rank;
use crate::outcome::DeathCause;
use crate::pool::cluster::queue::{Begin, Done, Inputs, Manifest, Part, Queue, Told};
use crate::pool::ledger::GivenUp;
use crate::pool::{InQueue, Launch, MapFault, QueueFault};
use crate::wire::places::Places;
use crate::wire::{FunctionAddress, Payload, Runs, Task, ToCaller, VERSION, since_1970};

pub struct Queued {
    queue: Queue,
    pub(super) task: Task,
    /// Of an input and of a result.
    types: [String; 2],
    has_begun: bool,
    /// When each piece was queued, on the monotonic clock.
    sent: FxHashMap<u32, u64>,
    pieces: u32,
    /// The queue has been told that there are no more.
    is_complete: bool,
    leaves: Leaves,
    /// Parts of pieces that engines have ended, and the time that they took.
    ended: Vec<(Rank, Duration)>,
    /// Since when it has no engine, and nothing has come of it.
    alone: Option<Instant>,
}

/// A map that has no engine waits so long for something to come of it.
const ALONE: Duration = Duration::from_secs(30);

/// Whether it goes on without the session.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaves {
    No,
    /// As soon as all its inputs are queued.
    Soon,
    Left,
}

/// What a session has written that an earlier map of its may be asked about later.
#[derive(Debug, Default)]
pub struct Written {
    /// The text of the cell under way.
    pub source: String,
    /// The definitions that there are, by name.
    pub definitions: BTreeMap<String, String>,
    /// What adds the crates that there are, by their names in paths.
    pub crates: BTreeMap<String, String>,
}

impl Written {
    /// The definitions and crates that a type is made of, which may be none.
    fn of(&self, type_name: &str) -> Vec<(String, String)> {
        let mut found = BTreeMap::new();
        let mut texts = vec![type_name];
        while let Some(text) = texts.pop() {
            for word in text.split(|c: char| !(c.is_alphanumeric() || c == '_')) {
                if let Some((name, definition)) = self.definitions.get_key_value(word) {
                    if found.insert(name.clone(), definition.clone()).is_none() {
                        texts.push(definition);
                    }
                } else if let Some((name, adds)) = self.crates.get_key_value(word)
                    // A field may be called so.
                    && text.contains(&format!("{word}::"))
                {
                    found.insert(name.clone(), adds.clone());
                }
            }
        }
        found.into_iter().collect()
    }
}

impl Queued {
    pub fn new(queue: Queue, task: Task, types: [String; 2]) -> Self {
        Self {
            queue,
            task,
            types,
            has_begun: false,
            sent: FxHashMap::default(),
            pieces: 0,
            is_complete: false,
            leaves: Leaves::No,
            ended: Vec::new(),
            alone: None,
        }
    }
}

impl Map {
    fn queued(&mut self) -> Option<&mut Queued> {
        match &mut self.runners {
            Runners::Queue(queued) => Some(queued),
            _ => None,
        }
    }

    pub fn is_queued(&self) -> bool {
        matches!(self.runners, Runners::Queue(_))
    }

    /// How much of it the queue has.
    pub(super) fn in_queue(&self) -> InQueue {
        match &self.runners {
            Runners::Queue(queued) if queued.is_complete => InQueue::All,
            Runners::Queue(_) => InQueue::Part,
            _ => InQueue::Nothing,
        }
    }

    /// Where it shows that the queue has something to say.
    pub fn queue_bell(&self) -> Option<BorrowedFd<'_>> {
        match &self.runners {
            Runners::Queue(queued) => Some(queued.queue.bell()),
            _ => None,
        }
    }

    /// The function that the queue has not been told of.
    pub fn begins_queue(&self) -> Option<FunctionAddress> {
        match &self.runners {
            Runners::Queue(queued) if !(queued.has_begun || self.closing) => {
                let Runs::Function(function) = queued.task.runs;
                Some(function.address)
            }
            _ => None,
        }
    }

    /// Tells the queue what nodes need for it. `places`: of the lines of its artifact.
    pub fn begin_queue(&mut self, begin: Begin, places: Places, written: &Written) {
        let (function, captures) = (self.options.function.clone(), self.options.captures.clone());
        let (job, total) = (self.job, self.assignment.ledger().total());
        let Some(queued) = self.queued() else { return };
        queued.has_begun = true;
        let [input_type, output_type] = queued.types.clone();
        let definitions = written.of(&output_type);
        let manifest = Manifest {
            version: VERSION,
            job,
            task: queued.task.clone(),
            places,
            function,
            captures,
            input_type,
            output_type,
            closed: Vec::new(),
            total,
            items: 0,
            pieces: 0,
            inputs: Inputs::Coming,
            began: since_1970(),
            source: written.source.clone(),
            definitions,
            artifact: 0,
            libraries: Vec::new(),
        };
        queued.queue.begin(manifest, begin);
    }

    /// It does not get more inputs while those that it had are on their way to the server.
    pub(super) fn look_whether_full(&mut self) {
        if let Some(queued) = self.queued() {
            let full = queued.queue.is_full();
            self.assignment.queue_is_full(full);
        }
    }

    pub(super) fn queue(&mut self, piece: u32, now: u64) {
        let Some(found) = self.assignment.ledger().piece(piece) else {
            return;
        };
        let payload = self.payloads.remove(&found.source);
        let job = self.job;
        if let Some(queued) = self.queued() {
            queued.sent.insert(piece, now);
            queued.pieces += 1;
            queued
                .queue
                .put(job, found.span, payload.unwrap_or_default());
        }
    }

    /// Says so when all inputs are queued.
    pub(super) fn all_queued(&mut self) {
        let ledger = self.assignment.ledger();
        let (is_all, items) = (
            ledger.is_exhausted() && ledger.waiting().is_empty(),
            ledger.pulled(),
        );
        let job = self.job;
        if let Some(queued) = self.queued().filter(|it| is_all && !it.is_complete) {
            queued.is_complete = true;
            let pieces = queued.pieces;
            queued.queue.is_complete(job, items, pieces);
        }
        if let Some(queued) = self.queued()
            && queued.is_complete
            && queued.leaves == Leaves::Soon
        {
            queued.leaves = Leaves::Left;
            queued.queue.detach(job);
            self.fail(None, None, MapFault::Queue(QueueFault::Detached));
        }
    }

    /// It is to go on without the session; whether it can.
    pub fn detach(&mut self) -> bool {
        if self.closing || self.assignment.ledger().is_stopped() {
            return false;
        }
        let Some(queued) = self.queued() else {
            return false;
        };
        queued.leaves = Leaves::Soon;
        self.assignment.queue_all(true);
        true
    }

    /// It is not to go on without the session after all; whether it is not too late for that.
    pub fn stays(&mut self) -> bool {
        if self.closing {
            return false;
        }
        let Some(queued) = self.queued().filter(|it| it.leaves == Leaves::Soon) else {
            return false;
        };
        queued.leaves = Leaves::No;
        self.assignment.queue_all(false);
        true
    }

    /// Whether it goes on without the session.
    pub fn has_gone_on(&self) -> bool {
        matches!(&self.runners, Runners::Queue(queued) if queued.leaves == Leaves::Left)
    }

    /// What is in the queue is not wanted any more; what engines are at is told of.
    pub(super) fn empty_queue(&mut self) {
        let job = self.job;
        if let Some(queued) = self.queued() {
            queued.queue.empty(job);
        }
    }

    /// Nothing will be told of what is still under way.
    pub fn abandon_queue(&mut self) {
        if self.is_queued() {
            self.assignment.queue_holds(&[]);
        }
    }

    /// Nothing is left of it on the server.
    pub fn close_queue(&mut self) {
        let job = self.job;
        if let Some(queued) = self.queued() {
            queued.queue.close(job);
        }
    }

    /// What the queue has to say.
    pub fn hear_queue(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        while let Some(told) = self.queued().and_then(|queued| queued.queue.heard()) {
            if self.closing {
                continue;
            }
            match told {
                Told::Done(piece, done) => {
                    self.goes_on();
                    steps.extend(self.piece_done(piece, done));
                }
                Told::Holding(pieces) => self.assignment.queue_holds(&pieces),
                Told::Failed(why) => steps.push(self.fail(None, None, MapFault::Queue(why))),
            }
        }
        steps
    }

    /// It has no engine left: whether it waits for others.
    pub(super) fn waits_for_engines(&mut self) -> bool {
        self.queued().is_some_and(|queued| {
            let since = queued.alone.get_or_insert_with(Instant::now);
            since.elapsed() < ALONE && queued.queue.has_hope()
        })
    }

    /// It has one again, or something has come of it.
    pub(super) fn goes_on(&mut self) {
        if let Some(queued) = self.queued() {
            queued.alone = None;
        }
    }

    /// Whether it waits for engines, which the clock has to look at.
    pub fn is_alone(&self) -> bool {
        matches!(&self.runners, Runners::Queue(queued) if queued.alone.is_some()) && !self.closing
    }

    /// Which engines have ended parts of pieces since this was asked last, and how long they took.
    pub fn ended_parts(&mut self) -> Vec<(Rank, Duration)> {
        self.queued()
            .map_or_else(Vec::new, |queued| std::mem::take(&mut queued.ended))
    }

    /// Whether this is the engine of that rank in the map's pool.
    pub fn is_of(&self, launch: &Launch, rank: Rank) -> bool {
        launch.rank == rank && launch.pool.as_ref() == Some(&self.pool)
    }

    /// The first that is told of a piece counts.
    fn piece_done(&mut self, number: u32, told: Done) -> Option<Step> {
        let ledger = self.assignment.ledger();
        let piece = ledger.piece(number).filter(|_| ledger.holds(0, number))?;
        let sent = self.queued()?.sent.remove(&number);
        let (mut done, mut failed, mut busy) = (0, 0, Duration::ZERO);
        let items = piece.first()..piece.first() + piece.items();
        // What is of others stands in none's place.
        for part in told.parts_of(items).unwrap_or_default() {
            match part {
                Part::Ran {
                    rank,
                    first,
                    ended,
                    results,
                } => {
                    let place = self.place_of(rank)?;
                    if let Some(sent) = sent {
                        self.workers[place].sent.insert(number, sent);
                    }
                    self.note_ended(place, number, first, ended.done, &ended);
                    self.bytes += results.len() as u64;
                    let spent = Duration::from_nanos(ended.busy);
                    if let Some(queued) = self.queued() {
                        queued.ended.push((rank, spent));
                    }
                    if let Some(panic) = ended.error {
                        let fault = MapFault::Panicked(*panic);
                        return Some(self.fail(Some(rank), Some(first + ended.done), fault));
                    }
                    let count = ended.done;
                    done += count;
                    busy += spent;
                    if count > 0 {
                        // Without memory for them the map cannot end well, and its caller says so.
                        let results = Payload::of(results).unwrap_or_default();
                        self.tell(&ToCaller::Results { first, count, rank }, &results);
                    }
                }
                Part::GivenUp {
                    rank,
                    item,
                    begun,
                    late,
                    cause,
                } => {
                    failed += 1;
                    let given_up = GivenUp { item, begun };
                    if let Some(step) = self.has_given_up(rank, given_up, late, &cause) {
                        return Some(step);
                    }
                }
            }
        }
        if done + failed < piece.items() && !self.assignment.ledger().is_stopped() {
            let fault = MapFault::Lost(DeathCause::Unknown);
            return Some(self.fail(None, Some(piece.first() + done + failed), fault));
        }
        self.assignment.settled(number, done, failed, busy);
        None
    }

    /// The worker of this rank, or one that stands for an engine that has come since.
    fn place_of(&self, rank: Rank) -> Option<usize> {
        let found = self.workers.iter().position(|worker| worker.rank == rank);
        found.or((!self.workers.is_empty()).then_some(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_told_with_the_definitions_that_it_is_made_of() {
        let definitions = [
            ("Point", "struct Point { x: Metre }"),
            ("Metre", "struct Metre { time: f64, at: geo::Point }"),
            ("Other", "struct Other;"),
        ];
        let definitions = definitions.map(|(name, text)| (name.to_owned(), text.to_owned()));
        let written = Written {
            definitions: BTreeMap::from(definitions),
            crates: [("time", "%dep time"), ("geo", "%dep geo")]
                .map(|(name, adds)| (name.to_owned(), adds.to_owned()))
                .into(),
            ..Written::default()
        };
        let names = |of: &str| -> Vec<String> {
            let found = written.of(of);
            found.into_iter().map(|(name, _)| name).collect()
        };
        assert_eq!(
            names("alloc::vec::Vec<ctx::Point>"),
            ["Metre", "Point", "geo"]
        );
        assert!(names("u64").is_empty());
    }
}
