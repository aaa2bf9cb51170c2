//! A piece is done, or goes to another node: its result goes to the server before it is acknowledged.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout};

use super::super::objects::content_of;
use super::super::schema::{LARGEST, Large, Part, large_object, message, named};
use super::{Held, KEEP, UNTAKEN, Worklist};
use crate::ids::JobId;
use crate::pool::cluster::aside::aside;

/// How often it is looked whether results are stored.
const GLANCE: Duration = Duration::from_millis(2);

impl Worklist {
    /// The results of a piece go to the server.
    pub(super) async fn finish(self: Rc<Self>, held: Rc<Held>) {
        let state = held.state.borrow_mut().take();
        let (job, piece) = (held.taken.job, held.taken.piece);
        let is_wanted = self.jobs.borrow().contains_key(&job);
        let Some(state) = state.filter(|_| is_wanted) else {
            return self.done_with(&held).await;
        };
        let done = state.into_done();
        let fails = !self.collects(job) && done.parts.iter().any(Part::fails);
        let mut told = aside(done.bytes(), move || message(&done)).await;
        if told.len() > LARGEST {
            let result = Bytes::from(told).slice(1..);
            let Some(large) = self.store(&held, &result).await else {
                return self.done_with(&held).await;
            };
            told = named(&large);
        }
        held.fails.set(fails);
        let number = self.taker.give(job, piece, told).await;
        self.given.borrow_mut().insert(number, held);
    }

    /// Whether errors are results of a job too.
    fn collects(&self, job: JobId) -> bool {
        let jobs = self.jobs.borrow();
        jobs.get(&job)
            .is_none_or(|job| job.manifest.task.options.collect)
    }

    /// Stores a result, tried until it is there or nobody wants it; what names it.
    async fn store(&self, held: &Held, result: &Bytes) -> Option<Large> {
        let (job, piece) = (held.taken.job, held.taken.piece);
        let mut refused: Option<Instant> = None;
        // What another node stores of the same piece is another object, unless it is the same.
        let content = content_of(result).await;
        let name = large_object(job, &format!("result.{piece}.{content:032x}"));
        let large = Large { name, content };
        for tried in 0_u32.. {
            if self.taker.is_held() {
                refused = None;
            } else {
                match self.taker.objects.put_large(&large, result).await {
                    Ok(()) => return Some(large),
                    Err(error) => {
                        let since = *refused.get_or_insert_with(Instant::now);
                        if since.elapsed() > UNTAKEN {
                            self.is_unread(job, tried + 1, error.to_string());
                        }
                    }
                }
            }
            if self.stopped.borrow().contains(&job) {
                break;
            }
            // What was written of it stays with the server.
            sleep(KEEP * (1 << tried.min(3))).await;
        }
        None
    }

    /// A stream has its result, or nobody wants it.
    pub(super) async fn done_with(&self, held: &Rc<Held>) {
        self.taker.acknowledge(&held.taken).await;
        self.held.borrow_mut().remove(&held.number);
        self.room.notify_one();
    }

    /// The node ends: what is done is stored first, which is waited for so long, and the rest goes to other nodes at once.
    pub async fn ends(&self, patience: Duration) {
        // What engines still do is for nobody: it is not acknowledged.
        self.seats.borrow_mut().clear();
        let stored = async {
            while !self.given.borrow().is_empty() {
                sleep(GLANCE).await;
            }
        };
        // A result that comes after all is the first, and the other node's is dropped.
        let _ = timeout(patience, stored).await;
        // Otherwise what is given back is given to this node's own requests again.
        self.ending.notify_one();
        self.drained.notified().await;
        let all: Vec<Rc<Held>> = self.held.borrow().values().cloned().collect();
        for held in all {
            self.give_back(&held, Duration::ZERO).await;
        }
    }

    /// Another node may have it after so long.
    pub(super) async fn give_back(&self, held: &Rc<Held>, after: Duration) {
        self.held.borrow_mut().remove(&held.number);
        if let Some(strikes) = held.returned() {
            self.taker.tell_strikes(&held.taken, &strikes).await;
        }
        self.taker.give_back(&held.taken, after).await;
        self.room.notify_one();
    }
}
