//! The timeline of a `%px`: what each engine did when, as text, as SVG and as a trace. What is in no span of sending or
//! waiting is computing.

use std::time::Duration;

use serde_json::{Value, json};

use super::{FRAME, LABEL, axis};
use crate::outcome::{PxLane, PxTimeline};
use crate::render::svg::{Picture, escaped};
use crate::render::{Style, text, units};

/// Columns of the shares at the right.
const SHARES: usize = 5;
/// What stands behind them where a rank has failed.
const FAILED: &str = " failed";

/// What a moment of an engine's was, in the order in which columns prefer it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    Compute,
    Send,
    Wait,
    /// Before the first span that is known.
    Unknown,
    /// Before its cell began, or after its end.
    Nothing,
}

const ALL: [Is; 5] = [Is::Compute, Is::Send, Is::Wait, Is::Unknown, Is::Nothing];

impl Is {
    fn glyph(self, unicode: bool) -> char {
        match (self, unicode) {
            (Self::Compute, true) => '█',
            (Self::Send, true) => '▒',
            (Self::Wait, true) => '·',
            (Self::Compute, false) => '#',
            (Self::Send, false) => '=',
            (Self::Wait, false) => '.',
            (Self::Unknown, _) => '?',
            (Self::Nothing, _) => ' ',
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Compute => "computes",
            Self::Send => "sends",
            Self::Wait => "waits",
            Self::Unknown => "not known: only the last waits are kept",
            Self::Nothing => "",
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Compute => "compute",
            Self::Send => "send",
            Self::Wait => "wait",
            Self::Unknown | Self::Nothing => "unknown",
        }
    }
}

/// What an engine did, one after the other, without gaps from its begin to its end.
fn pieces(lane: &PxLane) -> Vec<(Is, Duration, Duration)> {
    let mut all = Vec::new();
    let mut at = lane.began;
    let mut until = |to: Duration, is: Is| {
        if to > at {
            all.push((is, at, to));
            at = to;
        }
    };
    if let Some(known) = lane.known_from {
        until(known.min(lane.ended), Is::Unknown);
    }
    for span in &lane.spans {
        until(span.from.min(lane.ended), Is::Compute);
        let is = if span.waits { Is::Wait } else { Is::Send };
        until(span.to.min(lane.ended), is);
    }
    until(lane.ended, Is::Compute);
    all
}

/// Share of its cell that an engine has waited, in percent.
fn waited(lane: &PxLane) -> f64 {
    let all = pieces(lane);
    let sum = |of: &dyn Fn(Is) -> bool| {
        let those = all.iter().filter(|(is, ..)| of(*is));
        those
            .map(|(_, from, to)| (*to - *from).as_secs_f64())
            .fold(0.0, |sum, time| sum + time)
    };
    let known = sum(&|is| is != Is::Unknown);
    if known > 0.0 {
        sum(&|is| is == Is::Wait) / known * 100.0
    } else {
        0.0
    }
}

fn span(timeline: &PxTimeline) -> Duration {
    let last = timeline.lanes.iter().map(|lane| lane.ended).max();
    last.unwrap_or_default()
}

fn title(timeline: &PxTimeline) -> [String; 3] {
    [
        format!("%px of {} on {}", timeline.cell.name(), timeline.pool),
        units::counted(timeline.lanes.len() as u64, "engines"),
        format!("wall {}", units::duration(span(timeline))),
    ]
}

/// The chart, its axis, and what its looks mean.
pub(crate) fn chart(timeline: &PxTimeline, style: &Style) -> String {
    let all = span(timeline).as_secs_f64();
    let mark = match timeline.lanes.iter().any(|lane| lane.failed) {
        true => FAILED.len(),
        false => 0,
    };
    let room = style.width.saturating_sub(LABEL + FRAME + SHARES + mark);
    let columns = room.max(1);
    let mut out = style.spell(text::fold(&title(timeline), " · ", "", style.width)) + "\n";
    out.push_str(&style.spell(format!("engine ┌{}┐ waits\n", "─".repeat(columns))));
    let mut seen = Vec::new();
    for lane in &timeline.lanes {
        let cells = cells(lane, all, columns);
        seen.extend(cells.iter().copied());
        let drawn: String = cells.iter().map(|is| is.glyph(style.unicode)).collect();
        let border = style.spell("│".to_owned());
        let failed = if lane.failed {
            style.failure(FAILED)
        } else {
            String::new()
        };
        let share = waited(lane);
        out.push_str(&format!(
            "{:>LABEL$} {border}{drawn}{border} {share:>3.0} %{failed}\n",
            lane.rank
        ));
    }
    let (ticks, labels) = axis::lines(all, columns);
    let indent = " ".repeat(LABEL + 1);
    out.push_str(&style.spell(format!("{indent}└{ticks}┘\n")));
    out.push_str(&style.spell(format!("{indent} {labels}\n")));
    let legend: Vec<String> = ALL
        .into_iter()
        .filter(|is| *is != Is::Nothing && seen.contains(is))
        .map(|is| format!("{} {}", is.glyph(style.unicode), is.word()))
        .collect();
    if !legend.is_empty() {
        out.push_str(&style.faint(&text::fold(&legend, "   ", "", style.width)));
        out.push('\n');
    }
    out
}

/// Per column what most of its time was.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "clamped to a terminal's columns"
)]
fn cells(lane: &PxLane, span: f64, columns: usize) -> Vec<Is> {
    let mut shares = vec![[0.0_f64; ALL.len()]; columns];
    let scale = if span > 0.0 {
        columns as f64 / span
    } else {
        0.0
    };
    for (is, from, to) in pieces(lane) {
        let (from, to) = (from.as_secs_f64() * scale, to.as_secs_f64() * scale);
        let place = ALL
            .iter()
            .position(|other| *other == is)
            .unwrap_or_default();
        let last = (to.ceil() as usize).min(columns);
        for (column, share) in shares.iter_mut().enumerate().take(last).skip(from as usize) {
            let (left, right) = (column as f64, column as f64 + 1.0);
            share[place] += (to.min(right) - from.max(left)).max(0.0);
        }
    }
    shares
        .into_iter()
        .map(|mut share| {
            let told: f64 = share.iter().sum();
            share[ALL.len() - 1] = (1.0 - told).max(0.0);
            // A short cell is never invisible.
            let most = |last: usize, next: usize| {
                if share[next] > share[last] {
                    next
                } else {
                    last
                }
            };
            let best = (1..ALL.len()).fold(0, most);
            match ALL[best] {
                Is::Nothing if told > 0.0 => ALL[(1..ALL.len() - 1).fold(0, most)],
                is => is,
            }
        })
        .collect()
}

const WIDTH: f64 = 1000.0;
const SIDE: f64 = 90.0;
const TOP: f64 = 56.0;
const LANE: f64 = 26.0;
const BLOCK: f64 = 18.0;
const LOOKS: &str = ".lane{fill:#eef0f3}.compute{fill:#2f6fab}.send{fill:#e0a030}.wait{fill:#c9ced6}.unknown{fill:#fff}";

/// The timeline as a picture: a lane per engine, a block per piece with a tooltip.
pub fn svg(timeline: &PxTimeline) -> String {
    let all = span(timeline).as_secs_f64();
    let room = WIDTH - 2.0 * SIDE;
    let scale = if all > 0.0 { room / all } else { 0.0 };
    #[expect(clippy::cast_precision_loss, reason = "engines are few")]
    let bottom = TOP + LANE * timeline.lanes.len() as f64;
    let mut out = Picture::new(WIDTH, bottom + 34.0, LOOKS, &title(timeline).join(" · "));
    for tick in axis::ticks(all, 10) {
        out.column(SIDE + tick.at * room, (TOP, bottom), &tick.label);
    }
    let mut y = TOP;
    for lane in &timeline.lanes {
        let (top, middle) = (y + (LANE - BLOCK) / 2.0, y + LANE / 2.0 + 4.5);
        out.add(format_args!(
            "<text class=\"end\" x=\"{:.2}\" y=\"{middle:.2}\">engine {}</text>\
             <rect class=\"lane\" x=\"{SIDE}\" y=\"{top:.2}\" width=\"{room:.2}\" height=\"{BLOCK}\"/>",
            SIDE - 8.0,
            lane.rank
        ));
        for (is, from, to) in pieces(lane) {
            let x = SIDE + from.as_secs_f64() * scale;
            let width = ((to - from).as_secs_f64() * scale).max(0.2);
            let tip = format!("{} {}", is.word(), units::duration(to - from));
            out.add(format_args!(
                "<rect class=\"{}\" x=\"{x:.2}\" y=\"{top:.2}\" width=\"{width:.2}\" height=\"{BLOCK}\">\
                 <title>{}</title></rect>",
                is.class(),
                escaped(&tip)
            ));
        }
        out.add(format_args!(
            "<text x=\"{:.2}\" y=\"{middle:.2}\">{:.0} % waits</text>",
            WIDTH - SIDE + 8.0,
            waited(lane)
        ));
        y += LANE;
    }
    out.end()
}

/// The timeline as trace events, see [`super::trace`].
pub fn trace(timeline: &PxTimeline) -> String {
    let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
    let named = |what: &str, thread: u64, args: Value| json!({ "ph": "M", "name": what, "pid": 1, "tid": thread, "args": args });
    let name = format!("{}: %px of {}", timeline.pool, timeline.cell.name());
    let mut events = vec![named("process_name", 0, json!({ "name": name }))];
    for lane in &timeline.lanes {
        let thread = u64::from(lane.rank.0) + 1;
        let name = json!({ "name": format!("engine {}", lane.rank) });
        events.push(named("thread_name", thread, name));
        for (is, from, to) in pieces(lane) {
            events.push(json!({
                "ph": "X",
                "name": is.class(),
                "cat": is.class(),
                "pid": 1,
                "tid": thread,
                "ts": micros(from),
                "dur": micros(to - from),
            }));
        }
    }
    json!({ "displayTimeUnit": "ms", "traceEvents": events }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{CellId, PoolName, Rank};
    use crate::outcome::LaneSpan;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn sample() -> PxTimeline {
        let span = |waits, from, to| LaneSpan {
            waits,
            from: millis(from),
            to: millis(to),
        };
        let lane = |rank, spans, ended| PxLane {
            rank: Rank(rank),
            began: millis(0),
            ended: millis(ended),
            failed: rank == 1,
            known_from: None,
            spans,
        };
        PxTimeline {
            cell: CellId(5),
            pool: PoolName("p0".to_owned()),
            lanes: vec![
                lane(0, vec![span(true, 0, 50)], 100),
                lane(1, vec![span(false, 25, 50)], 50),
            ],
        }
    }

    #[test]
    fn each_column_shows_what_most_of_it_was() {
        let shown = "\
engine ┌────────────────────┐ waits
     0 │··········██████████│  50 %
     1 │█████▒▒▒▒▒          │   0 % failed
       └┬─────────┬────────┬┘
";
        let drawn = chart(&sample(), &Style::plain(42));
        assert!(drawn.contains(shown), "{drawn}");
        assert!(drawn.contains("█ computes"), "{drawn}");
        for width in [40, 80, 200] {
            let drawn = chart(&sample(), &Style::plain(width));
            let is_wide = |line: &&str| text::width(line) > width;
            assert_eq!(drawn.lines().find(is_wide), None, "{drawn}");
        }
    }

    #[test]
    fn what_was_before_the_spans_that_are_kept_is_not_known() {
        let mut one = sample();
        one.lanes[0].known_from = Some(millis(40));
        one.lanes[0].spans[0].from = millis(40);
        let all = pieces(&one.lanes[0]);
        let kinds: Vec<Is> = all.iter().map(|(is, ..)| *is).collect();
        assert_eq!(kinds, [Is::Unknown, Is::Wait, Is::Compute]);
        assert!(svg(&one).contains("class=\"wait\""));
        assert!(trace(&one).contains("\"cat\":\"compute\""));
    }
}
