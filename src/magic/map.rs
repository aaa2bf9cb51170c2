//! `%map F over EXPR`: a typed parallel map.

use clap::{Args, ValueEnum};
use regatta_cell::options::MapOptions;

use super::map_options::{Chunks, Out, Shown, Tries, Where, binding};
use super::parts::{Form, request};
use super::{Call, Example, Magic, Takes};
use crate::outcome::{Report, Sink};
use crate::session::{Done, MapRequest, Session};

const FORM: Form = Form {
    magic: Map::NAME,
    combines: false,
    example: "`%map fib over [30, 31, 32]` or `%map |x| x * 2 over 0..10`",
};

/// maps a function over inputs, in parallel
#[derive(Args)]
#[command(
    override_usage = "%map [OPTIONS] F over EXPR\n       let NAME = %map [OPTIONS] F over EXPR\n       \
                      %%map [OPTIONS], `F over EXPR` on the lines below",
    after_help = "F is a closure or the path of a function, EXPR anything iterable. `let name = %map …` binds the \
                  results, a Vec in input order. On a process pool inputs, results and the variables that F uses \
                  travel by serde; on a thread pool F borrows, and has copies with --noblock."
)]
pub struct Map {
    #[command(flatten)]
    at: Where,
    #[command(flatten)]
    chunks: Chunks,
    /// results in the order of arrival
    #[arg(short, long)]
    unordered: bool,
    #[command(flatten)]
    tries: Tries,
    /// `stop` at the first input that fails (the default), or `collect` a Result per input
    #[arg(
        long,
        value_name = "HOW",
        allow_hyphen_values = true,
        hide_possible_values = true
    )]
    on_error: Option<OnError>,
    #[command(flatten)]
    out: Out,
    /// a table with a row per input
    #[arg(long)]
    items: bool,
    #[command(flatten)]
    shown: Shown,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnError {
    Stop,
    Collect,
}

impl Magic for Map {
    const NAME: &'static str = "map";
    const TAKES: Takes = Takes::Code;
    const HAS_CELL_FORM: bool = true;
    const BINDS: bool = true;
    const EXAMPLES: &'static [Example] = &[
        Example {
            input: "%pool start -n 2\n%map |x: u64| x * x over 1..=4",
            shows: "[1, 4, 9, 16]",
        },
        Example {
            input: "let k = 3u64;\nlet thrice = %map -q -c 2 --schedule static |x| x * k over 1..=4\nthrice",
            shows: "[3, 6, 9, 12]",
        },
        Example {
            input: "%map -q --take 3 |x: u64| x + 1 over 10..",
            shows: "[11, 12, 13]",
        },
        Example {
            input: "%map -q --on-error collect |x: u64| 12 / x over 0..3",
            shows: "Ok(12)",
        },
        Example {
            input: "%map -a |x: u64| x * 10 over 1..=3\nlet later = %result\nlater",
            shows: "[10, 20, 30]",
        },
    ];

    fn run(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        session.map(&self.request(call)?, sink)
    }
}

impl Map {
    /// What the call asks for.
    pub fn request(self, call: &Call<'_>) -> Result<MapRequest, Report> {
        let bind = binding(call.bind, self.out.out, Self::NAME)?;
        let options = MapOptions {
            unordered: self.unordered,
            collect: self.on_error == Some(OnError::Collect),
            ..self.tries.of(self.chunks.of(MapOptions::default()))
        };
        let (options, targets) = self.at.of(options);
        let options = self
            .shown
            .of(options, self.items, bind.is_some(), Self::NAME)?;
        request(call, &FORM, bind, targets, options)
    }
}
