//! `%help`: the list of magics, or one in detail.

use clap::{Arg, Command};

use super::{ALL, Call, Example, Magic, find, suggest::nearest};
use crate::outcome::{ErrorKind, Event, Field, Report, Sink, Table};
use crate::session::{Failed, Session};

pub struct Help;

impl Magic for Help {
    fn command(&self) -> Command {
        Command::new("help")
            .about("lists the magics, or explains one")
            .arg(Arg::new("name").help("the magic, with or without `%`"))
    }

    fn examples(&self) -> &'static [Example] {
        &[Example {
            input: "%help pool",
            shows: "start",
        }]
    }

    fn run(&self, call: &Call<'_>, _: &mut Session, sink: &mut dyn Sink) -> Result<(), Failed> {
        let Some(name) = call.text_of("name") else {
            let row = |magic: &&dyn Magic| {
                let command = magic.command();
                let percent = if magic.has_cell_form() { "%, %%" } else { "%" };
                vec![
                    Field::Text(format!("%{}", command.get_name())),
                    Field::Text(percent.to_owned()),
                    Field::Text(
                        command
                            .get_about()
                            .map(ToString::to_string)
                            .unwrap_or_default(),
                    ),
                ]
            };
            let rows = ALL.iter().map(row).collect();
            let columns = vec!["magic", "forms", "what it does"];
            sink.send(Event::Table(Table {
                title: None,
                columns,
                rows,
            }));
            sink.send(Event::Text(
                "`%help NAME` explains one; `!command` runs a shell command".to_owned(),
            ));
            return Ok(());
        };
        let name = name.trim_start_matches('%');
        let Some(magic) = find(name) else {
            let names: Vec<String> = ALL
                .iter()
                .map(|m| m.command().get_name().to_owned())
                .collect();
            let report = Report::new(ErrorKind::Usage, format!("there is no magic %{name}"));
            return Err(match nearest(name, names.iter().map(String::as_str)) {
                Some(near) => report.hint(format!("did you mean %{near}?")),
                None => report.hint("`%help` lists them"),
            }
            .into());
        };
        sink.send(Event::Text(explain(magic)));
        Ok(())
    }
}

fn explain(magic: &dyn Magic) -> String {
    let name = format!("%{}", magic.command().get_name());
    let mut command = magic
        .command()
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .bin_name(&name);
    let mut text = command.render_long_help().to_string().trim_end().to_owned();
    for sub in magic.command().get_subcommands() {
        let mut sub = sub
            .clone()
            .disable_help_flag(true)
            .bin_name(format!("{name} {}", sub.get_name()));
        text.push_str(&format!("\n\n{}", sub.render_help().to_string().trim_end()));
    }
    text.push_str("\n\nExamples:");
    for example in magic.examples() {
        for line in example.input.lines() {
            text.push_str(&format!("\n  {line}"));
        }
    }
    text
}
