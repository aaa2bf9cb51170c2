//! The table of a job under way: its lines, from successive views of the job. It decides what stands where;
//! `below` decides when, and draws it.

mod stopping;

use std::collections::BTreeMap;
use std::time::Duration;

use super::grid::Grid;
use super::{Style, progress, text, units};
use crate::ids::Rank;
use crate::outcome::{EngineActivity, EngineView, JobState, JobView, Progress};

/// Columns that give way in a narrow terminal, the least useful first.
const GIVE_WAY: &[&str] = &["last line", "memory", "rate", "item", "done"];
/// The same of a job of shell commands: the engine's own memory says nothing of them.
const COMMANDS_GIVE_WAY: &[&str] = &["memory", "rate", "item", "last line", "done"];
/// Cells of the total bar where there is room for it.
const BAR: usize = 20;
const LEAST_BAR: usize = 5;
/// Columns beside the bar's cells: ` ▕` and `▏`.
const BAR_FRAME: usize = 3;
/// What the job does is not cut to less before the bar goes.
const SHORTEST_WHAT: usize = 8;
const LONGEST_WHAT: usize = 40;
/// Lines that the table takes beside its rows: borders and head.
const FRAME: usize = 3;
/// A rate looks back this long, or over this many items where they take longer.
const LOOK_BACK: f64 = 2.0;
const LOOK_BACK_ITEMS: f64 = 5.0;

/// A job under way and how fast its engines are.
pub(crate) struct Live {
    view: JobView,
    rates: BTreeMap<Rank, Rate>,
}

/// Items per second, smoothed.
#[derive(Clone, Copy, Default)]
struct Rate {
    done: u64,
    at: Duration,
    per_second: f64,
}

impl Rate {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn advance(&mut self, done: u64, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        if passed <= 0.0 {
            return;
        }
        // An engine that was replaced may count from 0 again.
        let current = done.saturating_sub(self.done) as f64 / passed;
        let average = done as f64 / now.as_secs_f64();
        let window = (LOOK_BACK_ITEMS / average).max(LOOK_BACK);
        let weight = if self.at.is_zero() || !window.is_finite() {
            1.0
        } else {
            // In the beginning there is nothing to look back at but the average.
            (1.0 - (-passed / window).exp()).max(passed / now.as_secs_f64())
        };
        self.per_second += weight * (current - self.per_second);
        self.done = done;
        self.at = now;
    }
}

impl Live {
    pub(crate) fn new(view: JobView) -> Self {
        let mut live = Self {
            rates: BTreeMap::new(),
            view,
        };
        live.measure();
        live
    }

    /// Takes the next view of the same job, or the first one of another.
    pub(crate) fn update(&mut self, view: JobView) {
        if view.job != self.view.job || view.elapsed < self.view.elapsed {
            self.rates.clear();
        }
        self.view = view;
        self.measure();
    }

    fn measure(&mut self) {
        for engine in &self.view.engines {
            let rate = self.rates.entry(engine.rank).or_default();
            rate.advance(engine.done, self.view.elapsed);
        }
    }

    /// The table, the total and, when the job is to end, what happens next: never wider or higher than the
    /// terminal, and one column short, since a cursor behind the last one makes some terminals wrap.
    pub(crate) fn lines(&self, style: &Style) -> Vec<String> {
        let style = &Style {
            width: style.width.saturating_sub(1),
            ..*style
        };
        let mut below = vec![total(&self.view, style)];
        if let JobState::Stopping { left } = self.view.state {
            below.push(style.warning(&stopping::line(&self.view, left, style)));
        }
        // One row of the screen is left for what was there before.
        let room = style.height.saturating_sub(below.len() + 1);
        let mut lines = self.table(room, style);
        lines.append(&mut below);
        lines
    }

    fn table(&self, room: usize, style: &Style) -> Vec<String> {
        let engines = &self.view.engines;
        let room = room.saturating_sub(FRAME);
        let shown = if engines.len() <= room {
            engines.len()
        } else {
            room.saturating_sub(1)
        };
        if shown == 0 {
            return Vec::new();
        }
        let (rows, rest) = engines.split_at(shown);
        let mut grid = self.grid(rows);
        let give_way = match rows.iter().all(|row| row.command.is_empty()) {
            true => GIVE_WAY,
            false => COMMANDS_GIVE_WAY,
        };
        grid.give_way(give_way, style.width);
        let mut lines: Vec<String> = grid.draw(style).lines().map(str::to_owned).collect();
        // Where even the least doesn't fit, the grid says so in one more line.
        lines.truncate(FRAME + shown);
        if !rest.is_empty() {
            let more = format!("… {} more", units::count(rest.len() as u64));
            lines.push(style.faint(&style.spell(more)));
        }
        lines
    }

    fn grid(&self, rows: &[EngineView]) -> Grid {
        let column = |text: &dyn Fn(&EngineView) -> String| rows.iter().map(text).collect();
        // As wide as they can get, so that the table stands still.
        let widest = self.view.total.map_or(0, |total| units::count(total).len());
        let number = |number: u64| format!("{:>widest$}", units::count(number));
        let mut grid = Grid::default();
        grid.push("engine", true, column(&|row| row.rank.to_string()));
        grid.push(
            "state",
            false,
            column(&|row| format!("{:<8}", activity(&row.activity))),
        );
        grid.push(
            "item",
            true,
            column(&|row| row.item.map_or_else(|| " ".repeat(widest.max(1)), number)),
        );
        grid.push("done", true, column(&|row| number(row.done)));
        grid.push(
            "rate",
            true,
            column(&|row| format!("{:>7}", self.rate(row.rank))),
        );
        grid.push(
            "memory",
            true,
            column(&|row| row.memory.map_or_else(String::new, units::bytes)),
        );
        grid.push("command", false, column(&|row| row.command.clone()));
        grid.push("last line", false, column(&|row| last_line(&row.last_line)));
        grid
    }

    fn rate(&self, rank: Rank) -> String {
        match self.rates.get(&rank) {
            Some(rate) if rate.per_second > 0.005 => {
                units::rate(rate.per_second, "").replace(" /s", "/s")
            }
            _ => String::new(),
        }
    }

    /// The job as a progress line, for where nothing can be redrawn.
    pub(crate) fn progress(view: &JobView) -> Progress {
        Progress {
            what: name(view, LONGEST_WHAT) + ":",
            unit: "items",
            done: view.done,
            total: view.total,
            elapsed: view.elapsed,
        }
    }
}

/// As a terminal would show it: a progress bar returns to the line's beginning.
fn last_line(printed: &str) -> String {
    let line = printed.trim_end();
    line.rsplit('\r').next().unwrap_or(line).to_owned()
}

fn activity(activity: &EngineActivity) -> &'static str {
    match activity {
        EngineActivity::Idle => "idle",
        EngineActivity::Busy => "busy",
        EngineActivity::Starting => "starting",
        EngineActivity::Dead => "dead",
    }
}

/// `job 3 · |x| x * k`
fn name(view: &JobView, room: usize) -> String {
    let what = view.what.split_whitespace().collect::<Vec<_>>().join(" ");
    format!(
        "job {} · {}",
        view.job,
        text::cut(&text::one_line(&what), room)
    )
}

/// `job 3 · fib ▕██████▋   ▏ 4 / 6 items · 12 items/s · 0:03 left`: in a narrow terminal the name is cut, then
/// the bar goes, then the name, then the rate.
fn total(view: &JobView, style: &Style) -> String {
    let mut numbers = progress::numbers(&Live::progress(view));
    let job = format!("job {} ·", view.job);
    if let [done, _, left] = numbers.split(" · ").collect::<Vec<_>>()[..]
        && text::width(&job) + text::width(&numbers) > style.width
    {
        numbers = format!("{done} · {left}");
    }
    let room = style.width.saturating_sub(text::width(&numbers));
    let long = name(view, LONGEST_WHAT);
    let short = name(view, SHORTEST_WHAT);
    let least = text::width(&short) + BAR_FRAME + LEAST_BAR;
    let line = if let Some(total) = view.total.filter(|_| room >= least) {
        let bar = (room - BAR_FRAME)
            .saturating_sub(text::width(&long))
            .clamp(LEAST_BAR, BAR);
        let full = text::bar(view.done.into(), total.into(), bar);
        let rest = " ".repeat(bar - text::width(&full));
        let name = text::cut(&long, room - BAR_FRAME - bar);
        format!("{name} ▕{full}{rest}▏{numbers}")
    } else if room >= text::width(&short) + 2 {
        format!("{} ·{numbers}", text::cut(&long, room - 2))
    } else {
        job + &numbers
    };
    style.spell(text::cut(&line, style.width))
}

/// What is said once, where nothing can be redrawn, when the job begins to stop.
pub(crate) fn stopping_line(view: &JobView, style: &Style) -> Option<String> {
    match view.state {
        JobState::Stopping { left } => Some(stopping::line(view, left, style)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
