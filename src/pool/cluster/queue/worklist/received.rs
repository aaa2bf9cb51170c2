//! A piece has come: what is needed for it is fetched, unless it is here.

use std::io;
use std::rc::Rc;

use tokio::time::sleep;

use super::super::narrow::Narrowed;
use super::super::objects::other;
use super::super::schema::{Stored, Strikes, Work, record};
use super::{AGAIN, Held, Place, Worklist};
use crate::wire::Payload;

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
            Ok(Stored::Here(work)) => self.understood(held, work, Strikes::new()).is_ok(),
            _ => false,
        }
    }

    fn understood(&self, held: &Rc<Held>, work: Work, strikes: Strikes) -> io::Result<()> {
        // Of one that was queued again those before are not counted.
        let deliveries = match held.taken.is_again && strikes != Strikes::new() {
            true => held.taken.deliveries.max(strikes.returns + 2),
            false => held.taken.deliveries,
        };
        *held.inputs.borrow_mut() = Payload::of(work.inputs)?;
        *held.state.borrow_mut() = Some(Narrowed::new(work.span, deliveries, strikes));
        self.unread.borrow_mut().remove(&held.taken.job);
        self.waits(held.clone(), Place::Last);
        Ok(())
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
            Ok(Stored::Here(work)) => work,
            Ok(Stored::Object(large)) => {
                let bytes = self.taker.objects.get_large(&large).await?;
                record(&bytes).map_err(other)?
            }
            Err(error) => return Err(other(error)),
        };
        if self.stopped.borrow().contains(&held.taken.job) {
            return Ok(false);
        }
        self.understood(held, work, strikes).map(|()| true)
    }
}
