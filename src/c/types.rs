//! C's types, and what they are in Rust.

use std::collections::BTreeSet;

/// A type of C's, as far as Rust can name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    Void,
    /// The number in Rust: `f64`, `i32`, `bool`.
    Number(&'static str),
    Char,
    /// `size_t`, which counts the items before it.
    Size,
    /// Fields are found by the name.
    Struct(String),
    Pointer {
        to: Box<Type>,
        constant: bool,
        /// The name in `double x[n]`.
        length: Option<String>,
    },
    Array(Box<Type>, u64),
    Function {
        output: Box<Type>,
        inputs: Vec<Parameter>,
        variadic: bool,
    },
    /// What Rust knows nothing of, by its name: a type that is only declared, a union.
    Unknown(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Empty where the source has none.
    pub name: String,
    pub kind: Type,
}

/// Structs whose definition Rust needs.
pub type Used = BTreeSet<String>;

/// A C `char` in Rust.
pub const CHAR: &str = if std::ffi::c_char::MIN == 0 {
    "u8"
} else {
    "i8"
};
const LONG: &str = if size_of::<std::ffi::c_long>() == 8 {
    "i64"
} else {
    "i32"
};
const UNSIGNED_LONG: &str = if size_of::<std::ffi::c_long>() == 8 {
    "u64"
} else {
    "u32"
};

/// The type of a name that C or its headers have for a number.
pub fn number(name: &str) -> Option<Type> {
    Some(Type::Number(match name {
        "size_t" => return Some(Type::Size),
        "char" => return Some(Type::Char),
        "void" => return Some(Type::Void),
        "_Bool" | "bool" => "bool",
        "int8_t" => "i8",
        "uint8_t" => "u8",
        "int16_t" => "i16",
        "uint16_t" => "u16",
        "int32_t" => "i32",
        "uint32_t" => "u32",
        "int64_t" | "intmax_t" => "i64",
        "uint64_t" | "uintmax_t" => "u64",
        "intptr_t" | "ptrdiff_t" | "ssize_t" => "isize",
        "uintptr_t" => "usize",
        "float" => "f32",
        "double" => "f64",
        _ => return sized(name),
    }))
}

/// `unsigned long int` and its like, whose words stand in any order.
fn sized(name: &str) -> Option<Type> {
    let words: Vec<&str> = name.split_whitespace().collect();
    let count = |word: &str| words.iter().filter(|one| **one == word).count();
    let known = [
        "signed",
        "__signed__",
        "unsigned",
        "short",
        "long",
        "int",
        "char",
    ];
    if words.is_empty() || !words.iter().all(|word| known.contains(word)) {
        return None;
    }
    let unsigned = count("unsigned") > 0;
    Some(Type::Number(
        match (count("char"), count("short"), count("long")) {
            (1, _, _) if unsigned => "u8",
            (1, _, _) => "i8",
            (_, 1, _) if unsigned => "u16",
            (_, 1, _) => "i16",
            (_, _, 1) if unsigned => UNSIGNED_LONG,
            (_, _, 1) => LONG,
            (_, _, 2) if unsigned => "u64",
            (_, _, 2) => "i64",
            _ if unsigned => "u32",
            _ => "i32",
        },
    ))
}

impl Type {
    /// The type in a Rust signature; an error says why there is none.
    pub fn rust(&self, used: &mut Used) -> Result<String, String> {
        Ok(match self {
            Self::Void => "()".to_owned(),
            Self::Number(name) => (*name).to_owned(),
            Self::Char => CHAR.to_owned(),
            Self::Size => "usize".to_owned(),
            Self::Struct(name) => {
                used.insert(name.clone());
                identifier(name)
            }
            Self::Pointer { to, constant, .. } => {
                if let Self::Function { .. } = **to {
                    return to.rust(used);
                }
                let star = if *constant { "*const " } else { "*mut " };
                let to = match &**to {
                    Self::Void | Self::Unknown(_) => "::std::ffi::c_void".to_owned(),
                    to => to.rust(used)?,
                };
                format!("{star}{to}")
            }
            Self::Array(of, length) => format!("[{}; {length}]", of.rust(used)?),
            Self::Function {
                output,
                inputs,
                variadic,
            } => {
                let mut kinds = Vec::new();
                for input in inputs {
                    kinds.push(input.kind.rust(used)?);
                }
                if *variadic {
                    kinds.push("...".to_owned());
                }
                let output = match &**output {
                    Self::Void => String::new(),
                    output => format!(" -> {}", output.rust(used)?),
                };
                let kinds = kinds.join(", ");
                format!("Option<unsafe extern \"C\" fn({kinds}){output}>")
            }
            Self::Unknown(name) => return Err(format!("Rust knows no `{name}`")),
        })
    }

    /// Whether it can be an item of a slice.
    pub fn is_item(&self) -> bool {
        match self {
            Self::Number(_) | Self::Char | Self::Size | Self::Struct(_) => true,
            Self::Array(of, _) => of.is_item(),
            _ => false,
        }
    }

    /// Whether it is passed as it is.
    pub fn is_plain(&self) -> bool {
        matches!(
            self,
            Self::Number(_) | Self::Char | Self::Size | Self::Struct(_)
        )
    }
}

/// A name of C's as Rust can write it: `type` is a word of Rust's.
pub fn identifier(name: &str) -> String {
    const RAW: [&str; 45] = [
        "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do",
        "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in",
        "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
        "return", "static", "struct", "trait", "true", "try", "type", "typeof", "unsafe",
        "unsized", "use", "virtual",
    ];
    match name {
        "self" | "super" | "crate" | "Self" | "_" => format!("{name}_"),
        "where" | "while" | "yield" => format!("r#{name}"),
        name if RAW.contains(&name) => format!("r#{name}"),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_rust_s_names() {
        for (c, rust) in [
            ("int", "i32"),
            ("unsigned", "u32"),
            ("long unsigned int", "u64"),
            ("short", "i16"),
            ("unsigned char", "u8"),
            ("signed char", "i8"),
            ("long long", "i64"),
            ("uint64_t", "u64"),
            ("size_t", "usize"),
            ("ptrdiff_t", "isize"),
            ("_Bool", "bool"),
            ("float", "f32"),
        ] {
            let kind = number(c).unwrap_or_else(|| panic!("{c}"));
            assert_eq!(kind.rust(&mut Used::new()), Ok(rust.to_owned()), "{c}");
        }
        for c in ["long double", "__int128", "FILE", ""] {
            assert_eq!(number(c), None, "{c}");
        }
    }

    #[test]
    fn words_of_rust_s_are_names_too() {
        assert_eq!(identifier("type"), "r#type");
        assert_eq!(identifier("self"), "self_");
        assert_eq!(identifier("norm"), "norm");
    }
}
