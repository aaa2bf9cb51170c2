//! `%submit EXPR`: one expression, on whichever engine is free first.

use clap::Command;
use regatta_cell::options::MapOptions;

use super::map_options::{binding, options, out_of, with_options};
use super::values::targets_of;
use super::{Call, Example, Magic, Takes};
use crate::outcome::Sink;
use crate::session::{Failed, MapRequest, Session};

pub struct Submit;

const OPTIONS: &[&str] = &["pool", "targets", "retries", "timeout", "seed", "out"];

impl clap::FromArgMatches for Submit {
    fn from_arg_matches(_: &clap::ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self)
    }

    fn update_from_arg_matches(&mut self, _: &clap::ArgMatches) -> Result<(), clap::Error> {
        Ok(())
    }
}

impl clap::Args for Submit {
    fn augment_args(command: Command) -> Command {
        let command = command
            .about("evaluates an expression on whichever engine is free first, and does not wait for it")
            .override_usage(
                "%submit [OPTIONS] EXPR\n       let NAME = %submit [OPTIONS] EXPR\n       \
                 %%submit [OPTIONS], the expression on the lines below",
            )
            .after_help(
                "`let job = %submit …` binds a Job, whose `job.result()` waits for the value; `%result` gives it too. \
                 The variables that EXPR uses travel as those of a %map.",
            );
        with_options(command, OPTIONS)
    }

    fn augment_args_for_update(command: Command) -> Command {
        command
    }
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

    fn run(
        self,
        call: &Call<'_>,
        session: &mut Session,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let bind = binding(call.bind, out_of(call)?, "submit")?;
        let options = MapOptions {
            background: true,
            single: true,
            ..options(call, "submit")?
        };
        let expression = call.text.trim_end().trim_end_matches(';');
        let request = MapRequest {
            function: expression.to_owned(),
            function_at: call.at,
            inputs: String::new(),
            inputs_at: call.at,
            is_one_call: true,
            combine: None,
            bind,
            targets: targets_of(call)?,
            options,
        };
        session.map(&request, sink)
    }
}
