//! `%scaling`: the same map on pools of ever more engines, which are started for the time, one after the other. Its
//! code is the same for each of them, so it is compiled once; how each run is to be goes beside it.

use std::time::Instant;

use regatta_cell::options::{MapOptions, Schedule};

use super::crew::{Hold, cores};
use super::map::{MapRequest, refused_on_threads};
use super::written::Written;
use super::{Code, Failed, Pool, PoolRequest, Session, explain};
use crate::outcome::{
    Doing, ErrorKind, Event, MapReport, Notice, PoolKind, Progress, Report, Scaling, ScalingRow,
    Sink,
};
use crate::pool::Payload;
use crate::pool::Starter;

/// What rustc says of inputs that are there for one map only.
const MOVED: [&str; 2] = ["E0382", "E0507"];

#[derive(Clone, Debug)]
pub struct ScalingRequest {
    pub map: MapRequest,
    pub kind: PoolKind,
    /// How many engines, the fewest first; as suits the machine when empty.
    pub counts: Vec<u32>,
    /// How often each pool runs the map; the best run counts.
    pub repeat: u32,
}

impl Session {
    /// Runs a map on one engine, and on each number of engines that is asked for.
    pub fn scaling(
        &mut self,
        request: &ScalingRequest,
        sink: &mut dyn Sink,
    ) -> Result<Scaling, Failed> {
        if request.kind == PoolKind::Threads {
            refused_on_threads(&request.map.options)?;
        }
        let cores = cores();
        let counts = counts(&request.counts, cores);
        let more: Vec<u32> = counts.iter().copied().filter(|it| *it > cores).collect();
        if !more.is_empty() {
            let engines = more;
            self.notice(Notice::SharedCores { engines, cores }, sink);
        }
        let map = &self.with_values(&request.map, sink)?.into_owned();
        self.refused_arguments(map)?;
        let used = self.current_pool().map(|pool| pool.name.clone());
        let since = Instant::now();
        let mut rows = Vec::new();
        let mut items = 0;
        for (done, engines) in (0..).zip(&counts) {
            sink.send(Event::Progress(Some(Progress {
                what: format!(
                    "on {engines} {}",
                    if *engines == 1 { "engine" } else { "engines" }
                ),
                unit: "pools",
                done,
                total: Some(counts.len() as u64),
                elapsed: since.elapsed(),
            })));
            let reports = self.on_a_pool_of(*engines, request, map, sink);
            if let Some(used) = &used {
                self.crew.use_pool(used);
            }
            let reports = reports?;
            items = reports
                .iter()
                .map(|report| report.done)
                .max()
                .unwrap_or_default();
            if items == 0 {
                sink.send(Event::Progress(None));
                return Err(
                    Report::usage("the map has no items: there is nothing to measure")
                        .hint("`over EXPR` gives some: `over 0..100`")
                        .into(),
                );
            }
            rows.push(ScalingRow {
                engines: *engines,
                walls: reports.iter().map(|report| report.wall).collect(),
            });
        }
        sink.send(Event::Progress(None));
        Ok(Scaling {
            function: one_line(&map.function),
            kind: request.kind,
            items,
            repeat: request.repeat,
            cores,
            rows,
        })
    }

    /// Starts a pool, runs the map there, and stops it again, whatever came of that.
    fn on_a_pool_of(
        &mut self,
        engines: u32,
        request: &ScalingRequest,
        map: &MapRequest,
        sink: &mut dyn Sink,
    ) -> Result<Vec<MapReport>, Failed> {
        let pool = PoolRequest {
            kind: request.kind,
            size: Some(i64::from(engines)),
            name: None,
            init: None,
            items: None,
            starter: Starter::Session,
        };
        let (pool, _) = self.start_pool(pool, sink)?;
        let measured = self.measured(&pool, request, map, sink);
        let stopped = self.stop_pool(Some(&pool.name.0), false, sink);
        let reports = measured?;
        stopped?;
        // What was pressed when the last run was over is meant for all of them.
        if self.interrupt().take() {
            return Err(explain::interrupted(Doing::Measuring).into());
        }
        Ok(reports)
    }

    /// The reports of the map's runs there. Before them each engine has had an item, so that none of them is measured
    /// while it loads code or is given the captured variables.
    fn measured(
        &mut self,
        pool: &Pool,
        request: &ScalingRequest,
        map: &MapRequest,
        sink: &mut dyn Sink,
    ) -> Result<Vec<MapReport>, Failed> {
        let mut map = map.clone();
        map.options.pool = Some(pool.name.0.clone());
        let written = Written {
            place: "regatta_run".into(),
            cloned: true,
            ..self.to_write(&map, pool.kind)
        };
        let code = Code::default()
            .generated("for regatta_run in 0..::regatta_cell::magic::given() { drop(\n");
        let code = written.call(code).generated("); }\n");
        let data = self.runs(&written, pool, request)?;
        let hold = Hold {
            reports: true,
            ..Hold::default()
        };
        let (produced, ran) = self.run(&code, data, hold, sink);
        ran.map_err(|failed| several(self.explained(failed, &map)))?;
        Ok(produced.reports.into_iter().skip(1).collect())
    }

    /// How each run is to be: the first one warms the engines.
    fn runs(
        &self,
        written: &Written<'_>,
        pool: &Pool,
        request: &ScalingRequest,
    ) -> Result<Vec<Payload>, Report> {
        let one = |what: String, options: MapOptions| {
            let map = MapRequest {
                function: what,
                options,
                ..written.request.clone()
            };
            let named = Written {
                request: &map,
                ..written.clone()
            };
            named.options()
        };
        let options = &written.request.options;
        let function = one_line(&written.request.function);
        let each = u64::from(pool.size);
        let warming = MapOptions {
            chunk: Some(1),
            schedule: Schedule::Static,
            take: Some(options.take.map_or(each, |most| most.min(each))),
            ..options.clone()
        };
        let mut runs = vec![one(format!("{function}, first items"), warming)?];
        for run in 1..=request.repeat {
            let what = format!("{function}, run {run} of {}", request.repeat);
            runs.push(one(what, options.clone())?);
        }
        Ok(runs)
    }
}

fn one_line(function: &str) -> String {
    function.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// One engine is always among them, since speedups are over that. Without any wish: the powers of two up to the
/// number of cores, and that.
fn counts(wanted: &[u32], cores: u32) -> Vec<u32> {
    let mut counts = vec![1];
    if wanted.is_empty() {
        counts.extend(
            (1..)
                .map(|power| 1 << power)
                .take_while(|count| *count < cores),
        );
        counts.push(cores.max(2));
    } else {
        counts.extend(wanted);
    }
    counts.sort_unstable();
    counts.dedup();
    counts
}

/// What is said of a map is said of one that runs several times, on pools that are gone.
fn several(mut failed: Failed) -> Failed {
    for report in &mut failed.0 {
        let is_moved = |code: &str| MOVED.contains(&code);
        let hint = match report.kind {
            ErrorKind::Interrupted => {
                "the pools of %scaling are stopped; `--repeat 1` and `--take N` measure less"
            }
            _ if report.code.as_deref().is_some_and(is_moved) => {
                "%scaling runs the map several times, so its inputs must last: `over inputs.clone()`"
            }
            _ => continue,
        };
        report.hint = Some(hint.into());
    }
    failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_engine_is_what_the_others_are_measured_against() {
        assert_eq!(counts(&[4, 2], 2), [1, 2, 4]);
        assert_eq!(counts(&[1], 2), [1]);
        for (cores, wanted) in [
            (1, vec![1, 2]),
            (2, vec![1, 2]),
            (4, vec![1, 2, 4]),
            (6, vec![1, 2, 4, 6]),
        ] {
            assert_eq!(counts(&[], cores), wanted, "{cores} cores");
        }
    }
}
