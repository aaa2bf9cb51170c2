//! `%%memo`: functions whose results are kept.

use clap::Args;

use super::{Call, Example, Magic, Takes};
use crate::cell::{Keeps, memoised};
use crate::outcome::{Report, Sink};
use crate::session::{Done, Session};

/// defines functions whose results are kept
#[derive(Args)]
#[command(
    override_usage = "%%memo [OPTIONS], the functions on the lines below",
    after_help = "Each function keeps its name and signature, and looks its arguments up first: in plain cells, in %px, \
                  and on the engines of a map, in each process for itself. Arguments are Serialize, results Serialize, \
                  DeserializeOwned and Clone. With another definition of the function, or of what it uses, it computes \
                  anew; with the old one its results are there again. `memo::fresh(|| f(3))` computes anew once. A \
                  function keeps up to 64 MiB in a process: the least recently used results go. Panics are not kept."
)]
pub struct Memo {
    /// Keep only `Ok(…)` and `Some(…)`
    #[arg(long)]
    ok: bool,
}

impl Magic for Memo {
    const NAME: &'static str = "memo";
    const TAKES: Takes = Takes::Code;
    const HAS_CELL_FORM: bool = true;
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%%memo\nfn fibonacci(n: u64) -> u64 { if n < 2 { n } else { fibonacci(n - 1) + fibonacci(n - 2) } }\n",
        shows: "",
    }];

    fn run(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        let keeps = if self.ok { Keeps::Good } else { Keeps::All };
        let (_, names) =
            memoised(call.text, keeps).map_err(|why| Report::usage(why.to_string()))?;
        if names.is_empty() {
            let what = "%%memo needs a function";
            return Err(Report::usage(what)
                .hint("`fn name(…) -> … { … }` stands on the lines below it")
                .into());
        }
        let mut code = call.code();
        code.memo = Some(keeps);
        session.run_local(&code, sink)
    }
}
