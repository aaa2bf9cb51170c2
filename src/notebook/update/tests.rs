//! That `--update` changes outputs and nothing else, whatever the notebook looks like.

use crate::notebook::{Notebook, mask::lines, tests::LESSON};

fn update(text: &str, outputs: &[&str]) -> String {
    let outputs: Vec<String> = outputs.iter().map(|&output| output.to_owned()).collect();
    Notebook::parse(text).with_outputs(&outputs)
}

#[test]
fn outputs_are_written_replaced_and_removed() {
    let none = "a\n\n```rust\n1\n```\n\nb\n";
    let one = "a\n\n```rust\n1\n```\n\n```text\none\n```\n\nb\n";
    let two = "a\n\n```rust\n1\n```\n\n```text\ntwo\n\n  lines\n```\n\nb\n";
    assert_eq!(update(none, &["one\n"]), one);
    assert_eq!(update(one, &["two  \n\n  lines\n\n"]), two);
    assert_eq!(update(two, &[" \n"]), none);
    assert_eq!(update(none, &[""]), none);
}

#[test]
fn a_fence_that_says_the_same_keeps_its_looks() {
    let text = "```rust\n1\n```\n~~~~ text\none\n~~~~\n";
    assert_eq!(update(text, &["one\n"]), text);
    assert_eq!(
        update(text, &["two"]),
        "```rust\n1\n```\n```text\ntwo\n```\n"
    );
}

#[test]
fn a_fence_with_a_wildcard_stays_while_it_holds() {
    let text = "```rust\n1\n```\n\n```text\nerror: one\n…\n```\n";
    assert_eq!(update(text, &["error: one\n  = note: two"]), text);
    assert_eq!(
        update(text, &["error: two\n  = note: two"]),
        "```rust\n1\n```\n\n```text\nerror: two\n  = note: two\n```\n"
    );
}

#[test]
fn cells_that_did_not_run_keep_what_they_have() {
    assert_eq!(update(LESSON, &[]), LESSON);
    assert_eq!(update(LESSON, &["", "Out[2]: 3"]), LESSON);
}

#[test]
fn an_output_with_fences_cannot_break_out() {
    let output = "```rust\nnot_a_cell()\n```\n````";
    let updated = update("```rust\n1\n```", &[output]);
    assert_eq!(
        updated,
        format!("```rust\n1\n```\n\n`````text\n{output}\n`````")
    );
    assert_eq!(
        Notebook::parse(&updated).cells()[0].expected.as_deref(),
        Some(output)
    );
}

#[test]
fn output_goes_where_the_cell_is() {
    assert_eq!(
        update("- ```rust\n  1\n  ```\n- b\n", &["x\n\n y"]),
        "- ```rust\n  1\n  ```\n\n  ```text\n  x\n\n   y\n  ```\n- b\n"
    );
    assert_eq!(
        update("> 1. ```rust\n>    1\n>    ```\n> b\n", &["x\n\ny"]),
        "> 1. ```rust\n>    1\n>    ```\n>\n>    ```text\n>    x\n>\n>    y\n>    ```\n> b\n"
    );
}

#[test]
fn a_crlf_file_stays_one() {
    let updated = update("a\r\n```rust\r\n1\r\n```\r\nb\r\n", &["x\ny"]);
    assert_eq!(
        updated,
        "a\r\n```rust\r\n1\r\n```\r\n\r\n```text\r\nx\r\ny\r\n```\r\nb\r\n"
    );
    assert_eq!(
        Notebook::parse(&updated).cells()[0].expected.as_deref(),
        Some("x\ny")
    );
    assert_eq!(update(&updated, &[""]), "a\r\n```rust\r\n1\r\n```\r\nb\r\n");
}

#[test]
fn a_cell_without_closing_fence_gets_one_with_its_output() {
    assert_eq!(
        update("```rust\n1", &["x"]),
        "```rust\n1\n```\n\n```text\nx\n```"
    );
    assert_eq!(
        update("- ~~~rust\n  1\n\nb\n", &["x"]),
        "- ~~~rust\n  1\n  ~~~\n\n  ```text\n  x\n  ```\n\nb\n"
    );
    assert_eq!(update("```rust\n1", &[""]), "```rust\n1");
}

#[test]
fn a_lesson_updated_twice_is_a_lesson_updated_once() {
    let outputs = ["", "Out[2]: 5\n", "a\n```\nb", "  Out[4]: 3"];
    let once = update(LESSON, &outputs);
    assert_eq!(update(&once, &outputs), once);
    let expected: Vec<_> = Notebook::parse(&once)
        .cells()
        .iter()
        .map(|cell| cell.expected.clone())
        .collect();
    assert_eq!(
        expected[1..],
        outputs[1..]
            .iter()
            .map(|text| Some(text.trim_end().to_owned()))
            .collect::<Vec<_>>()
    );
}

struct XorShift(u64);

impl XorShift {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % end.max(1)
    }
}

const PIECES: &[&str] = &[
    "```",
    "~~~",
    "````",
    "rust",
    "text",
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    " ",
    "  ",
    "    ",
    "\t",
    "> ",
    ">",
    "- ",
    "1. ",
    "-\t",
    "é",
    "…",
    "\0",
    "<!--",
    "-->",
    "[a]: b",
    "---",
    "```rust\nx\n",
    "```text\n",
    "\u{feff}",
];

#[test]
fn five_hundred_mutated_lessons_are_read_and_updated() {
    let mut random = XorShift(0x9E37_79B9_7F4A_7C15);
    let outputs: Vec<String> = ["x\n\n  y", "```", "> q\n\ttab", "1. a", ""]
        .iter()
        .map(ToString::to_string)
        .collect();
    let mut cells = 0;
    for _ in 0..500 {
        let mut chars: Vec<char> = LESSON.chars().collect();
        for _ in 0..=random.below(8) {
            let at = random.below(chars.len());
            let end = (at + random.below(6)).min(chars.len());
            chars.splice(at..end, PIECES[random.below(PIECES.len())].chars());
        }
        let text: String = chars.into_iter().collect();
        let notebook = Notebook::parse(&text);
        cells += notebook.cells().len();
        let updated = notebook.with_outputs(&outputs);
        let again = Notebook::parse(&updated);
        let before: Vec<_> = notebook
            .cells()
            .iter()
            .map(|cell| cell.code.trim_end())
            .collect();
        let after: Vec<_> = again
            .cells()
            .iter()
            .map(|cell| cell.code.trim_end())
            .collect();
        assert_eq!(before, after, "{text:?}\n{updated:?}");
        assert_eq!(again.with_outputs(&outputs[..4]), updated, "{text:?}");
        for (cell, output) in again.cells().iter().zip(&outputs[..4]) {
            let expected = cell.expected.as_deref().map(lines);
            assert_eq!(expected, Some(lines(output)), "{text:?}\n{updated:?}");
        }
    }
    assert!(cells > 1000, "only {cells} cells survived");
}
