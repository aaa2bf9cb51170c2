//! `%parallel 'command {}' ::: values`: many shell commands on the engines of a pool, in GNU parallel's language.

use clap::Args;
use regatta_cell::options::MapOptions;
use regatta_cell::shell::{Halt, Prints};

use super::map_options::{Out, Where, binding};
use super::values::seconds;
use super::{Call, Example, Magic, Takes};
use crate::outcome::{Report, Sink};
use crate::session::{Done, Limit, ParallelRequest, Resume, Session, cores};

/// runs many shell commands, in GNU parallel's language
#[derive(Args)]
#[command(
    override_usage = "%parallel [OPTIONS] 'COMMAND {}' ::: VALUES\n       %parallel [OPTIONS] 'COMMAND {}' :::: FILE\n       \
                      let NAME = %parallel [OPTIONS] 'COMMAND {}' over EXPR\n       %parallel --pipe COMMAND :::: FILE",
    after_help = "{} is the value, {.} without its extension, {/} its name, {//} its folder, {/.} its name without the \
                  extension, {#} the job's number, {%} the engine's; {2} is the second source's, {2/.} its name. Sources \
                  cross; `:::+` goes along with the one before it. Results: a Vec<ShellResult> in the order of the values."
)]
pub struct Parallel {
    #[command(flatten)]
    at: Where,
    /// a pool of so many engines for the time, or of so many per 100 cores (`200%`); else the pool in use
    #[arg(short, long, value_name = "N", allow_hyphen_values = true, value_parser = jobs)]
    jobs: Option<i64>,
    /// output in the order of the values (the default)
    #[arg(short, long)]
    keep_order: bool,
    /// output as it comes, and not kept
    #[arg(short, long, alias = "ug")]
    ungroup: bool,
    /// output line by line as it comes
    #[arg(long, alias = "lb", conflicts_with = "ungroup")]
    line_buffer: bool,
    /// the value in front of each line
    #[arg(long)]
    tag: bool,
    /// show the commands and run none
    #[arg(long)]
    dry_run: bool,
    /// how often a command is run until it goes well (1)
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    retries: Option<u32>,
    /// per command: then its processes are ended; seconds, or a part of the median as `200%`
    #[arg(long, value_name = "SECS|N%", allow_hyphen_values = true, value_parser = limit)]
    timeout: Option<Limit>,
    /// the least time between two that begin
    #[arg(long, value_name = "SECS", allow_hyphen_values = true, value_parser = delay)]
    delay: Option<f64>,
    /// `soon,fail=1`: no more begin; `now,fail=10%`: those under way end too; `success=` counts those that went well
    #[arg(long, value_name = "HOW", allow_hyphen_values = true, value_parser = halt)]
    halt: Option<HaltAt>,
    /// a file that gets a line for each command that is over, in GNU parallel's columns
    #[arg(long, value_name = "FILE")]
    joblog: Option<String>,
    /// leave out what has a line in the job log
    #[arg(long)]
    resume: bool,
    /// leave out what went well according to the job log
    #[arg(long)]
    resume_failed: bool,
    /// a folder for what they print, in GNU parallel's layout
    #[arg(long, value_name = "DIR")]
    results: Option<String>,
    /// cuts values into columns {1}, {2} …; a regular expression
    #[arg(long, value_name = "REGEX", allow_hyphen_values = true, value_parser = columns)]
    colsep: Option<regex::Regex>,
    /// so many values for each command
    #[arg(short = 'N', long = "max-replace-args", value_name = "N")]
    values: Option<usize>,
    /// all sources side by side, shorter ones anew
    #[arg(long)]
    link: bool,
    /// the file is cut at lines into blocks, each the standard input of one command
    #[arg(long)]
    pipe: bool,
    /// bytes of a block: `1M` without it, `100k`, `10M`
    #[arg(long, value_name = "SIZE", value_parser = size)]
    block: Option<u64>,
    #[command(flatten)]
    out: Out,
    /// no plan and no table
    #[arg(short, long)]
    quiet: bool,
    /// do not wait; %jobs lists it, %result gives the results
    #[arg(short = 'a', long)]
    noblock: bool,
}

/// Never, or at a number of outcomes.
type HaltAt = Option<Halt>;

impl Magic for Parallel {
    const NAME: &'static str = "parallel";
    const TAKES: Takes = Takes::Code;
    const BINDS: bool = true;
    const EXAMPLES: &'static [Example] = &[
        Example {
            input: "%parallel -j 2 -q 'echo {} has {#}' ::: apple pear",
            shows: "pear has 2",
        },
        Example {
            input: "let done = %parallel -q -j 2 --retries 2 'expr {} \\* 2' over 3..=4\ndone[1].text()",
            shows: "8",
        },
        Example {
            input: "%parallel --dry-run 'convert {1} {1.}.{2}' ::: a.jpg b.jpg ::: png gif",
            shows: "convert b.jpg b.gif",
        },
    ];

    fn run(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        session.parallel(&self.request(call)?, sink)
    }
}

impl Parallel {
    fn request(self, call: &Call<'_>) -> Result<ParallelRequest, Report> {
        let bind = binding(call.bind, self.out.out, Self::NAME)?;
        let (options, targets) = self.at.of(MapOptions::default());
        let options = MapOptions {
            quiet: self.quiet,
            background: self.noblock,
            ..options
        };
        if options.pool.is_some() && self.jobs.is_some() {
            return Err(Report::usage("%parallel: -j and -p exclude each other")
                .hint("`-j` starts a pool of its own, `-p` names one that is there"));
        }
        if self.block.is_some() && !self.pipe {
            return Err(Report::usage(
                "%parallel: --block says how large the blocks of --pipe are",
            )
            .hint("`%parallel --pipe --block 10M wc -l :::: FILE`"));
        }
        Ok(ParallelRequest {
            text: call.text.to_owned(),
            at: call.at,
            bind,
            jobs: self.jobs,
            targets,
            options,
            tries: self.retries.unwrap_or(1).max(1),
            timeout: self.timeout,
            delay: self.delay.unwrap_or_default(),
            halt: self.halt.flatten(),
            prints: match (self.ungroup, self.line_buffer) {
                (true, _) => Prints::Ungrouped,
                (_, true) => Prints::Lines,
                _ => Prints::Grouped,
            },
            tag: self.tag,
            dry_run: self.dry_run,
            log: self.joblog,
            resume: match (self.resume_failed, self.resume) {
                (true, _) => Resume::WentWell,
                (_, true) => Resume::Ended,
                _ => Resume::Nothing,
            },
            results: self.results,
            columns: self.colsep,
            values_each: self.values,
            link: self.link,
            block: self.pipe.then(|| self.block.unwrap_or(MEBIBYTE)),
        })
    }
}

const MEBIBYTE: u64 = 1 << 20;

fn jobs(text: &str) -> Result<i64, Report> {
    let wrong = || {
        Report::usage(format!("-j {text}: not a number of engines"))
            .hint("`-j 8`, or `-j 200%` for two per core")
    };
    let number = match text.strip_suffix('%') {
        Some(share) => {
            let share: f64 = share.parse().map_err(|_| wrong())?;
            ((share / 100.0 * f64::from(cores())).round() as i64).max(1)
        }
        None => text.parse().map_err(|_| wrong())?,
    };
    if number < 1 { Err(wrong()) } else { Ok(number) }
}

fn delay(text: &str) -> Result<f64, Report> {
    Ok(seconds("--delay", text)?.as_secs_f64())
}

/// A part of a whole, as `30%`.
fn share(text: &str) -> Option<f64> {
    let share: f64 = text.strip_suffix('%')?.parse().ok()?;
    (share.is_finite() && share > 0.0).then_some(share / 100.0)
}

fn limit(text: &str) -> Result<Limit, Report> {
    if let Some(share) = share(text) {
        return Ok(Limit::Share(share));
    }
    let limit = seconds("--timeout", text)?.as_secs_f64();
    if limit == 0.0 {
        return Err(Report::usage("--timeout 0: no command can be that fast")
            .hint("leave `--timeout` out to let each command take its time"));
    }
    Ok(Limit::Seconds(limit))
}

fn halt(text: &str) -> Result<HaltAt, Report> {
    let wrong = || {
        Report::usage(format!("--halt {text}: not a way to halt"))
            .hint("`never`, `soon,fail=1`, `now,fail=10%`, `now,success=1`")
    };
    if text == "never" {
        return Ok(None);
    }
    let (when, what) = text.split_once(',').ok_or_else(wrong)?;
    let (outcome, count) = what.split_once('=').ok_or_else(wrong)?;
    let now = match when {
        "now" => true,
        "soon" => false,
        _ => return Err(wrong()),
    };
    let success = match outcome {
        "success" => true,
        "fail" => false,
        _ => return Err(wrong()),
    };
    let share = share(count);
    let count = match share {
        Some(_) => 0,
        None => count
            .parse()
            .ok()
            .filter(|count| *count > 0)
            .ok_or_else(wrong)?,
    };
    Ok(Some(Halt {
        now,
        success,
        count,
        share,
    }))
}

fn columns(text: &str) -> Result<regex::Regex, Report> {
    // The shell would leave `\t` as it is too.
    regex::Regex::new(text).map_err(|_| {
        Report::usage(format!("--colsep {text}: not a regular expression"))
            .hint("`--colsep ,` or `--colsep '\\t'`")
    })
}

fn size(text: &str) -> Result<u64, Report> {
    let (number, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let unit: Option<u64> = match unit {
        "" => Some(1),
        "k" => Some(1000),
        "K" => Some(1 << 10),
        "m" => Some(1_000_000),
        "M" => Some(MEBIBYTE),
        "g" => Some(1_000_000_000),
        "G" => Some(1 << 30),
        _ => None,
    };
    let size = number
        .parse::<u64>()
        .ok()
        .zip(unit)
        .and_then(|(number, unit)| number.checked_mul(unit));
    size.filter(|size| *size > 0).ok_or_else(|| {
        Report::usage(format!("--block {text}: not a size")).hint("`100k`, `10M`, `1G`")
    })
}
