//! The Rust code in which the cursor of a cell stands, as rust-analyzer can read it: magics, shell lines and
//! questions are blanked out, and a mapped function is applied to its inputs.

use std::ops::Range;

use super::place::value_of;
use crate::cell::{Foreign, foreign, over};
use crate::compiler::analysis::Place;
use crate::vocabulary::{MagicWord, ValueKind, Vocabulary};

/// Stands in for the name at the cursor while a map's parts are found: `x. over xs` reads as a field.
const MARKER: &str = "regatta_here";

/// Code with a cursor in it.
pub(super) struct Code {
    pub place: Place,
    /// The name of a function is wanted, not a call of it.
    pub as_value: bool,
}

/// A magic's call: where its sign is, its code begins, and it ends.
struct Call<'t> {
    name: &'t str,
    sign: usize,
    code: usize,
    end: usize,
}

/// The code at `cursor`, which stands where code can stand.
pub(super) fn code_at(text: &str, cursor: usize, vocabulary: &Vocabulary) -> Code {
    let mut blanked = text.to_owned();
    let mut on_engines = vocabulary.autopx;
    let mut as_value = false;
    let mut mapped = None;
    if let Some((_, behind)) = question(text) {
        blank(&mut blanked, 0..behind);
        as_value = true;
    }
    for found in foreign(text) {
        if found.is_shell {
            blank(&mut blanked, statement(text, found.span.start)..found.end);
            continue;
        }
        let call = call(text, &found, vocabulary);
        if call.sign > cursor || cursor > call.end {
            blank(&mut blanked, statement(text, call.sign)..call.end);
            continue;
        }
        on_engines |= call.name == "px";
        as_value |= call.name == "doc";
        blank(&mut blanked, call.sign..call.code.min(cursor));
        if matches!(call.name, "map" | "compare") {
            mapped = Some(call);
        }
    }
    let mut place = Place {
        code: blanked,
        cursor,
        on_engines,
    };
    if let Some(call) = mapped.filter(|call| call.code <= cursor) {
        as_value |= !text[call.code..cursor].contains('|');
        apply(&mut place, &call);
    }
    Code { place, as_value }
}

/// `?name` or `??name`: how many question marks, and where the name begins.
pub(super) fn question(text: &str) -> Option<(usize, usize)> {
    let marks = text.len() - text.trim_start_matches('?').len();
    (marks > 0).then(|| (marks, text.len() - text[marks..].trim_start().len()))
}

/// Writes `f over xs` as `xs.into_iter().map(f)`, so that the function's parameters have types.
fn apply(place: &mut Place, call: &Call<'_>) {
    let mut marked = place.code[call.code..call.end].to_owned();
    marked.insert_str(place.cursor - call.code, MARKER);
    let Some((function, inputs)) = over(&marked) else {
        return;
    };
    let Some(at) = marked[function.clone()].find(MARKER) else {
        // In the inputs, which are code as any other.
        if let Some(at) = marked[inputs.clone()].find(MARKER) {
            place.cursor = at;
            place.code = marked[inputs].replacen(MARKER, "", 1);
        }
        return;
    };
    let before = &place.code[..call.code];
    let begin = format!(
        "{before} ::core::iter::IntoIterator::into_iter({}).map(",
        &marked[inputs]
    );
    let function = marked[function].replacen(MARKER, "", 1);
    place.cursor = begin.len() + at;
    place.code = format!("{begin}{function})");
}

/// The call of a magic that was found.
fn call<'t>(text: &'t str, found: &Foreign, vocabulary: &Vocabulary) -> Call<'t> {
    let sign = &text[found.span.clone()];
    let name = sign.trim_start_matches(['%', ':']);
    let behind = found.span.end;
    let code = vocabulary
        .magic(name)
        .map_or(behind, |word| options_end(text, behind..found.end, word));
    // The body of a cell magic is code like any other.
    let has_body = sign.starts_with("%%");
    Call {
        name,
        sign: found.span.start,
        code,
        end: if has_body { text.len() } else { found.end },
    }
}

/// Where the options end and the code begins.
fn options_end(text: &str, arguments: Range<usize>, magic: &MagicWord) -> usize {
    let mut at = arguments.start;
    let word_at = |from: usize| {
        let rest = &text[from..arguments.end];
        let start = from + (rest.len() - rest.trim_start().len());
        let len = text[start..arguments.end].find(char::is_whitespace);
        start..len.map_or(arguments.end, |len| start + len)
    };
    loop {
        let word = word_at(at);
        let option = &text[word.clone()];
        if option == "--" {
            return word.end;
        }
        let letter = option.trim_start_matches('-').chars().next();
        if !option.starts_with('-') || !letter.is_some_and(char::is_alphabetic) {
            return at;
        }
        at = word.end;
        if value_of(magic, option).is_some_and(|kind| *kind != ValueKind::None) {
            at = word_at(at).end;
        }
    }
}

/// Where the statement begins that a magic is in: at its `let`, if it has one.
fn statement(text: &str, sign: usize) -> usize {
    text[..sign]
        .rfind([';', '{', '}', '\n'])
        .map_or(0, |at| at + 1)
}

/// Overwrites a part with blanks, so that everything else stays in its place.
fn blank(text: &mut String, part: Range<usize>) {
    let blanks: String = text[part.clone()]
        .bytes()
        .map(|byte| if byte == b'\n' { '\n' } else { ' ' })
        .collect();
    text.replace_range(part, &blanks);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::OptionWord;

    fn vocabulary() -> Vocabulary {
        let targets = OptionWord {
            long: Some("targets".to_owned()),
            short: Some('t'),
            value: ValueKind::Targets,
            several: false,
            help: String::new(),
        };
        let magic = |name: &str| MagicWord {
            name: name.to_owned(),
            options: vec![targets.clone()],
            ..MagicWord::default()
        };
        Vocabulary {
            magics: ["px", "map", "time"].map(magic).into(),
            ..Vocabulary::default()
        }
    }

    /// The code with `|` at the cursor, which is `^` in the text.
    fn at(text: &str) -> (String, bool) {
        let cursor = text.find('^').expect("a cursor");
        let code = code_at(&text.replacen('^', "", 1), cursor, &vocabulary());
        let mut marked = code.place.code;
        marked.insert(code.place.cursor, '^');
        let words: Vec<&str> = marked.split_whitespace().collect();
        (words.join(" "), code.place.on_engines)
    }

    #[test]
    fn magics_are_blanked_out() {
        for (text, code, on_engines) in [
            ("v.le^", "v.le^", false),
            ("%px v.le^", "v.le^", true),
            ("%px -t 0 v.le^ + 1", "v.le^ + 1", true),
            ("%px -t 0 -- -v.le^", "-v.le^", true),
            ("let a = %time v.le^", "let a = v.le^", false),
            ("%px {\n  v.le^\n}", "{ v.le^ }", true),
            ("%%px -t 0\nlet a = 1;\na.ab^", "let a = 1; a.ab^", true),
            (
                "let v = 1;\n%px w\n!ls 'it\nv.ab^",
                "let v = 1; v.ab^",
                false,
            ),
            ("let f = %map g over v; f\nv.ab^", "v.ab^", false),
            ("?Vec::pu^", "Vec::pu^", false),
        ] {
            assert_eq!(at(text), (code.to_owned(), on_engines), "{text}");
        }
    }

    #[test]
    fn a_mapped_function_knows_its_inputs() {
        let applied = "::core::iter::IntoIterator::into_iter(v).map(|x| x.po^)";
        assert_eq!(at("%map |x| x.po^ over v").0, applied);
        assert_eq!(
            at("let f = %map -t 0 |x| x.^ over v").0,
            "let f = ::core::iter::IntoIterator::into_iter(v).map(|x| x.^)"
        );
        assert_eq!(at("%map f over v.it^").0, "v.it^");
        assert_eq!(at("%map |x| x.po^").0, "|x| x.po^");
    }
}
