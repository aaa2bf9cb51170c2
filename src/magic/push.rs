//! `%push`: variables of the session to engines.

use clap::Command;

use super::data_words::{as_name, data_names, names, with_targets};
use super::values::{targets_of, variable};
use super::{Call, Example, Magic};
use crate::outcome::{Report, Sink};
use crate::session::{DataRequest, DataVerb, Failed, Session};

pub struct Push;

impl Magic for Push {
    fn command(&self) -> Command {
        let command = Command::new("push")
            .about("gives variables to the engines")
            .override_usage("%push NAME… [--as NAME] [-t TARGETS]")
            .arg(names("the variables; they stay here too"))
            .arg(as_name("what the engines call it"));
        with_targets(command)
    }

    fn examples(&self) -> &'static [Example] {
        &[Example {
            input: "%pool start -n 2\nlet primes = vec![2u64, 3, 5];\n%push primes\n%px primes[engine::rank() as usize] * 100",
            shows: "300",
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
    let names = data_names(call, "push")?;
    let renamed = call.text_of("as").map(variable).transpose()?;
    if let (Some(name), [_, _, ..]) = (&renamed, names.as_slice()) {
        return Err(Report::usage(format!(
            "%push: {} variables cannot all be called `{name}`",
            names.len()
        ))
        .hint("push them one by one, or without `--as`"));
    }
    let targets = targets_of(call)?;
    let request = |name| DataRequest {
        verb: DataVerb::Push,
        name,
        as_name: renamed.clone(),
        targets: targets.clone(),
        cyclic: false,
        bind: None,
    };
    Ok(names.into_iter().map(request).collect())
}
