//! GNU parallel's language: where values come from (`:::`, `::::`, `:::+`), how several sources combine, and what
//! stands for them in a command (`{}`, `{.}`, `{2/}` …). Pure: files are read and words are split elsewhere.

#[cfg(test)]
mod tests;

use std::path::Path;

/// A list of values, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub from: From,
    /// `:::+`: each of its values belongs to one of the source before it.
    pub linked: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// `::: a b c`
    Words(Vec<String>),
    /// `:::: file`: its lines.
    File(String),
}

/// Whether a line has values behind a `:::`, which no Rust has: then it is the shell's, to its end.
#[must_use]
pub fn is_for_the_shell(line: &str) -> bool {
    line.split_whitespace()
        .any(|word| matches!(word, ":::" | "::::" | ":::+" | "::::+"))
}

/// The words of the command in front of the first source, and the sources.
///
/// # Errors
/// What is wrong, in words.
pub fn sources(words: Vec<String>) -> Result<(Vec<String>, Vec<Source>), String> {
    let mut command = Vec::new();
    let mut sources: Vec<Source> = Vec::new();
    // Of the words that follow: whether they are files, and whether they are linked.
    let mut mode: Option<(bool, bool, String)> = None;
    for word in words {
        let next = match word.as_str() {
            ":::" => Some((false, false)),
            ":::+" => Some((false, true)),
            "::::" => Some((true, false)),
            "::::+" => Some((true, true)),
            _ => None,
        };
        if let Some((files, linked)) = next {
            if linked && mode.is_none() {
                return Err(format!(
                    "`{word}` links its values with those of a source before it, and there is none"
                ));
            }
            if !files {
                sources.push(Source {
                    from: From::Words(Vec::new()),
                    linked,
                });
            }
            mode = Some((files, linked, word));
            continue;
        }
        match (&mode, sources.last_mut()) {
            (None, _) => command.push(word),
            (Some((true, linked, _)), _) => sources.push(Source {
                from: From::File(word),
                linked: *linked,
            }),
            (
                Some((false, ..)),
                Some(Source {
                    from: From::Words(values),
                    ..
                }),
            ) => values.push(word),
            (Some((false, ..)), _) => {}
        }
    }
    match mode {
        Some((true, _, word))
            if !matches!(
                sources.last(),
                Some(Source {
                    from: From::File(_),
                    ..
                })
            ) =>
        {
            Err(format!("`{word}` needs a file"))
        }
        _ => Ok((command, sources)),
    }
}

/// The arguments of each job: every combination of the sources' values, the last one fastest. `true`: linked.
/// `wraps`: all are linked, and shorter ones begin anew (`--link`).
#[must_use]
pub fn combined(sources: &[(Vec<String>, bool)], wraps: bool) -> Vec<Vec<String>> {
    if wraps {
        let longest = sources
            .iter()
            .map(|(values, _)| values.len())
            .max()
            .unwrap_or(0);
        let value = |values: &[String], at: usize| match values.len() {
            0 => String::new(),
            count => values[at % count].clone(),
        };
        return (0..longest)
            .map(|at| {
                sources
                    .iter()
                    .map(|(values, _)| value(values, at))
                    .collect()
            })
            .collect();
    }
    // Linked ones side by side first.
    let mut groups: Vec<Vec<Vec<String>>> = Vec::new();
    for (values, linked) in sources {
        match groups.last_mut().filter(|_| *linked) {
            Some(group) => {
                group.truncate(values.len());
                for (row, value) in group.iter_mut().zip(values) {
                    row.push(value.clone());
                }
            }
            None => groups.push(values.iter().map(|value| vec![value.clone()]).collect()),
        }
    }
    let mut groups = groups.into_iter();
    let first = groups.next().unwrap_or_default();
    groups.fold(first, |rows, group| {
        let crossed = rows
            .iter()
            .flat_map(|row| group.iter().map(move |more| [&row[..], &more[..]].concat()));
        crossed.collect()
    })
}

/// What one job is about: rows of values, one of each source; several with `-N`.
pub type Rows = Vec<Vec<String>>;

/// `-N`: so many rows for each job; with 0 each job has one that its command does not name.
#[must_use]
pub fn grouped(rows: Rows, count: usize) -> Vec<Rows> {
    match count {
        0 => rows.iter().map(|_| Vec::new()).collect(),
        _ => rows.chunks(count).map(<[Vec<String>]>::to_vec).collect(),
    }
}

/// What stands between two braces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part<'a> {
    Text(&'a str),
    /// `{}`, `{2}`, `{-1/}`: of all values, or of one, the last ones counted from the end.
    Value {
        which: Option<i64>,
        form: Form,
    },
    /// `{#}`
    Number,
    /// `{%}`
    Slot,
}

/// What of a value is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Whole,
    WithoutExtension,
    Name,
    Folder,
    NameWithoutExtension,
}

impl Form {
    fn of(self, value: &str) -> String {
        let name = |value: &str| value.rsplit('/').next().unwrap_or_default().to_owned();
        let without = |value: &str| match value.rfind('.') {
            Some(dot) if !value[dot..].contains('/') => value[..dot].to_owned(),
            _ => value.to_owned(),
        };
        match self {
            Self::Whole => value.to_owned(),
            Self::WithoutExtension => without(value),
            Self::Name => name(value),
            Self::NameWithoutExtension => without(&name(value)),
            Self::Folder => match Path::new(value).parent() {
                None if value.starts_with('/') => "/".to_owned(),
                None => ".".to_owned(),
                Some(folder) if folder.as_os_str().is_empty() => ".".to_owned(),
                Some(folder) => folder.to_string_lossy().into_owned(),
            },
        }
    }
}

/// A command with places for values.
#[derive(Clone, Debug)]
pub struct Template {
    text: String,
    /// The values are commands themselves.
    bare: bool,
}

impl Template {
    /// Without any place for values they stand at the end.
    #[must_use]
    pub fn of(words: &[String]) -> Self {
        let mut text = words.join(" ");
        let bare = text.is_empty();
        if bare {
            "{}".clone_into(&mut text);
        } else if parts(&text)
            .iter()
            .all(|part| matches!(part, Part::Text(_)))
        {
            text.push_str(" {}");
        }
        Self { text, bare }
    }

    /// One that takes no values: its input is its standard input.
    #[must_use]
    pub fn without_values(words: &[String]) -> Self {
        Self {
            text: words.join(" "),
            bare: false,
        }
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The command of the job with this number, from 1. `slot` stands for the engine.
    #[must_use]
    pub fn command(&self, number: u64, rows: &[Vec<String>], slot: &str) -> String {
        let filling = Filling {
            number,
            values: rows.iter().flatten().map(String::as_str).collect(),
            slot,
            bare: self.bare,
        };
        if rows.len() <= 1 {
            return filling.filled(&self.text, &filling.values);
        }
        // A word with `{}` in it is there once for each value.
        let mut out = String::new();
        for word in words_and_blanks(&self.text) {
            let of_all = |part: &Part<'_>| matches!(part, Part::Value { which: None, .. });
            if !parts(word).iter().any(of_all) {
                out.push_str(&filling.filled(word, &[]));
                continue;
            }
            let each = filling.values.iter();
            let filled = each.map(|value| filling.filled(word, &[value]));
            out.push_str(&filled.collect::<Vec<_>>().join(" "));
        }
        out
    }
}

/// A text cut where blanks begin and end.
fn words_and_blanks(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let blank = rest.chars().next()?.is_whitespace();
        let end = rest
            .find(|c: char| c.is_whitespace() != blank)
            .unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        Some(word)
    })
}

/// The values as `--tag` puts them in front of lines.
#[must_use]
pub fn tag(rows: &[Vec<String>]) -> String {
    rows.concat().join(" ")
}

/// What stands in the places of a command.
struct Filling<'a> {
    number: u64,
    values: Vec<&'a str>,
    slot: &'a str,
    /// The values are not quoted.
    bare: bool,
}

impl Filling<'_> {
    fn quoted(&self, value: &str) -> String {
        if self.bare {
            value.to_owned()
        } else {
            quoted(value)
        }
    }

    /// The text with `all` in place of `{}`.
    fn filled(&self, text: &str, all: &[&str]) -> String {
        let mut out = String::new();
        for part in parts(text) {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Number => out.push_str(&self.number.to_string()),
                Part::Slot => out.push_str(self.slot),
                Part::Value { which: None, form } => {
                    let all = all.iter().map(|value| self.quoted(&form.of(value)));
                    out.push_str(&all.collect::<Vec<_>>().join(" "));
                }
                Part::Value {
                    which: Some(which),
                    form,
                } => {
                    if let Some(value) = self.value(which) {
                        out.push_str(&self.quoted(&form.of(value)));
                    }
                }
            }
        }
        out
    }

    /// The value that a number means: from 1, or from the end when it is negative. What is in front of the first begins
    /// at the end once more.
    fn value(&self, which: i64) -> Option<&str> {
        let count = self.values.len() as i64;
        let at = if which < 0 {
            count.checked_add(which)?
        } else {
            which - 1
        };
        let at = if at < 0 { at + count } else { at };
        self.values.get(usize::try_from(at).ok()?).copied()
    }
}

fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut from, mut at) = (0, 0);
    while let Some(open) = text[at..].find('{').map(|open| at + open) {
        let place = text[open..]
            .find('}')
            .and_then(|close| Some((open + close, place(&text[open + 1..open + close])?)));
        match place {
            Some((close, part)) => {
                parts.push(Part::Text(&text[from..open]));
                parts.push(part);
                (from, at) = (close + 1, close + 1);
            }
            None => at = open + 1,
        }
    }
    parts.push(Part::Text(&text[from..]));
    parts.retain(|part| *part != Part::Text(""));
    parts
}

fn place(inside: &str) -> Option<Part<'static>> {
    match inside {
        "#" => return Some(Part::Number),
        "%" => return Some(Part::Slot),
        _ => {}
    }
    let digits = |c: char| c.is_ascii_digit() || c == '-';
    let end = inside.find(|c| !digits(c)).unwrap_or(inside.len());
    let which = match &inside[..end] {
        "" => None,
        // All of them, as with `{}`.
        number => Some(number.parse().ok()?).filter(|number| *number != 0),
    };
    let form = match &inside[end..] {
        "" => Form::Whole,
        "." => Form::WithoutExtension,
        "/" => Form::Name,
        "//" => Form::Folder,
        "/." => Form::NameWithoutExtension,
        _ => return None,
    };
    Some(Part::Value { which, form })
}

/// A value as a word of the shell's, quoted as GNU parallel does it.
#[must_use]
pub fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+/".contains(c);
    if value.is_empty() {
        return "''".to_owned();
    }
    if value.chars().all(plain) {
        return value.to_owned();
    }
    let text = format!("'{}'", value.replace('\'', "'\"'\"'"));
    let text = text.strip_prefix("''").unwrap_or(&text);
    text.strip_suffix("''").unwrap_or(text).to_owned()
}

/// A value as a part of a path, for `--results`.
#[must_use]
pub fn in_path(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('\t', "\\t")
        .replace('\0', "\\0")
        .replace('/', "\\_")
}

/// The first character of a command line that the shell would take for itself, as a pipe or a redirection: outside
/// of quotation marks and substitutions.
#[must_use]
pub fn for_the_shell(text: &str) -> Option<char> {
    outside(text)
        .find(|(_, c)| "|;&<>()\n".contains(*c))
        .map(|(_, c)| c)
}

/// Where ` over ` divides a command and an expression.
#[must_use]
pub fn over_at(text: &str) -> Option<usize> {
    outside(text).map(|(at, _)| at).find(|at| {
        text[*at..].starts_with("over")
            && text[..*at].ends_with(char::is_whitespace)
            && text[at + 4..].starts_with(char::is_whitespace)
    })
}

/// The characters that stand neither in quotation marks nor in substitutions.
fn outside(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut found = Vec::new();
    let (mut quote, mut depth) = (None, 0_usize);
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some('\''), '\'') | (Some('"'), '"') | (Some('`'), '`') => quote = None,
            (Some('\''), _) => {}
            (_, '\\') => {
                chars.next();
            }
            (Some(_), _) => {}
            (None, '\'' | '"' | '`') => quote = Some(c),
            (None, '(') if depth > 0 || text[..at].ends_with('$') => depth += 1,
            (None, ')') if depth > 0 => depth -= 1,
            (None, _) if depth > 0 => {}
            (None, _) => found.push((at, c)),
        }
    }
    found.into_iter()
}
