//! `%push`: variables of the session to engines.

use clap::Args;

use super::data_words::{VariableWord, data_names};
use super::values::{OnTargets, variable};
use super::{Call, Example, Magic};
use crate::outcome::{Report, Sink};
use crate::session::{DataRequest, DataVerb, Done, Session};

/// gives variables to the engines
#[derive(Args)]
#[command(override_usage = "%push NAME… [--as NAME] [-t TARGETS]")]
pub struct Push {
    /// the variables; they stay here too
    #[arg(value_name = "NAME")]
    names: Vec<VariableWord>,
    /// what the engines call it
    #[arg(long = "as", value_name = "NAME", value_parser = variable)]
    as_name: Option<String>,
    #[command(flatten)]
    on: OnTargets,
}

impl Magic for Push {
    const NAME: &'static str = "push";
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%pool start -n 2\nlet primes = vec![2u64, 3, 5];\n%push primes\n%px primes[engine::rank() as usize] * 100",
        shows: "300",
    }];

    fn run(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        for request in self.requests(call)? {
            session.move_data(&request, sink)?;
        }
        Ok(())
    }
}

impl Push {
    /// What the call asks for, one variable after another.
    pub fn requests(self, call: &Call<'_>) -> Result<Vec<DataRequest>, Report> {
        let names = data_names(&self.names, call, Self::NAME)?;
        if let (Some(name), [_, _, ..]) = (&self.as_name, names.as_slice()) {
            return Err(Report::usage(format!(
                "%push: {} variables cannot all be called `{name}`",
                names.len()
            ))
            .hint("push them one by one, or without `--as`"));
        }
        let request = |name| DataRequest {
            verb: DataVerb::Push,
            name,
            as_name: self.as_name.clone(),
            targets: self.on.targets.clone(),
            cyclic: false,
            bind: None,
        };
        Ok(names.into_iter().map(request).collect())
    }
}
