//! The walk over a cell's tokens that finds where a magic or a shell command stands and how the cell ends.
//! It must never take a line of valid Rust away from the compiler.

use std::collections::HashSet;

use ra_ap_rustc_lexer::{TokenKind, is_id_start};

use super::call::{self, Call};
use super::foreign::Foreign;
use super::statement::{ends_operand, ends_with_brace};
use super::syntax::is_rust;
use super::token::{Brackets, Lexer, Lines, Tok};
use super::{Binding, CellError, Known, Segment, SegmentKind, ShellCall};

/// Why a cell can't be taken apart.
pub(super) enum Stop {
    /// A magic's arguments end inside a bracket, a string or a comment: more lines would help.
    Unclosed(CellError),
    Wrong(CellError),
}

/// A cell taken apart, and what its end says about whether it is finished.
pub(super) struct Scan {
    pub segments: Vec<Segment>,
    /// Lines that look like shell commands and are read as Rust.
    pub negations: Vec<String>,
    pub tail: Tail,
}

/// The Rust code since the last magic or shell command.
#[derive(Default)]
pub(super) struct Tail {
    pub brackets: Brackets,
    /// The last token that the compiler's parser sees.
    pub last: Option<Tok>,
    /// The text ends inside a string or a block comment.
    pub unterminated: bool,
    /// The cell's last line is a shell command that ends with a backslash.
    pub shell_continues: bool,
}

pub(super) struct Scanner<'a> {
    text: &'a str,
    lines: Lines<'a>,
    lexer: Lexer<'a>,
    known: Option<&'a dyn Known>,
    pub segments: Vec<Segment>,
    negations: Vec<String>,
    pub foreign: Vec<Foreign>,
    /// The identifiers of the Rust code so far.
    names: HashSet<&'a str>,
    tail: Tail,
    /// Where the Rust code of `tail` begins, and its first significant token.
    rust_start: usize,
    rust_first: Option<usize>,
    /// The statement that is being read: where it begins when that is with `let`, …
    let_at: Option<usize>,
    /// … and whether a closing brace ends it: an item, a block, an `if`.
    ends_with_brace: bool,
    /// Nothing but blanks on the line so far.
    line_blank: bool,
}

pub(super) fn scan(text: &str, known: Option<&dyn Known>) -> Result<Scan, Stop> {
    let mut scanner = Scanner::new(text, known);
    while let Some(step) = scanner.step() {
        step?;
    }
    scanner.flush_rust(text.len());
    Ok(Scan {
        segments: scanner.segments,
        negations: scanner.negations,
        tail: scanner.tail,
    })
}

impl<'a> Scanner<'a> {
    pub fn new(text: &'a str, known: Option<&'a dyn Known>) -> Self {
        Self {
            text,
            lines: Lines::new(text),
            lexer: Lexer::new(text, 0),
            known,
            segments: Vec::new(),
            negations: Vec::new(),
            foreign: Vec::new(),
            names: HashSet::new(),
            tail: Tail::default(),
            rust_start: 0,
            rust_first: None,
            let_at: None,
            ends_with_brace: false,
            line_blank: true,
        }
    }

    /// Reads a token or a call.
    pub fn step(&mut self) -> Option<Result<(), Stop>> {
        let tok = self.lexer.next()?;
        Some(self.token(tok))
    }

    /// Goes on behind what can't be taken apart.
    pub fn skip(&mut self, to: usize) {
        self.lexer.jump(to);
    }

    fn token(&mut self, tok: Tok) -> Result<(), Stop> {
        let text = tok.text(self.text);
        // Other white space than Rust's is an editor's margin.
        let is_margin = tok.kind == TokenKind::Unknown && text.trim().is_empty();
        if tok.kind == TokenKind::Whitespace || is_margin {
            self.line_blank |= text.contains('\n');
            return Ok(());
        }
        let first = std::mem::replace(&mut self.line_blank, false);
        if tok.unterminated(self.text).is_some() {
            self.tail.unterminated = true;
        }
        if tok.is_comment() {
            if tok.is_significant() {
                self.rust_first.get_or_insert(tok.start);
            }
            return Ok(());
        }
        if self.tail.brackets.depth() == 0 {
            let taken = match tok.kind {
                TokenKind::Percent => self.percent(tok, first)?,
                TokenKind::Bang if is(self.tail.last, TokenKind::Eq) => self.bound_bang(tok),
                TokenKind::Bang if first => self.bang(tok)?,
                TokenKind::Colon if first => self.colon(tok)?,
                _ => false,
            };
            if taken {
                return Ok(());
            }
        }
        self.rust(tok);
        Ok(())
    }

    /// Takes note of a token of Rust code.
    fn rust(&mut self, tok: Tok) {
        let text = tok.text(self.text);
        if tok.kind == TokenKind::Ident {
            self.names.insert(text);
        }
        let tail = &mut self.tail;
        if tail.brackets.depth() == 0 {
            let after_brace = is(tail.last, TokenKind::CloseBrace);
            if tail.last.is_none() || is(tail.last, TokenKind::Semi) || after_brace {
                if text == "let" {
                    self.let_at = Some(tok.start);
                    self.ends_with_brace = false;
                } else if !after_brace || self.ends_with_brace {
                    self.let_at = None;
                    self.ends_with_brace = ends_with_brace(tok.kind, text);
                }
            }
        }
        tail.brackets.step(&tok);
        tail.last = Some(tok);
        self.rust_first.get_or_insert(tok.start);
    }

    fn percent(&mut self, tok: Tok, first: bool) -> Result<bool, Stop> {
        let rest = &self.text[tok.end..];
        let bound = is(self.tail.last, TokenKind::Eq);
        if !first && !bound {
            return Ok(false);
        }
        if let Some(name) = rest.strip_prefix('%')
            && starts_name(name)
        {
            self.sign(tok.start, tok.end + 1 + call::name(name).len());
            if bound || !self.text[..tok.start].trim().is_empty() {
                let name = call::name(name);
                return Err(self.wrong(
                    tok.start,
                    format!("`%%{name}` must be the first line of its cell"),
                    format!("move it to the top, or write `%{name} …`, which takes one line"),
                ));
            }
            let call = call::cell_form(self.text, &self.lines, tok.start);
            self.take(tok.start, tok.start, call);
            return Ok(true);
        }
        if !starts_name(rest) {
            if first && self.at_statement() {
                self.sign(tok.start, tok.end + usize::from(rest.starts_with('%')));
                return Err(self.wrong(
                    tok.start,
                    "a magic's name must follow `%`".to_owned(),
                    "`%help` lists the magics".to_owned(),
                ));
            }
            return Ok(false);
        }
        if !bound
            && self
                .tail
                .last
                .is_some_and(|last| ends_operand(self.text, last))
        {
            return Ok(false);
        }
        self.sign(tok.start, tok.end + call::name(rest).len());
        let (from, bind) = match (bound, self.tail.last) {
            (true, Some(eq)) => {
                let (at, bind) = super::binding::binding(self.text, self.let_at, eq.start)
                    .map_err(|(at, what, hint)| self.wrong(at, what, hint))?;
                (at, Some(bind))
            }
            _ => (tok.start, None),
        };
        let call = call::line_form(self.text, &self.lines, tok.end, bind)?;
        self.take(from, tok.start, call);
        Ok(true)
    }

    fn bang(&mut self, tok: Tok) -> Result<bool, Stop> {
        let rest = &self.text[tok.end..];
        let statement = self.tail.last.is_none_or(|last| ends_statement(last.kind));
        if !statement || rest.starts_with(['(', '=']) {
            return Ok(false);
        }
        let end = self.command_end(tok);
        let command = self.text[tok.end..end].trim();
        if command.is_empty() {
            return Err(self.wrong(
                tok.start,
                "a shell command must follow `!`".to_owned(),
                "write it on the same line: `!ls`".to_owned(),
            ));
        }
        let line = &self.text[tok.start..end];
        if let Some(known) = self.known
            && !known.is_command(first_word(command))
            && is_rust(line)
        {
            self.negations.push(line.trim().to_owned());
            return Ok(false);
        }
        self.take_command(tok, tok.start, end, None);
        Ok(true)
    }

    /// `let name = !…`: a negation where Rust can read it and means a name that is known, or no command.
    fn bound_bang(&mut self, tok: Tok) -> bool {
        let (Some(eq), Some(let_at)) = (self.tail.last, self.let_at) else {
            return false;
        };
        let Ok((from, bind)) = super::binding::binding(self.text, Some(let_at), eq.start) else {
            return false;
        };
        let end = self.command_end(tok);
        let command = self.text[tok.end..end].trim();
        if command.is_empty() || opens_a_bracket(&self.text[tok.end..end]) {
            return false;
        }
        if is_rust(&self.text[from..end]) {
            let name = call::name(command);
            let negates = |known: &dyn Known| {
                known.is_variable(name)
                    || self.names.contains(name)
                    || !known.is_command(first_word(command).trim_end_matches(';'))
            };
            if self.known.is_none_or(negates) {
                return false;
            }
        }
        self.take_command(tok, from, end, Some(bind));
        true
    }

    /// Where the command ends that begins with this `!`: with its line, unless a backslash continues it.
    fn command_end(&self, bang: Tok) -> usize {
        let mut end = self.lines.end_of_line(bang.end);
        while end < self.text.len() && continues(&self.text[bang.end..end]) {
            end = self.lines.end_of_line(end + 1);
        }
        end
    }

    fn take_command(&mut self, bang: Tok, from: usize, end: usize, bind: Option<Binding>) {
        let text = &self.text[bang.end..end];
        let mut command = text.trim();
        // The semicolon of a `let` is none of the shell's, but `\;` is.
        if let Some(rest) = command.strip_suffix(';')
            && bind.is_some()
            && !rest.ends_with('\\')
        {
            command = rest.trim_end();
        }
        let command = command.to_owned();
        self.foreign.push(Foreign {
            span: bang.start..end,
            is_shell: true,
            end,
        });
        let kind = SegmentKind::Shell(ShellCall { command, bind });
        self.take(from, bang.start, Call { kind, end });
        self.tail.shell_continues = continues(text);
    }

    fn colon(&mut self, tok: Tok) -> Result<bool, Stop> {
        let rest = &self.text[tok.end..];
        if !starts_name(rest) || !self.at_statement() {
            return Ok(false);
        }
        let word = call::name(rest);
        if word == "dep" {
            self.sign(tok.start, tok.end + word.len());
            let call = call::line_form(self.text, &self.lines, tok.end, None)?;
            self.take(tok.start, tok.start, call);
            return Ok(true);
        }
        let hint = match word {
            "vars" => "write `%who`",
            "clear" => "write `%reset`",
            "quit" | "q" => "write `%quit`",
            "help" | "h" => "write `%help`",
            "opt" => "write `%opt`",
            "type" | "t" => "write `%type`",
            "timing" => "write `%time`",
            _ => "`%help` lists the magics",
        };
        let what = "evcxr's `:word` commands are written as magics here".to_owned();
        Err(self.wrong(tok.start, what, hint.to_owned()))
    }

    /// Takes note of a magic, of which more than its line is known when its call is read.
    fn sign(&mut self, start: usize, end: usize) {
        self.foreign.push(Foreign {
            span: start..end,
            is_shell: false,
            end: self.lines.end_of_line(start),
        });
    }

    /// Takes a call out of the Rust code: `from` is where its text begins (its `let`), `at` where its sign
    /// stands.
    fn take(&mut self, from: usize, at: usize, call: Call) {
        debug_assert!(from <= at && at < call.end);
        self.flush_rust(from);
        self.segments.push(Segment {
            line: self.lines.line(from),
            kind: call.kind,
        });
        if let Some(foreign) = self.foreign.last_mut() {
            foreign.end = call.end;
        }
        self.lexer.jump(call.end);
        self.tail = Tail::default();
        self.rust_start = call.end;
        self.let_at = None;
        self.ends_with_brace = false;
    }

    /// Hands over the Rust code up to `to`, unless it is nothing but blanks and comments.
    fn flush_rust(&mut self, to: usize) {
        if self.rust_first.take().is_none_or(|first| first >= to) {
            return;
        }
        let code = &self.text[self.rust_start..to];
        let blanks = &code[..code.len() - code.trim_start().len()];
        let start = self.rust_start + blanks.rfind('\n').map_or(0, |newline| newline + 1);
        let kind = SegmentKind::Rust(self.text[start..to].trim_end().to_owned());
        self.segments.push(Segment {
            line: self.lines.line(start),
            kind,
        });
    }

    /// Whether a statement can begin here even when what follows isn't a magic's name.
    fn at_statement(&self) -> bool {
        match self.tail.last {
            None => true,
            Some(last) if last.kind == TokenKind::CloseBrace => self.ends_with_brace,
            Some(last) => last.kind == TokenKind::Semi,
        }
    }

    fn wrong(&self, at: usize, what: String, hint: String) -> Stop {
        let (line, column) = self.lines.place(at);
        Stop::Wrong(CellError {
            what,
            line,
            column,
            hint: Some(hint),
        })
    }
}

fn is(tok: Option<Tok>, kind: TokenKind) -> bool {
    tok.is_some_and(|tok| tok.kind == kind)
}

fn ends_statement(kind: TokenKind) -> bool {
    matches!(kind, TokenKind::Semi | TokenKind::CloseBrace)
}

fn starts_name(text: &str) -> bool {
    text.chars().next().is_some_and(is_id_start)
}

/// Whether a shell command's last line says that it goes on.
fn continues(command: &str) -> bool {
    command
        .strip_suffix('\r')
        .unwrap_or(command)
        .ends_with('\\')
}

fn first_word(command: &str) -> &str {
    command.split_whitespace().next().unwrap_or_default()
}

/// Whether a line of Rust goes on below: a shell has no use for a bracket without its partner.
fn opens_a_bracket(line: &str) -> bool {
    let mut brackets = Brackets::default();
    for tok in Lexer::new(line, 0) {
        brackets.step(&tok);
    }
    brackets.depth() > 0 && !brackets.mismatched
}
