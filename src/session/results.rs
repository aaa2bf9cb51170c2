//! The results of jobs as variables: of those that magics began, and of those that code did, which are found
//! in the user's own variables.

use super::jobs::failed;
use super::types::shorten;
use super::{Code, Failed, PxWanted, Session};
use crate::cell::{Binding, Kind};
use crate::ids::JobId;
use crate::outcome::{About, ErrorKind, Event, JobState, Notice, Report, Sink};
use crate::pool::JobRecord;

impl Session {
    /// A job's results, waited for if need be: a variable or the cell's value. The job keeps them.
    pub fn job_result(
        &mut self,
        job: Option<JobId>,
        bind: Option<&Binding>,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let job = self.status(job, sink)?.job;
        if self.is_px_job(job) {
            let wanted = PxWanted {
                bind: bind.cloned(),
                ..PxWanted::of(job)
            };
            return self.px_result(&wanted, sink);
        }
        if self.crew.former(job).is_some() {
            self.await_job(job, None, sink)?;
            return self.results_of_former(job, bind, sink);
        }
        self.results_of_map(job, bind, sink)
    }

    /// The same of a map.
    pub(super) fn results_of_map(
        &mut self,
        job: JobId,
        bind: Option<&Binding>,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        self.await_job(job, None, sink)?;
        let status = self.status(Some(job), sink)?;
        let record = self
            .crew
            .hub()
            .jobs()
            .into_iter()
            .find(|other| other.job == job);
        let Some(record) = record else {
            return Err(Report::usage(format!("there is no job {job}")).into());
        };
        // What a `%px` failed with is among its results.
        if record.state == JobState::Failed {
            let report = failed(&status).hint(format!("`%jobs --drop {job}` forgets it"));
            return Err(report.into());
        }
        let place = self.place_of_job(&record)?;
        let give = match (record.state == JobState::Done, record.single) {
            (true, true) => "result",
            (true, false) => "results",
            (false, _) => "partly",
        };
        if give == "partly" {
            let (done, total) = (status.done, status.total);
            let about = About {
                job: Some(job),
                ..About::cell(self.cell())
            };
            sink.send(Event::Notice(about, Notice::PartOfJob { job, done, total }));
        }
        let code = bound(bind, &format!("regatta_cell::magic::{give}(&{place})"));
        self.run_local(&code, sink)?;
        self.tell_commands_of(job, sink)
    }

    /// An expression of the local engine's that is the job.
    fn place_of_job(&mut self, record: &JobRecord) -> Result<String, Failed> {
        let job = record.job;
        if let Some(ours) = self.crew.jobs.maps.iter().find(|other| other.job == job) {
            let variable = ours.variable.clone();
            if self.has_variable(&variable) {
                return Ok(variable);
            }
            self.crew.jobs.maps.retain(|other| other.job != job);
            return Err(Report::new(
                ErrorKind::Error,
                format!("the results of job {job} are lost with the local engine"),
            )
            .into());
        }
        let variables = self.variables();
        let found: Vec<(&str, String)> = variables
            .iter()
            .filter_map(|(name, kind)| Some((name.as_str(), result_type(kind)?)))
            .filter(|(_, kind)| shorten(kind) == shorten(&record.output))
            .collect();
        let Some((_, kind)) = found.first() else {
            return Err(Report::new(
                ErrorKind::Error,
                format!("no variable has job {job}, which code began"),
            )
            .hint(
                "keep what begins it: `let job = pool::pool(…).start(…)`, then `%result`, or `job.get()` in code",
            )
            .into());
        };
        let places: Vec<String> = found.iter().map(|(name, _)| format!("&{name}")).collect();
        Ok(format!(
            "regatta_cell::magic::job_in::<{kind}>({job}, &[{}])",
            places.join(", ")
        ))
    }
}

/// Code that binds what an expression gives, or has it as the cell's value.
pub(super) fn bound(bind: Option<&Binding>, expression: &str) -> Code {
    let open = bind.map_or_else(String::new, Binding::opening);
    let close = if bind.is_some() { ";" } else { "" };
    Code::default().generated(&format!("{open}{expression}{close}\n"))
}

/// What the jobs give that a variable of this type has: `u64` of `Vec<Job<u64>>`.
fn result_type(kind: &str) -> Option<String> {
    let kind = Kind::of(kind);
    let inner = |name| kind.only_argument(name);
    match &kind {
        Kind::Array(item) => result_type(item),
        _ => match inner("Job") {
            Some(result) => Some(result.to_owned()),
            None => result_type(inner("Vec").or_else(|| inner("Option"))?),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::result_type;

    #[test]
    fn jobs_are_found_in_variables() {
        for (kind, result) in [
            ("regatta_cell::pool::Job<u64>", Some("u64")),
            (
                "std::vec::Vec<regatta_cell::pool::Job<(u8, Vec<f64>)>>",
                Some("(u8, Vec<f64>)"),
            ),
            (
                "[Job<Result<u8, ItemError>>; 3]",
                Some("Result<u8, ItemError>"),
            ),
            ("Option<Job<String>>", Some("String")),
            ("Vec<u64>", None),
            ("u64", None),
            ("(Job<u8>, Job<u8>)", None),
        ] {
            assert_eq!(result_type(kind).as_deref(), result, "{kind}");
        }
    }
}
