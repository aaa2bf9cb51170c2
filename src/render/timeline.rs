//! A job's timeline: a Gantt chart as text for the terminal, as SVG, and as a trace for Chrome and Perfetto.
//! Pure functions from the measured spans to text; writing files is the caller's matter.

mod axis;
pub mod px;
mod svg;
mod trace;

use std::time::Duration;

pub use svg::svg;
pub use trace::trace;

use super::{Style, text, units};
use crate::ids::Rank;
use crate::outcome::{ChunkSpan, Timeline};

/// Columns of the engines' ranks, of idle shares, and of the two borders with their blanks.
const LABEL: usize = 6;
const IDLE: usize = 5;
const FRAME: usize = 4;

/// The looks of one column of an engine's time.
struct Glyphs {
    /// Two chunks in a row look different.
    turns: [char; 2],
    several: char,
    sparse: char,
    idle: char,
    failed: char,
}

const BLOCKS: Glyphs = Glyphs {
    turns: ['█', '▒'],
    several: '▓',
    sparse: '░',
    idle: '·',
    failed: '×',
};

const ASCII: Glyphs = Glyphs {
    turns: ['#', '='],
    several: '%',
    sparse: ':',
    idle: '.',
    failed: 'x',
};

/// What an engine did, in order.
struct Lane<'a> {
    rank: Rank,
    chunks: Vec<&'a ChunkSpan>,
}

impl Lane<'_> {
    /// Time in user code; what overlaps counts once.
    fn busy(&self) -> Duration {
        let mut until = Duration::ZERO;
        let mut busy = Duration::ZERO;
        for chunk in &self.chunks {
            busy += chunk.ended.saturating_sub(chunk.began.max(until));
            until = until.max(chunk.ended);
        }
        busy
    }
}

/// One lane per engine that is known of, by rank.
fn lanes(timeline: &Timeline) -> Vec<Lane<'_>> {
    let mut ranks: Vec<Rank> = timeline.chunks.iter().map(|chunk| chunk.rank).collect();
    // With targets, ranks go beyond the count of engines, and who had no chunk has no known rank.
    if ranks.iter().all(|rank| rank.0 < timeline.engines) {
        ranks.extend((0..timeline.engines).map(Rank));
    }
    ranks.sort_unstable();
    ranks.dedup();
    let mut lanes: Vec<Lane<'_>> = ranks
        .into_iter()
        .map(|rank| Lane {
            rank,
            chunks: Vec::new(),
        })
        .collect();
    for chunk in &timeline.chunks {
        if let Ok(at) = lanes.binary_search_by_key(&chunk.rank, |lane| lane.rank) {
            lanes[at].chunks.push(chunk);
        }
    }
    for lane in &mut lanes {
        lane.chunks.sort_by_key(|chunk| (chunk.began, chunk.ended));
    }
    lanes
}

/// The time that a chart shows, in seconds: the whole job, or as far as its chunks are told.
fn span(timeline: &Timeline) -> f64 {
    let told = timeline.chunks.iter().map(|chunk| chunk.ended).max();
    let told = told.unwrap_or_default();
    let span = if timeline.cut && !told.is_zero() {
        told
    } else {
        timeline.wall.max(told)
    };
    span.as_secs_f64()
}

/// Share of the job's time that an engine was not in user code, in percent.
fn idle(lane: &Lane<'_>, span: f64) -> f64 {
    if span > 0.0 {
        (1.0 - lane.busy().as_secs_f64() / span).clamp(0.0, 1.0) * 100.0
    } else {
        0.0
    }
}

/// `fib on p0`, `job 3`, `24 chunks on 2 engines`, `wall 2.41 s`
fn title(timeline: &Timeline) -> [String; 4] {
    let what = timeline
        .what
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let mut chunks = units::counted(timeline.chunks.len() as u64, "chunks");
    if timeline.cut {
        chunks.push_str(" (more ran)");
    }
    [
        format!("{} on {}", text::one_line(&what), timeline.pool),
        format!("job {}", timeline.job),
        format!(
            "{chunks} on {}",
            units::counted(timeline.engines.into(), "engines")
        ),
        format!("wall {}", units::duration(timeline.wall)),
    ]
}

/// The chart, its axis, and what its looks mean.
pub(crate) fn chart(timeline: &Timeline, style: &Style) -> String {
    let glyphs = if style.unicode { &BLOCKS } else { &ASCII };
    let span = span(timeline);
    let columns = style
        .width
        .saturating_sub(LABEL + FRAME + if timeline.cut { 0 } else { IDLE })
        .max(1);
    let mut out = style.spell(text::fold(&title(timeline), " · ", "", style.width)) + "\n";
    let head = if timeline.cut { "" } else { "  idle" };
    out.push_str(&style.spell(format!("engine ┌{}┐{head}\n", "─".repeat(columns))));
    let mut seen = Vec::new();
    for lane in &lanes(timeline) {
        let cells = cells(lane, span, columns, glyphs);
        seen.extend(cells.iter().copied());
        let drawn: String = cells.into_iter().collect();
        let share = if timeline.cut {
            String::new()
        } else {
            format!(" {:>3.0} %", idle(lane, span))
        };
        let border = style.spell("│".to_owned());
        let drawn = colour_failures(&drawn, glyphs.failed, style);
        out.push_str(&format!(
            "{:>LABEL$} {border}{drawn}{border}{share}\n",
            lane.rank
        ));
    }
    let (ticks, labels) = axis::lines(span, columns);
    let indent = " ".repeat(LABEL + 1);
    out.push_str(&style.spell(format!("{indent}└{ticks}┘\n")));
    out.push_str(&style.spell(format!("{indent} {labels}\n")));
    out.push_str(&legend(&seen, glyphs, style));
    if timeline.cut {
        let note = "note: more chunks ran than are kept; idle shares are not known\n";
        out.push_str(&style.faint(note));
    }
    out
}

/// One look per column. A column shows a chunk when it is busy for at least half of its time.
fn cells(lane: &Lane<'_>, span: f64, columns: usize, glyphs: &Glyphs) -> Vec<char> {
    let mut busy = vec![0.0_f64; columns];
    let mut look = vec![glyphs.idle; columns];
    let mut chunks = vec![0_u32; columns];
    #[expect(clippy::cast_precision_loss, reason = "a terminal's columns")]
    let scale = if span > 0.0 {
        columns as f64 / span
    } else {
        0.0
    };
    for (index, chunk) in lane.chunks.iter().enumerate() {
        let began = chunk.began.as_secs_f64() * scale;
        let ended = chunk.ended.as_secs_f64() * scale;
        let own = if chunk.failed {
            glyphs.failed
        } else {
            glyphs.turns[index % 2]
        };
        for (column, share) in overlaps(began, ended, columns) {
            busy[column] += share;
            // A longer chunk that covers less than a tenth of a column only ends or begins there.
            let tiny = chunk.failed && ended - began < 0.2;
            if share >= 0.1 || chunks[column] == 0 || tiny {
                chunks[column] += 1;
                if look[column] != glyphs.failed {
                    look[column] = own;
                }
            }
        }
    }
    for column in 0..columns {
        if chunks[column] == 0 || look[column] == glyphs.failed {
            continue;
        }
        if busy[column] < 0.5 {
            look[column] = glyphs.sparse;
        } else if chunks[column] > 1 {
            look[column] = glyphs.several;
        }
    }
    look
}

/// The columns that a chunk touches, and how much of each it covers. A chunk is never nothing.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "clamped to a terminal's columns"
)]
fn overlaps(began: f64, ended: f64, columns: usize) -> impl Iterator<Item = (usize, f64)> {
    let first = (began.max(0.0) as usize).min(columns - 1);
    let last = (ended.ceil() as usize).clamp(first + 1, columns);
    (first..last).map(move |column| {
        let (left, right) = (column as f64, column as f64 + 1.0);
        (column, (ended.min(right) - began.max(left)).max(0.0))
    })
}

fn colour_failures(cells: &str, failed: char, style: &Style) -> String {
    if !style.colour || !cells.contains(failed) {
        return cells.to_owned();
    }
    let mut out = String::new();
    let mut run = String::new();
    for cell in cells.chars() {
        if cell == failed {
            run.push(cell);
            continue;
        }
        if !run.is_empty() {
            out.push_str(&style.failure(&std::mem::take(&mut run)));
        }
        out.push(cell);
    }
    if !run.is_empty() {
        out.push_str(&style.failure(&run));
    }
    out
}

/// What the looks mean that the chart uses.
fn legend(seen: &[char], glyphs: &Glyphs, style: &Style) -> String {
    let [one, other] = glyphs.turns;
    let meanings = [
        (glyphs.several, format!("{} several", glyphs.several)),
        (glyphs.sparse, format!("{} less than half", glyphs.sparse)),
        (glyphs.failed, format!("{} failed", glyphs.failed)),
        (glyphs.idle, format!("{} idle", glyphs.idle)),
    ];
    let mut parts = Vec::new();
    if seen.contains(&one) || seen.contains(&other) {
        parts.push(format!("{one} {other} chunks in turn"));
    }
    let used = meanings
        .into_iter()
        .filter(|(glyph, _)| seen.contains(glyph));
    parts.extend(used.map(|(_, meaning)| meaning));
    let line = text::fold(&parts, "   ", "", style.width);
    if line.is_empty() {
        return line;
    }
    style.faint(&line) + "\n"
}

#[cfg(test)]
mod tests;
