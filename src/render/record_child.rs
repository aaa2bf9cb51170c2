//! The record of what happens to a child, as the module `json` documents it.

use serde::Serialize;

use crate::outcome::{ChildChange, ChildEnd, ChildNews};

#[derive(Default, Serialize)]
pub(crate) struct Child<'a> {
    child: &'a str,
    what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ran: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restart: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    killed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detached: Option<bool>,
}

impl Child<'_> {
    fn end(&mut self, end: ChildEnd) {
        match end {
            ChildEnd::Exit(code) => self.exit_code = Some(code),
            ChildEnd::Signal(number) => self.signal = Some(number),
        }
    }
}

pub(crate) fn child(news: &ChildNews) -> Child<'_> {
    let mut record = Child {
        child: &news.name,
        ..Child::default()
    };
    match &news.what {
        ChildChange::Started { pid, detached } => {
            record.what = "started";
            record.pid = Some(*pid);
            record.detached = Some(*detached);
        }
        ChildChange::Ended { pid, end, ran, .. } => {
            record.what = "ended";
            record.pid = Some(*pid);
            record.end(*end);
            record.ran = Some(ran.as_secs_f64());
        }
        ChildChange::Restarts {
            pid,
            end,
            after,
            number,
            ..
        } => {
            record.what = "restarts";
            record.pid = Some(*pid);
            record.end(*end);
            record.restart = Some(*number);
            record.after = Some(after.as_secs_f64());
        }
        ChildChange::NotRestarted { why, again, .. } => {
            record.what = "not_restarted";
            record.why = Some(why);
            record.restart = again.map(|(number, _)| number);
            record.after = again.map(|(_, after)| after.as_secs_f64());
        }
        ChildChange::Stopped { end, killed } => {
            record.what = "stopped";
            record.end(*end);
            record.killed = Some(*killed);
        }
        ChildChange::Skipped { lines } => {
            record.what = "skipped";
            record.lines = Some(*lines);
        }
    }
    record
}
