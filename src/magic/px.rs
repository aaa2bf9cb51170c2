//! `%px`: code on every engine of the pool in use. The options are ipyparallel's.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command};

use super::values::{seconds, targets_of, variable};
use super::{Call, Example, Magic, Takes};
use crate::outcome::{GroupOutputs, Report, Sink};
use crate::pool::Signal;
use crate::session::{Failed, OnInterrupt, PxOptions, Session};

pub struct Px;

/// Adds the options that `%px`, `%autopx` and `%pxconfig` share.
pub fn with_options(command: Command) -> Command {
    let flag = |id: &'static str| Arg::new(id).long(id).action(ArgAction::SetTrue);
    command
        .arg(
            Arg::new("targets")
                .short('t')
                .long("targets")
                .value_name("TARGETS")
                .allow_hyphen_values(true)
                .help("which engines: `all`, `2`, `0,2`, `1:3`, `::2`, `-1`"),
        )
        .arg(
            flag("block")
                .short('b')
                .overrides_with("noblock")
                .help("wait for the engines (the default)"),
        )
        .arg(
            flag("noblock")
                .short('a')
                .overrides_with("block")
                .help("do not wait; %jobs lists it, %pxresult shows the results, `-o` binds them"),
        )
        .arg(
            flag("stream")
                .overrides_with("no-stream")
                .help("show output while it is printed (the default)"),
        )
        .arg(
            flag("no-stream")
                .overrides_with("stream")
                .help("show output when all engines are done"),
        )
        .arg(
            flag("verbose")
                .overrides_with("no-verbose")
                .help("also show types and times"),
        )
        .arg(
            flag("no-verbose")
                .overrides_with("verbose")
                .help("show values only (the default)"),
        )
        .arg(
            Arg::new("progress-after")
                .long("progress-after")
                .value_name("SECS")
                .allow_hyphen_values(true)
                .help("show progress after this many seconds (5); -1: none"),
        )
        .arg(
            Arg::new("signal-on-interrupt")
                .long("signal-on-interrupt")
                .value_name("SIGNAL")
                .help(
                    "what Ctrl-C sends to the engines, a name or a number (SIGINT); 0.3 s later they are \
                     killed; 0: nothing, they go on as a job",
                ),
        )
        .args(output_options())
        .arg(flag("local").help("run the code in the local engine too"))
        .arg(
            Arg::new("pool")
                .short('p')
                .long("pool")
                .value_name("NAME")
                .help("the pool; the one in use without it. `%px_NAME` says the same"),
        )
}

/// The options that say how results are shown and bound: also of `%pxresult`.
pub fn output_options() -> [Arg; 4] {
    [
        Arg::new("order")
            .short('r')
            .action(ArgAction::SetTrue)
            .help("outputs in the order of arrival"),
        Arg::new("engine")
            .short('e')
            .action(ArgAction::SetTrue)
            .help("outputs engine by engine"),
        Arg::new("group-outputs")
            .long("group-outputs")
            .value_name("HOW")
            .value_parser(PossibleValuesParser::new(["engine", "order", "type"]))
            .help("how outputs are grouped"),
        Arg::new("out")
            .short('o')
            .long("out")
            .value_name("NAME")
            .help("bind the results, one per target, to this variable; `none`: bind nothing"),
    ]
}

/// How outputs are to be grouped, when the call says so.
pub fn grouping(call: &Call<'_>) -> Option<GroupOutputs> {
    let said = call.text_of("group-outputs");
    let said = said.or_else(|| call.flag("order").then_some("order"));
    match said.or_else(|| call.flag("engine").then_some("engine"))? {
        "engine" => Some(GroupOutputs::Engine),
        "order" => Some(GroupOutputs::Order),
        _ => Some(GroupOutputs::Type),
    }
}

/// The pool that the call names, by `-p` or as `%px_NAME`.
pub fn pool_of(call: &Call<'_>) -> Result<Option<String>, Report> {
    match (call.suffix, call.text_of("pool")) {
        (Some(suffix), Some(pool)) if suffix != pool => Err(Report::usage(format!(
            "the call names two pools, `{suffix}` and `{pool}`"
        ))
        .hint("`%px_NAME` and `-p NAME` say the same: leave one of them out")),
        (suffix, pool) => Ok(suffix.or(pool).map(str::to_owned)),
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

/// The options of a call on top of its pool's defaults, or of everybody's.
pub fn options(call: &Call<'_>, session: &Session) -> Result<PxOptions, Failed> {
    let pool = pool_of(call)?;
    if pool.is_some() {
        session.pool_named(pool.as_deref())?;
    }
    let current = session.current_pool().map(|pool| pool.name.0.as_str());
    let mut options = session.px_defaults(pool.as_deref().or(current)).clone();
    options.pool = pool;
    with_call(options, call)
}

/// The options of a call on top of these.
pub fn with_call(mut options: PxOptions, call: &Call<'_>) -> Result<PxOptions, Failed> {
    if let Some(targets) = targets_of(call)? {
        options.targets = targets;
    }
    for (on, off, field) in [
        ("block", "noblock", &mut options.block),
        ("stream", "no-stream", &mut options.stream),
        ("verbose", "no-verbose", &mut options.verbose),
    ] {
        if call.flag(on) {
            *field = true;
        } else if call.flag(off) {
            *field = false;
        }
    }
    if let Some(text) = call.text_of("progress-after") {
        options.progress_after = match text {
            "-1" => None,
            text => Some(seconds("--progress-after", text)?),
        };
    }
    if let Some(signal) = call.text_of("signal-on-interrupt") {
        options.on_interrupt = on_interrupt(signal)?;
    }
    if let Some(how) = grouping(call) {
        options.group_outputs = how;
        // What is grouped has to be complete; the order of arrival is what a stream has.
        options.stream = how == GroupOutputs::Order;
    }
    match call.text_of("out") {
        Some("none") => options.out = None,
        Some(name) => options.out = Some(variable(name)?),
        None => {}
    }
    options.local |= call.flag("local");
    Ok(options)
}

impl Magic for Px {
    fn command(&self) -> Command {
        with_options(Command::new("px").about("runs code on every engine of the pool in use"))
    }

    fn takes(&self) -> Takes {
        Takes::Code
    }

    fn has_cell_form(&self) -> bool {
        true
    }

    fn takes_suffix(&self) -> bool {
        true
    }

    fn examples(&self) -> &'static [Example] {
        &[
            Example {
                input: "%pool start -n 2\n%px engine::rank() * 10",
                shows: "10",
            },
            Example {
                input: "%px -t 0 engine::size()",
                shows: "2",
            },
        ]
    }

    fn run(
        &self,
        call: &Call<'_>,
        session: &mut Session,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let options = options(call, session)?;
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
