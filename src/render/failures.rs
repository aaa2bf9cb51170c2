//! How engines failed in a `%px` cell, each distinct failure once, with the engines that it befell.

use std::borrow::Cow;

use annotate_snippets::normalize_untrusted_str;

use super::engines::death;
use super::{Style, comm, text};
use crate::ids::Rank;
use crate::outcome::{DeathCause, EngineOutcome};

/// One distinct failure, the engines it befell, and where there is one what to do now.
pub(crate) fn failure(ranks: &[Rank], outcome: &EngineOutcome, style: &Style) -> String {
    let (what, detail): (_, Cow<'_, str>) = match outcome {
        EngineOutcome::Done(_) => return String::new(),
        EngineOutcome::Panicked { message, .. } => ("panicked", message.as_str().into()),
        EngineOutcome::Errored { message } => ("returned an error", message.as_str().into()),
        EngineOutcome::Died { cause, lost } => ("died", death(cause, lost).into()),
        EngineOutcome::Skipped { why } => ("skipped", why.as_str().into()),
        EngineOutcome::Interrupted => ("interrupted", "".into()),
        EngineOutcome::Comm(trouble) => return comm::trouble(trouble, style),
    };
    let with_another = matches!(
        outcome,
        EngineOutcome::Died {
            cause: DeathCause::Together { .. },
            ..
        }
    );
    let head = format!("{} {what}", text::engines(ranks));
    let head = match outcome {
        _ if with_another => style.warning(&text::engines(ranks)),
        EngineOutcome::Skipped { .. } | EngineOutcome::Interrupted => style.warning(&head),
        _ => style.failure(&head),
    };
    let colon = if detail.is_empty() { "" } else { ": " };
    let mut out = format!(
        "{head}{colon}{}\n",
        normalize_untrusted_str(&text::screenful(detail.trim_end()))
    );
    match outcome {
        EngineOutcome::Panicked {
            place: Some(place), ..
        } => {
            out.push_str(&format!("  {} {place}\n", style.faint("-->")));
        }
        EngineOutcome::Died { .. } if with_another => {}
        EngineOutcome::Died { .. } => {
            let them = if ranks.len() == 1 { "it" } else { "them" };
            let next = format!("the next %px or map starts {them} again");
            out.push_str(&format!("  {} {next}\n", style.faint("= help:")));
        }
        _ => {}
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::px::px;
    use super::super::samples::{done, panicked, px as sample};
    use super::*;

    fn show(outcomes: Vec<EngineOutcome>) -> String {
        px(&sample(outcomes), &Style::plain(80))
    }

    #[test]
    fn failures_stand_below_the_others_results() {
        let died = || EngineOutcome::Died {
            cause: DeathCause::Signal(9),
            lost: Vec::new(),
        };
        let skipped = || EngineOutcome::Skipped {
            why: "no `x` here".to_owned(),
        };
        let errored = EngineOutcome::Errored {
            message: "ParseIntError".to_owned(),
        };
        let outcomes = vec![
            done("1"),
            panicked("oh"),
            died(),
            skipped(),
            panicked("oh"),
            skipped(),
            errored,
        ];
        let shown = "\
┌────────┬────────┐
│ engine │ result │
│      0 │      1 │
└────────┴────────┘
engines 1,4 panicked: oh
  --> In [5]:1:9
engine 2 died: killed by SIGKILL
  = help: the next %px or map starts it again
engines 3,5 skipped: no `x` here
engine 6 returned an error: ParseIntError
";
        assert_eq!(show(outcomes), shown);
        assert!(show(vec![died(), died(), died()]).ends_with("starts them again\n"));
    }
}
