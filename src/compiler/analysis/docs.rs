//! The documentation of what somebody names: an item of the session, of a crate or of the standard library, a
//! variable, a keyword.

use ra_ap_ide::{
    Analysis, FilePosition, FileRange, GotoDefinitionConfig, HoverConfig, HoverDocFormat,
    RaFixtureConfig, SubstTyLen, TextRange,
};
use serde::{Deserialize, Serialize};

use super::markup::{Parts, parts, summary};
use super::names;
use super::scene::{Place, Scenes};
use super::world::World;
use crate::cell::KEYWORDS;
use crate::outcome::{Definition, Docs};

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// `Vec::push`, `v.push`, `println!`, `match`.
    pub name: String,
    /// Whether its source is wanted too.
    pub source: bool,
}

/// The answer to a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Found {
    Docs(Box<Docs>),
    /// Nothing of this name; what could have been written instead.
    Nothing {
        instead: Vec<String>,
    },
}

/// A text around the name in which it means something, and where it stands in it.
struct Probe {
    code: String,
    at: usize,
}

pub fn look_up(world: &mut World, scenes: &Scenes, question: &Question) -> Found {
    let name = bare(&question.name);
    if let Some(docs) = known(world, scenes, name, question.source) {
        return Found::Docs(Box::new(docs));
    }
    // Not in scope, as `HashMap` without its `use`.
    let imports = imports(world, scenes, name);
    if let Some(path) = imports.first()
        && let Some(mut docs) = known(world, scenes, path, question.source)
    {
        docs.imports = imports;
        return Found::Docs(Box::new(docs));
    }
    Found::Nothing {
        instead: neighbours(world, scenes, name),
    }
}

/// The name without a call's arguments and other things that people write out of habit.
fn bare(name: &str) -> &str {
    let name = name.trim().trim_end_matches([';', '?']).trim_end();
    match name.strip_suffix(')').and_then(|_| opening(name)) {
        Some(at) if at > 0 => name[..at].trim_end(),
        _ => name.trim_end_matches('('),
    }
}

/// The bracket that a closing one at the end belongs to.
fn opening(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, letter) in text.char_indices().rev() {
        match letter {
            ')' => depth += 1,
            '(' if depth == 1 => return Some(at),
            '(' => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    None
}

fn known(world: &mut World, scenes: &Scenes, name: &str, source: bool) -> Option<Docs> {
    for probe in probes(name) {
        let place = Place {
            cursor: probe.at,
            code: probe.code,
            on_engines: false,
        };
        let (text, start) = scenes.around(&place);
        let found = world.ask(text, start + probe.at, |world, analysis, position| {
            let parts = hover(analysis, position)?;
            let source = source
                .then(|| definition(world, analysis, position))
                .flatten();
            Some((parts, source))
        });
        let Some((parts, definition)) = found else {
            continue;
        };
        if let Some(kind) = scenes.local.variables.get(name) {
            return Some(variable(world, scenes, (name, kind), source));
        }
        if !(parts.signature.is_empty() && parts.docs.is_empty()) {
            let path = parts.path.trim_start_matches("ctx");
            let signature = if KEYWORDS.contains(&name) {
                // rust-analyzer tells the type of a whole expression instead.
                name.to_owned()
            } else {
                let comment = parts.signature.find(" // matched arm");
                parts.signature[..comment.unwrap_or(parts.signature.len())].to_owned()
            };
            return Some(Docs {
                path: path.trim_start_matches("::").to_owned(),
                signature,
                text: parts.docs,
                source: definition,
                ..Docs::default()
            });
        }
    }
    None
}

/// A variable is what its type is.
fn variable(world: &mut World, scenes: &Scenes, (name, kind): (&str, &str), source: bool) -> Docs {
    let of_type = type_name(kind).and_then(|kind| known(world, scenes, kind, source));
    let text = of_type.as_ref().map(|docs| summary(&docs.text));
    Docs {
        signature: format!("{name}: {kind}"),
        text: text.unwrap_or_default(),
        source: of_type.and_then(|docs| docs.source),
        ..Docs::default()
    }
}

/// `Vec` of `&Vec<u8>`; `None` for tuples, arrays and functions.
fn type_name(kind: &str) -> Option<&str> {
    let kind = kind.trim_start_matches("&'static ").trim_start_matches('&');
    let kind = kind.trim_start_matches("mut ").trim_start_matches("dyn ");
    let name = kind.split('<').next()?.trim();
    let is_path = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
    (!name.is_empty() && name.chars().all(is_path)).then_some(name)
}

/// The texts in which a name can mean something, the likeliest first.
fn probes(name: &str) -> Vec<Probe> {
    let forms: &[(&str, &str)] = if name.ends_with('!') {
        &[("", "();")]
    } else {
        &[
            ("", ";"),
            // A method is not known by its name alone.
            ("", "();"),
            ("let _: ", ";"),
            ("", "!();"),
            ("#[", "] struct S;"),
            ("#[derive(", ")] struct S;"),
        ]
    };
    let within = name.trim_end_matches('!').chars().next_back();
    let before_last = name.trim_end_matches('!').len() - within.map_or(0, char::len_utf8);
    forms
        .iter()
        .map(|(before, behind)| Probe {
            code: format!("{before}{name}{behind}"),
            at: before.len() + before_last,
        })
        .collect()
}

fn hover(analysis: &Analysis, position: FilePosition) -> Option<Parts> {
    let config = HoverConfig {
        links_in_hover: false,
        memory_layout: None,
        documentation: true,
        keywords: true,
        format: HoverDocFormat::Markdown,
        max_trait_assoc_items_count: None,
        max_fields_count: Some(20),
        max_enum_variants_count: Some(20),
        max_subst_ty_len: SubstTyLen::Hide,
        show_drop_glue: false,
        ra_fixture: RaFixtureConfig::default(),
    };
    let range = FileRange {
        file_id: position.file_id,
        range: TextRange::empty(position.offset),
    };
    let found = analysis.hover(&config, range).ok()??;
    Some(parts(found.info.markup.as_str()))
}

/// The source of what stands at a position.
fn definition(world: &World, analysis: &Analysis, position: FilePosition) -> Option<Definition> {
    let config = GotoDefinitionConfig {
        ra_fixture: RaFixtureConfig::default(),
    };
    let targets = analysis.goto_definition(position, &config).ok()??.info;
    let target = targets.first()?;
    let text = analysis.file_text(target.file_id).ok()?;
    let range = target.full_range;
    let (start, end) = (usize::from(range.start()), usize::from(range.end()));
    // From the start of its line, so that the lines keep their shape.
    let line_start = text.get(..start)?.rfind('\n').map_or(0, |at| at + 1);
    let code = text.get(line_start..end)?;
    let place = world.path(target.file_id).map(|path| {
        let line = text[..start].matches('\n').count() + 1;
        format!("{}:{line}", shortened(path))
    });
    let code = unindented(code);
    // What it says is shown above it.
    let lines = code.lines().skip_while(|line| line.starts_with("///"));
    Some(Definition {
        place: place.unwrap_or_default(),
        code: lines.collect::<Vec<_>>().join("\n"),
    })
}

/// A path without the folders that say nothing: `library/…` of the standard library, `serde-1.0.0/…`, and
/// `regatta-cell/…` of the session's own folder.
fn shortened(path: &str) -> &str {
    if let Some(at) = path.find("/build/regatta-cell/") {
        return &path[at + "/build/".len()..];
    }
    if let Some(at) = path.find("/library/") {
        return &path[at + 1..];
    }
    let registry = "/registry/src/";
    match path.find(registry) {
        Some(at) => path[at + registry.len()..]
            .split_once('/')
            .map_or(path, |(_, rest)| rest),
        None => path,
    }
}

fn unindented(code: &str) -> String {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let lines = code.lines().filter(|line| !line.trim().is_empty());
    let least = lines.map(indent).min().unwrap_or(0);
    let lines: Vec<&str> = code
        .lines()
        .map(|line| line.get(least..).unwrap_or_default())
        .collect();
    lines.join("\n")
}

/// The paths of a name that is not in scope.
fn imports(world: &mut World, scenes: &Scenes, name: &str) -> Vec<String> {
    if name.contains([':', '.', '!', ' ']) {
        return Vec::new();
    }
    let found = all_names(world, scenes, name);
    let mut paths: Vec<String> = found
        .into_iter()
        .filter(|found| found.name == name)
        .filter_map(|found| found.path)
        .collect();
    paths.dedup();
    paths
}

/// What could have been meant: what is called otherwise at the same place.
fn neighbours(world: &mut World, scenes: &Scenes, name: &str) -> Vec<String> {
    let split = name.rfind(['.', ':']).map_or(0, |at| at + 1);
    let parent = &name[..split];
    let mut found = all_names(world, scenes, parent);
    if parent.is_empty() {
        // What would have to be imported is looked for by its beginning.
        let begin: String = name.chars().take(3).collect();
        found.extend(all_names(world, scenes, &begin));
    }
    let path = |found: names::Name| found.path.unwrap_or(format!("{parent}{}", found.name));
    found.into_iter().map(path).collect()
}

fn all_names(world: &mut World, scenes: &Scenes, code: &str) -> Vec<names::Name> {
    let place = Place {
        code: code.to_owned(),
        cursor: code.len(),
        on_engines: false,
    };
    names::with_imports(world, scenes, &place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_asked_for_in_many_ways() {
        for (written, name) in [
            ("Vec::push", "Vec::push"),
            (" v.push(1, (2)) ; ", "v.push"),
            ("v.push(", "v.push"),
            ("f()?", "f"),
            ("(1 + 2)", "(1 + 2)"),
            ("println!", "println!"),
        ] {
            assert_eq!(bare(written), name, "{written}");
        }
    }

    #[test]
    fn a_probe_points_into_the_last_name() {
        for name in ["v.push", "println!", "é"] {
            for probe in probes(name) {
                let rest = &probe.code[probe.at..];
                let last = name.trim_end_matches('!').chars().next_back();
                assert_eq!(rest.chars().next(), last, "{}", probe.code);
            }
        }
    }

    #[test]
    fn types_have_names() {
        assert_eq!(type_name("&'static Vec<u8>"), Some("Vec"));
        assert_eq!(type_name("&mut std::fs::File"), Some("std::fs::File"));
        assert_eq!(type_name("i32"), Some("i32"));
        assert_eq!(type_name("(u8, u8)"), None);
    }

    #[test]
    fn sources_are_named_by_what_they_belong_to() {
        for (path, short) in [
            (
                "/r/lib/rustlib/src/rust/library/core/src/x.rs",
                "library/core/src/x.rs",
            ),
            (
                "/h/registry/src/index-1/serde-1.0/src/a.rs",
                "serde-1.0/src/a.rs",
            ),
            (
                "/tmp/regatta-1/build/regatta-cell/src/pool.rs",
                "regatta-cell/src/pool.rs",
            ),
            ("/a/b.rs", "/a/b.rs"),
        ] {
            assert_eq!(shortened(path), short);
        }
        assert_eq!(
            unindented("    fn f() {\n        1\n\n    }"),
            "fn f() {\n    1\n\n}"
        );
    }
}
