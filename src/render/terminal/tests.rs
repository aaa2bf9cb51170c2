//! What stands on the screen, byte by byte.

use std::io::Read as _;
use std::time::Duration;

use super::super::samples;
use super::super::vt::Vt;
use super::*;
use crate::ids::{CellId, Rank};
use crate::outcome::{About, Notice, Stream, Value};

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
        about: About::default(),
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
fn whoever_reads_results_from_a_pipe_reads_no_progress() {
    let (mut read, aside) = io::pipe().unwrap();
    let mut out = Vec::new();
    let mut terminal = Terminal::new(&mut out, Style::plain(80)).progress_to(Box::new(aside));
    for event in [progress(5), output(Origin::Local, "55\n"), finished()] {
        terminal.send(event);
    }
    drop(terminal);
    let mut told = String::new();
    read.read_to_string(&mut told).unwrap();
    assert_eq!(out, b"55\n");
    assert!(told.starts_with("map 1 / 2 items"), "{told}");
}

#[test]
fn colour_only_on_request() {
    let notice = || Event::Notice(About::default(), Notice::MapInterrupted);
    let events = || vec![notice(), progress(1)];
    assert!(!shown(Style::plain(80), events()).contains('\u{1b}'));
    crossterm::style::force_color_output(true);
    let coloured = shown(
        Style {
            colour: true,
            ..Style::plain(80)
        },
        events(),
    );
    assert_eq!(
        coloured,
        "\u{1b}[38;5;11mnote: the map was interrupted: what was done is kept, the rest are errors\u{1b}[39m\n"
    );
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

/// A terminal of 60 × 12 whose renderer writes to an emulated one.
fn emulated() -> (Terminal<Vec<u8>>, Vt) {
    let style = Style {
        live: true,
        height: 12,
        ..Style::plain(60)
    };
    let mut terminal = Terminal::new(Vec::new(), style);
    terminal.measure = || Style {
        height: 12,
        ..Style::plain(60)
    };
    (terminal, Vt::new(60, 12))
}

/// Sends an event and lets the screen show it.
fn step(terminal: &mut Terminal<Vec<u8>>, screen: &mut Vt, event: Event) {
    terminal.send(event);
    screen.feed(&std::mem::take(&mut terminal.out));
    assert!(!screen.held, "an update that was begun is ended");
    assert!(screen.unknown.is_empty(), "{:?}", screen.unknown);
    assert!(!screen.scrolled_away);
}

fn view(seconds: u64) -> Event {
    let mut job = samples::job();
    job.elapsed = Duration::from_secs(seconds);
    Event::Live(Some((About::default(), job)))
}

const HEAD: &str = "│ engine │ state    │ item │ done │    rate │  memory │";

#[test]
fn a_live_table_is_redrawn_in_place_below_what_is_printed() {
    let (mut terminal, mut screen) = emulated();
    // The table is at the bottom of the screen, so that drawing it scrolls.
    for line in 0..11 {
        step(&mut terminal, &mut screen, Event::Text(line.to_string()));
    }
    for seconds in 1..5 {
        step(&mut terminal, &mut screen, view(seconds));
        let printed = output(Origin::Engine(Rank(0)), &format!("at {seconds}\n"));
        step(&mut terminal, &mut screen, printed);
    }
    let text = screen.text();
    assert_eq!(text.matches(HEAD).count(), 1, "{text}");
    assert!(
        text.contains("\n10\n[stdout:0] at 1\n[stdout:0] at 2\n"),
        "{text}"
    );
    assert!(text.contains("[stdout:0] at 4\n┌──"), "{text}");
    assert!(
        text.ends_with("36 / 100 items · 9.0 items/s · 0:08 left"),
        "{text}"
    );
    step(&mut terminal, &mut screen, Event::Live(None));
    step(&mut terminal, &mut screen, Event::Text("end".to_owned()));
    let text = screen.text();
    assert!(
        text.ends_with("\n[stdout:0] at 3\n[stdout:0] at 4\nend"),
        "{text}"
    );
    assert!(!text.contains(HEAD), "{text}");
    assert_eq!(screen.cursor().1, 0);
}

#[test]
fn a_report_takes_the_place_of_the_live_table() {
    for last in [
        Event::MapFinished(About::default(), samples::map()),
        finished(),
    ] {
        let (mut terminal, mut screen) = emulated();
        step(&mut terminal, &mut screen, progress(1));
        step(&mut terminal, &mut screen, view(1));
        assert!(screen.text().contains(HEAD));
        assert!(
            !screen.text().contains("map ▕"),
            "the table replaces the line"
        );
        step(&mut terminal, &mut screen, last);
        let text = screen.text();
        assert!(!text.contains(HEAD) && !text.contains("job 3"), "{text}");
    }
}

#[test]
fn a_resized_terminal_has_no_ruins() {
    /// What is measured, and what the window really is.
    type Size = (fn() -> Style, usize, usize);
    let sizes: [Size; 6] = [
        (
            || Style {
                height: 12,
                ..Style::plain(40)
            },
            40,
            12,
        ),
        (
            || Style {
                height: 12,
                ..Style::plain(25)
            },
            25,
            12,
        ),
        (
            || Style {
                height: 30,
                ..Style::plain(120)
            },
            120,
            30,
        ),
        (
            || Style {
                height: 6,
                ..Style::plain(120)
            },
            120,
            6,
        ),
        (
            || Style {
                height: 3,
                ..Style::plain(50)
            },
            50,
            3,
        ),
        (
            || Style {
                height: 24,
                ..Style::plain(80)
            },
            80,
            24,
        ),
    ];
    let (mut terminal, mut screen) = emulated();
    step(&mut terminal, &mut screen, Event::Text("above".to_owned()));
    step(&mut terminal, &mut screen, view(1));
    for (seconds, (measure, width, height)) in (2..).zip(sizes) {
        screen.resize(width, height);
        terminal.measure = measure;
        step(&mut terminal, &mut screen, view(seconds));
        let text = screen.text();
        assert!(text.starts_with("above\n"), "{width}×{height}\n{text}");
        assert_eq!(
            text.matches("engine │").count(),
            usize::from(height > 6),
            "{text}"
        );
        assert_eq!(text.matches("job 3").count(), 1, "{width}×{height}\n{text}");
        assert_eq!(text.matches('┘').count(), usize::from(height > 6), "{text}");
    }
    drop(terminal.below.live.take());
    step(&mut terminal, &mut screen, finished());
    assert_eq!(screen.text(), "above");
}

#[test]
fn much_output_does_not_redraw_the_table_each_time() {
    let (mut terminal, mut screen) = emulated();
    step(&mut terminal, &mut screen, view(1));
    for line in 0..1000 {
        terminal.send(output(Origin::Engine(Rank(0)), &format!("{line}\n")));
    }
    let drawn = String::from_utf8_lossy(&terminal.out).matches(HEAD).count();
    assert!(drawn < 10, "{drawn}");
    screen.feed(&std::mem::take(&mut terminal.out));
    assert!(screen.text().ends_with("[stdout:0] 999"));
    step(&mut terminal, &mut screen, view(2));
    assert_eq!(screen.text().matches(HEAD).count(), 1);
}

#[test]
fn a_table_waits_for_the_end_of_a_line_that_the_user_has_begun() {
    let (mut terminal, mut screen) = emulated();
    step(&mut terminal, &mut screen, view(1));
    step(&mut terminal, &mut screen, output(Origin::Local, "half "));
    step(&mut terminal, &mut screen, view(2));
    assert_eq!(screen.text(), "half");
    step(
        &mut terminal,
        &mut screen,
        output(Origin::Local, "a line\n"),
    );
    assert!(screen.text().starts_with("half a line\n┌──"));
}

#[test]
fn a_session_that_ends_with_a_table_leaves_none() {
    let text = shown(live(), vec![view(1)]);
    let mut screen = Vt::new(80, 24);
    screen.feed(text.as_bytes());
    assert_eq!(screen.text(), "");
    assert!(!screen.held);
}

#[test]
fn where_nothing_can_be_redrawn_a_job_is_told_in_plain_lines() {
    let stopping = |millis: u64| {
        let mut job = samples::job();
        job.elapsed = Duration::from_millis(7000 + millis);
        job.state = JobState::Stopping {
            left: Some(Duration::from_millis(1000 - millis)),
        };
        Event::Live(Some((About::default(), job)))
    };
    let events = vec![
        view(2),
        view(5),
        view(6),
        stopping(0),
        stopping(100),
        Event::Live(None),
        finished(),
    ];
    let text = "job 3 · |x| x * k: 36 / 100 items · 7.2 items/s · 0:09 left\n\
                stopping: 2 items still run · their engines are killed in 1.0 s\n";
    assert_eq!(shown(Style::plain(80), events), text);
}
