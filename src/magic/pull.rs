//! `%pull`: variables of engines to the session.

use clap::Command;

use super::data_words::{data_names, names, with_targets};
use super::values::targets_of;
use super::{Call, Example, Magic};
use crate::outcome::{Report, Sink};
use crate::session::{DataRequest, DataVerb, Failed, Session};

pub struct Pull;

impl Magic for Pull {
    fn command(&self) -> Command {
        let command = Command::new("pull")
            .about("takes a variable of the engines, a Vec by rank")
            .override_usage("let NAME = %pull NAME [-t TARGETS]\n       %pull NAME… [-t TARGETS]")
            .arg(names("the engines' variable; it stays there too"));
        with_targets(command)
    }

    fn binds(&self) -> bool {
        true
    }

    fn examples(&self) -> &'static [Example] {
        &[Example {
            input: "%pool start -n 2\n%px let rank = engine::rank();\nlet ranks = %pull rank\nranks",
            shows: "[0, 1]",
        }]
    }

    fn run(
        &self,
        call: &Call<'_>,
        session: &mut Session,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        for request in requests(call)? {
            session.move_data(&request, sink)?;
        }
        Ok(())
    }
}

/// What the call asks for, one variable after another.
pub fn requests(call: &Call<'_>) -> Result<Vec<DataRequest>, Report> {
    let names = data_names(call, "pull")?;
    if let (Some(bind), [_, _, ..]) = (call.bind, names.as_slice()) {
        return Err(Report::usage(format!(
            "%pull: `{}` takes one variable, not {}",
            bind.name,
            names.len()
        ))
        .hint("write one `let NAME = %pull NAME` for each"));
    }
    let targets = targets_of(call)?;
    let request = |name| DataRequest {
        verb: DataVerb::Pull,
        name,
        as_name: None,
        targets: targets.clone(),
        cyclic: false,
        bind: call.bind.cloned(),
    };
    Ok(names.into_iter().map(request).collect())
}
