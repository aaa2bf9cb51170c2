//! `thread_local!` and `lazy_static!` as plain statics. A call of a macro is no item to evcxr, which would run
//! it once and forget it; a static is one, and can be shared by cells. The `LocalKey` itself becomes the
//! static: it is a function's address, and whoever uses it reaches the same value of the same thread.
//!
//! It must never move anything to another line.

use super::edits::Edits;
use super::token::{Tok, significant};

/// The edits that turn such calls in `code` into items. `at_top` looks at the top level alone.
#[must_use]
pub fn lifted(code: &str, at_top: bool) -> Edits {
    let mut edits = Edits::default();
    if !code.contains("thread_local") && !code.contains("lazy_static") {
        return edits;
    }
    let tokens = significant(code, 0, code.len());
    let text = |at: usize| tokens.get(at).map_or("", |tok| tok.text(code));
    let mut depth = 0_usize;
    let mut at = 0;
    while at < tokens.len() {
        match text(at) {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth = depth.saturating_sub(1),
            // What a macro is made of is for the macro.
            "macro_rules" if text(at + 1) == "!" => {
                at = closing(code, &tokens, at + 3).unwrap_or(at + 3) + 1;
                continue;
            }
            name @ ("thread_local" | "lazy_static")
                if text(at + 1) == "!" && (depth == 0 || !at_top) =>
            {
                if let Some(end) = closing(code, &tokens, at + 2) {
                    let call = Call {
                        code,
                        tokens: &tokens,
                        start: path_start(code, &tokens, at),
                        inside: at + 3..end,
                        lazy: name == "lazy_static",
                    };
                    if !call.is_lifted()
                        && let Some(parts) = call.edits()
                    {
                        for (part, new) in parts {
                            edits.replace(part, new);
                        }
                    }
                    at = end + 1;
                    continue;
                }
            }
            _ => {}
        }
        at += 1;
    }
    edits
}

/// The token that closes the bracket at `open`.
fn closing(code: &str, tokens: &[Tok], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, tok) in tokens.iter().enumerate().skip(open) {
        match tok.text(code) {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// The first token of the path that ends at `name`: `::std::thread_local`.
fn path_start(code: &str, tokens: &[Tok], name: usize) -> usize {
    let is_colon = |at: usize| tokens[at].text(code) == ":";
    let mut start = name;
    while start >= 2 && is_colon(start - 1) && is_colon(start - 2) {
        start -= 2;
        let before = start.checked_sub(1).map(|at| tokens[at].text(code));
        if before.is_some_and(super::is_variable_name) {
            start -= 1;
        } else {
            break;
        }
    }
    start
}

struct Call<'a> {
    code: &'a str,
    tokens: &'a [Tok],
    /// The first token of the macro's path.
    start: usize,
    /// The tokens between the brackets.
    inside: std::ops::Range<usize>,
    lazy: bool,
}

impl Call<'_> {
    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |tok| tok.text(self.code))
    }

    /// Whether it is what a lifted one is made of: `= { ::std::thread_local! { … } N }`.
    fn is_lifted(&self) -> bool {
        let before = |back: usize| self.start.checked_sub(back).map_or("", |at| self.text(at));
        before(1) == "{" && before(2) == "="
    }

    /// `None` for what is not a list of statics: the macro itself says what is wrong with it.
    fn edits(&self) -> Option<Vec<(std::ops::Range<usize>, String)>> {
        let lines = |from: usize, to: usize| "\n".repeat(self.code[from..to].matches('\n').count());
        let (first, last) = (self.tokens[self.start].start, &self.tokens[self.inside.end]);
        let opened = self.tokens[self.inside.start - 1].end;
        let mut edits = vec![(first..opened, lines(first, opened))];
        let mut at = self.inside.start;
        while at < self.inside.end {
            at = self.one(at, &mut edits)?;
        }
        let mut end = last.end;
        // `thread_local!(…);`
        if self.text(self.inside.end + 1) == ";" {
            end = self.tokens[self.inside.end + 1].end;
        }
        edits.push((last.start..end, lines(last.start, end)));
        (edits.len() > 2).then_some(edits)
    }

    /// One static; the token behind it.
    fn one(&self, from: usize, edits: &mut Vec<(std::ops::Range<usize>, String)>) -> Option<usize> {
        let mut at = from;
        // Documentation and attributes; a comment that is documentation is one token.
        loop {
            match self.text(at) {
                "#" => at = closing(self.code, self.tokens, at + 1)? + 1,
                _ if self.tokens.get(at)?.is_comment() => at += 1,
                "pub" if self.text(at + 1) == "(" => {
                    at = closing(self.code, self.tokens, at + 1)? + 1;
                }
                "pub" => at += 1,
                _ => break,
            }
        }
        if self.text(at) != "static" {
            return None;
        }
        let mut name_at = at + 1;
        if self.lazy {
            if self.text(name_at) != "ref" {
                return None;
            }
            let word = &self.tokens[name_at];
            edits.push((word.start..word.end, String::new()));
            name_at += 1;
        }
        let name = self.text(name_at);
        if !super::is_variable_name(name) || self.text(name_at + 1) != ":" {
            return None;
        }
        let (type_start, mut angles, mut depth) = (name_at + 2, 0_i32, 0_i32);
        let mut equals = type_start;
        loop {
            match self.text(equals) {
                "=" if angles == 0 && depth == 0 => break,
                "<" => angles += 1,
                ">" if self.text(equals - 1) != "-" => angles -= 1,
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            equals += 1;
            if equals >= self.inside.end {
                return None;
            }
        }
        let mut end = equals + 1;
        while end < self.inside.end && self.text(end) != ";" {
            end = match self.text(end) {
                "{" | "(" | "[" => closing(self.code, self.tokens, end)?,
                _ => end,
            } + 1;
        }
        let kind: Vec<&str> = (type_start..equals).map(|at| self.text(at)).collect();
        let kind = spaced(&kind);
        let colon = self.tokens[name_at + 1].end;
        let equal = self.tokens[equals].end;
        // The macro also takes the last static without its semicolon.
        let (stop, semicolon) = if self.text(end) == ";" && end < self.inside.end {
            (self.tokens[end].start, ";")
        } else {
            (self.tokens[end - 1].end, ";")
        };
        let stop_end = if end < self.inside.end {
            self.tokens[end].end
        } else {
            stop
        };
        if self.lazy {
            edits.push((colon..colon, " ::std::sync::LazyLock<".to_owned()));
            edits.push((
                equal - 1..equal,
                "> = ::std::sync::LazyLock::new(||".to_owned(),
            ));
            edits.push((stop..stop_end, format!("){semicolon}")));
        } else {
            edits.push((
                colon..colon,
                format!(
                    " ::std::thread::LocalKey<{kind}> = {{ ::std::thread_local! {{ static {name}:"
                ),
            ));
            edits.push((stop..stop_end, format!("; }} {name} }}{semicolon}")));
        }
        Some(if end < self.inside.end { end + 1 } else { end })
    }
}

/// Tokens as text; words need a blank between them.
fn spaced(tokens: &[&str]) -> String {
    let mut text = String::new();
    for token in tokens {
        let word = |c: char| c.is_alphanumeric() || c == '_' || c == '\'';
        if text.ends_with(word) && token.starts_with(word) {
            text.push(' ');
        }
        text.push_str(token);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::lifted;

    fn lift(code: &str) -> String {
        lifted(code, true).apply(code)
    }

    #[test]
    fn a_thread_local_becomes_a_static_on_the_same_lines() {
        assert_eq!(
            lift(
                "let a = 1;\nthread_local! {\n    /// how many\n    pub static N: Cell<u32> = const { Cell::new(0) };\n}\nN.get()"
            ),
            "let a = 1;\n\n    /// how many\n    pub static N: ::std::thread::LocalKey<Cell<u32>> = { ::std::thread_local! { static N: \
             Cell<u32> = const { Cell::new(0) }; } N };\n\nN.get()"
        );
        let once = lift("std::thread_local!(static A: Box<dyn Fn(u8) -> u8> = f())");
        assert!(
            once.contains("A:Box<dyn Fn") || once.contains("static A: Box<dyn Fn"),
            "{once}"
        );
        assert!(once.ends_with("= f(); } A };"), "{once}");
        assert_eq!(lifted(&once, false).apply(&once), once, "not again");
        let two = lift(
            "::std::thread_local! { static A: u8 = 1; static B: Vec<&'static dyn It<I = u8>> = vec![]; }",
        );
        assert_eq!(two.matches("::std::thread::LocalKey<").count(), 2, "{two}");
        assert!(
            two.contains("LocalKey<Vec<&'static dyn It<I=u8>>>"),
            "{two}"
        );
        assert!(two.trim_start().starts_with("static A"), "{two}");
    }

    #[test]
    fn a_lazy_static_becomes_a_lazy_lock() {
        assert_eq!(
            lift(
                "lazy_static! { static ref T: Mutex<Vec<u8>> = { let v = vec![]; Mutex::new(v) }; }"
            )
            .trim(),
            "static  T: ::std::sync::LazyLock< Mutex<Vec<u8>> > = ::std::sync::LazyLock::new(|| { let v = vec![]; Mutex::new(v) });"
        );
    }

    #[test]
    fn what_is_no_list_of_statics_is_left_to_the_macro() {
        for code in [
            "thread_local! { }",
            "thread_local!(oops)",
            "thread_local! { static A = 3; }",
            "macro_rules! m { () => { thread_local! { static A: u8 = 1; } } }",
            "fn f() { thread_local! { static A: u8 = 1; } }",
            "let thread_local = 1; thread_local",
            "thread_local! { static A: u8 = 1;",
        ] {
            assert_eq!(lift(code), code);
        }
    }
}
