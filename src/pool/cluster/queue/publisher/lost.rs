//! What nodes have of a job: asked when it is stopped, when the server was gone, and when nothing comes of it for long, to know
//! whether the server has lost something. Its files may be damaged; then it may also have what it gives to nobody.

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
                    let lost = patiently(|| publisher.lost_of(number, &job, &holding)).await;
                    // A server that does not say so is noticed elsewhere.
                    if let Ok(chunks @ 1..) = lost {
                        // The next one needs a whole one.
                        let _ = publisher.renew_works(number).await;
                        job.ear.tell(Told::Failed(QueueFault::Lost { chunks }));
                    }
                });
            }
        }
    }

    /// How many pieces of a job are nowhere any more. `holding`: nodes had those when the server was there again.
    async fn lost_of(&self, number: JobId, job: &Job, holding: &[u32]) -> io::Result<usize> {
        let since = Instant::now();
        let names = &self.names;
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
        let lost = {
            let open = job.open.borrow();
            open.iter().filter(|it| !somewhere.contains(it)).count()
        };
        let is_still = job.moved.get() <= since && holding.is_empty() && lost == 0;
        let enough = match is_still {
            true => self.gives_nothing(job).await?,
            false => None,
        };
        let Some(enough) = enough else {
            job.stuck.set(0);
            return Ok(lost);
        };
        // It may have been about to.
        job.stuck.set(job.stuck.get() + 1);
        let open = job.open.borrow().len();
        Ok(if job.stuck.get() >= enough { open } else { 0 })
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
