//! `%reduce F over EXPR with OP`: a map whose results are combined into one, on the engines.

use clap::Command;

use super::map_options::{binding, options, out_of, with_options};
use super::parts::{Form, request};
use super::{Call, Example, Magic, Takes};
use crate::outcome::Sink;
use crate::session::{Failed, Session};

pub struct Reduce;

const FORM: Form = Form {
    magic: "reduce",
    combines: true,
    example: "`%reduce |x: u64| x * x over 0..10 with |a, b| a + b` or `%reduce f over xs with u64::max`",
};

/// Those of `%map` without the ones for single results: there is one.
const OPTIONS: &[&str] = &[
    "pool", "targets", "chunk", "schedule", "retries", "timeout", "out", "quiet", "plan", "seed",
    "take", "block", "noblock",
];

impl clap::FromArgMatches for Reduce {
    fn from_arg_matches(_: &clap::ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self)
    }

    fn update_from_arg_matches(&mut self, _: &clap::ArgMatches) -> Result<(), clap::Error> {
        Ok(())
    }
}

impl clap::Args for Reduce {
    fn augment_args(command: Command) -> Command {
        let command = command
            .about("maps a function over inputs and combines the results, in parallel")
            .override_usage(
                "%reduce [OPTIONS] F over EXPR with OP\n       \
                 let NAME = %reduce [OPTIONS] F over EXPR with OP\n       \
                 %%reduce [OPTIONS], `F over EXPR with OP` on the lines below",
            )
            .after_help(
                "OP combines two results into one, as `|a, b| a + b` or `u64::max`. It must be associative; it need \
                 not be commutative: results are combined in input order.",
            );
        with_options(command, OPTIONS)
    }

    fn augment_args_for_update(command: Command) -> Command {
        command
    }
}

impl Magic for Reduce {
    const NAME: &'static str = "reduce";
    const TAKES: Takes = Takes::Code;
    const HAS_CELL_FORM: bool = true;
    const BINDS: bool = true;
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%pool start -n 2\n%reduce |x: u64| x * x over 1..=4 with |a, b| a + b",
        shows: "30",
    }];

    fn run(
        self,
        call: &Call<'_>,
        session: &mut Session,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let bind = binding(call.bind, out_of(call)?, FORM.magic)?;
        let options = options(call, FORM.magic)?;
        session.map(&request(call, &FORM, bind, options)?, sink)
    }
}
