//! `%spawn`: starts programs that the session keeps track of.

use std::path::PathBuf;

use clap::Args;

use super::{Call, Example, Magic};
use crate::outcome::{Event, Report, Sink};
use crate::session::{Done, Restart, Session, SpawnRequest};

/// starts programs of any language beside the session, and returns at once
#[derive(Args)]
#[command(after_help = "\
No shell is needed. `{rank}`, `{size}` and `{name}` stand for the child's, also in `--env` and `--cwd`; other braces stay, `{{.Name}}` too. It finds them as REGATTA_RANK, REGATTA_SIZE and
REGATTA_NAME too, the session's store as REGATTA_STORE, and `regatta` itself as REGATTA. After `%store start redis`
REGATTA_REDIS_URL is `unix://PATH`: clients of Redis take it, and redis-cli the path, `redis-cli -s PATH`. Its standard input is empty. `%children` lists them, `%logs`, `%wait` and `%stop` take their names.")]
pub struct Spawn {
    /// how many; each has its own rank
    #[arg(short, value_name = "COUNT", default_value = "1", value_parser = count)]
    n: u32,
    /// their name; of several `NAME.0`, `NAME.1`, …, and `NAME` means all of them
    #[arg(long)]
    name: Option<String>,
    /// start it again when it ends: `always`, `on-failure`, or `on-failure:3`, at most three times
    #[arg(long, value_name = "WHEN", value_parser = restart, conflicts_with = "detach")]
    restart: Option<Restart>,
    /// the folder in which they run
    #[arg(long, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    cwd: Option<PathBuf>,
    /// a variable of their environment
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
    /// keep what they print for `%logs`, and do not show it
    #[arg(short, long)]
    quiet: bool,
    /// let them live on when the session ends; they print to `NAME.log` in their folder
    #[arg(long)]
    detach: bool,
    /// the program and its arguments
    #[arg(
        value_name = "PROGRAM",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    words: Vec<String>,
}

/// Words that a shell would not give to a program.
const SHELL: &[&str] = &[
    "|", "||", "&&", "&", ";", ">", ">>", "<", "2>", "2>&1", "&>",
];

impl Magic for Spawn {
    const NAME: &'static str = "spawn";
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%spawn -n 2 --name hi -- sh -c 'echo I am {rank} of {size}'\n%wait hi",
        shows: "[stdout:hi.1] I am 1 of 2",
    }];

    fn run(self, _: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        if let Some(word) = self
            .words
            .iter()
            .find(|word| SHELL.contains(&word.as_str()))
        {
            return Err(
                Report::usage(format!("`{word}` is a shell's, and no shell reads this"))
                    .hint("`-- sh -c '…'` runs a line of shell; %spawn itself does not wait")
                    .into(),
            );
        }
        if let Some(word) = self.words.first().filter(|word| word.starts_with("--")) {
            return Err(Report::usage(format!("`{word}` is no option of %spawn"))
                .hint("`%help spawn` lists them; the program and its arguments stand behind `--`")
                .into());
        }
        let started = session.spawn(SpawnRequest {
            name: self.name,
            count: self.n,
            restart: self.restart.unwrap_or_default(),
            folder: self.cwd,
            environment: self.env,
            quiet: self.quiet,
            detach: self.detach,
            words: self.words,
        })?;
        let mut said = match &started[..] {
            [one] => format!("{} runs, pid {}", one.name, one.pid),
            [first, .., last] => {
                let (all, first, last) = (started.len(), &first.name, &last.name);
                format!("{first} … {last}: {all} children run")
            }
            [] => String::new(),
        };
        if self.detach {
            for one in &started {
                let (pid, file) = (one.pid, one.prints_to.clone().unwrap_or_default());
                said.push_str(&format!(
                    "\n{} lives on when the session ends, pid {pid}: it prints to {}, and `kill -- -{pid}` ends it",
                    one.name,
                    file.display()
                ));
            }
        }
        sink.send(Event::Text(said));
        Ok(())
    }
}

fn count(text: &str) -> Result<u32, Report> {
    let count = text.parse().ok().filter(|count| (1..=1000).contains(count));
    count.ok_or_else(|| {
        Report::usage(format!("-n {text}: not a number of children")).hint("it is from 1 to 1000")
    })
}

fn restart(text: &str) -> Result<Restart, Report> {
    let times = text.strip_prefix("on-failure:").map(str::parse);
    match (text, times) {
        ("always", _) => Ok(Restart::Always),
        ("never" | "no", _) => Ok(Restart::Never),
        ("on-failure", _) => Ok(Restart::OnFailure(None)),
        (_, Some(Ok(times))) => Ok(Restart::OnFailure(Some(times))),
        _ => Err(
            Report::usage(format!("--restart {text}: not a time to start it again"))
                .hint("it is `always`, `on-failure`, or `on-failure:3`"),
        ),
    }
}

fn variable(text: &str) -> Result<(String, String), Report> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !text.contains('\0') => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err(
            Report::usage(format!("--env {text}: not a variable with its value"))
                .hint("it is written `--env NAME=VALUE`"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_one_of_three() {
        for (text, wanted) in [
            ("always", Restart::Always),
            ("never", Restart::Never),
            ("on-failure", Restart::OnFailure(None)),
            ("on-failure:3", Restart::OnFailure(Some(3))),
        ] {
            assert_eq!(restart(text).ok(), Some(wanted), "{text}");
        }
        for text in [
            "",
            "on-failure:",
            "on-failure:-1",
            "on-failure:x",
            "on_failure",
            "sometimes",
        ] {
            assert!(restart(text).is_err(), "{text}");
        }
    }

    #[test]
    fn variables_have_a_name() {
        let pair = |name: &str, value: &str| Some((name.to_owned(), value.to_owned()));
        assert_eq!(variable("A=b=c").ok(), pair("A", "b=c"));
        assert_eq!(variable("A=").ok(), pair("A", ""));
        for text in ["A", "=b", ""] {
            assert!(variable(text).is_err(), "{text}");
        }
    }
}
