//! Which line of a cell each line of the code that was generated from it is. Statements keep their order there,
//! but one line may be cut into several, and may stand beside generated text.

use std::collections::HashMap;

/// How far on a line is looked for that stands beside other text.
const REACH: usize = 200;

/// For each line of `generated` the line of `code`, from 1.
pub fn aligned(generated: &str, code: &str) -> Vec<Option<usize>> {
    let lines: Vec<&str> = code.lines().map(str::trim).collect();
    let mut exact: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, line) in lines.iter().enumerate() {
        exact.entry(line).or_default().push(at);
    }
    // The line that is expected next, and what is left of the line before.
    let (mut next, mut rest) = (0, "");
    let mut found = Vec::new();
    for text in generated.lines().map(str::trim) {
        let says = |text: &str| text.contains(char::is_alphanumeric);
        if !says(text) {
            found.push(None);
            continue;
        }
        if let Some(more) = rest.trim_start().strip_prefix(text) {
            rest = more;
            found.push(Some(next));
            continue;
        }
        let same = exact.get(text).and_then(|all| {
            let behind = all.partition_point(|at| *at < next);
            all.get(behind).or_else(|| all.last())
        });
        let part = || {
            let from = next.saturating_sub(1);
            let near = from..lines.len().min(from + REACH);
            let earlier = from.saturating_sub(REACH)..from;
            near.chain(earlier.rev()).find(|at| {
                let line = lines[*at];
                says(line)
                    && (text.len() > 3 && line.contains(text)
                        || line.len() > 3 && text.contains(line)
                        || same_end(text, line) > line.len() / 2)
            })
        };
        let at = same.copied().or_else(part);
        if let Some(at) = at {
            next = at + 1;
            rest = lines[at].split_once(text).map_or("", |(_, rest)| rest);
        }
        found.push(at.map(|at| at + 1));
    }
    // A cell's value is put into parentheses, on lines of their own.
    for (at, text) in generated.lines().enumerate() {
        if text.trim() == "(" && at + 1 < found.len() {
            found[at] = found[at + 1];
        }
    }
    found
}

/// How many bytes at their ends two lines have in common.
fn same_end(one: &str, other: &str) -> usize {
    let pairs = one.bytes().rev().zip(other.bytes().rev());
    pairs.take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use super::aligned;

    #[test]
    fn lines_are_found_in_their_order() {
        let code = "let a = 1; f(a);\n\nif a == 1 {\n    f(a);\n}\nf(a);\nx";
        let generated =
            "fn run() {\nlet a = 1;\nf(a);\nif a == 1 {\n    f(a);\n}\nf(a);\n(\nx\n).show();\n}";
        let lines: Vec<usize> = aligned(generated, code)
            .into_iter()
            .map(Option::unwrap_or_default)
            .collect();
        assert_eq!(lines, [0, 1, 1, 3, 4, 0, 6, 7, 7, 0, 0]);
    }

    #[test]
    fn a_short_line_and_one_beside_generated_text_are_found() {
        assert_eq!(
            aligned("start();\n(1/0).evcxr_display();", "1/0"),
            [None, None]
        );
        assert_eq!(
            aligned("let f: fn(_) -> _ = |x: u8| g(x);", "let f = |x: u8| g(x);"),
            [Some(1)]
        );
        assert_eq!(aligned("(\n1/0\n)", "1/0"), [Some(1), Some(1), None]);
        assert_eq!(
            aligned("let r = g(panic!(\"x\"), 2);", "panic!(\"x\")"),
            [Some(1)]
        );
    }

    #[test]
    fn long_cells_are_quick() {
        let code: String = (0..50_000).map(|i| format!("f({i});\n")).collect();
        let found = aligned(&code, &code);
        assert!(
            found
                .iter()
                .enumerate()
                .all(|(at, line)| *line == Some(at + 1))
        );
    }
}
