//! Values as their `Debug` text shows them: [`parse`] finds the structure in the text, `layout` folds it to a
//! terminal's width and to so many lines. It works on text alone, so it works for every type; a text that it
//! does not understand is never altered.

mod columns;
mod layout;
mod parse;
#[cfg(test)]
mod tests;

pub use columns::{columns, points};
pub use layout::Line;
pub(crate) use layout::lay;
