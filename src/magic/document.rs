//! What is told about magics elsewhere: completion's vocabulary and the README's table.

use std::any::TypeId;

use clap::ValueHint;

use super::data_words::{EnginesWord, VariableWord};
use super::declared::about;
use super::help::MagicName;
use super::jobs::Which;
use super::memo::MemoName;
use super::values::{ChildName, JobOrChild, TargetsPart};
use super::{ALL, Takes};
use crate::cell::Targets;
use crate::ids::{JobId, PoolName};
use crate::outcome::PoolKind;
use crate::session::Session;
use crate::vocabulary::{MagicWord, OptionWord, ValueKind, Vocabulary};

/// What the help of each magic shows as its examples: what is typed, and a part of what it shows.
pub fn examples() -> impl Iterator<Item = (&'static str, &'static str)> {
    let all = ALL.iter().flat_map(|magic| magic.examples);
    all.map(|example| (example.input, example.shows))
}

/// Everything that completion knows now.
pub fn vocabulary(session: &Session) -> Vocabulary {
    let magics: Vec<MagicWord> = ALL
        .iter()
        .map(|magic| {
            let mut word = word(&magic.command());
            for sub in &mut word.subcommands {
                sub.takes_code = magic.code_behind.contains(&sub.name.as_str());
            }
            MagicWord {
                cell_form: magic.has_cell_form,
                takes_code: matches!(magic.takes, Takes::Code | Takes::WordsThenCode),
                ..word
            }
        })
        .collect();
    let magics = with_pools(magics, session);
    let function = |kind| {
        matches!(
            kind,
            crate::cell::ItemKind::Fn | crate::cell::ItemKind::Macro
        )
    };
    Vocabulary {
        magics,
        autopx: session.autopx.is_some(),
        pools: session
            .pools()
            .iter()
            .map(|pool| pool.name.0.clone())
            .collect(),
        engines: session.current_pool().map_or(0, |pool| pool.size),
        variables: session
            .variables()
            .into_iter()
            .map(|(name, _)| name)
            .collect(),
        engines_variables: session.engines_variables(),
        memos: session.memo_names().map(str::to_owned).collect(),
        jobs: session
            .statuses()
            .into_iter()
            .map(|status| (status.job.to_string(), status.what))
            .collect(),
        children: session.child_names(),
        functions: session
            .definitions()
            .into_iter()
            .filter(|(_, kind)| function(*kind) || matches!(kind, crate::cell::ItemKind::Type))
            .map(|(name, _)| name)
            .collect(),
    }
}

/// The magics, and `%px_NAME` for each pool where there is more than one.
fn with_pools(mut magics: Vec<MagicWord>, session: &Session) -> Vec<MagicWord> {
    if session.pools().len() < 2 {
        return magics;
    }
    for pool in session.pools() {
        for magic in ALL.iter().filter(|magic| magic.takes_suffix) {
            let found = magics.iter().find(|word| word.name == magic.name).cloned();
            magics.extend(found.map(|word| MagicWord {
                name: format!("{}_{}", magic.name, pool.name),
                summary: format!("{}, on {}", word.summary, pool.name),
                ..word
            }));
        }
    }
    magics
}

/// A magic, or a subcommand of one.
fn word(command: &clap::Command) -> MagicWord {
    MagicWord {
        name: command.get_name().to_owned(),
        summary: about(command),
        cell_form: false,
        takes_code: false,
        options: command.get_arguments().map(option).collect(),
        subcommands: command.get_subcommands().map(word).collect(),
    }
}

fn option(argument: &clap::Arg) -> OptionWord {
    OptionWord {
        long: argument.get_long().map(str::to_owned),
        short: argument.get_short(),
        value: value(argument),
        several: argument
            .get_num_args()
            .is_some_and(|count| count.max_values() > 1)
            || matches!(argument.get_action(), clap::ArgAction::Append),
        help: argument
            .get_help()
            .map(ToString::to_string)
            .unwrap_or_default(),
    }
}

/// What completes an argument: its type says so, or its hint.
fn value(argument: &clap::Arg) -> ValueKind {
    if !argument.get_action().takes_values() {
        return ValueKind::None;
    }
    let choices = argument.get_possible_values();
    if !choices.is_empty() {
        let names = choices.iter().map(|choice| choice.get_name().to_owned());
        return ValueKind::Choice(names.collect());
    }
    if matches!(
        argument.get_value_hint(),
        ValueHint::FilePath | ValueHint::DirPath
    ) {
        return ValueKind::File;
    }
    let of_types = [
        (TypeId::of::<PoolName>(), ValueKind::Pool),
        (TypeId::of::<Targets>(), ValueKind::Targets),
        (TypeId::of::<TargetsPart>(), ValueKind::Targets),
        (TypeId::of::<JobId>(), ValueKind::Job),
        (TypeId::of::<Which>(), ValueKind::Job),
        (TypeId::of::<JobOrChild>(), ValueKind::JobOrChild),
        (TypeId::of::<ChildName>(), ValueKind::Child),
        (TypeId::of::<VariableWord>(), ValueKind::Variable),
        (TypeId::of::<EnginesWord>(), ValueKind::EnginesVariable),
        (TypeId::of::<MagicName>(), ValueKind::Magic),
        (TypeId::of::<MemoName>(), ValueKind::Memo),
    ];
    let id = argument.get_value_parser().type_id();
    let known = of_types.into_iter().find(|(kind, _)| id == *kind);
    known.map_or(ValueKind::Other, |(_, kind)| kind)
}

/// The table of magics for the README, in Markdown.
pub fn readme_table() -> String {
    let mut table = "| magic | what it does |\n|---|---|\n".to_owned();
    for magic in ALL {
        let name = magic.name;
        let form = match magic.has_cell_form {
            true => format!(", `%%{name}`"),
            false => String::new(),
        };
        let usage = match magic.takes {
            Takes::Code => " CODE",
            Takes::WordsThenCode => " … -- CODE",
            _ => "",
        };
        let about = magic.about();
        table.push_str(&format!("| `%{name}{usage}`{form} | {about} |\n"));
    }
    table.push_str("| `!command` | runs a shell command |\n");
    table
}

/// A pool kind's word.
pub fn kind_word(kind: PoolKind) -> &'static str {
    match kind {
        PoolKind::Threads => "thread",
        PoolKind::Processes => "process",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_completes_an_argument_is_declared_with_it() {
        let kind = |magic: &str, verb: Option<&str>, argument: &str| {
            let command = crate::magic::find(magic).expect(magic).command();
            let command = verb.map_or(Some(&command), |verb| command.find_subcommand(verb));
            let mut arguments = command.expect("a verb").get_arguments();
            let declared = arguments.find(|declared| match argument.strip_prefix("--") {
                Some(long) => declared.get_long() == Some(long),
                None => declared.is_positional(),
            });
            value(declared.unwrap_or_else(|| panic!("%{magic} {argument}")))
        };
        for (magic, verb, argument, wanted) in [
            ("px", None, "--pool", ValueKind::Pool),
            ("px", None, "--targets", ValueKind::Targets),
            ("px", None, "--block", ValueKind::None),
            ("px", None, "--out", ValueKind::Other),
            ("map", None, "--pool", ValueKind::Pool),
            ("map", None, "--targets", ValueKind::Targets),
            ("compare", None, "POOLS", ValueKind::Pool),
            ("pool", Some("use"), "NAME", ValueKind::Pool),
            ("pool", Some("restart"), "TARGETS", ValueKind::Targets),
            ("run", None, "FILE", ValueKind::File),
            ("cd", None, "FOLDER", ValueKind::File),
            ("plot", None, "--svg", ValueKind::File),
            ("cancel", None, "JOB", ValueKind::Job),
            ("wait", None, "JOB", ValueKind::JobOrChild),
            ("logs", None, "NAME", ValueKind::Child),
            ("stop", None, "NAME", ValueKind::Child),
            ("spawn", None, "--cwd", ValueKind::File),
            ("jobs", None, "--drop", ValueKind::Job),
            ("scatter", None, "NAME", ValueKind::Variable),
            ("pull", None, "NAME", ValueKind::EnginesVariable),
            ("help", None, "NAME", ValueKind::Magic),
        ] {
            assert_eq!(kind(magic, verb, argument), wanted, "%{magic} {argument}");
        }
        let kinds = ["processes", "threads", "mpi", "cluster"]
            .map(str::to_owned)
            .to_vec();
        assert_eq!(
            kind("pool", Some("start"), "KIND"),
            ValueKind::Choice(kinds)
        );
    }
}
