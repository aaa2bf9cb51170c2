//! A `Debug` text folded to a width and to a number of lines. What fits stands on one line; numbers and words
//! stand side by side; everything else has a line of its own, as `{:#?}` has it. Where there is more than
//! the lines hold, the middle is left out and said to be.

use std::ops::Range;

use super::parse::{Group, Hidden, Piece, Seq, flat, parse};
use crate::render::text;

const INDENT: usize = 4;

/// Items up to this width stand side by side.
const NARROW: usize = 24;

/// One line of a folded value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// Of the value.
    Value(String),
    /// What is left out here.
    LeftOut(String),
}

/// `text` folded to `width` columns and at most some `most` lines. A text that is not understood stays one
/// line, or the lines it has.
pub(crate) fn lay(debug_text: &str, width: usize, most: usize) -> Vec<Line> {
    let mut folder = Folder {
        width,
        lines: Vec::new(),
    };
    match parse(debug_text) {
        Some(seq) => folder.seq(&seq, 0, "", most.max(1)),
        None if debug_text.contains('\n') => folder.own_lines(debug_text, most),
        None => folder.atom(debug_text, 0, "", most.max(1)),
    }
    folder.lines
}

struct Folder {
    width: usize,
    lines: Vec<Line>,
}

impl Folder {
    fn push(&mut self, indent: usize, text: &str) {
        self.lines
            .push(Line::Value(format!("{:indent$}{text}", "")));
    }

    fn left_out(&mut self, indent: usize, what: &str) {
        self.lines
            .push(Line::LeftOut(format!("{:indent$}{what}", "")));
    }

    fn room(&self, indent: usize) -> usize {
        self.width.saturating_sub(indent).max(8)
    }

    /// A value on at most `budget` lines.
    fn seq(&mut self, seq: &Seq<'_>, indent: usize, suffix: &str, budget: usize) {
        let room = self.room(indent);
        if seq.width + suffix.len() <= room {
            return self.push(indent, &(text_of(seq) + suffix));
        }
        let Some((before, group, after)) = broken(seq) else {
            return self.atom(&text_of(seq), indent, suffix, budget);
        };
        if budget < 3 {
            let short = abbreviated(seq, room.saturating_sub(suffix.len()));
            return self.push(indent, &(short + suffix));
        }
        self.push(indent, &(before + group.open.trim_end()));
        self.items(group, indent + INDENT, budget - 2);
        let close = group.close.trim_start_matches([' ', ',']);
        self.push(indent, &format!("{close}{after}{suffix}"));
    }

    /// The items of a group, on at most `budget` lines.
    fn items(&mut self, group: &Group<'_>, indent: usize, budget: usize) {
        let rows = rows(group, self.room(indent));
        let counted = rows.len() + usize::from(group.hidden != Hidden::None);
        if counted > budget {
            return self.ends(group, &rows, indent, budget);
        }
        match rows {
            Rows::Filled(rows) => {
                for row in rows {
                    self.push(indent, &row.text);
                }
            }
            Rows::Single(_) => {
                let room = self.room(indent);
                let wanted: Vec<usize> = group
                    .items
                    .iter()
                    .map(|item| height(item, room, budget))
                    .collect();
                let lines = shares(&wanted, budget - (counted - group.items.len()));
                for (item, lines) in group.items.iter().zip(lines) {
                    self.seq(item, indent, comma(item), lines);
                }
            }
        }
        if group.hidden != Hidden::None {
            self.left_out(indent, &more(group, group.items.len()));
        }
    }

    /// The first and the last rows, and how much there is between them.
    fn ends(&mut self, group: &Group<'_>, rows: &Rows, indent: usize, budget: usize) {
        if budget == 1 {
            let short = some_items(group, self.room(indent));
            return self.push(indent, &short);
        }
        let last = match group.hidden {
            Hidden::None => (budget - 1) / 2,
            _ => 0,
        };
        let (first, behind) = (0..budget - 1 - last, rows.len() - last..rows.len());
        let shown = rows.items(first.clone()) + rows.items(behind.clone());
        self.some_rows(group, rows, first, indent);
        self.left_out(indent, &more(group, shown));
        self.some_rows(group, rows, behind, indent);
    }

    fn some_rows(&mut self, group: &Group<'_>, rows: &Rows, which: Range<usize>, indent: usize) {
        match rows {
            Rows::Filled(rows) => {
                for row in &rows[which] {
                    self.push(indent, &row.text);
                }
            }
            Rows::Single(_) => {
                for item in &group.items[which] {
                    self.seq(item, indent, comma(item), 1);
                }
            }
        }
    }

    /// A text without inner structure: whole when it takes no more than `budget` lines of the terminal.
    fn atom(&mut self, atom: &str, indent: usize, suffix: &str, budget: usize) {
        let columns = text::width(atom) + suffix.len();
        if columns <= self.room(indent).saturating_mul(budget.max(1)) {
            return self.push(indent, &format!("{atom}{suffix}"));
        }
        if budget < 2 {
            let short = text::cut(atom, self.room(indent).saturating_sub(suffix.len()));
            return self.push(indent, &(short + suffix));
        }
        let end = prefix(atom, self.room(indent).saturating_mul(budget - 1));
        self.push(indent, &atom[..end]);
        let (shown, all) = (atom[..end].chars().count(), atom.chars().count());
        self.left_out(
            indent,
            &format!("… {} more of {all} characters", all - shown),
        );
    }

    /// A text that brings its own lines, such as a table: more of them are shown than of what is folded.
    fn own_lines(&mut self, text: &str, most: usize) {
        let most = most.max(OWN_LINES);
        let all = text.lines().count();
        for line in text.lines().take(most) {
            self.push(0, line);
        }
        if all > most {
            self.left_out(0, &format!("… {} more of {all} lines", all - most));
        }
    }
}

/// Lines of a text that has lines of its own.
const OWN_LINES: usize = 40;

/// Where a prefix of so many columns ends.
fn prefix(text: &str, columns: usize) -> usize {
    let mut used = 0;
    for (at, letter) in text.char_indices() {
        used += unicode_width::UnicodeWidthChar::width(letter).unwrap_or(0);
        if used > columns {
            return at;
        }
    }
    text.len()
}

fn text_of(seq: &Seq<'_>) -> String {
    let mut text = String::new();
    flat(seq, &mut text);
    text
}

/// The group of a value that is broken over lines, with the texts before and behind it: its widest one.
fn broken<'s, 'a>(seq: &'s Seq<'a>) -> Option<(String, &'s Group<'a>, String)> {
    let groups = seq
        .pieces
        .iter()
        .enumerate()
        .filter_map(|(index, piece)| match piece {
            Piece::Group(group) if group.total() > 0 => Some((index, group)),
            _ => None,
        });
    let (index, group) = groups.max_by_key(|(_, group)| group.width)?;
    let side = |pieces: &[Piece<'_>]| {
        let pieces = pieces.to_vec();
        text_of(&Seq { pieces, width: 0 })
    };
    Some((
        side(&seq.pieces[..index]),
        group,
        side(&seq.pieces[index + 1..]),
    ))
}

/// `{:#?}` sets a comma behind each item; `..` stands for fields without a name.
fn comma(item: &Seq<'_>) -> &'static str {
    match item.pieces.as_slice() {
        [Piece::Text("..")] => "",
        _ => ",",
    }
}

/// `… 988 more of 1000`
fn more(group: &Group<'_>, shown: usize) -> String {
    let (total, shown) = (group.total(), shown as u64);
    match group.hidden {
        Hidden::Uncounted => format!("… more than {total} in all"),
        _ => format!("… {} more of {total}", total.saturating_sub(shown)),
    }
}

/// How many lines a value takes when nothing is left out, at most `cap`.
fn height(seq: &Seq<'_>, room: usize, cap: usize) -> usize {
    if seq.width < room || cap <= 1 {
        return 1;
    }
    let Some((_, group, _)) = broken(seq) else {
        return (seq.width + 1).div_ceil(room).min(cap);
    };
    let inner = room.saturating_sub(INDENT).max(8);
    let rows = match rows(group, inner) {
        Rows::Filled(rows) => rows.len(),
        Rows::Single(_) => {
            let mut sum = 0;
            for item in &group.items {
                sum += height(item, inner, cap);
                if sum > cap {
                    break;
                }
            }
            sum
        }
    };
    (rows + 2 + usize::from(group.hidden != Hidden::None)).min(cap)
}

/// Divides `lines` among items that want so many each: the small ones get what they want, the others the
/// same each. There is at least one line for each.
fn shares(wanted: &[usize], lines: usize) -> Vec<usize> {
    let sum = |share: usize| wanted.iter().map(|want| (*want).min(share)).sum::<usize>();
    let mut share = 1;
    while share < lines && sum(share) < sum(usize::MAX) && sum(share + 1) <= lines {
        share += 1;
    }
    let mut left = lines.saturating_sub(sum(share));
    wanted
        .iter()
        .map(|&want| {
            let extra = want.saturating_sub(share).min(left);
            left -= extra;
            want.min(share) + extra
        })
        .collect()
}

/// How a group's items are spread over lines.
enum Rows {
    /// Side by side.
    Filled(Vec<Row>),
    /// So many, each with lines of its own.
    Single(usize),
}

struct Row {
    text: String,
    items: usize,
}

impl Rows {
    fn len(&self) -> usize {
        match self {
            Self::Filled(rows) => rows.len(),
            Self::Single(items) => *items,
        }
    }

    /// How many items stand in these rows.
    fn items(&self, which: Range<usize>) -> usize {
        match self {
            Self::Filled(rows) => rows[which].iter().map(|row| row.items).sum(),
            Self::Single(_) => which.len(),
        }
    }
}

fn rows(group: &Group<'_>, room: usize) -> Rows {
    let items = &group.items;
    let plain = |item: &Seq<'_>| match item.pieces.as_slice() {
        [Piece::Text(text)] => {
            group.open != "{ " && (text.starts_with('"') || !text.contains(": "))
        }
        [Piece::Text(_), Piece::Group(_)] | [Piece::Group(_)] => group.open == "[",
        _ => false,
    };
    let narrow = |item: &Seq<'_>| item.width <= NARROW.min(room / 2) && plain(item);
    if !items.iter().all(narrow) {
        return Rows::Single(items.len());
    }
    let texts: Vec<String> = items.iter().map(text_of).collect();
    // Numbers of about the same width are set in columns.
    let widest = items.iter().map(|item| item.width).max().unwrap_or(0);
    let all: usize = items.iter().map(|item| item.width).sum();
    let numbers = texts.iter().all(|text| text::is_number(text));
    let column = if numbers && widest * items.len() <= all + 3 * items.len() {
        widest
    } else {
        0
    };
    let mut rows: Vec<Row> = Vec::new();
    let mut used = usize::MAX;
    for (text, item) in texts.iter().zip(items) {
        let pad = column.saturating_sub(item.width);
        let columns = pad + item.width + 1;
        match rows.last_mut() {
            Some(row) if used.saturating_add(1 + columns) <= room => {
                row.text.push_str(&format!(" {:pad$}{text},", ""));
                row.items += 1;
                used += 1 + columns;
            }
            _ => {
                let text = format!("{:pad$}{text},", "");
                rows.push(Row { text, items: 1 });
                used = columns;
            }
        }
    }
    Rows::Filled(rows)
}

/// A value on one line of at most `room` columns.
fn abbreviated(seq: &Seq<'_>, room: usize) -> String {
    if seq.width <= room {
        return text_of(seq);
    }
    let Some((before, group, after)) = broken(seq) else {
        return text::cut(&text_of(seq), room);
    };
    let around = text::width(&before) + text::width(&after) + group.open.len() + group.close.len();
    if around + 1 >= room {
        return text::cut(&text_of(seq), room);
    }
    let items = some_items(group, room - around);
    text::cut(
        &format!("{before}{}{items}{}{after}", group.open, group.close),
        room,
    )
}

/// The first items of a group, and how many follow, in at most `room` columns.
fn some_items(group: &Group<'_>, room: usize) -> String {
    let said = text::width(&more(group, 0)) + 2;
    let (mut out, mut used, mut shown) = (String::new(), 0, 0);
    for item in &group.items {
        let last = shown + 1 == group.items.len() && group.hidden == Hidden::None;
        let gap = if shown == 0 { 0 } else { 2 };
        let kept = if last { 0 } else { said };
        let text = if used + gap + item.width + kept <= room {
            text_of(item)
        } else if shown == 0 && room > kept + 8 {
            abbreviated(item, room - kept)
        } else {
            break;
        };
        if shown > 0 {
            out.push_str(", ");
        }
        used += gap + text::width(&text);
        out.push_str(&text);
        shown += 1;
    }
    if shown < group.items.len() || group.hidden != Hidden::None {
        if shown > 0 {
            out.push_str(", ");
        }
        out.push_str(&more(group, shown));
    }
    out
}
