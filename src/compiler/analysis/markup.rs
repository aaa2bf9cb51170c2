//! rust-analyzer's Markdown taken apart: where something is defined, its signature, its documentation.

use pulldown_cmark::{Event, Parser, TagEnd};

/// A hover's parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts {
    /// `alloc::vec::Vec`; empty for what has no path.
    pub path: String,
    pub signature: String,
    /// Markdown.
    pub docs: String,
}

/// Takes a hover's text apart.
pub(super) fn parts(markup: &str) -> Parts {
    let mut blocks = Vec::new();
    let mut rest = markup.trim_start();
    while let Some((block, behind)) = rest
        .strip_prefix("```rust\n")
        .and_then(|inside| inside.split_once("\n```"))
    {
        blocks.push(block.trim().to_owned());
        rest = behind.trim_start();
    }
    let (path, signature) = if blocks.len() > 1 {
        let path = blocks.remove(0);
        (path, blocks.join("\n"))
    } else {
        (String::new(), blocks.join("\n"))
    };
    // What type parameters stand for is told by the signature's own type.
    while let Some((section, behind)) = after_rule(rest) {
        let substitution = section.starts_with('`') && section.contains("` = `");
        rest = behind;
        if !substitution {
            break;
        }
        if let Some(at) = rest.find("\n---") {
            rest = &rest[at + 1..];
        } else {
            rest = "";
        }
    }
    Parts {
        path,
        signature,
        docs: rest.trim().to_owned(),
    }
}

/// What stands behind a rule at the beginning, twice: as a section, and as the rest.
fn after_rule(text: &str) -> Option<(&str, &str)> {
    let behind = text.trim_start().strip_prefix("---")?.trim_start();
    Some((behind, behind))
}

/// The first sentence or line of a Markdown text, without its marks.
pub(super) fn summary(docs: &str) -> String {
    let first = docs.trim_start();
    let end = first.find("\n\n").unwrap_or(first.len());
    let mut text = String::new();
    for event in Parser::new(&first[..end]) {
        match event {
            Event::Text(part) | Event::Code(part) => text.push_str(&part),
            Event::SoftBreak | Event::HardBreak => text.push(' '),
            Event::End(TagEnd::Paragraph | TagEnd::Heading(_)) => break,
            _ => {}
        }
    }
    let end = text.find(". ").map_or(text.len(), |stop| stop + 1);
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hover_is_path_signature_and_documentation() {
        let markup = "\n```rust\nalloc::vec::Vec\n```\n\n```rust\nimpl<T, A> Vec<T, A>\npub fn push(&mut self, value: T)\n```\n\n---\n\n`T` = `u8`\n\n---\n\nAppends an element.\n\n# Panics\n\nPanics.";
        let parts = parts(markup);
        assert_eq!(parts.path, "alloc::vec::Vec");
        assert_eq!(
            parts.signature,
            "impl<T, A> Vec<T, A>\npub fn push(&mut self, value: T)"
        );
        assert_eq!(parts.docs, "Appends an element.\n\n# Panics\n\nPanics.");
    }

    #[test]
    fn what_has_no_path_or_no_documentation() {
        let parts = parts("```rust\nlet x: u8\n```");
        assert_eq!(
            (
                parts.path.as_str(),
                parts.signature.as_str(),
                parts.docs.as_str()
            ),
            ("", "let x: u8", "")
        );
        let keyword = super::parts("```rust\nmatch\n```\n\n---\n\nControl flow.");
        assert_eq!(keyword.docs, "Control flow.");
    }

    #[test]
    fn a_summary_is_the_first_sentence_without_marks() {
        for (docs, shown) in [
            ("Appends an element.\n\n# Panics", "Appends an element."),
            (
                "A `Vec<T>`, [short](x)\nfor it. More.",
                "A Vec<T>, short for it.",
            ),
            ("", ""),
            ("# Title\n\nText", "Title"),
        ] {
            assert_eq!(summary(docs), shown, "{docs}");
        }
    }
}
