//! Magics: one file each, and one line in [`ALL`]. A magic declares its options once, as a clap command;
//! parser, help, completion and the README's table follow from it. It returns data and prints nothing.

mod autopx;
mod call;
mod cancel;
mod cd;
mod cells;
mod compare;
mod data_words;
mod dep;
mod doc;
mod document;
mod edit;
mod env;
mod evaluate;
mod explain;
mod gather;
mod help;
mod history;
mod jobs;
mod load;
mod map;
mod map_options;
mod opt;
mod out;
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
mod scatter;
mod script;
mod show;
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
pub use document::{readme_table, vocabulary};
pub use evaluate::evaluate;

use crate::outcome::Sink;
use crate::session::{Failed, Session};

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

pub trait Magic: Sync {
    /// Name, description and options.
    fn command(&self) -> clap::Command;

    fn takes(&self) -> Takes {
        Takes::Words
    }

    /// Whether there is a form `%%name` with a body.
    fn has_cell_form(&self) -> bool {
        false
    }

    /// Whether `let name = %magic …` binds something.
    fn binds(&self) -> bool {
        false
    }

    /// Whether `%name_POOL` is the magic for that pool.
    fn takes_suffix(&self) -> bool {
        false
    }

    fn examples(&self) -> &'static [Example];

    fn run(
        &self,
        call: &Call<'_>,
        session: &mut Session,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed>;
}

/// Every magic.
pub const ALL: &[&dyn Magic] = &[
    &help::Help,
    &who::Who,
    &who::Whos,
    &type_of::TypeOf,
    &types::Types,
    &out::Outs,
    &show::Show,
    &doc::Doc,
    &explain::Explain,
    &table::Table,
    &plot::Plot,
    &time::Time,
    &timeit::Timeit,
    &history::History,
    &rerun::Rerun,
    &save::Save,
    &load::Load,
    &edit::Edit,
    &writefile::Writefile,
    &reset::Reset,
    &run::Run,
    &cd::Cd,
    &env::Env,
    &script::Script("bash"),
    &script::Script("sh"),
    &opt::Opt,
    &dep::Dep,
    &toolchain::Toolchain,
    &pool::Pool,
    &px::Px,
    &autopx::Autopx,
    &pxresult::Pxresult,
    &pxconfig::Pxconfig,
    &map::Map,
    &reduce::Reduce,
    &submit::Submit,
    &compare::Compare,
    &jobs::Jobs,
    &wait::Wait,
    &result::TakeResult,
    &cancel::Cancel,
    &timeline::Timeline,
    &push::Push,
    &pull::Pull,
    &scatter::Scatter,
    &gather::Gather,
    &quit::Quit,
];

/// The magic of this name.
pub fn find(name: &str) -> Option<&'static dyn Magic> {
    ALL.iter()
        .copied()
        .find(|magic| magic.command().get_name() == name)
}

/// The magic of this name, and the pool that its suffix names.
fn find_for_pool(name: &str) -> Option<(&'static dyn Magic, Option<&str>)> {
    if let Some(magic) = find(name) {
        return Some((magic, None));
    }
    let (name, pool) = name.split_once('_')?;
    let magic = find(name).filter(|magic| magic.takes_suffix() && !pool.is_empty())?;
    Some((magic, Some(pool)))
}
