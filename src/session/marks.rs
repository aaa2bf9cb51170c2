//! Where in the user's cell an error stands: from places of the compiled code, or from its lines.

use std::ops::Range;

use super::Code;
use crate::cell::{place_of, position};
use crate::compiler::{Extract, Place};
use crate::outcome::Mark;

/// Where a place of the compiled code stands in the cell.
pub fn mark(place: &Place, code: &Code) -> Option<Mark> {
    let translate = |(line, column): (usize, usize)| {
        let piece = code
            .pieces
            .iter()
            .find(|piece| (piece.line..piece.line + piece.lines).contains(&line))?;
        let offset = line - piece.line;
        Some((
            piece.cell_line + offset,
            if offset == 0 {
                column + piece.column
            } else {
                column
            },
        ))
    };
    // A place that begins in front of the user's code is all of that which it goes around.
    let around = code
        .pieces
        .iter()
        .find(|piece| place.start.0 < piece.line && piece.line + piece.lines <= place.end.0);
    let whole = around.map(|piece| {
        let last = code.text.lines().nth(piece.line + piece.lines - 2);
        let before = if piece.lines == 1 { piece.column } else { 0 };
        let width = last.map_or(0, |line| line.trim_end().chars().count());
        let end = (piece.cell_line + piece.lines - 1, before + width + 1);
        ((piece.cell_line, piece.column + 1), end)
    });
    let (start, end) = match (translate(place.start), whole) {
        (Some(start), _) => (
            start,
            translate(place.end).unwrap_or((start.0, start.1 + 1)),
        ),
        (None, whole) => whole?,
    };
    Some(Mark {
        start,
        end,
        label: place.label.as_str().into(),
        primary: place.primary,
    })
}

/// A part of the cell.
pub fn marked(source: &str, part: Range<usize>) -> Mark {
    let start = position(&source[..part.start], (1, 1));
    Mark::primary(start, position(&source[part], start))
}

/// Where a name stands in the cell.
pub fn word(source: &str, name: &str) -> Option<Mark> {
    Some(marked(source, place_of(source, name)?))
}

/// The last line of a cell, from where the code in it begins: its value.
pub fn last_line(source: &str, code: &Code) -> Option<Mark> {
    let text = source.trim_end();
    let last = text.lines().last()?;
    let line = text.lines().count();
    let before = code.pieces.iter().find(|piece| piece.cell_line == line);
    let before = before.map_or(0, |piece| piece.column);
    let blank = |c: &char| c.is_whitespace();
    let start = before + last.chars().skip(before).take_while(blank).count() + 1;
    let end = last.chars().count() + 1;
    Some(Mark::primary((line, start), (line, end)))
}

/// Where an extract of the generated source stands in the cell: evcxr copies the user's lines as they are.
pub fn found(extract: &Extract, code: &Code) -> Option<Mark> {
    let indent = |line: &str| line.chars().take_while(|c| c.is_whitespace()).count();
    let mut marked: Option<Mark> = None;
    for (text, start, end) in &extract.lines {
        let after = marked.as_ref().map_or(0, |mark| mark.end.0);
        let same =
            |(_, line): &(usize, &str)| line.trim() == text.trim() && !line.trim().is_empty();
        for (number, line) in code.text.lines().enumerate().filter(same) {
            let shifted =
                |column: usize| column.max(indent(text) + 1) - indent(text) + indent(line);
            let place = Place {
                start: (number + 1, shifted(*start)),
                end: (number + 1, shifted(*end)),
                label: extract.label.clone(),
                primary: extract.primary,
            };
            let Some(mark) = mark(&place, code).filter(|mark| mark.start.0 > after) else {
                continue;
            };
            match &mut marked {
                Some(marked) => marked.end = mark.end,
                None => marked = Some(mark),
            }
            break;
        }
    }
    marked
        .or_else(|| imported(extract, code))
        .or_else(|| within(extract, code))
}

/// One of several statements on a line, which evcxr writes on a line of its own: where it stands, if that is
/// the only such place.
fn within(extract: &Extract, code: &Code) -> Option<Mark> {
    // Around a value stand lines that evcxr has made.
    let mut lines = extract.lines.iter();
    lines.find_map(|(text, start, end)| stands_at((text, *start, *end), extract, code))
}

/// Where the only statement of this text stands, with what is marked in it.
fn stands_at(
    (text, start, end): (&str, usize, usize),
    extract: &Extract,
    code: &Code,
) -> Option<Mark> {
    let statement = text.trim();
    let before = text.chars().take_while(|c| c.is_whitespace()).count();
    if statement.is_empty() || start <= before {
        return None;
    }
    let stands = |(number, line): (usize, &str)| {
        let at = line[..line.find(statement)?].chars().count();
        let place = Place {
            start: (number + 1, start - before + at),
            end: (number + 1, end - before + at),
            label: extract.label.clone(),
            primary: extract.primary,
        };
        let again = line.matches(statement).count() > 1;
        mark(&place, code).filter(|_| !again)
    };
    let mut places = code.text.lines().enumerate().filter_map(stands);
    places.next().filter(|_| places.next().is_none())
}

/// A name of a `use`, which evcxr writes anew with a line for each name.
fn imported(extract: &Extract, code: &Code) -> Option<Mark> {
    let [(text, start, end)] = extract.lines.as_slice() else {
        return None;
    };
    if !text.trim_start().starts_with("use ") {
        return None;
    }
    let chars = text.chars().skip(start - 1).take(end - start);
    let path: String = chars.collect();
    let name = path.rsplit("::").next()?.trim();
    let found = place_of(&code.text, name)?;
    let start = position(&code.text[..found.start], (1, 1));
    let place = Place {
        start,
        end: position(&code.text[found], start),
        label: extract.label.clone(),
        primary: extract.primary,
    };
    mark(&place, code)
}

/// The place behind the user's code.
pub fn end(code: &Code) -> Option<Mark> {
    let piece = code.pieces.last()?;
    let line = piece.line + piece.lines - 1;
    let text = code.text.lines().nth(line - 1)?;
    let column = text.trim_end().chars().count() + 1;
    let place = Place {
        start: (line, column),
        end: (line, column + 1),
        label: String::new(),
        primary: true,
    };
    mark(&place, code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extract(lines: &[(&str, usize, usize)]) -> Extract {
        let lines = lines
            .iter()
            .map(|(text, start, end)| ((*text).to_owned(), *start, *end));
        Extract {
            lines: lines.collect(),
            label: String::new(),
            primary: true,
        }
    }

    #[test]
    fn lines_of_the_generated_source_are_found_in_the_cell() {
        let place = |extract: &Extract, code: &Code| {
            found(extract, code).map(|mark| (mark.start, mark.end))
        };
        let code = Code::default()
            .generated("let r = {\n")
            .user("x;\n  arr[\n   5]", (3, 5))
            .generated("}\n");
        let all = extract(&[
            ("f(&(", 4, 5),
            ("arr[", 1, 5),
            ("   5]", 1, 6),
            (")))", 1, 2),
        ]);
        assert_eq!(place(&all, &code), Some(((4, 3), (5, 6))));
        assert_eq!(
            place(&extract(&[("x;", 1, 2)]), &code),
            Some(((3, 5), (3, 6)))
        );
        assert_eq!(
            place(&extract(&[("let r = {", 1, 4)]), &code),
            None,
            "generated"
        );
        assert_eq!(end(&code).map(|mark| mark.start), Some((5, 6)));
        let call = Code::default().user("P", (2, 5));
        let value = last_line("f();\n%px P\n", &call).map(|mark| (mark.start, mark.end));
        assert_eq!(value, Some(((2, 5), (2, 6))));
        let line = Code::verbatim("let z = 0; 1 / z; 2", 1);
        assert_eq!(
            place(
                &extract(&[("f(&(", 4, 5), ("  1 / z", 3, 8), (")));", 1, 2)]),
                &line
            ),
            Some(((1, 12), (1, 17)))
        );
        assert_eq!(
            place(&extract(&[("2", 1, 2)]), &Code::verbatim("let z = 2; 2", 1)),
            None
        );
        let import = Code::verbatim("use std::{fmt, io::{Reed}};", 1);
        let written = extract(&[("use std::io::Reed;", 5, 18)]);
        assert_eq!(place(&written, &import), Some(((1, 21), (1, 25))));
    }
}
