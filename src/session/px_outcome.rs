//! What a `%px` came to: the engines' account is settled, and each engine has a row.

use std::sync::Arc;

use super::comm::Ran;
use super::crew::{Ended, Flight, Flown, Leg};
use super::explain;
use super::places::panic_place;
use super::px::{Plan, Planned};
use super::px_out::Values;
use super::{Failed, Session};
use crate::ids::{EngineId, Rank};
use crate::outcome::{About, CommTrouble, EngineOutcome, Event, Notice, PxReport, PxRow, Sink};
use crate::pool::Payload;

/// What a flight of a `%px` came to.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub report: PxReport,
    /// Ranks on which the cell has to run again, without variables that were in its way.
    pub again: Vec<Rank>,
    /// What each target has sent.
    pub sent: Vec<(Rank, Vec<Payload>)>,
    pub out_types: Vec<String>,
    pub ran: Ran,
    /// In this order the targets were named.
    order: Vec<Rank>,
}

impl Outcome {
    /// What `-o` binds. What an engine has sent before it failed does not count.
    pub fn values(&mut self) -> Values {
        let mut came = Vec::new();
        let mut sent = Vec::new();
        for row in &self.report.engines {
            let place = self.sent.iter().position(|(rank, _)| *rank == row.rank);
            let of_row = place.map(|place| self.sent.swap_remove(place).1);
            let of_row = of_row.unwrap_or_default();
            let ok = row.outcome.is_ok();
            came.push((row.rank, ok));
            if ok {
                sent.extend(of_row);
            } else {
                of_row.iter().for_each(Payload::release);
            }
        }
        Values {
            kinds: std::mem::take(&mut self.out_types),
            came,
            sent,
        }
    }

    /// Takes in what came of other engines before.
    fn join(&mut self, earlier: Self) {
        self.order = earlier.order;
        self.report.engines.extend(earlier.report.engines);
        self.sent.extend(earlier.sent);
        for kind in earlier.out_types {
            if !self.out_types.contains(&kind) {
                self.out_types.push(kind);
            }
        }
    }

    fn sort(&mut self) {
        let order = &self.order;
        let place = |rank: Rank| order.iter().position(|other| *other == rank);
        self.report.engines.sort_by_key(|row| place(row.rank));
        self.sent.sort_by_key(|(rank, _)| place(*rank));
    }
}

impl Session {
    /// Settles the account of a flight that was followed.
    pub(super) fn settle_flown(
        &mut self,
        flown: Flown,
        plan: Plan,
        sink: &mut dyn Sink,
    ) -> Result<Outcome, Failed> {
        self.replace(&flown.killed, sink);
        self.settle_px(flown.flight, plan, flown.interrupted, sink)
    }

    /// Keeps account of what the engines have now; what they came to.
    pub(super) fn settle_px(
        &mut self,
        flight: Flight,
        plan: Plan,
        interrupted: bool,
        sink: &mut dyn Sink,
    ) -> Result<Outcome, Failed> {
        let Plan {
            asked,
            engines,
            mut skipped,
            out_types,
        } = plan;
        let mut sent = Vec::new();
        let mut rows = Vec::new();
        let mut again = Vec::new();
        let troubles = super::comm::troubles(&flight.comm);
        let stopped = flight.stopped;
        let mut ran = Ran::new(flight.began);
        for (engine, mut leg) in flight.legs {
            let Some(planned) = engines.get(&engine) else {
                continue;
            };
            let rank = planned.rank;
            if let Some(Ended::ChangedTypes(names)) = &leg.ended {
                let settled = self.forget(&planned.before, names.clone(), sink)?;
                self.crew.has_now(engine, settled);
                let redefined = Notice::RedefinedOn {
                    ranks: vec![rank],
                    names: names.clone(),
                };
                sink.send(Event::Notice(About::cell(asked.cell), redefined));
                again.push(rank);
                continue;
            }
            self.settle_engine(engine, planned, &leg, About::cell(asked.cell), sink)?;
            ran.note(rank, &leg);
            sent.push((rank, std::mem::take(&mut leg.sent)));
            let lost = self.crew.lost_there(engine);
            let mut row = row(rank, leg, lost, interrupted, &troubles);
            if stopped.contains(&engine) && !row.outcome.is_ok() {
                row.outcome = EngineOutcome::Interrupted;
            }
            rows.push(row);
        }
        rows.append(&mut skipped);
        let report = PxReport {
            cell: asked.cell,
            pool: asked.pool,
            engines: rows,
            group: asked.options.group_outputs,
            verbose: asked.options.verbose,
        };
        let mut outcome = Outcome {
            report,
            again,
            sent,
            out_types,
            ran,
            order: asked.ranks,
        };
        if let Some(done) = asked.done {
            outcome.join(Arc::unwrap_or_clone(done));
        }
        outcome.sort();
        Ok(outcome)
    }

    fn settle_engine(
        &mut self,
        engine: EngineId,
        planned: &Planned,
        leg: &Leg,
        about: About,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        // An engine that was stopped meanwhile has no namespace any more.
        if self.crew.place(engine).is_none() {
            return Ok(());
        }
        let Planned {
            rank,
            before,
            after,
            ..
        } = planned;
        if leg.ended == Some(Ended::Returned) {
            self.crew.note_moved(before, after);
        }
        let names = self.settle(engine, before, after, leg, sink)?;
        if !names.is_empty() {
            let rank = *rank;
            sink.send(Event::Notice(about, Notice::Lost { rank, names }));
        }
        Ok(())
    }
}

/// What an engine's leg of the cell came to.
pub(super) fn row(
    rank: Rank,
    leg: Leg,
    lost: &[String],
    interrupted: bool,
    troubles: &[CommTrouble],
) -> PxRow {
    let trouble = troubles.iter().find(|it| it.ranks().contains(&rank));
    let outcome = match leg.ended {
        Some(Ended::Panicked(_)) if trouble.is_some() => {
            let trouble = trouble.cloned().map(Box::new);
            trouble.map_or(EngineOutcome::Interrupted, EngineOutcome::Comm)
        }
        None | Some(Ended::Returned) => EngineOutcome::Done(leg.value),
        Some(Ended::Panicked(panic) | Ended::PanickedAtEnd(panic)) => {
            let place = panic_place(&panic);
            EngineOutcome::Panicked {
                message: panic.message,
                place,
            }
        }
        Some(Ended::NothingToReduce) => EngineOutcome::Panicked {
            message: explain::nothing_to_reduce().to_string(),
            place: None,
        },
        Some(Ended::Errored(message)) => EngineOutcome::Errored { message },
        Some(Ended::Died(_)) if interrupted => EngineOutcome::Interrupted,
        Some(Ended::Died(cause)) => EngineOutcome::Died {
            cause,
            lost: lost.to_vec(),
        },
        Some(Ended::NotLoaded(why)) => EngineOutcome::Skipped { why },
        Some(Ended::ChangedTypes(names)) => EngineOutcome::Skipped {
            why: format!("lost {}", names.join(", ")),
        },
    };
    PxRow {
        rank,
        outcome,
        busy: leg.busy,
        output: leg.held,
    }
}
