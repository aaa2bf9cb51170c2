//! The chart as an SVG picture that needs nothing beside it: a browser shows each chunk's numbers as a tooltip.

use super::{axis, idle, lanes, span, title};
use crate::outcome::{ChunkSpan, Timeline};
use crate::render::svg::{Picture, escaped};
use crate::render::{text, units};

const WIDTH: f64 = 1000.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 90.0;
const TOP: f64 = 56.0;
const LANE: f64 = 26.0;
const BLOCK: f64 = 18.0;
/// Columns of the function in the title.
const LONGEST_FUNCTION: usize = 60;
/// A chunk is never invisible.
const THINNEST: f64 = 0.5;

const LOOKS: &str = ".lane{fill:#eef0f3}.a{fill:#2f6fab}.b{fill:#7fb2dd}.failed{fill:#c8372d}";

/// The timeline as a picture: a lane per engine, a block per chunk with a tooltip, a time axis, and each
/// engine's idle share.
pub fn svg(timeline: &Timeline) -> String {
    let lanes = lanes(timeline);
    let span = span(timeline);
    let scale = if span > 0.0 {
        (WIDTH - LEFT - RIGHT) / span
    } else {
        0.0
    };
    #[expect(clippy::cast_precision_loss, reason = "engines are few")]
    let bottom = TOP + LANE * lanes.len() as f64;
    let height = bottom + 34.0;
    let mut out = Picture::new(WIDTH, height, LOOKS, &heading(timeline));
    for tick in axis::ticks(span, 10) {
        let x = LEFT + tick.at * (WIDTH - LEFT - RIGHT);
        out.column(x, (TOP, bottom), &tick.label);
    }
    let mut y = TOP;
    for lane in &lanes {
        let (top, middle) = (y + (LANE - BLOCK) / 2.0, y + LANE / 2.0 + 4.5);
        out.add(format_args!(
            "<text class=\"end\" x=\"{:.2}\" y=\"{middle:.2}\">engine {}</text>\
             <rect class=\"lane\" x=\"{LEFT}\" y=\"{top:.2}\" width=\"{:.2}\" height=\"{BLOCK}\"/>",
            LEFT - 8.0,
            lane.rank,
            WIDTH - LEFT - RIGHT
        ));
        for (index, chunk) in lane.chunks.iter().enumerate() {
            let class = match (chunk.failed, index % 2) {
                (true, _) => "failed",
                (false, 0) => "a",
                (false, _) => "b",
            };
            let x = LEFT + chunk.began.as_secs_f64() * scale;
            let width = chunk.ended.saturating_sub(chunk.began).as_secs_f64() * scale;
            out.add(format_args!(
"<rect class=\"{class}\" x=\"{x:.2}\" y=\"{top:.2}\" width=\"{:.2}\" height=\"{BLOCK}\">\
                 <title>{}</title></rect>",
                width.max(THINNEST),
                escaped(&tooltip(chunk))
            ));
        }
        if !timeline.cut {
            out.add(format_args!(
                "<text x=\"{:.2}\" y=\"{middle:.2}\">{:.0} % idle</text>",
                WIDTH - RIGHT + 8.0,
                idle(lane, span)
            ));
        }
        y += LANE;
    }
    out.end()
}

/// The title on one line of the picture; what is too long of the function is cut.
fn heading(timeline: &Timeline) -> String {
    let [mut function, rest @ ..] = title(timeline);
    function = text::cut(&function, LONGEST_FUNCTION);
    format!("{function} · {}", rest.join(" · "))
}

/// `items 8 to 15 on engine 1`, when it was sent and began, and how long it ran.
fn tooltip(chunk: &ChunkSpan) -> String {
    let failed = if chunk.failed { "\nfailed" } else { "" };
    format!(
        "{} on engine {}\nsent at {}, began at {}\nran {}{failed}",
        items(chunk),
        chunk.rank,
        units::duration(chunk.sent),
        units::duration(chunk.began),
        units::duration(chunk.ended.saturating_sub(chunk.began)),
    )
}

/// `item 8` or `items 8 to 15`.
pub(super) fn items(chunk: &ChunkSpan) -> String {
    if chunk.items == 1 {
        return format!("item {}", chunk.first);
    }
    let last = chunk.first.saturating_add(chunk.items.saturating_sub(1));
    format!("items {} to {last}", chunk.first)
}
