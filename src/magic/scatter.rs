//! `%scatter`: a collection of the session, a part to each engine.

use clap::Command;

use super::data_words::{as_name, data_name, is_cyclic, names, with_layout, with_targets};
use super::values::{targets_of, variable};
use super::{Call, Example, Magic};
use crate::outcome::{Report, Sink};
use crate::session::{DataRequest, DataVerb, Failed, Session};

pub struct Scatter;

impl Magic for Scatter {
    fn command(&self) -> Command {
        let command = Command::new("scatter")
            .about("divides a collection among the engines")
            .override_usage("%scatter NAME [--as NAME] [--block|--cyclic] [-t TARGETS]")
            .arg(names("the variable; it stays here too"))
            .arg(as_name("what the engines call their parts"));
        with_targets(with_layout(command))
    }

    fn examples(&self) -> &'static [Example] {
        &[Example {
            input: "%pool start -n 2\nlet all: Vec<u64> = (1..=4).collect();\n%scatter all --as part\n%px part.iter().sum::<u64>()",
            shows: "7",
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
        verb: DataVerb::Scatter,
        name: data_name(call, "scatter")?,
        as_name: call.text_of("as").map(variable).transpose()?,
        targets: targets_of(call)?,
        cyclic: is_cyclic(call, "scatter")?,
        bind: None,
    })
}
