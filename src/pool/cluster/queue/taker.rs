//! A node's end of its cluster's queue: pieces are asked for, and come; results are given to the server, and their pieces
//! acknowledged when a stream has them. Requests wait at the server, so that a piece comes as soon as it is queued.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE;
use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::{Context, ErrorCode};
use async_nats::{Client, HeaderMap, Message, StatusCode, Subject, jetstream};
use tokio::time::{Instant, timeout};

use super::objects::{Objects, other};
use super::schema::{AGAIN as AGAIN_HEADER, Lane, Manifest, Names, Stored, Strikes, message};
use crate::ids::JobId;

/// How long a request for pieces waits at the server.
const WAITS: Duration = Duration::from_secs(60);

/// How often the server says that a request waits there. One of which it says nothing for twice as long is lost: nobody tells
/// of those that come while there is no consumer.
const BEAT: Duration = Duration::from_secs(2);

/// Pieces are asked for anew so late, when others were asked for and nothing is queued.
const SOON: Duration = Duration::from_millis(2);

/// What the server says to a request that it has no place for, or whose consumer goes; and so much later it is asked again.
const CONFLICT: u16 = 409;
const REFUSED: Duration = Duration::from_millis(100);

/// What is to be stored before an item begins is waited for so long.
const STORED: Duration = Duration::from_secs(1);

/// A result that no stream has acknowledged for so long is given again.
const AGAIN: Duration = Duration::from_secs(2);

/// A piece that was taken. It is this node's as long as it says so in time.
pub struct Taken {
    pub job: JobId,
    pub piece: u32,
    /// How often it was taken, by any node.
    pub deliveries: u64,
    /// How many were queued behind it in its lane.
    pending: u64,
    /// Its session has queued it before.
    pub is_again: bool,
    /// Where it is acknowledged.
    reply: Subject,
    pub message: Message,
}

impl Taken {
    /// Whether somebody had it before, here or elsewhere, who may have told of it.
    pub fn may_have_strikes(&self) -> bool {
        self.deliveries > 1 || self.is_again
    }
}

/// What comes of what was said to the server.
pub enum Came {
    Taken(Box<Taken>),
    /// A stream has a result of the piece whose result has this number; when it had one before, this is what was given: it may be
    /// the same, whose acknowledgement was lost.
    Kept(u64, Option<Vec<u8>>),
    /// There may be room for more.
    Nothing,
}

/// A result that no stream has acknowledged.
struct Unkept {
    subject: String,
    message: Vec<u8>,
    /// When it was given last.
    since: Instant,
    job: JobId,
    /// Since when the server could have taken it.
    first: Instant,
}

pub struct Taker {
    client: Client,
    jetstream: Context,
    pub names: Names,
    pub objects: Objects,
    inbox: String,
    /// Requests that wait at the server, the pieces that each is still to bring, and when the server last said that it waits.
    requests: RefCell<BTreeMap<u64, (Lane, usize, Instant)>>,
    /// Results that no stream has acknowledged, by number.
    unkept: RefCell<BTreeMap<u64, Unkept>>,
    next: Cell<u64>,
    /// Lanes in which nothing was queued behind the piece that came last.
    empty: RefCell<BTreeSet<Lane>>,
    /// When the server had no place for a request last.
    refused: Cell<Option<Instant>>,
    /// Nothing is given to the server: it has no room, or that is not known.
    held: Cell<bool>,
}

impl Taker {
    pub fn new(client: Client, names: Names) -> Self {
        let jetstream = jetstream::new(client.clone());
        Self {
            objects: Objects::new(client.clone(), jetstream.clone(), names.clone()),
            jetstream,
            inbox: client.new_inbox(),
            client,
            names,
            requests: RefCell::default(),
            unkept: RefCell::default(),
            next: Cell::new(0),
            empty: RefCell::default(),
            refused: Cell::default(),
            held: Cell::new(false),
        }
    }

    /// Nothing is to be given to the server.
    pub fn is_held(&self) -> bool {
        self.held.get()
    }

    /// Whether the server has room; whether it has it again.
    pub fn has_room(&self, room: bool) -> bool {
        let again = self.held.replace(!room) && room;
        if again {
            let mut unkept = self.unkept.borrow_mut();
            unkept.values_mut().for_each(|it| it.first = Instant::now());
        }
        again
    }

    /// Jobs of which the server does not take a result, for so long.
    pub fn untaken(&self, after: Duration) -> BTreeSet<JobId> {
        let unkept = self.unkept.borrow();
        let late = unkept.values().filter(|it| it.first.elapsed() > after);
        late.filter(|_| !self.is_held()).map(|it| it.job).collect()
    }

    /// Whether nothing is queued, and no node has anything of it.
    pub async fn is_drained(&self) -> io::Result<bool> {
        let works = self.jetstream.get_stream_no_info(self.names.works()).await;
        let works = works.map_err(other)?;
        for lane in Lane::ALL {
            let consumer = works.get_consumer::<pull::Config>(lane.consumer()).await;
            let consumer = consumer.map_err(other)?;
            let about = consumer.cached_info();
            if about.num_pending > 0 || about.num_ack_pending > 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Where the server's words for it come.
    pub fn subject(&self) -> String {
        format!("{}.*.*", self.inbox)
    }

    fn number(&self) -> u64 {
        self.next.replace(self.next.get() + 1)
    }

    async fn say(&self, to: impl async_nats::subject::ToSubject, what: Vec<u8>) {
        // It fails for good only when the client has been closed, and then nobody waits for it.
        let _ = self.client.publish(to, what.into()).await;
    }

    /// Sees to it that so many pieces of each lane are asked for. What has time is left, unless it was before (`is_late`): one
    /// request is for several pieces then, and none goes while an engine begins with one. When to come back for it.
    pub async fn ask(&self, room: usize, is_late: bool) -> Option<Duration> {
        if self.is_held() {
            return None;
        }
        if self.refused.get().is_some_and(|at| at.elapsed() < REFUSED) {
            return Some(REFUSED);
        }
        let mut left = None;
        for lane in Lane::ALL {
            let waits: usize = {
                let mut requests = self.requests.borrow_mut();
                requests.retain(|_, (.., told)| told.elapsed() < 2 * BEAT);
                let of_lane = requests.values().filter(|(of, ..)| *of == lane);
                of_lane.map(|(_, count, _)| count).sum()
            };
            let batch = room.saturating_sub(waits);
            if batch == 0 {
                continue;
            }
            if !is_late && waits > 0 && self.empty.borrow().contains(&lane) {
                left = Some(SOON);
                continue;
            }
            let number = self.number();
            let request = (lane, batch, Instant::now());
            self.requests.borrow_mut().insert(number, request);
            let question = format!(
                r#"{{"batch":{batch},"expires":{},"idle_heartbeat":{}}}"#,
                WAITS.as_nanos(),
                BEAT.as_nanos()
            );
            let (stream, consumer) = (self.names.works(), lane.consumer());
            let to = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}");
            let reply = format!("{}.work.{number}", self.inbox);
            let asked = self.client.publish_with_reply(to, reply, question.into());
            let _ = asked.await;
        }
        left
    }

    /// The server is there again: what waited there is lost.
    pub fn again(&self) {
        self.requests.borrow_mut().clear();
        self.empty.borrow_mut().clear();
        self.held.set(true);
    }

    /// What comes to [`Self::subject`]. A piece comes with a subject of its own.
    pub fn came(&self, message: Message) -> Came {
        if let Some(lane) = self.names.lane_of(&message.subject) {
            self.brought(lane);
            let Some(taken) = taken(message) else {
                return Came::Nothing;
            };
            let mut empty = self.empty.borrow_mut();
            match taken.pending {
                0 => empty.insert(lane),
                _ => empty.remove(&lane),
            };
            return Came::Taken(Box::new(taken));
        }
        let mut words = message.subject.rsplit('.');
        let number = words.next().and_then(|it| it.parse().ok());
        let (Some(number), Some(kind)) = (number, words.next()) else {
            return Came::Nothing;
        };
        if kind == "kept" {
            return self.kept(number, &message);
        }
        let mut requests = self.requests.borrow_mut();
        if message.status == StatusCode::from_u16(CONFLICT).ok() {
            self.refused.set(Some(Instant::now()));
        }
        if message.status != Some(StatusCode::IDLE_HEARTBEAT) {
            // It brings no more.
            requests.remove(&number);
        } else if let Some((.., told)) = requests.get_mut(&number) {
            *told = Instant::now();
        }
        Came::Nothing
    }

    /// The oldest request of a lane has brought a piece.
    fn brought(&self, lane: Lane) {
        let mut requests = self.requests.borrow_mut();
        let oldest = requests.iter_mut().find(|(_, (of, ..))| *of == lane);
        if let Some((&number, (_, left, told))) = oldest {
            (*left, *told) = (*left - 1, Instant::now());
            if *left == 0 {
                requests.remove(&number);
            }
        }
    }

    fn kept(&self, number: u64, message: &Message) -> Came {
        let is_first = match serde_json::from_slice(&message.payload) {
            Ok(Response::Ok::<PublishAck>(_)) => true,
            Ok(Response::Err { error })
                if error.error_code() == ErrorCode::STREAM_WRONG_LAST_SEQUENCE =>
            {
                false
            }
            // What is refused is given again in a while.
            _ => return Came::Nothing,
        };
        match self.unkept.borrow_mut().remove(&number) {
            Some(unkept) => Came::Kept(number, (!is_first).then_some(unkept.message)),
            None => Came::Nothing,
        }
    }

    /// Gives a result to the server; the number that is named when it has it.
    pub async fn give(&self, job: JobId, piece: u32, message: Vec<u8>) -> u64 {
        let number = self.number();
        let subject = self.names.result(job, piece);
        let unkept = Unkept {
            subject: subject.clone(),
            message: message.clone(),
            since: Instant::now(),
            job,
            first: Instant::now(),
        };
        self.unkept.borrow_mut().insert(number, unkept);
        if !self.is_held() {
            self.give_first(number, subject, message).await;
        }
        number
    }

    /// Whether the result of a piece that stays is this one.
    pub async fn has_result(&self, job: JobId, piece: u32, message: &[u8]) -> bool {
        let subject = self.names.result(job, piece);
        let last = self.last(&self.names.results(), &subject).await;
        last.is_ok_and(|last| last.as_deref() == Some(message))
    }

    /// Nobody wants a result any more.
    pub fn drop_result(&self, number: u64) {
        self.unkept.borrow_mut().remove(&number);
    }

    /// The first result of a piece is the one that stays.
    async fn give_first(&self, number: u64, subject: String, message: Vec<u8>) {
        let reply = format!("{}.kept.{number}", self.inbox);
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, "0");
        let published =
            self.client
                .publish_with_reply_and_headers(subject, reply, headers, message.into());
        let _ = published.await;
    }

    /// Gives results again that no stream has acknowledged for so long.
    pub async fn give_again(&self, after: Duration) {
        if self.is_held() {
            return;
        }
        let late: Vec<(u64, String, Vec<u8>)> = {
            let mut unkept = self.unkept.borrow_mut();
            let late = unkept
                .iter_mut()
                .filter(|(_, it)| it.since.elapsed() >= after);
            late.map(|(number, it)| {
                it.since = Instant::now();
                (*number, it.subject.clone(), it.message.clone())
            })
            .collect()
        };
        for (number, subject, message) in late {
            self.give_first(number, subject, message).await;
        }
    }

    /// The same of those that were given long ago.
    pub async fn give_late(&self) {
        self.give_again(AGAIN).await;
    }

    /// A piece is done, or nobody wants it.
    pub async fn acknowledge(&self, taken: &Taken) {
        self.say(taken.reply.clone(), b"+ACK".to_vec()).await;
    }

    /// Another node may have it, after so long.
    pub async fn give_back(&self, taken: &Taken, after: Duration) {
        // One without a time is looked at at once, and one with none left waits for a timer.
        let word = match after.is_zero() {
            true => "-NAK".to_owned(),
            false => format!(r#"-NAK {{"delay":{}}}"#, after.as_nanos()),
        };
        self.say(taken.reply.clone(), word.into_bytes()).await;
    }

    /// It is still this node's.
    pub async fn keep(&self, taken: &Taken) {
        self.say(taken.reply.clone(), b"+WPI".to_vec()).await;
    }

    /// Tells that an item of a job has no result.
    pub async fn tell_failed(&self, job: JobId) {
        self.say(self.names.failed(job), Vec::new()).await;
    }

    /// Tells what has come of a piece that is given back.
    pub async fn tell_strikes(&self, taken: &Taken, strikes: &Strikes) {
        let subject = self.names.strikes(taken.job, taken.piece);
        self.say(subject, message(strikes)).await;
    }

    /// The same, when a stream has it, unless that takes long.
    pub async fn store_strikes(&self, taken: &Taken, strikes: &Strikes) {
        let subject = self.names.strikes(taken.job, taken.piece);
        let stored = self.client.request(subject, message(strikes).into());
        // What is not known then counts less against an item.
        let _ = timeout(STORED, stored).await;
    }

    pub async fn strikes(&self, taken: &Taken) -> io::Result<Strikes> {
        let subject = self.names.strikes(taken.job, taken.piece);
        let last = self.last(&self.names.results(), &subject).await?;
        Ok(match last.map(|bytes| Stored::read(&bytes)) {
            Some(Ok(Stored::Here(strikes))) => strikes,
            _ => Strikes::new(),
        })
    }

    /// A job's manifest; `None` when it is not wanted any more.
    pub async fn manifest(&self, job: JobId) -> io::Result<Option<Manifest>> {
        let last = self.last(&self.names.jobs(), &self.names.job(job)).await?;
        match last {
            Some(message) => self.objects.manifest(&message).await,
            None => Ok(None),
        }
    }

    /// The last message of a subject.
    async fn last(&self, stream: &str, subject: &str) -> io::Result<Option<Vec<u8>>> {
        let question = format!("$JS.API.DIRECT.GET.{stream}.{subject}");
        let answer = self.client.request(question, Vec::new().into()).await;
        let answer = answer.map_err(other)?;
        match answer.status {
            Some(StatusCode::NOT_FOUND) => Ok(None),
            Some(status) if status != StatusCode::OK => Err(other(status)),
            _ => Ok(Some(answer.payload.to_vec())),
        }
    }
}

/// What a message of the stream of work is.
fn taken(message: Message) -> Option<Taken> {
    let (job, piece) = Names::piece_of(&message.subject)?;
    let reply = message.reply.clone()?;
    let (deliveries, pending) = counts(&reply)?;
    Some(Taken {
        job,
        piece,
        deliveries,
        pending,
        is_again: message
            .headers
            .as_ref()
            .is_some_and(|it| it.get(AGAIN_HEADER).is_some()),
        reply,
        message,
    })
}

/// How often a message was delivered, and how many were queued behind it: in the subject on which it is acknowledged.
fn counts(reply: &str) -> Option<(u64, u64)> {
    let words: Vec<&str> = reply.split('.').collect();
    // Newer servers name domain and account before the stream.
    let at = if words.len() == 9 { 4 } else { 6 };
    let number = |at: usize| words.get(at)?.parse().ok();
    Some((number(at)?, number(at + 4)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_how_often_it_was_delivered_and_what_is_behind_it() {
        let old = "$JS.ACK.regatta-0-work.nodes-now.3.70.12.1700000000000000000.5";
        assert_eq!(counts(old), Some((3, 5)));
        let new = "$JS.ACK._.hash.regatta-0-work.nodes-now.2.70.12.1700000000000000000.5.token";
        assert_eq!(counts(new), Some((2, 5)));
        assert_eq!(counts("$JS.ACK.x"), None);
    }
}
