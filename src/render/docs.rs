//! Documentation as a page: where the name is defined, its signature, what is written about it, its source.

use super::Style;
use super::markdown::markdown;
use crate::outcome::Docs;

/// Lines of documentation or source that are shown before the rest is only told.
const MOST_LINES: usize = 36;
/// A rest of so few lines is shown too.
const FEW_LINES: usize = 4;

pub(crate) fn docs(docs: &Docs, style: &Style) -> String {
    let mut page = String::new();
    if !docs.path.is_empty() {
        page.push_str(&style.faint(&docs.path));
        page.push('\n');
    }
    for line in docs.signature.lines() {
        page.push_str(&style.strong(line));
        page.push('\n');
    }
    if let Some((first, others)) = docs.imports.split_first() {
        page.push_str(&style.faint(&format!("in cells: use {first};")));
        if !others.is_empty() {
            page.push_str(&style.faint(&format!("  or {}", others.join(", "))));
        }
        page.push('\n');
    }
    let text = markdown(&docs.text, style.width, style);
    if !text.is_empty() {
        page.push('\n');
        part(&mut page, &text, docs, style);
    } else if docs.source.is_none() && !docs.path.is_empty() {
        page.push_str(&style.faint("no documentation"));
        page.push('\n');
    }
    if let Some(source) = &docs.source {
        let place = if source.place.is_empty() {
            "defined in this session".to_owned()
        } else {
            source.place.clone()
        };
        page.push('\n');
        page.push_str(&style.faint(&place));
        page.push('\n');
        part(&mut page, &source.code, docs, style);
    }
    page
}

/// A text, cut where it is long and not all of it is wanted.
fn part(page: &mut String, text: &str, docs: &Docs, style: &Style) {
    let lines: Vec<&str> = text.lines().collect();
    let shown = if docs.whole || lines.len() <= MOST_LINES + FEW_LINES {
        lines.len()
    } else {
        // At the end of a paragraph, if there is one near.
        let blank = lines[..MOST_LINES].iter().rposition(|line| line.is_empty());
        blank
            .filter(|at| *at > MOST_LINES / 2)
            .unwrap_or(MOST_LINES)
    };
    for line in &lines[..shown] {
        page.push_str(line);
        page.push('\n');
    }
    if shown < lines.len() {
        let rest = lines.len() - shown;
        let source = if docs.source.is_some() {
            "--source "
        } else {
            ""
        };
        let more = format!("… {rest} more lines: %doc --all {source}{}", docs.name);
        page.push_str(&style.spell(style.faint(&more)));
        page.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Definition;

    fn sample() -> Docs {
        Docs {
            name: "f".to_owned(),
            path: "a::b".to_owned(),
            signature: "pub fn f()".to_owned(),
            text: "Does it.\n\n# Panics\n\nNever.".to_owned(),
            ..Docs::default()
        }
    }

    #[test]
    fn a_page_has_place_signature_and_text() {
        assert_eq!(
            docs(&sample(), &Style::plain(80)),
            "a::b\npub fn f()\n\nDoes it.\n\nPANICS\n\nNever.\n"
        );
        let imported = Docs {
            imports: vec!["a::b::f".to_owned(), "c::f".to_owned()],
            text: String::new(),
            source: Some(Definition {
                place: "b.rs:1".to_owned(),
                code: "fn f() {}".to_owned(),
            }),
            ..sample()
        };
        assert_eq!(
            docs(&imported, &Style::plain(80)),
            "a::b\npub fn f()\nin cells: use a::b::f;  or c::f\n\nb.rs:1\nfn f() {}\n"
        );
    }

    #[test]
    fn what_is_long_is_cut_and_the_rest_told() {
        let mut long = sample();
        long.text = (0..50).map(|n| format!("line {n}\n\n")).collect();
        let shown = docs(&long, &Style::plain(80));
        assert!(
            shown.contains("line 10\n") && !shown.contains("line 40"),
            "{shown}"
        );
        assert!(shown.ends_with("more lines: %doc --all f\n"), "{shown}");
        long.whole = true;
        assert!(docs(&long, &Style::plain(80)).ends_with("line 49\n"));
    }
}
