//! A map begins: what nodes need for it goes to the server once, and then what is ordered for it, in turn.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use bytes::Bytes;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep};

use super::super::line::{Begin, Ear, Order, Told};
use super::super::objects::content_of;
use super::super::patience::patiently;
use super::super::schema::{
    Inputs, LARGEST, Lane, Large, Manifest, Work, content, large_object, message, named,
};
use super::{GLANCE, Job, Publisher};
use crate::ids::JobId;
use crate::pool::cluster::aside::aside;
use crate::pool::cluster::carry;
use crate::pool::cluster::libraries::{self, Known};
use crate::wire::Runs;

/// A map with so many bytes of inputs goes to the server as one.
const SMALL: u64 = 64 << 10;

impl Job {
    /// So many inputs in so many pieces are all that there are.
    fn is_complete(&self, items: u64, pieces: u32) {
        let mut manifest = self.manifest.borrow_mut();
        (manifest.items, manifest.pieces) = (items, pieces);
        manifest.inputs = Inputs::Exhausted;
    }
}

impl Publisher {
    pub(super) fn begin(self: &Rc<Self>, (manifest, begin, ear): (Manifest, Begin, Ear)) {
        let (orders, ordered) = unbounded_channel();
        let number = manifest.job;
        let job = Rc::new(Job {
            ear,
            manifest: RefCell::new(manifest),
            orders,
            is_prepared: Cell::new(false),
            open: RefCell::default(),
            large: RefCell::default(),
            asked: RefCell::default(),
            progress: Cell::new(Instant::now()),
            moved: Cell::new(Instant::now()),
            stuck: Cell::new(0),
            renewed: Cell::new(0),
            ways: Cell::new(0),
            words_missed: Cell::new(0),
            is_looked_at: Cell::new(false),
            is_emptied: Cell::new(false),
            has_failed: Cell::new(false),
            reading: RefCell::default(),
        });
        self.jobs.borrow_mut().insert(number, job.clone());
        let publisher = self.clone();
        spawn_local(async move {
            if let Err(error) = publisher.serve(&job, begin, ordered).await {
                job.ear
                    .tell(Told::Failed(publisher.fault(error.to_string())));
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
        let number = job.manifest.borrow().job;
        self.formers.takes(number);
        self.prepare(job, begin).await?;
        // It is told soon, when it has lost the cluster.
        if !self.is_its_own(number) || !self.still_has().await {
            return Ok(());
        }
        job.is_prepared.set(true);
        let mut ready = self.ready(job, &mut orders);
        self.tell_manifest(job).await?;
        let lane = Lane::of(job.manifest.borrow().task.options.background);
        loop {
            let next = match ready.pop_front() {
                Some(order) => Some(order),
                None => orders.recv().await,
            };
            let Some(order) = next else { break };
            if !self.is_its_own(number) {
                break;
            }
            match order {
                Order::Put(_, span, payload) => {
                    let (bytes, piece) = (payload.length(), span.chunk);
                    let made = move || {
                        let inputs = payload.copied();
                        payload.release();
                        message(&Work { span, inputs })
                    };
                    let length = usize::try_from(bytes).unwrap_or(usize::MAX);
                    let message = aside(length, made).await;
                    let message = self.fits(number, &format!("work.{piece}"), message).await?;
                    // It is asked for from now on, wherever it is.
                    job.open.borrow_mut().insert(piece, &message);
                    let subject = self.names.work(lane, number, piece);
                    self.publish(number, subject, message, bytes).await;
                }
                Order::Complete(_, items, pieces) => {
                    job.is_complete(items, pieces);
                    self.tell_manifest(job).await?;
                }
                Order::Detach(_) => self.detach(number).await,
                _ => break,
            }
        }
        Ok(())
    }

    /// What was ordered meanwhile. When that is all of a small map, its manifest says so from the beginning: they go to the
    /// server together.
    fn ready(&self, job: &Job, orders: &mut UnboundedReceiver<Order>) -> VecDeque<Order> {
        let mut ready = VecDeque::new();
        while let Ok(order) = orders.try_recv() {
            ready.push_back(order);
        }
        let bytes = |order: &Order| match order {
            Order::Put(_, _, payload) => payload.length(),
            _ => 0,
        };
        let is_small = ready.iter().map(bytes).sum::<u64>() <= SMALL;
        if let Some(Order::Complete(_, items, pieces)) = ready.back()
            && is_small
        {
            job.is_complete(*items, *pieces);
            ready.pop_back();
        }
        ready
    }

    /// Sees to it that the server has what nodes need.
    async fn prepare(&self, job: &Job, begin: Begin) -> io::Result<()> {
        let artifact = {
            let manifest = job.manifest.borrow();
            let Runs::Function(function) = manifest.task.runs;
            function.address.artifact.content
        };
        let known = || self.linked.borrow().get(&artifact).cloned();
        let turn = match known() {
            Some(_) => None,
            None => Some(self.linking.take(artifact).await),
        };
        let linked = match known() {
            Some(linked) => linked,
            None => {
                let bytes = carry::whole(&begin.artifact)?;
                let mut linked = Vec::new();
                for library in libraries::needed(&begin.artifact, &bytes, &mut Known::new()) {
                    let hash = content(&library);
                    self.has_content(hash, async || library).await?;
                    linked.push(hash);
                }
                self.has_content(artifact, async || bytes).await?;
                self.linked.borrow_mut().insert(artifact, linked.clone());
                linked
            }
        };
        drop(turn);
        for (hash, file) in &begin.libraries {
            let bytes = async || carry::whole(file).unwrap_or_default();
            self.has_content(*hash, bytes).await?;
        }
        if let Some((hash, payload)) = &begin.captures {
            let length = usize::try_from(payload.length()).unwrap_or(usize::MAX);
            let payload = payload.clone();
            let copied = async || aside(length, move || payload.copied()).await;
            self.has_content(*hash, copied).await?;
        }
        let mut manifest = job.manifest.borrow_mut();
        (manifest.artifact, manifest.libraries) = (artifact, linked);
        manifest.closed = self.closed.borrow().numbers();
        Ok(())
    }

    async fn has_content(
        &self,
        hash: u128,
        bytes: impl AsyncFnOnce() -> Vec<u8>,
    ) -> io::Result<()> {
        let _turn = self.putting.take(hash).await;
        if self.contents.borrow_mut().has(hash) {
            return Ok(());
        }
        while self.dropped.borrow().contains(&hash) {
            sleep(GLANCE).await;
        }
        let bytes = Bytes::from(bytes().await);
        let put = async || {
            self.needs_room()?;
            self.objects.put(hash, &bytes).await
        };
        patiently(put).await?;
        { self.contents.borrow_mut() }.put(hash, bytes.len() as u64);
        Ok(())
    }

    pub(super) async fn tell_manifest(&self, job: &Job) -> io::Result<()> {
        let manifest = job.manifest.borrow().clone();
        self.tell_of(&manifest).await
    }

    pub(super) async fn tell_of(&self, manifest: &Manifest) -> io::Result<()> {
        let number = manifest.job;
        let message = self.fits(number, "manifest", message(manifest)).await?;
        let subject = self.names.job(number);
        self.publish(number, subject, message, 0).await;
        Ok(())
    }

    /// The message of a job's record, or when it is too large the one that names it, which is stored then.
    async fn fits(&self, number: JobId, name: &str, message: Vec<u8>) -> io::Result<Bytes> {
        if message.len() <= LARGEST {
            return Ok(message.into());
        }
        let name = large_object(number, name);
        if let Some(job) = self.job(number) {
            job.large.borrow_mut().push(name.clone());
        }
        let record = Bytes::from(message).slice(1..);
        let content = content_of(&record).await;
        let large = Large { name, content };
        let put = async || {
            self.needs_room()?;
            self.objects.put_large(&large, &record).await
        };
        patiently(put).await?;
        Ok(named(&large).into())
    }
}
