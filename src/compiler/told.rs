//! Types of variables, written into a cell where evcxr reads them.
//!
//! evcxr keeps a variable only when it knows its type, and asks a rust-analyzer of its own, which would have to
//! read the standard library before the first cell. Ours reads it beside the first cells (see
//! [`super::analysis`]); its answers go into the cell as statements that evcxr takes for the user's:
//! `let v = f();` becomes `let v = f(); let/*…*/ v: u8 = v/*…*/;`. They are taken out again before rustc reads
//! the cell: what is compiled is what the user wrote.

use ra_ap_syntax::ast::{self, HasName as _};
use ra_ap_syntax::{AstNode as _, Edition, SourceFile, SyntaxKind};

use super::Place;
use crate::cell::{Edits, position};

/// Begins and ends what is inserted.
const MARK: &str = "/*regatta told*/";

/// What evcxr's splitter puts around a cell to parse it.
const AROUND: [&str; 2] = ["fn f(){", "\n}"];

/// A statement whose variable's type nobody can tell.
const UNKNOWN: &str = "let regatta_told = regatta_told!(); ";

/// What is known of a variable that a pattern binds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    pub name: String,
    pub mutable: bool,
    /// `None` for a closure, or for what can't be told.
    pub kind: Option<String>,
}

/// The `let` statements of a cell that stand at its top.
pub struct Lets(Vec<Let>);

struct Let {
    start: usize,
    /// Behind its semicolon.
    end: usize,
    initialised: bool,
    /// Name, place, and whether the type is written beside it.
    bound: Vec<(String, std::ops::Range<usize>, bool)>,
}

impl Lets {
    pub fn of(code: &str) -> Self {
        let [before, after] = AROUND;
        let file = SourceFile::parse(&format!("{before}{code}{after}"), Edition::Edition2024);
        let body = file.tree().syntax().children().find_map(ast::Fn::cast);
        let body = body.and_then(|function| function.body());
        let statements = body.iter().flat_map(|body| body.statements());
        let place = |range: ra_ap_syntax::TextRange| {
            let [start, end] = [range.start(), range.end()].map(usize::from);
            start.saturating_sub(before.len())..end.saturating_sub(before.len())
        };
        let lets = statements.filter_map(|statement| {
            let ast::Stmt::LetStmt(statement) = statement else {
                return None;
            };
            // One that is not finished is rustc's to refuse.
            statement.semicolon_token()?;
            let pattern = statement.pat()?;
            let written = statement
                .ty()
                .is_some_and(|kind| is_type(&kind.to_string()));
            let bound = bindings(&pattern)
                .map(|binding| {
                    let name = binding.name()?;
                    let whole = binding.syntax() == pattern.syntax();
                    let at = place(name.syntax().text_range());
                    Some((name.text().to_string(), at, whole && written))
                })
                .collect::<Option<_>>()?;
            let range = place(statement.syntax().text_range());
            Some(Let {
                start: range.start,
                end: range.end,
                initialised: statement.initializer().is_some(),
                bound,
            })
        });
        Self(lets.collect())
    }

    /// Whether a type has to be found out.
    pub fn ask(&self) -> bool {
        self.0
            .iter()
            .any(|one| one.bound.iter().any(|(.., written)| !written))
    }

    /// The cell with a statement before the first one whose type nobody can tell: evcxr refuses it, and leaves
    /// what it would have analysed.
    pub fn refused(&self, code: &str) -> String {
        let at = self.0.first().map_or(0, |first| first.start);
        format!("{}{UNKNOWN}{}", &code[..at], &code[at..])
    }

    /// The cell with the types of its variables: `types` are those of each `let` in order. `None` when one is not
    /// known, which evcxr has words for.
    pub fn told(&self, code: &str, types: &[Vec<Bound>]) -> Option<Told> {
        let mut edits = Edits::default();
        let mut names = Vec::new();
        for (number, one) in self.0.iter().enumerate() {
            for (name, at, written) in &one.bound {
                // Of several variables of one name, the last one is kept.
                let hidden = self.0[number + 1..].iter().any(|later| later.binds(name));
                if *written || hidden {
                    continue;
                }
                let known = types.get(number)?.iter().find(|bound| bound.name == *name);
                let Some(Bound {
                    mutable,
                    kind: Some(kind),
                    ..
                }) = known
                else {
                    return None;
                };
                let mutable = if *mutable { "mut " } else { "" };
                let kind = without_never(kind);
                if one.initialised {
                    edits.insert(
                        one.end,
                        format!(" let{MARK} {mutable}{name}: {kind} = {name}{MARK};"),
                    );
                } else if one.bound.len() > 1 {
                    return None;
                } else {
                    edits.insert(one.end - 1, format!("{MARK}: {kind}{MARK}"));
                }
                names.push((one.end, at.clone()));
            }
        }
        Some(Told {
            code: edits.apply(code),
            old: code.to_owned(),
            edits,
            names,
        })
    }
}

impl Let {
    fn binds(&self, wanted: &str) -> bool {
        self.bound.iter().any(|(name, ..)| name == wanted)
    }
}

/// The variables that evcxr takes a pattern to bind.
pub fn bindings(pattern: &ast::Pat) -> impl Iterator<Item = ast::IdentPat> {
    pattern
        .syntax()
        .descendants()
        .filter_map(ast::IdentPat::cast)
}

/// Whether a text is a type without gaps.
pub fn is_type(text: &str) -> bool {
    let file = SourceFile::parse(&format!("const _: {text} = f();"), Edition::Edition2024);
    let gap = |kind| {
        use SyntaxKind::{ERROR, INFER_TYPE, UNDERSCORE_EXPR};
        matches!(kind, ERROR | INFER_TYPE | UNDERSCORE_EXPR)
    };
    file.errors().is_empty()
        && !file
            .syntax_node()
            .descendants()
            .any(|node| gap(node.kind()))
}

/// A type in which `()` stands for `!`, of which no variable can be: what never comes to its end is kept as nothing.
fn without_never(kind: &str) -> String {
    let before = "const _: ";
    let file = SourceFile::parse(&format!("{before}{kind} = f();"), Edition::Edition2024);
    let never = file.syntax_node().descendants().filter(|node| {
        let returned = node
            .parent()
            .is_some_and(|it| it.kind() == SyntaxKind::RET_TYPE);
        node.kind() == SyntaxKind::NEVER_TYPE && !returned
    });
    let mut edits = Edits::default();
    for node in never {
        let at = usize::from(node.text_range().start()) - before.len();
        edits.replace(at..at + 1, "()");
    }
    edits.apply(kind)
}

/// A cell with the types of its variables.
pub struct Told {
    pub code: String,
    old: String,
    edits: Edits,
    /// For what was inserted behind a statement: where that is, and the variable's name in the statement.
    names: Vec<(usize, std::ops::Range<usize>)>,
}

impl Told {
    /// Moves a place in the changed cell to where it is in the user's; `above` lines stand before the place's first.
    pub fn back(&self, place: &mut Place, above: usize) {
        for end in [&mut place.start, &mut place.end] {
            end.1 = self.edits.column_back(&self.old, end.0 + above, end.1);
        }
        if place.start == place.end
            && let Some(at) = self.offset(place.start.0 + above, place.start.1)
            && let Some((_, name)) = self.names.iter().find(|(end, _)| *end == at)
        {
            // A statement of ours: it stands for the user's variable.
            let [start, end] = [name.start, name.end].map(|at| self.position(at));
            place.start = (start.0.saturating_sub(above), start.1);
            place.end = (end.0.saturating_sub(above), end.1);
        }
    }

    fn offset(&self, line: usize, column: usize) -> Option<usize> {
        let before = line.checked_sub(1)?;
        let lines = self.old.split_inclusive('\n');
        let start: usize = lines.take(before).map(str::len).sum();
        let rest = self.old.get(start..)?;
        let columns = rest.char_indices().map(|(at, _)| at);
        let mut columns = columns.chain([rest.len()]);
        columns.nth(column.checked_sub(1)?).map(|at| start + at)
    }

    /// Line and column, from 1.
    fn position(&self, at: usize) -> (usize, usize) {
        position(self.old.get(..at).unwrap_or_default(), (1, 1))
    }
}

/// A text without what was inserted; its lines stay where they are.
pub fn taken_out(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find(MARK) {
        let (mut before, from) = (&rest[..at], &rest[at + MARK.len()..]);
        let Some(end) = from.find(MARK) else {
            break;
        };
        let mut after = &from[end + MARK.len()..];
        // A statement, and not only a type.
        if let Some(without) = before.strip_suffix("let") {
            before = without.strip_suffix(' ').unwrap_or(without);
            after = after.strip_prefix(';').unwrap_or(after);
        }
        out.push_str(before);
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(name: &str, kind: &str) -> Vec<Bound> {
        vec![Bound {
            name: name.to_owned(),
            mutable: false,
            kind: (!kind.is_empty()).then(|| kind.to_owned()),
        }]
    }

    #[test]
    fn what_is_told_can_be_taken_out() {
        for (code, types) in [
            ("let a = f(); a", vec![bound("a", "u8")]),
            (
                "let a = 1;\nlet b;\nb = [a; 2];",
                vec![bound("a", "i32"), bound("b", "[i32; 2]")],
            ),
            (
                "let Some(a) = f() else { g() }; // all",
                vec![bound("a", "u8")],
            ),
        ] {
            let lets = Lets::of(code);
            assert!(lets.ask());
            let told = lets.told(code, &types).unwrap();
            assert_ne!(told.code, code);
            assert_eq!(taken_out(&told.code), code);
        }
    }

    #[test]
    fn only_what_is_kept_and_not_written_is_told() {
        let lets = Lets::of("let x = f(); let x: u8 = x; let _ = 1; let y: (u8, u8) = z;");
        assert!(!Lets::of("let x: u8 = 1; { let y = 2; }").ask());
        assert!(lets.ask());
        let types = [
            bound("x", ""),
            bound("x", ""),
            vec![],
            bound("y", "(u8, u8)"),
        ];
        let code = "let x = f(); let x: u8 = x; let _ = 1; let y: (u8, u8) = z;";
        assert_eq!(lets.told(code, &types).unwrap().code, code);
        let lets = Lets::of("let (a, b) = f();");
        assert!(
            lets.told("let (a, b) = f();", &[bound("a", "u8")])
                .is_none()
        );
    }

    #[test]
    fn places_are_the_users() {
        let code = "above\nlet a = 1; let b = a.x();";
        let told = Lets::of(code)
            .told(code, &[bound("a", "i32"), bound("b", "u8")])
            .unwrap();
        let column = |text: &str| told.code.lines().nth(1).unwrap().find(text).unwrap() + 1;
        let mut place = Place {
            start: (1, column("x()")),
            end: (1, column("x()") + 1),
            label: String::new(),
            primary: true,
        };
        told.back(&mut place, 1);
        assert_eq!((place.start, place.end), ((1, 22), (1, 23)));
        // In what was inserted behind the first statement: its variable.
        let inserted = column("a: i32");
        (place.start, place.end) = ((1, inserted), (1, inserted + 1));
        told.back(&mut place, 1);
        assert_eq!((place.start, place.end), ((1, 5), (1, 6)));
    }

    #[test]
    fn what_never_ends_is_kept_as_nothing() {
        let code = "let (a, b) = (1, panic!());";
        let types = [[bound("a", "i32"), bound("b", "!")].concat()];
        let told = Lets::of(code).told(code, &types).unwrap().code;
        assert!(
            told.contains("b: () = b") && told.contains("a: i32 = a"),
            "{told}"
        );
        assert_eq!(taken_out(&told), code);
        assert_eq!(without_never("Option<!>"), "Option<()>");
        assert_eq!(without_never("fn(u8) -> !"), "fn(u8) -> !");
    }

    #[test]
    fn types_have_no_gaps() {
        assert!(is_type("Vec<(u8, &'static str)>") && is_type("[u8; 4]"));
        assert!(!is_type("[u8; _]") && !is_type("Vec<_>") && !is_type("{error"));
    }
}
