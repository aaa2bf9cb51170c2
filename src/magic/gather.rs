//! `%gather`: the parts that engines have, in one collection.

use clap::Command;

use super::data_words::{data_name, is_cyclic, names, with_layout, with_targets};
use super::values::targets_of;
use super::{Call, Example, Magic};
use crate::outcome::{Report, Sink};
use crate::session::{DataRequest, DataVerb, Failed, Session};

pub struct Gather;

impl Magic for Gather {
    fn command(&self) -> Command {
        let command = Command::new("gather")
            .about("joins the parts of the engines into one collection")
            .override_usage(
                "let NAME = %gather NAME [--block|--cyclic] [-t TARGETS]\n       %gather NAME",
            )
            .arg(names("the engines' variable; it stays there too"));
        with_targets(with_layout(command))
    }

    fn binds(&self) -> bool {
        true
    }

    fn examples(&self) -> &'static [Example] {
        &[Example {
            input: "%pool start -n 2\nlet every: Vec<u64> = (1..=4).collect();\n%scatter every --as piece --cyclic\nlet again = %gather piece --cyclic\nagain",
            shows: "[1, 2, 3, 4]",
        }]
    }

    fn run(
        &self,
        call: &Call<'_>,
        session: &mut Session,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        session.move_data(&request(call)?, sink)
    }
}

/// What the call asks for.
pub fn request(call: &Call<'_>) -> Result<DataRequest, Report> {
    Ok(DataRequest {
        verb: DataVerb::Gather,
        name: data_name(call, "gather")?,
        as_name: None,
        targets: targets_of(call)?,
        cyclic: is_cyclic(call, "gather")?,
        bind: call.bind.cloned(),
    })
}
