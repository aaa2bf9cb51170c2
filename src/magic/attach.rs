//! What `%pool attach` and `regatta attach` have in common: clusters that outlive their session, listed and taken.

use super::jobs;
pub use super::pool::cluster::Hosts;
pub use super::pool::described;
use crate::ids::PoolName;
use crate::outcome::{Event, Field, Report, Sink, Table};
use crate::pool::cluster::keep::{self, Record, Shelf, Status};
use crate::pool::cluster::queue::Former;
use crate::render::{kept, units};
use crate::session::{Done, Failed, JobStatus, Pool, Session, missing, status_of};

/// Hosts are for a cluster that is named.
pub fn is_named(hosts: &Hosts) -> Result<(), Report> {
    match hosts.are_none() {
        true => Ok(()),
        false => Err(Report::usage("which cluster are these hosts for?")
            .hint("`attach NAME --ssh …`; `attach` alone lists those that there are")),
    }
}

/// Shows the clusters that there are.
pub fn list(sink: &mut dyn Sink) -> Done {
    let records = Shelf::find()?.all();
    if records.is_empty() {
        let text =
            "no cluster is kept: `%pool start cluster --keep 24h --ssh node1:8,node2` starts one";
        sink.send(Event::Text(text.to_owned()));
        return Ok(());
    }
    let looked: Vec<_> = records.iter().map(keep::look).collect();
    sink.send(Event::Table(Table {
        title: None,
        columns: vec!["cluster", "nodes", "jobs", "since", "session", "lease"],
        rows: { records.iter().zip(&looked) }
            .map(|(record, status)| row(record, status.as_ref().ok()))
            .collect(),
    }));
    // A table cuts what is too wide for it.
    for (record, status) in records.iter().zip(looked) {
        if let Err(fault) = status {
            let (what, hint) = (kept::what(&fault), kept::hint(&fault));
            let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
            sink.send(Event::Text(format!("{}: {what}{hint}", record.name)));
        }
    }
    Ok(())
}

/// `status` is none when it cannot be told.
fn row(record: &Record, status: Option<&Status>) -> Vec<Field> {
    let since = kept::clock(record.since).map_or(Field::Empty, Field::Text);
    let mut row = vec![Field::Text(record.name.clone())];
    match status {
        None => row.extend([
            Field::Empty,
            Field::Empty,
            since,
            Field::Failure("unknown".to_owned()),
            Field::Empty,
        ]),
        Some(status) => row.extend([
            Field::Text(nodes(status)),
            jobs_of(&record.name, status).map_or(Field::Empty, |jobs| {
                let jobs: Vec<JobStatus> = jobs.into_iter().map(|(_, job)| job).collect();
                Field::Text(jobs::tallied(&jobs))
            }),
            since,
            Field::Text(
                status
                    .has
                    .as_ref()
                    .map_or_else(|| "none".to_owned(), |who| format!("process {}", who.pid)),
            ),
            Field::Text(match status.left {
                Some(left) => format!("{} left", units::duration(left)),
                None => format!("{} without a session", units::duration(record.lease)),
            }),
        ]),
    }
    row
}

/// Those that need no session; `None` when the server does not tell.
fn jobs_of(name: &str, status: &Status) -> Option<Vec<(Former, JobStatus)>> {
    let pool = PoolName(name.to_owned());
    let formers = keep::jobs(&status.session).ok()?.into_iter();
    let known = formers.map(|former| {
        let status = status_of(former.clone(), former.manifest.job, &pool);
        (former, status)
    });
    Some(known.collect())
}

/// Ends one, with `steal` also one that a session has. Not while it has results that somebody may want, unless they are to be
/// dropped.
pub fn end(name: &str, steal: bool, drops: bool) -> Done {
    let records = Shelf::find()?.all();
    // Of one whose holder or server does not answer nothing is known.
    let status = { records.iter().find(|record| record.name == name) }
        .and_then(|record| keep::look(record).ok())
        .filter(|status| !drops && (steal || status.has.is_none()));
    if let Some(status) = status {
        let jobs = jobs_of(name, &status).unwrap_or_default().into_iter();
        let wanted = jobs.filter(|(former, _)| former.is_wanted());
        let wanted: Vec<JobStatus> = wanted.map(|(_, job)| job).collect();
        nothing_is_lost(name, &wanted)?;
    }
    match steal {
        true => keep::end(name)?,
        false => keep::end_unused(name)?,
    }
    Ok(())
}

/// The results of jobs end with their cluster.
fn nothing_is_lost(name: &str, jobs: &[JobStatus]) -> Result<(), Report> {
    let Some(first) = jobs.first() else {
        return Ok(());
    };
    let what = format!("with {name} ends what it has: {}", jobs::named(jobs));
    Err(Report::usage(what).hint(format!(
        "`regatta attach {name}`, then `let r = %result {}` takes results; `regatta attach --end {name} --drop` drops them",
        first.job
    )))
}

fn nodes(status: &Status) -> String {
    let name = |(host, is_there): &(String, Option<bool>)| match is_there {
        Some(true) => host.clone(),
        Some(false) => format!("{host} (not reached)"),
        None => format!("{host} (came by itself)"),
    };
    match status.nodes.as_slice() {
        [] => "none".to_owned(),
        nodes => nodes.iter().map(name).collect::<Vec<_>>().join(", "),
    }
}

/// So many jobs are listed when a cluster is taken, the last ones.
const MOST_JOBS: usize = 10;

/// Takes one for the session, with these hosts beside its own: the pool that it is now.
pub fn take(
    name: &str,
    steal: bool,
    hosts: &Hosts,
    session: &mut Session,
    sink: &mut dyn Sink,
) -> Result<Pool, Failed> {
    let (pool, gone) = session.attach_cluster(name, steal, hosts.more()?, sink)?;
    if !gone.is_empty() {
        sink.send(Event::Text(missing(&gone)));
    }
    Ok(pool)
}

/// What there is to say of a cluster that was taken, when its jobs have been listed.
pub fn told(pool: &Pool, session: &mut Session, sink: &mut dyn Sink) -> String {
    let mut jobs = session.jobs(sink);
    jobs.retain(|job| job.pool == pool.name);
    let last = jobs.len().saturating_sub(MOST_JOBS);
    if !jobs.is_empty() {
        sink.send(Event::Table(jobs::table(&jobs[last..])));
    }
    described(pool)
}
