//! What is told about magics elsewhere: completion's vocabulary and the README's table.

use super::{ALL, Takes};
use crate::outcome::PoolKind;
use crate::session::Session;
use crate::vocabulary::{MagicWord, OptionWord, ValueKind, Vocabulary};

/// Everything that completion knows now.
pub fn vocabulary(session: &Session) -> Vocabulary {
    let magics: Vec<MagicWord> = ALL
        .iter()
        .map(|magic| MagicWord {
            cell_form: magic.has_cell_form(),
            ..word(&magic.command())
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
        for magic in ALL.iter().filter(|magic| magic.takes_suffix()) {
            let name = magic.command().get_name().to_owned();
            let found = magics.iter().find(|word| word.name == name).cloned();
            magics.extend(found.map(|word| MagicWord {
                name: format!("{name}_{}", pool.name),
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
        summary: command
            .get_about()
            .map(ToString::to_string)
            .unwrap_or_default(),
        cell_form: false,
        options: command.get_arguments().map(option).collect(),
        subcommands: command.get_subcommands().map(word).collect(),
    }
}

fn option(argument: &clap::Arg) -> OptionWord {
    let choices: Vec<String> = argument
        .get_possible_values()
        .iter()
        .map(|value| value.get_name().to_owned())
        .collect();
    let value = if !argument.get_action().takes_values() {
        ValueKind::None
    } else if !choices.is_empty() {
        ValueKind::Choice(choices)
    } else {
        match argument.get_id().as_str() {
            "targets" => ValueKind::Targets,
            "pool" | "pools" => ValueKind::Pool,
            "file" | "svg" | "trace" => ValueKind::File,
            "size" | "n" | "progress-after" | "chunk" | "retries" | "timeout" | "seed" | "take"
            | "job" => ValueKind::Number,
            _ => ValueKind::Other,
        }
    };
    OptionWord {
        long: argument.get_long().map(str::to_owned),
        short: argument.get_short(),
        value,
        help: argument
            .get_help()
            .map(ToString::to_string)
            .unwrap_or_default(),
    }
}

/// The table of magics for the README, in Markdown.
pub fn readme_table() -> String {
    let mut table = "| magic | what it does |\n|---|---|\n".to_owned();
    for magic in ALL {
        let command = magic.command();
        let form = if magic.has_cell_form() {
            format!(", `%%{}`", command.get_name())
        } else {
            String::new()
        };
        let about = command
            .get_about()
            .map(ToString::to_string)
            .unwrap_or_default();
        let usage = match magic.takes() {
            Takes::Code => " CODE",
            Takes::WordsThenCode => " … -- CODE",
            _ => "",
        };
        table.push_str(&format!(
            "| `%{}{usage}`{form} | {about} |\n",
            command.get_name()
        ));
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
