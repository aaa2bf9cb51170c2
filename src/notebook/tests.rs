//! What users rely on when they write a notebook: which fences are cells, and which are their outputs.

use super::*;

pub(super) const LESSON: &str = "\
# Fibonacci

Prose with `code` and ```` ```rust ````.

```rust
fn fib(n: u64) -> u64 { n }
```

```rust
fib(3)
```

```text
Out[2]: 3
```

1. In a list:

   ```rust
   let a = 1;

   a
   ```
   ```text
   Out[3]: 1
   ```

> ~~~~ rust
> fib(4)
> ~~~~

```rust,ignore
not_a_cell()
```

```text
just text
```
";

fn codes(text: &str) -> Vec<String> {
    Notebook::parse(text)
        .cells()
        .iter()
        .map(|cell| cell.code.clone())
        .collect()
}

#[test]
fn a_lesson_has_its_cells_their_lines_and_expected_outputs() {
    let notebook = Notebook::parse(LESSON);
    let found: Vec<_> = notebook
        .cells()
        .iter()
        .map(|cell| (cell.code.as_str(), cell.line, cell.expected.as_deref()))
        .collect();
    assert_eq!(
        found,
        [
            ("fn fib(n: u64) -> u64 { n }", 6, None),
            ("fib(3)", 10, Some("Out[2]: 3")),
            ("let a = 1;\n\na", 20, Some("Out[3]: 1")),
            ("fib(4)", 29, None),
        ]
    );
}

#[test]
fn only_the_word_rust_alone_makes_a_cell() {
    assert_eq!(
        codes("```rust  \n1\n```\n\n~~~~~ rust\n2\n~~~~~\n"),
        ["1", "2"]
    );
    for info in [
        "rust,ignore",
        "rust no_run",
        "Rust",
        "rs",
        "text",
        "",
        "rustic",
    ] {
        assert!(codes(&format!("```{info}\n1\n```\n")).is_empty(), "{info}");
    }
    assert!(
        codes("    ```rust\n    1\n    ```\n").is_empty(),
        "indented code"
    );
    assert!(
        codes("`````md\n```rust\n1\n```\n`````\n").is_empty(),
        "a fence within a fence"
    );
    assert!(codes("just prose").is_empty());
    assert!(codes("").is_empty());
}

#[test]
fn code_comes_without_indentation_and_with_plain_line_ends() {
    assert_eq!(
        codes("- ```rust\n  if a {\n      b\n  }\n  ```\n"),
        ["if a {\n    b\n}"]
    );
    assert_eq!(codes("```rust\r\na\r\n\r\nb\r\n```\r\n"), ["a\n\nb"]);
    assert_eq!(codes("> - ```rust\n>   1\n>   ```\n"), ["1"]);
    assert_eq!(
        codes("\u{feff}```rust\n1\n```\n"),
        ["1"],
        "a byte order mark"
    );
}

#[test]
fn expected_output_is_the_very_next_block() {
    let expected = |between: &str| {
        let notebook = Notebook::parse(&format!("```rust\n1\n```\n{between}```text\nOut\n```\n"));
        notebook.cells()[0].expected.clone()
    };
    assert_eq!(expected("").as_deref(), Some("Out"));
    assert_eq!(expected("\n  \n\n").as_deref(), Some("Out"));
    for between in [
        "\nprose\n\n",
        "[a]: b\n\n",
        "<!-- c -->\n\n",
        "```sh\n```\n",
        "---\n",
        "> q\n\n",
    ] {
        assert_eq!(expected(between), None, "{between:?}");
    }
}

#[test]
fn the_second_text_fence_is_not_output() {
    let text = "```rust\n1\n```\n\n```text\nOut\n```\n\n```text\nprose\n```\n";
    assert_eq!(
        Notebook::parse(text).cells()[0].expected.as_deref(),
        Some("Out")
    );
}
