//! What nodes have of a job: asked when it is stopped, when the server was gone, and when nothing comes of it for long, to know
//! whether the server has lost something. Its files may be damaged; then it may also have what it gives to nobody. What is lost
//! is queued again.

use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;

use async_nats::jetstream::consumer::pull;
use tokio::task::spawn_local;
use tokio::time::Instant;

use super::super::line::Told;
use super::super::objects::other;
use super::super::schema::{Lane, Names};
use super::super::setup;
use super::{Ask, Asked, Job, Publisher, patiently};
use crate::ids::JobId;
use crate::pool::QueueFault;

/// A server that gives nobody anything so often, asked some seconds apart, will not do it any more.
const STUCK: u32 = 2;

/// The same of one that waits for nodes to acknowledge pieces which none has. It may have given them to a node that stands
/// still, as long as it takes the node for connected.
const STUCK_TAKEN: u32 = 6;

/// What is lost is queued again so often without anything coming of it.
const RENEWED: u32 = 3;

/// What a server has lost.
enum Lost {
    /// These pieces are nowhere any more.
    Pieces(BTreeSet<u32>),
    /// It has all, and gives nobody anything.
    Way,
}

impl Publisher {
    /// These nodes were asked.
    pub fn asks(self: &Rc<Self>, ask: Ask, nodes: BTreeSet<String>) {
        let (number, stopped) = match ask {
            Ask::Tell(number) => (number, false),
            Ask::Stop(number, true) => (number, true),
            Ask::Stop(_, false) => return,
        };
        let Some(job) = self.job(number) else { return };
        let is_stopped = job.asked.borrow().as_ref().is_some_and(|it| it.stopped);
        // What is stopped stays so.
        if stopped || !is_stopped {
            *job.asked.borrow_mut() = Some(Asked {
                stopped,
                nodes,
                holding: Vec::new(),
            });
            self.look_at_asked(number);
        }
    }

    /// A node has these pieces of a job.
    pub fn holds(self: &Rc<Self>, number: JobId, node: &str, pieces: &[u32]) {
        if let Some(job) = self.job(number) {
            if let Some(asked) = &mut *job.asked.borrow_mut()
                && asked.nodes.remove(node)
            {
                asked.holding.extend_from_slice(pieces);
            }
            self.look_at_asked(number);
        }
    }

    /// A node is gone, with what it has.
    pub fn without(self: &Rc<Self>, node: &str) {
        let jobs: Vec<JobId> = self.jobs.borrow().keys().copied().collect();
        for job in jobs {
            self.holds(job, node, &[]);
        }
    }

    fn look_at_asked(self: &Rc<Self>, number: JobId) {
        let Some(job) = self.job(number) else { return };
        let told = { job.asked.borrow_mut() }.take_if(|asked| asked.nodes.is_empty());
        match told {
            None => {}
            Some(Asked {
                stopped: true,
                holding,
                ..
            }) => job.ear.tell(Told::Holding(holding)),
            Some(Asked { holding, .. }) => {
                let publisher = self.clone();
                spawn_local(async move {
                    let found = patiently(|| publisher.lost_of(number, &job, &holding)).await;
                    // A server that does not say so is noticed elsewhere.
                    if let Ok(Some(found)) = found {
                        publisher.queue_again(number, &job, found).await;
                    }
                });
            }
        }
    }

    /// What the server has lost of a job. `holding`: nodes had these pieces when the server was there again.
    async fn lost_of(&self, number: JobId, job: &Job, holding: &[u32]) -> io::Result<Option<Lost>> {
        let since = Instant::now();
        let names = &self.names;
        // Before it is looked where they are: others come meanwhile.
        let open = { job.open.borrow() }.numbers();
        let mut somewhere: BTreeSet<u32> = holding.iter().copied().collect();
        {
            let all = self.unacknowledged.borrow();
            let of_it = all.values().filter(|kept| kept.job == number);
            let pieces = of_it.filter_map(|kept| Names::piece_of(&kept.subject));
            somewhere.extend(pieces.map(|(_, piece)| piece));
        }
        // In this order: a piece waits until it has results.
        for (stream, filter) in [
            (names.works(), names.work_of(number)),
            (names.results(), names.results_of(number)),
        ] {
            let subjects = self.subjects(stream, filter).await?;
            let pieces = subjects.iter().filter_map(|it| Names::piece_of(it));
            somewhere.extend(pieces.map(|(_, piece)| piece));
        }
        let lost: BTreeSet<u32> = {
            let still = job.open.borrow();
            let nowhere = open.difference(&somewhere).copied();
            nowhere.filter(|piece| still.contains(*piece)).collect()
        };
        if !lost.is_empty() {
            job.stuck.set(0);
            return Ok(Some(Lost::Pieces(lost)));
        }
        let is_still = job.moved.get() <= since && holding.is_empty() && !open.is_empty();
        let enough = match is_still {
            true => self.gives_nothing(job).await?,
            false => None,
        };
        let Some(enough) = enough else {
            job.stuck.set(0);
            return Ok(None);
        };
        // It may have been about to.
        job.stuck.set(job.stuck.get() + 1);
        Ok((job.stuck.get() >= enough).then_some(Lost::Way))
    }

    /// Sees to it that nodes get what is open, as often as there is a point in it.
    async fn queue_again(&self, number: JobId, job: &Job, lost: Lost) {
        let times = job.renewed.replace(job.renewed.get() + 1);
        job.stuck.set(0);
        let lane = Lane::of(job.manifest.borrow().task.options.background);
        let pieces = match lost {
            Lost::Pieces(pieces) => pieces,
            Lost::Way if times == 0 => {
                // The next look finds what has not become better.
                let _ = self.renew_way(lane).await;
                return;
            }
            Lost::Way => {
                let _ = self.renew_works(number).await;
                { job.open.borrow() }.numbers()
            }
        };
        let messages = { job.open.borrow() }.messages(&pieces);
        let Some(messages) = messages.filter(|_| times < RENEWED) else {
            // The next map needs a whole one.
            let _ = self.renew_works(number).await;
            let chunks = pieces.len();
            return job.ear.tell(Told::Failed(QueueFault::Lost { chunks }));
        };
        for (piece, message) in messages {
            if !self.is_its_own(number) {
                return;
            }
            let subject = self.names.work(lane, number, piece);
            self.publish(number, subject, message, 0).await;
        }
    }

    /// Has nodes be given all of a lane that is not acknowledged, from the first on.
    async fn renew_way(&self, lane: Lane) -> io::Result<()> {
        let works = self.jetstream.get_stream_no_info(self.names.works()).await;
        let works = works.map_err(other)?;
        { works.delete_consumer(lane.consumer()).await }.map_err(other)?;
        setup::streams(&self.jetstream, &self.names).await
    }

    /// Whether the server has nothing for nodes, or gives it to none of those that wait for it; how often that is to be found.
    async fn gives_nothing(&self, job: &Job) -> io::Result<Option<u32>> {
        let lane = Lane::of(job.manifest.borrow().task.options.background);
        let works = self.jetstream.get_stream_no_info(self.names.works()).await;
        let works = works.map_err(other)?;
        let consumer = works.get_consumer::<pull::Config>(lane.consumer()).await;
        let consumer = consumer.map_err(other)?;
        let about = consumer.cached_info();
        let (queued, taken) = (about.num_pending, about.num_ack_pending);
        Ok(match (queued, taken, about.num_waiting) {
            (0, 0, _) | (_, 0, 1..) => Some(STUCK),
            (_, 1.., 1..) => Some(STUCK_TAKEN),
            _ => None,
        })
    }

    /// Makes the stream of work anew, when it has nothing but this job's.
    async fn renew_works(&self, number: JobId) -> io::Result<()> {
        let works = self.names.works();
        let subjects = { self.subjects(works.clone(), self.names.all_work()).await }?;
        let mut jobs = subjects.iter().filter_map(|it| Names::piece_of(it));
        if jobs.all(|(job, _)| job == number) {
            { self.jetstream.delete_stream(works).await }.map_err(other)?;
            setup::streams(&self.jetstream, &self.names).await?;
        }
        Ok(())
    }

    /// A node cannot read what a job needs.
    pub fn is_unreadable(&self, number: JobId, why: String) {
        if let Some(job) = self.job(number) {
            job.ear.tell(Told::Failed(QueueFault::Unreadable(why)));
        }
    }

    /// The server has no streams any more; this is what it says.
    pub(super) fn fail_all(&self, says: &str) {
        for job in self.jobs.borrow().values() {
            job.ear.tell(Told::Failed(self.fault(says.to_owned())));
        }
    }
}
