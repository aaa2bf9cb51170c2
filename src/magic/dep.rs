//! `%dep`: adds a crate, and lists those that are there.

use clap::Args;

use super::{Call, Example, Magic, Takes};
use crate::outcome::{Event, Field, Report, Sink, Table};
use crate::session::{Done, Session};

/// adds a crate: `%dep NAME = "1"`, `%dep kernels`; lists them
#[derive(Args)]
#[command(
    override_usage = "%dep [NAME [= VERSION OR TABLE]]",
    after_help = "Alone it lists the crates with their versions. `%dep kernels` adds regatta's own compute \
                  kernels, and `%dep kernels = { features = [\"c\"] }` the same in C as well, in `kernels::c`. `:dep NAME = \"1\"` works too. The part behind `=` is what Cargo.toml takes: a \
                  version or `{ version = \"1\", features = [\"full\"] }`."
)]
pub struct Dep;

impl Magic for Dep {
    const NAME: &'static str = "dep";
    const TAKES: Takes = Takes::Line;
    const EXAMPLES: &'static [Example] = &[
        Example {
            input: "%dep kernels",
            shows: "kernels",
        },
        Example {
            input: "%dep",
            shows: "serde",
        },
    ];

    fn run(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        if call.text.trim().is_empty() {
            let rows = session.crates().into_iter();
            sink.send(Event::Table(Table {
                title: None,
                columns: vec!["crate", "version", "asked for as"],
                rows: rows.map(|row| row.map(Field::Text).to_vec()).collect(),
            }));
            return Ok(());
        }
        let (name, config) = match call.text.split_once('=') {
            Some((name, config)) => (name.trim(), config.trim()),
            None => (call.text.trim(), "\"*\""),
        };
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || !name.chars().all(letters) || config.is_empty() {
            let what = if name.is_empty() {
                "%dep needs the name of a crate".to_owned()
            } else {
                format!("`{name}` cannot name a crate")
            };
            return Err(Report::usage(what)
                .hint("write it as in Cargo.toml: `%dep serde_json = \"1\"`")
                .into());
        }
        let took = session.add_crate(name, config, sink)?;
        let text = format!(
            "{} is there, in {:.1} s",
            name.replace('-', "_"),
            took.as_secs_f64()
        );
        sink.send(Event::Text(text));
        Ok(())
    }
}
