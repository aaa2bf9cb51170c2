//! Preprocessed C taken apart by tree-sitter: functions that others can call, and the types that they name.

use tree_sitter::{Node, Parser, Tree};

use super::constants::{self, Constant};
use super::names::{Fields, Names};
use super::types::{Parameter, Type, number};

/// A function that others can call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    pub output: Type,
    pub inputs: Vec<Parameter>,
    pub variadic: bool,
    /// Why Rust cannot call it, whatever its types are.
    pub obstacle: Option<&'static str>,
    /// Its head as the user has written it, on one line.
    pub head: String,
}

/// All that a source says.
#[derive(Debug, Default)]
pub struct Unit {
    functions: Vec<Function>,
    /// Variables that others could see.
    variables: Vec<String>,
    names: Names,
}

impl Unit {
    /// Reads preprocessed text; functions are taken from the lines of `own`, as its line markers name the user's text.
    pub fn of(preprocessed: &str, own: &str) -> Self {
        let Lines {
            text,
            is_own,
            macros,
        } = Lines::of(preprocessed, own);
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
        unit.names.add_macros(&macros, &mut parser);
        unit.names.settle(&mut unit.functions);
        unit
    }

    pub fn functions(&self) -> Vec<Function> {
        self.functions.clone()
    }

    pub fn variables(&self) -> &[String] {
        &self.variables
    }

    pub fn names(&self) -> &Names {
        &self.names
    }

    pub fn fields(&self, name: &str) -> Option<&Fields> {
        self.names.structs.get(name)
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
                "declaration" => {
                    let read = reader.variables(item);
                    self.variables.extend(read.into_iter().filter(|_| own));
                }
                _ => {
                    reader.specifiers(item);
                }
            }
        }
    }
}

/// Preprocessed text without its line markers, in which every line stays where it is.
struct Lines {
    text: String,
    /// Which are the user's.
    is_own: Vec<bool>,
    /// What the user's `#define`s say.
    macros: Vec<String>,
}

impl Lines {
    fn of(preprocessed: &str, own: &str) -> Self {
        let mut lines = Self {
            text: String::with_capacity(preprocessed.len()),
            is_own: Vec::new(),
            macros: Vec::new(),
        };
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
                None if line.starts_with('#') => {
                    let defined = line.strip_prefix("#define ").filter(|_| inside);
                    lines.macros.extend(defined.map(str::to_owned));
                }
                None => lines.text.push_str(line),
            }
            lines.is_own.push(inside && named.is_none());
            lines.text.push('\n');
        }
        lines
    }
}

pub(super) fn children(node: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).collect()
}

pub(super) struct Reader<'a> {
    pub text: &'a str,
    own: bool,
    pub names: &'a mut Names,
}

/// What stands in front of a declared name.
pub(super) struct Specified {
    pub kind: Type,
    pub constant: bool,
    /// `static`: nobody else knows of it.
    hidden: bool,
    inline: bool,
    external: bool,
}

impl<'a> Reader<'a> {
    pub fn of(&self, node: Node<'_>) -> &'a str {
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
        if before.hidden {
            return None;
        }
        let head = self.text.get(node.start_byte()..body.start_byte());
        let head = head.unwrap_or_default();
        let words: Vec<&str> = head.split_whitespace().collect();
        let is = |kind: &str| children(node).iter().any(|child| child.kind() == kind);
        let obstacle = if head.contains("_Complex") {
            Some("Rust knows no complex numbers of C's; two `double` are one")
        } else if is("declaration") {
            Some("its parameters are declared behind the brackets, as C had it before 1989")
        } else if before.inline && !before.external {
            Some("`inline` alone makes no function that others can call: leave it away")
        } else if is("ERROR") || declarator.has_error() {
            Some("its head is beyond what is read of C here")
        } else {
            None
        };
        Some(Function {
            name: declared.name,
            output: *output,
            inputs,
            variadic,
            obstacle,
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
        let attributes = self.of(node).contains("__attribute__");
        for declarator in declarators {
            let declared = self.declared(declarator, before.kind.clone(), before.constant);
            // `typedef double four __attribute__((vector_size(32)))`
            if attributes && self.is_laid_out(node, &declared.kind) {
                let other = Type::Unknown(declared.name.clone());
                self.names.typedefs.insert(declared.name, other);
                continue;
            }
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

    /// Whether an attribute of a typedef makes another type of it.
    fn is_laid_out(&mut self, node: Node<'_>, kind: &Type) -> bool {
        let words = ["vector_size", "mode", "packed", "aligned"];
        let text = self.of(node);
        let behind = text.rsplit_once('}').map_or(text, |(_, behind)| behind);
        let laid_out = words.iter().any(|word| behind.contains(word));
        if let (true, Type::Struct(name)) = (laid_out, kind) {
            let why = format!("`struct {name}` is laid out by an attribute");
            self.names.structs.insert(name.clone(), Err(why));
            return false;
        }
        laid_out
    }

    /// The variables that a declaration makes, and others could see.
    fn variables(&mut self, node: Node<'_>) -> Vec<String> {
        let before = self.specifiers(node);
        if before.hidden || before.external {
            return Vec::new();
        }
        let mut cursor = node.walk();
        let declarators: Vec<Node<'_>> = node
            .children_by_field_name("declarator", &mut cursor)
            .collect();
        let declared = declarators.into_iter().map(|declarator| {
            let declarator = match declarator.kind() {
                "init_declarator" => declarator.child_by_field_name("declarator"),
                _ => None,
            }
            .unwrap_or(declarator);
            self.declared(declarator, before.kind.clone(), before.constant)
        });
        declared
            .filter(|declared| !matches!(declared.kind, Type::Function { .. }))
            .map(|declared| declared.name)
            .collect()
    }

    pub fn specifiers(&mut self, node: Node<'_>) -> Specified {
        self.specifiers_named(node, None)
    }

    fn specifiers_named(&mut self, node: Node<'_>, name: Option<&str>) -> Specified {
        let mut found = Specified {
            kind: Type::Unknown(String::new()),
            constant: false,
            hidden: false,
            inline: false,
            external: false,
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
                (_, "static") => found.hidden = true,
                (_, "inline" | "__inline" | "__inline__") => found.inline = true,
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
        found.external = words.contains(&"extern");
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
}

/// A type's text up to where its body begins.
fn one_line(text: &str, end: char) -> String {
    let head = text.split(end).next().unwrap_or_default();
    head.split_whitespace().collect::<Vec<_>>().join(" ")
}
