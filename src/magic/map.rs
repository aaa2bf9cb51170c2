//! `%map F over EXPR`: a typed parallel map.

use clap::Command;

use super::suggest::nearest;
use super::{Call, Example, Magic, Takes};
use crate::cell::{over, position};
use crate::outcome::{ErrorKind, Report, Sink};
use crate::session::{Failed, MapOptions, MapRequest, Session};

pub struct Map;

impl Magic for Map {
    fn command(&self) -> Command {
        Command::new("map")
            .about("maps a function over inputs, in parallel")
            .override_usage("%map F over EXPR\n       let NAME = %map F over EXPR")
            .after_help(
                "F is a closure or the path of a function, EXPR anything iterable. `let name = %map …` binds the \
                 results, a Vec in input order. On a process pool inputs and results travel by serde and F \
                 captures nothing; on a thread pool F borrows.",
            )
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
            input: "%pool start -n 2\n%map |x: u64| x * x over 1..=4",
            shows: "[1, 4, 9, 16]",
        }]
    }

    fn run(
        &self,
        call: &Call<'_>,
        session: &mut Session,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let text = call.text.trim_end().trim_end_matches(';');
        let Some((function, inputs)) = over(text) else {
            let words: Vec<&str> = text.split_whitespace().collect();
            let slip = words.iter().find(|word| nearest(word, ["over"]).is_some());
            if let Some(word) = slip {
                return Err(Report::new(ErrorKind::Usage, "%map needs `F over EXPR`")
                    .hint(format!("did you mean `over` by `{word}`?"))
                    .into());
            }
            return Err(Report::new(ErrorKind::Usage, "%map needs `F over EXPR`")
                .hint("for example `%map fib over [30, 31, 32]` or `%map |x| x * 2 over 0..10`")
                .into());
        };
        let slice = |range: std::ops::Range<usize>| {
            let at = position(&text[..range.start], call.at);
            (text[range].to_owned(), at)
        };
        let (function, function_at) = slice(function);
        let (inputs, inputs_at) = slice(inputs);
        let request = MapRequest {
            function,
            function_at,
            inputs,
            inputs_at,
            combine: None,
            bind: call.bind.cloned(),
            options: MapOptions::default(),
        };
        session.map(&request, sink)
    }
}
