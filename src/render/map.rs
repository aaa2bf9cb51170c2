//! A map's plan and report. Every number comes from the report; a speedup names what it is measured against.

use std::time::Duration;

use super::grid::Grid;
use super::{Style, items, text, units};
use crate::outcome::{CaptureSize, Lookups, MapPlan, MapReport, MapRow, PoolKind, Schedule};

/// Cells of a full bar: the busiest engine's.
const BAR: usize = 5;
/// The function's text is not cut to less, whatever the width.
const SHORTEST_FUNCTION: usize = 16;
/// Below this the results column is left out: it would show nothing but dots.
const NARROWEST_RESULTS: usize = 8;
const HITS: &str = "hits";
/// Columns of borders and padding that one more column costs.
const COLUMN_COST: usize = 3;

/// `fib: u64 → u64 · 6 items in 6 chunks on p0 (2 engines) · static schedule`, and what travels with the function.
pub(crate) fn plan(plan: &MapPlan, style: &Style) -> String {
    let items = match plan.items {
        Some(items) => units::counted(items, "items"),
        None => "items as they come".to_owned(),
    };
    let work = match plan.chunks {
        Some(chunks) if plan.items.is_some() => {
            format!("{items} in {}", units::counted(chunks, "chunks"))
        }
        Some(chunks) => format!("{items}, {},", units::counted(chunks, "chunks")),
        None => format!("{items}, chunks adapt,"),
    };
    let noun = match plan.kind {
        PoolKind::Threads => "threads",
        PoolKind::Processes => "engines",
    };
    let engines = units::counted(plan.engines.into(), noun);
    let arrow = if style.unicode { "→" } else { "->" };
    let (input, output) = (&plan.input_type, &plan.output_type);
    let dot = style.spell("·".to_owned());
    let schedule = match plan.schedule {
        Schedule::Dynamic => String::new(),
        Schedule::Static => format!(" {dot} static schedule"),
        Schedule::Guided => format!(" {dot} guided schedule"),
    };
    let rest = format!(
        ": {input} {arrow} {output} {dot} {work} on {} ({engines}){schedule}",
        plan.pool
    );
    let room = style.width.saturating_sub(text::width(&rest));
    let function = plan
        .function
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let function = text::cut(&function, room.max(SHORTEST_FUNCTION));
    let mut line = if style.unicode {
        function + &rest
    } else {
        style.spell(function) + &rest
    };
    let captures = captures(plan, style);
    if !captures.is_empty() {
        let fits = !captures.contains('\n')
            && text::width(&line) + 3 + text::width(&captures) <= style.width;
        line.push_str(&if fits {
            format!(" {dot} ")
        } else {
            "\n".to_owned()
        });
        line.push_str(&captures);
    }
    line.push('\n');
    line
}

/// `captures k: f64 (8 B), table: Vec<f64> (80 MB), once per engine`; on lines of its own when it is long.
fn captures(plan: &MapPlan, style: &Style) -> String {
    let mut parts: Vec<String> = plan
        .captures
        .iter()
        .map(|capture| {
            let CaptureSize {
                name, type_name, ..
            } = capture;
            match plan.kind {
                PoolKind::Threads => format!("{name}: {type_name}"),
                PoolKind::Processes => {
                    format!("{name}: {type_name} ({})", units::bytes(capture.bytes))
                }
            }
        })
        .collect();
    let Some(first) = parts.first_mut() else {
        return String::new();
    };
    first.insert_str(0, "captures ");
    parts.push(
        match plan.kind {
            // Nothing travels: the threads read the session's own values.
            PoolKind::Threads => "borrowed",
            PoolKind::Processes if plan.captures_there => "already there",
            PoolKind::Processes => "once per engine",
        }
        .to_owned(),
    );
    style.spell(text::fold(&parts, ", ", ",", style.width))
}

/// Speedup over one engine doing all the work, and that per engine; `None` when nothing was measured.
pub(crate) fn speedup(report: &MapReport) -> Option<(f64, f64)> {
    let engines = u32::try_from(report.engines.len())
        .ok()
        .filter(|&engines| engines > 0)?;
    let wall = report.wall.as_secs_f64();
    let speedup = report.serial.as_secs_f64() / wall;
    (wall > 0.0).then(|| (speedup, speedup / f64::from(engines)))
}

/// Whether its items called functions whose results are kept.
pub(crate) fn reached_memo(report: &MapReport) -> bool {
    let mut rows = report.engines.iter();
    rows.any(|row| row.lookups != Lookups::default())
}

/// `37 of 40`: the calls that found their result, of all; nothing where there were none.
fn hits(row: &MapRow) -> String {
    let Lookups { hits, misses } = row.lookups;
    match hits + misses {
        0 => String::new(),
        all => format!("{} of {}", units::count(hits), units::count(all)),
    }
}

/// The table per engine, the summary line, and who died.
pub(crate) fn report(report: &MapReport, style: &Style) -> String {
    let mut rows: Vec<&MapRow> = report.engines.iter().collect();
    rows.sort_by_key(|row| row.rank);
    let busiest = rows.iter().map(|row| row.busy).max().unwrap_or_default();
    let column = |text: &dyn Fn(&MapRow) -> String| rows.iter().map(|row| text(row)).collect();
    let mut grid = Grid::default();
    if !rows.is_empty() {
        grid.push("engine", true, column(&|row| row.rank.to_string()));
        grid.push("items", true, column(&|row| units::count(row.items)));
        grid.push("chunks", true, column(&|row| units::count(row.chunks)));
        grid.push("busy", true, column(&|row| units::duration(row.busy)));
        let hits: Vec<String> = column(&hits);
        let widest = hits.iter().map(|hits| text::width(hits)).max();
        let room = grid.width() + COLUMN_COST + widest.unwrap_or(0).max(HITS.len());
        if reached_memo(report) && room <= style.width {
            grid.push(HITS, true, hits);
        }
        if grid.width() + COLUMN_COST + BAR <= style.width {
            grid.push("share", false, column(&|row| bar(row.busy, busiest)));
        }
        let room = style.width.saturating_sub(grid.width() + COLUMN_COST);
        if room >= NARROWEST_RESULTS {
            grid.push("results", false, column(&|row| results(row, room)));
        }
    }
    // The summary is what must not scroll away.
    let mut out = items::items(&report.items, style);
    out.push_str(&grid.draw(style));
    let mut summary = format!(
        "wall {} · serial {}",
        units::duration(report.wall),
        units::duration(report.serial)
    );
    if report.serial < SHORTEST {
        summary.push_str(" · too short to measure a speedup");
    } else if let Some((speedup, efficiency)) = speedup(report) {
        let of = report.engines.len();
        summary.push_str(&format!(" · speedup {speedup:.2} of {of}"));
        summary.push_str(&format!(" · efficiency {:.0} %", efficiency * 100.0));
    }
    out.push_str(&style.spell(summary));
    if report.failed > 0 {
        out.push_str(&style.spell(" · ".to_owned()));
        out.push_str(&style.failure(&failed(report)));
    }
    out.push('\n');
    for deaths in &report.died {
        let head = style.failure(&format!("engine {} died", deaths.rank));
        out.push_str(&format!("{head} ({deaths}) and was replaced\n"));
    }
    out
}

/// `3 of 100 items failed`
fn failed(report: &MapReport) -> String {
    let all = units::counted(report.done, "items");
    format!("{} of {all} failed", units::count(report.failed))
}

/// With less work than this, the way to the engines is all that can be measured.
const SHORTEST: Duration = Duration::from_millis(5);

fn bar(busy: Duration, busiest: Duration) -> String {
    text::bar(busy.as_nanos(), busiest.as_nanos(), BAR)
}

/// As many whole results as fit: a number cut in the middle would be another number.
fn results(row: &MapRow, room: usize) -> String {
    let mut joined = String::new();
    for (index, result) in row.results.iter().enumerate() {
        let with = match index {
            0 => text::one_line(result),
            _ => format!("{joined}, {}", text::one_line(result)),
        };
        let last = index as u64 + 1 >= row.items.max(row.results.len() as u64);
        if text::width(&with) + usize::from(!last) > room {
            return match index {
                0 => text::cut(&with, room),
                _ => more(&joined, room),
            };
        }
        joined = with;
    }
    let complete = row.results.len() as u64 >= row.items;
    if complete || joined.is_empty() {
        joined
    } else {
        more(&joined, room)
    }
}

fn more(joined: &str, room: usize) -> String {
    let comma = if text::width(joined) + 3 <= room {
        ", "
    } else {
        ""
    };
    format!("{joined}{comma}…")
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    const SUMMARY: &str = "wall 0.121 s · serial 0.239 s · speedup 1.97 of 2 · efficiency 98 %\n";

    fn planned(items: Option<u64>, chunks: Option<u64>, kind: PoolKind) -> MapPlan {
        MapPlan {
            items,
            chunks,
            kind,
            ..samples::plan()
        }
    }

    #[test]
    fn a_plan_is_one_line() {
        let style = Style::plain(80);
        let show = |items, chunks, kind| plan(&planned(items, chunks, kind), &style);
        assert_eq!(
            show(Some(6), Some(6), PoolKind::Processes),
            "fib: u64 → u64 · 6 items in 6 chunks on p0 (2 engines)\n"
        );
        assert_eq!(
            show(Some(1), None, PoolKind::Threads),
            "fib: u64 → u64 · 1 item, chunks adapt, on p0 (2 threads)\n"
        );
        assert_eq!(
            show(None, None, PoolKind::Processes),
            "fib: u64 → u64 · items as they come, chunks adapt, on p0 (2 engines)\n"
        );
        let mut long = planned(Some(20_000), Some(8), PoolKind::Threads);
        long.function = "|x| {\n    let y = x * 2;\n    y + 1_000_000\n}".to_owned();
        assert_eq!(
            plan(&long, &style),
            "|x| { let y = x * 2; y …: u64 → u64 · 20,000 items in 8 chunks on p0 (2 threads)\n"
        );
        let ascii = Style {
            unicode: false,
            ..style
        };
        assert_eq!(
            plan(&planned(Some(6), Some(6), PoolKind::Processes), &ascii),
            "fib: u64 -> u64 - 6 items in 6 chunks on p0 (2 engines)\n"
        );
    }

    #[test]
    fn a_plan_names_its_schedule_and_what_travels() {
        let mut plan = planned(Some(6), Some(2), PoolKind::Processes);
        plan.schedule = Schedule::Static;
        let capture = |name: &str, type_name: &str, bytes| CaptureSize {
            name: name.to_owned(),
            type_name: type_name.to_owned(),
            bytes,
        };
        plan.captures = vec![
            capture("k", "f64", 8),
            capture("table", "Vec<f64>", 80_000_000),
        ];
        let show = |plan: &MapPlan, width| super::plan(plan, &Style::plain(width));
        let line = "fib: u64 → u64 · 6 items in 2 chunks on p0 (2 engines) · static schedule";
        let captures = "captures k: f64 (8 B), table: Vec<f64> (80.0 MB), once per engine";
        assert_eq!(show(&plan, 200), format!("{line} · {captures}\n"));
        assert_eq!(show(&plan, 80), format!("{line}\n{captures}\n"));
        let narrow = show(&plan, 40);
        let narrow = narrow.split_once('\n').expect("two lines").1;
        assert_eq!(
            narrow,
            "captures k: f64 (8 B),\ntable: Vec<f64> (80.0 MB),\nonce per engine\n"
        );
        plan.captures_there = true;
        assert!(show(&plan, 200).ends_with("table: Vec<f64> (80.0 MB), already there\n"));
        plan.schedule = Schedule::Guided;
        plan.kind = PoolKind::Threads;
        assert_eq!(
            show(&plan, 200),
            "fib: u64 → u64 · 6 items in 2 chunks on p0 (2 threads) · guided schedule \
             · captures k: f64, table: Vec<f64>, borrowed\n"
        );
    }

    #[test]
    fn failed_items_are_counted_and_items_listed_above() {
        let mut map = samples::map();
        map.failed = 3;
        map.items = samples::items(2);
        let shown = report(&map, &Style::plain(120));
        let summary = SUMMARY.trim_end();
        assert!(
            shown.ends_with(&format!("{summary} · 3 of 6 items failed\n")),
            "{shown}"
        );
        assert!(shown.starts_with("┌──────┬───────┬"), "{shown}");
        assert!(shown.contains("\n│ item │ input │"), "{shown}");
    }

    #[test]
    fn a_report_fills_the_width_it_has() {
        let wide = "\
┌────────┬───────┬────────┬─────────┬───────┬─────────────────────────────┐
│ engine │ items │ chunks │    busy │ share │ results                     │
│      0 │     3 │      3 │ 0.120 s │ █████ │ 39088169, 9227465, 5702887  │
│      1 │     3 │      3 │ 0.119 s │ ████▉ │ 24157817, 14930352, 3524578 │
└────────┴───────┴────────┴─────────┴───────┴─────────────────────────────┘
";
        let page = "\
┌────────┬───────┬────────┬─────────┬───────┬────────────────────┐
│ engine │ items │ chunks │    busy │ share │ results            │
│      0 │     3 │      3 │ 0.120 s │ █████ │ 39088169, 9227465… │
│      1 │     3 │      3 │ 0.119 s │ ████▉ │ 24157817, …        │
└────────┴───────┴────────┴─────────┴───────┴────────────────────┘
";
        let narrow = "\
┌────────┬───────┬────────┬─────────┐
│ engine │ items │ chunks │    busy │
│      0 │     3 │      3 │ 0.120 s │
│      1 │     3 │      3 │ 0.119 s │
└────────┴───────┴────────┴─────────┘
";
        for (width, table) in [(200, wide), (80, wide), (66, page), (40, narrow)] {
            let shown = report(&samples::map(), &Style::plain(width));
            assert_eq!(shown, format!("{table}{SUMMARY}"), "{width}");
        }
    }

    #[test]
    fn calls_that_found_what_was_kept_are_counted_beside_the_items() {
        let mut map = samples::map();
        map.engines[0].lookups = Lookups {
            hits: 12_000,
            misses: 340,
        };
        let page = "\
┌────────┬───────┬────────┬─────────┬──────────────────┬───────┬─────────────┐
│ engine │ items │ chunks │    busy │             hits │ share │ results     │
│      0 │     3 │      3 │ 0.120 s │ 12,000 of 12,340 │ █████ │ 39088169, … │
│      1 │     3 │      3 │ 0.119 s │                  │ ████▉ │ 24157817, … │
└────────┴───────┴────────┴─────────┴──────────────────┴───────┴─────────────┘
";
        assert_eq!(report(&map, &Style::plain(80)), format!("{page}{SUMMARY}"));
        map.engines[1].lookups.misses = 3;
        let shown = report(&map, &Style::plain(60));
        assert!(shown.contains(" hits │\n"), "{shown}");
        assert!(shown.contains(" 0 of 3 │\n"), "{shown}");
        let narrow = report(&map, &Style::plain(40));
        assert_eq!(narrow, report(&samples::map(), &Style::plain(40)));
    }

    #[test]
    fn the_dead_are_named_and_results_without_debug_hidden() {
        let mut map = samples::map();
        map.died.push(samples::killed(1));
        for row in &mut map.engines {
            row.results.clear();
        }
        let shown = report(&map, &Style::plain(80));
        assert!(!shown.contains("results"));
        assert!(shown.ends_with("\nengine 1 died (killed by SIGKILL) and was replaced\n"));
    }

    #[test]
    fn nothing_measured_is_no_speedup() {
        let mut map = samples::map();
        map.engines.clear();
        map.wall = Duration::ZERO;
        assert_eq!(
            report(&map, &Style::plain(80)),
            "wall 0 ns · serial 0.239 s\n"
        );
    }

    #[test]
    fn no_number_is_cut_in_the_middle() {
        let mut row = samples::map().engines.remove(0);
        row.items = 1000;
        assert_eq!(results(&row, 80), "39088169, 9227465, 5702887, …");
        assert_eq!(results(&row, 27), "39088169, 9227465, 5702887…");
        assert_eq!(results(&row, 6), "39088…");
    }
}
