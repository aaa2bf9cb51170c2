//! `%scaling F over EXPR`: the same map on ever more engines, and what more of them are worth.

use std::str::FromStr;

use clap::{Args, ValueHint};
use regatta_cell::options::MapOptions;

use super::map_options::{Chunks, Tries};
use super::parts::{Form, request};
use super::timeline::{writable, written};
use super::{Call, Example, Magic, Takes};
use crate::outcome::{Event, PoolKind, Report, Sink};
use crate::render::scaling::svg;
use crate::session::{Done, MOST_ENGINES, ScalingRequest, Session, cores};

const FORM: Form = Form {
    magic: Scaling::NAME,
    combines: false,
    example: "`%scaling fib over [30, 31, 32] --engines 1,2,4`",
};

/// Of each pool, the best of so many runs.
const REPEAT: u32 = 3;
const MOST_REPEATS: u32 = 1000;

/// runs the same map on more and more engines: speedup, efficiency, serial fraction, a chart
#[derive(Args)]
#[command(
    override_usage = "%scaling [OPTIONS] F over EXPR\n       %scaling F over EXPR [OPTIONS]\n       \
                      %%scaling [OPTIONS], `F over EXPR` on the lines below",
    after_help = "Pools of the numbers of engines are started for the time, one after the other, and stopped again. \
                  Each is warmed with an item per engine, and the best of its runs counts. One engine is always among \
                  them: speedups are over that. The serial fraction of a row is Karp's and Flatt's; the one below \
                  the table fits Amdahl's law to the rows that have a core for each engine."
)]
pub struct Scaling {
    /// how many engines, as `1,2,4,8`; the powers of two up to the number of cores without it
    #[arg(short = 'n', long, value_name = "N,N,…", allow_hyphen_values = true)]
    engines: Option<Counts>,
    /// what an engine is; as in the pool in use without it, or processes
    #[arg(long, value_name = "KIND", allow_hyphen_values = true)]
    kind: Option<PoolKind>,
    /// how often each pool runs the map (3)
    #[arg(short, long, value_name = "N", allow_hyphen_values = true, value_parser = repeat)]
    repeat: Option<u32>,
    /// write the chart to this file too, as SVG
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    svg: Option<String>,
    #[command(flatten)]
    chunks: Chunks,
    #[command(flatten)]
    tries: Tries,
}

impl Magic for Scaling {
    const NAME: &'static str = "scaling";
    const TAKES: Takes = Takes::Code;
    const HAS_CELL_FORM: bool = true;
    const OPTIONS_BEHIND: bool = true;
    const EXAMPLES: &'static [Example] = &[
        Example {
            input: "%scaling |x: u64| (0..x * 50_000).map(std::hint::black_box).sum::<u64>() over 1..9 --engines 1,2",
            shows: "serial fraction",
        },
        Example {
            input: "%scaling --kind threads --repeat 1 |x: u64| x + 1 over 0..4",
            shows: "speedup over engines",
        },
    ];

    fn run(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        let file = self.svg.clone();
        if let Some(file) = &file {
            writable(file)?;
        }
        let used = session.current_pool().map(|pool| pool.kind);
        let request = self.request(call, used)?;
        let scaling = session.scaling(&request, sink)?;
        sink.send(Event::Scaling(scaling.clone()));
        if let Some(file) = file {
            sink.send(written(&file, &svg(&scaling))?);
        }
        Ok(())
    }
}

impl Scaling {
    /// What the call asks for; `used`: the kind of the pool in use.
    pub fn request(
        self,
        call: &Call<'_>,
        used: Option<PoolKind>,
    ) -> Result<ScalingRequest, Report> {
        let options = self.tries.of(self.chunks.of(MapOptions::default()));
        Ok(ScalingRequest {
            map: request(call, &FORM, None, None, options)?,
            kind: self.kind.or(used).unwrap_or(PoolKind::Processes),
            counts: self.engines.map_or_else(Vec::new, |counts| counts.0),
            repeat: self.repeat.unwrap_or(REPEAT),
        })
    }
}

/// Numbers of engines, each of them once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts(pub Vec<u32>);

impl FromStr for Counts {
    type Err = Report;

    fn from_str(text: &str) -> Result<Self, Report> {
        let hint = "numbers of engines are written `--engines 1,2,4,8`";
        let mut counts = Vec::new();
        for word in text.trim_matches(['[', ']']).split(',').map(str::trim) {
            let engines = match word.parse::<u32>() {
                Ok(0) => {
                    let what = "--engines 0: a pool of 0 engines cannot work";
                    return Err(Report::usage(what).hint(hint));
                }
                Ok(engines) if engines > MOST_ENGINES => {
                    let what = format!("--engines {word}: too many for one machine");
                    let cores = cores();
                    return Err(Report::usage(what).hint(format!(
                        "the most is {MOST_ENGINES}; this machine has {cores} {}",
                        if cores == 1 { "core" } else { "cores" }
                    )));
                }
                Ok(engines) => engines,
                Err(_) if word.is_empty() => {
                    let what = format!("--engines {text}: a number is missing");
                    return Err(Report::usage(what).hint(hint));
                }
                Err(_) => {
                    let what = format!("--engines {text}: `{word}` is no number of engines");
                    return Err(Report::usage(what).hint(hint));
                }
            };
            if counts.contains(&engines) {
                let what = format!("--engines {text}: {engines} stands there twice");
                return Err(Report::usage(what)
                    .hint("each number of engines is measured once; `--repeat` says how often"));
            }
            counts.push(engines);
        }
        if counts == [1] {
            let what = "--engines 1: there is nothing to compare one engine with";
            return Err(Report::usage(what).hint(hint));
        }
        Ok(Self(counts))
    }
}

fn repeat(text: &str) -> Result<u32, Report> {
    let what = match text.trim().parse() {
        Ok(repeat @ 1..=MOST_REPEATS) => return Ok(repeat),
        Ok(0) => "--repeat 0: each pool runs the map at least once".to_owned(),
        Ok(_) => format!("--repeat {text}: more than {MOST_REPEATS} runs tell nothing new"),
        Err(_) => format!("--repeat {text}: not a number of runs"),
    };
    Err(Report::usage(what).hint("`--repeat 3`, the default: of each pool the best of 3 runs"))
}
