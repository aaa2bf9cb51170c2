//! The same map on ever more engines: a table, what the serial fraction says, and the speedups as a chart.

use super::grid::{Grid, no_room};
use super::plot::{Chart, Frame, Ink, Layer, drawn, picture, sign};
use super::{Style, record, text, units};
use crate::outcome::{Scaling, ScalingRow, amdahl};

/// Columns that give way in a narrow terminal, the least useful first.
const GIVE_WAY: &[&str] = &["efficiency", "serial fraction", "wall"];

/// The function is not cut to less.
const SHORTEST: usize = 8;
/// Points of a curve.
const CURVE: u32 = 100;
/// Engines are not faster than they are many, but for what they save and what is measured: up to this it is no
/// reason for a higher chart.
const SLACK: f64 = 1.05;

/// Table, serial fraction and chart.
pub(crate) fn scaling(scaling: &Scaling, style: &Style) -> String {
    let rows = &scaling.rows;
    let column = |text: &dyn Fn(&ScalingRow) -> String| rows.iter().map(text).collect();
    let percent = |share: Option<f64>| share.map_or_else(String::new, percent);
    let mut grid = Grid::default();
    grid.push("engines", true, column(&|row| row.engines.to_string()));
    let wall = |row: &ScalingRow| units::duration_column(row.best());
    grid.push("wall", true, column(&wall));
    let speedup = |row: &ScalingRow| scaling.speedup(row);
    let speedup = |row: &ScalingRow| speedup(row).map_or_else(String::new, |s| format!("{s:.2}"));
    grid.push("speedup", true, column(&speedup));
    let efficiency = |row: &ScalingRow| {
        let share = scaling.efficiency(row);
        share.map_or_else(String::new, |share| format!("{:.0} %", share * 100.0))
    };
    grid.push("efficiency", true, column(&efficiency));
    let serial = |row: &ScalingRow| percent(scaling.serial_fraction_of(row));
    grid.push("serial fraction", true, column(&serial));
    let left_out = grid.give_way(GIVE_WAY, style.width);
    let mut out = title(scaling, style);
    out.push_str(&grid.draw(style));
    out.push_str(&no_room(&left_out, style));
    for line in law(scaling) {
        out.push_str(&style.spell(text::cut(&line, style.width)));
        out.push('\n');
    }
    let lines = Lines::of(scaling);
    if !lines.measured.is_empty() {
        let legend = format!(
            "speedup over engines: {} measured, ⠒⠒ Amdahl's law, ⠐ ⠐ one per engine",
            sign(style.unicode)
        );
        let legend = match style.unicode {
            true => legend,
            false => legend.replace("⠒⠒", "***").replace("⠐ ⠐", "* *"),
        };
        out.push_str(&text::cut(&legend, style.width));
        out.push('\n');
        out.push_str(&drawn(&lines.chart(), style));
    }
    out
}

/// The chart as an SVG picture.
pub fn svg(scaling: &Scaling) -> String {
    let function = text::cut(&text::one_line(&scaling.function), 50);
    let title = format!("{function}: speedup over engines");
    let below = "dots: measured · line: Amdahl's law · dashes: one per engine";
    picture(&Lines::of(scaling).chart(), &title, below)
}

/// `fib · 100 items · threads · best of 3 runs`; the function is cut when it does not fit.
fn title(scaling: &Scaling, style: &Style) -> String {
    let runs = match scaling.repeat {
        1 => "one run".to_owned(),
        repeat => format!("best of {repeat} runs"),
    };
    let rest = format!(
        " · {} · {} · {runs}",
        units::counted(scaling.items, "items"),
        record::kind_name(scaling.kind)
    );
    // What is not measured gives way: the function as it is written, but not all of it.
    let room = style.width.saturating_sub(text::width(&rest)).max(SHORTEST);
    let function = text::cut(&text::one_line(&scaling.function), room);
    style.spell(text::cut(&(function + &rest), style.width)) + "\n"
}

/// What the serial fraction is, where it is from, and what follows from it.
fn law(scaling: &Scaling) -> Vec<String> {
    let Some(serial) = scaling.serial_fraction() else {
        return vec!["the map took no time that could be measured".to_owned()];
    };
    let most = if serial > 0.0 {
        // One engine is always there to take.
        format!("{:.1}", (1.0 / serial).max(1.0))
    } else {
        "∞".to_owned()
    };
    let word = match serial {
        // Shown as it is.
        _ if serial > -0.0005 => "",
        // Up to this it is what times differ from run to run.
        _ if serial > 1.0 - SLACK => " (below 0: noise)",
        _ => " (below 0: more cache)",
    };
    // No law has a share of the work that is more than all of it.
    let mut lines = vec![if serial > 1.0 {
        "more engines make it slower: handing out and collecting costs more than is saved"
            .to_owned()
    } else {
        format!(
            "serial fraction {}{word} by Amdahl's law: speedup {most} at most",
            percent(serial)
        )
    }];
    let beside_one = scaling.rows.iter().filter(|row| row.engines > 1);
    let left_out = beside_one.count() - scaling.fitted_rows().count();
    if left_out > 0 {
        let rows = if left_out == 1 { "row" } else { "rows" };
        lines.push(format!(
            "fitted without the {rows} of more engines than the {} cores",
            scaling.cores
        ));
    }
    lines
}

/// A share of the work: none is less than nothing, whatever was measured.
fn percent(share: f64) -> String {
    format!("{:.1} %", share.max(0.0) * 100.0)
}

/// What the chart shows.
struct Lines {
    /// From one engine to the most of them, and from no speedup to the highest.
    frame: ((f64, f64), (f64, f64)),
    counts: Vec<(f64, String)>,
    measured: Vec<(f64, f64)>,
    /// By Amdahl's law with the fitted serial fraction.
    law: Vec<(f64, f64)>,
    /// As many times as fast as there are engines.
    ideal: Vec<(f64, f64)>,
}

impl Lines {
    fn of(scaling: &Scaling) -> Self {
        let most = scaling.rows.iter().map(|row| row.engines).max();
        let most = f64::from(most.unwrap_or(1));
        let speedups = scaling.rows.iter().filter_map(|row| scaling.speedup(row));
        let fastest = speedups.fold(0.0, f64::max);
        let highest = if fastest > most * SLACK {
            fastest
        } else {
            most
        };
        let measured = scaling.rows.iter().filter_map(|row| {
            let speedup = scaling.speedup(row)?.min(highest);
            Some((f64::from(row.engines), speedup))
        });
        let curve = (0..=CURVE).map(|at| 1.0 + (most - 1.0) * f64::from(at) / f64::from(CURVE));
        let law = |serial: f64| {
            let at = |engines| (engines, amdahl(serial.max(0.0), engines));
            let drawn = |point: &(f64, f64)| (0.0..=highest).contains(&point.1);
            curve.map(at).filter(drawn).collect()
        };
        let count = |row: &ScalingRow| (f64::from(row.engines), row.engines.to_string());
        Self {
            frame: ((1.0, most), (0.0, highest)),
            counts: scaling.rows.iter().map(count).collect(),
            measured: measured.collect(),
            law: scaling.serial_fraction().map_or_else(Vec::new, law),
            ideal: vec![(1.0, 1.0), (most, most)],
        }
    }

    fn chart(&self) -> Chart<'_> {
        let layer = |points, ink| Layer { points, ink };
        let (x, y) = self.frame;
        Chart {
            frame: Frame { x, y },
            below: self.counts.clone(),
            layers: vec![
                layer(&self.ideal, Ink::Dashes),
                layer(&self.law, Ink::Line),
                layer(&self.measured, Ink::Signs),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn table_law_and_chart_fit_a_page() {
        let shown = scaling(&samples::scaling(), &Style::plain(66));
        let wanted = "\
fib · 100 items · threads · best of 2 runs
┌─────────┬─────────┬─────────┬────────────┬─────────────────┐
│ engines │    wall │ speedup │ efficiency │ serial fraction │
│       1 │  1.20 s │    1.00 │      100 % │                 │
│       2 │ 0.630 s │    1.90 │       95 % │           5.0 % │
│       4 │ 0.620 s │    1.94 │       48 % │          35.6 % │
└─────────┴─────────┴─────────┴────────────┴─────────────────┘
serial fraction 5.0 % by Amdahl's law: speedup 20.0 at most
fitted without the row of more engines than the 2 cores
speedup over engines: ● measured, ⠒⠒ Amdahl's law, ⠐ ⠐ one per en…
";
        assert!(shown.starts_with(wanted), "{shown}");
        let chart: Vec<&str> = shown.lines().skip(wanted.lines().count()).collect();
        assert_eq!(chart.len(), 17, "{shown}");
        assert!(chart.iter().all(|line| text::width(line) <= 66), "{shown}");
        let marks = |line: &&&str| line.contains('●');
        assert_eq!(chart.iter().filter(marks).count(), 2, "{shown}");
        assert!(
            chart[0].starts_with("4 ┤") && chart[14].starts_with("0 ┤"),
            "{shown}"
        );
        assert!(
            chart[16].trim_start().starts_with("1  ") && chart[16].ends_with('4'),
            "{shown}"
        );
    }

    #[test]
    fn narrow_terminals_keep_the_speedup() {
        let shown = scaling(&samples::scaling(), &Style::plain(34));
        assert!(shown.contains("│ engines │    wall │ speedup │"), "{shown}");
        assert!(
            shown.contains("no room for efficiency,\nserial fraction"),
            "{shown}"
        );
    }

    #[test]
    fn odd_times_are_drawn_or_told() {
        let mut odd = samples::scaling();
        odd.cores = 64;
        for (wall, says) in [
            (0, "the map took no time that could be measured\n"),
            // Faster than the engines are many.
            (1, "serial fraction 0.0 % (below 0: more cache)"),
            (u64::MAX / 1_000_000, "serial fraction"),
        ] {
            odd.rows[1].walls = vec![std::time::Duration::from_millis(wall)];
            if wall == 0 {
                odd.rows[0].walls = odd.rows[1].walls.clone();
                odd.rows[2].walls = odd.rows[1].walls.clone();
            } else {
                odd.rows[0].walls = samples::scaling().rows[0].walls.clone();
                odd.rows[2].walls = odd.rows[1].walls.clone();
            }
            let ascii = Style {
                unicode: false,
                ..Style::plain(80)
            };
            let shown = scaling(&odd, &Style::plain(80));
            assert!(shown.contains(says), "{shown}");
            assert!(wall == 1 || scaling(&odd, &ascii).is_ascii(), "{shown}");
            assert!(svg(&odd).ends_with("</svg>\n"));
        }
    }

    #[test]
    fn a_serial_fraction_is_never_less_than_nothing() {
        for (millis, says) in [
            (
                595,
                "serial fraction 0.0 % (below 0: noise) by Amdahl's law: speedup ∞ at most\n",
            ),
            (400, "0.0 % (below 0: more cache) by"),
            (600, "serial fraction 0.0 % by Amdahl's law"),
        ] {
            let mut fast = samples::scaling();
            fast.rows.truncate(2);
            fast.rows[1].walls = vec![std::time::Duration::from_millis(millis)];
            let shown = scaling(&fast, &Style::plain(100));
            assert!(shown.contains(says), "{shown}");
            assert!(!shown.contains("-0.") && !shown.contains("-1"), "{shown}");
        }
    }

    #[test]
    fn sharing_that_does_not_pay_is_told() {
        let mut slower = samples::scaling();
        slower.rows[1].walls = vec![slower.rows[0].best() * 2];
        let shown = scaling(&slower, &Style::plain(100));
        assert!(shown.contains("\nmore engines make it slower: "), "{shown}");
        assert!(!shown.contains("at most"), "{shown}");
        let narrow = scaling(&slower, &Style::plain(80));
        assert!(narrow.contains("than is saved\n"), "{narrow}");
        assert!(!scaling(&samples::scaling(), &Style::plain(100)).contains("slower"));
    }

    #[test]
    fn the_picture_has_what_the_chart_has() {
        let picture = svg(&samples::scaling());
        assert_eq!(picture.matches("<circle").count(), 3, "{picture}");
        assert_eq!(picture.matches("<polyline").count(), 2, "{picture}");
        for text in [
            ">1</text>",
            ">2</text>",
            ">4</text>",
            "fib: speedup over engines",
        ] {
            assert!(picture.contains(text), "{text}\n{picture}");
        }
    }
}
