//! `%parallel 'command {}' ::: values`: many shell commands on the engines of a pool, in GNU parallel's language.

mod words;

use clap::Args;
use regatta_cell::options::MapOptions;
use regatta_cell::shell::Prints;

use super::map_options::{Out, Where, binding};
use super::{Call, Example, Magic, Takes};
use crate::outcome::{Report, Sink};
use crate::session::{Done, Limit, ParallelRequest, Resume, Session};
use words::{HaltAt, MEBIBYTE, columns, delay, halt, jobs, limit, size};

/// runs many shell commands, in GNU parallel's language
#[derive(Args)]
#[command(
    override_usage = "%parallel [OPTIONS] 'COMMAND {}' ::: VALUES\n       %parallel [OPTIONS] 'COMMAND {}' :::: FILE\n       \
                      let NAME = %parallel [OPTIONS] 'COMMAND {}' over EXPR\n       %parallel --pipe COMMAND :::: FILE",
    after_help = "{} is the value, {.} without its extension, {/} its name, {//} its folder, {/.} its name without the \
                  extension, {#} the job's number, {%} the engine's; {2} is the second source's, {2/.} its name. Sources \
                  cross; `:::+` goes along with the one before it. Results: a Vec<ShellResult> in the order of the values. \
                  `let done = %parallel …` keeps standard output and shows standard error alone, unless -k, -u or --line-buffer \
                  is given."
)]
pub struct Parallel {
    #[command(flatten)]
    at: Where,
    /// a pool of so many engines for the time, or of so many per 100 cores (`200%`); else the pool in use
    #[arg(short, long, value_name = "N", allow_hyphen_values = true, value_parser = jobs)]
    jobs: Option<i64>,
    /// output in the order of the values (the default); with `let`, show it as well as keep it
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
    #[arg(long, alias = "dryrun")]
    dry_run: bool,
    /// how often a command is run until it goes well (1); 0: until it does
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    retries: Option<u32>,
    /// per command: then its processes are ended; seconds, `2m`, or a part of the median as `200%`
    #[arg(long, value_name = "SECS|N%", allow_hyphen_values = true, value_parser = limit)]
    timeout: Option<Limit>,
    /// the least time between two that begin
    #[arg(long, value_name = "SECS", allow_hyphen_values = true, value_parser = delay)]
    delay: Option<f64>,
    /// `soon,fail=1`: no more begin; `now,fail=10%`: those under way end too; `success=` counts those that go well and is
    /// reached well, `done=` both
    #[arg(long, value_name = "HOW", allow_hyphen_values = true, value_parser = halt)]
    halt: Option<HaltAt>,
    /// a file that gets a line for each command that is over, in GNU parallel's columns; `+FILE` goes on with it
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
    #[arg(short = 'C', long, value_name = "REGEX", allow_hyphen_values = true, value_parser = columns)]
    colsep: Option<regex::Regex>,
    /// so many values for each command; with --pipe, lines
    #[arg(short = 'N', long = "max-replace-args", value_name = "N")]
    values: Option<usize>,
    /// all sources side by side, shorter ones anew
    #[arg(long)]
    link: bool,
    /// the file is cut at lines into blocks, each the standard input of one command
    #[arg(long)]
    pipe: bool,
    /// bytes of a block: `1M` without it, `100k`, `10M`
    #[arg(long, alias = "block-size", value_name = "SIZE", value_parser = size)]
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
        let has_name = bind.is_some();
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
        let (log, goes_on) = match self.joblog {
            Some(log) => match log.strip_prefix('+') {
                Some(file) => (Some(file.to_owned()), true),
                None => (Some(log), self.resume || self.resume_failed),
            },
            None => (None, false),
        };
        Ok(ParallelRequest {
            text: call.text.to_owned(),
            at: call.at,
            bind,
            jobs: self.jobs,
            targets,
            options,
            tries: match self.retries {
                None => 1,
                Some(0) => u32::MAX,
                Some(tries) => tries,
            },
            timeout: self.timeout,
            delay: self.delay.unwrap_or_default(),
            halt: self.halt.flatten(),
            prints: match (self.ungroup, self.line_buffer) {
                (true, _) => Prints::Ungrouped,
                (_, true) => Prints::Lines,
                // A variable takes it, as the shell's would.
                _ if has_name && !self.keep_order => Prints::Kept,
                _ => Prints::Grouped,
            },
            tag: self.tag,
            dry_run: self.dry_run,
            log,
            log_goes_on: goes_on,
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
