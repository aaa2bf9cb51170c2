//! A magic call read: which magic, with what options, and what else belongs to it; nothing has run yet.

use std::any::TypeId;
use std::error::Error as _;
use std::num::{IntErrorKind, ParseIntError};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgMatches, Command};

use super::declared::Run;
use super::scaling::Counts;
use super::{ALL, Declared, Takes, find_for_pool};
use super::{help, suggest};
use crate::cell::{
    Binding, MagicCall, OptionError, Targets, ValueCount, goes_on, options_behind, position,
    shell_habit, split_options,
};
use crate::outcome::{Event, Report};
use crate::session::Code;
use crate::vocabulary::nearest;

pub struct Call<'a> {
    /// The words behind the name, for [`Takes::Line`]; the code, for [`Takes::Code`].
    pub text: &'a str,
    /// Line and column in the cell at which `text` begins.
    pub at: (usize, usize),
    pub bind: Option<&'a Binding>,
    /// The pool that `%px_POOL` names.
    pub suffix: Option<&'a str>,
    /// The lines below a `%%name`.
    pub body: Option<&'a str>,
    /// The line of the cell at which they begin.
    pub body_at: usize,
}

impl<'a> Call<'a> {
    fn of(call: &'a MagicCall, text: &'a str, at: (usize, usize), suffix: Option<&'a str>) -> Self {
        Self {
            text,
            at,
            bind: call.bind.as_ref(),
            suffix,
            body: call.body.as_deref(),
            body_at: call.body_line,
        }
    }

    /// The code as it is compiled.
    pub fn code(&self) -> Code {
        Code::default().user(self.text, self.at)
    }
}

/// Parses a call: what is to run, with what.
pub fn prepare(call: &MagicCall) -> Result<(Run, Call<'_>), Report> {
    if let Some(magic) = explained(call) {
        let run: Run = Box::new(|_, _, sink| {
            sink.send(Event::Text(help::explain(magic)));
            Ok(())
        });
        return Ok((run, Call::of(call, &call.args, call.args_at, None)));
    }
    let (magic, matches, call) = read(call)?;
    let run = magic
        .read(&matches)
        .map_err(|error| refused(&error, magic.name))?;
    Ok((run, call))
}

/// Which magic a call means, and the values of its options.
pub(super) fn read(call: &MagicCall) -> Result<(&'static Declared, ArgMatches, Call<'_>), Report> {
    let (magic, suffix) = find_for_pool(&call.name).ok_or_else(|| unknown(call))?;
    if call.cell_form && !magic.has_cell_form {
        return Err(
            Report::usage(format!("%{} has no form with a body", call.name))
                .hint(format!("write `%{}` on one line", call.name)),
        );
    }
    let command = magic.command();
    if let Some(bind) = call.bind.as_ref().filter(|_| !magic.binds) {
        return Err(binds_nothing(call, bind, &command));
    }
    let (words, text, at) = words_and_code(magic, &command, call)?;
    if magic.takes == Takes::Code && text.trim().is_empty() {
        let percent = percent(call);
        return Err(Report::usage(format!("{percent}{} needs code", call.name))
            .hint(format!("`%help {}` shows examples", call.name)));
    }
    let verb = words.first().and_then(|word| command.find_subcommand(word));
    let verb = verb.unwrap_or(&command).clone();
    let matches = command
        .no_binary_name(true)
        .try_get_matches_from(&words)
        .map_err(|error| {
            if let Some(missing) = missing(&error) {
                let verb = match verb.get_name() {
                    name if name == magic.name => String::new(),
                    name => format!(" {name}"),
                };
                return Report::usage(format!("%{}{verb} needs {missing}", call.name))
                    .hint(format!("`%help {}` shows how it is written", magic.name));
            }
            let report = refused(&error, &call.name);
            match unquoted(&error, &verb, &words)
                .or_else(|| misplaced(&error, magic, &words))
                .or_else(|| mistyped(&error, &verb).map(|name| format!("did you mean {name}?")))
            {
                Some(hint) => report.hint(hint),
                None => report,
            }
        })?;
    Ok((magic, matches, Call::of(call, text, at, suffix)))
}

/// The magic whose help is asked for: `%px --help`, `%pool start -h`.
pub(super) fn explained(call: &MagicCall) -> Option<&'static Declared> {
    let (magic, _) = find_for_pool(&call.name)?;
    let command = magic.command();
    let first = call.args.split_whitespace().next();
    let asks = match magic.takes {
        Takes::Line => call.args.trim() == "--help",
        Takes::Code | Takes::WordsThenCode => match first {
            Some("-h") => named(&command, "-h").is_none(),
            first => first == Some("--help"),
        },
        Takes::Words if verb_before_code(magic, &call.args).is_some() => return None,
        Takes::Words => {
            let words = split_words(&call.args, &call.name, &command).ok()?;
            let read = command.no_binary_name(true).try_get_matches_from(words);
            read.is_err_and(|error| error.kind() == ErrorKind::DisplayHelp)
        }
    };
    asks.then_some(magic)
}

/// Names of the arguments that are missing.
fn missing(error: &clap::Error) -> Option<String> {
    match error.get(ContextKind::InvalidArg)? {
        ContextValue::Strings(names) if error.kind() == ErrorKind::MissingRequiredArgument => {
            let name = |name: &String| name.replace(['<', '>'], "").replace("...", "…");
            Some(names.iter().map(name).collect::<Vec<_>>().join(" and "))
        }
        _ => None,
    }
}

/// A command, or other programs' options, as an option's value, whose further words were taken for others: they belong into
/// quotes.
fn unquoted(error: &clap::Error, verb: &Command, words: &[String]) -> Option<String> {
    let is_of_others = match error.kind() {
        ErrorKind::ArgumentConflict | ErrorKind::UnknownArgument => true,
        ErrorKind::ValueValidation => {
            error.get(ContextKind::InvalidValue) == Some(&ContextValue::String("{n}".to_owned()))
        }
        _ => false,
    };
    let is_own = |word: &String| {
        let long = word.strip_prefix("--");
        let mut longs = verb.get_arguments().filter_map(Arg::get_long);
        long.is_some_and(|long| longs.any(|own| own == long))
    };
    let hint = |argument: &Arg| {
        let names = argument.get_value_names().unwrap_or_default();
        let takes = |what: &str| names.iter().any(|name| name.as_str() == what);
        let stand = match (takes("COMMAND"), takes("OPTIONS")) {
            (true, _) => "a command stands",
            (_, true) => "other programs' options stand",
            _ => return None,
        };
        let option = argument.get_long()?;
        let at = words
            .iter()
            .position(|word| *word == format!("--{option}"))?;
        let behind = words.get(at + 1..)?;
        let own = behind.iter().position(is_own).unwrap_or(behind.len());
        let behind = behind.get(..own).filter(|behind| behind.len() > 1)?;
        let whole = behind.join(" ");
        (is_of_others && !behind[0].contains(char::is_whitespace))
            .then(|| format!("{stand} in quotes: `--{option} '{whole}'`"))
    };
    verb.get_arguments().find_map(hint)
}

/// What was meant by a word that stands where it means nothing.
fn misplaced(error: &clap::Error, magic: &Declared, words: &[String]) -> Option<String> {
    match error.get(ContextKind::InvalidArg)? {
        ContextValue::String(wrong) if error.kind() == ErrorKind::UnknownArgument => {
            suggest::misplaced(magic.name, words, wrong)
        }
        _ => None,
    }
}

fn percent(call: &MagicCall) -> &'static str {
    if call.cell_form { "%%" } else { "%" }
}

fn unknown(call: &MagicCall) -> Report {
    let percent = percent(call);
    let report = Report::usage(format!("unknown magic {percent}{}", call.name));
    if let Some((_, hint)) = shell_habit(&format!("{} {}", call.name, call.args)) {
        return report.hint(hint.as_str());
    }
    // One of several verbs, without the magic whose it is.
    let has_verb = |magic: &&Declared| magic.command().find_subcommand(&call.name).is_some();
    if suggest::foreign_name(&call.name).is_none()
        && let Some(magic) = ALL.iter().find(has_verb)
    {
        let written = format!("%{} {} {}", magic.name, call.name, call.args);
        return report.hint(format!("did you mean `{}`?", written.trim_end()));
    }
    match suggest::magic(&call.name, ALL.iter().map(|magic| magic.name)) {
        Some(name) => report.hint(format!("did you mean {percent}{name}?")),
        None => report.hint("`%help` lists the magics"),
    }
}

fn binds_nothing(call: &MagicCall, bind: &Binding, command: &Command) -> Report {
    let name = &call.name;
    let what = format!("%{name} gives no value to bind to `{}`", bind.name);
    let has_out = command
        .get_arguments()
        .any(|argument| argument.get_long() == Some("out"));
    Report::usage(what).hint(if has_out {
        format!("`%{name} -o {} …` binds what its engines give", bind.name)
    } else {
        format!("{} give one", binding_magics())
    })
}

/// The words for clap, and the code with its place.
type WordsAndCode<'a> = (Vec<String>, &'a str, (usize, usize));

fn words_and_code<'a>(
    magic: &Declared,
    command: &Command,
    call: &'a MagicCall,
) -> Result<WordsAndCode<'a>, Report> {
    Ok(match magic.takes {
        Takes::Line => (Vec::new(), call.args.as_str(), call.args_at),
        Takes::Words if let Some((verb, from)) = verb_before_code(magic, &call.args) => {
            let at = position(&call.args[..from], call.args_at);
            (vec![verb.to_owned()], &call.args[from..], at)
        }
        Takes::Words => {
            // A semicolon out of habit is no word.
            let words = split_words(call.args.trim_end_matches(';'), &call.name, command)?;
            (words, call.args.as_str(), call.args_at)
        }
        Takes::WordsThenCode => {
            let (words, from) = words_before_dashes(&call.args).ok_or_else(|| {
                Report::usage(format!("%{} needs `--` and code behind it", call.name))
                    .hint(format!("`%help {}` shows how it is written", call.name))
            })?;
            let words = split_words(words, &call.name, command)?;
            let at = position(&call.args[..from], call.args_at);
            (words, &call.args[from..], at)
        }
        Takes::Code => {
            let (mut words, from) = options(command, call, &call.args)?;
            let mut rest = &call.args[from..];
            if magic.options_behind {
                let is_option =
                    |word: &str| named(command, word).is_some() || is_nearly_one(word, command);
                let behind = options_behind(rest, &is_option).unwrap_or(rest.len());
                let trailing = rest[behind..].trim_end().trim_end_matches(';');
                rest = rest[..behind].trim_end();
                let (more, end) = options(command, call, trailing)?;
                if let Some(stray) = trailing[end..].split_whitespace().next() {
                    let what = format!("%{}: `{stray}` is no option", call.name);
                    return Err(Report::usage(what)
                        .hint("options stand in front of the code, or all of them behind it"));
                }
                words.extend(more);
            }
            match &call.body {
                None => (words, rest, position(&call.args[..from], call.args_at)),
                Some(_) if !rest.trim().is_empty() => {
                    let what = format!("%%{}: `{}` is no option", call.name, rest.trim());
                    return Err(Report::usage(what)
                        .hint("the code of a `%%` cell stands below its first line"));
                }
                Some(body) => (words, body.as_str(), (call.body_line, 1)),
            }
        }
    })
}

/// A subcommand behind which code stands, and where that begins.
fn verb_before_code<'a>(magic: &Declared, args: &'a str) -> Option<(&'a str, usize)> {
    let verb = args.split_whitespace().next()?;
    let behind = args.trim_start().strip_prefix(verb)?;
    let found = magic.code_behind.contains(&verb);
    found.then(|| (verb, args.len() - behind.trim_start().len()))
}

/// Whether a word is an option with a slip in it, `--engine` for `--engines`.
fn is_nearly_one(word: &str, command: &Command) -> bool {
    let names = command.get_arguments().filter_map(Arg::get_long);
    let typed = word.trim_start_matches('-');
    word.starts_with("--") && typed.len() > 2 && nearest(typed, names).is_some()
}

fn split_words(text: &str, name: &str, command: &Command) -> Result<Vec<String>, Report> {
    let words = shell_words::split(text)
        .map_err(|_| Report::usage(format!("%{name}: a quote is not closed")))?;
    Ok(joined_lists(words, command))
}

/// `-t 0, 1` and `-t [0, 2]` are one word each.
fn joined_lists(words: Vec<String>, command: &Command) -> Vec<String> {
    let takes_list = |word: &str| named(command, word).is_some_and(takes_list);
    let mut joined: Vec<String> = Vec::new();
    let mut open = false;
    for word in words {
        let is_option = short_or_long(&word).is_some_and(takes_list);
        match joined.last_mut().filter(|_| open) {
            Some(last) => last.push_str(&word),
            None => joined.push(word),
        }
        let value = joined.last().map(String::as_str).unwrap_or_default();
        let follows = joined
            .len()
            .checked_sub(2)
            .is_some_and(|at| takes_list(&joined[at]));
        open = (is_option || follows || open) && goes_on(value);
    }
    joined
}

/// `-t` of `-t0`, `--targets` of `--targets=0`.
fn short_or_long(word: &str) -> Option<&str> {
    if word.starts_with("--") {
        return word.split('=').next();
    }
    let end = word
        .char_indices()
        .nth(2)
        .map_or(word.len(), |(end, _)| end);
    Some(&word[..end]).filter(|short| short.starts_with('-'))
}

/// The option that is written `--targets` or `-t`.
fn named<'c>(command: &'c Command, word: &str) -> Option<&'c Arg> {
    command
        .get_arguments()
        .find(|argument| match word.strip_prefix("--") {
            Some(long) => {
                let aliases = argument.get_all_aliases().unwrap_or_default();
                argument.get_long() == Some(long) || aliases.contains(&long)
            }
            None => argument
                .get_short()
                .is_some_and(|short| word == format!("-{short}")),
        })
}

/// Whether its value may go on over blanks: `0, 1`.
fn takes_list(argument: &Arg) -> bool {
    let id = argument.get_value_parser().type_id();
    id == TypeId::of::<Targets>() || id == TypeId::of::<Counts>()
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
        .filter(|magic| magic.binds)
        .map(|magic| format!("%{}", magic.name))
        .collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.join(""),
    }
}

/// The option words that `text` begins with, and where the code begins.
fn options(
    command: &Command,
    call: &MagicCall,
    text: &str,
) -> Result<(Vec<String>, usize), Report> {
    let takes_value = |word: &str| {
        let argument = named(command, word)?;
        Some(match argument.get_action().takes_values() {
            true if takes_list(argument) => ValueCount::List,
            true => ValueCount::One,
            false => ValueCount::None,
        })
    };
    split_options(text, &takes_value).map_err(|error| {
        let report = Report::usage(format!("%{}: {error}", call.name));
        let OptionError::Unknown { option } = &error else {
            return report.hint(format!("`%help {}` shows the options", call.name));
        };
        if let Some(hint) = suggest::foreign_option(command.get_name(), option) {
            return report.hint(hint);
        }
        match meant(command, option) {
            Some(name) => report.hint(format!("did you mean {name}?")),
            None => report.hint(format!(
                "`%help {}` shows the options; code that begins with `-` stands behind `--`",
                call.name
            )),
        }
    })
}

/// The option that clap does not know, as the one that is most likely meant.
fn mistyped(error: &clap::Error, command: &Command) -> Option<String> {
    match error.get(ContextKind::InvalidArg)? {
        ContextValue::String(typed) if error.kind() == ErrorKind::UnknownArgument => {
            meant(command, typed)
        }
        _ => None,
    }
}

/// The option that a mistyped one most likely means: one dash too many or too few, or a slip.
fn meant(command: &Command, typed: &str) -> Option<String> {
    let bare = typed.trim_start_matches('-');
    let options = || command.get_arguments();
    let short = options()
        .filter_map(Arg::get_short)
        .find(|short| typed.starts_with("--") && bare.chars().eq([*short]));
    if let Some(short) = short {
        return Some(format!("-{short}"));
    }
    if !typed.starts_with("--") && bare.chars().count() == 1 {
        return None;
    }
    let longs: Vec<String> = options()
        .filter_map(|option| option.get_long().map(|long| format!("--{long}")))
        .collect();
    let dashed = format!("--{bare}");
    if longs.contains(&dashed) {
        return Some(dashed);
    }
    nearest(&dashed, longs.iter().map(String::as_str)).map(str::to_owned)
}

/// clap's error in our form; a value that one of our own types refuses has said why already.
pub(super) fn refused(error: &clap::Error, name: &str) -> Report {
    if let Some(report) = error.source().and_then(|source| source.downcast_ref()) {
        return Report::clone(report);
    }
    let rendered = error.render().to_string();
    let first = rendered.lines().next().unwrap_or_default();
    let what = first.strip_prefix("error: ").unwrap_or(first);
    if let Some(number) = error.source().and_then(|source| source.downcast_ref()) {
        let number: &ParseIntError = number;
        let what = what.strip_suffix(&format!(": {number}")).unwrap_or(what);
        return Report::usage(format!("%{name}: {what}")).hint(match number.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "the number is too large",
            _ => "it is a whole number",
        });
    }
    let report = Report::usage(format!("%{name}: {what}"));
    if let Some(ContextValue::String(hint)) = error.get(ContextKind::Custom) {
        return report.hint(hint.as_str());
    }
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
