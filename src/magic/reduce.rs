//! `%reduce F over EXPR with OP`: a map whose results are combined into one, on the engines.

use clap::Command;

use super::map_options::{binding, options, with_options};
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

impl Magic for Reduce {
    fn command(&self) -> Command {
        let command = Command::new("reduce")
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

    fn takes(&self) -> Takes {
        Takes::Code
    }

    fn has_cell_form(&self) -> bool {
        true
    }

    fn binds(&self) -> bool {
        true
    }

    fn examples(&self) -> &'static [Example] {
        &[Example {
            input: "%pool start -n 2\n%reduce |x: u64| x * x over 1..=4 with |a, b| a + b",
            shows: "30",
        }]
    }

    fn run(
        &self,
        call: &Call<'_>,
        session: &mut Session,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let bind = binding(call, FORM.magic)?;
        let options = options(call, FORM.magic)?;
        session.map(&request(call, &FORM, bind, options)?, sink)
    }
}
