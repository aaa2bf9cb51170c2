//! `%%bash` and `%%sh`: a shell script of several lines.

use clap::Command;

use super::{Call, Example, Magic, Takes};
use crate::outcome::Sink;
use crate::session::{Failed, Session, ShellRequest};

/// The shell is its name.
pub struct Script(pub &'static str);

impl Magic for Script {
    fn command(&self) -> Command {
        Command::new(self.0)
            .about(format!(
                "runs a script in {}, and tells how it ended",
                self.0
            ))
            .after_help("`let lines = %bash …` takes what it prints, a `Vec<String>` of lines.")
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
        if self.0 == "bash" {
            &[Example {
                input: "%%bash\nfor i in 1 2 3; do echo $((i * 2)); done",
                shows: "6",
            }]
        } else {
            &[Example {
                input: "%%sh\necho one\necho two",
                shows: "two",
            }]
        }
    }

    fn run(
        &self,
        call: &Call<'_>,
        session: &mut Session,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let request = ShellRequest {
            shell: self.0,
            text: call.text,
            fills_in: false,
            bind: call.bind,
        };
        session.shell(&request, sink)
    }
}
