//! The table's lines at several sizes, and its rates.

use super::super::samples;
use super::*;

fn show(view: JobView, style: &Style) -> Vec<String> {
    Live::new(view).lines(style)
}

fn at(width: usize) -> String {
    show(samples::job(), &Style::plain(width)).join("\n") + "\n"
}

fn stopping(left: u64) -> JobView {
    stopping_in(Some(Duration::from_millis(left)))
}

fn stopping_in(left: Option<Duration>) -> JobView {
    JobView {
        state: JobState::Stopping { left },
        ..samples::job()
    }
}

#[test]
fn a_narrow_terminal_keeps_what_is_most_useful() {
    let wide = "\
┌────────┬──────────┬──────┬──────┬─────────┬─────────┬─────────────────────┐
│ engine │ state    │ item │ done │    rate │  memory │ last line           │
│      0 │ busy     │   37 │   18 │  0.60/s │ 12.3 MB │ epoch 3: loss 0.25  │
│      1 │ busy     │   36 │   12 │  0.40/s │ 9.87 MB │ 20 %                │
│      2 │ starting │      │    6 │  0.20/s │         │                     │
│      3 │ idle     │      │    0 │         │ 9.00 MB │ \\u{1b}[31mred\\t漢字 │
└────────┴──────────┴──────┴──────┴─────────┴─────────┴─────────────────────┘
";
    let total =
        "job 3 · |x| x * k ▕███████▏            ▏ 36 / 100 items · 1.2 items/s · 0:54 left\n";
    assert_eq!(at(200), format!("{wide}{total}"));
    let total = "job 3 · |x| x * k ▕██████▍           ▏ 36 / 100 items · 1.2 items/s · 0:54 left\n";
    assert_eq!(at(80), format!("{wide}{total}"));
    let narrow = "\
┌────────┬──────────┬──────┬──────┐
│ engine │ state    │ item │ done │
│      0 │ busy     │   37 │   18 │
│      1 │ busy     │   36 │   12 │
│      2 │ starting │      │    6 │
│      3 │ idle     │      │    0 │
└────────┴──────────┴──────┴──────┘
job 3 · 36 / 100 items · 0:54 left
";
    assert_eq!(at(40), narrow);
}

#[test]
fn nothing_is_wider_or_higher_than_the_terminal() {
    let mut view = stopping(12_345);
    view.what = "|text: &str| {\n    漢字漢字(text)\n}".repeat(5);
    view.done = 123_456_789;
    view.total = Some(987_654_321);
    for rank in 4..40 {
        view.engines.push(EngineView {
            rank: Rank(rank * 1000),
            activity: EngineActivity::Busy,
            item: Some(987_654_320),
            done: 87_654_321,
            memory: Some(u64::MAX),
            command: String::new(),
            last_line: "漢字 👩‍👩‍👧‍👦 \u{7}".repeat(20),
        });
    }
    for total in [view.total, None] {
        view.total = total;
        let live = Live::new(view.clone());
        for width in 20..230 {
            for height in [1, 2, 5, 6, 7, 8, 24, 100] {
                let style = Style {
                    height,
                    ..Style::plain(width)
                };
                let lines = live.lines(&style);
                assert!(!lines.is_empty());
                assert!(lines.len() <= (height - 1).max(2), "{height}\n{lines:#?}");
                assert!(
                    lines.iter().all(|line| text::width(line) < width),
                    "{width}\n{lines:#?}"
                );
            }
        }
    }
}

#[test]
fn more_engines_than_rows_are_counted() {
    let mut view = samples::job();
    let one = view.engines[0].clone();
    view.engines = vec![one; 30];
    let style = Style {
        height: 11,
        ..Style::plain(60)
    };
    let lines = show(view, &style);
    assert_eq!(lines.len(), 10);
    assert_eq!(lines[8], "… 25 more");
    assert!(lines[9].starts_with("job 3"));
}

#[test]
fn a_stopping_job_says_what_comes_next() {
    let last = |left, width| {
        show(stopping(left), &Style::plain(width))
            .pop()
            .expect("a line")
    };
    assert_eq!(
        last(620, 200),
        "stopping: 2 items still run · their engines are killed in 0.6 s · Ctrl-C again kills them now"
    );
    assert_eq!(
        last(620, 80),
        "stopping: 2 items still run · their engines are killed in 0.6 s"
    );
    assert_eq!(last(620, 40), "stopping: 2 still run · killed in 0.6 s");
    assert_eq!(
        last(0, 80),
        "stopping: 2 items still run · their engines are killed now"
    );
    let mut view = stopping(100);
    view.engines.truncate(1);
    assert_eq!(
        stopping_line(&view, &Style::plain(200)).expect("a line"),
        "stopping: 1 item still runs · its engine is killed in 0.1 s · Ctrl-C again kills it now"
    );
    view.engines.clear();
    assert_eq!(
        stopping_line(&view, &Style::plain(200)).expect("a line"),
        "stopping: no item runs any more"
    );
    assert_eq!(stopping_line(&samples::job(), &Style::plain(80)), None);
}

/// Threads cannot be killed one by one.
#[test]
fn a_job_that_waits_for_its_items_says_what_it_waits_for() {
    let last = |view: &JobView, width| {
        let mut lines = show(view.clone(), &Style::plain(width));
        lines.pop().expect("a line")
    };
    let mut view = stopping_in(None);
    assert_eq!(
        last(&view, 100),
        "waiting for 2 items under way · Ctrl-C again ends the local engine and loses its variables"
    );
    assert_eq!(
        last(&view, 80),
        "waiting for 2 items under way · Ctrl-C again loses the session's variables"
    );
    assert_eq!(
        last(&view, 60),
        "waiting for 2 items · Ctrl-C again loses all variables"
    );
    assert_eq!(last(&view, 40), "waiting for 2 items under way");
    view.engines.truncate(1);
    assert_eq!(
        stopping_line(&view, &Style::plain(100)).expect("a line"),
        "waiting for 1 item under way · Ctrl-C again ends the local engine and loses its variables"
    );
    // What they are at is told now and then.
    view.engines.clear();
    assert_eq!(last(&view, 40), "waiting for the items under way");
}

#[test]
fn a_rate_follows_slowly_and_forgets() {
    let mut rate = Rate::default();
    let millis = Duration::from_millis;
    rate.advance(0, Duration::ZERO);
    rate.advance(100, millis(1000));
    assert!((rate.per_second - 100.0).abs() < 1e-9);
    rate.advance(100, millis(1100));
    assert!(
        (90.0..100.0).contains(&rate.per_second),
        "{}",
        rate.per_second
    );
    for step in 12..200 {
        rate.advance(100, millis(step * 100));
    }
    assert!(rate.per_second < 5.0, "{}", rate.per_second);
    // Replaced, it counts anew: no leap and nothing below nothing.
    rate.advance(1, millis(20_100));
    assert!((0.0..5.0).contains(&rate.per_second), "{}", rate.per_second);
}

#[test]
fn slow_items_do_not_make_a_rate_jump() {
    let mut rate = Rate::default();
    for second in 1..=100 {
        rate.advance(second / 10, Duration::from_secs(second));
        if second > 50 {
            assert!(
                (0.05..0.2).contains(&rate.per_second),
                "{second}: {}",
                rate.per_second
            );
        }
    }
}

#[test]
fn another_job_begins_anew() {
    let mut live = Live::new(samples::job());
    let mut next = samples::job();
    next.job = crate::ids::JobId(4);
    next.elapsed = Duration::from_secs(1);
    next.engines[0].done = 2;
    live.update(next);
    assert!(live.lines(&Style::plain(80))[2].contains("2.0/s"));
}

#[test]
fn ascii_stands_in() {
    let style = Style {
        unicode: false,
        ..Style::plain(80)
    };
    let mut view = stopping(500);
    view.engines.truncate(1);
    assert!(show(view, &style).join("\n").is_ascii());
}

#[test]
fn commands_stand_with_what_they_have_said() {
    let mut view = samples::job();
    for engine in &mut view.engines {
        engine.command = format!("sort {}", engine.rank);
        engine.last_line = "half of it".to_owned();
    }
    let lines = show(view, &Style::plain(60));
    assert!(
        lines[1].contains("command") && lines[1].contains("last line"),
        "{lines:#?}"
    );
    assert!(!lines[1].contains("memory"), "{lines:#?}");
    assert!(
        lines[2].contains("sort 0") && lines[2].contains("half of it"),
        "{lines:#?}"
    );
}
