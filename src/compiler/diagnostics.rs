//! rustc's errors as data: the user's own lines, never generated ones.

use std::path::Path;

use evcxr::CompilationError;
use regatta_cell::checks::{CAPTURES_CHECKED_IN, OWN_PREFIX};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::generated::ENTRY;
use super::phrases::{CELL_END, FOUND, HOLDS_REFERENCE, NO_DEBUG};
use super::similar::is_far_fetched;

/// Where a note has its spans when they are not on the lines of its error.
pub const ELSEWHERE: &str = "regatta_elsewhere";

/// One error of rustc's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    pub message: String,
    /// `E0308`
    pub code: Option<String>,
    /// Marks in the code that was compiled; lines and columns from 1, columns in characters.
    pub places: Vec<Place>,
    pub notes: Vec<String>,
    pub help: Option<String>,
    /// Lines of the generated source that the error is about, when evcxr knows no place in this cell.
    pub extracts: Vec<Extract>,
    /// The generated source from each closure on that the cell crate's checks complain of.
    pub closures: Vec<String>,
    /// The traits for which a type lacks what the error is about, without their paths.
    pub wanted: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub start: (usize, usize),
    pub end: (usize, usize),
    pub label: String,
    pub primary: bool,
}

/// Marked lines of the generated source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extract {
    /// Each with the columns, from 1, at which the mark begins and before which it ends in it.
    pub lines: Vec<(String, usize, usize)>,
    pub label: String,
    pub primary: bool,
}

impl Extract {
    /// Its first line, unless that is generated.
    pub fn user_line(&self) -> Option<&str> {
        let (line, ..) = self.lines.first()?;
        let line = line.trim();
        (!line.is_empty() && !self.is_generated()).then_some(line)
    }

    /// Whether it begins in a line that evcxr or the cell's way through this program has made.
    pub fn is_generated(&self) -> bool {
        self.lines.first().is_some_and(|(line, ..)| {
            let line = line.trim();
            let made = [")", "}", "#[unsafe(no_mangle)]"];
            is_generated(line)
                || line.contains(ENTRY)
                || made.iter().any(|start| line.starts_with(start))
        })
    }
}

/// The order in which errors are told: by their first place in the cell, then those without one.
pub fn by_place(one: &Diagnostic, other: &Diagnostic) -> std::cmp::Ordering {
    let key = |told: &Diagnostic| {
        let marks = || told.places.iter();
        let primary = marks()
            .filter(|place| place.primary)
            .map(|place| place.start);
        let first = primary
            .min()
            .or_else(|| marks().map(|place| place.start).min());
        (
            first.is_none(),
            first,
            told.message.clone(),
            told.extracts
                .first()
                .and_then(|extract| extract.lines.first().cloned()),
        )
    };
    key(one).cmp(&key(other))
}

/// Translates; `prefix_lines` stood before the user's code and are none of his, `source` is what rustc read.
pub fn diagnostic(error: &CompilationError, prefix_lines: usize, source: &str) -> Diagnostic {
    let mut places: Vec<Place> = Vec::new();
    let told = error.message();
    // A help to remove something has nothing that stands in its place.
    let helps = error.help_spanned().iter();
    let helps = helps.filter(|help| !help.label.ends_with(": ``"));
    for (message, primary) in error
        .spanned_messages()
        .iter()
        .map(|message| (message, message.is_primary))
        .chain(helps.map(|message| (message, false)))
    {
        let Some(span) = message.span.filter(|span| span.start_line > prefix_lines) else {
            continue;
        };
        let place = Place {
            start: (span.start_line - prefix_lines, span.start_column),
            end: (span.end_line - prefix_lines, span.end_column),
            label: label(&message.label),
            primary,
        };
        if !places.contains(&place) && !is_far_fetched(&place.label, &told) {
            places.push(place);
        }
    }
    let notes = notes(error);
    let extracts = if places.is_empty() {
        extracts(error)
    } else {
        Vec::new()
    };
    Diagnostic {
        message: readable(&told),
        code: error.code().map(str::to_owned),
        places,
        notes,
        help: help(error),
        extracts,
        closures: closures(error, source),
        wanted: wanted(error),
    }
}

/// What rustc calls a closure of the generated code.
const CLOSURE: &str = "{closure@src/lib.rs:";

/// The closures whose check failed: rustc's label names the check, `mapping::<C, M, F, …>::{constant#0}`.
fn closures(error: &CompilationError, source: &str) -> Vec<String> {
    let spans = error.json["spans"].as_array();
    let labels = spans
        .into_iter()
        .flatten()
        .filter_map(|span| span["label"].as_str());
    let mut found: Vec<String> = Vec::new();
    for label in labels {
        let check = |(name, _): &&(&str, usize)| label.contains(name);
        let Some((_, functions)) = CAPTURES_CHECKED_IN.iter().find(check) else {
            continue;
        };
        // Behind the captures and what makes the function of them.
        for function in generics(label).into_iter().skip(2).take(*functions) {
            let text = function
                .split_once(CLOSURE)
                .and_then(|(_, at)| text_from(source, at));
            if let Some(text) = text.filter(|text| !found.iter().any(|other| other == text)) {
                found.push(text.to_owned());
            }
        }
    }
    found
}

/// The types between the first `::<` and its `>`.
fn generics(label: &str) -> Vec<&str> {
    let Some((_, list)) = label.split_once("::<") else {
        return Vec::new();
    };
    let (mut depth, mut start, mut types) = (0usize, 0, Vec::new());
    let mut before = ' ';
    for (at, c) in list.char_indices() {
        match c {
            '<' | '(' | '[' | '{' => depth += 1,
            '>' if before == '-' => {}
            '>' | ')' | ']' | '}' if depth == 0 => {
                types.push(list[start..at].trim());
                break;
            }
            '>' | ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                types.push(list[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
        before = c;
    }
    types
}

/// The source from `12:5: 12:8}…` on.
fn text_from<'a>(source: &'a str, at: &str) -> Option<&'a str> {
    let mut numbers = at.split(':');
    let mut number = || numbers.next()?.trim().parse::<usize>().ok();
    let (line, column) = (number()?, number()?);
    let start: usize = source
        .split_inclusive('\n')
        .take(line.checked_sub(1)?)
        .map(str::len)
        .sum();
    let rest = source.get(start..)?;
    let (offset, _) = rest.char_indices().nth(column.checked_sub(1)?)?;
    rest.get(offset..)
}

/// The text between two others.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?
        .1
        .split_once(after)
        .map(|(between, _)| between)
}

/// evcxr repeats the error's message where rustc has no label.
fn label(text: &str) -> String {
    if text.starts_with("error: ") || is_generated(text) {
        return String::new();
    }
    text.replace("\n`", "`").replace('\n', " ")
}

/// Words of the generated code that a message may contain, in the user's terms.
fn readable(message: &str) -> String {
    // What shows a value is a method of what has `Debug`.
    if let Some(kind) = between(
        message,
        "the method `evcxr_display` exists for ",
        ", but its trait bounds",
    ) {
        let kind = kind.split_once('`').map_or(kind, |(_, kind)| kind);
        let kind = kind.trim_end_matches('`').trim_start_matches('&');
        return format!("`{kind}`{NO_DEBUG}");
    }
    // What follows the user's code is generated.
    if let Some((expected, _)) = message.split_once(", found keyword `fn`") {
        return format!("{expected}{FOUND}{CELL_END}");
    }
    if let Some(name) = between(message, "The variable `", "` contains a reference") {
        return format!("the variable `{name}` {HOLDS_REFERENCE}");
    }
    // `?` at top level stands in a closure of the generated code.
    message.replace(
        " in a closure that returns `Result`",
        " at the top level of a cell",
    )
}

fn notes(error: &CompilationError) -> Vec<String> {
    let children = error.json["children"].as_array();
    children
        .into_iter()
        .flatten()
        .filter(|child| child["level"].as_str() == Some("note"))
        .filter_map(|child| {
            let message = child["message"].as_str()?;
            let shown = !is_generated(message) && !is_of_cell_crate(child);
            shown.then(|| match line_elsewhere(child) {
                Some(line) => format!("{message}: `{line}`"),
                None => message.to_owned(),
            })
        })
        .collect()
}

/// Whether a note points into the cell crate: what its functions ask for is told otherwise.
fn is_of_cell_crate(note: &Value) -> bool {
    let spans = note["spans"].as_array();
    let files = spans
        .into_iter()
        .flatten()
        .filter_map(|span| span["file_name"].as_str());
    files
        .filter_map(|file| Path::new(file).parent())
        .any(|folder| folder.ends_with("cell/src"))
}

/// "required for `K` to implement `a::T`"
fn wanted(error: &CompilationError) -> Vec<String> {
    let children = error.json["children"].as_array();
    let messages = children
        .into_iter()
        .flatten()
        .filter_map(|child| child["message"].as_str()?.strip_prefix("required for `"));
    let name = |message: &str| {
        let (_, path) = message.split_once("` to implement `")?;
        let name = path.split('`').next()?.rsplit("::").next()?;
        Some(name.to_owned())
    };
    messages.filter_map(name).collect()
}

/// The user's line that a note is about, when the error is about another one.
fn line_elsewhere(note: &Value) -> Option<String> {
    let span = note[ELSEWHERE].as_array()?.iter().find(|span| {
        span["file_name"].as_str() == Some("src/lib.rs")
            && span["is_primary"].as_bool() == Some(true)
    })?;
    let line = span["text"][0]["text"].as_str()?.trim();
    (!line.is_empty() && !is_generated(line)).then(|| shortened(line))
}

/// As much of a line as stands in a note.
fn shortened(line: &str) -> String {
    const MOST: usize = 100;
    if line.chars().count() <= MOST {
        return line.to_owned();
    }
    line.chars().take(MOST - 1).chain(['…']).collect()
}

/// The first help that concerns the user's code, with what rustc would write instead.
fn help(error: &CompilationError) -> Option<String> {
    let children = error.json["children"].as_array()?;
    let message = error.message();
    let helps = || {
        let helps = children
            .iter()
            .filter(|child| child["level"].as_str() == Some("help"));
        helps.filter_map(|help| help_of(help, &message))
    };
    // One to import what is missing is the one to follow.
    let import = helps().find(|help| help.starts_with(IMPORT));
    import.or_else(|| helps().next())
}

/// `told` is the message that it belongs to.
fn help_of(child: &Value, told: &str) -> Option<String> {
    let message = child["message"]
        .as_str()
        .filter(|message| !is_generated(message))?;
    let spans: Vec<&Value> = [&child["spans"], &child[ELSEWHERE]]
        .into_iter()
        .filter_map(Value::as_array)
        .flatten()
        .collect();
    let instead = |span: &Value| {
        let text = span["suggested_replacement"].as_str().unwrap_or_default();
        text.trim().to_owned()
    };
    if let Some(import) = import(&spans.iter().map(|span| instead(span)).collect::<Vec<_>>()) {
        return Some(import);
    }
    let [span] = spans.as_slice() else {
        // Without its suggestion such a help says nothing; of several parts one says the wrong thing.
        return (spans.is_empty() && !message.ends_with("exists")).then(|| message.to_owned());
    };
    let instead = instead(span);
    // A generic parameter would be added to what evcxr makes of the cell.
    let line = span["text"][0]["text"].as_str().unwrap_or_default();
    if line.contains(ENTRY) {
        return None;
    }
    let one_line = !instead.is_empty() && !instead.contains('\n');
    let named = if one_line && !message.contains(&format!("`{instead}`")) {
        format!("{message}: `{instead}`")
    } else {
        message.to_owned()
    };
    (!is_generated(&instead) && !is_far_fetched(&named, told)).then_some(named)
}

/// What the help to import a name begins with.
const IMPORT: &str = "import it";

/// rustc's suggestions to import a name; the first three.
fn import(instead: &[String]) -> Option<String> {
    let imports: Vec<String> = instead
        .iter()
        .filter(|text| text.starts_with("use ") && text.ends_with(';') && !is_generated(text))
        .take(3)
        .map(|text| format!("`{text}`"))
        .collect();
    (!imports.is_empty()).then(|| format!("{IMPORT}: {}", imports.join(" or ")))
}

/// Whether a text names what evcxr generates.
fn is_generated(text: &str) -> bool {
    let names = ["evcxr", "Evcxr", OWN_PREFIX];
    names.iter().any(|name| text.contains(name))
}

/// The marked lines of the cell's crate, those of the error itself.
fn extracts(error: &CompilationError) -> Vec<Extract> {
    let spans = error.json["spans"].as_array();
    let in_cell = |span: &&Value| span["file_name"].as_str() == Some("src/lib.rs");
    let column = |line: &Value, name: &str| {
        line[name]
            .as_u64()
            .and_then(|column| usize::try_from(column).ok())
    };
    let line = |line: &Value| {
        let text = line["text"].as_str()?.to_owned();
        let start = column(line, "highlight_start")?.max(1);
        let end = column(line, "highlight_end")?.max(start);
        Some((text, start, end))
    };
    spans
        .into_iter()
        .flatten()
        .filter(in_cell)
        .map(|span| Extract {
            lines: span["text"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(line)
                .collect(),
            label: label(span["label"].as_str().unwrap_or_default()),
            primary: span["is_primary"].as_bool() == Some(true),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{CLOSURE, Diagnostic, Place, by_place, generics, help_of, text_from};

    #[test]
    fn errors_are_told_by_place() {
        let told = |message: &str, starts: &[(usize, usize, bool)]| Diagnostic {
            message: message.to_owned(),
            code: None,
            places: starts
                .iter()
                .map(|&(line, column, primary)| Place {
                    start: (line, column),
                    end: (line, column),
                    label: String::new(),
                    primary,
                })
                .collect(),
            notes: Vec::new(),
            help: None,
            extracts: Vec::new(),
            closures: Vec::new(),
            wanted: Vec::new(),
        };
        let mut all = [
            told("nowhere b", &[]),
            told("third", &[(1, 1, false), (3, 2, true)]),
            told("nowhere a", &[]),
            told("second", &[(2, 9, true)]),
            told("first", &[(2, 1, false)]),
        ];
        all.sort_by(by_place);
        let order: Vec<&str> = all.iter().map(|one| one.message.as_str()).collect();
        assert_eq!(
            order,
            ["first", "second", "third", "nowhere a", "nowhere b"]
        );
    }

    #[test]
    fn a_far_fetched_name_is_no_help() {
        let help = |name: &str| {
            serde_json::json!({
                "message": "a static with a similar name exists",
                "spans": [{ "suggested_replacement": name }],
            })
        };
        assert_eq!(help_of(&help("G"), "no `F`"), None);
        assert_eq!(
            help_of(&help("GRAIN"), "no `GRIAN`").as_deref(),
            Some("a static with a similar name exists: `GRAIN`")
        );
    }

    #[test]
    fn the_function_is_found_in_the_name_of_its_check() {
        let label = "evaluation of `regatta_cell::remote::mapping::<(), {closure@regatta_cell::pool::PoolView::map<u64, \
                     fn(u8) -> u8, {closure@src/lib.rs:2:9: 2:12}>::{closure#0}}, {closure@src/lib.rs:2:9: 2:12}, \
                     u64, u64>::{constant#0}` failed here";
        let types = generics(label);
        assert_eq!(types.len(), 5);
        assert_eq!(types[2], "{closure@src/lib.rs:2:9: 2:12}");
        let (_, at) = types[2].split_once(CLOSURE).unwrap();
        assert_eq!(text_from("a;\nlet é = |x| x;\n", at), Some("|x| x;\n"));
        assert_eq!(text_from("a;\n", "7:1: 7:2}"), None);
        assert!(generics("no types").is_empty());
    }
}
