//! `%guide`: the pages of the guide, which the program carries.

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::{Call, Example, Magic};
use crate::outcome::{Docs, Event, Field, Sink, Table};
use crate::session::{Done, Session};

macro_rules! pages {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../guide/", $name, ".md")))),*]
    };
}

/// Name and text of each page, in the order in which they are read.
const PAGES: [(&str, &str); 15] = pages![
    "first-steps",
    "pools",
    "mpi",
    "maps",
    "clusters",
    "clusters-nodes",
    "clusters-queue",
    "clusters-security",
    "messages",
    "shell",
    "children",
    "memo",
    "store",
    "c",
    "notebooks",
];

/// lists the pages of the guide, or shows one
#[derive(Args)]
#[command(after_help = "A page goes through $PAGER, or less, as with `%show`.")]
pub struct Guide {
    /// the page
    #[arg(value_parser = PossibleValuesParser::new(PAGES.map(|(name, _)| name)), hide_possible_values = true)]
    page: Option<String>,
}

impl Magic for Guide {
    const NAME: &'static str = "guide";
    const EXAMPLES: &'static [Example] = &[
        Example {
            input: "%guide",
            shows: "Maps and jobs",
        },
        Example {
            input: "%guide clusters",
            shows: "Engines on other hosts",
        },
    ];

    fn run(self, _: &Call<'_>, _: &mut Session, sink: &mut dyn Sink) -> Done {
        let event = match self.page.as_deref().and_then(page) {
            Some(text) => {
                let (title, text) = parts(text);
                Event::Docs(Docs {
                    signature: title.to_owned(),
                    name: title.to_owned(),
                    path: String::new(),
                    text: without_pages(text),
                    imports: Vec::new(),
                    source: None,
                    whole: true,
                })
            }
            None => Event::Table(Table {
                title: None,
                columns: vec!["page", "what it is about"],
                rows: PAGES
                    .iter()
                    .map(|(name, text)| [*name, parts(text).0])
                    .map(|row| row.map(|it| Field::Text(it.to_owned())).to_vec())
                    .collect(),
            }),
        };
        sink.send(event);
        Ok(())
    }
}

/// The text of the page of this name.
pub(super) fn page(name: &str) -> Option<&'static str> {
    let found = PAGES.iter().find(|(other, _)| *other == name);
    found.map(|(_, text)| *text)
}

/// The title of a page, and what is below it.
fn parts(text: &str) -> (&str, &str) {
    let (title, rest) = text.split_once('\n').unwrap_or((text, ""));
    (title.trim_start_matches('#').trim(), rest.trim_start())
}

/// Links to other pages are the words that ask for those.
fn without_pages(text: &str) -> String {
    let mut text = text.to_owned();
    for (name, _) in PAGES {
        text = text.replace(&format!("]({name}.md"), &format!("](%guide {name}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_pages_are_there_and_lead_to_each_other() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/guide");
        let files = std::fs::read_dir(folder).expect("the guide");
        let mut files: Vec<String> = files
            .map(|file| {
                file.expect("a page")
                    .file_name()
                    .into_string()
                    .expect("a name")
            })
            .collect();
        files.sort_unstable();
        let mut names = PAGES.map(|(name, _)| format!("{name}.md"));
        names.sort_unstable();
        assert_eq!(files, names);
        let linked = without_pages("[who](clusters-security.md#limits), [maps](maps.md)");
        assert_eq!(
            linked,
            "[who](%guide clusters-security#limits), [maps](%guide maps)"
        );
    }
}
