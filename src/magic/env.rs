//! `%env`: the variables of the environment, as cells on all engines and shell commands see them.

use clap::Args;

use super::{Call, Example, Magic, Takes};
use crate::outcome::{Event, Field, Report, Sink, Table};
use crate::session::{Done, Session};
use crate::store::redis::without_password;
use crate::vocabulary::nearest;

/// lists, shows or sets variables of the environment
#[derive(Args)]
#[command(
    override_usage = "%env [NAME]\n       %env NAME=VALUE\n       %env -u NAME",
    after_help = "Cells on all engines and shell commands see it. `{name}` in a value stands for a variable of \
                  the session; quotes around it are left out. `-u` removes a variable. The list leaves out the \
                  values of keys, tokens, secrets and passwords."
)]
pub struct Env;

impl Magic for Env {
    const NAME: &'static str = "env";
    const TAKES: Takes = Takes::Line;
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%env GREETING = hello\nstd::env::var(\"GREETING\")",
        shows: "Ok(\"hello\")",
    }];

    fn run(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        let text = call.text.trim().trim_end_matches(';').trim_end();
        if text.is_empty() {
            let rows = session.environment_variables().into_iter();
            let rows = rows.map(|(name, value)| {
                let value = if is_secret(&name) {
                    "…".to_owned()
                } else {
                    without_password(&value)
                };
                vec![Field::Text(name), Field::Text(value)]
            });
            sink.send(Event::Table(Table {
                title: None,
                columns: vec!["name", "value"],
                rows: rows.collect(),
            }));
            return Ok(());
        }
        if let Some(name) = text.strip_prefix("-u ").map(str::trim) {
            session.set_environment(checked(name)?, None)?;
            return Ok(());
        }
        let assignment = text
            .split_once('=')
            .or_else(|| text.split_once(char::is_whitespace));
        let Some((name, value)) = assignment else {
            let variables = session.environment_variables();
            let value = variables
                .get(checked(text)?)
                .ok_or_else(|| unknown(text, variables.keys().map(String::as_str)))?;
            sink.send(Event::Text(value.clone()));
            return Ok(());
        };
        let name = checked(name.trim())?;
        let value = session.filled_in(unquoted(value.trim()), sink)?;
        if value.contains('\0') {
            return Err(Report::usage(
                "a variable of the environment cannot contain the character `\\0`",
            )
            .into());
        }
        session.set_environment(name, Some(&value))?;
        sink.send(Event::Text(format!("{name}={value}")));
        Ok(())
    }
}

/// What others should not read over a shoulder is shown only when it is asked for.
fn is_secret(name: &str) -> bool {
    let name = name.to_uppercase();
    ["KEY", "TOKEN", "SECRET", "PASSWORD"]
        .iter()
        .any(|word| name.contains(word))
}

/// The name of a variable, if it can be one.
fn checked(name: &str) -> Result<&str, Report> {
    let letters = |c: char| c.is_alphanumeric() || c == '_';
    if !name.is_empty() && name.chars().all(letters) && !name.starts_with(|c: char| c.is_numeric())
    {
        return Ok(name);
    }
    Err(Report::usage(format!(
        "`{name}` cannot name a variable of the environment"
    ))
    .hint("`%env NAME=VALUE` sets one, `%env NAME` shows it, `%env` lists all"))
}

/// Without a pair of quotes around it.
fn unquoted(value: &str) -> &str {
    ['"', '\'']
        .into_iter()
        .find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(value)
}

fn unknown<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Report {
    let report = Report::usage(format!("the environment has no `{name}`"));
    match nearest(name, names) {
        Some(near) => report.hint(format!("did you mean {near}?")),
        None => report.hint(format!("`%env {name}=VALUE` sets it")),
    }
}

#[cfg(test)]
mod tests {
    use super::{checked, unquoted};

    #[test]
    fn names_and_values() {
        for name in ["A", "a_1", "_x"] {
            assert!(checked(name).is_ok(), "{name}");
        }
        for name in ["", "1a", "a b", "a-b", "$A"] {
            assert!(checked(name).is_err(), "{name}");
        }
        for (value, bare) in [
            ("\"a b\"", "a b"),
            ("'a'", "a"),
            ("\"a", "\"a"),
            ("a\"", "a\""),
            ("", ""),
        ] {
            assert_eq!(unquoted(value), bare);
        }
    }
}
