//! The line below a job's live table when it is to end: what still runs, what happens to it, and what another Ctrl-C
//! would do.

use std::time::Duration;

use super::super::{Style, text, units};
use crate::outcome::{EngineActivity, JobView};

/// What happens to items that still run, as long as it fits.
pub(super) fn line(view: &JobView, left: Option<Duration>, style: &Style) -> String {
    let busy = view
        .engines
        .iter()
        .filter(|engine| engine.activity == EngineActivity::Busy)
        .count() as u64;
    let choices = match left {
        Some(left) => killed_in(busy, left),
        None => waited_for(busy),
    };
    let fits = choices.iter().find(|text| text::width(text) <= style.width);
    let line = fits.or(choices.last()).map_or("", String::as_str);
    style.spell(text::cut(line, style.width))
}

/// Engines that are still busy will be killed.
fn killed_in(busy: u64, left: Duration) -> Vec<String> {
    if busy == 0 {
        return vec!["stopping: no item runs any more".to_owned()];
    }
    let (verb, whose, whom) = match busy {
        1 => ("runs", "its engine is", "it"),
        _ => ("run", "their engines are", "them"),
    };
    let still = format!("stopping: {} still {verb}", units::counted(busy, "items"));
    if left.is_zero() {
        return vec![
            format!("{still} · {whose} killed now"),
            format!("{still} · killed now"),
            still,
        ];
    }
    let seconds = left.as_secs_f64();
    let long = format!("{still} · {whose} killed in {seconds:.1} s");
    vec![
        format!("{long} · Ctrl-C again kills {whom} now"),
        long,
        format!("stopping: {busy} still {verb} · killed in {seconds:.1} s"),
    ]
}

/// Threads come to the end of their items: they cannot be ended but with the process that has the variables.
fn waited_for(busy: u64) -> Vec<String> {
    let items = match busy {
        0 => "waiting for the items".to_owned(),
        _ => format!("waiting for {}", units::counted(busy, "items")),
    };
    vec![
        format!("{items} under way · Ctrl-C again ends the local engine and loses its variables"),
        format!("{items} under way · Ctrl-C again loses the session's variables"),
        format!("{items} · Ctrl-C again loses all variables"),
        format!("{items} under way"),
        items,
    ]
}
