//! `%%bash` and `%%sh`: a shell script of several lines.

use clap::Args;

use super::{Call, Example, Magic, Takes};
use crate::outcome::Sink;
use crate::session::{Done, Session, ShellRequest};

const BINDING: &str = "`let lines = %bash …` takes what it prints, a `Vec<String>` of lines.";

/// runs a script in bash, and tells how it ended
#[derive(Args)]
#[command(after_help = BINDING)]
pub struct Bash;

/// runs a script in sh, and tells how it ended
#[derive(Args)]
#[command(after_help = BINDING)]
pub struct Sh;

impl Magic for Bash {
    const NAME: &'static str = "bash";
    const TAKES: Takes = Takes::Code;
    const HAS_CELL_FORM: bool = true;
    const BINDS: bool = true;
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%%bash\nfor i in 1 2 3; do echo $((i * 2)); done",
        shows: "6",
    }];

    fn run(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        run_in(Self::NAME, call, session, sink)
    }
}

impl Magic for Sh {
    const NAME: &'static str = "sh";
    const TAKES: Takes = Takes::Code;
    const HAS_CELL_FORM: bool = true;
    const BINDS: bool = true;
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%%sh\necho one\necho two",
        shows: "two",
    }];

    fn run(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        run_in(Self::NAME, call, session, sink)
    }
}

fn run_in(
    shell: &'static str,
    call: &Call<'_>,
    session: &mut Session,
    sink: &mut dyn Sink,
) -> Done {
    let request = ShellRequest {
        shell,
        text: call.text,
        fills_in: false,
        bind: call.bind,
    };
    session.shell(&request, sink)
}
