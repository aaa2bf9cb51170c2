//! `%logs`: what children have printed.

use clap::Args;

use super::values::ChildName;
use super::{Call, Example, Magic};
use crate::outcome::{Report, Sink};
use crate::session::{Done, Session};

/// shows the last lines that children have printed
#[derive(Args)]
#[command(after_help = "The last 10,000 lines or 256 KiB of each child are kept.")]
pub struct Logs {
    /// children, or all of a name; `all` means all there are
    #[arg(value_name = "NAME", required = true)]
    names: Vec<ChildName>,
    /// go on until they end, or until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// how many lines of each
    #[arg(short = 'n', long, value_name = "COUNT", default_value = "50", value_parser = count)]
    lines: usize,
}

impl Magic for Logs {
    const NAME: &'static str = "logs";
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%spawn -q --name quiet -- sh -c 'seq 1 9; echo last'\n%wait quiet\n%logs quiet -n 2",
        shows: "[stdout:quiet] 9\n[stdout:quiet] last",
    }];

    fn run(self, _: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        let names = ChildName::texts(&self.names);
        match self.follow {
            true => session.follow_lines(&names, self.lines, sink),
            false => session.show_lines(&names, self.lines, sink),
        }
    }
}

fn count(text: &str) -> Result<usize, Report> {
    text.parse().map_err(|_| {
        Report::usage(format!("--lines {text}: not a number of lines")).hint("it is 0 or more")
    })
}
