//! The words that `%push`, `%pull`, `%scatter` and `%gather` share: variables, targets, layout.

use clap::{Arg, ArgAction, Command};

use super::Call;
use super::values::variable;
use crate::outcome::Report;

/// The variables to move.
pub fn names(help: &'static str) -> Arg {
    Arg::new("names")
        .value_name("NAME")
        .num_args(0..)
        .help(help)
}

/// `--as`.
pub fn as_name(help: &'static str) -> Arg {
    Arg::new("as").long("as").value_name("NAME").help(help)
}

/// Adds `-t`.
pub fn with_targets(command: Command) -> Command {
    command.arg(
        Arg::new("targets")
            .short('t')
            .long("targets")
            .value_name("TARGETS")
            .allow_hyphen_values(true)
            .help("which engines: `all`, `2`, `0,2`, `1:3`, `::2`, `-1`"),
    )
}

/// Adds `--block` and `--cyclic`.
pub fn with_layout(command: Command) -> Command {
    let flag = |id: &'static str| Arg::new(id).long(id).action(ArgAction::SetTrue);
    command
        .arg(flag("block").help("a run of neighbours per engine (the default)"))
        .arg(flag("cyclic").help("one by one to the engines in turn"))
}

/// Whether the layout is `--cyclic`.
pub fn is_cyclic(call: &Call<'_>, magic: &str) -> Result<bool, Report> {
    let cyclic = call.flag("cyclic");
    if cyclic && call.flag("block") {
        let what = format!("%{magic}: --block and --cyclic exclude each other");
        return Err(Report::usage(what).hint("`--block` is the default"));
    }
    Ok(cyclic)
}

/// The variables of a call, with blanks or commas between them.
pub fn data_names(call: &Call<'_>, magic: &str) -> Result<Vec<String>, Report> {
    let words = call.all_of("names");
    let names: Vec<String> = words
        .iter()
        .flat_map(|word| word.split(','))
        .filter(|name| !name.is_empty())
        .map(|name| {
            variable(name).map_err(|report| {
                report.hint(format!("give a value a name first: `let part = {name};`"))
            })
        })
        .collect::<Result<_, _>>()?;
    if names.is_empty() {
        return Err(
            Report::usage(format!("%{magic} needs the name of a variable"))
                .hint(format!("`%help {magic}` shows how it is written")),
        );
    }
    Ok(names)
}

/// The one variable of a call.
pub fn data_name(call: &Call<'_>, magic: &str) -> Result<String, Report> {
    match data_names(call, magic)?.as_slice() {
        [name] => Ok(name.clone()),
        names => Err(Report::usage(format!(
            "%{magic} takes one variable, not {}",
            names.join(", ")
        ))
        .hint(format!("write one `%{magic}` for each"))),
    }
}
