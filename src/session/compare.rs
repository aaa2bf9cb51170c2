//! `%compare`: the same map on several pools, in one cell, and what came of it side by side.

use std::time::Duration;

use super::crew::Hold;
use super::map::{MapRequest, refused_on_threads};
use super::written::Written;
use super::{Code, Failed, Session};
use crate::outcome::{
    Compare, CompareRow, ErrorKind, Event, MapReport, PoolKind, Report, Sink, Spent,
};
use crate::wire::Payload;

/// A pool's kind and size; none for [`SERIAL`].
type Kind = (PoolKind, u32);

/// The pool that is none: one item after the other in the local engine.
const SERIAL: &str = "serial";

impl Session {
    /// Runs the same map on several pools, named, or `serial` for the local engine alone.
    pub fn compare(
        &mut self,
        pools: &[String],
        request: &MapRequest,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let mut kinds: Vec<Option<Kind>> = Vec::new();
        for name in pools {
            kinds.push(if name == SERIAL {
                None
            } else {
                let pool = self.pool_named(Some(name))?.clone();
                self.revive(&pool.name, &pool.all_ranks(), sink);
                Some((pool.kind, pool.size))
            });
        }
        if kinds
            .iter()
            .any(|kind| !matches!(kind, Some((PoolKind::Processes, _))))
        {
            refused_on_threads(&request.options)?;
        }
        let (code, options) = self.compared(pools, &kinds, request)?;
        let hold = Hold {
            reports: true,
            ..Hold::default()
        };
        let (produced, ran) = self.run(&code, options, hold, sink);
        ran.map_err(|failed| self.explained(failed, request))?;
        let told: Vec<(bool, u64)> = produced
            .sent
            .first()
            .and_then(|value| postcard::from_bytes(value.inline()).ok())
            .ok_or_else(|| Report::new(ErrorKind::System, "the comparison did not come back"))?;
        let mut reports = produced.reports.into_iter();
        let mut rows: Vec<CompareRow> = pools
            .iter()
            .zip(kinds)
            .zip(told)
            .map(|((name, kind), (same, wall))| {
                let report = kind.and_then(|_| reports.next());
                row(name, kind, same, Duration::from_nanos(wall), report)
            })
            .collect();
        let items = rows.iter().map(|row| row.items).max().unwrap_or_default();
        for row in rows.iter_mut().filter(|row| row.kind.is_none()) {
            row.items = items;
        }
        let words: Vec<&str> = request.function.split_whitespace().collect();
        sink.send(Event::Compare(Compare {
            function: words.join(" "),
            rows,
        }));
        Ok(())
    }

    /// Code that runs the map on each pool, one after the other, and sends for each whether its results are the first
    /// one's, and its time; and each map's options.
    fn compared(
        &self,
        pools: &[String],
        kinds: &[Option<Kind>],
        request: &MapRequest,
    ) -> Result<(Code, Vec<Payload>), Failed> {
        let mut code = Code::default().generated("let regatta_compared = vec![\n");
        let mut options = Vec::new();
        for (number, (name, kind)) in pools.iter().zip(kinds).enumerate() {
            code = code.generated("regatta_cell::magic::measured(|| ");
            let mut one = request.clone();
            one.options.pool = kind.is_some().then(|| name.clone());
            one.options.quiet = true;
            one.bind = None;
            let alone = (PoolKind::Threads, 1);
            let written = Written {
                place: number.to_string().into(),
                ..self.to_write(&one, kind.unwrap_or(alone).0)
            };
            options.push(written.options()?);
            code = match kind {
                None => {
                    let how = written.asked();
                    let serially = format!("regatta_cell::magic::serially(&{how}, ");
                    let code = written.inputs(code.generated(&serially)).generated(",\n");
                    written.function(code, "").generated(")")
                }
                Some(_) => written.call(code),
            };
            code = code.generated("),\n");
        }
        code = code.generated(
            "];\nregatta_cell::magic::send(&regatta_compared.iter().map(|(bytes, wall)| (*bytes == regatta_compared[0].0, *wall)).collect::<Vec<(bool, u64)>>());\ndrop(regatta_compared);\n",
        );
        Ok((code, options))
    }
}

/// What came of the map on one pool. A report is of a pool alone: the local engine has but the time it took.
fn row(
    name: &str,
    kind: Option<Kind>,
    same: bool,
    wall: Duration,
    report: Option<MapReport>,
) -> CompareRow {
    let spent = match (&report, kind) {
        (Some(report), Some((PoolKind::Processes, _))) => report.spent,
        (report, _) => Spent {
            run: report.as_ref().map_or(wall, |report| report.serial),
            ..Spent::default()
        },
    };
    let items = |report: &MapReport| report.engines.iter().map(|row| row.items).sum();
    CompareRow {
        pool: name.to_owned(),
        kind: kind.map(|(kind, _)| kind),
        engines: kind.map_or(1, |(_, size)| size),
        items: report.as_ref().map_or(0, items),
        wall,
        spent,
        same,
    }
}
