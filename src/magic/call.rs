//! A magic call as a plain record: options parsed, code found; nothing has run yet.

use clap::ArgMatches;
use clap::error::{ContextKind, ContextValue};

use super::{
    ALL, Magic, Takes, find_for_pool,
    suggest::{self, nearest},
};
use crate::cell::{
    Binding, MagicCall, OptionError, ValueCount, goes_on, position, shell_habit, split_options,
};
use crate::outcome::Report;
use crate::session::Code;

pub struct Call<'a> {
    pub matches: ArgMatches,
    /// The words behind the name, for [`Takes::Line`]; the code, for [`Takes::Code`].
    pub text: &'a str,
    /// Line and column in the cell at which `text` begins.
    pub at: (usize, usize),
    pub bind: Option<&'a Binding>,
    pub cell_form: bool,
    /// The pool that `%px_POOL` names.
    pub suffix: Option<&'a str>,
    /// The lines below a `%%name`.
    pub body: Option<&'a str>,
}

impl Call<'_> {
    /// The code as it is compiled.
    pub fn code(&self) -> Code {
        Code::default().user(self.text, self.at)
    }

    pub fn flag(&self, name: &str) -> bool {
        self.matches
            .try_get_one::<bool>(name)
            .ok()
            .flatten()
            .copied()
            .unwrap_or(false)
    }

    pub fn number_of<T: Copy + Send + Sync + 'static>(&self, name: &str) -> Option<T> {
        self.matches.try_get_one::<T>(name).ok().flatten().copied()
    }

    /// The values of an argument that takes several.
    pub fn all_of(&self, name: &str) -> Vec<&str> {
        let values = self.matches.try_get_many::<String>(name).ok().flatten();
        values.into_iter().flatten().map(String::as_str).collect()
    }

    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.matches
            .try_get_one::<String>(name)
            .ok()
            .flatten()
            .map(String::as_str)
    }
}

/// Parses a call: which magic, with what.
pub fn prepare(call: &MagicCall) -> Result<(&'static dyn Magic, Call<'_>), Report> {
    let percent = if call.cell_form { "%%" } else { "%" };
    let Some((magic, suffix)) = find_for_pool(&call.name) else {
        let names: Vec<String> = ALL
            .iter()
            .map(|magic| magic.command().get_name().to_owned())
            .collect();
        let report = Report::usage(format!("unknown magic {percent}{}", call.name));
        if let Some((_, hint)) = shell_habit(&format!("{} {}", call.name, call.args)) {
            return Err(report.hint(hint));
        }
        return Err(
            match suggest::magic(&call.name, names.iter().map(String::as_str)) {
                Some(name) => report.hint(format!("did you mean {percent}{name}?")),
                None => report.hint("`%help` lists the magics"),
            },
        );
    };
    if call.cell_form && !magic.has_cell_form() {
        return Err(
            Report::usage(format!("%{} has no form with a body", call.name))
                .hint(format!("write `%{}` on one line", call.name)),
        );
    }
    if let Some(bind) = call.bind.as_ref().filter(|_| !magic.binds()) {
        let name = &call.name;
        let what = format!("%{name} gives no value to bind to `{}`", bind.name);
        let has_out = magic
            .command()
            .get_arguments()
            .any(|arg| arg.get_id() == "out");
        return Err(Report::usage(what).hint(if has_out {
            format!("`%{name} -o {} …` binds what its engines give", bind.name)
        } else {
            format!("{} give one", binding_magics())
        }));
    }
    let (words, text, at) = match magic.takes() {
        Takes::Line => (Vec::new(), call.args.as_str(), call.args_at),
        Takes::Words => {
            // A semicolon out of habit is no word.
            let words = split_words(call.args.trim_end_matches(';'), &call.name)?;
            (words, call.args.as_str(), call.args_at)
        }
        Takes::WordsThenCode => {
            let (words, from) = words_before_dashes(&call.args).ok_or_else(|| {
                Report::usage(format!("%{} needs `--` and code behind it", call.name))
                    .hint(format!("`%help {}` shows how it is written", call.name))
            })?;
            let words = split_words(words, &call.name)?;
            let at = position(&call.args[..from], call.args_at);
            (words, &call.args[from..], at)
        }
        Takes::Code => {
            let (words, from) = options(magic, call)?;
            let rest = &call.args[from..];
            match &call.body {
                None => (words, rest, position(&call.args[..from], call.args_at)),
                Some(_) if !rest.trim().is_empty() => {
                    return Err(Report::usage(format!(
                        "%%{}: `{}` is no option",
                        call.name,
                        rest.trim()
                    ))
                    .hint("the code of a `%%` cell stands below its first line"));
                }
                Some(body) => (words, body.as_str(), (call.body_line, 1)),
            }
        }
    };
    if magic.takes() == Takes::Code && text.trim().is_empty() {
        return Err(Report::usage(format!("{percent}{} needs code", call.name))
            .hint(format!("`%help {}` shows examples", call.name)));
    }
    let matches = magic
        .command()
        .no_binary_name(true)
        .try_get_matches_from(words)
        .map_err(|error| refused(&error, &call.name))?;
    let bind = call.bind.as_ref();
    Ok((
        magic,
        Call {
            matches,
            text,
            at,
            bind,
            cell_form: call.cell_form,
            suffix,
            body: call.body.as_deref(),
        },
    ))
}

fn split_words(text: &str, name: &str) -> Result<Vec<String>, Report> {
    let words = shell_words::split(text)
        .map_err(|_| Report::usage(format!("%{name}: a quote is not closed")))?;
    Ok(joined_targets(words))
}

/// `-t 0, 1` and `-t [0, 2]` are one word each.
fn joined_targets(words: Vec<String>) -> Vec<String> {
    let mut joined: Vec<String> = Vec::new();
    let mut open = false;
    for word in words {
        let is_option = word.starts_with("-t") || word.starts_with("--targets");
        match joined.last_mut().filter(|_| open) {
            Some(last) => last.push_str(&word),
            None => joined.push(word),
        }
        let value = joined.last().map(String::as_str).unwrap_or_default();
        let follows = joined
            .len()
            .checked_sub(2)
            .is_some_and(|at| matches!(joined[at].as_str(), "-t" | "--targets"));
        open = (is_option || follows || open) && goes_on(value);
    }
    joined
}

/// What stands before a `--` of its own, and where the code behind it begins.
fn words_before_dashes(args: &str) -> Option<(&str, usize)> {
    let blank = |c: Option<char>| c.is_none_or(char::is_whitespace);
    let (at, dashes) = args.match_indices("--").find(|(at, dashes)| {
        blank(args[..*at].chars().next_back()) && blank(args[at + dashes.len()..].chars().next())
    })?;
    let code = args[at + dashes.len()..].trim_start();
    (!code.is_empty()).then_some((&args[..at], args.len() - code.len()))
}

/// The magics that a `let` can stand in front of.
fn binding_magics() -> String {
    let names: Vec<String> = ALL
        .iter()
        .filter(|magic| magic.binds())
        .map(|magic| format!("%{}", magic.command().get_name()))
        .collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.join(""),
    }
}

/// The option words in front of the code, and where the code begins.
fn options(magic: &dyn Magic, call: &MagicCall) -> Result<(Vec<String>, usize), Report> {
    let command = magic.command();
    let takes_value = |word: &str| {
        let argument = command
            .get_arguments()
            .find(|argument| match word.strip_prefix("--") {
                Some(long) => argument.get_long() == Some(long),
                None => argument
                    .get_short()
                    .is_some_and(|short| word == format!("-{short}")),
            })?;
        let action = argument.get_action();
        if argument.get_id() == "targets" {
            return Some(ValueCount::List);
        }
        Some(
            match argument.get_num_args().map(|range| range.min_values()) {
                Some(0) if action.takes_values() => ValueCount::Optional,
                _ if action.takes_values() => ValueCount::One,
                _ => ValueCount::None,
            },
        )
    };
    split_options(&call.args, &takes_value).map_err(|error| {
        let report = Report::usage(format!("%{}: {error}", call.name));
        let OptionError::Unknown { option } = &error else {
            return report.hint(format!("`%help {}` shows the options", call.name));
        };
        let longs: Vec<String> = command
            .get_arguments()
            .filter_map(|a| a.get_long().map(|l| format!("--{l}")))
            .collect();
        match nearest(option, longs.iter().map(String::as_str)) {
            Some(name) => report.hint(format!("did you mean {name}?")),
            None => report.hint(format!(
                "`%help {}` shows the options; code that begins with `-` stands behind `--`",
                call.name
            )),
        }
    })
}

/// clap's error in our form.
fn refused(error: &clap::Error, name: &str) -> Report {
    let rendered = error.render().to_string();
    let first = rendered.lines().next().unwrap_or_default();
    let what = first.strip_prefix("error: ").unwrap_or(first);
    let report = Report::usage(format!("%{name}: {what}"));
    let suggestion = [
        ContextKind::SuggestedArg,
        ContextKind::SuggestedValue,
        ContextKind::SuggestedSubcommand,
    ]
    .into_iter()
    .find_map(|kind| match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        // The nearest comes last.
        ContextValue::Strings(texts) => texts.last().cloned(),
        _ => None,
    });
    let value = match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(value)) => value.as_str(),
        _ => "",
    };
    if value.parse::<i64>().is_ok() && rendered.contains("processes") {
        return report.hint(format!("the number of engines is an option: `-n {value}`"));
    }
    if let (None, Some(ContextValue::Strings(valid))) =
        (&suggestion, error.get(ContextKind::ValidValue))
        && !valid.is_empty()
    {
        return report.hint(format!("one of {}", valid.join(", ")));
    }
    match suggestion {
        Some(text) => report.hint(format!("did you mean {text}?")),
        None => report.hint(format!("`%help {name}` shows how it is written")),
    }
}
