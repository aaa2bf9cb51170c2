//! What went wrong between ranks: who waits for whom, drawn as the cycle that it is; and `%comm`.

mod crossed;
mod graph;
mod table;

use super::{Style, text, units};
use crate::ids::Rank;
use crate::outcome::{CommTrouble, CommWait, RankState, Unreceived};
pub(crate) use graph::Graph;
pub(crate) use table::{each, table};

/// Lines of waiting ranks that are shown; of more the first and the last ones are.
const MOST: usize = 12;
const LAST: usize = 3;
/// Columns of a type's name.
const TYPE: usize = 40;

/// What happened, in one line.
pub(crate) fn head(trouble: &CommTrouble) -> String {
    match trouble {
        CommTrouble::Stuck { waits, others } => {
            let graph = Graph::of(waits);
            let cycle = graph.ranks_in_cycle();
            if !cycle.is_empty() {
                let who = named(&cycle);
                return match cycle.len() {
                    1 => format!("deadlock: {who} waits for itself"),
                    _ => format!("deadlock: {who} wait for each other"),
                };
            }
            let mut ranks = trouble.ranks();
            ranks.sort_unstable();
            let verb = if ranks.len() == 1 { "waits" } else { "wait" };
            let gone: Vec<Rank> = others.iter().map(|(rank, _)| *rank).collect();
            let states = by_state(others);
            let which = match &states[..] {
                [(state, of)] => gone_words(*state, of.len()).to_owned(),
                _ => "send nothing any more".to_owned(),
            };
            let collective = waits.iter().all(|wait| wait.call.collective);
            let (ranks, names) = (named(&ranks), named(&gone));
            match &states[..] {
                [(RankState::Left, _)] if collective => {
                    format!("deadlock: {ranks} {verb} for {names}, which {which}")
                }
                [] => format!("deadlock: {ranks} {verb} for messages that nobody sends"),
                _ => {
                    let whom = if gone.len() == 1 { "a rank" } else { "ranks" };
                    format!("waiting for {whom} that {which}: {ranks} {verb} for {names}")
                }
            }
        }
        CommTrouble::Mismatch {
            rank,
            call,
            from,
            sent,
            wanted,
            ..
        } => format!(
            "type mismatch: rank {rank} expects {wanted} in {}, rank {from} has sent {sent}",
            call.name
        ),
        CommTrouble::Crossed { calls, .. } => crossed::head(calls),
    }
}

/// The facts, a line each; of waiting ranks the first columns draw the cycle.
pub(crate) fn lines(trouble: &CommTrouble, style: &Style) -> Vec<String> {
    match trouble {
        CommTrouble::Stuck { waits, others } => stuck_lines(waits, others, style),
        CommTrouble::Mismatch {
            rank,
            call,
            from,
            tag,
            sent,
            sent_at,
            wanted,
            wanted_at,
        } => {
            // A collective call has none of the user's.
            let tag = match call.collective {
                true => String::new(),
                false => format!(", tag {tag}"),
            };
            aligned(&[
                row(
                    format!("rank {from}"),
                    format!("sent {}", text::cut(sent, TYPE)),
                    format!("to rank {rank}{tag}"),
                    sent_at,
                ),
                row(
                    format!("rank {rank}"),
                    format!("{} {}", call.name, text::cut(wanted, TYPE)),
                    format!("from rank {from}{tag}"),
                    wanted_at,
                ),
            ])
        }
        CommTrouble::Crossed {
            calls,
            waits,
            others,
            ..
        } => crossed::lines(calls, waits, others, style),
    }
}

fn row(who: String, what: String, with: String, place: &Option<String>) -> [String; 4] {
    [who, what, with, place.clone().unwrap_or_default()]
}

/// Cells in columns, without a frame.
fn aligned<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let wide = |column: usize| rows.iter().map(|row| text::width(&row[column])).max();
    let line = |row: &[String; N]| {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let all = wide(column).unwrap_or_default();
            if all == 0 {
                continue;
            }
            line.push_str(cell);
            line.push_str(&" ".repeat(all - text::width(cell) + 2));
        }
        line.trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn stuck_lines(waits: &[CommWait], others: &[(Rank, RankState)], style: &Style) -> Vec<String> {
    let graph = Graph::of(waits);
    let (cycle, nodes) = (graph.cycle, &graph.nodes);
    let lead = |place: usize| match (place, cycle) {
        _ if cycle == 0 => "",
        (0, 1) => "╶▶ ",
        (0, _) => "┌▶ ",
        (place, cycle) if place + 1 == cycle => "└─ ",
        (place, cycle) if place < cycle => "│  ",
        _ => "   ",
    };
    let rows: Vec<[String; 4]> = nodes
        .iter()
        .map(|node| {
            let wait = node.wait;
            let mut detail = Vec::new();
            if !wait.type_name.is_empty() {
                detail.push(text::cut(&wait.type_name, TYPE));
            }
            if !wait.call.collective {
                detail.push(match wait.tag {
                    Some(tag) => format!("tag {tag}"),
                    None => "any tag".to_owned(),
                });
            }
            if wait.comm != 0 {
                detail.push(format!("communicator {}", wait.comm));
            }
            let verb = if node.ranks.len() == 1 {
                "waits"
            } else {
                "wait"
            };
            [
                named(&node.ranks),
                format!("{verb} for {} in {}", awaited(node), wait.call.name),
                detail.join(", "),
                wait.place.clone().unwrap_or_default(),
            ]
        })
        .collect();
    let drawn = aligned(&rows);
    let wide = drawn.iter().map(|line| text::width(line)).max();
    let drawn = if wide.unwrap_or_default() + 8 > style.width {
        // The place and what is to come stand on lines of their own.
        let narrow = |[who, what, with, place]: &[String; 4]| {
            let rest: Vec<&str> = [with, place]
                .into_iter()
                .map(String::as_str)
                .filter(|it| !it.is_empty())
                .collect();
            vec![format!("{who} {what}"), format!("  {}", rest.join(", "))]
        };
        rows.iter().map(narrow).collect()
    } else {
        drawn.into_iter().map(|line| vec![line]).collect::<Vec<_>>()
    };
    let mut out = Vec::new();
    let count = drawn.len();
    for (place, node) in drawn.into_iter().enumerate() {
        if count > MOST && place >= MOST - LAST && place < count - LAST {
            if place == MOST - LAST {
                let more = count - MOST;
                let bar = if place < cycle { "│  " } else { "   " };
                out.push(style.spell(format!("{bar}… {more} more")));
            }
            continue;
        }
        for (row, line) in node.into_iter().enumerate() {
            let lead = match row {
                0 => lead(place),
                _ if cycle == 0 => "",
                _ if place + 1 < cycle => "│  ",
                _ => "   ",
            };
            out.push(style.spell(format!("{lead}{line}")));
        }
    }
    let indent = if cycle == 0 { "" } else { "   " };
    let collective = nodes.iter().find(|node| node.wait.call.collective);
    let has_not = |ranks: usize| if ranks == 1 { "has" } else { "have" };
    for (state, ranks) in by_state(others) {
        let missing = match collective {
            Some(node)
                if node.wait.call.for_all || ranks.iter().all(|of| node.wait.on.contains(of)) =>
            {
                let has = has_not(ranks.len());
                format!(" and {has} not reached {}", node.wait.call.name)
            }
            _ => String::new(),
        };
        let how = gone_words(state, ranks.len());
        out.push(format!("{indent}{} {how}{missing}", named(&ranks)));
    }
    // Where members of the cycle have not reached a collective of others.
    if let Some(node) = collective {
        let waiting = waits
            .iter()
            .filter(|wait| node.wait.on.contains(&wait.rank));
        let missing: Vec<Rank> = waiting.map(|wait| wait.rank).collect();
        if !missing.is_empty() {
            let has = has_not(missing.len());
            out.push(format!(
                "{indent}{} {has} not reached {}",
                named(&missing),
                node.wait.call.name
            ));
        }
    }
    out
}

/// Whom ranks wait for.
fn awaited(node: &graph::Node<'_>) -> String {
    let on = &node.wait.on;
    if node.wait.call.collective || on.len() == 1 {
        return named(on);
    }
    if node.ranks.len() > 1 {
        return "any other rank".to_owned();
    }
    format!("one of {}", named(on))
}

/// Ranks of the same state together.
fn by_state(others: &[(Rank, RankState)]) -> Vec<(RankState, Vec<Rank>)> {
    let mut all: Vec<(RankState, Vec<Rank>)> = Vec::new();
    for (rank, state) in others {
        match all.iter_mut().find(|(of, _)| of == state) {
            Some((_, ranks)) => ranks.push(*rank),
            None => all.push((*state, vec![*rank])),
        }
    }
    all
}

/// What has become of so many ranks.
fn gone_words(state: RankState, ranks: usize) -> &'static str {
    match (state, ranks) {
        (RankState::NotAsked, 1) => "does not run this cell",
        (RankState::NotAsked, _) => "do not run this cell",
        (RankState::Due, 1) => "has not begun the cell",
        (RankState::Due, _) => "have not begun the cell",
        (RankState::Running, 1) => "runs on",
        (RankState::Running, _) => "run on",
        (RankState::Left, 1) => "has left the cell",
        (RankState::Left, _) => "have left the cell",
        (RankState::Dead, 1) => "has died",
        (RankState::Dead, _) => "have died",
    }
}

/// What to do now.
pub(crate) fn hint(trouble: &CommTrouble) -> String {
    let (waits, others) = match trouble {
        CommTrouble::Stuck { waits, others } => (waits, others),
        CommTrouble::Mismatch { call, .. } if call.collective => {
            return format!("all ranks give {} values of the same type", call.name);
        }
        CommTrouble::Mismatch { sent, wanted, .. } => {
            return format!(
                "send it as {wanted}, or receive it as {sent}; messages of different kinds have tags of their own: \
                 `comm::send_tag`"
            );
        }
        CommTrouble::Crossed { .. } => {
            return "all ranks of a communicator make the same collective calls in the same order"
                .to_owned();
        }
    };
    let has = |state| others.iter().any(|(_, other)| *other == state);
    let collective = waits.iter().find(|wait| wait.call.collective);
    if has(RankState::Dead) {
        return "the next %px starts the rank that has died again".to_owned();
    }
    if has(RankState::NotAsked) {
        return "`%px` without `-t` runs a cell on all ranks; `comm::split` makes a group of some"
            .to_owned();
    }
    if let Some(wait) = collective {
        return format!(
            "every rank calls {}, as often as the others: not behind `if rank == …`, a `return` or a `?`",
            wait.call.name
        );
    }
    let synchronous = waits.iter().all(|wait| wait.call.name == "ssend");
    if Graph::of(waits).cycle == 0 {
        if synchronous {
            return "an `ssend` waits for its `recv`, which the other rank calls in the same cell; `send` does not wait for it"
                .to_owned();
        }
        if waits.iter().all(|wait| wait.call.name == "send") {
            return "a `send` of much waits for its `recv`, which the other rank calls in the same cell".to_owned();
        }
        return "each `recv` needs a `send` of the same tag on the other rank, in the same cell or before it"
            .to_owned();
    }
    if synchronous {
        return "one of them receives before it sends: an `ssend` waits for its `recv`; `comm::sendrecv` does both at once"
            .to_owned();
    }
    "one of them sends before it receives, as rank 0 does in a ring; `comm::sendrecv` does both at once"
        .to_owned()
}

/// `rank 1`, `ranks 0 and 1`, `ranks 0, 2-5`.
pub(crate) fn named(ranks: &[Rank]) -> String {
    match ranks {
        [] => "nobody".to_owned(),
        [one] => format!("rank {one}"),
        [one, other] => format!("ranks {one} and {other}"),
        _ => format!("ranks {}", text::cut(&text::ranks(ranks), 30)),
    }
}

/// The whole trouble, with what to do.
pub(crate) fn trouble(trouble: &CommTrouble, style: &Style) -> String {
    let mut out = format!("{}\n", style.failure(&head(trouble)));
    for line in lines(trouble, style) {
        out.push_str(&format!("  {line}\n"));
    }
    let indent = "  = help: ";
    let help = style.wrapped(&hint(trouble), indent.len(), indent.len());
    out.push_str(&format!("  {} {help}\n", style.faint("= help:")));
    out
}

/// Messages that nobody has received, in a few words.
pub(crate) fn unreceived_words(messages: &[Unreceived]) -> String {
    const SHOWN: usize = 5;
    let was = if messages.len() == 1 {
        "1 message was".to_owned()
    } else {
        format!("{} messages were", units::count(messages.len() as u64))
    };
    let mut out = format!("{was} never received:");
    let one = |it: &Unreceived| {
        let at = it
            .at
            .as_ref()
            .map_or_else(String::new, |at| format!(", sent at {at}"));
        format!(
            "rank {} → rank {}: {}, tag {}, {}{at}",
            it.from,
            it.to,
            text::cut(&it.type_name, TYPE),
            it.tag,
            units::bytes(it.bytes)
        )
    };
    for message in messages.iter().take(SHOWN) {
        out.push_str("\n  ");
        out.push_str(&one(message));
    }
    if messages.len() > SHOWN {
        out.push_str(&format!("\n  and {} more", messages.len() - SHOWN));
    }
    let them = if messages.len() == 1 { "it" } else { "them" };
    out.push_str(&format!(
        "\na later cell can still receive {them}; `%comm --clear` drops {them}"
    ));
    out
}

#[cfg(test)]
mod tests;
