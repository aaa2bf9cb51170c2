//! `%pool`: starts, stops, lists, chooses, resizes and restarts pools of engines.

pub(super) mod cluster;

use std::ffi::OsStr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::builder::{EnumValueParser, PossibleValue, TypedValueParser};
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Args, Command, Subcommand, ValueEnum};

use super::document::kind_word;
use super::jobs;
use super::values::{TargetsPart, targets, time};
use super::{Call, Example, Magic, attach};
use crate::cell::position;
use crate::ids::PoolName;
use crate::outcome::{Event, Field, MpiCause, PoolKind, Report, Sink, Table};
use crate::pool::cluster::Listen;
use crate::pool::{EngineState, Starter, Work};
use crate::render::units;
use crate::session::{Code, Done, Failed, JobStatus, Pool, PoolRequest, Session, missing};

/// starts, stops, lists, resizes, restarts pools of engines
#[derive(Args)]
pub struct Pools {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand)]
enum Verb {
    /// starts a pool and uses it
    Start(Box<Start>),
    /// stops a pool
    Stop {
        /// which; the one in use without it
        #[arg(value_name = "NAME")]
        pool: Option<PoolName>,
        /// every pool
        #[arg(long, conflicts_with = "pool")]
        all: bool,
        /// also when jobs of a kept cluster end with it whose results nobody has taken
        #[arg(long)]
        drop: bool,
    },
    /// takes a cluster that has outlived its session; without a name: lists those that there are
    Attach {
        #[arg(value_name = "NAME")]
        name: Option<String>,
        /// also when another session has it, which loses it then
        #[arg(long)]
        steal: bool,
        #[command(flatten)]
        hosts: cluster::Hosts,
    },
    /// lists all engines
    List,
    /// chooses the pool that %px and %map use
    Use {
        #[arg(value_name = "NAME")]
        pool: PoolName,
    },
    /// changes the number of engines
    Resize {
        #[arg(value_name = "N", allow_hyphen_values = true)]
        size: i64,
    },
    /// adds a host to a cluster, also while it runs, with engines behind those that there are
    Add(cluster::Add),
    /// takes a host out of a cluster, when its engines have ended what they are at
    Remove(cluster::Remove),
    /// starts engines anew, without their variables
    Restart {
        /// which: `all`, `2`, `0,2`, `1:3`, `-1`
        #[arg(num_args = 1.., default_value = "all", allow_hyphen_values = true)]
        targets: Vec<TargetsPart>,
    },
}

#[derive(Args)]
struct Start {
    /// what an engine is
    #[arg(default_value = "processes", value_parser = Kind)]
    kind: Started,
    /// how many engines; as many as cores without it; on a cluster those of each host that does not say how many
    #[arg(short = 'n', value_name = "N", allow_hyphen_values = true)]
    size: Option<i64>,
    /// what starts the engines of an MPI pool: `mpiexec` without it; `{n}` stands for their number, and `-n {n}`
    /// is added where there is none. Of a cluster, what starts a node: `{command}` stands for the command of that, which
    /// reads its standard input
    #[arg(long, value_name = "COMMAND", allow_hyphen_values = true)]
    launcher: Option<String>,
    #[command(flatten)]
    hosts: cluster::Hosts,
    /// how many nodes of a cluster have to come; all without it
    #[arg(long, value_name = "N")]
    need: Option<usize>,
    /// maps on a cluster go through a queue on its server, from which nodes take them
    #[arg(long)]
    durable: bool,
    /// lets a cluster go on when the session ends, for so long: `24h`; `regatta attach` comes back to it
    #[arg(long, value_name = "TIME", value_parser = lease)]
    keep: Option<Duration>,
    /// where other hosts reach the cluster, encrypted: `192.0.2.1`, `0.0.0.0:4222`; nodes may be started there by hand
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = cluster::listen)]
    listen: Option<Listen>,
    /// a NATS server that is there, in the place of one of the cluster's own: `tls://USER:PASSWORD@HOST:4222`
    #[arg(long, value_name = "URL", conflicts_with = "listen")]
    url: Option<String>,
    /// the key of a user of that server, as NATS' own tools write it
    #[arg(long, value_name = "FILE", requires = "url")]
    creds: Option<PathBuf>,
    /// what to call it: p0, p1, … without it
    #[arg(long)]
    name: Option<String>,
    /// what every engine runs first, also those that stand in for others
    #[arg(long, value_name = "CODE")]
    init: Option<String>,
    /// items of maps that one process does, before a new one takes its place
    #[arg(
        long = "tasks-per-engine",
        value_name = "N",
        allow_hyphen_values = true,
        value_parser = items_per_process
    )]
    items: Option<NonZeroU64>,
}

/// What can be started.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Started {
    Processes,
    Threads,
    /// Processes that `mpiexec` starts, whose messages are MPI's.
    Mpi,
    /// Processes on other hosts.
    Cluster,
}

/// Reads a kind of pool; a number in its place is told where it belongs.
#[derive(Clone)]
struct Kind;

impl TypedValueParser for Kind {
    type Value = Started;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Started, clap::Error> {
        let read = EnumValueParser::new().parse_ref(command, argument, value);
        read.map_err(|mut error| {
            let number = value.to_str().filter(|text| text.parse::<i64>().is_ok());
            if let Some(number) = number {
                let hint = format!("the number of engines is an option: `-n {number}`");
                error.insert(ContextKind::Custom, ContextValue::String(hint));
            }
            error
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let kinds = Started::value_variants().iter();
        Some(Box::new(kinds.filter_map(Started::to_possible_value)))
    }
}

impl Magic for Pools {
    const NAME: &'static str = "pool";
    const EXAMPLES: &'static [Example] = &[
        Example {
            input: "%pool start -n 2",
            shows: "2 process engines",
        },
        Example {
            input: "%pool list",
            shows: "idle",
        },
        Example {
            input: "%pool stop --all",
            shows: "stopped",
        },
    ];

    fn run(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        let said = match self.verb {
            None | Some(Verb::List) => return list(session, sink),
            Some(Verb::Attach {
                name: None, hosts, ..
            }) => {
                attach::is_named(&hosts)?;
                return attach::list(sink);
            }
            Some(Verb::Attach {
                name: Some(name),
                steal,
                hosts,
            }) => {
                let pool = attach::take(&name, steal, &hosts, session, sink)?;
                attach::told(&pool, session, sink)
            }
            Some(Verb::Start(start)) => start.run(call, session, sink)?,
            Some(Verb::Stop { pool, all, drop }) => {
                let name = pool.as_ref().map(|pool| pool.0.as_str());
                if !drop {
                    nothing_is_lost(&session.untaken_jobs(name, all)?)?;
                }
                stop(name, all, session, sink)?
            }
            Some(Verb::Use { pool }) => {
                format!("using {}", described(&session.use_pool(&pool.0)?))
            }
            Some(Verb::Resize { size }) => {
                let (pool, took) = session.resize_pool(size, sink)?;
                format!("{}, in {}", described(&pool), milliseconds(took))
            }
            Some(Verb::Add(add)) => add.run(session, sink)?,
            Some(Verb::Remove(remove)) => remove.run(session, sink)?,
            Some(Verb::Restart { targets }) => restart(&targets, session, sink)?,
        };
        sink.send(Event::Text(said));
        Ok(())
    }
}

impl Start {
    fn run(
        self,
        call: &Call<'_>,
        session: &mut Session,
        sink: &mut dyn Sink,
    ) -> Result<String, Failed> {
        let kind = match self.kind {
            Started::Threads => PoolKind::Threads,
            Started::Processes | Started::Mpi | Started::Cluster => PoolKind::Processes,
        };
        let since = Instant::now();
        let (mut size, mut name) = (self.size, self.name.clone());
        self.is_of_its_kind()?;
        let starter = match (self.kind, &self.launcher) {
            (Started::Mpi, launcher) => {
                Starter::Mpi(session.prepare_mpi(launcher.as_deref(), sink)?)
            }
            (Started::Cluster, _) => {
                let mut request = self.cluster()?;
                if let Some(lease) = self.keep {
                    let kept = session.kept_name(name.as_deref())?;
                    name = Some(kept.clone());
                    request.keep = Some((kept, lease));
                }
                let (cluster, slots, gone) = session.open_cluster(request, sink)?;
                if !gone.is_empty() {
                    sink.send(Event::Text(missing(&gone)));
                }
                size = Some(slots.into());
                Starter::Cluster(cluster)
            }
            (_, Some(_)) => return Err(Report::usage(MpiCause::LauncherWithoutMpi).into()),
            (_, None) => Starter::Session,
        };
        let init = self.init.map(|code| {
            let at = call.text.find(&code).unwrap_or_default();
            Code::default().user(&code, position(&call.text[..at], call.at))
        });
        let request = PoolRequest {
            kind,
            size,
            name,
            init,
            items: self.items,
            starter,
        };
        let (pool, _) = session.start_pool(request, sink)?;
        let took = since.elapsed();
        let how = match kind {
            PoolKind::Processes => format!("up in {}", milliseconds(took)),
            PoolKind::Threads => "started by the cells that need them".to_owned(),
        };
        Ok(format!("{}, {how}", described(&pool)))
    }
}

/// Jobs that need no session would end with their cluster.
fn nothing_is_lost(ending: &[JobStatus]) -> Result<(), Report> {
    let Some(first) = ending.first() else {
        return Ok(());
    };
    let its = match ending.len() {
        1 => "its",
        _ => "their",
    };
    let mut pools: Vec<String> = ending.iter().map(|job| job.pool.to_string()).collect();
    pools.sort();
    pools.dedup();
    let (pools, stop, go) = match pools.as_slice() {
        [pool] => (
            pool.clone(),
            format!("%pool stop {pool} --drop"),
            format!("{pool} goes"),
        ),
        _ => (
            pools.join(" and "),
            "%pool stop --all --drop".to_owned(),
            "they go".to_owned(),
        ),
    };
    Err(Report::usage(format!(
        "with {pools} ends {}, and nobody has taken {its} results",
        jobs::named(ending)
    ))
    .hint(format!(
        "`let r = %result {}` takes them; `{stop}` drops them; {go} on when this session is left",
        first.job
    )))
}

fn stop(
    name: Option<&str>,
    all: bool,
    session: &mut Session,
    sink: &mut dyn Sink,
) -> Result<String, Failed> {
    let stopped = session.stop_pool(name, all, sink)?;
    let names: Vec<String> = stopped.iter().map(|pool| pool.name.to_string()).collect();
    if names.is_empty() {
        return Ok("no pool to stop".to_owned());
    }
    let now = match session.current_pool() {
        Some(pool) => format!("; using {}", pool.name),
        None => String::new(),
    };
    Ok(format!("stopped {}{now}", names.join(", ")))
}

fn restart(
    parts: &[TargetsPart],
    session: &mut Session,
    sink: &mut dyn Sink,
) -> Result<String, Failed> {
    // `0, 1` is two words.
    let text: String = parts.iter().map(|part| part.0.as_str()).collect();
    let (pool, ranks, lost, took) = session.restart_pool(&targets(&text)?, sink)?;
    let numbers: Vec<String> = ranks.iter().map(ToString::to_string).collect();
    let lost = if lost.is_empty() {
        String::new()
    } else {
        format!("; lost there: {}", lost.join(", "))
    };
    let engines = match numbers.len() {
        1 => "engine",
        _ => "engines",
    };
    Ok(format!(
        "pool {}: {engines} {} restarted in {}{lost}",
        pool.name,
        numbers.join(","),
        milliseconds(took)
    ))
}

fn items_per_process(text: &str) -> Result<NonZeroU64, Report> {
    text.trim().parse().map_err(|_| {
        Report::usage(format!(
            "--tasks-per-engine {text}: not a number of items from 1 on"
        ))
        .hint("`--tasks-per-engine 100`: a new process after every 100 items")
    })
}

fn lease(text: &str) -> Result<Duration, Report> {
    time("--keep", text)
}

pub fn described(pool: &Pool) -> String {
    let engines = if pool.size == 1 { "engine" } else { "engines" };
    let items = match pool.items.map(NonZeroU64::get) {
        None => String::new(),
        Some(1) => ", a new process for each item".to_owned(),
        Some(items) => format!(", a new process after every {items} items"),
    };
    let (kind, by) = match &pool.starter {
        Starter::Mpi(start) => ("MPI", format!(", {}", start.launcher)),
        Starter::Cluster(of) => {
            let kept = of.kept().map(|(_, lease)| {
                format!(", kept for {} without a session", units::duration(lease))
            });
            let by = format!(" on {}{}", cluster::hosts(of), kept.unwrap_or_default());
            ("cluster", by)
        }
        Starter::Session => (kind_word(pool.kind), String::new()),
    };
    format!(
        "pool {}: {} {kind} {engines}{by}{items}",
        pool.name, pool.size
    )
}

fn milliseconds(time: Duration) -> String {
    format!("{} ms", time.as_millis().max(1))
}

fn list(session: &mut Session, sink: &mut dyn Sink) -> Done {
    let current = session.current_pool().map(|pool| pool.name.clone());
    let mut rows = Vec::new();
    for (pool, rank, status) in session.engines(sink) {
        let used = if pool.is_some() && pool == current {
            " *"
        } else {
            ""
        };
        let host = pool.as_ref().and_then(|name| {
            let pool = session.pools().iter().find(|pool| pool.name == *name)?;
            pool.starter.cluster()?.host_of(rank)
        });
        let name = pool.map_or_else(|| "local".to_owned(), |name| format!("{name}{used}"));
        rows.push(vec![
            Field::Text(name),
            Field::Text(rank.to_string()),
            host.map_or(Field::Empty, Field::Text),
            match status.pid {
                // It was never started.
                0 => Field::Empty,
                pid => Field::Text(pid.to_string()),
            },
            Field::Text(match status.state {
                EngineState::Starting => "starting".to_owned(),
                EngineState::Idle => "idle".to_owned(),
                EngineState::Busy(Work::Cell(cell)) => format!("busy: {}", cell.name()),
                EngineState::Busy(Work::Map(job)) => format!("busy: job {job}"),
                EngineState::Dead(cause) => format!("dead: {cause}"),
            }),
            Field::Count(status.tasks),
            Field::Seconds(status.busy.as_secs_f64()),
            status.memory.map_or(Field::Empty, Field::Bytes),
        ]);
    }
    for pool in session
        .pools()
        .iter()
        .filter(|pool| pool.kind == PoolKind::Threads)
    {
        let used = if current.as_ref() == Some(&pool.name) {
            " *"
        } else {
            ""
        };
        rows.push(vec![
            Field::Text(format!("{}{used}", pool.name)),
            Field::Text(format!("0-{}", pool.size - 1)),
            Field::Empty,
            Field::Empty,
            Field::Text("threads of the local engine".to_owned()),
            Field::Empty,
            Field::Empty,
            Field::Empty,
        ]);
    }
    let columns = vec![
        "pool", "engine", "host", "pid", "state", "tasks", "busy", "memory",
    ];
    sink.send(Event::Table(Table {
        title: None,
        columns,
        rows,
    }));
    Ok(())
}
