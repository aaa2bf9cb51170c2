//! Jobs of clusters that no map of this session is: earlier sessions have left them there, or this one has detached them.
//! They go on without any session, and their results are on the cluster's server until somebody drops them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use regatta_cell::pool::ItemError;

use super::cluster::Answering;
use super::names::nameable;
use super::results::bound;
use super::types::shorten;
use super::workshop::{Now, added_now, as_entered, folder_of};
use super::{Done, Failed, JobStatus, Pool, Session};
use crate::cell::{Binding, normalised};
use crate::ids::{JobId, PoolName, Rank};
use crate::outcome::{Doing, ErrorKind, Event, JobState, Notice, Progress, Report, Sink};
use crate::pool::cluster::Cluster;
use crate::pool::cluster::queue::{Former, Inputs, Manifest, Part};
use crate::pool::{InQueue, ItemEnd, JobRecord, MapFailure, MapFault, Payload, Written};
use crate::session::crew::{Awaited, Crew};
use crate::wire::since_1970;

/// What those are called that code has begun.
const CALL: &str = "pool::map";

/// And those of which that is not known.
const UNKNOWN: &str = "?";

/// What is counted of them while they run.
pub const CHUNKS: &str = "chunks";

/// A job of which something ends with the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndingJob {
    pub job: JobId,
    pub pool: PoolName,
    /// So many of its inputs, of so many, are queued and go on; `None`: nothing of it does.
    pub queued: Option<(u64, Option<u64>)>,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct FormerJob {
    /// Its number in this session.
    pub job: JobId,
    /// Its number on the cluster.
    of: JobId,
    pool: PoolName,
    cluster: Arc<Cluster>,
    /// Its results are a variable, or were shown.
    is_taken: bool,
}

impl FormerJob {
    fn now(&self) -> Option<Former> {
        self.cluster.formers().get(self.of)
    }

    fn status(&self) -> Option<JobStatus> {
        Some(status_of(self.now()?, self.job, &self.pool))
    }
}

/// A job that needs no session, as it is now, under this number.
pub fn status_of(former: Former, job: JobId, pool: &PoolName) -> JobStatus {
    let Former {
        manifest,
        done,
        pieces,
        is_cancelled,
        has_failed,
        last,
        unknown,
        unreadable,
    } = former;
    if let Some(why) = unknown {
        return JobStatus {
            job,
            what: UNKNOWN.to_owned(),
            unit: CHUNKS,
            state: match is_cancelled {
                true => JobState::Cancelled,
                false => JobState::Failed,
            },
            done,
            total: Some(pieces),
            elapsed: Duration::ZERO,
            pool: pool.clone(),
            bytes: 0,
            why: Some(format!(
                "what it is cannot be read on the server: {why}; `%jobs --drop {job}` forgets it"
            )),
        };
    }
    let is_stuck = !is_cancelled && !has_failed && done < pieces && unreadable.is_some();
    let is_over = is_cancelled || has_failed || is_stuck || done >= pieces;
    // Of pieces that neither wait nor have results the server knows nothing any more.
    let is_lost = is_over
        && !has_failed
        && !is_stuck
        && manifest.inputs == Inputs::Exhausted
        && done < u64::from(manifest.pieces);
    let pieces = match is_lost {
        true => manifest.pieces.into(),
        false => pieces,
    };
    let is_whole =
        is_over && !is_lost && !has_failed && !is_stuck && manifest.inputs == Inputs::Exhausted;
    let (unit, done, total) = match is_whole {
        true => ("items", manifest.items, manifest.items),
        false => (CHUNKS, done, pieces),
    };
    let until = match is_over {
        true => last.unwrap_or(manifest.began),
        false => since_1970(),
    };
    JobStatus {
        job,
        what: match manifest.function.is_empty() {
            true => CALL.to_owned(),
            false => manifest.function,
        },
        unit,
        state: match (is_cancelled, is_over) {
            (true, _) => JobState::Cancelled,
            _ if is_lost || has_failed || is_stuck => JobState::Failed,
            (_, true) => JobState::Done,
            _ => JobState::Running,
        },
        done,
        total: Some(total),
        elapsed: until.saturating_sub(manifest.began),
        pool: pool.clone(),
        bytes: 0,
        why: match (is_lost, has_failed, unreadable.filter(|_| is_stuck)) {
            (true, ..) => Some(
                "the server has lost the rest of its chunks; `%result` takes what there is"
                    .to_owned(),
            ),
            (_, true, _) => Some("an item has no result".to_owned()),
            (.., Some(why)) => Some(format!(
                "a node cannot read on the server what it needs for it: {why}; `%result` takes what there is"
            )),
            _ => None,
        },
    }
}

impl Crew {
    /// Whether engines are dead, of a pool whose jobs wait for others, and there is a host for them.
    pub fn lacks_engines(&self, name: &PoolName) -> bool {
        let pool = self.pools().iter().find(|pool| pool.name == *name);
        pool.is_some_and(|pool| {
            let cluster = pool.starter.cluster();
            cluster.is_some_and(|cluster| cluster.is_durable() && cluster.free() > 0)
                && !self.dead_of(pool, &pool.all_ranks()).is_empty()
        })
    }

    pub fn former(&self, job: JobId) -> Option<&FormerJob> {
        self.formers().find(|former| former.job == job)
    }

    /// Those of the clusters that are pools: others may have jobs of the same numbers.
    fn formers(&self) -> impl Iterator<Item = &FormerJob> {
        let is_there = |former: &&FormerJob| {
            let clusters = self.pools().iter().map(|pool| pool.starter.cluster());
            let mut clusters = clusters.flatten();
            clusters.any(|cluster| Arc::ptr_eq(cluster, &former.cluster))
        };
        self.jobs.former.iter().filter(is_there)
    }

    pub fn former_statuses(&self) -> impl Iterator<Item = JobStatus> {
        self.formers().filter_map(FormerJob::status)
    }
}

impl Session {
    /// Later sessions may ask what the maps of this one were, where they go through a queue.
    pub(super) fn tell_written(&self) {
        let is_durable = |pool: &Pool| pool.starter.cluster().is_some_and(|it| it.is_durable());
        if self.pools().iter().any(is_durable) {
            let record = self.history.record();
            self.crew.hub().has_written(Written {
                source: record.map(|it| it.code.clone()).unwrap_or_default(),
                definitions: self.workshop.definitions().texts(),
                crates: self.workshop.crate_texts(),
            });
        }
    }

    /// Lists the jobs that a cluster has, now that it is this pool; their numbers there, and here.
    pub(super) fn meet_formers(
        &mut self,
        cluster: &Arc<Cluster>,
        pool: &Pool,
    ) -> Vec<(JobId, JobId)> {
        let there: BTreeSet<JobId> = self.crew.formers().map(|former| former.job).collect();
        self.crew
            .jobs
            .former
            .retain(|former| there.contains(&former.job));
        let formers = cluster.formers();
        let all = formers.all();
        let taken: BTreeSet<JobId> = self.statuses().into_iter().map(|it| it.job).collect();
        // Also for maps that begin from now on: they go to the same server.
        self.crew.hub().numbers_behind(formers.highest());
        let mut met = Vec::new();
        for Former { manifest, .. } in &all {
            let job = match taken.contains(&manifest.job) {
                true => self.crew.hub().number(),
                false => manifest.job,
            };
            self.crew.jobs.former.push(FormerJob {
                job,
                of: manifest.job,
                pool: pool.name.clone(),
                cluster: cluster.clone(),
                is_taken: false,
            });
            met.push((manifest.job, job));
        }
        met
    }

    /// A job, and the code that it runs: the function or the expression; of one that needs no session the cell, behind the
    /// definitions that its results are made of.
    pub fn job_with_code(
        &mut self,
        job: JobId,
        sink: &mut dyn Sink,
    ) -> Result<(JobStatus, String), Failed> {
        let status = self.status(Some(job), sink)?;
        let manifest = self.crew.former(job).and_then(FormerJob::now);
        let code = manifest.map(|Former { manifest, .. }| {
            let texts = manifest.definitions.iter().map(|(_, text)| text.trim());
            let cell = [manifest.source.trim()];
            let parts: Vec<&str> = texts.chain(cell).filter(|it| !it.is_empty()).collect();
            parts.join("\n\n")
        });
        let code = code.unwrap_or_else(|| status.what.clone());
        Ok((status, code))
    }

    /// Nothing more is done of such a job; whether this is one.
    pub(super) fn cancel_former(&mut self, job: JobId) -> bool {
        let former = self.crew.former(job);
        if let Some(former) = former {
            former.cluster.cancel_former(former.of);
        }
        former.is_some()
    }

    /// Nothing of such a job stays.
    pub(super) fn drop_former(&mut self, job: JobId) {
        if let Some(former) = self.crew.former(job) {
            former.cluster.drop_former(former.of);
        }
        self.crew.jobs.former.retain(|former| former.job != job);
    }

    /// How many jobs of this pool go on when the session ends, all of each.
    pub(super) fn going_on(&self, pool: &PoolName) -> usize {
        let formers = { self.crew.former_statuses() }.filter(|status| status.pool == *pool);
        let is_queued = |record: &&JobRecord| {
            let goes_on = record.background && !record.state.is_over() && !record.is_detached;
            record.pool == *pool && goes_on && record.queued == InQueue::All
        };
        formers.count() + self.crew.hub().jobs().iter().filter(is_queued).count()
    }

    /// The jobs under way that do not go on as they are when the session ends.
    pub fn ending_jobs(&self) -> Vec<EndingJob> {
        let outlives = |pool: &PoolName| {
            let pool = self.pools().iter().find(|it| it.name == *pool);
            let cluster = pool.and_then(|pool| pool.starter.cluster());
            cluster.is_some_and(|cluster| cluster.kept().is_some() && !cluster.is_lost())
        };
        let maps = { self.crew.hub().jobs().into_iter() }
            .filter(|record| record.background && !record.state.is_over() && !record.is_detached)
            .filter_map(|record| {
                let queued = match (outlives(&record.pool), record.queued) {
                    (true, InQueue::All) => return None,
                    (true, InQueue::Part) => Some((record.pulled, record.total)),
                    _ => None,
                };
                let (job, pool) = (record.job, record.pool);
                Some(EndingJob { job, pool, queued })
            });
        let cells = { self.crew.px_under_way() }.map(|(job, pool)| EndingJob {
            job,
            pool,
            queued: None,
        });
        maps.chain(cells).collect()
    }

    /// The jobs that need no session and whose results nobody has taken: the end of these clusters would be theirs.
    pub fn untaken_jobs(&self, name: Option<&str>, all: bool) -> Result<Vec<JobStatus>, Report> {
        let named = match all {
            true => None,
            false => Some(&self.pool_named(name)?.name),
        };
        let is_untaken = |former: &&FormerJob| {
            let is_meant = named.is_none_or(|name| *name == former.pool);
            is_meant && !former.is_taken && !former.cluster.is_lost()
        };
        let has_results = |former: &&FormerJob| former.now().is_some_and(|now| now.is_wanted());
        let jobs = self.crew.formers().filter(is_untaken);
        Ok(jobs
            .filter(has_results)
            .filter_map(FormerJob::status)
            .collect())
    }

    /// Has a job go on without this session: all its inputs are queued, and it is a map of this session's no more.
    pub fn detach_job(&mut self, job: Option<JobId>, sink: &mut dyn Sink) -> Done {
        let status = self.status(job, sink)?;
        let job = status.job;
        if self.crew.former(job).is_some() {
            return Err(Report::usage(format!("job {job} needs no session already"))
                .hint(format!(
                    "`%jobs` lists it, `let r = %result {job}` takes its results"
                ))
                .into());
        }
        let pool = self.pools().iter().find(|pool| pool.name == status.pool);
        let cluster = pool.and_then(|pool| pool.starter.cluster()).cloned();
        let kept = cluster.filter(|cluster| cluster.kept().is_some());
        let Some(cluster) = kept else {
            return Err(Report::usage(format!("job {job} ends with this session: so does its pool, {}", status.pool))
                .hint("jobs of a cluster that is kept can be detached: `%pool start cluster --keep 24h --ssh node1:8,node2`")
                .into());
        };
        if matches!(status.state, JobState::Failed | JobState::Cancelled) {
            return Err(Report::usage(format!(
                "job {job} is over: it {}",
                match status.state {
                    JobState::Failed => "failed",
                    _ => "was cancelled",
                }
            ))
            .into());
        }
        if !self.crew.hub().detach(job) {
            return Err(Report::usage(format!("job {job} cannot go on without this session: no queue has its chunks"))
                .hint("a `%map -a` that names no engines and no `--schedule static` goes through the cluster's queue")
                .into());
        }
        self.crew.jobs.awaited.insert(job);
        let former = FormerJob {
            job,
            of: job,
            pool: status.pool.clone(),
            cluster: cluster.clone(),
            is_taken: false,
        };
        while let Err(failed) = self.until(Detaching::of(former.clone()), sink) {
            // Who leaves it at that has the job still, unless it is gone all but for the word of it.
            let is_late = failed.is_interrupted() && !self.crew.hub().stays(job);
            if !is_late {
                self.crew.jobs.awaited.remove(&job);
                sink.send(Event::Progress(None));
                return Err(failed);
            }
        }
        sink.send(Event::Progress(None));
        let of_session = { self.crew.jobs.maps.iter() }
            .find(|map| map.job == job)
            .and_then(|map| Some(map.commands.as_ref()?.of_session.clone()))
            .unwrap_or_default();
        let dropped = self.drop_job(Some(job), sink);
        // Whatever ends what comes now, it is known where it is.
        self.crew.jobs.former.push(former.clone());
        dropped?;
        let (name, _) = cluster.kept().unwrap_or_default();
        let counted = former.status().map_or_else(String::new, |now| {
            format!(", {} done", super::jobs::counted(&now))
        });
        sink.send(Event::Text(format!(
            "job {job} goes on without this session{counted}: `let r = %result {job}` takes its results, here or after `regatta attach {name}`"
        )));
        if !of_session.is_empty() {
            let options = of_session;
            self.notice(Notice::DetachedFrom { job, options }, sink);
        }
        Ok(())
    }

    /// The results of one of them, which is over: a variable or the cell's value.
    pub(super) fn results_of_former(
        &mut self,
        job: JobId,
        bind: Option<&Binding>,
        sink: &mut dyn Sink,
    ) -> Done {
        let Some(former) = self.crew.former(job).cloned() else {
            return Ok(());
        };
        let Some(Former {
            manifest, unknown, ..
        }) = former.now()
        else {
            return Err(Report::usage(format!("there is no job {job} any more")).into());
        };
        if let Some(why) = unknown {
            let what = format!("what job {job} is cannot be read on the server: {why}");
            return Err(Report::new(ErrorKind::Error, what)
                .hint(format!(
                    "a session that attaches to the cluster tries again; `%jobs --drop {job}` forgets the job"
                ))
                .into());
        }
        self.is_defined(job, &manifest)?;
        let reading = Answering {
            answer: former.cluster.results_of(former.of),
            doing: Doing::Waiting,
        };
        let results = self.until(reading, sink)?;
        let results = results.map_err(|error| {
            let what = format!("the results of job {job} cannot be read: {error}");
            Report::new(ErrorKind::Error, what).hint(format!("`%result {job}` tries again"))
        })?;
        let damaged = results.damaged;
        let parts = results.parts.into_values().flatten();
        let collects = manifest.task.options.collect;
        let Taken {
            came,
            errors,
            bytes,
        } = Taken::of(parts.collect(), collects).map_err(|failure| {
            let what = format!("job {job} failed: {failure}");
            Report::new(ErrorKind::Map, what).hint(format!("`%jobs --drop {job}` forgets it"))
        })?;
        let count: u64 = came.iter().map(|(_, count)| count).sum();
        let there = count + errors.len() as u64;
        let lacks = what_lacks(&manifest, there, damaged);
        if manifest.task.options.single && there == 0 {
            let why = lacks.map_or_else(String::new, |(_, why)| format!(": {why}"));
            let what = format!("job {job} has no result{why}");
            return Err(Report::new(ErrorKind::Map, what)
                .hint(format!("`%jobs --drop {job}` forgets it"))
                .into());
        }
        if let Some((of, why)) = lacks {
            let gaps = without(&came, &errors, manifest.items);
            sink.send(Event::Text(format!(
                "job {job}: these are the results of {there}{of} items{gaps}; {why}"
            )));
        }
        let kind = nameable(&manifest.output_type);
        let take = match (collects, manifest.task.options.single) {
            (true, false) => format!("earlier_or_errors::<{kind}>()"),
            (true, true) => format!("earlier_or_errors::<{kind}>().remove(0)"),
            (false, false) => format!("earlier::<{kind}>({count})"),
            (false, true) => format!("earlier::<{kind}>({count}).remove(0)"),
        };
        let about = postcard::to_stdvec(&(came, errors)).unwrap_or_default();
        let payload = |bytes| {
            let payload = Payload::of(bytes);
            payload.map_err(|error| {
                Report::new(
                    ErrorKind::Error,
                    format!("the results of job {job} find no memory: {error}"),
                )
            })
        };
        let data = vec![payload(bytes)?, payload(about)?];
        let code = bound(bind, &format!("regatta_cell::magic::{take}"));
        self.run_local_with(&code, data, sink)?;
        // Those of one that goes on are not all of them.
        let is_over = self.crew.former(job).and_then(FormerJob::status);
        if is_over.is_some_and(|status| status.state.is_over())
            && let Some(former) = { self.crew.jobs.former.iter_mut() }.find(|it| it.job == job)
        {
            former.is_taken = true;
        }
        Ok(())
    }

    /// Whether the results' type is here what it was where the job began: all definitions and crates that it is made of.
    fn is_defined(&self, job: JobId, manifest: &Manifest) -> Done {
        let crates = self.workshop.crate_texts();
        let (mut types, mut lacking_crates) = (Vec::new(), Vec::new());
        for (name, was) in &manifest.definitions {
            let is = self.workshop.definitions().text_of(name);
            let added = crates.get(name).map(String::as_str);
            let (of, is) = match added_now(was, added) {
                Some(Now::TheSame) => continue,
                Some(Now::Edited) => return Err(edited(job, name, was).into()),
                Some(Now::Another) => (&mut lacking_crates, added),
                None => (&mut types, is.as_deref()),
            };
            let is_another = is.is_some();
            if is.is_none_or(|is| normalised(is) != normalised(was)) {
                let (name, was) = (name.as_str(), was.as_str());
                of.push(Lacking {
                    name,
                    was,
                    is_another,
                });
            }
        }
        // Types may need the crates.
        let (what, lacking) = match lacking_crates.is_empty() {
            true => ("type", types),
            false => ("crate", lacking_crates),
        };
        if lacking.is_empty() {
            return Ok(());
        }
        let kind = shorten(&manifest.output_type);
        let said = lacking_words(what, &lacking);
        let what = format!("the results of job {job} are of type `{kind}`, and {said}");
        let (was, enter) = match lacking.len() {
            1 => ("it was", "enter it"),
            _ => ("they were", "enter all of it as one cell"),
        };
        let texts: Vec<&str> = { lacking.iter() }
            .map(|it| as_entered(it.was).trim_end())
            .collect();
        let hint = format!(
            "{was} this; {enter}, then `%result {job}`:\n{}",
            texts.join("\n")
        );
        Err(Report::new(ErrorKind::Error, what).hint(hint).into())
    }
}

/// The results are made of a crate of the user's, which is another one by now.
fn edited(job: JobId, name: &str, was: &str) -> Report {
    let what = format!(
        "the results of job {job} are made of the crate `{name}`, which has been edited since"
    );
    let folder = folder_of(was).unwrap_or_default();
    Report::new(ErrorKind::Error, what).hint(format!(
        "bring {folder} back to what it was, then `%result {job}`"
    ))
}

/// What a type of results is made of and is not here, or is another one.
struct Lacking<'a> {
    name: &'a str,
    was: &'a str,
    is_another: bool,
}

/// `there is no `A` and no `B` here, `C` is another type now`. `what`: a type or a crate.
fn lacking_words(what: &str, lacking: &[Lacking<'_>]) -> String {
    let (others, missing): (Vec<_>, Vec<_>) = lacking.iter().partition(|it| it.is_another);
    let missing: Vec<String> = missing
        .iter()
        .map(|it| format!("no `{}`", it.name))
        .collect();
    let missing = match missing.split_last() {
        None => None,
        Some((last, [])) => Some(format!("there is {last} here")),
        Some((last, before)) => Some(format!("there is {} and {last} here", before.join(", "))),
    };
    let others = others
        .iter()
        .map(|it| format!("`{}` is another {what} now", it.name));
    missing
        .into_iter()
        .chain(others)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Of how many items the results should be there, and why they are not; `None` when they are. `damaged`: pieces whose results
/// cannot be read.
fn what_lacks(manifest: &Manifest, count: u64, damaged: u32) -> Option<(String, String)> {
    let all = match manifest.inputs {
        Inputs::Exhausted => Some(manifest.items),
        _ => manifest.total,
    };
    let why = match (damaged, manifest.inputs) {
        (1, _) => "those of a chunk are damaged on the server".to_owned(),
        (2.., _) => format!("those of {damaged} chunks are damaged on the server"),
        (_, Inputs::Exhausted) => "the server has lost the others".to_owned(),
        (_, Inputs::GivenUp) => "it was cancelled".to_owned(),
        (_, Inputs::Coming) => "its session ended before all its inputs were queued".to_owned(),
    };
    let of = all.map_or_else(String::new, |all| format!(" of {all}"));
    all.is_none_or(|all| count < all).then_some((of, why))
}

/// So many gaps in a job's results are told.
const GAPS: usize = 4;

/// `, without 3, 7..9`: the inputs of which there is nothing, as far as any were queued. `came` is in their order.
fn without(came: &[(u64, u64)], errors: &[ItemError], items: u64) -> String {
    let errors = errors.iter().map(|error| (error.item(), 1));
    let mut there: Vec<(u64, u64)> = came.iter().copied().chain(errors).collect();
    there.sort_unstable();
    let mut gaps = Vec::new();
    let mut next = 0;
    for (first, count) in there.into_iter().chain([(items, 0)]) {
        if first > next {
            gaps.push(match first - next {
                1 => next.to_string(),
                _ => format!("{next}..{first}"),
            });
        }
        next = next.max(first + count);
    }
    let more = gaps.len().saturating_sub(GAPS);
    gaps.truncate(GAPS);
    if more > 0 {
        gaps.push(format!("{more} more such parts"));
    }
    match gaps.is_empty() {
        true => String::new(),
        false => format!(", without {}", gaps.join(", ")),
    }
}

/// What there is of a job's results, in the order of the inputs.
#[derive(Debug, Default)]
struct Taken {
    /// The first input and the count of those that lie together.
    came: Vec<(u64, u64)>,
    /// What stands in the place of others.
    errors: Vec<ItemError>,
    bytes: Vec<u8>,
}

impl Taken {
    /// `collects`: errors are results too. Otherwise the first one is why there are none.
    fn of(parts: Vec<Part>, collects: bool) -> Result<Self, MapFailure> {
        let mut ran: BTreeMap<u64, (u64, Vec<u8>)> = BTreeMap::new();
        let mut errors = Vec::new();
        let fails = |rank: Rank, item: u64, what: MapFault| MapFailure {
            rank: Some(rank),
            item: Some(item),
            what,
            died: Vec::new(),
        };
        let mut failures: BTreeMap<u64, MapFailure> = BTreeMap::new();
        for part in parts {
            match part {
                Part::Ran {
                    rank,
                    first,
                    ended,
                    results,
                } => {
                    if let Some(panic) = ended.error {
                        let item = first + ended.done;
                        failures.insert(item, fails(rank, item, MapFault::Panicked(*panic)));
                    }
                    ran.insert(first, (ended.done, results));
                }
                Part::GivenUp {
                    rank,
                    item,
                    begun,
                    late,
                    cause,
                } => {
                    let end = ItemEnd::of(begun, late, cause);
                    if collects {
                        errors.push(item_error(item, end));
                    } else {
                        failures.insert(item, fails(rank, item, end.into()));
                    }
                }
            }
        }
        if let Some((_, failure)) = failures.pop_first() {
            return Err(failure);
        }
        let mut taken = Self {
            errors,
            ..Self::default()
        };
        for (first, (count, results)) in ran {
            taken.came.push((first, count));
            taken.bytes.extend(results);
        }
        Ok(taken)
    }
}

/// What stands in the place of an item's result.
fn item_error(item: u64, end: ItemEnd) -> ItemError {
    match end {
        ItemEnd::TimedOut => ItemError::TimedOut { item },
        ItemEnd::Crashed(cause) => ItemError::Crashed {
            item,
            cause: cause.to_string(),
        },
        ItemEnd::Lost(cause) => ItemError::Lost {
            item,
            cause: cause.to_string(),
        },
    }
}

/// Until a job is no map of the session's.
struct Detaching {
    former: FormerJob,
    since: Instant,
    /// It was said that there may be no end.
    is_warned: bool,
}

/// It is told then how far it is.
const TOLD_AFTER: Duration = Duration::from_millis(700);

/// When there is no end in sight.
const WARNED_AFTER: Duration = Duration::from_secs(5);

impl Detaching {
    fn of(former: FormerJob) -> Self {
        Self {
            former,
            since: Instant::now(),
            is_warned: false,
        }
    }

    fn tell(&mut self, record: &JobRecord, sink: &mut dyn Sink) {
        let elapsed = self.since.elapsed();
        if elapsed < TOLD_AFTER {
            return;
        }
        if record.total.is_none() && elapsed >= WARNED_AFTER && !self.is_warned {
            self.is_warned = true;
            sink.send(Event::Text(format!(
                "all inputs of job {} are queued first, and how many there are is not known: Ctrl-C and `%cancel` end it; \
                 `(0..).take(1000)` has an end",
                record.job
            )));
        }
        sink.send(Event::Progress(Some(Progress {
            what: format!("queueing job {}", record.job),
            unit: "items",
            done: record.pulled,
            total: record.total,
            elapsed,
        })));
    }
}

impl Awaited for Detaching {
    type Outcome = ();

    fn look(&mut self, crew: &mut Crew, sink: &mut dyn Sink) -> Result<Option<()>, Failed> {
        if self.former.now().is_some() {
            return Ok(Some(()));
        }
        let job = self.former.job;
        let records = crew.hub().jobs();
        let record = records.iter().find(|record| record.job == job);
        match record {
            Some(record) if record.state == JobState::Failed && !record.is_detached => {
                let why = record.why.as_deref().unwrap_or_default();
                let what = format!("job {job} failed: {why}");
                Err(Report::new(ErrorKind::Map, what).into())
            }
            _ if self.former.cluster.is_lost() => {
                let what = format!(
                    "job {job} does not go on: this session does not have the cluster any more"
                );
                Err(Report::new(ErrorKind::Map, what).into())
            }
            Some(record) => {
                self.tell(record, sink);
                Ok(None)
            }
            None => Ok(None),
        }
    }

    fn interrupted(&mut self, _: &mut Crew) -> Result<(), Failed> {
        Err(super::jobs::goes_on(self.former.job).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::DeathCause;
    use crate::wire::ChunkEnded;

    fn ran(first: u64, done: u64, results: &[u8]) -> Part {
        Part::Ran {
            rank: Rank(0),
            first,
            ended: ChunkEnded::well(done),
            results: results.to_vec(),
        }
    }

    fn given_up(item: u64) -> Part {
        Part::GivenUp {
            rank: Rank(1),
            item,
            begun: true,
            late: false,
            cause: DeathCause::Signal(6),
        }
    }

    #[test]
    fn all_that_a_type_lacks_is_told() {
        let lacking = |name, is_another| Lacking {
            name,
            was: "",
            is_another,
        };
        let said = |all: &[(&'static str, bool)]| {
            let all: Vec<_> = all.iter().map(|(name, is)| lacking(name, *is)).collect();
            lacking_words("type", &all)
        };
        assert_eq!(said(&[("A", false)]), "there is no `A` here");
        assert_eq!(said(&[("A", true)]), "`A` is another type now");
        assert_eq!(
            said(&[("A", false), ("D", true), ("B", false), ("C", false)]),
            "there is no `A`, no `B` and no `C` here, `D` is another type now"
        );
    }

    #[test]
    fn what_is_not_there_is_named() {
        let error = ItemError::TimedOut { item: 9 };
        let gaps = |came: &[(u64, u64)], items| without(came, std::slice::from_ref(&error), items);
        assert_eq!(gaps(&[(0, 9), (10, 5)], 15), "");
        assert_eq!(gaps(&[(1, 3), (10, 5)], 20), ", without 0, 4..9, 15..20");
        let each: Vec<(u64, u64)> = (10..20).map(|at| (2 * at, 1)).collect();
        let some = ", without 0..9, 10..20, 21, 23, 7 more such parts";
        assert_eq!(gaps(&each, 39), some);
    }

    #[test]
    fn results_are_in_the_order_of_the_inputs() {
        let taken = Taken::of(vec![ran(4, 1, &[5]), ran(0, 3, &[1, 2, 3])], false).unwrap();
        assert_eq!(taken.came, [(0, 3), (4, 1)]);
        assert_eq!(taken.bytes, [1, 2, 3, 5]);
    }

    #[test]
    fn an_item_without_a_result_is_an_error_among_them_or_the_end_of_all() {
        let parts = || vec![ran(0, 3, &[1, 2, 3]), given_up(3)];
        let taken = Taken::of(parts(), true).unwrap();
        assert_eq!(taken.errors.len(), 1);
        assert_eq!(taken.errors[0].item(), 3);
        let failure = Taken::of(parts(), false).unwrap_err();
        assert_eq!((failure.rank, failure.item), (Some(Rank(1)), Some(3)));
    }
}
