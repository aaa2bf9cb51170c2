//! The words for what happens to children, and for their states.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::units;
use crate::outcome::{ChildChange, ChildEnd, ChildNews, ChildState};

/// `exit code 3`, `SIGKILL`
fn end_words(end: ChildEnd) -> String {
    match end {
        ChildEnd::Exit(code) => format!("exit code {code}"),
        ChildEnd::Signal(number) => match Signal::try_from(number) {
            Ok(signal) => signal.to_string(),
            Err(_) => format!("signal {number}"),
        },
    }
}

/// The same in a table: `exit 3`, `SIGKILL`
pub fn end_short(end: ChildEnd) -> String {
    match end {
        ChildEnd::Exit(code) => format!("exit {code}"),
        ChildEnd::Signal(_) => end_words(end),
    }
}

/// `ended with exit code 3`, `was ended by SIGKILL`
pub fn ended_words(end: ChildEnd) -> String {
    match end {
        ChildEnd::Exit(_) => format!("ended with {}", end_words(end)),
        ChildEnd::Signal(_) => format!("was ended by {}", end_words(end)),
    }
}

/// One word for a table.
pub fn state_word(state: ChildState) -> &'static str {
    match state {
        ChildState::Running => "running",
        ChildState::Restarting(_) => "restarting",
        ChildState::Stopping => "stopping",
        ChildState::Ended(end) if end.is_ok() => "done",
        ChildState::Ended(_) => "failed",
        ChildState::Stopped(_) => "stopped",
        ChildState::Lost => "lost",
    }
}

/// What a person is told of it, if anything: not what went as it was meant to.
pub(crate) fn news_words(news: &ChildNews) -> Option<String> {
    let name = &news.name;
    Some(match &news.what {
        ChildChange::Started { .. } | ChildChange::Stopped { killed: false, .. } => return None,
        ChildChange::Ended { end, .. } | ChildChange::Restarts { end, .. } if end.is_ok() => {
            return None;
        }
        ChildChange::Ended {
            pid,
            end,
            ran,
            spent,
        } => {
            let spent = match spent {
                Some(1) => "; its restart is used up".to_owned(),
                Some(restarts) => format!("; its {restarts} restarts are used up"),
                None => String::new(),
            };
            format!(
                "{name} (pid {pid}) {} after {}{spent}; `%logs {name}` shows what it printed",
                ended_words(*end),
                units::duration(*ran),
            )
        }
        ChildChange::Restarts {
            pid,
            end,
            after,
            number,
            most,
        } => {
            format!(
                "{name} (pid {pid}) {}; {}",
                ended_words(*end),
                restart(*number, *most, *after)
            )
        }
        ChildChange::NotRestarted { why, again, most } => {
            let next = match again {
                Some((number, after)) => restart(*number, *most, *after),
                None => "it is given up".to_owned(),
            };
            format!("{name} cannot be started again: {why}; {next}")
        }
        ChildChange::Stopped { .. } => format!("{name} did not end on SIGTERM, and was killed"),
        ChildChange::Skipped { lines: 1 } => {
            format!(
                "{name} prints faster than can be shown: 1 line was left out; {}",
                logs(name)
            )
        }
        ChildChange::Skipped { lines } => format!(
            "{name} prints faster than can be shown: {} lines were left out; {}",
            units::thousands(*lines),
            logs(name)
        ),
    })
}

/// `restart 2 of 3 in 0.200 s`
fn restart(number: u32, most: Option<u32>, after: Duration) -> String {
    let of = most.map_or_else(String::new, |most| format!(" of {most}"));
    format!("restart {number}{of} in {}", units::duration(after))
}

fn logs(name: &str) -> String {
    format!("`%logs {name}` shows the last ones")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_goes_as_it_is_meant_to_is_no_news() {
        let words = |what| {
            let name = "w.1".to_owned();
            news_words(&ChildNews { name, what })
        };
        let ended = |end, spent| ChildChange::Ended {
            pid: 7,
            end,
            ran: Duration::from_secs(2),
            spent,
        };
        let killed = ChildEnd::Signal(9);
        assert_eq!(words(ended(ChildEnd::Exit(0), None)), None);
        assert_eq!(
            words(ended(ChildEnd::Exit(3), Some(2))).as_deref(),
            Some(
                "w.1 (pid 7) ended with exit code 3 after 2.00 s; its 2 restarts are used up; `%logs w.1` shows what it printed"
            )
        );
        let restarts = |most| ChildChange::Restarts {
            pid: 7,
            end: killed,
            after: Duration::from_millis(200),
            number: 2,
            most,
        };
        assert_eq!(
            words(restarts(Some(3))).as_deref(),
            Some("w.1 (pid 7) was ended by SIGKILL; restart 2 of 3 in 0.200 s")
        );
        assert_eq!(
            words(restarts(None)).as_deref(),
            Some("w.1 (pid 7) was ended by SIGKILL; restart 2 in 0.200 s")
        );
        assert_eq!(
            words(ChildChange::Stopped {
                end: killed,
                killed: false
            }),
            None
        );
        assert!(
            words(ChildChange::Stopped {
                end: killed,
                killed: true
            })
            .is_some()
        );
        let skipped = words(ChildChange::Skipped { lines: 1234 });
        assert!(skipped.is_some_and(|text| text.contains("1,234 lines")));
    }
}
