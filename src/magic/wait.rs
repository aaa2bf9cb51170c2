//! `%wait`: waits for jobs and children.

use std::time::{Duration, Instant};

use clap::Args;

use super::values::{ChildName, JobOrChild, seconds};
use super::{Call, Example, Magic};
use crate::outcome::{ChildState, ErrorKind, Event, Report, Sink};
use crate::render::children::ended_words;
use crate::session::{Done, Session};

/// waits for jobs, and for children of `%spawn`
#[derive(Args)]
pub struct Wait {
    /// numbers of jobs, names of children, or `all`, but for children that live on; the last job without any
    #[arg(value_name = "JOB|NAME")]
    what: Vec<JobOrChild>,
    /// no longer than this in all; what is waited for runs on
    #[arg(
        long,
        value_name = "SECS",
        allow_hyphen_values = true,
        value_parser = |text: &str| seconds("--timeout", text)
    )]
    timeout: Option<Duration>,
}

impl Magic for Wait {
    const NAME: &'static str = "wait";
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%pool start -n 2\n%map -a |x: u64| x + 1 over 0..4\n%wait --timeout 60\nlet r = %result\nr",
        shows: "[1, 2, 3, 4]",
    }];

    fn run(self, _: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        let mut what = self.what;
        if what.is_empty() {
            if session.child_names().is_empty() || !session.jobs(sink).is_empty() {
                return session.wait_job(None, self.timeout, sink);
            }
            what.push(JobOrChild::Child("all".into()));
        }
        let until = self
            .timeout
            .and_then(|timeout| Instant::now().checked_add(timeout));
        let left = || until.map(|until| until.saturating_duration_since(Instant::now()));
        // A name that is mistyped is told before anything is waited for.
        for one in &what {
            match one {
                JobOrChild::Child(ChildName(name)) if name != "all" => session.known_child(name)?,
                _ => {}
            }
        }
        for one in what {
            match one {
                JobOrChild::Job(job) => session.wait_job(Some(job), left(), sink)?,
                JobOrChild::Child(ChildName(name)) => {
                    let all = name == "all";
                    let jobs = if all { session.jobs(sink) } else { Vec::new() };
                    for status in &jobs {
                        session.wait_job(Some(status.job), left(), sink)?;
                    }
                    if all && !jobs.is_empty() && session.all_live_on() {
                        continue;
                    }
                    let over = session.wait_children(&name, left(), sink)?;
                    sink.send(Event::Text(went(&name, &over)?));
                }
            }
        }
        Ok(())
    }
}

/// How many failures are told one by one.
const TOLD: usize = 5;

/// What there is to say of children that are over: an error when one has failed.
fn went(name: &str, over: &[(String, ChildState)]) -> Result<String, Report> {
    let failed: Vec<String> = over
        .iter()
        .filter(|(_, state)| !state.is_ok())
        .map(|(name, state)| match state.end() {
            Some(end) => format!("{name} {}", ended_words(end)),
            None => format!("{name} could not be started again"),
        })
        .collect();
    let stopped = |(_, state): &&(String, ChildState)| matches!(state, ChildState::Stopped(_));
    let stopped = over.iter().filter(stopped).count();
    if failed.is_empty() {
        let ended = over.len() - stopped;
        let children = |count: usize| match count {
            1 => "1 child".to_owned(),
            count => format!("{count} children"),
        };
        let mut said = Vec::new();
        if ended > 0 || stopped == 0 {
            said.push(format!("{} ended well", children(ended)));
        }
        if stopped > 0 {
            said.push(format!("{} stopped", children(stopped)));
        }
        return Ok(format!("{name}: {}", said.join(", ")));
    }
    let mut told = failed[..failed.len().min(TOLD)].join(", ");
    if failed.len() > TOLD {
        told.push_str(&format!(" and {} more", failed.len() - TOLD));
    }
    let what = match (failed.len(), over.len()) {
        (_, 1) => told,
        (failed, all) => format!("{failed} of {all} children failed: {told}"),
    };
    let first = over.iter().find(|(_, state)| !state.is_ok());
    let first = first.map_or("", |(name, _)| name);
    Err(Report::new(ErrorKind::Error, what).hint(format!("`%logs {first}` shows what it printed")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::ChildEnd;

    fn over(states: &[ChildState]) -> Vec<(String, ChildState)> {
        let named = states.iter().enumerate();
        named
            .map(|(at, state)| (format!("w.{at}"), *state))
            .collect()
    }

    #[test]
    fn children_that_failed_are_an_error() {
        let ok = ChildState::Ended(ChildEnd::Exit(0));
        let failed = ChildState::Ended(ChildEnd::Exit(3));
        let killed = ChildState::Ended(ChildEnd::Signal(9));
        let stopped = ChildState::Stopped(ChildEnd::Signal(15));
        for (states, said) in [
            (&[ok][..], "w: 1 child ended well"),
            (
                &[ok, ok, stopped],
                "w: 2 children ended well, 1 child stopped",
            ),
            (&[stopped, stopped], "w: 2 children stopped"),
        ] {
            assert_eq!(went("w", &over(states)).ok().as_deref(), Some(said));
        }
        for (states, said) in [
            (&[failed][..], "w.0 ended with exit code 3"),
            (
                &[ok, failed, killed],
                "2 of 3 children failed: w.1 ended with exit code 3, w.2 was ended by SIGKILL",
            ),
            (
                &[ok, ChildState::Lost],
                "1 of 2 children failed: w.1 could not be started again",
            ),
        ] {
            let report = went("w", &over(states)).expect_err(said);
            assert_eq!(report.to_string(), said);
        }
        let many = went("w", &over(&[failed; 9])).expect_err("all failed");
        assert!(
            many.to_string()
                .ends_with("w.4 ended with exit code 3 and 4 more"),
            "{many}"
        );
    }

    #[test]
    fn a_number_is_a_job_and_a_word_a_child() {
        assert_eq!(JobOrChild::from("3"), JobOrChild::Job(crate::ids::JobId(3)));
        assert_eq!(JobOrChild::from("w.3"), JobOrChild::Child("w.3".into()));
        assert_eq!(JobOrChild::from("all"), JobOrChild::Child("all".into()));
    }
}
