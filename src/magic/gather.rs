//! `%gather`: the parts that engines have, in one collection.

use clap::Args;

use super::data_words::{EnginesWord, Layout, data_name};
use super::values::OnTargets;
use super::{Call, Example, Magic};
use crate::outcome::{Report, Sink};
use crate::session::{DataRequest, DataVerb, Done, Session};

/// joins the parts of the engines into one collection
#[derive(Args)]
#[command(
    override_usage = "let NAME = %gather NAME [--block|--cyclic] [-t TARGETS]\n       %gather NAME"
)]
pub struct Gather {
    /// the engines' variable; it stays there too
    #[arg(value_name = "NAME")]
    names: Vec<EnginesWord>,
    #[command(flatten)]
    layout: Layout,
    #[command(flatten)]
    on: OnTargets,
}

impl Magic for Gather {
    const NAME: &'static str = "gather";
    const BINDS: bool = true;
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%pool start -n 2\nlet every: Vec<u64> = (1..=4).collect();\n%scatter every --as piece --cyclic\nlet again = %gather piece --cyclic\nagain",
        shows: "[1, 2, 3, 4]",
    }];

    fn run(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        session.move_data(&self.request(call)?, sink)
    }
}

impl Gather {
    /// What the call asks for.
    pub fn request(self, call: &Call<'_>) -> Result<DataRequest, Report> {
        Ok(DataRequest {
            verb: DataVerb::Gather,
            name: data_name(&self.names, call, Self::NAME)?,
            as_name: None,
            targets: self.on.targets,
            cyclic: self.layout.is_cyclic(Self::NAME)?,
            bind: call.bind.cloned(),
        })
    }
}
