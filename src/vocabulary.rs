//! The words that completion offers: plain data that the session replaces between cells. It knows
//! nothing of how magics, pools or variables come about, and never locks or asks anyone.

/// Everything that can be completed besides Rust's own words.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    pub magics: Vec<MagicWord>,
    /// Names of the running pools.
    pub pools: Vec<String>,
    /// How many engines the current pool has; targets from 0 up to one less are offered.
    pub engines: u32,
    /// Names of session variables.
    pub variables: Vec<String>,
    /// Names of the variables that engines of the current pool have.
    pub engines_variables: Vec<String>,
    /// Functions whose results are kept.
    pub memos: Vec<String>,
    /// The jobs, by number, and what each of them is.
    pub jobs: Vec<(String, String)>,
    /// Names of the children, in the order of their starts.
    pub children: Vec<String>,
    /// Whether plain cells run on the engines of the current pool.
    pub autopx: bool,
    /// Names of functions defined in the session, without parentheses.
    pub functions: Vec<String>,
}

/// A magic as the user types it.
#[derive(Clone, Debug, Default)]
pub struct MagicWord {
    /// Without `%`.
    pub name: String,
    /// One line, shown beside the name.
    pub summary: String,
    /// Whether `%%name` with a body exists.
    pub cell_form: bool,
    /// Whether Rust code stands behind its options.
    pub takes_code: bool,
    pub options: Vec<OptionWord>,
    /// What may follow the name as its first word, such as `start` and `stop` of `%pool`; each has options of
    /// its own.
    pub subcommands: Vec<MagicWord>,
}

/// An option of a magic. One with neither a long nor a short name is a positional argument.
#[derive(Clone, Debug, Default)]
pub struct OptionWord {
    /// Without dashes.
    pub long: Option<String>,
    /// Without the dash.
    pub short: Option<char>,
    pub value: ValueKind,
    /// Whether more than one of them may stand side by side.
    pub several: bool,
    pub help: String,
}

/// What kind of word follows an option.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ValueKind {
    /// A switch: nothing follows.
    #[default]
    None,
    Pool,
    Targets,
    /// The number of a job.
    Job,
    /// A child, or all of a name.
    Child,
    JobOrChild,
    /// A variable of the session.
    Variable,
    /// A variable of the current pool's engines.
    EnginesVariable,
    /// A function whose results are kept.
    Memo,
    /// The name of a magic.
    Magic,
    Choice(Vec<String>),
    File,
    /// Something that cannot be listed.
    Other,
}

impl Vocabulary {
    /// The magic of this name.
    pub fn magic(&self, name: &str) -> Option<&MagicWord> {
        self.magics.iter().find(|magic| magic.name == name)
    }
}

/// The nearest of `known`, when it is near enough to be meant; never what was typed.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(typed, name), name))
        .filter(|(distance, _)| *distance > 0)
        .filter(|(distance, name)| *distance <= 1 + name.len() / 3 && *distance < name.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_is_recognised_and_nonsense_is_not() {
        let known = ["pool", "px", "map", "timeit", "time"];
        assert_eq!(nearest("pol", known), Some("pool"));
        assert_eq!(nearest("mpa", known), Some("map"));
        assert_eq!(nearest("timit", known), Some("timeit"));
        assert_eq!(nearest("frobnicate", known), None);
        assert_eq!(nearest("time", known), Some("timeit"));
        assert_eq!(nearest("pool", ["pool"]), None, "what was typed");
    }
}
