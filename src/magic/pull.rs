//! `%pull`: variables of engines to the session.

use clap::Args;

use super::data_words::{EnginesWord, data_names};
use super::values::OnTargets;
use super::{Call, Example, Magic};
use crate::outcome::{Report, Sink};
use crate::session::{DataRequest, DataVerb, Done, Session};

/// takes a variable of the engines, a Vec by rank
#[derive(Args)]
#[command(override_usage = "let NAME = %pull NAME [-t TARGETS]\n       %pull NAME… [-t TARGETS]")]
pub struct Pull {
    /// the engines' variable; it stays there too
    #[arg(value_name = "NAME")]
    names: Vec<EnginesWord>,
    #[command(flatten)]
    on: OnTargets,
}

impl Magic for Pull {
    const NAME: &'static str = "pull";
    const BINDS: bool = true;
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%pool start -n 2\n%px let rank = engine::rank();\nlet ranks = %pull rank\nranks",
        shows: "[0, 1]",
    }];

    fn run(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        for request in self.requests(call)? {
            session.move_data(&request, sink)?;
        }
        Ok(())
    }
}

impl Pull {
    /// What the call asks for, one variable after another.
    pub fn requests(self, call: &Call<'_>) -> Result<Vec<DataRequest>, Report> {
        let names = data_names(&self.names, call, Self::NAME)?;
        if let (Some(bind), [_, _, ..]) = (call.bind, names.as_slice()) {
            return Err(Report::usage(format!(
                "%pull: `{}` takes one variable, not {}",
                bind.name,
                names.len()
            ))
            .hint("write one `let NAME = %pull NAME` for each"));
        }
        let request = |name| DataRequest {
            verb: DataVerb::Pull,
            name,
            as_name: None,
            targets: self.on.targets.clone(),
            cyclic: false,
            bind: call.bind.cloned(),
        };
        Ok(names.into_iter().map(request).collect())
    }
}
