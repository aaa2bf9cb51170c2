//! The words that `%push`, `%pull`, `%scatter` and `%gather` share: variables, targets, layout.

use clap::Args;

use super::Call;
use super::values::variable;
use crate::cell::is_variable_name;
use crate::cell::syntax::is_rust;
use crate::outcome::Report;

/// What stands in the place of a variable of the session; several may stand in one word with commas.
#[derive(Clone)]
pub struct VariableWord(String);

/// What stands in the place of a variable of the engines.
#[derive(Clone)]
pub struct EnginesWord(String);

macro_rules! words {
    ($($word:ident)*) => {$(
        impl From<&str> for $word {
            fn from(word: &str) -> Self {
                Self(word.to_owned())
            }
        }

        impl AsRef<str> for $word {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    )*};
}

words!(VariableWord EnginesWord);

#[derive(Args)]
pub struct Layout {
    /// a run of neighbours per engine (the default)
    #[arg(long)]
    block: bool,
    /// one by one to the engines in turn
    #[arg(long)]
    cyclic: bool,
}

impl Layout {
    pub fn is_cyclic(&self, magic: &str) -> Result<bool, Report> {
        if self.cyclic && self.block {
            let what = format!("%{magic}: --block and --cyclic exclude each other");
            return Err(Report::usage(what).hint("`--block` is the default"));
        }
        Ok(self.cyclic)
    }
}

/// The variables of a call, with blanks or commas between them.
pub fn data_names(
    words: &[impl AsRef<str>],
    call: &Call<'_>,
    magic: &str,
) -> Result<Vec<String>, Report> {
    let names: Vec<String> = words
        .iter()
        .flat_map(|word| word.as_ref().split(','))
        .filter(|name| !name.is_empty())
        .map(|name| variable(name).map_err(|report| unnamed(call, magic, name).unwrap_or(report)))
        .collect::<Result<_, _>>()?;
    if names.is_empty() {
        return Err(
            Report::usage(format!("%{magic} needs the name of a variable"))
                .hint(format!("`%help {magic}` shows how it is written")),
        );
    }
    Ok(names)
}

/// What is said of a value in the place of a variable's name, such as `vec![1, 2]` or `a 0..16`; `word` is the
/// part that is no name. `None` when there is no value.
fn unnamed(call: &Call<'_>, magic: &str, word: &str) -> Option<Report> {
    let option = |rest: &str| rest.starts_with(|c: char| c == '-' || c.is_ascii_alphabetic());
    let written = call.text.trim().trim_end_matches(';').trim_end();
    let end = written
        .match_indices(" -")
        .find(|(at, dash)| option(&written[at + dash.len()..]));
    let written = written[..end.map_or(written.len(), |(at, _)| at)].trim_end();
    let one = matches!(magic, "scatter" | "gather");
    // As in a `let`, and as ipyparallel's `scatter` takes them.
    let split = match written.split_once('=') {
        Some(parts) => Some(parts),
        None => written.split_once(' ').filter(|_| one),
    };
    let split = split.map(|(name, value)| (name.trim(), value.trim()));
    let name = if one { "xs" } else { "part" };
    let (name, value) = split
        .into_iter()
        .chain([(name, written), (name, word)])
        .find(|(name, value)| is_variable_name(name) && is_rust(value))?;
    // What is gathered or pulled is the engines' own.
    let on = match magic {
        "gather" | "pull" => "%px ",
        _ => "",
    };
    let what = if value == word { word } else { written };
    Some(
        Report::usage(format!("`{what}` cannot name a variable")).hint(format!(
            "give it a name first: `{on}let {name} = {value};`, then `%{magic} {name}`"
        )),
    )
}

/// The one variable of a call.
pub fn data_name(
    words: &[impl AsRef<str>],
    call: &Call<'_>,
    magic: &str,
) -> Result<String, Report> {
    match data_names(words, call, magic)?.as_slice() {
        [name] => Ok(name.clone()),
        names => Err(Report::usage(format!(
            "%{magic} takes one variable, not {}",
            names.join(", ")
        ))
        .hint(format!("write one `%{magic}` for each"))),
    }
}
