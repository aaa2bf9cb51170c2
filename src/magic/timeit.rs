//! `%timeit`: how long an expression takes, measured over many loops of the compiled code.

use clap::Command;

use super::{Call, Example, Magic, Takes};
use crate::outcome::{Report, Sink};
use crate::session::{Code, Failed, Session};

pub struct Timeit;

impl Magic for Timeit {
    fn command(&self) -> Command {
        Command::new("timeit").about("measures an expression over many loops")
    }

    fn takes(&self) -> Takes {
        Takes::Code
    }

    fn has_cell_form(&self) -> bool {
        true
    }

    fn examples(&self) -> &'static [Example] {
        &[Example {
            input: "%timeit (0..1000u64).map(std::hint::black_box).sum::<u64>()",
            shows: "per loop",
        }]
    }

    fn run(
        &self,
        call: &Call<'_>,
        session: &mut Session,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        if call.text.trim_start().starts_with(['%', '!']) {
            return Err(Report::usage("%timeit measures Rust code only")
                .hint("`%time` also takes magics")
                .into());
        }
        let code = Code::default().generated("regatta_cell::timing::timeit(|| {\n");
        let code = session
            .with_outs(call.text, call.at, code, sink)?
            .generated("});\n");
        session.run_local(&code, sink)
    }
}
