//! `%px`: code on every engine of the pool in use. The options are ipyparallel's.

use std::time::Duration;

use clap::Args;

use super::values::{OnTargets, seconds, variable};
use super::{Call, Example, Magic, Takes};
use crate::ids::PoolName;
use crate::outcome::{GroupOutputs, Report, Sink};
use crate::pool::Signal;
use crate::session::{Done, Failed, OnInterrupt, PxOptions, Session};

/// runs code on every engine of the pool in use
#[derive(Args)]
pub struct Px {
    #[command(flatten)]
    pub(super) px: PxArgs,
}

/// The options that `%px`, `%autopx` and `%pxconfig` share.
#[derive(Args)]
pub struct PxArgs {
    #[command(flatten)]
    on: OnTargets,
    /// wait for the engines (the default)
    #[arg(short, long, overrides_with = "noblock")]
    block: bool,
    /// do not wait; %jobs lists it, %pxresult shows the results, `-o` binds them (of threads: `%result`)
    #[arg(short = 'a', long, overrides_with = "block")]
    noblock: bool,
    /// show output while it is printed (the default)
    #[arg(long, overrides_with = "no_stream")]
    stream: bool,
    /// show output when all engines are done
    #[arg(long, overrides_with = "stream")]
    no_stream: bool,
    /// also show types and times
    #[arg(long, overrides_with = "no_verbose")]
    verbose: bool,
    /// show values only (the default)
    #[arg(long, overrides_with = "verbose")]
    no_verbose: bool,
    /// show progress after this many seconds (5); -1: none
    #[arg(long, value_name = "SECS", allow_hyphen_values = true, value_parser = patience)]
    progress_after: Option<Patience>,
    /// what Ctrl-C sends to the engines, a name or a number (SIGINT); 0.3 s later they are killed; 0: nothing,
    /// they go on as a job
    #[arg(long, value_name = "SIGNAL", value_parser = on_interrupt)]
    signal_on_interrupt: Option<OnInterrupt>,
    #[command(flatten)]
    outputs: OutputArgs,
    /// run the code in the local engine too
    #[arg(long)]
    local: bool,
    /// the pool; the one in use without it. `%px_NAME` says the same
    #[arg(short, long, value_name = "NAME")]
    pool: Option<PoolName>,
}

/// How results are shown and bound: also of `%pxresult`.
#[derive(Args)]
pub struct OutputArgs {
    /// outputs in the order of arrival
    #[arg(short = 'r')]
    order: bool,
    /// outputs engine by engine
    #[arg(short)]
    engine: bool,
    /// how outputs are grouped
    #[arg(long, value_name = "HOW")]
    group_outputs: Option<GroupOutputs>,
    /// bind the results, one per target, to this variable; `none`: bind nothing
    #[arg(short, long, value_name = "NAME", value_parser = out)]
    pub out: Option<Out>,
}

/// `None`: for ever.
type Patience = Option<Duration>;

/// `None`: nothing is bound.
type Out = Option<String>;

fn patience(text: &str) -> Result<Patience, Report> {
    match text {
        "-1" => Ok(None),
        text => seconds("--progress-after", text).map(Some),
    }
}

fn out(text: &str) -> Result<Out, Report> {
    match text {
        "none" => Ok(None),
        name => variable(name).map(Some),
    }
}

/// Reads what Ctrl-C is to do: `SIGTERM`, `TERM`, `15`, or `0` for nothing.
fn on_interrupt(text: &str) -> Result<OnInterrupt, Report> {
    let unknown = || {
        Report::usage(format!("there is no signal {text}"))
            .hint("SIGINT, SIGTERM, SIGUSR1, … or their numbers; 0 sends nothing")
    };
    if let Ok(number) = text.parse::<i32>() {
        return match number {
            0 => Ok(OnInterrupt::Nothing),
            _ => Signal::try_from(number)
                .map(OnInterrupt::Signal)
                .map_err(|_| unknown()),
        };
    }
    let upper = text.to_uppercase();
    let full = if upper.starts_with("SIG") {
        upper
    } else {
        format!("SIG{upper}")
    };
    full.parse().map(OnInterrupt::Signal).map_err(|_| unknown())
}

impl OutputArgs {
    /// How outputs are to be grouped, when the call says so.
    pub fn grouping(&self) -> Option<GroupOutputs> {
        self.group_outputs
            .or(self.order.then_some(GroupOutputs::Order))
            .or(self.engine.then_some(GroupOutputs::Engine))
    }
}

impl PxArgs {
    /// The pool that the call names, by `-p` or as `%px_NAME`.
    pub fn pool(&self, call: &Call<'_>) -> Result<Option<String>, Report> {
        let pool = self.pool.as_ref().map(|pool| pool.0.as_str());
        match (call.suffix, pool) {
            (Some(suffix), Some(pool)) if suffix != pool => Err(Report::usage(format!(
                "the call names two pools, `{suffix}` and `{pool}`"
            ))
            .hint("`%px_NAME` and `-p NAME` say the same: leave one of them out")),
            (suffix, pool) => Ok(suffix.or(pool).map(str::to_owned)),
        }
    }

    /// The options on top of their pool's defaults, or of everybody's.
    pub fn on_defaults(self, call: &Call<'_>, session: &Session) -> Result<PxOptions, Failed> {
        let pool = self.pool(call)?;
        if pool.is_some() {
            session.pool_named(pool.as_deref())?;
        }
        let current = session.current_pool().map(|pool| pool.name.0.as_str());
        let defaults = session.px_defaults(pool.as_deref().or(current)).clone();
        Ok(self.on(PxOptions { pool, ..defaults }))
    }

    /// The options on top of these.
    pub fn on(self, defaults: PxOptions) -> PxOptions {
        let grouping = self.outputs.grouping();
        // What is grouped has to be complete; the order of arrival is what a stream has.
        let streams = grouping.map(|how| how == GroupOutputs::Order);
        let stream = switched(self.stream, self.no_stream, defaults.stream);
        PxOptions {
            pool: defaults.pool,
            targets: self.on.targets.unwrap_or(defaults.targets),
            block: switched(self.block, self.noblock, defaults.block),
            stream: streams.unwrap_or(stream),
            verbose: switched(self.verbose, self.no_verbose, defaults.verbose),
            progress_after: self.progress_after.unwrap_or(defaults.progress_after),
            on_interrupt: self.signal_on_interrupt.unwrap_or(defaults.on_interrupt),
            group_outputs: grouping.unwrap_or(defaults.group_outputs),
            out: self.outputs.out.unwrap_or(defaults.out),
            local: self.local || defaults.local,
        }
    }
}

/// What two flags that take each other back make of a default.
fn switched(on: bool, off: bool, default: bool) -> bool {
    on || default && !off
}

impl Magic for Px {
    const NAME: &'static str = "px";
    const TAKES: Takes = Takes::Code;
    const HAS_CELL_FORM: bool = true;
    const TAKES_SUFFIX: bool = true;
    const EXAMPLES: &'static [Example] = &[
        Example {
            input: "%pool start -n 2\n%px engine::rank() * 10",
            shows: "10",
        },
        Example {
            input: "%px -t 0 engine::size()",
            shows: "2",
        },
    ];

    fn run(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        let options = self.px.on_defaults(call, session)?;
        session.px(&call.code(), &options, sink)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_by_name_and_number() {
        for (text, signal) in [
            ("SIGKILL", Signal::SIGKILL),
            ("9", Signal::SIGKILL),
            ("2", Signal::SIGINT),
            ("term", Signal::SIGTERM),
            ("USR1", Signal::SIGUSR1),
        ] {
            assert_eq!(on_interrupt(text).ok(), Some(OnInterrupt::Signal(signal)));
        }
        assert_eq!(on_interrupt("0").ok(), Some(OnInterrupt::Nothing));
        for text in ["SIGFOO", "99", "-1", "", "1.5"] {
            assert!(on_interrupt(text).is_err(), "{text}");
        }
    }
}
