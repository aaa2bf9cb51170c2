//! What is on its way to be shown: tables that wait for their last cells, and lines that are not whole yet.

use std::collections::HashMap;

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
            if let Some(line) = self.last_lines.get(&(view.pool.clone(), engine.rank)) {
                engine.last_line.clone_from(line);
            }
        }
        sink.send(Event::Live(Some((about, view))));
    }
}
