//! `%submit EXPR`: one expression, on whichever engine is free first.

use clap::Args;
use regatta_cell::options::MapOptions;

use super::map_options::{Out, Tries, Where, binding};
use super::{Call, Example, Magic, Takes};
use crate::outcome::Sink;
use crate::session::{Done, MapRequest, Session};

/// evaluates an expression on whichever engine is free first, and does not wait for it
#[derive(Args)]
#[command(
    override_usage = "%submit [OPTIONS] EXPR\n       let NAME = %submit [OPTIONS] EXPR\n       \
                      %%submit [OPTIONS], the expression on the lines below",
    after_help = "`let job = %submit …` binds a Job, whose `job.result()` waits for the value; `%result` gives it \
                  too. The variables that EXPR uses travel as those of a %map."
)]
pub struct Submit {
    #[command(flatten)]
    at: Where,
    #[command(flatten)]
    tries: Tries,
    #[command(flatten)]
    out: Out,
}

impl Magic for Submit {
    const NAME: &'static str = "submit";
    const TAKES: Takes = Takes::Code;
    const HAS_CELL_FORM: bool = true;
    const BINDS: bool = true;
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%pool start -n 2\nlet base = 40u64;\nlet job = %submit base + 2\njob.result()",
        shows: "Ok(42)",
    }];

    fn run(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        let bind = binding(call.bind, self.out.out, Self::NAME)?;
        let (options, targets) = self.at.of(self.tries.of(MapOptions {
            background: true,
            single: true,
            ..MapOptions::default()
        }));
        let expression = call.text.trim_end().trim_end_matches(';');
        let request = MapRequest {
            function: expression.to_owned(),
            function_at: call.at,
            inputs: String::new(),
            inputs_at: call.at,
            is_one_call: true,
            combine: None,
            bind,
            targets,
            options,
        };
        session.map(&request, sink)
    }
}
