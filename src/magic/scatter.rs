//! `%scatter`: a collection of the session, a part to each engine.

use clap::Args;

use super::data_words::{Layout, VariableWord, data_name};
use super::values::{OnTargets, variable};
use super::{Call, Example, Magic};
use crate::outcome::{Report, Sink};
use crate::session::{DataRequest, DataVerb, Done, Session};

/// divides a collection among the engines
#[derive(Args)]
#[command(override_usage = "%scatter NAME [--as NAME] [--block|--cyclic] [-t TARGETS]")]
pub struct Scatter {
    /// the variable; it stays here too
    #[arg(value_name = "NAME")]
    names: Vec<VariableWord>,
    /// what the engines call their parts
    #[arg(long = "as", value_name = "NAME", value_parser = variable)]
    as_name: Option<String>,
    #[command(flatten)]
    layout: Layout,
    #[command(flatten)]
    on: OnTargets,
}

impl Magic for Scatter {
    const NAME: &'static str = "scatter";
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%pool start -n 2\nlet all: Vec<u64> = (1..=4).collect();\n%scatter all --as part\n%px part.iter().sum::<u64>()",
        shows: "7",
    }];

    fn run(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        session.move_data(&self.request(call)?, sink)
    }
}

impl Scatter {
    /// What the call asks for.
    pub fn request(self, call: &Call<'_>) -> Result<DataRequest, Report> {
        Ok(DataRequest {
            verb: DataVerb::Scatter,
            name: data_name(&self.names, call, Self::NAME)?,
            as_name: self.as_name,
            targets: self.on.targets,
            cyclic: self.layout.is_cyclic(Self::NAME)?,
            bind: None,
        })
    }
}
