//! `%timeit`: how long an expression takes, measured over many loops of the compiled code.

use clap::Args;

use super::{Call, Example, Magic, Takes};
use crate::cell::{self, Completeness};
use crate::outcome::{Report, Sink};
use crate::session::{Code, Done, Session};

/// measures an expression over many loops
#[derive(Args)]
pub struct Timeit;

impl Magic for Timeit {
    const NAME: &'static str = "timeit";
    const TAKES: Takes = Takes::Code;
    const HAS_CELL_FORM: bool = true;
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%timeit (0..1000u64).map(std::hint::black_box).sum::<u64>()",
        shows: "per loop",
    }];

    fn run(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        if call.text.trim_start().starts_with(['%', '!']) {
            return Err(Report::usage("%timeit measures Rust code only")
                .hint("`%time` also takes magics")
                .into());
        }
        // In the loop it would go on with what nobody has written.
        if cell::completeness(call.text) == Completeness::Incomplete {
            let end = call.text.trim_end();
            let last = end.lines().last().unwrap_or_default().trim();
            return Err(Report::usage(format!(
                "what %timeit is to measure is not finished: `{last}`"
            ))
            .hint("a bracket, a string or a comment is open, or an operator lacks what follows it")
            .into());
        }
        let code = Code::default().generated("regatta_cell::timing::timeit(|| {\n");
        let code = session
            .with_outs(call.text, call.at, code, sink)?
            .generated("});\n");
        session.run_local(&code, sink)
    }
}
