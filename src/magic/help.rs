//! `%help`: the list of magics, or one in detail.

use clap::{Args, Command};

use super::{ALL, Call, Declared, Example, Magic, Takes, find, guide, suggest};
use crate::outcome::{Event, Field, Report, Sink, Table};
use crate::session::{Done, Session};

/// What is asked for, as it was typed.
#[derive(Clone)]
pub(super) struct MagicName(String);

impl From<&str> for MagicName {
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}

/// lists the magics, or explains one
#[derive(Args)]
pub struct Help {
    /// the magic, with or without `%`; `?` for a short introduction
    name: Option<MagicName>,
}

impl Magic for Help {
    const NAME: &'static str = "help";
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%help pool",
        shows: "start",
    }];

    fn run(self, _: &Call<'_>, _: &mut Session, sink: &mut dyn Sink) -> Done {
        let Some(MagicName(name)) = self.name else {
            let row = |magic: &Declared| {
                vec![
                    Field::Text(format!("%{}", magic.name)),
                    Field::Text(magic.about()),
                ]
            };
            let rows = ALL.iter().map(row).collect();
            let columns = vec!["magic", "what it does"];
            sink.send(Event::Table(Table {
                title: None,
                columns,
                rows,
            }));
            let more = "`%help NAME` explains one; `%guide` has a page for each subject; `!command` runs a shell command";
            sink.send(Event::Text(more.to_owned()));
            return Ok(());
        };
        if name == "?" {
            sink.send(Event::Text(INTRODUCTION.to_owned()));
            return Ok(());
        }
        let name = name.trim_start_matches('%');
        let Some(magic) = find(name) else {
            let report = Report::usage(format!("there is no magic %{name}"));
            let near = suggest::magic(name, ALL.iter().map(|magic| magic.name));
            let hint = match (guide::page(name), near) {
                (Some(_), _) => format!("`%guide {name}` is a page of the guide"),
                (None, Some(near)) => format!("did you mean %{near}?"),
                (None, None) => "`%help` lists them".to_owned(),
            };
            return Err(report.hint(hint).into());
        };
        sink.send(Event::Text(explain(magic)));
        Ok(())
    }
}

/// What `?` alone shows.
const INTRODUCTION: &str = "\
Rust is run cell by cell: variables, functions and types stay. A last expression
without `;` is shown.

?name      what it is: signature, type, documentation; also name?
??name     with its source
Tab        completes names, fields, methods, paths, magics and their options
%help      lists the magics; %help px or %px? explains one
%guide     lists the pages of the guide; %guide maps shows one
%who       lists variables; %history what was entered
!command   runs a shell command
%quit      leaves, as Ctrl-D does

%pool start, then %px CODE runs on every engine of a pool, and
%map f over xs maps a function over inputs in parallel.";

/// Columns of help texts, on any terminal that is not narrower.
const WIDTH: usize = 78;

pub(super) fn explain(magic: &Declared) -> String {
    let command = magic.command();
    let name = format!("%{}", command.get_name());
    let mut text = match (magic.takes, magic.has_cell_form) {
        (Takes::Code, cell_form) if !says_its_usage(&command) => {
            let options = if command.get_arguments().next().is_some() {
                " [OPTIONS]"
            } else {
                ""
            };
            let body = if cell_form {
                format!("\n       %{name}{options}, the code on the lines below")
            } else {
                String::new()
            };
            page(
                &command.override_usage(format!("{name}{options} CODE{body}")),
                &name,
            )
        }
        _ => page(&command, &name),
    };
    for sub in magic.command().get_subcommands() {
        let name = format!("{name} {}", sub.get_name());
        text.push_str(&format!("\n\n{name}: {}", page(sub, &name)));
    }
    if !magic.examples.is_empty() {
        text.push_str("\n\nExamples:");
    }
    let inputs = magic.examples.iter().map(|example| example.input);
    for line in inputs.flat_map(str::lines) {
        text.push_str(&format!("\n  {line}"));
    }
    text
}

/// Whether it says itself how it is written.
fn says_its_usage(command: &Command) -> bool {
    command.clone().render_usage().to_string().contains('%')
}

/// Keeps clap from taking a `{n}` of ours for the end of a line.
const APART: &str = "{\u{2060}n}";

fn page(command: &Command, name: &str) -> String {
    let mut command = command
        .clone()
        .mut_args(
            |argument| match argument.get_help().map(ToString::to_string) {
                Some(help) => argument.help(help.replace("{n}", APART)),
                None => argument,
            },
        )
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .bin_name(name)
        .term_width(WIDTH);
    let page = command.render_help().to_string().replace(APART, "{n}");
    page.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_is_no_end_of_a_line() {
        let text = explain(find("pool").expect("a magic"));
        // Wherever the lines are broken.
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("`{n}` stands for"), "{text}");
    }
}
