//! What `%px` cells came to, looked at afterwards: waited for, shown, bound to variables.

use super::crew::{PxJob, Stage};
use super::px_out::Values;
use super::{Code, Failed, Session};
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

impl PxWanted {
    /// That of this number.
    pub fn of(job: JobId) -> Self {
        Self {
            job: Some(job),
            ..Self::default()
        }
    }
}

impl Session {
    /// Waits for `%px` cells in the background and shows what they came to.
    pub fn px_result(&mut self, wanted: &PxWanted, sink: &mut dyn Sink) -> Result<(), Failed> {
        self.advance_px(sink);
        let is_map = |job: &JobId| self.crew.jobs.is_map(*job);
        if let Some(job) = wanted.job.filter(is_map)
            && self.crew.px_of_threads(job).is_none()
        {
            return self.job_result(Some(job), wanted.bind.as_ref(), sink);
        }
        let on_pool = |name: &PoolName| wanted.pool.as_ref().is_none_or(|wanted| *wanted == name.0);
        let jobs: Vec<JobId> = match wanted.job {
            Some(job) if is_map(&job) => vec![job],
            Some(job) => vec![self.px_job(job)?.job],
            None => self
                .statuses()
                .into_iter()
                .filter(|job| on_pool(&job.pool) && self.is_px_job(job.job))
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
            let brought = match self.crew.px_of_threads(job) {
                Some(_) => self.bring_in_threads(job, wanted, sink),
                None => self.bring_in(job, wanted, sink),
            };
            if let Err(mut more) = brought {
                any = true;
                failed.0.append(&mut more.0);
            }
        }
        if any { Err(failed) } else { Ok(()) }
    }

    /// The same of a `%px` on threads, which is a map whose items are what each of them runs.
    fn bring_in_threads(
        &mut self,
        job: JobId,
        wanted: &PxWanted,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        self.await_job(job, None, sink)?;
        let variable = self.crew.jobs.variable(job).map(str::to_owned);
        let variable = variable.filter(|name| self.has_variable(name));
        let ours = self.crew.px_of_threads(job).zip(variable);
        // Bound, they stay results; without them their loss is told.
        let Some((record, variable)) = ours.filter(|_| wanted.bind.is_none()) else {
            let went_well = self.map_went_well(job);
            let bind = wanted.bind.as_ref();
            return self.results_of_map(job, bind, sink).and(went_well);
        };
        let report = self.settle_threads(&record, &variable, sink)?;
        self.crew.hub().forget_job(job);
        self.crew.jobs.maps.retain(|map| map.job != job);
        sink.send(Event::Text(format!(
            "{} on {}:",
            report.cell.name(),
            report.pool
        )));
        self.show_px(report, Values::default(), sink)
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
