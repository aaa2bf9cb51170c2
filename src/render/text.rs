//! Text that has to fit: escaping, measuring in terminal columns, cutting, lists of ranks. It never looks at
//! what the text means.

use std::borrow::Cow;

use unicode_width::UnicodeWidthStr;

use crate::ids::Rank;

/// Longer texts are cut before they are measured; no terminal is wider.
const LONGEST_CELL: usize = 2_000;

/// Of a message, so many characters and so many lines are shown.
const LONGEST_MESSAGE: usize = 4_000;
const MOST_LINES: usize = 60;

/// Terminal columns that `text` takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// `text` on one line, safe inside a table: line ends as `⏎`, control characters and those that turn the
/// writing direction as Rust escapes. Anything else would move the borders.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(LONGEST_CELL));
    for (index, char) in text.chars().enumerate() {
        if index == LONGEST_CELL {
            line.push('…');
            break;
        }
        match char {
            '\n' => line.push('⏎'),
            c if c.is_control() || turns_direction(c) => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
    line
}

fn turns_direction(char: char) -> bool {
    matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` in at most `columns` columns; what is too long ends in `…`.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    if columns == 0 {
        return String::new();
    }
    // Prefixes are measured as a whole, since joined emoji are narrower than the sum of their parts.
    let end = text
        .char_indices()
        .map(|(start, char)| start + char.len_utf8())
        .take(LONGEST_CELL)
        .take_while(|end| width(&text[..*end]) < columns)
        .last()
        .unwrap_or(0);
    format!("{}…", text[..end].trim_end_matches('\u{200d}'))
}

/// As much of a message of the user's code as a screen has room for; what is left out is counted.
pub(crate) fn screenful(message: &str) -> Cow<'_, str> {
    let lines = message.match_indices('\n').nth(MOST_LINES - 1);
    let end = lines.map_or(message.len(), |(at, _)| at);
    let longest = message[..end].char_indices().nth(LONGEST_MESSAGE);
    let end = longest.map_or(end, |(at, _)| at);
    if message[end..].trim_end().is_empty() {
        return Cow::Borrowed(message);
    }
    let more = message[end..].chars().count();
    format!("{}… {more} more characters", &message[..end]).into()
}

/// Parts in a row; where the next one doesn't fit, it goes on below. `end` closes a line that goes on.
pub(crate) fn fold<S: AsRef<str>>(parts: &[S], separator: &str, end: &str, room: usize) -> String {
    let mut folded = String::new();
    let mut last = 0;
    for (index, part) in parts.iter().enumerate() {
        let closing = if index + 1 < parts.len() {
            width(end)
        } else {
            0
        };
        let part = cut(part.as_ref(), room.saturating_sub(closing));
        let columns = width(&part);
        if index == 0 {
            last = columns;
        } else if last + width(separator) + columns + closing <= room {
            folded.push_str(separator);
            last += width(separator) + columns;
        } else {
            folded.push_str(end);
            folded.push('\n');
            last = columns;
        }
        folded.push_str(&part);
    }
    folded
}

/// A bar of at most `cells` columns for `part` of `whole`, in eighths of a column. Rounded down, so that only
/// the whole is full; but something is never nothing.
pub(crate) fn bar(part: u128, whole: u128, cells: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if part == 0 {
        return String::new();
    }
    let full = cells * 8;
    let eighths = part.saturating_mul(full as u128) / whole.max(1);
    let eighths = usize::try_from(eighths).unwrap_or(full).clamp(1, full);
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

/// Whether a value's text is a number, and so belongs to the right side of its column.
pub(crate) fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    matches!(digits, "inf" | "NaN")
        || digits.starts_with(|c: char| c.is_ascii_digit())
            && digits.replace('_', "").parse::<f64>().is_ok()
}

/// Ranks as people write them: `0-2`, `0,2,5-7`. Two neighbours stay a pair: `0,1`.
pub(crate) fn ranks(ranks: &[Rank]) -> String {
    let runs = runs(ranks);
    let parts = runs.iter().map(|&(first, last)| match last - first {
        0 => first.to_string(),
        1 => format!("{first},{last}"),
        _ => format!("{first}-{last}"),
    });
    parts.collect::<Vec<_>>().join(",")
}

/// `engine 1` or `engines 0-2`.
pub(crate) fn engines(list: &[Rank]) -> String {
    let noun = if list.len() == 1 { "engine" } else { "engines" };
    format!("{noun} {}", cut(&ranks(list), 40))
}

/// Neighbouring ranks as (first, last).
fn runs(ranks: &[Rank]) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for &Rank(rank) in ranks {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(rank) => *last = rank,
            _ => runs.push((rank, rank)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(ranks: &[u32]) -> Vec<Rank> {
        ranks.iter().copied().map(Rank).collect()
    }

    #[test]
    fn ranks_are_written_as_ranges() {
        assert_eq!(ranks(&list(&[0, 1, 2])), "0-2");
        assert_eq!(ranks(&list(&[0, 2, 5, 6, 7])), "0,2,5-7");
        assert_eq!(ranks(&list(&[0, 1])), "0,1");
        assert_eq!(ranks(&list(&[u32::MAX])), "4294967295");
        assert_eq!(engines(&list(&[1])), "engine 1");
        assert_eq!(engines(&list(&[1, 3])), "engines 1,3");
    }

    #[test]
    fn bars_do_not_lie() {
        assert_eq!(bar(0, 0, 5), "");
        assert_eq!(bar(1, 1_000_000, 5), "▏");
        assert_eq!(bar(999, 1000, 5), "████▉");
        assert_eq!(bar(1000, 1000, 5), "█████");
        assert_eq!(bar(u128::MAX, 1, 5), "█████");
    }

    #[test]
    fn cutting_counts_columns_not_characters() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdefg", 6), "abcde…");
        assert_eq!(cut("漢字漢字", 6), "漢字…");
        assert_eq!(cut("漢字漢字", 5), "漢字…");
        assert_eq!(cut("👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦", 5), "👩‍👩‍👧‍👦👩‍👩‍👧‍👦…");
        assert_eq!(cut("abc", 0), "");
    }

    #[test]
    fn what_does_not_fit_goes_on_below() {
        let parts = ["ab", "cd", "efgh", "a long one"];
        assert_eq!(fold(&parts, ", ", ",", 80), "ab, cd, efgh, a long one");
        assert_eq!(fold(&parts, ", ", ",", 10), "ab, cd,\nefgh,\na long one");
        assert_eq!(fold(&parts, " · ", "", 6), "ab\ncd\nefgh\na lon…");
        assert_eq!(fold::<&str>(&[], ", ", ",", 10), "");
    }

    #[test]
    fn nothing_in_one_line_moves_the_cursor() {
        let line = one_line("a\nb\tc\u{1b}[2Jd\r\u{202e}e\u{9b}");
        assert_eq!(line, "a⏎b\\tc\\u{1b}[2Jd\\r\\u{202e}e\\u{9b}");
        assert!(one_line(&"x".repeat(10_000)).chars().count() < 2_100);
    }

    #[test]
    fn messages_fill_no_more_than_a_screen() {
        assert_eq!(screenful("a\nb\n"), "a\nb\n");
        let (shown, more) = ("é".repeat(4_000), "é".repeat(1_000));
        assert_eq!(screenful(&shown), shown);
        let cut = format!("{shown}… 1000 more characters");
        assert_eq!(screenful(&(shown + &more)), cut);
        let lines = screenful(&"x\n".repeat(100)).into_owned();
        assert!(lines.lines().count() == 60 && lines.ends_with("x… 81 more characters"));
    }

    #[test]
    fn numbers_are_told_from_words() {
        for text in ["0", "-12", "1.5", "1e-7", "inf", "NaN", "-inf", "1_000"] {
            assert!(is_number(text), "{text}");
        }
        for text in ["", "-", "infinity", "1 kB", "\"1\"", "Some(1)", "1,2"] {
            assert!(!is_number(text), "{text}");
        }
    }
}
