//! What rustc and evcxr say, where something is decided by it, and what this room says in place of their words.

/// What rustc found, where it expected something else behind the user's code.
pub const CELL_END: &str = "the end of the cell";

/// What stands between what it expected and what it found.
pub const FOUND: &str = ", found ";

/// How rustc's message on a type without it ends.
pub const NO_DEBUG: &str = " doesn't implement `Debug`";

/// Why evcxr cannot keep a variable, in the user's terms.
pub const HOLDS_REFERENCE: &str = "holds a reference, which cannot outlive its cell";

/// How rustc begins when its parser wanted another word.
pub const EXPECTED: &str = "expected ";

/// How it begins on a name that is not known; what it is stands between this and the name.
pub const NOT_FOUND: &str = "cannot find";

/// The same of values, of crates, and of what it would have imported.
pub const NO_VALUE: &str = "cannot find value `";
pub const NO_CRATE: &str = "cannot find module or crate `";
pub const NO_IMPORT: &str = "cannot find `";

/// What goes in front of a crate's name in its advice.
pub const CARGO_ADD: &str = "`cargo add ";

/// What it calls a variable that a function changes which threads share.
pub const SHARED: &str = "a captured variable in a `Fn` closure";

/// How it ends on a type that must not be used by several threads, or leave its own.
pub const NOT_SHARED: &str = " cannot be shared between threads safely";
pub const NOT_SENT: &str = " cannot be sent between threads safely";

/// Of a reference that would have to outlive what it was decoded from, rustc only says where.
pub const NOT_GENERAL: &str = "implementation of `Deserialize` is not general enough";

/// Where serde's traits stand in what rustc says of a type without them.
pub const SERDE: [&str; 3] = ["Serialize`", "Deserialize<", "DeserializeOwned`"];

/// What stands in front of the type, where it is not `the trait bound `K: T` is not satisfied`.
pub const NO_TRAIT_FOR: &str = " is not implemented for `";

/// Notes about rustc's own affairs.
pub const NOISE: [&str; 5] = [
    "on by default",
    "implied by `#[",
    "the full name for the type has been written to",
    "consider using `--verbose`",
    "changes to Rust's type-inference algorithm",
];

/// How its note on a type without what a trait of the cell crate's wants ends, in front of the trait's name.
pub const TO_IMPLEMENT: &str = "to implement ";

/// What evcxr says of a variable that it cannot keep: no type can be inferred for it, its value is a closure, or its
/// type has no name.
pub const UNKNOWN_TYPE: &str = "automatically determine type";
/// Behind it, why no type can be told: what our own analysis says.
pub const UNTOLD: &str = "rust-analyzer: ";
pub const IS_CLOSURE: &str = "is a closure";
pub const NOT_PERSISTED: &str = "cannot be persisted";

/// How it writes the type of what an `async` function gives.
pub const FUTURE: &str = "impl Future";
