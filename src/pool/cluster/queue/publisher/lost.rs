//! What nodes have of a job: asked when it is stopped, when the server was gone, and when nothing comes of it for long, to know
//! whether the server has lost something. Its files may be damaged; then it may also have what it gives to nobody. What is lost
//! is queued again.

use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;

use async_nats::jetstream::consumer::pull;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep};

use super::super::line::Told;
use super::super::objects::other;
use super::super::patience::patiently;
use super::super::schema::{Lane, Names};
use super::super::setup;
use super::{Ask, Asked, GLANCE, Job, Publisher};
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
    /// It has results of these pieces, of which nothing was heard.
    Words(BTreeSet<u32>),
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
                if job.is_looked_at.replace(true) {
                    return;
                }
                spawn_local(async move {
                    let found = patiently(|| publisher.lost_of(number, &job, &holding)).await;
                    // A server that does not say so is noticed elsewhere.
                    if let Ok(Some(found)) = found
                        && !job.is_emptied.get()
                    {
                        publisher.mend(number, &job, found).await;
                    }
                    job.is_looked_at.set(false);
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
        let under_way = self.under_way(number);
        // In this order: a piece waits until it has results.
        let waiting = self.pieces(names.works(), names.work_of(number)).await?;
        let results = self
            .pieces(names.results(), names.results_of(number))
            .await?;
        let still = |pieces: &mut dyn Iterator<Item = u32>| -> BTreeSet<u32> {
            let now = job.open.borrow();
            pieces.filter(|piece| now.contains(*piece)).collect()
        };
        let is_somewhere = |piece: &u32| {
            let known = [&under_way, &waiting, &results];
            let is_known = known.iter().any(|pieces| pieces.contains(piece));
            is_known || holding.contains(piece) || job.is_reading(*piece)
        };
        let lost = still(&mut open.into_iter().filter(|piece| !is_somewhere(piece)));
        if !lost.is_empty() {
            job.stuck.set(0);
            return Ok(Some(Lost::Pieces(lost)));
        }
        let is_quiet = job.moved.get() <= since;
        let is_unheard = |piece: &u32| is_quiet && !job.is_reading(*piece);
        let unheard = still(&mut results.iter().copied().filter(is_unheard));
        if !unheard.is_empty() {
            return Ok(Some(Lost::Words(unheard)));
        }
        let waits = |piece: &u32| !under_way.contains(piece) && !results.contains(piece);
        let waits = still(&mut waiting.into_iter().filter(waits));
        let is_still = is_quiet && holding.is_empty() && !waits.is_empty();
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

    /// Waits until nothing of a job is being queued again, and the server has what was.
    pub(in super::super) async fn until_looked_at(&self, number: JobId) {
        let is_looked_at = || self.job(number).is_some_and(|job| job.is_looked_at.get());
        if is_looked_at() {
            while is_looked_at() {
                sleep(GLANCE).await;
            }
            self.until_all_is_there(number).await;
        }
    }

    /// Pieces that no stream has acknowledged.
    pub(in super::super) fn under_way(&self, number: JobId) -> BTreeSet<u32> {
        let all = self.unacknowledged.borrow();
        let of_it = all.values().filter(|kept| kept.job == number);
        let pieces = of_it.filter_map(|kept| Names::piece_of(&kept.subject));
        pieces.map(|(_, piece)| piece).collect()
    }

    /// The pieces that a stream has something of.
    async fn pieces(&self, stream: String, filter: String) -> io::Result<BTreeSet<u32>> {
        let subjects = self.reader.subjects(stream, filter).await?;
        let pieces = subjects.iter().filter_map(|it| Names::piece_of(it));
        Ok(pieces.map(|(_, piece)| piece).collect())
    }

    /// Sees to it that nodes get what is open, and the session what is done, as often as there is a point in it.
    async fn mend(self: &Rc<Self>, number: JobId, job: &Job, lost: Lost) {
        if !self.is_its_own(number) || !self.still_has().await {
            return;
        }
        job.stuck.set(0);
        let names = &self.names;
        let lane = Lane::of(job.manifest.borrow().task.options.background);
        let (pieces, times) = match lost {
            Lost::Pieces(pieces) => (pieces, job.renewed.replace(job.renewed.get() + 1)),
            Lost::Words(pieces) => {
                let times = job.words_missed.replace(job.words_missed.get() + 1);
                if times == 0 {
                    // The next look finds what has not become better.
                    let _ = self.read_again(number).await;
                    return;
                }
                // It tells of results that it does not give: those that it refuses then are heard on their way.
                (pieces, times)
            }
            Lost::Way => {
                let times = job.ways.replace(job.ways.get() + 1);
                if times == 0 {
                    return self.renew_way(job, lane).await;
                }
                if !matches!(self.renew_works(number).await, Ok(true)) {
                    // Others have something there.
                    let _ = self.purge(names.works(), &names.work_of(number)).await;
                }
                let open = { job.open.borrow() }.numbers();
                let under_way = self.under_way(number);
                (open.difference(&under_way).copied().collect(), times)
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
            if !self.is_its_own(number) || job.is_emptied.get() {
                return;
            }
            let subject = names.work(lane, number, piece);
            self.publish_again(number, subject, message).await;
        }
    }

    /// Has nodes be given all of a lane that is not acknowledged, from the first on.
    async fn renew_way(&self, job: &Job, lane: Lane) {
        let renewed = async || {
            let works = self.jetstream.get_stream_no_info(self.names.works()).await;
            let works = works.map_err(other)?;
            // It may be gone already.
            let _ = works.delete_consumer(lane.consumer()).await;
            setup::streams(&self.jetstream, &self.names).await
        };
        if let Err(error) = patiently(renewed).await {
            job.ear.tell(Told::Failed(self.fault(error.to_string())));
        }
    }

    /// Whether the server has nothing for nodes, or gives it to none of those that wait for it; how often that is to be found.
    async fn gives_nothing(&self, job: &Job) -> io::Result<Option<u32>> {
        let lane = Lane::of(job.manifest.borrow().task.options.background);
        let works = self.jetstream.get_stream_no_info(self.names.works()).await;
        let works = works.map_err(other)?;
        let consumer = works.get_consumer::<pull::Config>(lane.consumer()).await;
        let Ok(consumer) = consumer else {
            setup::streams(&self.jetstream, &self.names).await?;
            return Ok(None);
        };
        let about = consumer.cached_info();
        let (queued, taken) = (about.num_pending, about.num_ack_pending);
        Ok(match (queued, taken, about.num_waiting) {
            (0, 0, _) | (_, 0, 1..) => Some(STUCK),
            (_, 1.., 1..) => Some(STUCK_TAKEN),
            _ => None,
        })
    }

    /// Makes the stream of work anew, when it has nothing but this job's; whether it had.
    async fn renew_works(&self, number: JobId) -> io::Result<bool> {
        let works = self.names.works();
        let subjects = {
            self.reader
                .subjects(works.clone(), self.names.all_work())
                .await
        }?;
        let mut jobs = subjects.iter().filter_map(|it| Names::piece_of(it));
        let is_alone = jobs.all(|(job, _)| job == number);
        if is_alone {
            { self.jetstream.delete_stream(works).await }.map_err(other)?;
            patiently(|| setup::streams(&self.jetstream, &self.names)).await?;
        }
        Ok(is_alone)
    }

    /// A node cannot read what a job needs.
    pub fn is_unreadable(&self, number: JobId, why: String) {
        match self.job(number) {
            Some(job) => job.ear.tell(Told::Failed(QueueFault::Unreadable(why))),
            None => self.formers.is_unreadable(number, why),
        }
    }

    /// The server has no streams any more; this is what it says.
    pub(super) fn fail_all(&self, says: &str) {
        for job in self.jobs.borrow().values() {
            job.ear.tell(Told::Failed(self.fault(says.to_owned())));
        }
    }
}
