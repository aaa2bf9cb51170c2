//! `%comm` as tables: the matrix of what was sent, and of each rank what it has waited.

use std::time::Duration;

use super::super::grid::Grid;
use super::super::{Style, units};
use super::unreceived_words;
use crate::ids::Rank;
use crate::outcome::{CommReport, CommTraffic};

/// Pairs of ranks that are listed where the matrix is too wide.
const PAIRS: usize = 20;

pub(crate) fn table(report: &CommReport, style: &Style) -> String {
    let messages: u64 = each(report).map(|(.., one)| one.messages).sum();
    let bytes: u64 = each(report).map(|(.., one)| one.bytes).sum();
    let together: u64 = each(report).map(|(.., one)| one.collective_bytes).sum();
    let pool = &report.pool;
    if messages == 0 && together == 0 && report.unreceived.is_empty() {
        let ranks = &report.ranks;
        return match report.table.traffic.len().max(1) > ranks.len() {
            true => format!("{} sent nothing on {pool}\n", has(ranks)),
            false => format!("the ranks of {pool} have sent each other nothing\n"),
        };
    }
    let mut title = format!(
        "{pool}: {} of {} sent",
        units::counted(messages, "messages"),
        units::bytes(bytes)
    );
    if together > 0 {
        title.push_str(&format!(", {} by collective calls", units::bytes(together)));
    }
    let mut out = format!("{}\n", style.strong(&title));
    let matrix = matrix(report);
    out.push_str(&if matrix.width() <= style.width {
        matrix.draw(style)
    } else {
        pairs(report).draw(style) + &ranks(report).draw(style)
    });
    if !report.unreceived.is_empty() {
        out.push_str(&style.spell(unreceived_words(&report.unreceived)));
        out.push('\n');
    }
    out
}

/// `rank 0 has`, `ranks 0 and 1 have`
fn has(ranks: &[Rank]) -> String {
    let verb = if ranks.len() == 1 { "has" } else { "have" };
    format!("{} {verb}", super::named(ranks))
}

/// Those to whom the shown ranks may have sent: all of the pool.
fn receivers(report: &CommReport) -> Vec<Rank> {
    let widest = report.table.traffic.iter().map(Vec::len).max();
    let all = (0..u32::try_from(widest.unwrap_or_default()).unwrap_or(u32::MAX)).map(Rank);
    let mut all: Vec<Rank> = all.chain(report.ranks.iter().copied()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// What each shown rank has sent to each one of the pool.
pub(crate) fn each(report: &CommReport) -> impl Iterator<Item = (Rank, Rank, CommTraffic)> {
    let cell = |from: &Rank, to: &Rank| {
        let row = report.table.traffic.get(from.0 as usize)?;
        let one = row.get(to.0 as usize)?;
        Some((*from, *to, *one))
    };
    let receivers = receivers(report);
    let row = move |from: &Rank| {
        let cells = receivers.iter().filter_map(|to| cell(from, to));
        cells.collect::<Vec<_>>()
    };
    report.ranks.iter().flat_map(row)
}

/// A row per sender, a column per receiver.
fn matrix(report: &CommReport) -> Grid {
    let mut grid = Grid::default();
    let ranks = &report.ranks;
    let senders = ranks.iter().map(|rank| format!("rank {rank}"));
    grid.push("from", false, senders.collect());
    for to in &receivers(report) {
        let column = ranks.iter().map(|from| {
            let found = each(report).find(|(one, other, _)| one == from && other == to);
            let one = found.map_or_else(CommTraffic::default, |(.., one)| one);
            match one.messages {
                0 => "·".to_owned(),
                messages => format!("{} ({})", units::count(messages), units::bytes(one.bytes)),
            }
        });
        grid.push(&format!("to {to}"), true, column.collect());
    }
    push_times(&mut grid, report);
    grid
}

/// Who has sent how much to whom, the most first.
fn pairs(report: &CommReport) -> Grid {
    let mut all: Vec<_> = each(report).filter(|(.., one)| one.messages > 0).collect();
    all.sort_by_key(|(.., one)| std::cmp::Reverse((one.bytes, one.messages)));
    let mut grid = Grid::default();
    let column = |cell: &dyn Fn(&(Rank, Rank, CommTraffic)) -> String| {
        let cells = all.iter().take(PAIRS).map(cell);
        let mut cells: Vec<String> = cells.collect();
        if all.len() > PAIRS {
            cells.push("…".to_owned());
        }
        cells
    };
    grid.push("from", true, column(&|it| it.0.to_string()));
    grid.push("to", true, column(&|it| it.1.to_string()));
    grid.push("messages", true, column(&|it| units::count(it.2.messages)));
    grid.push("bytes", true, column(&|it| units::bytes(it.2.bytes)));
    grid
}

/// A row per rank.
fn ranks(report: &CommReport) -> Grid {
    let mut grid = Grid::default();
    let ranks = report.ranks.iter().map(Rank::to_string);
    grid.push("rank", true, ranks.collect());
    push_times(&mut grid, report);
    grid
}

fn push_times(grid: &mut Grid, report: &CommReport) {
    let times = |of: &[u64]| -> Vec<String> {
        let time = |rank: &Rank| of.get(rank.0 as usize).copied().unwrap_or_default();
        let shown = |rank| units::duration(Duration::from_nanos(time(rank)));
        report.ranks.iter().map(shown).collect()
    };
    let together = |from: &Rank| {
        let row = each(report).filter(|(one, ..)| one == from);
        row.map(|(.., one)| one.collective_bytes).sum::<u64>()
    };
    if report.ranks.iter().any(|rank| together(rank) > 0) {
        let bytes = report.ranks.iter().map(|rank| units::bytes(together(rank)));
        grid.push("collectives", true, bytes.collect());
    }
    grid.push("waited", true, times(&report.table.waited));
}
