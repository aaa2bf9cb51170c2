//! What stands on the screen, byte by byte.

use std::time::Duration;

use super::*;
use crate::ids::{CellId, Rank};
use crate::outcome::{Stream, Value};

const ERASE: &str = "\u{1b}[1G\u{1b}[2K";
const LINE: &str = "map ▕█████     ▏ 1 / 2 items · 1.0 items/s · 0:01 left";
const CELL: CellId = CellId(1);

fn shown(style: Style, events: Vec<Event>) -> String {
    let mut out = Vec::new();
    let mut terminal = Terminal::new(&mut out, style).echo(true);
    for event in events {
        terminal.send(event);
    }
    drop(terminal);
    String::from_utf8(out).expect("text")
}

fn output(origin: Origin, text: &str) -> Event {
    Event::Output {
        origin,
        stream: Stream::Stdout,
        text: text.to_owned(),
    }
}

fn progress(seconds: u64) -> Event {
    let elapsed = Duration::from_secs(seconds);
    let what = "map".to_owned();
    Event::Progress(Some(Progress {
        what,
        unit: "items",
        done: 1,
        total: Some(2),
        elapsed,
    }))
}

fn finished() -> Event {
    Event::CellFinished {
        cell: CELL,
        ok: true,
        compile: Duration::ZERO,
        run: Duration::ZERO,
    }
}

fn live() -> Style {
    Style {
        live: true,
        ..Style::plain(80)
    }
}

#[test]
fn blocks_begin_on_a_line_of_their_own() {
    let events = vec![
        Event::CellStarted {
            cell: CELL,
            code: "print!(\"a\"); 1".to_owned(),
        },
        output(Origin::Local, "a\r"),
        output(Origin::Local, "b"),
        Event::Result {
            cell: CELL,
            value: Value::plain("1", "i32"),
        },
        Event::Text("pool p0: 2 process engines, up in 6 ms".to_owned()),
        output(Origin::Local, "c"),
        output(Origin::Engine(Rank(0)), "d\n"),
        output(Origin::Local, "e"),
        finished(),
    ];
    let text = "In [1]: print!(\"a\"); 1\na\rb\nOut[1]: 1\n\
                pool p0: 2 process engines, up in 6 ms\nc\n[stdout:0] d\ne\n";
    assert_eq!(shown(Style::plain(80), events), text);
}

#[test]
fn progress_gives_way_and_comes_back() {
    let engine = || output(Origin::Engine(Rank(0)), "x\n");
    let events = vec![
        progress(1),
        engine(),
        Event::Progress(None),
        engine(),
        finished(),
    ];
    let text = format!("{LINE}{ERASE}[stdout:0] x\n{LINE}{ERASE}[stdout:0] x\n");
    assert_eq!(shown(live(), events), text);
}

#[test]
fn progress_never_stands_on_a_line_of_the_users() {
    let local = |text| output(Origin::Local, text);
    let events = vec![local("half "), progress(1), local("line\n"), finished()];
    assert_eq!(shown(live(), events), format!("half line\n{LINE}{ERASE}"));
}

#[test]
fn a_session_that_ends_in_a_job_leaves_no_debris() {
    assert_eq!(shown(live(), vec![progress(1)]), format!("{LINE}{ERASE}"));
}

#[test]
fn where_nothing_can_be_redrawn_progress_is_rare_and_has_no_codes() {
    let events = [1, 4, 5, 7, 9, 10]
        .map(progress)
        .into_iter()
        .chain([finished()])
        .collect();
    let text = "map 1 / 2 items · 0.20 items/s · 0:05 left\n\
                map 1 / 2 items · 0.10 items/s · 0:10 left\n";
    assert_eq!(shown(Style::plain(80), events), text);
}

#[test]
fn colour_only_on_request() {
    let events = || vec![Event::Notice("x is lost".to_owned()), progress(1)];
    assert!(!shown(Style::plain(80), events()).contains('\u{1b}'));
    crossterm::style::force_color_output(true);
    let coloured = shown(
        Style {
            colour: true,
            ..Style::plain(80)
        },
        events(),
    );
    assert_eq!(coloured, "\u{1b}[38;5;11mnote: x is lost\u{1b}[39m\n");
}

#[test]
fn a_closed_pipe_silences() {
    struct Closed(usize);
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            self.0 += 1;
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut terminal = Terminal::new(Closed(0), live());
    assert!(!terminal.broken());
    for _ in 0..3 {
        terminal.send(Event::Text("x".to_owned()));
    }
    assert!(terminal.broken());
    assert_eq!(terminal.out.0, 1);
}
