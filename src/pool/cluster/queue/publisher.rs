//! What is queued gets to the server, and what comes of it to the hub: on the session's thread. What has not been
//! acknowledged is sent again when the server is back, and the stream of results is read again, so that nothing is missed.

mod begun;
mod cleared;
mod contents;
mod lost;
mod open;
mod swept;
mod turns;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::{self, Context};
use async_nats::{Client, HeaderMap, Message, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep};

use super::former::{Formers, Look};
use super::line::{Ear, Order, Told};
use super::objects::{Objects, other};
use super::patience::{AGAIN, patiently};
use super::reader::Reader;
use super::schema::{ACK_WAIT, AGAIN as AGAIN_HEADER, Done, Manifest, Names, Stored, record};
use super::setup;
use crate::ids::JobId;
use crate::outcome::NodeFault;
use crate::pool::QueueFault;
use crate::pool::cluster::PATIENCE;
use crate::pool::cluster::aside::aside;
use crate::pool::cluster::upkeep::{Room, Upkeep};
use crate::pool::cluster::users::seat_of;
use contents::Contents;
use open::Open;
use swept::Closed;
use turns::Turns;

/// So many jobs are remembered as stopped.
const STOPPED: usize = 64;

/// How often it is looked whether the server has all of a job.
const GLANCE: Duration = Duration::from_millis(5);

pub struct Publisher {
    client: Client,
    jetstream: Context,
    pub(super) names: Names,
    pub(super) objects: Rc<Objects>,
    pub(super) reader: Reader,
    pub(super) formers: Arc<Formers>,
    /// Acknowledgements come to subjects below it.
    inbox: String,
    jobs: RefCell<BTreeMap<JobId, Rc<Job>>>,
    contents: RefCell<Contents>,
    /// Contents that it is to forget, until it has.
    dropped: RefCell<HashSet<u128>>,
    /// Which session this is, where a former one is not refused by the server.
    epoch: Option<u64>,
    stopped: RefCell<VecDeque<JobId>>,
    /// Why the cluster is not this session's any more.
    lost: RefCell<Option<NodeFault>>,
    /// Jobs of which something is going from the server by itself.
    going: Cell<usize>,
    closed: RefCell<Closed>,
    /// The highest number that the server was told.
    told: Cell<JobId>,
    /// By artifact that the server has, what it links to, which the server has too.
    linked: RefCell<HashMap<u128, Vec<u128>>>,
    /// Artifacts of which it is looked what they link to, and contents that are on their way to the server.
    linking: Turns,
    putting: Turns,
    /// Messages that no stream has acknowledged, by what their acknowledgements are called.
    unacknowledged: RefCell<BTreeMap<u64, Kept>>,
    next: Cell<u64>,
    /// When a stream last said anything to a message.
    answered_at: Cell<Instant>,
    words: UnboundedSender<Word>,
    upkeep: Rc<Upkeep>,
}

/// A message until a stream has it.
#[derive(Clone)]
struct Kept {
    job: JobId,
    subject: String,
    message: Bytes,
    /// Of the inputs in it, for the hub.
    bytes: u64,
    /// A piece that was queued before.
    is_again: bool,
    /// When it was sent last.
    sent: Instant,
    /// Since when it is refused.
    refused: Option<Instant>,
}

impl Kept {
    fn of(job: JobId, subject: String, message: Bytes) -> Self {
        Self {
            job,
            subject,
            message,
            bytes: 0,
            is_again: false,
            sent: Instant::now(),
            refused: None,
        }
    }
}

pub(super) struct Job {
    ear: Ear,
    pub(super) manifest: RefCell<Manifest>,
    orders: UnboundedSender<Order>,
    /// The server has what nodes need for it, and its manifest says what that is.
    is_prepared: Cell<bool>,
    /// Pieces that were queued and of which nothing was heard.
    pub(super) open: RefCell<Open>,
    /// Large records of it.
    large: RefCell<Vec<String>>,
    /// Nodes that are to tell what they have, and what others have told.
    asked: RefCell<Option<Asked>>,
    /// When it got on last, or there was room to do so.
    progress: Cell<Instant>,
    /// When results came last, or it was asked why none come; how often that was of no use.
    moved: Cell<Instant>,
    stuck: Cell<u32>,
    /// How often what was lost was queued again since results came last, and how often the way to nodes was made anew.
    renewed: Cell<u32>,
    ways: Cell<u32>,
    /// The same of results that were read again because nothing was heard of them.
    words_missed: Cell<u32>,
    /// It is being looked what the server has lost of it.
    is_looked_at: Cell<bool>,
    /// What no node has taken is not wanted.
    is_emptied: Cell<bool>,
    /// An item has no result, which is told when it is none of the session's maps any more.
    pub(super) has_failed: Cell<bool>,
    /// Pieces whose large results are being read, and what the objects are called.
    reading: RefCell<BTreeSet<(u32, String)>>,
}

impl Job {
    /// Whether large results of this piece are being read.
    fn is_reading(&self, piece: u32) -> bool {
        let reading = self.reading.borrow();
        reading.iter().any(|(of, _)| *of == piece)
    }
}

/// Nodes were asked what they have of a job.
struct Asked {
    /// The job is stopped; otherwise it is to be known whether something of it is lost.
    stopped: bool,
    nodes: BTreeSet<String>,
    /// What others have told.
    holding: Vec<u32>,
}

/// What the session's thread listens to for it.
pub struct Ears {
    pub results: Subscriber,
    pub answers: Subscriber,
    pub words: UnboundedReceiver<Word>,
}

/// What nodes are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// To tell what they have of a job.
    Tell(JobId),
    /// To stop a job; whether they are to tell what they have of it.
    Stop(JobId, bool),
}

/// What they hear.
pub enum Word {
    Result(Message),
    Answer(Message),
    Ask(Ask),
    /// The node of this seat gives what is no result.
    GiveUp(String),
}

/// What is heard next; nothing where there is no queue.
pub async fn told(ears: &mut Option<Ears>) -> Word {
    let Some(ears) = ears else {
        return std::future::pending().await;
    };
    tokio::select! {
        Some(message) = ears.results.next() => Word::Result(message),
        Some(message) = ears.answers.next() => Word::Answer(message),
        Some(word) = ears.words.recv() => word,
        // Of a client that was closed nothing is heard.
        else => std::future::pending().await,
    }
}

impl Publisher {
    /// Makes the queue, unless it is there. `epoch`: see [`Self::epoch`].
    pub async fn open(
        client: &Client,
        cluster: &str,
        formers: Arc<Formers>,
        upkeep: Rc<Upkeep>,
        epoch: Option<u64>,
    ) -> io::Result<(Rc<Self>, Ears)> {
        let names = Names::of(cluster);
        let jetstream = jetstream::new(client.clone());
        let since = Instant::now();
        // A server that has just started may not serve it yet.
        while let Err(error) = setup::streams(&jetstream, &names).await {
            if since.elapsed() > PATIENCE {
                return Err(error);
            }
            sleep(AGAIN).await;
        }
        let inbox = client.new_inbox();
        let subscribe = async |subject: String| client.subscribe(subject).await.map_err(other);
        let (words, told) = unbounded_channel();
        let ears = Ears {
            results: subscribe(names.all_results()).await?,
            answers: subscribe(format!("{inbox}.*")).await?,
            words: told,
        };
        let objects = Objects::new(client.clone(), jetstream.clone(), names.clone());
        let objects = Rc::new(objects);
        let publisher = Rc::new(Self {
            client: client.clone(),
            reader: Reader::new(jetstream.clone(), names.clone(), objects.clone()),
            objects,
            formers,
            jetstream,
            names,
            inbox,
            jobs: RefCell::default(),
            contents: RefCell::default(),
            dropped: RefCell::default(),
            epoch,
            stopped: RefCell::default(),
            lost: RefCell::default(),
            going: Cell::new(0),
            closed: RefCell::default(),
            told: Cell::new(JobId(0)),
            linked: RefCell::default(),
            linking: Turns::default(),
            putting: Turns::default(),
            unacknowledged: RefCell::default(),
            next: Cell::new(0),
            answered_at: Cell::new(Instant::now()),
            words,
            upkeep,
        });
        if let Some(epoch) = epoch {
            let digits = epoch.to_string().into_bytes();
            let stored = publisher
                .jetstream
                .publish(publisher.names.epoch(), digits.into());
            stored.await.map_err(other)?.await.map_err(other)?;
        }
        publisher.look_back(Look::First).await?;
        Ok((publisher, ears))
    }

    /// Whether a job is a map of this session's.
    pub(super) fn is_its_own(&self, job: JobId) -> bool {
        self.jobs.borrow().contains_key(&job)
    }

    /// It is none any more.
    pub(super) fn take_job(&self, number: JobId) -> Option<Rc<Job>> {
        let job = self.jobs.borrow_mut().remove(&number)?;
        let _ = job.orders.send(Order::Close(number));
        Some(job)
    }

    /// Jobs that were stopped last, for a node that comes, or comes back.
    pub fn stopped(&self) -> Vec<JobId> {
        self.stopped.borrow().iter().copied().collect()
    }

    /// Nodes are asked for this soon, while there is a session.
    fn ask(&self, ask: Ask) {
        if let Ask::Stop(job, _) = ask {
            let mut stopped = self.stopped.borrow_mut();
            stopped.retain(|other| *other != job);
            stopped.push_back(job);
            if stopped.len() > STOPPED {
                stopped.pop_front();
            }
        }
        let _ = self.words.send(Word::Ask(ask));
    }

    fn job(&self, job: JobId) -> Option<Rc<Job>> {
        self.jobs.borrow().get(&job).cloned()
    }

    pub fn order(self: &Rc<Self>, order: Order) {
        if let Some(why) = &*self.lost.borrow() {
            if let Order::Results(_, told) = order {
                let _ = told.send(Err(other(why.to_string())));
            }
            return;
        }
        match order {
            Order::Begin(begin) => self.begin(*begin),
            Order::Put(job, ..) | Order::Complete(job, ..) | Order::Detach(job) => {
                // Of one that was closed there is nothing more to do.
                if let Some(job) = self.job(job) {
                    let _ = job.orders.send(order);
                }
            }
            Order::Empty(job) => self.empty(job),
            Order::Close(job) => self.close(job),
            Order::Results(job, told) => {
                let publisher = self.clone();
                spawn_local(async move {
                    let results = patiently(|| publisher.reader.results(job)).await;
                    // Who asked may have given up.
                    let _ = told.send(results);
                    publisher.formers.changed();
                });
            }
        }
    }

    /// Publishes to a stream, without waiting for its acknowledgement.
    async fn publish(&self, job: JobId, subject: String, message: Bytes, bytes: u64) {
        let kept = Kept {
            bytes,
            ..Kept::of(job, subject, message)
        };
        self.publish_kept(kept).await;
    }

    /// The same of a piece that the server has lost.
    async fn publish_again(&self, job: JobId, subject: String, message: Bytes) {
        let kept = Kept {
            is_again: true,
            ..Kept::of(job, subject, message)
        };
        self.publish_kept(kept).await;
    }

    async fn publish_kept(&self, kept: Kept) {
        let number = self.next.get();
        self.next.set(number + 1);
        self.unacknowledged
            .borrow_mut()
            .insert(number, kept.clone());
        self.send(number, kept).await;
    }

    /// Waits until the server has all that was published of a job, for as long as it gets more of it.
    pub(super) async fn until_all_is_there(&self, job: JobId) {
        let left = || {
            let all = self.unacknowledged.borrow();
            all.values().filter(|kept| kept.job == job).count()
        };
        let (mut before, mut since) = (left(), Instant::now());
        while before > 0 && since.elapsed() < PATIENCE {
            sleep(GLANCE).await;
            let now = left();
            if now < before {
                (before, since) = (now, Instant::now());
            }
        }
    }

    async fn send(&self, number: u64, kept: Kept) {
        if !self.upkeep.has_room() || self.is_lost() {
            // It waits for that.
            return;
        }
        if let Some(kept) = self.unacknowledged.borrow_mut().get_mut(&number) {
            kept.sent = Instant::now();
        }
        let reply = format!("{}.{number}", self.inbox);
        let Kept {
            subject, message, ..
        } = kept;
        let client = &self.client;
        // It fails for good only when the client has been closed, and then nobody waits for it.
        let _ = if kept.is_again {
            let mut headers = HeaderMap::new();
            headers.insert(AGAIN_HEADER, "1");
            client
                .publish_with_reply_and_headers(subject, reply, headers, message)
                .await
        } else {
            client.publish_with_reply(subject, reply, message).await
        };
    }

    /// A stream has answered.
    pub fn answered(self: &Rc<Self>, answer: &Message) {
        self.answered_at.set(Instant::now());
        let number = answer.subject.rsplit('.').next();
        let Some(number) = number.and_then(|it| it.parse::<u64>().ok()) else {
            return;
        };
        let refusal = match serde_json::from_slice(&answer.payload) {
            Ok(Response::Ok::<PublishAck>(_)) => None,
            Ok(Response::Err { error }) => Some(error.to_string()),
            // There is no stream yet.
            Err(_) => Some(NodeFault::NoServer.to_string()),
        };
        let mut all = self.unacknowledged.borrow_mut();
        let Some(why) = refusal else {
            if let Some(kept) = all.remove(&number) {
                drop(all);
                if let Some(job) = self.job(kept.job) {
                    job.ear.arrived(kept.bytes);
                }
            }
            return;
        };
        let Some(kept) = all.get_mut(&number) else {
            return;
        };
        let since = *kept.refused.get_or_insert_with(Instant::now);
        let job = self.job(kept.job);
        if since.elapsed() > PATIENCE
            && let Some(job) = job
        {
            drop(all);
            return job.ear.tell(Told::Failed(self.fault(why)));
        }
        let publisher = self.clone();
        spawn_local(async move {
            sleep(AGAIN).await;
            let kept = publisher.unacknowledged.borrow().get(&number).cloned();
            if let Some(kept) = kept {
                publisher.send(number, kept).await;
            }
        });
    }

    /// Why the server does not take something, of which it says this.
    fn fault(&self, says: String) -> QueueFault {
        match self.upkeep.full() {
            Some((folder, left)) => QueueFault::NoRoom { folder, left },
            None => QueueFault::Server(says),
        }
    }

    fn needs_room(&self) -> io::Result<()> {
        match self.upkeep.has_room() {
            true => Ok(()),
            false => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    /// The disk was looked at. Jobs that have not got on for long because it is full end; when it is not any more, what has
    /// waited for that goes to the server.
    pub fn look_at(self: &Rc<Self>, room: Room) {
        if self.is_lost() {
            return;
        }
        if room == Room::IsAgain {
            let publisher = self.clone();
            spawn_local(async move {
                // Some servers serve no streams any more when they could not write.
                let streams = setup::streams(&publisher.jetstream, &publisher.names);
                if streams.await.is_err() {
                    publisher.upkeep.end();
                }
                publisher.again();
            });
        }
        self.send_late();
        for (number, job) in self.jobs.borrow().iter() {
            if job.moved.get().elapsed() > ACK_WAIT && !job.open.borrow().is_empty() {
                job.moved.set(Instant::now());
                self.ask(Ask::Tell(*number));
            }
            match self.upkeep.full() {
                None => job.progress.set(Instant::now()),
                Some((folder, left)) if job.progress.get().elapsed() > PATIENCE => {
                    job.progress.set(Instant::now());
                    let fault = QueueFault::NoRoom { folder, left };
                    job.ear.tell(Told::Failed(fault));
                }
                Some(_) => {}
            }
        }
    }

    /// Sends again what the server has neither taken nor refused for long: it may have dropped it.
    fn send_late(self: &Rc<Self>) {
        let late: Vec<(u64, Kept)> = {
            let all = self.unacknowledged.borrow();
            // One that takes others may still come to it: the way is slow.
            let is_quiet = self.answered_at.get().elapsed() > PATIENCE;
            let is_late = |kept: &Kept| is_quiet && kept.sent.elapsed() > PATIENCE;
            let late = all.iter().filter(|(_, kept)| is_late(kept));
            late.map(|(number, kept)| (*number, kept.clone())).collect()
        };
        if !late.is_empty() {
            let publisher = self.clone();
            spawn_local(async move {
                for (number, kept) in late {
                    publisher.send(number, kept).await;
                }
            });
        }
    }

    /// The server is there again: what was under way may be lost.
    pub fn again(self: &Rc<Self>) {
        if !self.upkeep.has_room() || self.is_lost() {
            // It comes to that when there is.
            return;
        }
        let publisher = self.clone();
        spawn_local(async move {
            if !publisher.still_has().await {
                return;
            }
            // What the server had may be lost, or damaged.
            publisher.contents.borrow_mut().clear();
            publisher.linked.borrow_mut().clear();
            let mended = || setup::streams(&publisher.jetstream, &publisher.names);
            if let Err(error) = patiently(mended).await {
                return publisher.fail_all(&error.to_string());
            }
            let all: Vec<u64> = publisher.unacknowledged.borrow().keys().copied().collect();
            for number in all {
                // That of a job that has ended meanwhile is not wanted.
                let kept = publisher.unacknowledged.borrow().get(&number).cloned();
                if let Some(kept) = kept {
                    publisher.send(number, kept).await;
                }
            }
            let jobs: Vec<(JobId, Rc<Job>)> = {
                let jobs = publisher.jobs.borrow();
                jobs.iter().map(|(at, job)| (*at, job.clone())).collect()
            };
            // Of those that are none of its own too.
            let _ = patiently(|| publisher.look_back(Look::Again)).await;
            for (number, job) in jobs {
                if !job.is_prepared.get() || !publisher.is_its_own(number) {
                    continue;
                }
                // Nodes that have it need it no more.
                let _ = publisher.tell_manifest(&job).await;
                if !job.open.borrow().is_empty() {
                    let read = || publisher.read_again(number);
                    // Who is gone for so long is given up elsewhere.
                    let _ = patiently(read).await;
                    publisher.ask(Ask::Tell(number));
                }
            }
        });
    }

    /// Reads what the stream has of a job.
    async fn read_again(self: &Rc<Self>, number: JobId) -> io::Result<()> {
        let (results, subject) = (self.names.results(), self.names.results_of(number));
        for message in self.reader.read_all(results, subject).await? {
            self.heard(&message);
        }
        Ok(())
    }

    /// A piece's results.
    pub fn heard(self: &Rc<Self>, told: &Message) {
        let Some((number, piece)) = Names::piece_of(&told.subject) else {
            // Maps of the session's see for themselves.
            let failed = Names::failed_of(&told.subject);
            return failed.into_iter().for_each(|job| self.has_failed(job));
        };
        let Some(job) = self.job(number) else {
            return self.formers.heard(number, piece);
        };
        if !job.open.borrow().contains(piece) {
            return;
        }
        let answers = told.reply.clone();
        let Ok(stored) = Stored::<Done>::read(&told.payload) else {
            return self.is_none(&job, piece, answers.as_deref());
        };
        let publisher = self.clone();
        spawn_local(async move {
            let done = match stored {
                Stored::Here(done) => {
                    // What was printed before it goes to the hub first.
                    tokio::task::yield_now().await;
                    done
                }
                Stored::Object(large) => {
                    let named = (piece, large.name.clone());
                    if !job.reading.borrow_mut().insert(named.clone()) {
                        return;
                    }
                    let read = patiently(|| publisher.objects.get_large(&large)).await;
                    let done = match read {
                        Ok(bytes) => aside(bytes.len(), move || record(&bytes).ok()).await,
                        Err(_) => None,
                    };
                    job.reading.borrow_mut().remove(&named);
                    let Some(done) = done else {
                        // Unless other results of it are there, or come.
                        if job.open.borrow().contains(piece) && !job.is_reading(piece) {
                            publisher.is_none(&job, piece, answers.as_deref());
                        }
                        return;
                    };
                    job.large.borrow_mut().push(large.name);
                    done
                }
            };
            job.progress.set(Instant::now());
            job.moved.set(Instant::now());
            job.stuck.set(0);
            job.renewed.set(0);
            job.ways.set(0);
            job.words_missed.set(0);
            if job.open.borrow_mut().remove(piece) {
                job.ear.tell(Told::Done(piece, done));
            }
            // It may have been detached while its results were read.
            if !publisher.is_its_own(number) {
                publisher.formers.heard(number, piece);
            }
        });
    }
}

impl Publisher {
    /// In a result's place is what cannot be read. The first one stays, so the job cannot come to its end.
    fn is_none(&self, job: &Job, piece: u32, answers: Option<&str>) {
        if let Some(seat) = answers.and_then(seat_of) {
            let _ = self.words.send(Word::GiveUp(seat.to_owned()));
        }
        let fault = QueueFault::NoResult { chunk: piece };
        job.ear.tell(Told::Failed(fault));
    }
}
