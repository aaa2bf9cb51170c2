//! A list of structs, tuples or numbers as columns, and as points of a chart.

use super::parse::{Group, Hidden, Piece, Seq, flat, parse};

/// A list's fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    pub heads: Vec<String>,
    /// Each has a text for every head, empty where an item has no such field.
    pub rows: Vec<Vec<String>>,
    /// Items that the text does not hold; `None` when nobody has counted them.
    pub hidden: Option<u64>,
}

/// The columns of a list's `Debug` text; `None` when it is no list, or not understood.
pub fn columns(debug_text: &str) -> Option<Columns> {
    let seq = parse(debug_text)?;
    let group = list(&seq)?;
    let mut heads: Vec<String> = Vec::new();
    let mut rows = Vec::with_capacity(group.items.len());
    for item in &group.items {
        let mut row = vec![String::new(); heads.len()];
        for (head, text) in fields(item, group) {
            let at = heads.iter().position(|other| *other == head);
            let at = at.unwrap_or_else(|| {
                heads.push(head);
                row.push(String::new());
                heads.len() - 1
            });
            row[at] = text;
        }
        rows.push(row);
    }
    for row in &mut rows {
        row.resize(heads.len(), String::new());
    }
    let hidden = match group.hidden {
        Hidden::None => Some(0),
        Hidden::Exactly(more) => Some(more),
        Hidden::Uncounted => None,
    };
    Some(Columns {
        heads,
        rows,
        hidden,
    })
}

/// The only group of a text that is a list, a set or a map.
fn list<'s, 'a>(seq: &'s Seq<'a>) -> Option<&'s Group<'a>> {
    match seq.pieces.as_slice() {
        [Piece::Group(group)] if group.open == "[" || group.open == "{" => Some(group),
        _ => None,
    }
}

/// An item's fields with their names.
fn fields(item: &Seq<'_>, list: &Group<'_>) -> Vec<(String, String)> {
    if list.open == "{"
        && let Some((key, value)) = entry(item)
    {
        let mut all = vec![("key".to_owned(), bare(&key))];
        all.extend(parts(&value, "value"));
        return all;
    }
    parts(item, "value")
}

/// The fields of a struct, a tuple or a list; one by the name `single` of anything else.
fn parts(item: &Seq<'_>, single: &str) -> Vec<(String, String)> {
    let whole = || vec![(single.to_owned(), bare(item))];
    let group = match item.pieces.as_slice() {
        [Piece::Group(group)] | [Piece::Text(_), Piece::Group(group)] => group,
        _ => return whole(),
    };
    // `Some(1)` is one value.
    if group.hidden != Hidden::None || group.open == "(" && group.items.len() < 2 {
        return whole();
    }
    let numbered = || {
        let texts = group.items.iter().enumerate();
        texts
            .map(|(at, item)| (at.to_string(), bare(item)))
            .collect()
    };
    match group.open {
        "(" | "[" => numbered(),
        "{ " => {
            let named = group.items.iter().map(|item| {
                let (key, value) = entry(item)?;
                Some((text_of(&key), bare(&value)))
            });
            let named: Option<Vec<_>> = named.collect();
            named.unwrap_or_else(whole)
        }
        _ => whole(),
    }
}

/// `name: value`
fn entry<'a>(item: &Seq<'a>) -> Option<(Seq<'a>, Seq<'a>)> {
    let at = item
        .pieces
        .iter()
        .position(|piece| colon(piece).is_some())?;
    let Piece::Text(text) = &item.pieces[at] else {
        return None;
    };
    let (key, value) = text.split_at(colon(&item.pieces[at])?);
    let side = |before: &[Piece<'a>], middle: &'a str, behind: &[Piece<'a>]| {
        let mut pieces = before.to_vec();
        if !middle.is_empty() {
            pieces.push(Piece::Text(middle));
        }
        pieces.extend(behind.iter().cloned());
        Seq { pieces, width: 0 }
    };
    Some((
        side(&item.pieces[..at], key, &[]),
        side(&[], &value[2..], &item.pieces[at + 1..]),
    ))
}

/// Where a text's first `: ` outside of quotes stands.
fn colon(piece: &Piece<'_>) -> Option<usize> {
    let Piece::Text(text) = piece else {
        return None;
    };
    let (mut quoted, mut escaped) = (false, false);
    for (at, letter) in text.char_indices() {
        match letter {
            _ if std::mem::take(&mut escaped) => {}
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ':' if !quoted && text[at..].starts_with(": ") => return Some(at),
            _ => {}
        }
    }
    None
}

fn text_of(seq: &Seq<'_>) -> String {
    let mut text = String::new();
    flat(seq, &mut text);
    text
}

/// A value as a table shows it: a plain string without its quotes.
fn bare(seq: &Seq<'_>) -> String {
    let text = text_of(seq);
    let inside = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    match inside {
        Some(inside) if !inside.contains(['\\', '"']) => inside.to_owned(),
        _ => text,
    }
}

/// A number as its `Debug` text, also within `Some(…)`; not a number where there is none.
fn number(text: &str) -> Option<f64> {
    let inner = text
        .strip_prefix("Some(")
        .and_then(|rest| rest.strip_suffix(')'))
        .unwrap_or(text);
    match inner {
        "None" => Some(f64::NAN),
        "true" => Some(1.0),
        "false" => Some(0.0),
        _ => inner.replace('_', "").parse().ok(),
    }
}

/// The points of a list of numbers, over their index, or of pairs. `Err` is the text of the first item that is
/// none.
pub fn points(columns: &Columns) -> Result<Vec<(f64, f64)>, String> {
    let pairs = columns.heads.len() >= 2;
    let row = |(index, row): (usize, &Vec<String>)| {
        let at = |column: usize| row.get(column).and_then(|text| number(text));
        #[expect(clippy::cast_precision_loss, reason = "no list has so many items")]
        let point = if pairs {
            at(0).zip(at(1))
        } else {
            at(0).map(|y| (index as f64, y))
        };
        point.ok_or_else(|| row.join(", "))
    };
    columns.rows.iter().enumerate().map(row).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug)]
    #[allow(dead_code, reason = "shown by its Debug")]
    struct Star {
        name: &'static str,
        at: (f64, f64),
        size: Option<u8>,
    }

    fn table(text: &str) -> String {
        let columns = columns(text).expect("a table");
        let mut lines = vec![columns.heads.join("|")];
        lines.extend(columns.rows.iter().map(|row| row.join("|")));
        lines.join("\n")
    }

    #[test]
    fn fields_become_columns() {
        let star = |name, size| Star {
            name,
            at: (1.0, 2.5),
            size,
        };
        let stars = vec![star("a: b", Some(1)), star("say \"c\"", None)];
        assert_eq!(
            table(&format!("{stars:?}")),
            "name|at|size\na: b|(1.0, 2.5)|Some(1)\n\"say \\\"c\\\"\"|(1.0, 2.5)|None"
        );
        assert_eq!(table("[(1, \"x\"), (2, \"y\")]"), "0|1\n1|x\n2|y");
        assert_eq!(table("[[1, 2], [3]]"), "0|1\n1|2\n3|");
        assert_eq!(table("[1.5, Some(2)]"), "value\n1.5\nSome(2)");
        let map = BTreeMap::from([("k: 1", (1, 2)), ("l", (3, 4))]);
        assert_eq!(table(&format!("{map:?}")), "key|0|1\nk: 1|1|2\nl|3|4");
        assert_eq!(table("{\"a\", \"b\"}"), "value\na\nb");
        assert_eq!(
            table("[A { x: 1 }, B { y: 2 }, C]"),
            "x|y|value\n1||\n|2|\n||C"
        );
        assert_eq!(columns("Point { x: 1 }"), None);
        assert_eq!(columns("3"), None);
        assert_eq!(columns("[1, … 8 more]").and_then(|it| it.hidden), Some(8));
    }

    #[test]
    fn numbers_become_points() {
        let of = |text: &str| points(&columns(text).expect("a list"));
        assert_eq!(of("[1, 2.5]"), Ok(vec![(0.0, 1.0), (1.0, 2.5)]));
        assert_eq!(
            of("[(3, -1e3), (4, 1)]"),
            Ok(vec![(3.0, -1000.0), (4.0, 1.0)])
        );
        assert!(of("[None, inf, NaN]").is_ok_and(|all| all.len() == 3));
        assert_eq!(of("[1, \"a\"]"), Err("a".to_owned()));
    }
}
