//! What the README and the guide quote is what the code says of itself, and their links lead somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// The project's folder.
const HERE: &str = env!("CARGO_MANIFEST_DIR");
const README: &str = "README.md";
const MASKS_AND_JSON: &str = "guide/notebooks.md";

fn between(page: &str, mark: &str) -> String {
    let (begin, end) = (format!("<!-- {mark} -->"), format!("<!-- /{mark} -->"));
    let text = read(Path::new(page));
    let part = text
        .split_once(&begin)
        .and_then(|(_, rest)| rest.split_once(&end));
    let (part, _) = part.unwrap_or_else(|| panic!("{page} has no `{begin}` … `{end}`"));
    part.trim().to_owned()
}

fn read(page: &Path) -> String {
    let text = std::fs::read_to_string(Path::new(HERE).join(page));
    text.unwrap_or_else(|error| panic!("{}: {error}", page.display()))
}

/// The table in a module's documentation.
fn documented(source: &str) -> String {
    let rows = source.lines().filter_map(|line| line.strip_prefix("//! "));
    let rows: Vec<&str> = rows.filter(|line| line.starts_with('|')).collect();
    rows.join("\n")
}

#[test]
fn the_table_of_magics_is_fresh() {
    let wanted = regatta::readme_table();
    assert!(
        between(README, "magics") == wanted.trim(),
        "put this between the marks of {README}:\n\n{wanted}"
    );
}

#[test]
fn the_tables_of_masks_and_of_json_are_fresh() {
    for (mark, source) in [
        ("masks", include_str!("../src/notebook/mask.rs")),
        ("json", include_str!("../src/render/json.rs")),
    ] {
        assert_eq!(
            between(MASKS_AND_JSON, mark),
            documented(source),
            "{mark} in {MASKS_AND_JSON}"
        );
    }
}

/// The pages in a folder, by their paths in the project.
fn pages_in(folder: &str) -> BTreeSet<PathBuf> {
    let entries = std::fs::read_dir(Path::new(HERE).join(folder)).expect("the folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let pages = names.map(|name| Path::new(folder).join(name));
    let pages: BTreeSet<PathBuf> = pages
        .filter(|page| page.extension().is_some_and(|extension| extension == "md"))
        .collect();
    assert!(!pages.is_empty(), "no page in {folder}");
    pages
}

/// What a page has for links.
#[derive(Default)]
struct Page {
    /// The anchors of its headings, as GitHub makes them.
    anchors: BTreeSet<String>,
    links: Vec<String>,
}

impl Page {
    fn parse(text: &str) -> Self {
        let mut page = Self::default();
        let mut heading = None::<String>;
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let heading = heading.take().unwrap_or_default();
                    page.add_anchor(&anchor(&heading));
                }
                Event::Start(Tag::Link { dest_url, .. }) => page.links.push(dest_url.to_string()),
                Event::Text(text) | Event::Code(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                _ => {}
            }
        }
        page
    }

    /// A heading that is there already gets a number.
    fn add_anchor(&mut self, anchor: &str) {
        let numbered = (1..).map(|number| format!("{anchor}-{number}"));
        let mut names = std::iter::once(anchor.to_owned()).chain(numbered);
        self.anchors
            .extend(names.find(|name| !self.anchors.contains(name)));
    }
}

/// The anchor of a heading: small letters, `-` for a blank, and no other punctuation.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        _ => c.is_alphanumeric().then_some(c),
    });
    kept.collect()
}

/// Where a link of a page leads: a path in the project, and an anchor.
fn target(page: &Path, link: &str) -> (PathBuf, Option<String>) {
    let (file, anchor) = match link.split_once('#') {
        Some((file, anchor)) => (file, Some(anchor.to_owned())),
        None => (link, None),
    };
    if file.is_empty() {
        return (page.to_owned(), anchor);
    }
    let mut path = page.parent().map(Path::to_owned).unwrap_or_default();
    for part in Path::new(file).components() {
        match part {
            Component::ParentDir => assert!(path.pop(), "{link} leaves the project"),
            part => path.push(part),
        }
    }
    (path, anchor)
}

fn is_elsewhere(link: &str) -> bool {
    link.contains("://") || link.starts_with("mailto:")
}

#[test]
fn links_lead_to_what_is_there() {
    let mut pages = pages_in("guide");
    pages.append(&mut pages_in("examples"));
    pages.insert(README.into());
    let parsed = pages.into_iter().map(|page| {
        let text = read(&page);
        (page, Page::parse(&text))
    });
    let parsed: BTreeMap<PathBuf, Page> = parsed.collect();

    let (mut followed, mut broken) = (0, String::new());
    for (path, page) in &parsed {
        for link in page.links.iter().filter(|link| !is_elsewhere(link)) {
            followed += 1;
            let (file, anchor) = target(path, link);
            let leads = match anchor {
                None => Path::new(HERE).join(&file).exists(),
                Some(anchor) => parsed
                    .get(&file)
                    .is_some_and(|page| page.anchors.contains(&anchor)),
            };
            if !leads {
                broken += &format!("{}: {link}\n", path.display());
            }
        }
    }
    assert!(broken.is_empty(), "these lead nowhere:\n{broken}");
    assert!(followed > 50, "only {followed} links");
}

#[test]
fn the_readme_links_every_page_and_every_lesson() {
    let readme = Page::parse(&read(Path::new(README)));
    let links = readme.links.iter().filter(|link| !is_elsewhere(link));
    let linked: BTreeSet<PathBuf> = links
        .map(|link| target(Path::new(README), link).0)
        .collect();
    for folder in ["guide", "examples"] {
        let pages = pages_in(folder);
        let missing: Vec<&PathBuf> = pages.difference(&linked).collect();
        assert!(missing.is_empty(), "not linked from {README}: {missing:?}");
    }
}

#[test]
fn anchors_are_those_of_github() {
    for (heading, wanted) in [
        ("What it can't do yet", "what-it-cant-do-yet"),
        ("Clusters: who can do what", "clusters-who-can-do-what"),
        ("`--listen`, by hand", "--listen-by-hand"),
        ("π, and a reduction", "π-and-a-reduction"),
    ] {
        let page = Page::parse(&format!("# {heading}\n\n## {heading}\n"));
        let wanted = [wanted.to_owned(), format!("{wanted}-1")];
        assert_eq!(page.anchors, BTreeSet::from(wanted), "{heading}");
    }
}
