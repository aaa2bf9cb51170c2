//! What is queued gets to the server, and what comes of it to the hub: on the session's thread. What has not been
//! acknowledged is sent again when the server is back, and the stream of results is read again, so that nothing is missed.

mod cleared;
mod stored;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::{self, Context};
use async_nats::{Client, Message, Subscriber};
use futures_util::StreamExt as _;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep};

use super::former::Formers;
use super::line::{Begin, Ear, Order, Told};
use super::objects::{Objects, other};
use super::schema::{
    Done, Inputs, LARGEST, Lane, Manifest, Names, Stored, Work, content, large_object, message,
    named, record,
};
use super::setup;
use crate::ids::JobId;
use crate::outcome::NodeFault;
use crate::pool::cluster::libraries::{self, Known};
use crate::pool::cluster::{PATIENCE, carry};
use crate::wire::Payload;

/// What the server does not take now is sent again after so long.
const AGAIN: Duration = Duration::from_millis(200);

pub struct Publisher {
    client: Client,
    jetstream: Context,
    pub(super) names: Names,
    objects: Objects,
    pub(super) formers: Arc<Formers>,
    /// Acknowledgements come to subjects below it.
    inbox: String,
    jobs: RefCell<BTreeMap<JobId, Rc<Job>>>,
    /// Contents that the server has.
    has: RefCell<HashSet<u128>>,
    /// By artifact, what it links to.
    linked: RefCell<HashMap<u128, Vec<u128>>>,
    /// Messages that no stream has acknowledged, by what their acknowledgements are called.
    unacknowledged: RefCell<BTreeMap<u64, Kept>>,
    next: Cell<u64>,
    /// Nodes are to stop a job; whether they are to tell what they have of it.
    stops: UnboundedSender<(JobId, bool)>,
}

/// A message until a stream has it.
#[derive(Clone)]
struct Kept {
    job: JobId,
    subject: String,
    message: Vec<u8>,
    /// Of the inputs in it, for the hub.
    bytes: u64,
    /// Since when it is refused.
    refused: Option<Instant>,
}

pub(super) struct Job {
    ear: Ear,
    pub(super) manifest: RefCell<Manifest>,
    orders: UnboundedSender<Order>,
    /// Pieces that were queued and of which nothing was heard.
    pub(super) open: RefCell<BTreeSet<u32>>,
    /// Large records of it.
    large: RefCell<Vec<String>>,
    /// Nodes that are to tell what they have, and what others have told.
    asked: RefCell<Option<(BTreeSet<String>, Vec<u32>)>>,
}

/// What the session's thread listens to for it.
pub struct Ears {
    pub results: Subscriber,
    pub answers: Subscriber,
    pub stops: UnboundedReceiver<(JobId, bool)>,
}

/// What they hear.
pub enum Word {
    Result(Message),
    Answer(Message),
    /// Nodes are to stop a job; whether they are to tell what they have of it.
    Stop(JobId, bool),
}

/// What is heard next; nothing where there is no queue.
pub async fn told(ears: &mut Option<Ears>) -> Word {
    let Some(ears) = ears else {
        return std::future::pending().await;
    };
    tokio::select! {
        Some(message) = ears.results.next() => Word::Result(message),
        Some(message) = ears.answers.next() => Word::Answer(message),
        Some((job, told)) = ears.stops.recv() => Word::Stop(job, told),
        // Of a client that was closed nothing is heard.
        else => std::future::pending().await,
    }
}

impl Publisher {
    /// Makes the queue, unless it is there.
    pub async fn open(
        client: &Client,
        cluster: &str,
        formers: Arc<Formers>,
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
        let (stops, stopped) = unbounded_channel();
        let ears = Ears {
            results: subscribe(names.all_results()).await?,
            answers: subscribe(format!("{inbox}.*")).await?,
            stops: stopped,
        };
        let publisher = Rc::new(Self {
            client: client.clone(),
            objects: Objects::new(jetstream.clone(), names.clone()),
            formers,
            jetstream,
            names,
            inbox,
            jobs: RefCell::default(),
            has: RefCell::default(),
            linked: RefCell::default(),
            unacknowledged: RefCell::default(),
            next: Cell::new(0),
            stops,
        });
        publisher.look_back().await?;
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

    fn job(&self, job: JobId) -> Option<Rc<Job>> {
        self.jobs.borrow().get(&job).cloned()
    }

    pub fn order(self: &Rc<Self>, order: Order) {
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
                    let results = patiently(|| publisher.results(job)).await;
                    // Who asked may have given up.
                    let _ = told.send(results);
                    publisher.formers.changed();
                });
            }
        }
    }

    fn begin(self: &Rc<Self>, (manifest, begin, ear): (Manifest, Begin, Ear)) {
        let (orders, ordered) = unbounded_channel();
        let number = manifest.job;
        let job = Rc::new(Job {
            ear,
            manifest: RefCell::new(manifest),
            orders,
            open: RefCell::default(),
            large: RefCell::default(),
            asked: RefCell::default(),
        });
        self.jobs.borrow_mut().insert(number, job.clone());
        let publisher = self.clone();
        spawn_local(async move {
            if let Err(error) = publisher.serve(&job, begin, ordered).await {
                job.ear.tell(Told::Failed(error.to_string()));
            }
        });
    }

    /// Does what is ordered for a job, one after the other.
    async fn serve(
        self: &Rc<Self>,
        job: &Job,
        begin: Begin,
        mut orders: UnboundedReceiver<Order>,
    ) -> io::Result<()> {
        self.prepare(job, begin).await?;
        let highest = job.manifest.borrow().job;
        let digits = highest.to_string().into_bytes();
        { self.publish(highest, self.names.highest(), digits, 0) }.await;
        self.tell_manifest(job).await;
        let (number, lane) = {
            let manifest = job.manifest.borrow();
            (manifest.job, Lane::of(manifest.task.options.background))
        };
        while let Some(order) = orders.recv().await {
            match order {
                Order::Put(_, span, payload) => {
                    let (inputs, bytes) = (payload.copied(), payload.length());
                    payload.release();
                    let piece = span.chunk;
                    let mut message = message(&Work { span, inputs });
                    if message.len() > LARGEST {
                        let name = large_object(number, &format!("work.{piece}"));
                        job.large.borrow_mut().push(name.clone());
                        let put = || self.objects.put_large(&name, &message[1..]);
                        patiently(put).await?;
                        message = named(&name);
                    }
                    // It is asked for from now on, wherever it is.
                    job.open.borrow_mut().insert(piece);
                    let subject = self.names.work(lane, number, piece);
                    self.publish(number, subject, message, bytes).await;
                }
                Order::Complete(_, items, pieces) => {
                    {
                        let mut manifest = job.manifest.borrow_mut();
                        (manifest.items, manifest.pieces) = (items, pieces);
                        manifest.inputs = Inputs::Exhausted;
                    }
                    self.tell_manifest(job).await;
                }
                Order::Detach(_) => self.detach(number).await,
                _ => break,
            }
        }
        Ok(())
    }

    /// Sees to it that the server has what nodes need.
    async fn prepare(&self, job: &Job, begin: Begin) -> io::Result<()> {
        let artifact = {
            let manifest = job.manifest.borrow();
            let crate::wire::Runs::Function(function) = manifest.task.runs;
            function.address.artifact.content
        };
        let known = self.linked.borrow().get(&artifact).cloned();
        let linked = match known {
            Some(linked) => linked,
            None => {
                let bytes = carry::whole(&begin.artifact)?;
                let mut linked = Vec::new();
                for library in libraries::needed(&begin.artifact, &bytes, &mut Known::new()) {
                    let hash = content(&library);
                    self.has_content(hash, || library).await?;
                    linked.push(hash);
                }
                self.has_content(artifact, || bytes).await?;
                self.linked.borrow_mut().insert(artifact, linked.clone());
                linked
            }
        };
        for (hash, file) in &begin.libraries {
            let bytes = || carry::whole(file).unwrap_or_default();
            self.has_content(*hash, bytes).await?;
        }
        if let Some((hash, payload)) = &begin.captures {
            self.has_content(*hash, || Payload::copied(payload)).await?;
        }
        let mut manifest = job.manifest.borrow_mut();
        (manifest.artifact, manifest.libraries) = (artifact, linked);
        Ok(())
    }

    async fn has_content(&self, hash: u128, bytes: impl FnOnce() -> Vec<u8>) -> io::Result<()> {
        if self.has.borrow().contains(&hash) {
            return Ok(());
        }
        let bytes = bytes();
        patiently(|| self.objects.put(hash, &bytes)).await?;
        self.has.borrow_mut().insert(hash);
        Ok(())
    }

    async fn tell_manifest(&self, job: &Job) {
        let (number, message) = {
            let manifest = job.manifest.borrow();
            (manifest.job, message(&*manifest))
        };
        let subject = self.names.job(number);
        self.publish(number, subject, message, 0).await;
    }

    /// Publishes to a stream, without waiting for its acknowledgement.
    async fn publish(&self, job: JobId, subject: String, message: Vec<u8>, bytes: u64) {
        let number = self.next.get();
        self.next.set(number + 1);
        let kept = Kept {
            job,
            subject,
            message,
            bytes,
            refused: None,
        };
        self.unacknowledged
            .borrow_mut()
            .insert(number, kept.clone());
        self.send(number, kept).await;
    }

    async fn send(&self, number: u64, kept: Kept) {
        let reply = format!("{}.{number}", self.inbox);
        // It fails for good only when the client has been closed, and then nobody waits for it.
        let _ = self
            .client
            .publish_with_reply(kept.subject, reply, kept.message.into())
            .await;
    }

    /// A stream has answered.
    pub fn answered(self: &Rc<Self>, answer: &Message) {
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
        if since.elapsed() > PATIENCE {
            let job = kept.job;
            drop(all);
            if let Some(job) = self.job(job) {
                job.ear.tell(Told::Failed(why));
            }
            return;
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

    /// The server is there again: what was under way may be lost.
    pub fn again(self: &Rc<Self>) {
        let publisher = self.clone();
        spawn_local(async move {
            let mended = || setup::streams(&publisher.jetstream, &publisher.names);
            // Who is gone for so long is given up elsewhere.
            let _ = patiently(mended).await;
            let all: Vec<(u64, Kept)> = {
                let all = publisher.unacknowledged.borrow();
                all.iter().map(|(at, kept)| (*at, kept.clone())).collect()
            };
            for (number, kept) in all {
                publisher.send(number, kept).await;
            }
            let jobs: Vec<(JobId, Rc<Job>)> = {
                let jobs = publisher.jobs.borrow();
                jobs.iter().map(|(at, job)| (*at, job.clone())).collect()
            };
            // Of those that are none of its own too.
            let _ = patiently(|| publisher.look_back()).await;
            for (number, job) in jobs {
                if !job.open.borrow().is_empty() {
                    let read = || publisher.read_again(number);
                    // Who is gone for so long is given up elsewhere.
                    let _ = patiently(read).await;
                }
            }
        });
    }

    /// A piece's results.
    pub fn heard(self: &Rc<Self>, told: &Message) {
        let Some((number, piece)) = Names::piece_of(&told.subject) else {
            return;
        };
        let Some(job) = self.job(number) else {
            return self.formers.heard(number, piece);
        };
        if !job.open.borrow().contains(&piece) {
            return;
        }
        // A node that sends garbage is dropped for its words; its results are done again.
        let Ok(stored) = Stored::<Done>::read(&told.payload) else {
            return;
        };
        let publisher = self.clone();
        spawn_local(async move {
            let done = match stored {
                Stored::Here(done) => {
                    // What was printed before it goes to the hub first.
                    tokio::task::yield_now().await;
                    done
                }
                Stored::Object(name) => {
                    let read = patiently(|| publisher.objects.get_large(&name)).await;
                    let Some(done) = read.ok().and_then(|bytes| record(&bytes).ok()) else {
                        return;
                    };
                    job.large.borrow_mut().push(name);
                    done
                }
            };
            if job.open.borrow_mut().remove(&piece) {
                job.ear.tell(Told::Done(piece, done));
            }
        });
    }
}

/// Tries for as long as a server may take to come back.
async fn patiently<T>(mut what: impl AsyncFnMut() -> io::Result<T>) -> io::Result<T> {
    let since = Instant::now();
    loop {
        match what().await {
            Err(error) if since.elapsed() > PATIENCE => return Err(error),
            Err(_) => sleep(AGAIN).await,
            ok => return ok,
        }
    }
}
