//! Ranks in different collective calls.

use super::{TYPE, aligned, by_state, gone_words, named, stuck_lines};
use crate::ids::Rank;
use crate::outcome::{CommAt, CommWait, RankState};
use crate::render::{Style, text};

/// Calls that the heading names.
const MOST: usize = 3;

pub(super) fn head(calls: &[CommAt]) -> String {
    let mut said: Vec<(String, Vec<Rank>)> = Vec::new();
    for at in calls {
        let call = called(at, calls);
        match said.iter_mut().find(|(of, _)| *of == call) {
            Some((_, ranks)) => ranks.extend(&at.ranks),
            None => said.push((call, at.ranks.clone())),
        }
    }
    let more = said.len().saturating_sub(MOST);
    let mut parts = Vec::new();
    for (place, (call, ranks)) in said.iter_mut().take(MOST).enumerate() {
        ranks.sort_unstable();
        let verb = match (place, ranks.len()) {
            (0, 1) => " is",
            (0, _) => " are",
            _ => "",
        };
        parts.push(format!("{}{verb} in {call}", named(ranks)));
    }
    if more > 0 {
        parts.push(format!("{more} more calls"));
    }
    format!("collective calls out of order: {}", parts.join(", "))
}

/// The call, with what tells it from the others.
fn called(at: &CommAt, calls: &[CommAt]) -> String {
    let name = at.call.name;
    let others = calls.iter().filter(|other| other.call.name == name);
    if others.clone().any(|other| other.comm != at.comm) {
        return match at.comm {
            0 => format!("{name} of all ranks"),
            comm => format!("{name} of communicator {comm}"),
        };
    }
    match others.clone().any(|other| other.number != at.number) {
        true => format!("{name}, its collective call {}", at.number),
        false => name.to_owned(),
    }
}

pub(super) fn lines(
    calls: &[CommAt],
    waits: &[CommWait],
    others: &[(Rank, RankState)],
    style: &Style,
) -> Vec<String> {
    let numbers_differ = calls.iter().any(|at| at.number != calls[0].number);
    let row = |at: &CommAt| {
        let mut detail = Vec::new();
        if !at.type_name.is_empty() {
            detail.push(text::cut(&at.type_name, TYPE));
        }
        if at.comm != 0 {
            detail.push(format!("communicator {}", at.comm));
        }
        if numbers_differ {
            detail.push(format!("collective call {}", at.number));
        }
        [
            named(&at.ranks),
            format!("in {}", at.call.name),
            detail.join(", "),
            at.place.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<[String; 4]> = calls.iter().map(row).collect();
    let mut out = aligned(&rows);
    out.extend(stuck_lines(waits, &[], style));
    for (state, ranks) in by_state(others) {
        let how = gone_words(state, ranks.len());
        out.push(format!("{} {how}", named(&ranks)));
    }
    out
}
