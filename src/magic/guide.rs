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
            shows: "jobs in the background",
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
                    text: with_commands(text),
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
                    .map(|(name, _)| [*name, about(name)])
                    .map(|row| row.map(|it| Field::Text(it.replace('`', ""))).to_vec())
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

/// What a page is about, as the README says it.
fn about(name: &str) -> &'static str {
    let readme = include_str!("../../README.md");
    let row = readme.split_once(&format!("](guide/{name}.md) | "));
    let about = row.and_then(|(_, rest)| rest.split_once(" |"));
    about.map_or("", |(about, _)| about)
}

/// The title of a page, and what is below it.
fn parts(text: &str) -> (&str, &str) {
    let (title, rest) = text.split_once('\n').unwrap_or((text, ""));
    (title.trim_start_matches('#').trim(), rest.trim_start())
}

/// Links to other pages tell what shows those.
fn with_commands(text: &str) -> String {
    let (mut told, mut rest) = (String::new(), text);
    while let Some(at) = rest.find("](") {
        let Some(length) = rest[at..].find(')') else {
            break;
        };
        let (link, behind) = rest.split_at(at + length + 1);
        let target = &link[at + 2..link.len() - 1];
        let file = target.split('#').next().unwrap_or(target);
        let name = file.strip_suffix(".md").filter(|name| page(name).is_some());
        match (name, link[..at].rfind('[')) {
            (Some(name), Some(open)) => {
                let words = &link[open + 1..at];
                told.push_str(&link[..open]);
                told.push_str(&format!("{words} (`%guide {name}`)"));
            }
            _ => told.push_str(link),
        }
        rest = behind;
    }
    told + rest
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
        assert!(PAGES.iter().all(|(name, _)| !about(name).is_empty()));
        let linked = with_commands(
            "[who](clusters-security.md#limits) and [`x`](maps.md), [y](../README.md) v[0](1)",
        );
        assert_eq!(
            linked,
            "who (`%guide clusters-security`) and `x` (`%guide maps`), [y](../README.md) v[0](1)"
        );
    }
}
