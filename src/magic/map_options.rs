//! The options of `%map`, and those of them that `%reduce` and `%compare` share: declared once, read into
//! [`MapOptions`], and refused where two of them contradict each other.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command, value_parser};
use regatta_cell::options::MapOptions;

use super::Call;
use super::values::{seconds, variable};
use crate::cell::Binding;
use crate::outcome::{Report, Schedule};

/// Adds the options with these names.
pub fn with_options(command: Command, wanted: &[&str]) -> Command {
    let wanted = declared()
        .into_iter()
        .filter(|arg| wanted.contains(&arg.get_id().as_str()));
    command.args(wanted)
}

/// Every option, in the order of the help text.
fn declared() -> Vec<Arg> {
    let option = |id: &'static str, value: &'static str| {
        Arg::new(id)
            .long(id)
            .value_name(value)
            .allow_hyphen_values(true)
    };
    let flag = |id: &'static str| Arg::new(id).long(id).action(ArgAction::SetTrue);
    vec![
        option("pool", "NAME")
            .short('p')
            .value_parser(value_parser!(crate::ids::PoolName))
            .help("the pool; the one in use without it"),
        option("targets", "TARGETS")
            .short('t')
            .value_parser(super::values::targets)
            .help("which engines: `all`, `2`, `0,2`, `1:3`, `::2`, `-1`"),
        option("chunk", "N|auto")
            .short('c')
            .help("inputs per chunk; `auto`, the default, adapts while the map runs"),
        option("schedule", "HOW")
            .value_parser(PossibleValuesParser::new(["dynamic", "static", "guided"]))
            .hide_possible_values(true)
            .help(
                "`dynamic`: who is free takes the next chunk (the default); `static`: one block per engine; \
                 `guided`: chunks shrink towards the end",
            ),
        flag("unordered")
            .short('u')
            .help("results in the order of arrival"),
        option("retries", "N")
            .value_parser(value_parser!(u32))
            .help("how often an input whose function panicked is tried again (0)"),
        option("timeout", "SECS")
            .help("per input: then its engine is replaced, and it has failed"),
        option("on-error", "HOW")
            .value_parser(PossibleValuesParser::new(["stop", "collect"]))
            .hide_possible_values(true)
            .help("`stop` at the first input that fails (the default), or `collect` a Result per input"),
        option("out", "NAME")
            .short('o')
            .help("bind the results to this variable, as `let NAME = ` does"),
        flag("quiet").short('q').help("no plan and no table"),
        flag("items").help("a table with a row per input"),
        flag("plan").help("show the plan and run nothing"),
        option("seed", "N")
            .value_parser(value_parser!(u64))
            .help("a random generator per input, the same whatever the schedule"),
        option("take", "N")
            .value_parser(value_parser!(u64))
            .help("at most so many inputs"),
        flag("block")
            .short('b')
            .overrides_with("noblock")
            .help("wait for the results (the default)"),
        flag("noblock")
            .short('a')
            .overrides_with("block")
            .help("do not wait; %jobs lists it, %result gives the results"),
    ]
}

/// Options that say what another one takes back, and why.
const CONTRADICTIONS: &[(&str, &str, &str)] = &[
    (
        "items",
        "quiet",
        "`--items` asks for a table, `-q` for none",
    ),
    (
        "plan",
        "quiet",
        "`--plan` shows nothing but the plan, `-q` hides it",
    ),
    (
        "plan",
        "noblock",
        "`--plan` runs nothing that could be left to run",
    ),
    (
        "plan",
        "items",
        "`--plan` runs no input, so there is none to list",
    ),
    (
        "plan",
        "out",
        "`--plan` runs nothing, so there is nothing to bind",
    ),
];

/// The options of a call.
pub fn options(call: &Call<'_>, magic: &str) -> Result<MapOptions, Report> {
    let given = |id: &str| match id {
        "out" => call.bind.is_some() || call.text_of(id).is_some(),
        _ => call.flag(id),
    };
    for (one, other, why) in CONTRADICTIONS {
        if given(one) && given(other) {
            let shown = |id: &str| match id {
                "noblock" => "-a".to_owned(),
                "quiet" => "-q".to_owned(),
                "out" => "a name for the results".to_owned(),
                _ => format!("--{id}"),
            };
            let what = format!(
                "%{magic}: {} and {} exclude each other",
                shown(one),
                shown(other)
            );
            return Err(Report::usage(what).hint(*why));
        }
    }
    let number = |id: &str| call.number_of::<u64>(id);
    Ok(MapOptions {
        pool: call.text_of("pool").map(str::to_owned),
        chunk: call.text_of("chunk").map_or(Ok(None), chunk)?,
        schedule: match call.text_of("schedule") {
            Some("static") => Schedule::Static,
            Some("guided") => Schedule::Guided,
            _ => Schedule::Dynamic,
        },
        unordered: call.flag("unordered"),
        retries: call.number_of("retries").unwrap_or_default(),
        timeout: call
            .text_of("timeout")
            .map(|text| match seconds("--timeout", text)? {
                time if time.is_zero() => {
                    Err(Report::usage("--timeout 0: no input can be that fast")
                        .hint("leave `--timeout` out to let each input take its time"))
                }
                time => Ok(time),
            })
            .transpose()?,
        collect: call.text_of("on-error") == Some("collect"),
        quiet: call.flag("quiet"),
        items: call.flag("items"),
        plan_only: call.flag("plan"),
        seed: number("seed"),
        take: number("take"),
        background: call.flag("noblock"),
        ..MapOptions::default()
    })
}

fn chunk(text: &str) -> Result<Option<u64>, Report> {
    let hint = "`-c 8` sends 8 inputs at once, `-c auto` adapts while the map runs";
    match (text, text.parse()) {
        ("auto", _) => Ok(None),
        (_, Ok(0)) => Err(Report::usage("--chunk 0: a chunk has at least one input").hint(hint)),
        (_, Ok(size)) => Ok(Some(size)),
        (_, Err(_)) => Err(Report::usage(format!(
            "--chunk {text}: not a number of inputs, nor `auto`"
        ))
        .hint(hint)),
    }
}

/// What takes the results: the `let` in front of the magic, or `-o`.
pub fn binding(
    bind: Option<&Binding>,
    out: Option<String>,
    magic: &str,
) -> Result<Option<Binding>, Report> {
    match (bind, out) {
        (Some(bind), Some(out)) => Err(Report::usage(format!(
            "%{magic}: the results have two names, `{}` and `{out}`",
            bind.name
        ))
        .hint("`let NAME = ` and `-o NAME` say the same: leave one of them out")),
        (bind, None) => Ok(bind.cloned()),
        (None, Some(name)) => Ok(Some(Binding {
            pattern: name.clone(),
            name,
            ty: None,
        })),
    }
}

pub fn out_of(call: &Call<'_>) -> Result<Option<String>, Report> {
    call.text_of("out").map(variable).transpose()
}
