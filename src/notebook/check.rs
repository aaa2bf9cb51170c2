//! `--check`: does a cell's output say what its fence says? Compares text; it never runs anything and never
//! decides what a mismatch means for the exit status.

use similar::{Algorithm, DiffTag, capture_diff_slices, group_diff_ops};

use super::{
    align::{matches, resolve},
    mask::mask,
};

/// Lines shown around a difference.
const CONTEXT: usize = 3;

/// What a comparison found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Same,
    /// `diff` says in its first line where the first difference is, counted in lines of the fence from 1,
    /// and goes on with the masked lines: `-` expected, `+` actual, ` ` both. It has no colour and ends
    /// with `\n`.
    Different {
        diff: String,
    },
}

/// Compares an output with what was expected of it, both masked as [`mask`] says. A line of `expected` that
/// consists of `…` alone stands for any number of lines, also none; a `…` within a line is itself.
pub fn compare(expected: &str, actual: &str) -> Verdict {
    let (expected, actual) = (mask(expected), mask(actual));
    let expected: Vec<&str> = expected.lines().collect();
    let actual: Vec<&str> = actual.lines().collect();
    if matches(&expected, &actual) {
        Verdict::Same
    } else {
        Verdict::Different {
            diff: diff(&expected, &actual),
        }
    }
}

fn diff(expected: &[&str], actual: &[&str]) -> String {
    let (origin, old): (Vec<usize>, Vec<&str>) = resolve(expected, actual).into_iter().unzip();
    // The fence's line, from 1, that a line of `old` comes from; one past the end when there is none.
    let line = |at: usize| origin.get(at).copied().unwrap_or(expected.len()) + 1;
    let ops = capture_diff_slices(Algorithm::Myers, &old, actual);
    let first = ops
        .iter()
        .find(|op| op.tag() != DiffTag::Equal)
        .map_or(1, |op| line(op.old_range().start));
    let mut text = format!("first difference at line {first} of the expected output:\n");
    for (number, hunk) in group_diff_ops(ops, CONTEXT).into_iter().enumerate() {
        if let Some(op) = hunk.first().filter(|_| number > 0) {
            text.extend(["@@ line ", &line(op.old_range().start).to_string(), " @@\n"]);
        }
        for op in hunk {
            let (_, before, after) = op.as_tag_tuple();
            if op.tag() == DiffTag::Equal {
                push(&mut text, ' ', &actual[after]);
            } else {
                push(&mut text, '-', &old[before]);
                push(&mut text, '+', &actual[after]);
            }
        }
    }
    text
}

fn push(text: &mut String, sign: char, lines: &[&str]) {
    for line in lines {
        text.push(sign);
        text.push_str(line);
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff_of(expected: &str, actual: &str) -> String {
        match compare(expected, actual) {
            Verdict::Same => String::new(),
            Verdict::Different { diff } => diff,
        }
    }

    #[test]
    fn times_differ_and_results_must_not() {
        assert_eq!(
            compare("up in 6 ms\nOut[1]: 3\n", "up in 1.2 s\nOut[1]: 3"),
            Verdict::Same
        );
        assert_eq!(
            diff_of("up in 6 ms\nOut[1]: 3", "up in 1.2 s\nOut[1]: 4"),
            "first difference at line 2 of the expected output:\n up in ⟨time⟩\n-Out[1]: 3\n+Out[1]: 4\n"
        );
    }

    #[test]
    fn nothing_equals_only_nothing() {
        assert_eq!(compare("", "\n \n"), Verdict::Same);
        assert_eq!(
            diff_of("", "a"),
            "first difference at line 1 of the expected output:\n+a\n"
        );
        assert_eq!(
            diff_of("a", ""),
            "first difference at line 1 of the expected output:\n-a\n"
        );
        assert_eq!(
            diff_of("a", "a\nb"),
            "first difference at line 2 of the expected output:\n a\n+b\n"
        );
    }

    #[test]
    fn a_line_of_dots_matches_lines_and_dots_in_a_line_do_not() {
        assert_eq!(compare("a\n…\nz", "a\nb\nc\nz"), Verdict::Same);
        assert_eq!(compare("a\n…\nz", "a\nz"), Verdict::Same);
        assert_eq!(compare("[1, 2, …]", "[1, 2, …]"), Verdict::Same);
        assert_ne!(compare("[1, 2, …]", "[1, 2, 3]"), Verdict::Same);
    }

    #[test]
    fn what_the_dots_stand_for_is_no_difference() {
        assert_eq!(
            diff_of("a\n…\nc\nx\nz", "a\nb\nc\ny\nz"),
            "first difference at line 4 of the expected output:\n a\n b\n c\n-x\n+y\n z\n"
        );
    }

    #[test]
    fn far_differences_come_with_a_few_lines_around_them() {
        let expected: Vec<String> = (1..=40).map(|n| format!("row {n}")).collect();
        let mut actual = expected.clone();
        actual[9] = "ten".to_owned();
        actual[29] = "thirty".to_owned();
        let diff = diff_of(&expected.join("\n"), &actual.join("\n"));
        assert!(
            diff.starts_with("first difference at line 10 of the expected output:\n row 7\n"),
            "{diff}"
        );
        assert!(diff.contains(" row 13\n@@ line 27 @@\n row 27\n"), "{diff}");
        assert!(
            diff.ends_with("-row 30\n+thirty\n row 31\n row 32\n row 33\n"),
            "{diff}"
        );
    }
}
