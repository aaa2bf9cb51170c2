//! What names stand for in a source: types, structs, constants.

use std::collections::HashMap;

use tree_sitter::{Node, Parser};

use super::constants::{self, Constant};
use super::parse::Function;
use super::types::Type;

/// What a struct has, in order; an error says why Rust has none.
pub type Fields = Result<Vec<(String, Type)>, String>;

#[derive(Debug, Default)]
pub struct Names {
    pub(super) typedefs: HashMap<String, Type>,
    pub(super) structs: HashMap<String, Fields>,
    /// Further names of structs.
    pub(super) aliases: Vec<(String, String)>,
    pub(super) constants: Vec<Constant>,
    /// Macros that are numbers with a point.
    fractions: Vec<(String, f64)>,
}

impl Names {
    /// Further names of a struct.
    pub fn aliases<'a>(&'a self, of: &'a str) -> impl Iterator<Item = &'a str> {
        let aliases = self.aliases.iter();
        let aliases = aliases.filter(move |(_, name)| name == of);
        aliases.map(|(alias, _)| alias.as_str())
    }

    /// Constants of enums and macros in the user's own text: name, type in Rust, value.
    pub fn constants(&self) -> Vec<(&str, &'static str, String)> {
        let own = self.constants.iter().filter(|it| it.own);
        let whole = own.map(|it| {
            let kind = match i32::try_from(it.value) {
                Ok(_) => "i32",
                Err(_) => "i64",
            };
            (it.name.as_str(), kind, it.value.to_string())
        });
        let fractions = self.fractions.iter();
        let fractions = fractions.map(|(name, value)| (name.as_str(), "f64", format!("{value:?}")));
        whole.chain(fractions).collect()
    }

    /// Takes the macros that are numbers: `SIZE 4` for `#define SIZE 4`. Only names in capitals: one like `n` would be
    /// in the way of a variable `n` in Rust.
    pub(super) fn add_macros(&mut self, macros: &[String], parser: &mut Parser) {
        for said in macros {
            let Some((name, body)) = said.split_once(char::is_whitespace) else {
                continue;
            };
            let capital = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            let known = self.constants.iter().any(|it| it.name == name);
            if known || !name.chars().all(capital) || name.starts_with('_') {
                continue;
            }
            let text = format!("int it = {body};");
            let Some(tree) = parser.parse(&text, None) else {
                continue;
            };
            let Some(node) = initial(tree.root_node()) else {
                continue;
            };
            if let Some(value) = constants::value(node, &text, &self.constants) {
                self.constants.retain(|it| it.name != name);
                self.constants.push(Constant {
                    name: name.to_owned(),
                    value,
                    own: true,
                });
            } else if let Some(value) = constants::fraction(node, &text) {
                self.fractions.retain(|(other, _)| other != name);
                self.fractions.push((name.to_owned(), value));
            }
        }
    }

    /// Calls structs in Rust as their first typedef does, and lets pointers to what Rust does not know be just that.
    pub(super) fn settle(&mut self, functions: &mut [Function]) {
        let mut called: HashMap<String, String> = HashMap::new();
        for (alias, tag) in &self.aliases {
            if !self.structs.contains_key(alias) && !called.contains_key(tag) {
                called.insert(tag.clone(), alias.clone());
            }
        }
        for function in functions {
            self.settle_type(&mut function.output, &called);
            for input in &mut function.inputs {
                self.settle_type(&mut input.kind, &called);
            }
        }
        let mut structs = std::mem::take(&mut self.structs);
        for fields in structs.values_mut().flatten() {
            for (_, kind) in fields {
                self.settle_type(kind, &called);
            }
        }
        let named = |tag: String| called.get(&tag).cloned().unwrap_or(tag);
        self.structs = structs
            .into_iter()
            .map(|(tag, fields)| (named(tag), fields))
            .collect();
        for (alias, tag) in &mut self.aliases {
            if called.get(tag) == Some(alias) {
                std::mem::swap(alias, tag);
            } else if let Some(name) = called.get(tag) {
                name.clone_into(tag);
            }
        }
    }

    fn settle_type(&self, kind: &mut Type, called: &HashMap<String, String>) {
        match kind {
            Type::Struct(tag) => {
                if let Some(name) = called.get(tag) {
                    name.clone_into(tag);
                }
            }
            Type::Pointer { to, .. } => match &**to {
                Type::Struct(tag) if !matches!(self.structs.get(tag), Some(Ok(_))) => {
                    **to = Type::Unknown(format!("struct {tag}"));
                }
                _ => self.settle_type(to, called),
            },
            Type::Array(of, _) => self.settle_type(of, called),
            Type::Function { output, inputs, .. } => {
                self.settle_type(output, called);
                for input in inputs {
                    self.settle_type(&mut input.kind, called);
                }
            }
            _ => {}
        }
    }
}

/// What `int it = …;` begins with.
fn initial(root: Node<'_>) -> Option<Node<'_>> {
    if root.has_error() {
        return None;
    }
    let declaration = root.named_child(0)?;
    let declarator = declaration.child_by_field_name("declarator")?;
    declarator.child_by_field_name("value")
}
