//! `%opt`: how cells are optimised, whether arithmetic is checked, how long shown values are.

use clap::{Args, ValueEnum};

use super::values::Switch;
use super::{Call, Example, Magic};
use crate::compiler::Setting;
use crate::outcome::{Event, Report, Sink};
use crate::session::{Done, Session};

/// sets the optimisation of later cells, their checks, and the lines of a value
#[derive(Args)]
pub struct Opt {
    /// rustc's opt-level; cells start with 2
    #[arg(value_parser = ["0", "1", "2", "3", "s", "z"])]
    level: Option<String>,
    /// integer overflow checks and debug assertions (on at the start)
    #[arg(long, value_name = "on|off")]
    checks: Option<Switch>,
    /// which processors cells are for: any of the architecture (at the start), or this host's alone, with all that it can
    #[arg(long, value_name = "native|generic")]
    cpu: Option<Cpu>,
    /// lines of a long value, the middle of which is left out (10 at the start)
    #[arg(long, value_name = "N|all", value_parser = lines)]
    lines: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Cpu {
    Native,
    Generic,
}

impl Magic for Opt {
    const NAME: &'static str = "opt";
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%opt",
        shows: "opt-level 2",
    }];

    fn run(self, _: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        if let Some(level) = self.level {
            session.configure(Setting::OptLevel(level));
        }
        if let Some(cpu) = self.cpu {
            session.choose_cpu(cpu == Cpu::Native)?;
        }
        if let Some(checks) = self.checks {
            session.configure(Setting::Checks(checks == Switch::On));
        }
        if let Some(lines) = self.lines {
            session.value_style().lines = lines;
        }
        let lines = session.value_style().lines;
        let (mut level, mut checks, mut cpu) = ("2", true, "");
        for setting in session.settings() {
            match setting {
                Setting::OptLevel(set) => level = set,
                Setting::Checks(on) => checks = *on,
                Setting::NativeCpu(true) => cpu = ", for this host's processor",
                Setting::NativeCpu(false) if session.has_native_code() => {
                    cpu = ", for any processor (what is for this host's stays so until `%reset`)";
                }
                Setting::NativeCpu(false) => {}
            }
        }
        let checks = if checks { "on" } else { "off" };
        let lines = match lines {
            usize::MAX => "all lines of a value".to_owned(),
            lines => format!("{lines} lines of a long value"),
        };
        let text = format!(
            "opt-level {level}, overflow checks {checks}{cpu}; for cells compiled from now on; {lines}"
        );
        sink.send(Event::Text(text));
        Ok(())
    }
}

fn lines(text: &str) -> Result<usize, Report> {
    match text.parse() {
        Ok(lines @ 1..) => Ok(lines),
        _ if text == "all" => Ok(usize::MAX),
        _ => Err(
            Report::usage(format!("--lines {text}: not a number of lines"))
                .hint("a number from 1 on, or `all`"),
        ),
    }
}
