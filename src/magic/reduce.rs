//! `%reduce F over EXPR with OP`: a map whose results are combined into one, on the engines.

use clap::Args;
use regatta_cell::options::MapOptions;

use super::map_options::{Chunks, Out, Shown, Tries, Where, binding};
use super::parts::{Form, request};
use super::{Call, Example, Magic, Takes};
use crate::outcome::{Report, Sink};
use crate::session::{Done, MapRequest, Session};

const FORM: Form = Form {
    magic: Reduce::NAME,
    combines: true,
    example: "`%reduce |x: u64| x * x over 0..10 with |a, b| a + b` or `%reduce f over xs with u64::max`",
};

/// maps a function over inputs and combines the results, in parallel
#[derive(Args)]
#[command(
    override_usage = "%reduce [OPTIONS] F over EXPR with OP\n       \
                      let NAME = %reduce [OPTIONS] F over EXPR with OP\n       \
                      %%reduce [OPTIONS], `F over EXPR with OP` on the lines below",
    after_help = "OP combines two results into one, as `|a, b| a + b` or `u64::max`. It must be associative; it \
                  need not be commutative: results are combined in input order."
)]
pub struct Reduce {
    #[command(flatten)]
    at: Where,
    #[command(flatten)]
    chunks: Chunks,
    #[command(flatten)]
    tries: Tries,
    #[command(flatten)]
    out: Out,
    #[command(flatten)]
    shown: Shown,
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

    fn run(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        session.map(&self.request(call)?, sink)
    }
}

impl Reduce {
    /// What the call asks for.
    pub fn request(self, call: &Call<'_>) -> Result<MapRequest, Report> {
        let bind = binding(call.bind, self.out.out, Self::NAME)?;
        let options = self.tries.of(self.chunks.of(MapOptions::default()));
        let (options, targets) = self.at.of(options);
        self.shown.is_waited_for(
            Self::NAME,
            "`%map -a` can, and `%result` gives its results to reduce; `%submit` runs one call",
        )?;
        // There is one result, so none of single items.
        let options = self.shown.of(options, false, bind.is_some(), Self::NAME)?;
        request(call, &FORM, bind, targets, options)
    }
}
