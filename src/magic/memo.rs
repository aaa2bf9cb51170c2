//! `%%memo`: functions whose results are kept; `%memo`: what they have kept.

use std::time::Duration;

use clap::{Args, Subcommand};
use regatta_cell::memo::DISK;

use super::values::{size, time};
use super::{Call, Example, Magic};
use crate::cell::{Keeping, functions_elsewhere, memoised};
use crate::outcome::{Event, Field, Report, Sink, Table};
use crate::session::{Code, Done, Kept, MemoRow, Session};
use crate::vocabulary::nearest;

/// defines functions whose results are kept; lists what they have kept
#[derive(Args)]
#[command(
    override_usage = "%%memo [OPTIONS], the functions on the lines below  ·  %memo [--all]  ·  %memo explain CALL  ·  %memo clear [NAME | --all]",
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = "Each function keeps its name and signature, and looks its arguments up first: in plain cells, in %px, \
                  and on the engines of a map. Results are kept in memory and on disk, for all engines and for later \
                  sessions; processes that want the same one at once compute it once. Arguments are Serialize, results \
                  Serialize, DeserializeOwned and Clone. With another definition of the function, of what it uses, with \
                  another crate's version or compiler, it computes anew; with the old one its results are there again. A \
                  function keeps up to 64 MiB in a process: the least recently used results go. Panics are not kept. \
                  `memo::fresh(|| f(3))` computes anew once; `memo::cached(\"name\", &key, || …)` keeps the value of any \
                  expression under a name and a key. $REGATTA_MEMO names another folder than the cache's. \
                  `%memo explain slow(3, 1.0)` says whether that call would find its result in the local engine or on disk, \
                  and why not: it evaluates the arguments, with all that they do, and does not call the function. It counts \
                  as no hit and no miss."
)]
pub struct Memo {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// keep only `Ok(…)` and `Some(…)`
    #[arg(long)]
    ok: bool,
    /// how long a result is good: `90s`, `1h`, `7d`
    #[arg(long, value_name = "TIME", value_parser = ttl)]
    ttl: Option<Duration>,
    /// what the results of a function may take on disk, 1GB without it; the oldest go
    #[arg(long, value_name = "SIZE", value_parser = limit, conflicts_with = "no_disk")]
    limit: Option<u64>,
    /// keep nothing on disk: for what computes in microseconds
    #[arg(long)]
    no_disk: bool,
    /// list what other sessions have on disk too
    #[arg(long)]
    all: bool,
}

#[derive(Subcommand)]
enum Verb {
    /// drops what a function has kept, in memory and on disk
    Clear {
        /// which; without it all that this session has called
        #[arg(value_name = "NAME")]
        function: Option<MemoName>,
        /// all that is kept, of other sessions too
        #[arg(long, conflicts_with = "function")]
        all: bool,
    },
    /// says whether a call would find its result, and why not, without running it
    #[command(override_usage = "%memo explain CALL")]
    Explain,
    #[command(external_subcommand)]
    Other(Vec<String>),
}

const VERBS: [&str; 2] = ["clear", "explain"];

/// The name of a function whose results are kept.
#[derive(Clone)]
pub struct MemoName(String);

impl From<&str> for MemoName {
    fn from(word: &str) -> Self {
        Self(word.trim_end_matches("()").to_owned())
    }
}

fn limit(text: &str) -> Result<u64, Report> {
    size("--limit", text)
}

fn ttl(text: &str) -> Result<Duration, Report> {
    time("--ttl", text)
}

impl Magic for Memo {
    const NAME: &'static str = "memo";
    const HAS_CELL_FORM: bool = true;
    const CODE_BEHIND: &'static [&'static str] = &["explain"];
    const EXAMPLES: &'static [Example] = &[
        Example {
            input: "%%memo\nfn fibonacci(n: u64) -> u64 { if n < 2 { n } else { fibonacci(n - 1) + fibonacci(n - 2) } }\n",
            shows: "",
        },
        Example {
            input: "fibonacci(90);\n%memo",
            shows: "fibonacci",
        },
        Example {
            input: "%memo explain fibonacci(90)",
            shows: "hit",
        },
        Example {
            input: "%memo clear fibonacci",
            shows: "dropped 91 results of fibonacci",
        },
    ];

    fn run(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        if call.body.is_some() {
            return self.define(call, session, sink);
        }
        if self.ok || self.ttl.is_some() || self.no_disk || self.limit.is_some() {
            let what = "%memo defines nothing: its options stand with `%%memo`";
            return Err(Report::usage(what).hint(BELOW).into());
        }
        match self.verb {
            None => list(self.all, session, sink)?,
            Some(Verb::Clear { function, all }) => {
                let which = match function {
                    Some(MemoName(name)) => Kept::Of(name),
                    None if all => Kept::All,
                    None => Kept::Session,
                };
                let rows = session.clear_memo(&which, sink)?;
                sink.send(Event::Text(cleared(&rows)));
            }
            Some(Verb::Explain) => {
                let explained = session.explain_memo(call.text, call.at, sink)?;
                sink.send(Event::Memo(explained));
            }
            Some(Verb::Other(words)) => return Err(unknown(&words).into()),
        }
        Ok(())
    }
}

const BELOW: &str =
    "`%%memo` stands on a line of its own, and `fn name(…) -> … { … }` on the lines below it";

impl Memo {
    fn define(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        let verb = match self.verb {
            None => self.all.then_some("--all"),
            Some(Verb::Clear { .. }) => Some("clear"),
            Some(Verb::Explain) => Some("explain"),
            Some(Verb::Other(words)) => return Err(unknown(&words).into()),
        };
        if let Some(verb) = verb {
            let what = format!("`{verb}` stands with `%memo`, which has no lines below");
            return Err(Report::usage(what).into());
        }
        let keeps = Keeping {
            good: self.ok,
            limit: match self.no_disk {
                true => 0,
                false => self.limit.unwrap_or(DISK),
            },
            ttl: self
                .ttl
                .map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        };
        let text = call.body.unwrap_or_default();
        let (_, names) = memoised(text, keeps).map_err(|refused| {
            let mut report = Report::usage(refused.to_string()).hint(refused.why.hint);
            report.snippet = session.marked(text, call.body_at, refused.at);
            report
        })?;
        if names.is_empty() {
            let what = "%%memo needs a function";
            return Err(match functions_elsewhere(text) {
                Some(place) => Report::usage(format!("{what} that does not stand in {place}"))
                    .hint("keep the results of a `fn` beside it, which it calls"),
                None => Report::usage(what).hint(BELOW),
            }
            .into());
        }
        let mut code = Code::verbatim(text, call.body_at);
        code.memo = Some(keeps);
        session.define_memo(&code, names, sink)
    }
}

/// Something else behind `%memo`.
fn unknown(words: &[String]) -> Report {
    let word = words.first().map_or("", String::as_str);
    let report = Report::usage(format!("%memo: there is no `%memo {word}`"));
    match nearest(word, VERBS) {
        _ if ["fn", "pub"].contains(&word) => report.hint(BELOW),
        Some(verb) => report.hint(format!("did you mean {verb}?")),
        None => report.hint("`%help memo` shows how it is written"),
    }
}

fn list(all: bool, session: &mut Session, sink: &mut dyn Sink) -> Done {
    let (mut rows, others) = session.memos(sink)?;
    if all {
        rows.extend(others);
    }
    sink.send(if rows.is_empty() {
        Event::Text("no function keeps its results: `%%memo` defines one that does".to_owned())
    } else {
        Event::Table(table(&rows))
    });
    Ok(())
}

fn table(rows: &[MemoRow]) -> Table {
    let row = |row: &MemoRow| {
        vec![
            Field::Text(row.function.clone()),
            Field::Count(row.hits),
            Field::Count(row.disk_hits),
            Field::Count(row.misses),
            Field::Count(row.entries),
            Field::Bytes(row.bytes),
            Field::Seconds(row.saved.as_secs_f64()),
        ]
    };
    Table {
        title: None,
        columns: vec![
            "function",
            "hits",
            "from disk",
            "misses",
            "entries",
            "size",
            "time saved",
        ],
        rows: rows.iter().map(row).collect(),
    }
}

fn cleared(rows: &[MemoRow]) -> String {
    let entries: u64 = rows.iter().map(|row| row.entries).sum();
    let results = if entries == 1 { "result" } else { "results" };
    match rows {
        [one] => format!("dropped {entries} {results} of {}", one.function),
        _ => format!("dropped {entries} {results} of {} functions", rows.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_dropped_is_said() {
        let row = |function: &str, entries| MemoRow {
            function: function.to_owned(),
            hits: 0,
            disk_hits: 0,
            misses: 0,
            entries,
            bytes: 0,
            saved: Duration::ZERO,
        };
        let (f, g) = (row("f", 1), row("g", 2));
        assert_eq!(cleared(std::slice::from_ref(&f)), "dropped 1 result of f");
        assert_eq!(cleared(&[f, g]), "dropped 3 results of 2 functions");
    }
}
