//! `%map F over EXPR`: a typed parallel map.

use clap::Command;

use super::map_options::{binding, options, out_of, with_options};
use super::parts::{Form, request};
use super::{Call, Example, Magic, Takes};
use crate::outcome::Sink;
use crate::session::{Failed, Session};

pub struct Map;

const FORM: Form = Form {
    magic: "map",
    combines: false,
    example: "`%map fib over [30, 31, 32]` or `%map |x| x * 2 over 0..10`",
};

const OPTIONS: &[&str] = &[
    "pool",
    "targets",
    "chunk",
    "schedule",
    "unordered",
    "retries",
    "timeout",
    "on-error",
    "out",
    "quiet",
    "items",
    "plan",
    "seed",
    "take",
    "block",
    "noblock",
];

impl clap::FromArgMatches for Map {
    fn from_arg_matches(_: &clap::ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self)
    }

    fn update_from_arg_matches(&mut self, _: &clap::ArgMatches) -> Result<(), clap::Error> {
        Ok(())
    }
}

impl clap::Args for Map {
    fn augment_args(command: Command) -> Command {
        let command = command
            .about("maps a function over inputs, in parallel")
            .override_usage(
                "%map [OPTIONS] F over EXPR\n       let NAME = %map [OPTIONS] F over EXPR\n       \
                 %%map [OPTIONS], `F over EXPR` on the lines below",
            )
            .after_help(
                "F is a closure or the path of a function, EXPR anything iterable. `let name = %map …` binds the \
                 results, a Vec in input order. On a process pool inputs, results and the variables that F uses \
                 travel by serde; on a thread pool F borrows.",
            );
        with_options(command, OPTIONS)
    }

    fn augment_args_for_update(command: Command) -> Command {
        command
    }
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
