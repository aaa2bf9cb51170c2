//! Declarators: what stands around a declared name, and makes another type of the one in front of it.

use tree_sitter::Node;

use super::constants;
use super::parse::{Reader, children};
use super::types::{Parameter, Type};

/// A name with its type.
pub struct Declared {
    pub name: String,
    pub kind: Type,
    pub constant: bool,
}

impl Reader<'_> {
    /// A declarator around its name, from the outside in: `*(*f)(int)`.
    pub fn declared(&mut self, node: Node<'_>, kind: Type, constant: bool) -> Declared {
        let inner = node
            .child_by_field_name("declarator")
            .or_else(|| children(node).into_iter().find(is_declarator));
        let (kind, constant) = match node.kind().trim_start_matches("abstract_") {
            "pointer_declarator" => {
                let qualified = children(node)
                    .into_iter()
                    .any(|child| child.kind() == "type_qualifier" && self.of(child) == "const");
                (pointer(kind, constant, None), qualified)
            }
            "array_declarator" => {
                let size = node.child_by_field_name("size");
                let count =
                    size.and_then(|size| constants::value(size, self.text, &self.names.constants));
                let counted = count.and_then(|count| u64::try_from(count).ok());
                match counted {
                    // The rows of `double a[3][n]` are no pointers.
                    _ if is_row(&kind) => (of_rows(kind), constant),
                    Some(count) => (Type::Array(Box::new(kind), count), constant),
                    None => {
                        let length = size.map(|size| self.of(size).to_owned());
                        (pointer(kind, constant, length), false)
                    }
                }
            }
            "function_declarator" => {
                let (inputs, variadic) = node
                    .child_by_field_name("parameters")
                    .map(|list| self.parameters(list))
                    .unwrap_or_default();
                let function = Type::Function {
                    output: Box::new(kind),
                    inputs,
                    variadic,
                };
                (function, false)
            }
            "parenthesized_declarator" | "attributed_declarator" => (kind, constant),
            _ => {
                let name = self.of(node).to_owned();
                return Declared {
                    name,
                    kind,
                    constant,
                };
            }
        };
        match inner {
            Some(inner) => self.declared(inner, kind, constant),
            None => Declared {
                name: String::new(),
                kind,
                constant,
            },
        }
    }

    fn parameters(&mut self, list: Node<'_>) -> (Vec<Parameter>, bool) {
        let mut found = Vec::new();
        let mut variadic = false;
        for one in children(list) {
            match one.kind() {
                "variadic_parameter" => variadic = true,
                "parameter_declaration" => {
                    let before = self.specifiers(one);
                    let declared = match one.child_by_field_name("declarator") {
                        Some(declarator) => self.declared(declarator, before.kind, before.constant),
                        None => Declared {
                            name: String::new(),
                            kind: before.kind,
                            constant: before.constant,
                        },
                    };
                    found.push(Parameter {
                        name: declared.name,
                        // Arrays and functions are passed by their address.
                        kind: match declared.kind {
                            Type::Array(of, count) => {
                                pointer(*of, declared.constant, Some(count.to_string()))
                            }
                            kind @ Type::Function { .. } => pointer(kind, false, None),
                            kind => kind,
                        },
                    });
                }
                _ => {}
            }
        }
        // `f(void)`
        if let [only] = found.as_slice()
            && only.kind == Type::Void
        {
            found.clear();
        }
        (found, variadic)
    }
}

/// `[n]`, with a length that is not constant.
fn is_row(kind: &Type) -> bool {
    matches!(
        kind,
        Type::Pointer {
            length: Some(_),
            ..
        }
    )
}

/// No parameter alone is the length of it.
fn of_rows(mut kind: Type) -> Type {
    if let Type::Pointer { length, .. } = &mut kind {
        *length = Some("[][]".to_owned());
    }
    kind
}

fn is_declarator(node: &Node<'_>) -> bool {
    node.kind().ends_with("declarator") || node.kind().ends_with("identifier")
}

fn pointer(to: Type, constant: bool, length: Option<String>) -> Type {
    Type::Pointer {
        to: Box::new(to),
        constant,
        length,
    }
}
