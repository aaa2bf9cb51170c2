//! The only room that turns outcomes into text: for a terminal, for a notebook's transcript, as JSON lines.
//! It never touches an engine, never decides what happens next, and never alters what user code printed.
//!
//! `terminal` and `json` are the two sinks; `below` keeps what is redrawn in place at the terminal's end. One
//! file per block (`px`, `map`, `value`, `tables`, `report`, `timing`, `progress`, `live`, `timeline`,
//! `compare`, `scaling`, `plot`) makes text from values, on top of `grid`, `text`, `units` and `style`.

mod below;
pub mod children;
mod comm;
mod compare;
pub mod debug;
mod docs;
mod engines;
mod explained;
mod failures;
mod faults;
mod grid;
mod items;
mod json;
pub mod kept;
mod live;
mod map;
mod markdown;
mod memo;
mod notices;
mod output;
mod pager;
pub mod plot;
mod progress;
mod px;
mod record;
mod record_child;
mod record_comm;
mod record_error;
mod record_job;
mod record_memo;
mod report;
#[cfg(test)]
mod samples;
pub mod scaling;
mod style;
mod svg;
mod tables;
mod terminal;
mod text;
pub mod timeline;
mod timing;
pub mod units;
mod value;
#[cfg(test)]
mod vt;

pub use json::JsonLines;
pub use pager::pager;
pub use style::Style;
pub use terminal::Terminal;

use crate::outcome::{Event, Sink};

/// What stands in a notebook's `text` fence below the cell that caused `events`: what a terminal of `width`
/// columns would show, without the cell itself and without progress.
pub fn transcript(events: &[Event], width: usize) -> String {
    let mut text = Vec::new();
    let mut terminal = Terminal::new(&mut text, Style::plain(width));
    for event in events {
        use Event::{CellFinished, CellStarted, Live, Progress};
        if !matches!(
            event,
            CellStarted { .. } | CellFinished { .. } | Progress(_) | Live(_)
        ) {
            terminal.send(event.clone());
        }
    }
    drop(terminal);
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{CellId, Rank};
    use crate::outcome::{About, Notice, Origin, Stream, Value};

    #[test]
    fn a_transcript_holds_what_belongs_below_the_cell() {
        let cell = CellId(2);
        let name = "x".to_owned();
        let output = |origin, text: &str| Event::Output {
            about: About::default(),
            origin,
            stream: Stream::Stdout,
            text: text.to_owned(),
        };
        let events = [
            Event::CellStarted {
                cell,
                code: "code".to_owned(),
            },
            Event::Progress(None),
            output(Origin::Engine(Rank(1)), "hi\n"),
            output(Origin::Local, "no line end"),
            Event::Result {
                cell,
                value: Value::plain("7", "u64"),
            },
            Event::Notice(About::default(), Notice::Redefined { name }),
        ];
        let shown = "[stdout:1] hi\nno line end\nOut[2]: 7\n\
                     note: the variable `x` is lost: its type was redefined\n";
        assert_eq!(transcript(&events, 80), shown);
    }
}
