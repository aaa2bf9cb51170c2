//! Completion as a function of the text, the cursor, the vocabulary and the names that the analysis knows. It
//! proposes words and never says whether a cell is right. File names are the one thing it leaves to the caller.

use super::code::code_at;
use super::names::{self, Around};
use super::place::{Place, code_place, is_positional, place};
use crate::cell::KEYWORDS;
use crate::compiler::analysis;
use crate::vocabulary::{MagicWord, ValueKind, Vocabulary};

/// More than anyone reads; rustyline's list cannot hold more than 65 535 either.
const MOST: usize = 500;
/// Engines beyond these are typed, not listed.
const MOST_TARGETS: u32 = 16;
/// What the cell crate gives every cell.
const BUILTINS: &[&str] = &[
    "children::program(",
    "children::spawn(",
    "engine::id()",
    "engine::rank()",
    "engine::size()",
    "memo::cached(",
    "memo::fresh(",
    "pool::map(",
    "store::barrier(",
    "store::delete(",
    "store::expire(",
    "store::get(",
    "store::incr(",
    "store::keys(",
    "store::len(",
    "store::lock(",
    "store::pop(",
    "store::pop_wait(",
    "store::publish(",
    "store::push(",
    "store::semaphore(",
    "store::set(",
    "store::subscribe(",
    "store::take(",
    "store::update(",
    "store::wait_for(",
];

/// What a candidate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A magic's name.
    Magic,
    /// Another word of a magic: an option, a subcommand, a value.
    Word,
    /// A name in Rust code.
    Name(analysis::Kind),
    /// A word in Rust code of which nothing else is known.
    Code,
}

/// One proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// What replaces the text from the returned start to the cursor.
    pub replacement: String,
    pub kind: Kind,
    /// What it takes and gives, or its type; may be empty.
    pub signature: String,
    /// One line on what it means; may be empty.
    pub summary: String,
}

/// The candidates for the word at `cursor` (in bytes), and where that word starts. `ask` gives the names that
/// can stand at a place in code, or nothing in time.
pub fn complete(
    text: &str,
    cursor: usize,
    vocabulary: &Vocabulary,
    ask: &dyn Fn(analysis::Place) -> Option<Vec<analysis::Name>>,
) -> (usize, Vec<Candidate>) {
    let (mut place, mut start) = place(text, cursor, vocabulary);
    let words = |place: &Place, start: usize| {
        candidates(place, &text[..start], &text[start..cursor], vocabulary)
    };
    if let Place::First(magic) = place {
        let found = words(&place, start);
        if !found.is_empty() || !magic.takes_code {
            return (start, found);
        }
        // Not an argument of the magic, so the code that it runs.
        (place, start) = code_place(text, cursor);
    }
    if matches!(place, Place::Code)
        && let code = code_at(text, cursor, vocabulary)
        && let Some(around) = Around::at(text, cursor, &code)
        && let Some(names) = ask(code.place)
    {
        let mut found = names::candidates(names, &around);
        found.truncate(MOST);
        return (cursor - around.typed.len(), found);
    }
    (start, words(&place, start))
}

/// The words of the vocabulary for a place; `before` is all that stands before what was typed.
fn candidates(place: &Place, before: &str, typed: &str, vocabulary: &Vocabulary) -> Vec<Candidate> {
    let mut found = match place {
        Place::MagicName { cell } => magic_names(vocabulary, typed, *cell),
        Place::OptionName(magic) => options(magic),
        Place::Value(kind) => values(kind, vocabulary),
        Place::First(magic) => {
            let words = magic.subcommands.iter();
            let words = words.map(|sub| with(sub.name.clone(), &sub.summary));
            words.chain(positional(magic, vocabulary)).collect()
        }
        Place::Positional(magic) => positional(magic, vocabulary).collect(),
        Place::Code => code(vocabulary, before, typed),
        Place::File | Place::Nothing => Vec::new(),
    };
    found.retain(|candidate| candidate.replacement.starts_with(typed));
    found.truncate(MOST);
    found
}

/// What may stand as an argument without a name.
fn positional<'v>(
    magic: &'v MagicWord,
    vocabulary: &'v Vocabulary,
) -> impl Iterator<Item = Candidate> + 'v {
    magic
        .options
        .iter()
        .filter(|option| is_positional(option))
        .flat_map(|option| values(&option.value, vocabulary))
}

/// `%name` of all magics; at the start of a cell `%%name` of those that take a body too.
fn magic_names(vocabulary: &Vocabulary, typed: &str, cell: bool) -> Vec<Candidate> {
    let line = vocabulary
        .magics
        .iter()
        .map(|m| magic_name(format!("%{}", m.name), m));
    let bodies = vocabulary.magics.iter().filter(|m| m.cell_form && cell);
    let bodies = bodies.map(|m| magic_name(format!("%%{}", m.name), m));
    // After `%na` only `%name` can be meant; a single `%` may become either.
    let line = line.filter(|_| !typed.starts_with("%%"));
    let bodies = bodies.filter(|_| typed.len() == 1 || typed.starts_with("%%"));
    line.chain(bodies).collect()
}

fn magic_name(replacement: String, magic: &MagicWord) -> Candidate {
    Candidate {
        kind: Kind::Magic,
        ..with(replacement, &magic.summary)
    }
}

fn options(magic: &MagicWord) -> Vec<Candidate> {
    let names = magic
        .options
        .iter()
        .filter_map(|option| match (&option.long, option.short) {
            (Some(long), Some(short)) => Some(with(
                format!("--{long}"),
                &format!("-{short}  {}", option.help),
            )),
            (Some(long), None) => Some(with(format!("--{long}"), &option.help)),
            (None, Some(short)) => Some(with(format!("-{short}"), &option.help)),
            (None, None) => None,
        });
    names.collect()
}

fn values(kind: &ValueKind, vocabulary: &Vocabulary) -> Vec<Candidate> {
    match kind {
        ValueKind::Pool => vocabulary.pools.iter().cloned().map(bare).collect(),
        ValueKind::Choice(words) => words.iter().cloned().map(bare).collect(),
        ValueKind::Targets => {
            let mut words = vec![with("all", "every engine")];
            let ranks = vocabulary.engines.min(MOST_TARGETS);
            words.extend((0..ranks).map(|rank| bare(rank.to_string())));
            words.push(with("::2", "every second engine"));
            words.push(with("-1", "the last engine"));
            words
        }
        ValueKind::Job => jobs(vocabulary).collect(),
        ValueKind::Child => children(vocabulary),
        ValueKind::JobOrChild => {
            let jobs = jobs(vocabulary);
            jobs.chain(children(vocabulary)).collect()
        }
        ValueKind::Variable => vocabulary.variables.iter().cloned().map(bare).collect(),
        ValueKind::EnginesVariable => {
            let names = vocabulary.engines_variables.iter();
            names.cloned().map(bare).collect()
        }
        ValueKind::Memo => vocabulary.memos.iter().cloned().map(bare).collect(),
        ValueKind::Magic => {
            let magics = vocabulary.magics.iter();
            magics
                .map(|magic| magic_name(magic.name.clone(), magic))
                .collect()
        }
        ValueKind::None | ValueKind::File | ValueKind::Other => Vec::new(),
    }
}

fn jobs(vocabulary: &Vocabulary) -> impl Iterator<Item = Candidate> {
    let jobs = vocabulary.jobs.iter();
    jobs.map(|(number, what)| with(number, what))
}

/// Each child, and what means several.
fn children(vocabulary: &Vocabulary) -> Vec<Candidate> {
    let mut found = Vec::new();
    let mut last = "";
    for name in &vocabulary.children {
        if let Some((group, _)) = name.split_once('.')
            && group != last
        {
            found.push(with(group, "all of them"));
            last = group;
        }
        found.push(bare(name.clone()));
    }
    if !found.is_empty() {
        found.push(with("all", "every child"));
    }
    found
}

/// What the user defined comes first, then what every cell has, then the language.
fn code(vocabulary: &Vocabulary, before: &str, typed: &str) -> Vec<Candidate> {
    // Nothing is known about fields and methods.
    if typed.is_empty() || before.ends_with('.') {
        return Vec::new();
    }
    let variables = vocabulary.variables.iter().cloned();
    let functions = vocabulary.functions.iter().map(|name| format!("{name}("));
    let words = BUILTINS
        .iter()
        .chain(KEYWORDS)
        .map(|word| (*word).to_owned());
    let mut found: Vec<Candidate> = Vec::new();
    for word in variables.chain(functions).chain(words) {
        if word.starts_with(typed)
            && found.len() < MOST
            && !found.iter().any(|c| c.replacement == word)
        {
            found.push(Candidate {
                kind: Kind::Code,
                ..bare(word)
            });
        }
    }
    found
}

fn with(replacement: impl Into<String>, summary: &str) -> Candidate {
    Candidate {
        replacement: replacement.into(),
        kind: Kind::Word,
        signature: String::new(),
        summary: summary.trim_end().to_owned(),
    }
}

fn bare(replacement: String) -> Candidate {
    with(replacement, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assist::is_file_place;
    use crate::vocabulary::OptionWord;

    fn vocabulary() -> Vocabulary {
        let option = |long: &str, short: Option<char>, value| OptionWord {
            long: (!long.is_empty()).then(|| long.to_owned()),
            short,
            value,
            several: false,
            help: String::new(),
        };
        let several = |value| OptionWord {
            several: true,
            ..option("", None, value)
        };
        let words = |words: &[&str]| {
            words
                .iter()
                .map(|&word| word.to_owned())
                .collect::<Vec<_>>()
        };
        let magic = |name: &str, cell_form, options, subcommands: &[MagicWord]| MagicWord {
            name: name.to_owned(),
            summary: format!("about {name}"),
            cell_form,
            takes_code: ["map", "px", "weigh", "explain"].contains(&name),
            options,
            subcommands: subcommands.to_vec(),
        };
        let kinds = ValueKind::Choice(words(&["processes", "threads"]));
        let pool = option("", None, ValueKind::Pool);
        let targets = option("", None, ValueKind::Targets);
        let group = ValueKind::Choice(words(&["engine", "order", "type"]));
        Vocabulary {
            magics: vec![
                magic("help", false, vec![option("", None, ValueKind::Magic)], &[]),
                magic(
                    "map",
                    false,
                    vec![option("pool", Some('p'), ValueKind::Pool)],
                    &[],
                ),
                magic(
                    "pool",
                    false,
                    vec![],
                    &[
                        magic(
                            "start",
                            false,
                            vec![
                                option("", None, kinds),
                                option("", Some('n'), ValueKind::Other),
                            ],
                            &[],
                        ),
                        magic(
                            "stop",
                            false,
                            vec![pool.clone(), option("all", None, ValueKind::None)],
                            &[],
                        ),
                        magic("use", false, vec![pool.clone()], &[]),
                        magic("restart", false, vec![targets], &[]),
                    ],
                ),
                magic(
                    "px",
                    true,
                    vec![
                        option("targets", Some('t'), ValueKind::Targets),
                        option("block", Some('b'), ValueKind::None),
                        option("group-outputs", None, group),
                    ],
                    &[],
                ),
                magic(
                    "memo",
                    true,
                    vec![option("ok", None, ValueKind::None)],
                    &[
                        magic("clear", false, vec![option("", None, ValueKind::Memo)], &[]),
                        magic("explain", false, vec![], &[]),
                    ],
                ),
                magic(
                    "pull",
                    false,
                    vec![several(ValueKind::EnginesVariable)],
                    &[],
                ),
                magic("push", false, vec![several(ValueKind::Variable)], &[]),
                magic("run", false, vec![option("", None, ValueKind::File)], &[]),
                magic(
                    "timeline",
                    false,
                    vec![
                        option("", None, ValueKind::Job),
                        option("svg", None, ValueKind::File),
                    ],
                    &[],
                ),
                magic("stop", false, vec![several(ValueKind::Child)], &[]),
                magic("wait", false, vec![several(ValueKind::JobOrChild)], &[]),
                magic("weigh", false, vec![several(ValueKind::Pool)], &[]),
            ],
            pools: words(&["p0", "workers"]),
            engines: 2,
            variables: words(&["fibs", "total"]),
            engines_variables: words(&["part", "total"]),
            memos: words(&["fib", "slow"]),
            jobs: vec![
                ("1".to_owned(), "fib".to_owned()),
                ("12".to_owned(), "%px".to_owned()),
            ],
            functions: words(&["fib"]),
            children: words(&["one", "w.0", "w.1"]),
            autopx: false,
        }
    }

    /// The candidates at the end of the text, and the word that they replace.
    fn at_end(text: &str) -> (&str, Vec<String>) {
        let (start, found) = complete(text, text.len(), &vocabulary(), &|_| None);
        (
            &text[start..],
            found
                .into_iter()
                .map(|candidate| candidate.replacement)
                .collect(),
        )
    }

    #[test]
    fn magic_names_at_the_start_of_a_statement() {
        assert_eq!(at_end("%po"), ("%po", vec!["%pool".into()]));
        assert_eq!(at_end("%%"), ("%%", vec!["%%px".into(), "%%memo".into()]));
        assert_eq!(at_end("%").1.last().map(String::as_str), Some("%%memo"));
        assert_eq!(at_end("let f = %ma"), ("%ma", vec!["%map".into()]));
        assert_eq!(at_end("x;\n%%"), ("%%", vec![]));
        assert_eq!(
            at_end("a %p"),
            ("p", vec!["pool::map(".into(), "pub".into()])
        );
        assert_eq!(
            complete("%pool", 2, &vocabulary(), &|_| None).1[0].summary,
            "about pool"
        );
    }

    #[test]
    fn options_and_their_values() {
        assert_eq!(
            at_end("%px --").1,
            ["--targets", "--block", "--group-outputs"]
        );
        assert_eq!(
            at_end("%px -b --g"),
            ("--g", vec!["--group-outputs".into()])
        );
        assert_eq!(at_end("%px -t ").1, ["all", "0", "1", "::2", "-1"]);
        assert_eq!(at_end("%px -t -"), ("-", vec!["-1".into()]));
        assert_eq!(at_end("%px --targets 0,"), ("", at_end("%px -t ").1));
        assert_eq!(at_end("%px --group-outputs t").1, ["type"]);
        assert_eq!(at_end("%px --group-outputs=o"), ("o", vec!["order".into()]));
        assert_eq!(at_end("let f = %map -p w").1, ["workers"]);
        assert_eq!(at_end("%pool start -").1, ["-n"]);
        assert_eq!(at_end("%pool stop -").1, ["--all"]);
        assert!(at_end("%pool start -n ").1.is_empty());
    }

    #[test]
    fn subcommands_arguments_and_topics() {
        assert_eq!(at_end("%pool ").1, ["start", "stop", "use", "restart"]);
        assert_eq!(at_end("%pool st").1, ["start", "stop"]);
        assert_eq!(at_end("%pool stop ").1, ["p0", "workers"]);
        assert_eq!(at_end("%pool restart ").1, ["all", "0", "1", "::2", "-1"]);
        assert_eq!(at_end("%pool start ").1, ["processes", "threads"]);
        assert_eq!(at_end("%pool use ").1, ["p0", "workers"]);
        assert_eq!(at_end("%help p").1, ["pool", "px", "pull", "push"]);
        assert_eq!(at_end("?%p").1, ["pool", "px", "pull", "push"]);
        assert_eq!(at_end("%push ").1, ["fibs", "total"]);
        assert_eq!(at_end("%push fibs, t").1, ["total"]);
        assert_eq!(at_end("let p = %pull p").1, ["part"]);
        assert_eq!(at_end("%memo c").1, ["clear"]);
        assert_eq!(at_end("%memo clear s").1, ["slow"]);
        assert_eq!(at_end("%memo e").1, ["explain"]);
        assert_eq!(at_end("%memo explain fib").1, ["fibs", "fib("]);
        assert_eq!(at_end("%memo explain fib(tot").1, ["total"]);
        assert_eq!(at_end("%timeline 1").1, ["1", "12"]);
        assert!(at_end("%timeline f").1.is_empty(), "no code stands there");
        assert_eq!(at_end("%stop ").1, ["one", "w", "w.0", "w.1", "all"]);
        assert_eq!(at_end("%stop one w.").1, ["w.0", "w.1"]);
        assert_eq!(at_end("%wait 1").1, ["1", "12"]);
        assert_eq!(at_end("%wait o").1, ["one"]);
        assert_eq!(at_end("%weigh ").1, ["p0", "workers"]);
        assert_eq!(at_end("%weigh p0 w").1, ["workers"]);
        assert_eq!(at_end("%weigh p0 workers -- w").1, ["where", "while"]);
    }

    #[test]
    fn code_is_completed_in_and_outside_of_magics() {
        assert_eq!(at_end("fib").1, ["fibs", "fib("]);
        assert_eq!(
            at_end("%px -b engine::r"),
            ("engine::r", vec!["engine::rank()".into()])
        );
        assert_eq!(at_end("%map fi").1, ["fibs", "fib("]);
        assert_eq!(at_end("f(x, wh").1, ["where", "while"]);
        assert_eq!(at_end("let x:to"), ("to", vec!["total".into()]));
        assert_eq!(at_end("%px {\n    to"), ("to", vec!["total".into()]));
    }

    #[test]
    fn nothing_where_nothing_is_known() {
        for text in ["", "x.fi", "\"fi", "// fi", "f(", "'a'"] {
            assert_eq!(at_end(text).1, Vec::<String>::new(), "in {text:?}");
        }
    }

    #[test]
    fn files_are_left_to_the_caller() {
        let is_file = |text: &str| is_file_place(text, text.len(), &vocabulary());
        assert!(is_file("%run les"));
        assert!(is_file("!cat les"));
        assert!(is_file("%timeline --svg les"));
        assert!(!is_file("%timeline les"));
        assert!(!is_file("%px les"));
        assert!(!is_file("les"));
    }
}
