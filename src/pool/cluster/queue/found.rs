//! The jobs on a server, as they are found there: by their manifests and their pieces.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::rc::Rc;

use async_nats::{Client, jetstream};

use super::former::{Former, Left};
use super::objects::{Objects, other};
use super::patience::unless_damaged;
use super::reader::Reader;
use super::schema::{Inputs, Malformed, Manifest, Names};
use crate::ids::JobId;

pub(super) struct Found {
    /// Their manifests; of some that cannot be read, why.
    pub jobs: BTreeMap<JobId, Result<Manifest, String>>,
    /// The pieces that wait, or that nodes have; `None`: they are too many to tell.
    pub waiting: Option<BTreeMap<JobId, BTreeSet<u32>>>,
    /// Those of which there are results.
    pub done: BTreeMap<JobId, BTreeSet<u32>>,
    /// Jobs of which an item has no result.
    pub failed: BTreeSet<JobId>,
    /// The highest number that a job has had, as the server was told.
    pub told: JobId,
}

impl Found {
    /// The highest number that a job has had. Sessions alone give numbers and queue work; what nodes say is believed as far as it
    /// may be so.
    pub fn highest(&self) -> JobId {
        let waiting = self.waiting.iter().flat_map(BTreeMap::keys);
        let stored = self.jobs.keys().chain(waiting).copied();
        let stored = stored.fold(self.told, JobId::max);
        highest(stored, self.done.keys().copied())
    }

    /// Those that earlier sessions were about to remove; and those that they had closed, of which some may be there still.
    pub fn over(&self) -> (BTreeSet<JobId>, BTreeSet<JobId>) {
        let (mut dropped, mut closed) = (BTreeSet::new(), BTreeSet::new());
        for manifest in self.jobs.values().flatten() {
            match manifest.closed.contains(&manifest.job) {
                true => drop(dropped.insert(manifest.job)),
                false => closed.extend(manifest.closed.iter().copied()),
            }
        }
        (dropped, closed)
    }
}

/// The pieces of each job that these subjects are of.
fn pieces<'a>(subjects: impl Iterator<Item = &'a String>) -> BTreeMap<JobId, BTreeSet<u32>> {
    let mut of: BTreeMap<JobId, BTreeSet<u32>> = BTreeMap::new();
    for (job, piece) in subjects.filter_map(|subject| Names::piece_of(subject)) {
        of.entry(job).or_default().insert(piece);
    }
    of
}

/// A node may say that it has results of any job: numbers so far from all others say nothing.
const NEAR: u32 = 100_000;

/// The highest number that a job has had. `stored`: as the server was told; its file may be damaged, and then what is `left` of
/// jobs says it.
fn highest(stored: JobId, left: impl Iterator<Item = JobId>) -> JobId {
    let near = stored.0.saturating_add(NEAR);
    left.filter(|job| job.0 <= near).fold(stored, JobId::max)
}

impl Reader {
    pub(super) async fn found(&self) -> io::Result<Found> {
        // In this order: a piece waits until it has results.
        let works = self.works_there().await?;
        let results = self.results_there().await?;
        let failed = results.iter().filter_map(|it| Names::failed_of(it));
        let mut found = Found {
            jobs: BTreeMap::new(),
            waiting: works.map(|works| pieces(works.iter())),
            done: pieces(results.iter()),
            failed: failed.collect(),
            told: JobId(0),
        };
        let names = &self.names;
        for message in { self.read_all(names.jobs(), names.all_jobs()).await }? {
            let subject = message.subject.as_str();
            if subject == names.highest() {
                let text = std::str::from_utf8(&message.payload).unwrap_or_default();
                found.told = JobId(text.parse().unwrap_or_default());
            } else if subject != names.epoch()
                && let Some(job) = Names::job_of(subject)
            {
                let payload = &message.payload;
                let read = unless_damaged(|| self.objects.manifest(payload)).await;
                let read = match read {
                    Ok(Some(manifest)) if manifest.job == job => Ok(manifest),
                    Ok(_) => Err(other(Malformed).to_string()),
                    Err(why) => Err(why.to_string()),
                };
                found.jobs.insert(job, read);
            }
        }
        Ok(found)
    }

    /// What is left of a job; `None` when there is none. What was found of its pieces goes with it.
    pub(super) async fn left(&self, found: &mut Found, job: JobId) -> Option<Left> {
        let (manifest, unknown) = match found.jobs.get(&job)? {
            Ok(manifest) => (manifest.clone(), None),
            // The other jobs are there nevertheless.
            Err(why) => (Manifest::unknown(job), Some(why.clone())),
        };
        let done = found.done.remove(&job).unwrap_or_default();
        let waiting = match &mut found.waiting {
            Some(waiting) => waiting.remove(&job).unwrap_or_default(),
            None => {
                let queued = match manifest.inputs {
                    Inputs::Coming => self.queued_of(job).await,
                    _ => manifest.pieces,
                };
                (0..queued).collect()
            }
        };
        Some(Left {
            last: match done.is_empty() {
                true => None,
                false => self.last_of(job).await,
            },
            manifest,
            done,
            waiting,
            has_failed: found.failed.contains(&job),
            unknown,
            unreadable: None,
        })
    }

    /// The jobs that a session would have which came now.
    async fn formers(&self) -> io::Result<Vec<Former>> {
        let mut found = self.found().await?;
        let (dropped, closed) = found.over();
        let mut formers = Vec::new();
        for job in found.jobs.keys().copied().collect::<Vec<_>>() {
            if !dropped.contains(&job) && !closed.contains(&job) {
                let left = self.left(&mut found, job).await;
                formers.extend(left.as_ref().map(Left::now));
            }
        }
        Ok(formers)
    }
}

/// The jobs of a cluster that need no session, read beside whoever has it.
pub async fn formers(client: &Client, cluster: &str) -> io::Result<Vec<Former>> {
    let (jetstream, names) = (jetstream::new(client.clone()), Names::of(cluster));
    let objects = Objects::new(client.clone(), jetstream.clone(), names.clone());
    Reader::new(jetstream, names, Rc::new(objects))
        .formers()
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_given_once_and_not_to_be_used_up() {
        let of = |stored, left: &[u32]| highest(JobId(stored), left.iter().copied().map(JobId));
        assert_eq!(of(7, &[3, 9]), JobId(9));
        assert_eq!(of(7, &[]), JobId(7));
        assert_eq!(of(7, &[3, u32::MAX, NEAR + 8]), JobId(7));
    }

    #[test]
    fn subjects_are_pieces_of_jobs() {
        let subjects = ["c.work.now.3.0", "c.work.later.3.7", "c.work.now.4.1", "x"];
        let subjects = subjects.map(str::to_owned);
        let of = pieces(subjects.iter());
        let expected = [(3, vec![0, 7]), (4, vec![1])];
        let expected = expected.map(|(job, of)| (JobId(job), BTreeSet::from_iter(of)));
        assert_eq!(of, BTreeMap::from(expected));
    }
}
