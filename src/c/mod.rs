//! C on its way to Rust: the user's compiler makes a shared object of it, and each function that others can call
//! gets a Rust function that calls it. Nothing of the user's runs here: engines load the object when a cell needs
//! it.
//!
//! [`build`] preprocesses, so that macros and conditions are the compiler's business, reads the functions out of
//! what comes of it ([`parse`]), says how they look in Rust ([`wrap`]), and compiles ([`tool`]), unless the same was
//! compiled before. What the compiler complains of comes back with lines of the user's ([`messages`]).

mod constants;
mod declarator;
mod messages;
pub mod mpi;
mod names;
mod parse;
#[cfg(test)]
mod tests;
mod tool;
mod types;
mod wrap;

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

pub use messages::{Message, Severity};
pub use tool::{Stop, Tool};
pub use wrap::Function;

use crate::ids::ArtifactId;

/// C to compile.
#[derive(Clone, Debug)]
pub struct Source {
    pub text: String,
    /// What its lines are said to be of: `In [3]`, or the file.
    pub name: String,
    /// The number of its first line there, from 1.
    pub line: usize,
    /// Where it stands, when it is a file's.
    pub file: Option<PathBuf>,
}

/// What the C came to.
#[derive(Clone, Debug)]
pub struct Built {
    pub library: ArtifactId,
    /// The shared object, which the cache may drop meanwhile.
    pub so: Arc<OwnedFd>,
    /// Warnings and what belongs to them.
    pub messages: Vec<Message>,
    /// Rust's types and constants for those of C that its functions name: `struct Point`, text of each by its name.
    pub items: Vec<(String, String)>,
    pub functions: Vec<Function>,
    /// What Rust cannot call, and why.
    pub left_out: Vec<(String, String)>,
}

/// Why there is nothing of it.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("there is no C compiler: `{program}` cannot be run: {why}")]
    NoCompiler { program: String, why: String },
    /// The compiler refuses it.
    #[error("the C does not compile")]
    Refused(Vec<Message>),
    #[error("the C cannot be compiled: {0}")]
    Failed(String),
    #[error("interrupted")]
    Stopped,
}

const VARIABLE: &str = "a variable of C's: functions in this cell can read and set it";

/// Compiles C and reads its functions. `extra` is what the user adds to the compiler's arguments, `libraries` what
/// is linked behind the source.
pub fn build(
    source: &Source,
    tool: &Tool,
    extra: &[String],
    libraries: &[String],
    stop: &Stop,
) -> Result<Built, BuildError> {
    let preprocessed = tool.preprocess(source, extra, stop)?;
    let made = tool.compile(source, &preprocessed, extra, libraries, stop)?;
    let unit = parse::Unit::of(&preprocessed, &source.name);
    let library = ArtifactId {
        content: made.content,
        ..ArtifactId::default()
    };
    let mut left_out = Vec::new();
    let mut functions = Vec::new();
    let mut used = types::Used::default();
    for function in unit.functions() {
        match wrap::function(&function, &unit, &mut used, library) {
            Ok(function) => functions.push(function),
            Err(why) => left_out.push((function.name.clone(), why)),
        }
    }
    let variables = unit.variables().iter();
    left_out.extend(variables.map(|name| (name.clone(), VARIABLE.to_owned())));
    Ok(Built {
        library,
        so: made.so,
        messages: made.messages,
        items: wrap::items(&unit, &used),
        functions,
        left_out,
    })
}
