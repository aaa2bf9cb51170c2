//! Charts at several widths, and the files.

use super::super::samples;
use super::*;

fn at(width: usize) -> String {
    chart(&samples::timeline(), &Style::plain(width))
}

#[test]
fn a_chart_fills_the_width_it_has() {
    let narrow = "\
|x| x < 3 && \"é\".len() > x on p0 · job 3
7 chunks on 3 engines · wall 2.41 s
engine ┌─────────────────────────┐  idle
     0 │██████×××·········░██████│  43 %
     1 │██▓██████▓▒▒▒▒▒▒▒········│  34 %
     2 │·························│ 100 %
       └┬─────────┬──────────┬───┘
        0 s       1 s        2 s
█ ▒ chunks in turn   ▓ several
░ less than half   × failed   · idle
";
    assert_eq!(at(40), narrow);
    let page = "\
|x| x < 3 && \"é\".len() > x on p0 · job 3 · 7 chunks on 3 engines · wall 2.41 s
engine ┌─────────────────────────────────────────────────────────────────┐  idle
     0 │████████████████××××××··························░████████████████│  43 %
     1 │█████▓▓█████████████████▓▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒░·····················│  34 %
     2 │·································································│ 100 %
       └┬────────────┬─────────────┬────────────┬─────────────┬──────────┘
        0 s          0.5 s         1.0 s        1.5 s         2.0 s
█ ▒ chunks in turn   ▓ several   ░ less than half   × failed   · idle
";
    assert_eq!(at(80), page);
    let wide = at(200);
    let line = |number: usize| wide.lines().nth(number).expect("a line");
    let blocks = |block: &str| block.repeat(45);
    // Short chunks have columns of their own where there are enough.
    assert!(line(2).contains(&format!("{}×××", blocks("█"))), "{wide}");
    assert!(line(3).contains("█▓▒▓█"), "{wide}");
    assert!(line(6).ends_with("2.2 s      2.4 s"), "{wide}");
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let mut timeline = samples::timeline();
    timeline.what = "漢字 👩‍👩‍👧‍👦\n".repeat(50);
    for cut in [false, true] {
        timeline.cut = cut;
        for width in 40..230 {
            let shown = chart(&timeline, &Style::plain(width));
            assert!(
                shown
                    .lines()
                    .all(|line| text::width(line) <= width || line.starts_with("note")),
                "{width}\n{shown}"
            );
            let ascii = Style {
                unicode: false,
                ..Style::plain(width)
            };
            timeline.what = "f".to_owned();
            assert!(chart(&timeline, &ascii).is_ascii());
        }
    }
}

#[test]
fn odd_timelines_do_not_break_it() {
    let mut timeline = samples::timeline();
    for chunk in &mut timeline.chunks {
        // Began and ended at once, at the very end.
        chunk.began = timeline.wall;
        chunk.ended = timeline.wall;
    }
    let shown = chart(&timeline, &Style::plain(40));
    assert!(
        shown.contains("     0 │························×│ 100 %\n"),
        "{shown}"
    );
    timeline.chunks.clear();
    timeline.wall = Duration::ZERO;
    let shown = chart(&timeline, &Style::plain(40));
    assert!(
        shown.contains("     2 │·························│   0 %\n"),
        "{shown}"
    );
    assert!(shown.contains("\n        0 ns\n"), "{shown}");
    timeline.engines = 0;
    assert!(svg(&timeline).ends_with("</svg>\n"));
    assert!(chart(&timeline, &Style::plain(40)).contains("└┬──"));
}

#[test]
fn what_overlaps_counts_once_and_targets_keep_their_ranks() {
    let mut timeline = samples::timeline();
    let chunk = timeline.chunks[0];
    timeline.chunks = vec![chunk, chunk];
    timeline.chunks[0].rank = Rank(7);
    timeline.chunks[1].rank = Rank(7);
    timeline.engines = 2;
    timeline.wall = Duration::from_millis(1180);
    let shown = chart(&timeline, &Style::plain(40));
    assert!(shown.contains("     7 │"), "{shown}");
    assert!(shown.contains("│  50 %\n"), "{shown}");
    assert!(!shown.contains("     0 │"), "{shown}");
}

#[test]
fn only_failures_are_coloured() {
    crossterm::style::force_color_output(true);
    let style = Style {
        colour: true,
        ..Style::plain(40)
    };
    let shown = chart(&samples::timeline(), &style);
    assert!(
        shown.contains("│██████\u{1b}[38;5;9m\u{1b}[1m×××\u{1b}["),
        "{shown:?}"
    );
    assert!(!at(40).contains('\u{1b}'));
}

#[test]
fn of_a_timeline_with_gaps_idle_shares_are_not_told() {
    let mut timeline = samples::timeline();
    timeline.cut = true;
    let shown = chart(&timeline, &Style::plain(60));
    assert!(
        shown.contains("7 chunks (more ran) on 3 engines"),
        "{shown}"
    );
    assert!(shown.contains("\nnote: more chunks ran"), "{shown}");
    assert!(!shown.contains('%'), "{shown}");
    assert!(!svg(&timeline).contains("% idle"));
}

/// The tags and texts of a well-formed document; panics at what no XML parser would take.
fn parse(xml: &str) -> Vec<&str> {
    let mut open = Vec::new();
    let mut texts = Vec::new();
    let mut rest = xml.trim_end();
    while let Some((text, tag)) = rest.split_once('<') {
        assert!(!text.contains('>'), "{text}");
        for (at, _) in text.match_indices('&') {
            let entity = text[at..].split_inclusive(';').next();
            assert!(
                matches!(entity, Some("&amp;" | "&lt;" | "&gt;" | "&quot;")),
                "{text}"
            );
        }
        assert!(
            !text.contains(|c: char| c.is_control() && c != '\n'),
            "{text:?}"
        );
        if !text.trim().is_empty() {
            texts.push(text);
        }
        let (tag, after) = tag.split_once('>').expect("a tag ends");
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
        } else if !tag.ends_with('/') {
            open.push(tag.split(' ').next().expect("a name"));
        }
        rest = after;
    }
    assert!(open.is_empty() && rest.is_empty());
    texts
}

#[test]
fn the_picture_is_well_formed_and_names_everything() {
    let mut timeline = samples::timeline();
    timeline.what.push_str(" </text>\u{1}\u{1b}");
    let picture = svg(&timeline);
    let texts = parse(&picture);
    for text in [
        "engine 2",
        "43 % idle",
        "2.0 s",
        "items 32 to 39 on engine 0\nsent at 0.600 s, began at 0.602 s\nran 0.198 s\nfailed",
    ] {
        assert!(texts.contains(&text), "{text}\n{texts:#?}");
    }
    assert!(texts[1].starts_with("|x| x &lt; 3 &amp;&amp; &quot;é&quot;.len() &gt; x"));
    assert_eq!(picture.matches("<title>").count(), 7);
    assert_eq!(picture.matches("class=\"failed\"").count(), 1);
    assert!(!picture.contains("NaN"));
    timeline.what = "long ".repeat(100);
    assert!(parse(&svg(&timeline))[1].starts_with("long long"));
    assert!(parse(&svg(&timeline))[1].chars().count() < 130);
}

#[test]
fn the_trace_has_a_thread_per_engine_and_an_event_per_chunk() {
    let text = trace(&samples::timeline());
    let trace: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("events");
    let named = |name: &str| events.iter().filter(|event| event["name"] == name).count();
    assert_eq!(named("process_name"), 1);
    assert_eq!(named("thread_name"), 3);
    let chunks: Vec<_> = events.iter().filter(|event| event["ph"] == "X").collect();
    assert_eq!(chunks.len(), 7);
    let failed = chunks.iter().find(|event| event["args"]["failed"] == true);
    let expected = serde_json::json!({
        "ph": "X", "name": "items 32 to 39", "cat": "chunk,failed", "pid": 1, "tid": 1,
        "ts": 602_000.0, "dur": 198_000.0,
        "args": { "first": 32, "items": 8, "sent": 600_000.0, "failed": true },
    });
    assert_eq!(failed, Some(&&expected));
}
