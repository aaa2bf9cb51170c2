//! `%timeline`: which engine worked on what when, as a chart or as a file.

use std::io::ErrorKind;
use std::path::Path;

use clap::{Args, ValueHint};

use super::values::job;
use super::{Call, Example, Magic};
use crate::ids::JobId;
use crate::outcome::{Event, PxTimeline, Report, Sink};
use crate::render::timeline::{px, svg, trace};
use crate::session::{Done, Session};

/// shows which engine worked on what when, in a map or a `%px`
#[derive(Args)]
pub struct Timeline {
    /// its number; the last map or `%px` without it
    #[arg(value_parser = job)]
    job: Option<JobId>,
    /// write the chart to this file, as SVG
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    svg: Option<String>,
    /// write the chunks to this file, for Perfetto or Chrome's tracing
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    trace: Option<String>,
}

impl Magic for Timeline {
    const NAME: &'static str = "timeline";
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%pool start -n 2\n%map -q |x: u64| x + 1 over 0..4\n%timeline",
        shows: "engine",
    }];

    fn run(self, _: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        if let Some(timeline) = session.px_timeline(self.job) {
            return self.of_px(timeline, sink);
        }
        let timeline = session.timeline(self.job)?;
        if let Some(file) = &self.svg {
            sink.send(written(file, &svg(&timeline))?);
        }
        if let Some(file) = &self.trace {
            sink.send(written(file, &trace(&timeline))?);
        }
        if self.svg.or(self.trace).is_none() {
            sink.send(Event::Timeline(timeline));
        }
        Ok(())
    }
}

impl Timeline {
    fn of_px(self, timeline: PxTimeline, sink: &mut dyn Sink) -> Done {
        if let Some(file) = &self.svg {
            sink.send(written(file, &px::svg(&timeline))?);
        }
        if let Some(file) = &self.trace {
            sink.send(written(file, &px::trace(&timeline))?);
        }
        if self.svg.or(self.trace).is_none() {
            sink.send(Event::PxTimeline(timeline));
        }
        Ok(())
    }
}

/// Writes a file that the user named, and says so.
pub fn written(file: &str, text: &str) -> Result<Event, Report> {
    std::fs::write(file, text).map_err(|error| unwritten(file, &error))?;
    Ok(Event::Text(format!("wrote {file}")))
}

/// For what takes its time before it writes: whether there is a place for the file.
pub fn writable(file: &str) -> Result<(), Report> {
    let folder = Path::new(file).parent();
    match folder.filter(|folder| !folder.as_os_str().is_empty()) {
        _ if Path::new(file).is_dir() => Err(unwritten(file, &ErrorKind::IsADirectory.into())),
        Some(folder) if !folder.is_dir() => Err(unwritten(file, &ErrorKind::NotFound.into())),
        _ => Ok(()),
    }
}

fn unwritten(file: &str, error: &std::io::Error) -> Report {
    let report = Report::usage(format!("cannot write {file}: {error}"));
    let folder = Path::new(file)
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty() && !folder.exists());
    match folder {
        Some(folder) => report.hint(format!("there is no folder {}", folder.display())),
        None => report.hint("the path is relative to the folder in which regatta was started"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_or_the_reason_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let there = path("chart.svg");
        assert!(
            matches!(written(&there, "<svg/>"), Ok(Event::Text(said)) if said == format!("wrote {there}"))
        );
        assert_eq!(
            std::fs::read_to_string(&there).ok().as_deref(),
            Some("<svg/>")
        );

        let lost = path("no/chart.svg");
        assert!(writable(&there).is_ok() && writable("chart.svg").is_ok());
        assert!(writable(&lost).is_err() && writable(&path("")).is_err());
        let report = written(&lost, "").expect_err("no such folder");
        assert!(
            report
                .to_string()
                .starts_with(&format!("cannot write {lost}: ")),
            "{}",
            report
        );
        assert_eq!(
            report.hint,
            Some(format!("there is no folder {}", path("no")).into())
        );

        let report = written(&path(""), "").expect_err("a folder is no file");
        assert!(
            report
                .hint
                .is_some_and(|hint| hint.to_string().starts_with("the path is relative"))
        );
    }
}
