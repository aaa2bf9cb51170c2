//! The hub's end of a map's way to the queue of a cluster: what it orders, and what it is told. Nothing here waits.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::schema::{Done, Manifest, Results};
use crate::ids::JobId;
use crate::pool::QueueFault;
use crate::pool::cluster::{Cluster, NodeState, NodeStatus};
use crate::wire::{Payload, Span};

/// Bytes on their way to the server from which on no more should be queued.
const FULL: u64 = 32 << 20;

/// What nodes need for a map, beside its manifest.
pub struct Begin {
    /// The open file of the function's artifact.
    pub artifact: Arc<OwnedFd>,
    /// Of the shared objects that artifacts ask for by their content.
    pub libraries: Vec<(u128, Arc<OwnedFd>)>,
    pub captures: Option<(u128, Payload)>,
}

/// What the session's thread is asked to do for a map.
pub enum Order {
    Begin(Box<(Manifest, Begin, Ear)>),
    Put(JobId, Span, Payload),
    /// So many inputs in so many pieces are all that there are.
    Complete(JobId, u64, u32),
    /// What no node has taken is not wanted.
    Empty(JobId),
    /// Nothing of it is wanted.
    Close(JobId),
    /// It is no map any more, and goes on.
    Detach(JobId),
    /// The results of one that is no map.
    Results(JobId, Sender<std::io::Result<Results>>),
}

/// What the hub is told of a map.
pub enum Told {
    Done(u32, Done),
    /// Nodes have these pieces, and no others are anywhere any more.
    Holding(Vec<u32>),
    /// The server does not take it; why.
    Failed(QueueFault),
}

/// A map's way to the queue.
pub struct Queue {
    cluster: Arc<Cluster>,
    told: Receiver<Told>,
    ear: Ear,
}

/// By which the hub is told.
#[derive(Clone)]
pub struct Ear {
    tell: Sender<Told>,
    bell: Arc<EventFd>,
    /// Bytes that were queued and are not at the server.
    under_way: Arc<AtomicU64>,
}

impl Ear {
    pub fn tell(&self, told: Told) {
        // Of a map that is over nobody wants to know.
        let _ = self.tell.send(told);
        let _ = self.bell.write(1);
    }

    /// So many bytes are at the server now.
    pub fn arrived(&self, bytes: u64) {
        let before = self.under_way.fetch_sub(bytes, Ordering::Relaxed);
        if before >= FULL && before - bytes < FULL {
            let _ = self.bell.write(1);
        }
    }
}

impl Queue {
    pub fn of(cluster: &Arc<Cluster>) -> std::io::Result<Self> {
        let (tell, told) = channel();
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        Ok(Self {
            cluster: cluster.clone(),
            told,
            ear: Ear {
                tell,
                bell: Arc::new(EventFd::from_flags(flags)?),
                under_way: Arc::default(),
            },
        })
    }

    /// Ready to be read when something was told.
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.ear.bell.as_fd()
    }

    /// What was told next.
    pub fn heard(&self) -> Option<Told> {
        let told = self.told.try_recv().ok();
        if told.is_none() {
            let _ = self.ear.bell.read();
            // What came in between rings again.
            return self.told.try_recv().ok();
        }
        told
    }

    /// Whether engines may come though there are none: a node starts others in their place, or comes back itself.
    pub fn has_hope(&self) -> bool {
        let is_up = |node: &NodeStatus| node.state == NodeState::Up;
        let may_come = self.cluster.kept().is_some() || self.cluster.nodes().iter().any(is_up);
        may_come && !self.cluster.is_lost()
    }

    pub fn is_full(&self) -> bool {
        self.ear.under_way.load(Ordering::Relaxed) >= FULL
    }

    pub fn begin(&self, manifest: Manifest, begin: Begin) {
        let begun = Box::new((manifest, begin, self.ear.clone()));
        self.cluster.order(Order::Begin(begun));
    }

    pub fn put(&self, job: JobId, span: Span, payload: Payload) {
        let bytes = payload.length();
        self.ear.under_way.fetch_add(bytes, Ordering::Relaxed);
        self.cluster.order(Order::Put(job, span, payload));
    }

    pub fn is_complete(&self, job: JobId, items: u64, pieces: u32) {
        self.cluster.order(Order::Complete(job, items, pieces));
    }

    pub fn empty(&self, job: JobId) {
        self.cluster.order(Order::Empty(job));
    }

    pub fn detach(&self, job: JobId) {
        self.cluster.order(Order::Detach(job));
    }

    pub fn close(&self, job: JobId) {
        self.cluster.order(Order::Close(job));
    }
}
