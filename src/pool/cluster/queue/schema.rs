//! What the maps of a cluster are on its server: the names of streams and subjects, and the records in them, in postcard.
//! Sessions, later sessions and nodes agree on this file and on nothing else.
//!
//! | what | where | retention |
//! |---|---|---|
//! | a job's [`Manifest`] | [`Names::jobs`], subject [`Names::job`] | the last one of each job, until the job is dropped |
//! | a piece of its inputs, [`Work`] | [`Names::works`], subject [`Names::work`] | until it is acknowledged |
//! | that a job has failed | [`Names::results`], subject [`Names::failed`] | until the job is dropped |
//! | a piece's results, [`Done`] | [`Names::results`], subject [`Names::result`] | the first one of each piece, until the job is dropped |
//! | artifacts, libraries, captured variables | object store [`Names::objects`], by their content's hash | the cluster's life |
//! | records that are too large for a message | object store [`Names::large`] | until the job is dropped |
//!
//! What jobs have on the server has the [`lot`] of their number in its subject, so that what is left of many goes at once.
//!
//! A record is [`Stored`]: it is the message, or the message names the object that it is, and its content.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::ids::{ArtifactId, JobId, Rank, ToolchainStamp};
use crate::outcome::DeathCause;
use crate::wire::places::Places;
use crate::wire::{ChunkEnded, Function, FunctionAddress, Runs, Span, Task, VERSION};

/// A record of more bytes than this is no message.
pub const LARGEST: usize = 512 * 1024;

/// A piece whose node says nothing of it for so long goes to another one.
pub const ACK_WAIT: Duration = Duration::from_secs(5);

/// The header of a piece that was queued before: engines may have ended at it.
pub const AGAIN: &str = "Regatta-Again";

/// What a cell waits for is not behind what nobody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// A cell waits for it.
    Now,
    /// A job in the background.
    Later,
}

impl Lane {
    pub const ALL: [Self; 2] = [Self::Now, Self::Later];

    /// Of one that nobody waits for, or of one that somebody does.
    pub fn of(background: bool) -> Self {
        if background { Self::Later } else { Self::Now }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::Later => "later",
        }
    }

    /// The durable consumer of all nodes.
    pub fn consumer(self) -> &'static str {
        match self {
            Self::Now => "nodes-now",
            Self::Later => "nodes-later",
        }
    }
}

/// The names of a cluster's streams, subjects and object stores. `cluster` is what all subjects begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    cluster: String,
}

impl Names {
    pub fn of(cluster: &str) -> Self {
        Self {
            cluster: cluster.to_owned(),
        }
    }

    /// The stream of manifests: one message per subject.
    pub fn jobs(&self) -> String {
        format!("{}-jobs", self.cluster)
    }

    pub fn job(&self, job: JobId) -> String {
        format!("{}.job.{}.{job}", self.cluster, lot(job))
    }

    /// Of all jobs of a lot.
    pub fn jobs_of_lot(&self, lot: u32) -> String {
        format!("{}.job.{lot}.*", self.cluster)
    }

    /// Of which job a subject is the manifest's.
    pub fn job_of(subject: &str) -> Option<JobId> {
        subject.rsplit('.').next()?.parse().ok().map(JobId)
    }

    /// The number of the newest job, in digits.
    pub fn highest(&self) -> String {
        format!("{}.job.highest.0", self.cluster)
    }

    /// Which session has the cluster, in digits, where the server does not refuse the one before it.
    pub fn epoch(&self) -> String {
        format!("{}.job.epoch.0", self.cluster)
    }

    pub fn all_jobs(&self) -> String {
        format!("{}.job.*.*", self.cluster)
    }

    /// The stream of work: what is acknowledged is gone.
    pub fn works(&self) -> String {
        format!("{}-work", self.cluster)
    }

    pub fn work(&self, lane: Lane, job: JobId, piece: u32) -> String {
        format!("{}.work.{}.{job}.{piece}", self.cluster, lane.word())
    }

    pub fn work_of_lane(&self, lane: Lane) -> String {
        format!("{}.work.{}.>", self.cluster, lane.word())
    }

    /// Of which lane a subject of work is; `None` when it is none.
    pub fn lane_of(&self, subject: &str) -> Option<Lane> {
        let rest = subject.strip_prefix(&self.cluster)?;
        let word = rest.strip_prefix(".work.")?.split('.').next()?;
        Lane::ALL.into_iter().find(|lane| lane.word() == word)
    }

    /// Of one job, in whichever lane.
    pub fn work_of(&self, job: JobId) -> String {
        format!("{}.work.*.{job}.*", self.cluster)
    }

    pub fn all_work(&self) -> String {
        format!("{}.work.>", self.cluster)
    }

    /// The stream of results.
    pub fn results(&self) -> String {
        format!("{}-results", self.cluster)
    }

    pub fn result(&self, job: JobId, piece: u32) -> String {
        format!("{}.result.{}.{job}.{piece}", self.cluster, lot(job))
    }

    /// Of every job; what [`Self::strikes`] are is not among them.
    pub fn all_results(&self) -> String {
        format!("{}.result.*.*.*", self.cluster)
    }

    /// Of one job, without the strikes.
    pub fn results_of(&self, job: JobId) -> String {
        format!("{}.result.{}.{job}.*", self.cluster, lot(job))
    }

    /// What is known of a piece without a result, [`Strikes`], in the stream of results.
    pub fn strikes(&self, job: JobId, piece: u32) -> String {
        format!("{}.result.{}.{job}.{piece}.strikes", self.cluster, lot(job))
    }

    /// That an item of a job has no result, and the job is to stop, in the stream of results.
    pub fn failed(&self, job: JobId) -> String {
        format!("{}.result.{}.{job}.{FAILED}", self.cluster, lot(job))
    }

    /// The same of every job.
    pub fn all_failed(&self) -> String {
        format!("{}.result.*.*.{FAILED}", self.cluster)
    }

    /// Of which job a subject says that.
    pub fn failed_of(subject: &str) -> Option<JobId> {
        let rest = subject.strip_suffix(FAILED)?.strip_suffix('.')?;
        rest.rsplit('.').next()?.parse().ok().map(JobId)
    }

    /// What the stream of results has of one job.
    pub fn kept_of(&self, job: JobId) -> String {
        format!("{}.result.{}.{job}.>", self.cluster, lot(job))
    }

    /// The same of all jobs of a lot.
    pub fn kept_of_lot(&self, lot: u32) -> String {
        format!("{}.result.{lot}.>", self.cluster)
    }

    pub fn all_kept(&self) -> String {
        format!("{}.result.>", self.cluster)
    }

    /// The bucket that sessions write.
    pub fn objects(&self) -> String {
        format!("{}-objects", self.cluster)
    }

    /// The bucket for large records, which nodes write too.
    pub fn large(&self) -> String {
        format!("{}-large", self.cluster)
    }

    /// The job and the piece that a subject of work or of a result is of.
    pub fn piece_of(subject: &str) -> Option<(JobId, u32)> {
        let mut words = subject.rsplit('.');
        let piece = words.next()?.parse().ok()?;
        let job = words.next()?.parse().ok()?;
        Some((JobId(job), piece))
    }
}

/// In the place of a piece's number.
const FAILED: &str = "failed";

/// So many numbers of jobs in a row are a lot.
pub const LOT: u32 = 64;

/// The lot of a job.
pub fn lot(job: JobId) -> u32 {
    job.0 / LOT
}

/// What an object of this content is called.
pub fn object(content: u128) -> String {
    format!("{content:032x}")
}

/// What names the content of these bytes.
pub fn content(bytes: &[u8]) -> u128 {
    xxhash_rust::xxh3::xxh3_128(bytes)
}

/// What a large record of a job is called: all of one job begin the same.
pub fn large_object(job: JobId, rest: &str) -> String {
    format!("{job}.{rest}")
}

/// A map that is queued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The wire's version.
    pub version: u32,
    pub job: JobId,
    /// What its chunks run, and how.
    pub task: Task,
    /// Of the lines of the function's artifact.
    pub places: Places,
    /// The function as the user wrote it; empty for a call from code.
    pub function: String,
    /// Name and type of each captured variable.
    pub captures: Vec<(String, String)>,
    pub input_type: String,
    /// Of one result, without what a map that collects errors makes of it.
    pub output_type: String,
    /// Jobs before it of which nothing is wanted any more, and which the server may have still.
    pub closed: Vec<JobId>,
    /// How many inputs there will be, when that is known.
    pub total: Option<u64>,
    /// Inputs that are queued: those from 0 on.
    pub items: u64,
    /// The pieces that they are.
    pub pieces: u32,
    pub inputs: Inputs,
    /// Since 1970.
    pub began: Duration,
    /// The text of the cell.
    pub source: String,
    /// The names and the texts of the definitions that the results' type is made of; of crates, what adds them.
    pub definitions: Vec<(String, String)>,
    /// The content of the function's artifact, and of the shared objects that it links to, in the order in which they are to
    /// be loaded; [`object()`] gives their names. The captured variables' is in the task.
    pub artifact: u128,
    pub libraries: Vec<u128>,
}

impl Manifest {
    /// In the place of one that cannot be read.
    pub fn unknown(job: JobId) -> Self {
        let artifact = ArtifactId {
            content: 0,
            toolchain: ToolchainStamp(0),
        };
        let function = Function {
            address: FunctionAddress {
                artifact,
                offset: 0,
            },
            captures: None,
        };
        Self {
            version: VERSION,
            job,
            task: Task {
                runs: Runs::Function(function),
                options: Default::default(),
            },
            places: Default::default(),
            function: String::new(),
            captures: Vec::new(),
            input_type: String::new(),
            output_type: String::new(),
            closed: Vec::new(),
            total: None,
            items: 0,
            pieces: 0,
            inputs: Inputs::Coming,
            began: Duration::ZERO,
            source: String::new(),
            definitions: Vec::new(),
            artifact: 0,
            libraries: Vec::new(),
        }
    }

    /// The content of the captured variables.
    pub fn captures(&self) -> Option<u128> {
        let Runs::Function(function) = self.task.runs;
        function.captures
    }

    /// No more of it is done.
    pub fn give_up(&mut self) {
        if self.inputs == Inputs::Exhausted {
            self.total = Some(self.items);
        }
        self.inputs = Inputs::GivenUp;
    }
}

/// Whether more inputs come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Inputs {
    /// The session queues more. When it is gone, nobody does: `items` and `pieces` are of the beginning then, and
    /// what is queued is what the streams say.
    Coming,
    /// They are all queued, or about to be, with the manifest.
    Exhausted,
    /// It was cancelled: no more of it is done.
    GivenUp,
}

/// A piece of a job's inputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// `chunk` is the piece's number.
    pub span: Span,
    #[serde(with = "serde_bytes_like")]
    pub inputs: Vec<u8>,
}

/// What has become of a piece.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Index of its first input, and how many inputs it has.
    pub first: u64,
    pub items: u64,
    /// By their first items. Not all items are there when the job was stopped, or when one of them panicked in a map that
    /// does not collect errors.
    pub parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// `ended.done` results of the inputs from `first` on.
    Ran {
        rank: Rank,
        first: u64,
        ended: ChunkEnded,
        #[serde(with = "serde_bytes_like")]
        results: Vec<u8>,
    },
    /// An item that has no result for good.
    GivenUp {
        rank: Rank,
        item: u64,
        /// It was begun; otherwise the engines ended before they came to it.
        begun: bool,
        /// It was ended for taking too long.
        late: bool,
        /// How the last engine ended.
        cause: DeathCause,
    },
}

impl Done {
    /// Its parts, when they are of these items alone and each item is in one of them at most: a node says what it likes.
    pub fn parts_of(self, items: Range<u64>) -> Option<Vec<Part>> {
        let mut next = items.start;
        for part in &self.parts {
            let (first, count) = match part {
                Part::Ran { first, ended, .. } => (*first, ended.done),
                Part::GivenUp { item, .. } => (*item, 1),
            };
            let end = first.checked_add(count)?;
            if first < next || end > items.end {
                return None;
            }
            next = end;
        }
        Some(self.parts)
    }

    /// Of its results.
    pub fn bytes(&self) -> usize {
        let of = |part: &Part| match part {
            Part::Ran { results, .. } => results.len(),
            Part::GivenUp { .. } => 0,
        };
        self.parts.iter().map(of).sum()
    }
}

/// What the server has of a job's results.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Results {
    /// By the piece that they are of. Of each piece the first ones, and no two pieces are of the same item.
    pub parts: BTreeMap<u32, Vec<Part>>,
    /// Pieces of which something is there that cannot be read.
    pub damaged: u32,
    /// The items that the pieces are of.
    items: BTreeMap<u64, u64>,
}

impl Results {
    /// What there is of a piece; `None` when that cannot be read.
    pub fn add(&mut self, piece: u32, done: Option<Done>) {
        if self.parts.contains_key(&piece) {
            return;
        }
        let parts = done.and_then(|done| {
            let items = done.first..done.first.checked_add(done.items)?;
            let before = self.items.range(..items.end).next_back();
            let is_free = before.is_none_or(|(_, end)| *end <= items.start);
            let parts = done.parts_of(items.clone()).filter(|_| is_free)?;
            self.items.insert(items.start, items.end);
            Some(parts)
        });
        match parts {
            Some(parts) => drop(self.parts.insert(piece, parts)),
            None => self.damaged += 1,
        }
    }
}

impl Part {
    /// Whether an item of it has no result.
    pub fn fails(&self) -> bool {
        match self {
            Self::Ran { ended, .. } => ended.error.is_some(),
            Self::GivenUp { .. } => true,
        }
    }
}

/// What others have come to at a piece, for the node that has it next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strikes {
    /// By item, how many engines it has ended.
    pub items: BTreeMap<u64, u32>,
    /// Engines that ended at it without an item to blame.
    pub losses: u32,
    /// How often a node has given it back. Whoever else has taken it went without a word.
    pub returns: u64,
}

impl Strikes {
    pub fn new() -> Self {
        Self::default()
    }

    /// The same when it is given back once more.
    pub fn returned(mut self) -> Self {
        self.returns += 1;
        self
    }
}

/// A record as a message has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored<T> {
    Here(T),
    /// An object is the record.
    Object(Large),
}

/// A record that is an object in [`Names::large`]: of this name, and with this content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Large {
    pub name: String,
    pub content: u128,
}

const HERE: u8 = 0;
const OBJECT: u8 = 1;

/// What is no record.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no record of a queue")]
pub struct Malformed;

impl<T: DeserializeOwned> Stored<T> {
    /// What a message says.
    pub fn read(message: &[u8]) -> Result<Self, Malformed> {
        match message.split_first() {
            Some((&HERE, rest)) => record(rest).map(Self::Here),
            Some((&OBJECT, rest)) => {
                let (content, name) = rest.split_first_chunk().ok_or(Malformed)?;
                let name = String::from_utf8(name.to_vec()).map_err(|_| Malformed)?;
                let content = u128::from_le_bytes(*content);
                Ok(Self::Object(Large { name, content }))
            }
            _ => Err(Malformed),
        }
    }
}

/// The record that an object is, or a message whose first byte was taken off.
pub fn record<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Malformed> {
    postcard::from_bytes(bytes).map_err(|_| Malformed)
}

/// The message that is this record. When it has more than [`LARGEST`] bytes, what is behind its first byte is to be an
/// object, and [`named`] the message.
pub fn message<T: Serialize>(record: &T) -> Vec<u8> {
    // Into memory, of types that can be: it cannot fail.
    postcard::to_extend(record, vec![HERE]).unwrap_or_default()
}

/// The message of a record that is this object.
pub fn named(object: &Large) -> Vec<u8> {
    [
        &[OBJECT][..],
        &object.content.to_le_bytes(),
        object.name.as_bytes(),
    ]
    .concat()
}

/// Bytes as one copy, which a sequence of numbers is not.
mod serde_bytes_like {
    use std::fmt;

    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        struct Bytes;

        impl Visitor<'_> for Bytes {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }

            fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
                Ok(bytes)
            }
        }
        from.deserialize_byte_buf(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_a_message_or_named_by_one() {
        let work = Work {
            span: Span {
                chunk: 3,
                first: 40,
                count: 2,
                from: 0,
                to: 2,
            },
            inputs: vec![1, 2, 3],
        };
        let whole = message(&work);
        assert_eq!(Stored::read(&whole), Ok(Stored::Here(work.clone())));
        assert_eq!(record(&whole[1..]), Ok(work));
        let large = Large {
            name: "7.work.3".to_owned(),
            content: 5,
        };
        let by_name = named(&large);
        assert_eq!(Stored::<Work>::read(&by_name), Ok(Stored::Object(large)));
        let mut no_text = by_name;
        no_text.push(0xff);
        for garbage in [&[][..], &[9, 1], &[HERE, 0xff], &[OBJECT, 0xff], &no_text] {
            assert_eq!(Stored::<Work>::read(garbage), Err(Malformed));
        }
    }

    #[test]
    fn parts_are_of_their_piece() {
        let ran = |first, done| Part::Ran {
            rank: Rank(0),
            first,
            ended: ChunkEnded::well(done),
            results: Vec::new(),
        };
        let given_up = |item| Part::GivenUp {
            rank: Rank(0),
            item,
            begun: true,
            late: false,
            cause: DeathCause::Unknown,
        };
        let are = |parts: &[Part]| {
            let done = Done {
                first: 40,
                items: 4,
                parts: parts.to_vec(),
            };
            done.parts_of(40..44).is_some()
        };
        assert!(are(&[ran(40, 4)]));
        assert!(are(&[ran(40, 1), given_up(41), ran(42, 2)]));
        // Not all of it, as when it was stopped.
        assert!(are(&[ran(40, 1)]) && are(&[]));
        assert!(!are(&[ran(39, 1)]) && !are(&[ran(40, 5)]) && !are(&[given_up(44)]));
        assert!(!are(&[ran(40, 2), ran(41, 2)]) && !are(&[ran(42, u64::MAX)]));
    }

    #[test]
    fn what_cannot_be_read_takes_no_other_results_with_it() {
        let done = |first, items| {
            let ran = Part::Ran {
                rank: Rank(0),
                first,
                ended: ChunkEnded::well(items),
                results: Vec::new(),
            };
            let parts = vec![ran];
            Some(Done {
                first,
                items,
                parts,
            })
        };
        let mut results = Results::default();
        results.add(1, done(4, 4));
        results.add(2, None);
        results.add(0, done(0, 4));
        // Told twice, as after the server was gone.
        results.add(0, done(0, 4));
        assert_eq!((results.parts.len(), results.damaged), (2, 1));
        // A node says what it likes.
        for wrong in [done(7, 2), done(3, 2), done(u64::MAX, 2), done(0, 9)] {
            results.add(9, wrong);
        }
        results.add(8, done(8, 1));
        assert_eq!((results.parts.len(), results.damaged), (3, 5));
    }

    #[test]
    fn subjects_say_of_what_they_are() {
        let names = Names::of("regatta-0");
        let is = Some((JobId(7), 12));
        assert_eq!(Names::piece_of(&names.work(Lane::Now, JobId(7), 12)), is);
        assert_eq!(Names::piece_of(&names.result(JobId(7), 12)), is);
        for lane in Lane::ALL {
            let subject = names.work(lane, JobId(7), 12);
            assert_eq!(names.lane_of(&subject), Some(lane));
        }
        assert_eq!(names.lane_of(&names.result(JobId(7), 12)), None);
        assert_eq!(Names::job_of(&names.job(JobId(7))), Some(JobId(7)));
        let failed = names.failed(JobId(7));
        assert_eq!(Names::failed_of(&failed), Some(JobId(7)));
        assert_eq!(Names::piece_of(&failed), None);
        assert_eq!(Names::failed_of(&names.result(JobId(7), 12)), None);
        assert_eq!(Names::piece_of(&names.strikes(JobId(7), 12)), None);
    }
}
