//! `?name`, `name?` and `?`: questions, written as calls of the magics that answer them.

use super::MagicCall;

/// The call that a cell means which is nothing but a question. A name in front of the question mark may also be
/// Rust, which only who knows its type can tell: see [`asks_behind`].
pub fn question(text: &str) -> Option<MagicCall> {
    let text = text.trim();
    if text.contains('\n') {
        return None;
    }
    let marks = |rest: &str| text.len() - rest.len();
    let (name, count) = if text.starts_with('?') {
        let rest = text.trim_start_matches('?');
        (rest.trim(), marks(rest))
    } else {
        let rest = text.trim_end_matches('?');
        (is_name(rest.trim()).then_some(rest.trim())?, marks(rest))
    };
    let (magic, args) = match name.strip_prefix('%') {
        _ if name.is_empty() => ("help", "?".to_owned()),
        Some(magic) => ("help", magic.trim_start_matches('%').to_owned()),
        None if count > 1 => ("doc", format!("--source -- {name}")),
        None => ("doc", format!("-- {name}")),
    };
    (count > 0).then(|| MagicCall {
        name: magic.to_owned(),
        args,
        body: None,
        bind: None,
        cell_form: false,
        args_at: (1, 1),
        body_line: 0,
    })
}

/// The variable or item that a question mark stands behind, as Rust's operator does.
pub fn asks_behind(text: &str) -> Option<&str> {
    let name = text.trim().trim_end_matches('?');
    (name.len() < text.trim().len() && super::is_variable_name(name)).then_some(name)
}

/// `Vec::push`, `v.push`, `println!`, `%px`.
fn is_name(text: &str) -> bool {
    let name = text.trim_start_matches('%').trim_end_matches('!');
    name.starts_with(|letter: char| letter.is_alphabetic() || letter == '_')
        && name
            .chars()
            .all(|letter| letter.is_alphanumeric() || "_:.".contains(letter))
        && !name.ends_with(['.', ':'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_calls() {
        let asked = |text| question(text).map(|call| format!("{} {}", call.name, call.args));
        for (text, call) in [
            ("?", "help ?"),
            ("?Vec::push", "doc -- Vec::push"),
            ("? x.y(1)", "doc -- x.y(1)"),
            ("x?", "doc -- x"),
            (" v.push?\n", "doc -- v.push"),
            ("println!?", "doc -- println!"),
            ("??f", "doc --source -- f"),
            ("f??", "doc --source -- f"),
            ("%px?", "help px"),
            ("?%%px", "help px"),
        ] {
            assert_eq!(asked(text).as_deref(), Some(call), "{text}");
        }
        for text in [
            "f()?",
            "x",
            "x?;",
            "a + b?",
            "let n: i32 = \"1\".parse()?",
            "x?\ny",
        ] {
            assert_eq!(asked(text), None, "{text}");
        }
    }

    #[test]
    fn a_question_is_finished() {
        for text in ["?match", "?v.push(", "?", "%px?", "x?"] {
            let complete = crate::cell::Completeness::Complete;
            assert_eq!(crate::cell::completeness(text), complete, "{text}");
        }
    }

    #[test]
    fn a_name_before_the_mark() {
        assert_eq!(asks_behind("x?"), Some("x"));
        assert_eq!(asks_behind(" x?? "), Some("x"));
        assert_eq!(asks_behind("?x"), None);
        assert_eq!(asks_behind("v.x?"), None);
        assert_eq!(asks_behind("x"), None);
    }
}
