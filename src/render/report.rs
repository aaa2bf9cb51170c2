//! Error reports in rustc's form: what happened, the user's own line with the place marked, notes, what to do.
//! Marks may lie anywhere; those outside the text are moved to its edge, never trusted.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{
    AnnotationKind, Group, Level, Renderer, Snippet as Source, normalize_untrusted_str,
};

use super::{Style, explained, text};
use crate::outcome::{Mark, Origin, Report, Snippet};

/// Columns in front of a note's text: `  = note: `.
const FOOT: usize = 10;

/// The report's lines.
pub(crate) fn report(report: &Report, style: &Style) -> String {
    let name = match &report.origin {
        Origin::Local => "error".to_owned(),
        Origin::Engine(rank) => format!("error on engine {rank}"),
        Origin::Child(name) => format!("error of {name}"),
    };
    of_level(Level::ERROR, report, name, style)
}

/// The same of a warning.
pub(crate) fn warning(report: &Report, style: &Style) -> String {
    of_level(Level::WARNING, report, "warning".to_owned(), style)
}

fn of_level(level: Level<'_>, report: &Report, name: String, style: &Style) -> String {
    match &report.snippet {
        Some(snippet) if !snippet.marks.is_empty() && !snippet.source.trim().is_empty() => {
            marked(level, report, name, snippet, style)
        }
        snippet => unmarked(report, &name, snippet.as_ref(), style),
    }
}

fn marked(
    level: Level<'_>,
    report: &Report,
    name: String,
    snippet: &Snippet,
    style: &Style,
) -> String {
    let what = report.to_string();
    let what = text::screenful(what.trim_end());
    let mut title = level.with_name(name).primary_title(what.as_ref());
    if let Some(code) = &report.code {
        title = title.id(code.as_str());
    }
    let mut group = Group::with_title(title).element(source(snippet));
    // The margin has the number of the source's last line.
    let lines = snippet.source.lines().count();
    let margin = Style {
        width: style.width.saturating_sub(lines.to_string().len() + 10),
        ..*style
    };
    let fitting = |text: &str| {
        let text = normalize_untrusted_str(&text::screenful(text.trim_end()));
        margin.wrapped(&text, 0, 0)
    };
    for note in explained::notes(report) {
        group = group.element(Level::NOTE.message(fitting(&note)));
    }
    if let Some(hint) = explained::hint(report) {
        group = group.element(Level::HELP.message(fitting(&hint)));
    }
    let renderer = if style.colour {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let mut out = renderer
        .term_width(style.width)
        .decor_style(DecorStyle::Ascii)
        .render(&[group]);
    out.push('\n');
    out
}

/// The same form without lines of code, and so without a margin.
fn unmarked(report: &Report, name: &str, snippet: Option<&Snippet>, style: &Style) -> String {
    let code = report
        .code
        .as_ref()
        .map(|code| format!("[{code}]"))
        .unwrap_or_default();
    let what = normalize_untrusted_str(&text::screenful(report.to_string().trim_end()));
    let name = format!("{name}{code}");
    let what = style.wrapped(&what, name.len() + 2, 2);
    let mut out = format!("{}: {what}\n", style.failure(&name));
    if let Some(snippet) = snippet {
        out.push_str(&format!(" {} {}\n", style.faint("-->"), snippet.name));
    }
    let notes = explained::notes(report).into_iter();
    let hint = explained::hint(report).into_iter();
    let told = notes.map(|note| ("note", note));
    for (kind, text) in told.chain(hint.map(|hint| ("help", hint))) {
        let text = normalize_untrusted_str(&text::screenful(text.trim_end()));
        let text = match style.live {
            true => style.wrapped(&text, FOOT, FOOT),
            // What goes on below stands in its column all the same.
            false => text.replace('\n', &format!("\n{:FOOT$}", "")),
        };
        out.push_str(&format!("  = {}: {text}\n", style.prompt(kind)));
    }
    out
}

fn source(snippet: &Snippet) -> Source<'_, annotate_snippets::Annotation<'_>> {
    // Without a primary mark there would be no place to name.
    let first = snippet
        .marks
        .iter()
        .position(|mark| mark.primary)
        .unwrap_or(0);
    let marks = snippet.marks.iter().enumerate().map(|(index, mark)| {
        let primary = mark.primary || index == first;
        let kind = if primary {
            AnnotationKind::Primary
        } else {
            AnnotationKind::Context
        };
        let label = Some(explained::label(&mark.label)).filter(|label| !label.is_empty());
        kind.span(span(&snippet.source, mark)).label(label)
    });
    Source::source(snippet.source.as_str())
        .path(snippet.name.as_str())
        .annotations(marks)
}

/// A mark's bytes.
fn span(source: &str, mark: &Mark) -> std::ops::Range<usize> {
    let start = offset(source, mark.start);
    start..offset(source, mark.end).max(start)
}

/// The byte at a line and column from 1, the nearest one where there is none.
fn offset(source: &str, (line, column): (usize, usize)) -> usize {
    let mut start = 0;
    for _ in 1..line {
        match source[start..].find('\n') {
            Some(end) => start += end + 1,
            None => return source.len(),
        }
    }
    let rest = &source[start..];
    let text = rest
        .split('\n')
        .next()
        .unwrap_or(rest)
        .trim_end_matches('\r');
    let within = text.char_indices().nth(column.saturating_sub(1));
    start + within.map_or(text.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use crate::ids::Rank;
    use crate::outcome::ErrorKind;

    #[test]
    fn a_marked_error_looks_like_rustcs() {
        let shown = r#"error[E0308]: mismatched types
 --> In [3]:2:13
  |
2 | let x: u8 = "é漢";
  |        --   ^^^^^ expected `u8`, found `&str`
  |        |
  |        expected due to this
  |
  = note: a note
  = help: a hint
"#;
        for width in [40, 80, 200] {
            assert_eq!(report(&samples::mismatch(), &Style::plain(width)), shown);
        }
    }

    #[test]
    fn words_stay_whole_on_a_narrow_terminal() {
        let narrow = Style {
            live: true,
            ..Style::plain(40)
        };
        let told = "a hint that names `a_long_name` and goes on";
        let error = Report::usage("what happened is told in so many words").hint(told);
        let shown = "error: what happened is told in so many\n  words\n\
                     \x20 = help: a hint that names\n          `a_long_name` and goes on\n";
        assert_eq!(report(&error, &narrow), shown);
        let marked = samples::mismatch().hint(told);
        let shown = report(&marked, &narrow);
        let foot = "  = help: a hint that names\n          `a_long_name` and goes on\n";
        assert!(shown.ends_with(foot), "{shown}");
        let whole = report(&marked, &Style::plain(40));
        assert!(whole.ends_with(&format!("  = help: {told}\n")), "{whole}");
    }

    #[test]
    fn an_error_without_code_lines_keeps_the_form() {
        let error = Report::usage("unknown magic %pol")
            .note("first\nsecond")
            .hint("did you mean %pool?");
        let error = Report {
            origin: Origin::Engine(Rank(1)),
            ..error
        };
        assert_eq!(
            report(&error, &Style::plain(80)),
            "error on engine 1: unknown magic %pol\n  = note: first\n          second\n  \
             = help: did you mean %pool?\n"
        );
        let bare = Report::new(ErrorKind::System, "disk full");
        assert_eq!(report(&bare, &Style::plain(80)), "error: disk full\n");
    }

    #[test]
    fn no_place_is_too_far_out() {
        let sources = [
            "",
            "\n",
            "a",
            "a\n",
            "漢\r\n\té👩‍👧x\r\n",
            "\n\nfn f() {\n\n\n\n\n}\n",
            "\u{200b}\u{301}",
        ];
        let places = [
            (0, 0),
            (1, 1),
            (1, 2),
            (1, 9),
            (2, 1),
            (2, 3),
            (2, 4),
            (3, 5),
            (8, 2),
            (9, 9),
        ];
        let far = (usize::MAX, usize::MAX);
        for source in sources
            .map(str::to_owned)
            .into_iter()
            .chain([format!("{:300}x", "y")])
        {
            for start in places.into_iter().chain([far, (1, 301)]) {
                for end in places.into_iter().chain([far, (1, 302)]) {
                    let mut error = samples::mismatch();
                    if let Some(snippet) = &mut error.snippet {
                        snippet.source.clone_from(&source);
                        snippet.marks[0].start = start;
                        snippet.marks[0].end = end;
                        snippet.marks[1].primary = start == end;
                    }
                    for width in [20, 80] {
                        assert!(report(&error, &Style::plain(width)).contains("mismatched types"));
                    }
                }
            }
        }
    }

    #[test]
    fn columns_count_characters() {
        assert_eq!(offset("é漢\nab", (1, 2)), 2);
        assert_eq!(offset("é漢\nab", (2, 2)), 7);
        assert_eq!(offset("a\r\nb", (1, 9)), 1);
        assert_eq!(offset("a\nb", (9, 1)), 3);
    }
}
