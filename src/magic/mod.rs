//! Magics: one file each, and one line in [`ALL`]. A magic declares its options once, as a struct;
//! parser, help, completion and the README's table follow from it. It returns data and prints nothing.

pub mod attach;
mod autopx;
mod c;
mod call;
mod cancel;
mod cd;
mod cells;
mod children;
mod comm;
mod compare;
mod data_words;
mod declared;
mod dep;
mod detach;
mod doc;
mod document;
mod edit;
mod env;
mod evaluate;
mod explain;
mod gather;
mod guide;
mod help;
mod history;
mod jobs;
mod load;
mod logs;
mod map;
mod map_options;
mod memo;
mod nodes;
mod opt;
mod out;
mod parallel;
mod parts;
mod plot;
mod pool;
mod pull;
mod push;
mod px;
mod pxconfig;
mod pxresult;
mod quit;
mod reduce;
mod rerun;
mod reset;
mod result;
mod run;
mod save;
mod scaling;
mod scatter;
mod script;
mod show;
mod spawn;
mod stop;
mod store;
mod submit;
mod suggest;
mod table;
#[cfg(test)]
mod tests;
mod time;
mod timeit;
mod timeline;
mod toolchain;
mod type_of;
mod types;
mod values;
mod wait;
mod who;
mod writefile;

pub use call::Call;
pub use declared::Declared;
pub use document::{examples, readme_table, vocabulary};
pub use evaluate::evaluate;

use crate::outcome::Sink;
use crate::session::{Done, Session};

/// What stands behind a magic's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Words and options, quoted as in a shell.
    Words,
    /// Options, then Rust code as it stands.
    Code,
    /// Words and options, then `--` and Rust code as it stands.
    WordsThenCode,
    /// A line that the magic reads itself.
    Line,
}

/// An example that runs as a test: input, and a part of what it shows.
pub struct Example {
    pub input: &'static str,
    pub shows: &'static str,
}

/// A magic: its options are the fields, their help is the doc comments.
pub trait Magic: clap::Args + 'static {
    const NAME: &'static str;
    const TAKES: Takes = Takes::Words;
    /// Whether there is a form `%%name` with a body.
    const HAS_CELL_FORM: bool = false;
    /// Its subcommands behind which Rust code stands as it is.
    const CODE_BEHIND: &'static [&'static str] = &[];
    /// Whether its options may stand behind the code too.
    const OPTIONS_BEHIND: bool = false;
    /// Whether `let name = %magic …` binds something.
    const BINDS: bool = false;
    /// Whether `%name_POOL` is the magic for that pool.
    const TAKES_SUFFIX: bool = false;
    const EXAMPLES: &'static [Example];

    fn run(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done;
}

/// Every magic.
pub const ALL: &[Declared] = &[
    Declared::of::<help::Help>(),
    Declared::of::<guide::Guide>(),
    Declared::of::<who::Who>(),
    Declared::of::<who::Whos>(),
    Declared::of::<type_of::TypeOf>(),
    Declared::of::<types::Types>(),
    Declared::of::<out::Outs>(),
    Declared::of::<show::Show>(),
    Declared::of::<doc::Doc>(),
    Declared::of::<explain::Explain>(),
    Declared::of::<table::Table>(),
    Declared::of::<plot::Plot>(),
    Declared::of::<time::Time>(),
    Declared::of::<timeit::Timeit>(),
    Declared::of::<history::History>(),
    Declared::of::<rerun::Rerun>(),
    Declared::of::<save::Save>(),
    Declared::of::<load::Load>(),
    Declared::of::<edit::Edit>(),
    Declared::of::<writefile::Writefile>(),
    Declared::of::<reset::Reset>(),
    Declared::of::<run::Run>(),
    Declared::of::<cd::Cd>(),
    Declared::of::<env::Env>(),
    Declared::of::<store::Store>(),
    Declared::of::<script::Bash>(),
    Declared::of::<script::Sh>(),
    Declared::of::<c::C>(),
    Declared::of::<opt::Opt>(),
    Declared::of::<dep::Dep>(),
    Declared::of::<toolchain::Toolchain>(),
    Declared::of::<pool::Pools>(),
    Declared::of::<px::Px>(),
    Declared::of::<nodes::NodesTable>(),
    Declared::of::<comm::Comm>(),
    Declared::of::<autopx::Autopx>(),
    Declared::of::<pxresult::Pxresult>(),
    Declared::of::<pxconfig::Pxconfig>(),
    Declared::of::<map::Map>(),
    Declared::of::<reduce::Reduce>(),
    Declared::of::<submit::Submit>(),
    Declared::of::<parallel::Parallel>(),
    Declared::of::<memo::Memo>(),
    Declared::of::<compare::Compare>(),
    Declared::of::<scaling::Scaling>(),
    Declared::of::<jobs::Jobs>(),
    Declared::of::<wait::Wait>(),
    Declared::of::<result::TakeResult>(),
    Declared::of::<cancel::Cancel>(),
    Declared::of::<detach::Detach>(),
    Declared::of::<timeline::Timeline>(),
    Declared::of::<spawn::Spawn>(),
    Declared::of::<children::Children>(),
    Declared::of::<logs::Logs>(),
    Declared::of::<stop::Stop>(),
    Declared::of::<push::Push>(),
    Declared::of::<pull::Pull>(),
    Declared::of::<scatter::Scatter>(),
    Declared::of::<gather::Gather>(),
    Declared::of::<quit::Quit>(),
];

/// The magic of this name.
pub fn find(name: &str) -> Option<&'static Declared> {
    ALL.iter().find(|magic| magic.name == name)
}

/// The magic of this name, and the pool that its suffix names.
fn find_for_pool(name: &str) -> Option<(&'static Declared, Option<&str>)> {
    if let Some(magic) = find(name) {
        return Some((magic, None));
    }
    let (name, pool) = name.split_once('_')?;
    let magic = find(name).filter(|magic| magic.takes_suffix && !pool.is_empty())?;
    Some((magic, Some(pool)))
}
