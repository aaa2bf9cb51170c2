//! `%px`: code on every engine of the pool in use. The options are ipyparallel's.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command};

use super::values::{seconds, targets_of, variable};
use super::{Call, Example, Magic, Takes};
use crate::outcome::{GroupOutputs, Report, Sink};
use crate::pool::Signal;
use crate::session::{Failed, PxOptions, Session};

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
                .help("do not wait; %jobs lists it, %result and %pxresult show the results"),
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
                .help("show progress after this many seconds (5)"),
        )
        .arg(
            Arg::new("signal-on-interrupt")
                .long("signal-on-interrupt")
                .value_name("SIGNAL")
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("SIGINT")
                .help("what Ctrl-C sends to the engines (SIGINT); 0.3 s later they are killed"),
        )
        .arg(
            Arg::new("order")
                .short('r')
                .action(ArgAction::SetTrue)
                .help("outputs in the order of arrival"),
        )
        .arg(
            Arg::new("engine")
                .short('e')
                .action(ArgAction::SetTrue)
                .help("outputs engine by engine"),
        )
        .arg(
            Arg::new("group-outputs")
                .long("group-outputs")
                .value_name("HOW")
                .value_parser(PossibleValuesParser::new(["engine", "order", "type"]))
                .help("how outputs are grouped"),
        )
        .arg(
            Arg::new("out")
                .short('o')
                .long("out")
                .value_name("NAME")
                .help("bind the results, by rank, to this variable"),
        )
        .arg(flag("local").help("run the code in the local engine too"))
}

/// The options of a call on top of `defaults`.
pub fn options(call: &Call<'_>, defaults: &PxOptions) -> Result<PxOptions, Failed> {
    let mut options = defaults.clone();
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
        options.progress_after = seconds("--progress-after", text)?;
    }
    if let Some(name) = call.text_of("signal-on-interrupt") {
        let full = if name.starts_with("SIG") {
            name.to_owned()
        } else {
            format!("SIG{name}")
        };
        options.signal_on_interrupt = Some(full.parse::<Signal>().map_err(|_| {
            Report::usage(format!("there is no signal {name}")).hint("SIGINT, SIGTERM, SIGUSR1, …")
        })?);
    }
    let grouping = call.text_of("group-outputs");
    let grouping = grouping.or_else(|| call.flag("order").then_some("order"));
    if let Some(how) = grouping.or_else(|| call.flag("engine").then_some("engine")) {
        options.group_outputs = match how {
            "engine" => GroupOutputs::Engine,
            "order" => GroupOutputs::Order,
            _ => GroupOutputs::Type,
        };
        // What is grouped has to be complete; the order of arrival is what a stream has.
        options.stream = options.group_outputs == GroupOutputs::Order;
    }
    if let Some(name) = call.text_of("out") {
        options.out = Some(variable(name)?);
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
        let options = options(call, &session.px_defaults)?;
        session.px(&call.code(), &options, sink)
    }
}
