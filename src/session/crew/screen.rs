//! What is on its way to be shown: tables that wait for their last cells, and lines that are not whole yet.

use std::collections::HashMap;

use regatta_cell::shell::SLOT;

use super::Crew;
use super::prints::Prints;
use crate::ids::{EngineId, PoolName, Rank};
use crate::outcome::{About, Event, JobView, LINES, MapPlan, MapReport, Origin, Sink, Stream};
use crate::session::types::shorten;

#[derive(Debug, Default)]
pub struct Screen {
    /// A finished map's table that waits for its first results.
    report: Option<(About, MapReport)>,
    /// What engines without a cell print, such as the functions of a map.
    pub(super) stray: HashMap<(EngineId, Stream), (About, Prints)>,
    /// The last line that each engine has printed in a map.
    last_lines: HashMap<(PoolName, Rank), String>,
    /// The commands that the map under way runs, by item.
    commands: Vec<String>,
    pub(super) style: ValueStyle,
}

/// How the user wants to see values.
#[derive(Clone, Copy, Debug)]
pub struct ValueStyle {
    /// How many lines of a value are shown.
    pub lines: usize,
    /// Whether its type is shown.
    pub types: bool,
}

impl Default for ValueStyle {
    fn default() -> Self {
        Self {
            lines: LINES,
            types: false,
        }
    }
}

impl Crew {
    /// The items of the next map are these commands, which its live table shows.
    pub fn runs_commands(&mut self, commands: Vec<String>) {
        self.screen.commands = commands;
    }
}

impl Screen {
    pub fn output(
        &mut self,
        about: About,
        origin: Origin,
        stream: Stream,
        text: String,
        sink: &mut dyn Sink,
    ) {
        self.flush(sink);
        sink.send(Event::Output {
            about,
            origin,
            stream,
            text,
        });
    }

    pub fn plan(&mut self, about: About, mut plan: MapPlan, sink: &mut dyn Sink) {
        self.flush(sink);
        plan.input_type = shorten(&plan.input_type);
        plan.output_type = shorten(&plan.output_type);
        sink.send(Event::MapPlan(about, plan));
    }

    /// A map is over; its table waits for its first results.
    pub fn map_done(&mut self, report: Option<(About, MapReport)>, sink: &mut dyn Sink) {
        self.flush(sink);
        self.report = report;
    }

    /// Shows the finished map's table.
    pub fn flush(&mut self, sink: &mut dyn Sink) {
        if let Some((about, report)) = self.report.take() {
            sink.send(Event::Progress(None));
            sink.send(Event::Live(None));
            sink.send(Event::MapFinished(about, report));
        }
    }

    pub fn first_results(&mut self, rank: Rank, texts: &[String]) {
        let report = self.report.iter_mut();
        let rows = report.flat_map(|(_, report)| report.engines.iter_mut());
        for row in rows.filter(|row| row.rank == rank) {
            row.results = texts.to_vec();
        }
    }

    /// Inputs and results of the items from `first` on.
    pub fn item_texts(&mut self, first: u64, texts: &[(String, String)]) {
        let report = self.report.iter_mut();
        for item in report.flat_map(|(_, report)| &mut report.items) {
            let place = item.index.checked_sub(first);
            let place = place.and_then(|place| usize::try_from(place).ok());
            if let Some((input, result)) = place.and_then(|place| texts.get(place)) {
                item.input.clone_from(input);
                item.result.clone_from(result);
            }
        }
    }

    /// A line that an engine has printed in a map.
    pub fn note_line(&mut self, pool: PoolName, rank: Rank, line: &str) {
        self.last_lines.insert((pool, rank), line.to_owned());
    }

    pub fn live(&self, about: About, mut view: JobView, sink: &mut dyn Sink) {
        for engine in &mut view.engines {
            let printed = self.last_lines.get(&(view.pool.clone(), engine.rank));
            if let Some(line) = printed.filter(|_| engine.last_line.is_empty()) {
                engine.last_line.clone_from(line);
            }
            let item = engine.item.and_then(|item| usize::try_from(item).ok());
            if let Some(command) = item.and_then(|item| self.commands.get(item)) {
                let slot = (engine.rank.0 + 1).to_string();
                engine.command = command.replace(SLOT, &slot);
            }
        }
        sink.send(Event::Live(Some((about, view))));
    }
}
