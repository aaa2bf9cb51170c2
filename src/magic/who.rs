//! `%who` and `%whos`: the variables, with their types and where they live, and what is defined.

use clap::Args;

use super::{Call, Example, Magic};
use crate::cell::ItemKind;
use crate::outcome::{Event, Field, Sink, Table};
use crate::session::{Done, Session};

/// names the session's variables, functions and types
#[derive(Args)]
pub struct Who;
/// lists the variables with type and whereabouts
#[derive(Args)]
pub struct Whos;

impl Magic for Who {
    const NAME: &'static str = "who";
    const EXAMPLES: &'static [Example] = &[
        Example {
            input: "let answer = 42;\n%who",
            shows: "answer",
        },
        Example {
            input: "fn twice(x: u8) -> u8 { x * 2 }\n%who",
            shows: "functions  twice",
        },
    ];

    fn run(self, _: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        let mut names: Vec<String> = session.whereabouts().into_iter().map(|row| row.0).collect();
        names.sort();
        names.dedup();
        let definitions = session.definitions();
        let of = |wanted: &[ItemKind]| {
            let found = definitions.iter().filter(|(_, kind)| wanted.contains(kind));
            found.map(|(name, _)| name.clone()).collect::<Vec<String>>()
        };
        let groups = [
            ("variables", names),
            ("functions", of(&[ItemKind::Fn])),
            ("types", of(&[ItemKind::Type])),
            ("traits", of(&[ItemKind::Trait])),
            ("macros", of(&[ItemKind::Macro])),
            ("constants", of(&[ItemKind::Const])),
            ("modules", of(&[ItemKind::Other])),
        ];
        let named = |(what, names): (&str, Vec<String>)| match names.is_empty() {
            true if what == "variables" => Some("no variables".to_owned()),
            true => None,
            false => Some(format!("{what:<10} {}", names.join("  "))),
        };
        let lines: Vec<String> = groups.into_iter().filter_map(named).collect();
        let text = lines.join("\n");
        sink.send(Event::Text(text));
        Ok(())
    }
}

impl Magic for Whos {
    const NAME: &'static str = "whos";
    const EXAMPLES: &'static [Example] = &[Example {
        input: "let answer = 42;\n%whos",
        shows: "i32",
    }];

    fn run(self, _: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        let rows = session
            .whereabouts()
            .into_iter()
            .map(|(name, kind, place)| {
                vec![Field::Text(name), Field::Text(kind), Field::Text(place)]
            })
            .collect::<Vec<_>>();
        if rows.is_empty() {
            sink.send(Event::Text("no variables".to_owned()));
        } else {
            let columns = vec!["variable", "type", "where"];
            sink.send(Event::Table(Table {
                title: None,
                columns,
                rows,
            }));
        }
        Ok(())
    }
}
