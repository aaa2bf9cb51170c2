//! A piece has come: what is needed for it is fetched, unless it is here.

use std::io;
use std::rc::Rc;

use tokio::time::sleep;

use super::super::narrow::Narrowed;
use super::super::objects::other;
use super::super::schema::{Stored, Strikes, Work, record};
use super::{AGAIN, Held, Place, Worklist};
use crate::pool::cluster::aside::aside;
use crate::wire::{Payload, Span};

impl Held {
    /// What others have to know when it goes back to the queue; `None` where it is not known what came before.
    pub(super) fn returned(&self) -> Option<Strikes> {
        let state = self.state.borrow_mut().take();
        let strikes = match state {
            Some(state) => Some(state.into_strikes()),
            None => self.strikes.borrow_mut().take(),
        };
        strikes.map(Strikes::returned)
    }
}

impl Worklist {
    /// A piece of a job that engines are ready for; whether that could be done without waiting.
    pub(super) fn understand_at_once(&self, held: &Rc<Held>) -> bool {
        let job = self.jobs.borrow().get(&held.taken.job).cloned();
        let is_ready = job.is_some_and(|job| job.is_ready());
        if !is_ready || held.taken.may_have_strikes() {
            return false;
        }
        match Stored::<Work>::read(&held.taken.message.payload) {
            Ok(Stored::Here(work)) => {
                let inputs = Payload::of(work.inputs);
                inputs.is_ok_and(|inputs| {
                    self.understood(held, (work.span, inputs), Strikes::new());
                    true
                })
            }
            _ => false,
        }
    }

    fn understood(&self, held: &Rc<Held>, (span, inputs): (Span, Payload), strikes: Strikes) {
        // Of one that was queued again those before are not counted.
        let deliveries = match held.taken.is_again && strikes != Strikes::new() {
            true => held.taken.deliveries.max(strikes.returns + 2),
            false => held.taken.deliveries,
        };
        *held.inputs.borrow_mut() = inputs;
        *held.state.borrow_mut() = Some(Narrowed::new(span, deliveries, strikes));
        self.unread.borrow_mut().remove(&held.taken.job);
        self.waits(held.clone(), Place::Last);
    }

    /// Gets what is needed for a piece.
    pub(super) async fn receive(self: Rc<Self>, held: Rc<Held>) {
        let received = self.try_to_receive(&held).await;
        match received {
            Ok(true) => self.place(),
            // Nobody wants it.
            Ok(false) => self.done_with(&held).await,
            Err(error) => {
                self.is_unread(held.taken.job, 1, error.to_string());
                sleep(AGAIN).await;
                let others = AGAIN * (1 << held.taken.deliveries.min(5));
                self.give_back(&held, others).await;
            }
        }
    }

    async fn try_to_receive(self: &Rc<Self>, held: &Rc<Held>) -> io::Result<bool> {
        // First of all: when the rest cannot be read, it goes back with that.
        let strikes = match held.taken.may_have_strikes() {
            false => Strikes::new(),
            true => self.taker.strikes(&held.taken).await?,
        };
        *held.strikes.borrow_mut() = Some(strikes.clone());
        let Some(job) = self.job(held.taken.job).await? else {
            return Ok(false);
        };
        self.prepare(&job).await?;
        let work = match Stored::<Work>::read(&held.taken.message.payload) {
            Ok(Stored::Here(work)) => (work.span, Payload::of(work.inputs)?),
            Ok(Stored::Object(large)) => {
                let bytes = self.taker.objects.get_large(&large).await?;
                let length = bytes.len();
                let read = move || {
                    let work: Work = record(&bytes).map_err(other)?;
                    Ok::<_, io::Error>((work.span, Payload::of(work.inputs)?))
                };
                aside(length, read).await?
            }
            Err(error) => return Err(other(error)),
        };
        if self.stopped.borrow().contains(&held.taken.job) {
            return Ok(false);
        }
        self.understood(held, work, strikes);
        Ok(true)
    }
}
