//! The options of `%map` in groups, for those magics that share them: each is declared once, and sets the field
//! of [`MapOptions`] that it is about. What contradicts something else of the same call is refused.

use std::time::Duration;

use clap::{Args, ValueEnum};
use regatta_cell::options::{MapOptions, Schedule};

use super::values::{OnTargets, seconds, variable};
use crate::cell::{Binding, Targets};
use crate::ids::PoolName;
use crate::outcome::Report;

/// Where it runs.
#[derive(Args)]
pub struct Where {
    /// the pool; the one in use without it
    #[arg(short, long, value_name = "NAME", allow_hyphen_values = true)]
    pool: Option<PoolName>,
    #[command(flatten)]
    on: OnTargets,
}

impl Where {
    /// The options on that pool, and the engines of it.
    pub fn of(self, options: MapOptions) -> (MapOptions, Option<Targets>) {
        let pool = self.pool.map(|pool| pool.0);
        (MapOptions { pool, ..options }, self.on.targets)
    }
}

/// How its inputs become chunks.
#[derive(Args)]
pub struct Chunks {
    /// inputs per chunk; `auto`, the default, adapts while the map runs
    #[arg(short, long, value_name = "N|auto", allow_hyphen_values = true, value_parser = chunk)]
    chunk: Option<Chunk>,
    /// `dynamic`: who is free takes the next chunk (the default); `static`: one block per engine; `guided`: chunks
    /// shrink towards the end
    #[arg(
        long,
        value_name = "HOW",
        allow_hyphen_values = true,
        hide_possible_values = true
    )]
    schedule: Option<How>,
    /// at most so many inputs
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    take: Option<u64>,
}

/// Inputs per chunk; `None`: it adapts.
type Chunk = Option<u64>;

#[derive(Clone, Copy, ValueEnum)]
enum How {
    Dynamic,
    Static,
    Guided,
}

impl Chunks {
    pub fn of(self, options: MapOptions) -> MapOptions {
        MapOptions {
            chunk: self.chunk.flatten(),
            schedule: match self.schedule {
                None | Some(How::Dynamic) => Schedule::Dynamic,
                Some(How::Static) => Schedule::Static,
                Some(How::Guided) => Schedule::Guided,
            },
            take: self.take,
            ..options
        }
    }
}

/// What each of its inputs gets.
#[derive(Args)]
pub struct Tries {
    /// how often an input whose function panicked is tried again (0)
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    retries: Option<u32>,
    /// per input: then its engine is replaced, and it has failed
    #[arg(long, value_name = "SECS", allow_hyphen_values = true, value_parser = timeout)]
    timeout: Option<Duration>,
    /// a random generator per input, the same whatever the schedule
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    seed: Option<u64>,
}

impl Tries {
    pub fn of(self, options: MapOptions) -> MapOptions {
        MapOptions {
            retries: self.retries.unwrap_or_default(),
            timeout: self.timeout,
            seed: self.seed,
            ..options
        }
    }
}

/// What takes its results.
#[derive(Args)]
pub struct Out {
    /// bind the results to this variable, as `let NAME = ` does
    #[arg(short, long, value_name = "NAME", allow_hyphen_values = true, value_parser = variable)]
    pub out: Option<String>,
}

/// What it shows, and whether it is waited for.
#[derive(Args)]
pub struct Shown {
    /// no plan and no table
    #[arg(short, long)]
    quiet: bool,
    /// show the plan and run nothing
    #[arg(long)]
    plan: bool,
    /// wait for the results (the default)
    #[arg(short, long, overrides_with = "noblock")]
    block: bool,
    /// do not wait; %jobs lists it, %result gives the results
    #[arg(short = 'a', long, overrides_with = "block")]
    noblock: bool,
}

impl Shown {
    /// For magics that cannot go on in the background.
    pub fn is_waited_for(&self, magic: &str, why: &str) -> Result<(), Report> {
        if self.noblock {
            return Err(
                Report::usage(format!("%{magic} cannot go on in the background")).hint(why),
            );
        }
        Ok(())
    }

    /// `items`: a row per input is asked for; `named`: the results have a name.
    pub fn of(
        self,
        options: MapOptions,
        items: bool,
        named: bool,
        magic: &str,
    ) -> Result<MapOptions, Report> {
        const ITEMS: &str = "--items";
        const PLAN: &str = "--plan";
        const QUIET: &str = "-q";
        for (both, one, other, why) in [
            (
                items && self.quiet,
                ITEMS,
                QUIET,
                "`--items` asks for a table, `-q` for none",
            ),
            (
                self.plan && self.quiet,
                PLAN,
                QUIET,
                "`--plan` shows nothing but the plan, `-q` hides it",
            ),
            (
                self.plan && self.noblock,
                PLAN,
                "-a",
                "`--plan` runs nothing that could be left to run",
            ),
            (
                options.unordered && items,
                ITEMS,
                "-u",
                "`--items` has a row per input; with `-u` nobody knows which result is whose",
            ),
            (
                self.noblock && items,
                ITEMS,
                "-a",
                "`--items` shows a table at the map's end, which `-a` does not wait for",
            ),
            (
                self.plan && items,
                PLAN,
                ITEMS,
                "`--plan` runs no input, so there is none to list",
            ),
            (
                self.plan && named,
                PLAN,
                "a name for the results",
                "`--plan` runs nothing, so there is nothing to bind",
            ),
        ] {
            if both {
                let what = format!("%{magic}: {one} and {other} exclude each other");
                return Err(Report::usage(what).hint(why));
            }
        }
        Ok(MapOptions {
            quiet: self.quiet,
            items,
            plan_only: self.plan,
            background: self.noblock,
            ..options
        })
    }
}

fn chunk(text: &str) -> Result<Chunk, Report> {
    let hint = "`-c 8` sends 8 inputs at once, `-c auto` adapts while the map runs";
    match (text, text.parse()) {
        ("auto", _) => Ok(None),
        (_, Ok(0)) => Err(Report::usage("--chunk 0: a chunk has at least one input").hint(hint)),
        (_, Ok(size)) => Ok(Some(size)),
        (_, Err(_)) => Err(Report::usage(format!(
            "--chunk {text}: not a number of inputs, nor `auto`"
        ))
        .hint(hint)),
    }
}

fn timeout(text: &str) -> Result<Duration, Report> {
    let time = seconds("--timeout", text)?;
    if time.is_zero() {
        return Err(Report::usage("--timeout 0: no input can be that fast")
            .hint("leave `--timeout` out to let each input take its time"));
    }
    Ok(time)
}

/// What takes the results: the `let` in front of the magic, or `-o`.
pub fn binding(
    bind: Option<&Binding>,
    out: Option<String>,
    magic: &str,
) -> Result<Option<Binding>, Report> {
    match (bind, out) {
        (Some(bind), Some(out)) => Err(Report::usage(format!(
            "%{magic}: the results have two names, `{}` and `{out}`",
            bind.name
        ))
        .hint("`let NAME = ` and `-o NAME` say the same: leave one of them out")),
        (bind, None) => Ok(bind.cloned()),
        (None, Some(name)) => Ok(Some(Binding {
            pattern: name.clone(),
            name,
            ty: None,
        })),
    }
}
