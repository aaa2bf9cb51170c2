//! Which cells are meant: `3`, `2-5`, `4-`, and of earlier sessions `~1/`, `~2/3-5`, `~2/7-~1/2`. It must never
//! know which cells there are.

/// Cells of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellRange {
    /// Sessions back: 0 is this one.
    pub back: u32,
    pub first: u32,
    /// Among them; `None` up to the end.
    pub last: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no cells")]
pub struct RangeError(pub String);

/// The cells that words name, in the order of the words.
///
/// # Errors
/// Names the first word that is no range.
pub fn cell_ranges<'a>(
    words: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<CellRange>, RangeError> {
    let mut ranges = Vec::new();
    for word in words {
        let found = range(word).ok_or_else(|| RangeError(word.to_owned()))?;
        ranges.extend(found);
    }
    Ok(ranges)
}

fn range(word: &str) -> Option<Vec<CellRange>> {
    let (from, to) = match word.split_once('-') {
        Some((from, to)) => (place(from)?, Some(to)),
        None => (place(word)?, None),
    };
    let (back, first) = from;
    let one = |last| {
        vec![CellRange {
            back,
            first: first.unwrap_or(1),
            last,
        }]
    };
    let Some(to) = to else {
        // `~1/` is all of it.
        return Some(one(first));
    };
    first?;
    if to.is_empty() {
        return Some(one(None));
    }
    let (end, last) = if to.starts_with('~') {
        place(to)?
    } else {
        (back, Some(to.parse().ok()?))
    };
    if end == back {
        return Some(one(last));
    }
    let sessions = (end..=back).rev().map(|session| CellRange {
        back: session,
        first: if session == back {
            first.unwrap_or(1)
        } else {
            1
        },
        last: last.filter(|_| session == end),
    });
    (end < back).then(|| sessions.collect())
}

/// `7` or `~2/7`: sessions back, and the cell, if one is named.
fn place(text: &str) -> Option<(u32, Option<u32>)> {
    let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number > 0);
    let Some(rest) = text.strip_prefix('~') else {
        return Some((0, Some(number(text)?)));
    };
    match rest.split_once('/')? {
        (back, "") => Some((number(back)?, None)),
        (back, cell) => Some((number(back)?, Some(number(cell)?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_as_they_are_written() {
        for (text, wanted) in [
            ("1", vec![(0, 1, Some(1))]),
            ("21-23", vec![(0, 21, Some(23))]),
            ("4-", vec![(0, 4, None)]),
            ("~1/", vec![(1, 1, None)]),
            ("~1/3", vec![(1, 3, Some(3))]),
            ("~4/5-6", vec![(4, 5, Some(6))]),
            ("~4/4-", vec![(4, 4, None)]),
            ("~4/7-~4/9", vec![(4, 7, Some(9))]),
            (
                "~9/2-~7/5",
                vec![(9, 2, None), (8, 1, None), (7, 1, Some(5))],
            ),
            (
                "2 ~1/ 1-2",
                vec![(0, 2, Some(2)), (1, 1, None), (0, 1, Some(2))],
            ),
            ("", vec![]),
        ] {
            let found = cell_ranges(text.split_whitespace()).expect(text);
            let found: Vec<_> = found
                .iter()
                .map(|at| (at.back, at.first, at.last))
                .collect();
            assert_eq!(found, wanted, "{text}");
        }
        for text in [
            "0",
            "x",
            "-",
            "-3",
            "2/3",
            "~",
            "~1",
            "~0/",
            "~x/1",
            "1-x",
            "~1/2-~2/3",
            "~1/-3",
            "3 x",
        ] {
            assert!(cell_ranges(text.split_whitespace()).is_err(), "{text}");
        }
    }
}
