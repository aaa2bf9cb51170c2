//! What `%px` cells came to, looked at afterwards: waited for, shown, bound to variables.

use super::crew::{PxJob, Stage};
use super::px_out::Values;
use super::{Code, Failed, JobStatus, Session};
use crate::cell::Binding;
use crate::ids::{JobId, PoolName};
use crate::outcome::{Event, GroupOutputs, Report, Sink};

/// Which results of `%px` are wanted, and how.
#[derive(Clone, Debug, Default)]
pub struct PxWanted {
    /// All that were not shown when `None`; without any, the last one again.
    pub job: Option<JobId>,
    /// Those on this pool only.
    pub pool: Option<String>,
    /// What takes the values that `-o` has asked for.
    pub bind: Option<Binding>,
    pub group: Option<GroupOutputs>,
}

impl Session {
    /// Waits for `%px` cells in the background and shows what they came to.
    pub fn px_result(&mut self, wanted: &PxWanted, sink: &mut dyn Sink) -> Result<(), Failed> {
        self.advance_px(sink);
        // On threads it is a map.
        if let Some(job) = wanted.job.filter(|job| self.crew.jobs.is_map(*job)) {
            return self.result_on_threads(job, wanted, sink);
        }
        let on_pool = |name: &PoolName| wanted.pool.as_ref().is_none_or(|wanted| *wanted == name.0);
        if wanted.job.is_none() && self.crew.jobs.px.is_empty() {
            let all = self.statuses();
            let is_px = |it: &&JobStatus| {
                self.crew.jobs.is_map(it.job) && self.crew.jobs.px_of_map(it.job).is_some()
            };
            let last = all.iter().rev().filter(|it| on_pool(&it.pool)).find(is_px);
            if let Some(job) = last.map(|it| it.job) {
                return self.result_on_threads(job, wanted, sink);
            }
        }
        let jobs: Vec<JobId> = match wanted.job {
            Some(job) => vec![self.px_job(job)?.job],
            None => self
                .crew
                .jobs
                .px
                .iter()
                .filter(|job| on_pool(&job.asked.pool))
                .map(|job| job.job)
                .collect(),
        };
        if jobs.is_empty() {
            let last = self.last_px.as_ref();
            let Some(last) = last.filter(|last| on_pool(&last.report.pool)) else {
                return Err(Report::usage(match &wanted.pool {
                    Some(pool) => format!("the last %px did not run on {pool}"),
                    None => "no %px has run yet".to_owned(),
                })
                .into());
            };
            if let Some(bind) = &wanted.bind {
                let values = last.values.clone();
                return self.bind_again(bind, &values, sink);
            }
            let mut report = last.report.clone();
            report.group = wanted.group.unwrap_or(report.group);
            sink.send(Event::Px(report));
            return Ok(());
        }
        let mut failed = Failed::default();
        let mut any = false;
        for job in jobs {
            if let Err(mut more) = self.bring_in(job, wanted, sink) {
                any = true;
                failed.0.append(&mut more.0);
            }
        }
        if any { Err(failed) } else { Ok(()) }
    }

    /// The same of a `%px` on threads, whose results are those of a map; that fails when one of them has.
    fn result_on_threads(
        &mut self,
        job: JobId,
        wanted: &PxWanted,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        self.await_job(job, None, sink)?;
        let went_well = self.map_went_well(job);
        self.job_result(Some(job), wanted.bind.as_ref(), sink)?;
        match self.crew.jobs.px_of_map(job) {
            Some(_) => went_well,
            None => Ok(()),
        }
    }

    /// Waits for a job and shows what it came to.
    fn bring_in(
        &mut self,
        job: JobId,
        wanted: &PxWanted,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        self.await_job(job, None, sink)?;
        let Some(PxJob { asked, stage, .. }) = self.crew.jobs.take_px(job) else {
            return Ok(());
        };
        let Stage::Over(end) = stage else {
            return Ok(());
        };
        sink.send(Event::Text(format!(
            "{} on {}:",
            asked.cell.name(),
            asked.pool
        )));
        let bound = match &wanted.bind {
            Some(bind) => self.bind_again(bind, &end.values, sink),
            None => Ok(()),
        };
        let shown = match end.report {
            Some(mut report) => {
                report.group = wanted.group.unwrap_or(report.group);
                self.show_px(report, end.values, sink)
            }
            None => Err(Failed::default()),
        };
        match shown.and(bound) {
            Ok(()) if end.failed.is_empty() => Ok(()),
            Ok(()) => Err(Failed(end.failed)),
            Err(mut failed) => {
                failed.0.extend(end.failed);
                Err(failed)
            }
        }
    }

    fn bind_again(
        &mut self,
        bind: &Binding,
        values: &Values,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        if values.kinds.is_empty() {
            return Err(Report::usage("its values were shown, not sent")
                .hint("`%px -o NAME` has the engines send them too")
                .into());
        }
        if bind.name == bind.pattern && bind.ty.is_none() {
            return self.bind_values(&bind.name, values, sink);
        }
        let whole = "regatta_values";
        self.bind_values(whole, values, sink)?;
        let code = format!("{}{whole};\n", bind.opening());
        self.run_local(&Code::default().generated(&code), sink)
    }
}
