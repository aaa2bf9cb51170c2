//! Preprocessed C taken apart by tree-sitter: functions that others can call, and the types that they name.

use std::collections::HashMap;

use tree_sitter::{Node, Parser, Tree};

use super::constants::{self, Constant};
use super::types::{Parameter, Type, number};

/// A function that others can call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    pub output: Type,
    pub inputs: Vec<Parameter>,
    pub variadic: bool,
    /// Its head as the user has written it, on one line.
    pub head: String,
}

/// What a struct has, in order; an error says why Rust has none.
pub type Fields = Result<Vec<(String, Type)>, String>;

/// All that a source says.
#[derive(Debug, Default)]
pub struct Unit {
    functions: Vec<Function>,
    names: Names,
}

/// What names stand for.
#[derive(Debug, Default)]
struct Names {
    typedefs: HashMap<String, Type>,
    structs: HashMap<String, Fields>,
    /// Further names of structs.
    aliases: Vec<(String, String)>,
    constants: Vec<Constant>,
}

impl Unit {
    /// Reads preprocessed text; functions are taken from the lines of `own`, as its line markers name the user's text.
    pub fn of(preprocessed: &str, own: &str) -> Self {
        let (text, is_own) = without_markers(preprocessed, own);
        let mut unit = Self::default();
        let mut parser = Parser::new();
        if parser
            .set_language(&tree_sitter_c::LANGUAGE.into())
            .is_err()
        {
            return unit;
        }
        let Some(tree) = parser.parse(&text, None) else {
            return unit;
        };
        unit.read(&tree, &text, &is_own);
        unit
    }

    pub fn functions(&self) -> Vec<Function> {
        self.functions.clone()
    }

    pub fn fields(&self, name: &str) -> Option<&Fields> {
        self.names.structs.get(name)
    }

    /// Further names of a struct.
    pub fn aliases<'a>(&'a self, of: &'a str) -> impl Iterator<Item = &'a str> {
        let aliases = self.names.aliases.iter();
        let aliases = aliases.filter(move |(_, name)| name == of);
        aliases.map(|(alias, _)| alias.as_str())
    }

    /// Constants of enums in the user's own text.
    pub fn constants(&self) -> impl Iterator<Item = (&str, i64)> {
        let own = self.names.constants.iter().filter(|it| it.own);
        own.map(|it| (it.name.as_str(), it.value))
    }

    fn read(&mut self, tree: &Tree, text: &str, is_own: &[bool]) {
        let mut open = vec![tree.root_node()];
        let mut items = Vec::new();
        // What cannot be parsed, in some header, may have others inside.
        while let Some(node) = open.pop() {
            for child in children(node) {
                match child.kind() {
                    "declaration"
                    | "type_definition"
                    | "function_definition"
                    | "struct_specifier"
                    | "enum_specifier"
                    | "union_specifier" => items.push(child),
                    "ERROR" | "linkage_specification" | "declaration_list" => open.push(child),
                    _ => {}
                }
            }
        }
        items.sort_by_key(Node::start_byte);
        for item in items {
            let own = is_own
                .get(item.start_position().row)
                .copied()
                .unwrap_or(false);
            let mut reader = Reader {
                text,
                own,
                names: &mut self.names,
            };
            match item.kind() {
                "function_definition" => {
                    let read = reader.function(item).filter(|_| own);
                    self.functions.extend(read);
                }
                "type_definition" => reader.typedefs(item),
                _ => {
                    reader.specifiers(item);
                }
            }
        }
    }
}

/// The text without its line markers, in which every line stays where it is, and which lines are the user's.
fn without_markers(preprocessed: &str, own: &str) -> (String, Vec<bool>) {
    let mut text = String::with_capacity(preprocessed.len());
    let mut is_own = Vec::new();
    let mut inside = false;
    for line in preprocessed.lines() {
        let marker = line
            .strip_prefix("# ")
            .or_else(|| line.strip_prefix("#line "));
        let named = marker.and_then(|rest| {
            let (_, rest) = rest.split_once('"')?;
            Some(rest.rsplit_once('"')?.0)
        });
        match named {
            Some(name) => inside = name.replace("\\\"", "\"").replace("\\\\", "\\") == own,
            None if line.starts_with('#') => {}
            None => text.push_str(line),
        }
        is_own.push(inside && named.is_none());
        text.push('\n');
    }
    (text, is_own)
}

fn children(node: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).collect()
}

struct Reader<'a> {
    text: &'a str,
    own: bool,
    names: &'a mut Names,
}

/// What stands in front of a declared name.
struct Specified {
    kind: Type,
    constant: bool,
    /// Nobody else can call it.
    hidden: bool,
}

/// A name with its type.
struct Declared {
    name: String,
    kind: Type,
    constant: bool,
}

impl<'a> Reader<'a> {
    fn of(&self, node: Node<'_>) -> &'a str {
        self.text.get(node.byte_range()).unwrap_or_default()
    }

    fn function(&mut self, node: Node<'_>) -> Option<Function> {
        let before = self.specifiers(node);
        let declarator = node.child_by_field_name("declarator")?;
        let body = node.child_by_field_name("body")?;
        let declared = self.declared(declarator, before.kind, before.constant);
        let Type::Function {
            output,
            inputs,
            variadic,
        } = declared.kind
        else {
            return None;
        };
        // Parameters that are declared behind the brackets.
        let old = children(node)
            .iter()
            .any(|child| child.kind() == "declaration");
        if before.hidden || old {
            return None;
        }
        let head = self.text.get(node.start_byte()..body.start_byte());
        let words: Vec<&str> = head.unwrap_or_default().split_whitespace().collect();
        Some(Function {
            name: declared.name,
            output: *output,
            inputs,
            variadic,
            head: words.join(" "),
        })
    }

    fn typedefs(&mut self, node: Node<'_>) {
        let mut cursor = node.walk();
        let declarators: Vec<Node<'_>> = node
            .children_by_field_name("declarator", &mut cursor)
            .collect();
        // A struct without a name of its own has that of the typedef.
        let first = declarators.first().map(|first| self.of(*first).to_owned());
        let before = self.specifiers_named(node, first.as_deref());
        for declarator in declarators {
            let declared = self.declared(declarator, before.kind.clone(), before.constant);
            // `typedef struct point { … } Point`
            if let Type::Struct(name) = &declared.kind
                && *name != declared.name
            {
                self.names
                    .aliases
                    .push((declared.name.clone(), name.clone()));
            }
            self.names.typedefs.insert(declared.name, declared.kind);
        }
    }

    fn specifiers(&mut self, node: Node<'_>) -> Specified {
        self.specifiers_named(node, None)
    }

    fn specifiers_named(&mut self, node: Node<'_>, name: Option<&str>) -> Specified {
        let mut found = Specified {
            kind: Type::Unknown(String::new()),
            constant: false,
            hidden: false,
        };
        let is_type = |node: &Node<'_>| {
            node.kind().ends_with("_specifier") && node.kind() != "storage_class_specifier"
        };
        if is_type(&node) {
            found.kind = self.kind(node, name);
            return found;
        }
        let kind = node.child_by_field_name("type");
        for child in children(node) {
            match (child.kind(), self.of(child)) {
                ("type_qualifier", "const" | "__const") => found.constant = true,
                ("storage_class_specifier" | "type_qualifier" | "function_specifier", word)
                    if ["static", "inline", "__inline", "__inline__"].contains(&word) =>
                {
                    found.hidden = true;
                }
                _ => {}
            }
        }
        if let Some(kind) = kind {
            found.kind = self.kind(kind, name);
        }
        // `extern inline` has a symbol; a head that the grammar takes apart otherwise is read as text.
        let words: Vec<&str> = self
            .text
            .get(node.start_byte()..kind.map_or(node.start_byte(), |kind| kind.start_byte()))
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        if words.contains(&"extern") {
            found.hidden = false;
        }
        found
    }

    fn kind(&mut self, node: Node<'_>, name: Option<&str>) -> Type {
        let text = self.of(node);
        match node.kind() {
            "struct_specifier" => self.structure(node, name),
            "enum_specifier" => self.enumeration(node),
            "union_specifier" => Type::Unknown(one_line(text, '{')),
            _ => {
                if let Some(kind) = number(text) {
                    return kind;
                }
                let known = self.names.typedefs.get(text).cloned();
                known.unwrap_or_else(|| Type::Unknown(one_line(text, '{')))
            }
        }
    }

    fn structure(&mut self, node: Node<'_>, name: Option<&str>) -> Type {
        let own = node.child_by_field_name("name").map(|name| self.of(name));
        let Some(name) = own.or(name).map(str::to_owned) else {
            return Type::Unknown("struct without a name".to_owned());
        };
        if let Some(body) = node.child_by_field_name("body") {
            // A pointer to itself is one to what is not known yet.
            self.names.structs.insert(
                name.clone(),
                Err(format!("`struct {name}` is within itself")),
            );
            let packed = self.of(node).contains("packed") || self.of(node).contains("aligned");
            let fields = if packed {
                Err(format!("`struct {name}` is laid out by an attribute"))
            } else {
                self.fields(body, &name)
            };
            self.names.structs.insert(name.clone(), fields);
        }
        Type::Struct(name)
    }

    fn fields(&mut self, body: Node<'_>, name: &str) -> Fields {
        let mut fields = Vec::new();
        for field in children(body) {
            if field.kind() != "field_declaration" {
                continue;
            }
            if children(field)
                .iter()
                .any(|child| child.kind() == "bitfield_clause")
            {
                return Err(format!("`struct {name}` has bit fields"));
            }
            let before = self.specifiers(field);
            let mut cursor = field.walk();
            let declarators: Vec<Node<'_>> = field
                .children_by_field_name("declarator", &mut cursor)
                .collect();
            if declarators.is_empty() {
                return Err(format!("`struct {name}` has a field without a name"));
            }
            for declarator in declarators {
                let declared = self.declared(declarator, before.kind.clone(), before.constant);
                if !self.is_numbers(&declared.kind) {
                    let field = declared.name;
                    return Err(format!("`{field}` of `struct {name}` is no number"));
                }
                fields.push((declared.name, declared.kind));
            }
        }
        if fields.is_empty() {
            return Err(format!("`struct {name}` is empty"));
        }
        Ok(fields)
    }

    /// Whether it is made of numbers alone.
    fn is_numbers(&self, kind: &Type) -> bool {
        match kind {
            Type::Number(_) | Type::Char | Type::Size => true,
            Type::Array(of, _) => self.is_numbers(of),
            Type::Struct(name) => matches!(self.names.structs.get(name), Some(Ok(_))),
            _ => false,
        }
    }

    fn enumeration(&mut self, node: Node<'_>) -> Type {
        let mut next = Some(0);
        if let Some(body) = node.child_by_field_name("body") {
            for one in children(body) {
                let Some(name) = one.child_by_field_name("name") else {
                    continue;
                };
                if let Some(value) = one.child_by_field_name("value") {
                    next = constants::value(value, self.text, &self.names.constants);
                }
                if let Some(value) = next {
                    let name = self.of(name).to_owned();
                    let own = self.own;
                    self.names.constants.push(Constant { name, value, own });
                }
                next = next.and_then(|value| value.checked_add(1));
            }
        }
        // One without negative values is unsigned for some compilers; both are passed alike.
        Type::Number("i32")
    }

    /// A declarator around its name, from the outside in: `*(*f)(int)`.
    fn declared(&mut self, node: Node<'_>, kind: Type, constant: bool) -> Declared {
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
                    Some(count) => (Type::Array(Box::new(kind), count), constant),
                    None => {
                        let named = size.filter(|size| size.kind() == "identifier");
                        let length = named.map(|size| self.of(size).to_owned());
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
                            Type::Array(of, _) => pointer(*of, declared.constant, None),
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

/// A type's text up to where its body begins.
fn one_line(text: &str, end: char) -> String {
    let head = text.split(end).next().unwrap_or_default();
    head.split_whitespace().collect::<Vec<_>>().join(" ")
}
