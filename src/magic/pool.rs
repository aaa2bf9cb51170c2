//! `%pool`: starts, stops, lists, chooses, resizes and restarts pools of engines.

use std::num::NonZeroU64;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::document::kind_word;
use super::{Call, Example, Magic};
use crate::cell::{Targets, position};
use crate::outcome::{Event, Field, PoolKind, Report, Sink, Table};
use crate::pool::{EngineState, Work};
use crate::session::{Code, Failed, Pool as SessionPool, PoolRequest, Session};

pub struct Pool;

impl Magic for Pool {
    fn command(&self) -> Command {
        let size = Arg::new("size")
            .short('n')
            .value_name("N")
            .allow_hyphen_values(true);
        let size = size
            .value_parser(value_parser!(i64))
            .help("how many engines; as many as cores without it");
        let name = Arg::new("name")
            .long("name")
            .value_name("NAME")
            .help("what to call it: p0, p1, … without it");
        let pool = Arg::new("pool").value_name("NAME");
        Command::new("pool")
            .about("starts, stops, lists, resizes, restarts pools of engines")
            .subcommand(
                Command::new("start")
                    .about("starts a pool and uses it")
                    .arg(
                        Arg::new("kind")
                            .value_parser(PossibleValuesParser::new(["processes", "threads"]))
                            .default_value("processes")
                            .help("what an engine is"),
                    )
                    .arg(size)
                    .arg(name)
                    .arg(
                        Arg::new("init").long("init").value_name("CODE").help(
                            "what every engine runs first, also those that stand in for others",
                        ),
                    )
                    .arg(
                        Arg::new("items")
                            .long("tasks-per-engine")
                            .value_name("N")
                            .allow_hyphen_values(true)
                            .help(
                                "items of maps that one process does, before a new one takes its place",
                            ),
                    ),
            )
            .subcommand(
                Command::new("stop")
                    .about("stops a pool")
                    .arg(pool.clone().help("which; the one in use without it"))
                    .arg(
                        Arg::new("all")
                            .long("all")
                            .action(ArgAction::SetTrue)
                            .help("every pool"),
                    ),
            )
            .subcommand(Command::new("list").about("lists all engines"))
            .subcommand(
                Command::new("use")
                    .about("chooses the pool that %px and %map use")
                    .arg(pool.required(true)),
            )
            .subcommand(
                Command::new("resize")
                    .about("changes the number of engines")
                    .arg(
                        Arg::new("size")
                            .value_name("N")
                            .required(true)
                            .allow_hyphen_values(true)
                            .value_parser(value_parser!(i64)),
                    ),
            )
            .subcommand(
                Command::new("restart")
                    .about("starts engines anew, without their variables")
                    .arg(
                        Arg::new("targets")
                            .value_name("TARGETS")
                            .num_args(1..)
                            .default_value("all")
                            .allow_hyphen_values(true)
                            .help("which: `all`, `2`, `0,2`, `1:3`, `-1`"),
                    ),
            )
    }

    fn examples(&self) -> &'static [Example] {
        &[
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
        ]
    }

    fn run(
        &self,
        call: &Call<'_>,
        session: &mut Session,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let Some((verb, options)) = call.matches.subcommand() else {
            return list(session, sink);
        };
        let text = |id: &str| options.get_one::<String>(id).map(String::as_str);
        let said = match verb {
            "start" => start(call, session, options, sink)?,
            "stop" => {
                let all = options.get_flag("all");
                let stopped = session.stop_pool(text("pool"), all, sink)?;
                let names: Vec<String> = stopped.iter().map(|pool| pool.name.to_string()).collect();
                let now = match session.current_pool() {
                    Some(pool) if !names.is_empty() => format!("; using {}", pool.name),
                    _ => String::new(),
                };
                if names.is_empty() {
                    "no pool to stop".to_owned()
                } else {
                    format!("stopped {}{now}", names.join(", "))
                }
            }
            "use" => format!(
                "using {}",
                described(&session.use_pool(text("pool").unwrap_or_default())?)
            ),
            "resize" => {
                let size = options.get_one::<i64>("size").copied().unwrap_or_default();
                let (pool, took) = session.resize_pool(size, sink)?;
                format!("{}, in {}", described(&pool), milliseconds(took))
            }
            "restart" => {
                // `0, 1` is two words.
                let words = options.get_many::<String>("targets");
                let targets: String = words.into_iter().flatten().cloned().collect();
                let targets: Targets = targets.parse().map_err(super::values::bad_targets)?;
                let (pool, ranks, lost, took) = session.restart_pool(&targets, sink)?;
                let numbers: Vec<String> = ranks.iter().map(ToString::to_string).collect();
                let lost = if lost.is_empty() {
                    String::new()
                } else {
                    format!("; lost there: {}", lost.join(", "))
                };
                let engines = if ranks.len() == 1 {
                    "engine"
                } else {
                    "engines"
                };
                format!(
                    "pool {}: {engines} {} restarted in {}{lost}",
                    pool.name,
                    numbers.join(","),
                    milliseconds(took)
                )
            }
            _ => return list(session, sink),
        };
        sink.send(Event::Text(said));
        Ok(())
    }
}

fn start(
    call: &Call<'_>,
    session: &mut Session,
    options: &ArgMatches,
    sink: &mut dyn Sink,
) -> Result<String, Failed> {
    let kind = match options.get_one::<String>("kind").map(String::as_str) {
        Some("threads") => PoolKind::Threads,
        _ => PoolKind::Processes,
    };
    let init = options.get_one::<String>("init").map(|code| {
        let at = call.text.find(code.as_str()).unwrap_or_default();
        Code::default().user(code, position(&call.text[..at], call.at))
    });
    let (pool, took) = session.start_pool(
        PoolRequest {
            kind,
            size: options.get_one::<i64>("size").copied(),
            name: options.get_one::<String>("name").cloned(),
            init,
            items: options
                .get_one::<String>("items")
                .map(|text| items_per_process(text))
                .transpose()?,
        },
        sink,
    )?;
    Ok(match kind {
        PoolKind::Processes => format!("{}, up in {}", described(&pool), milliseconds(took)),
        PoolKind::Threads => format!("{}, started by the cells that need them", described(&pool)),
    })
}

fn items_per_process(text: &str) -> Result<NonZeroU64, Report> {
    text.trim().parse().map_err(|_| {
        Report::usage(format!(
            "--tasks-per-engine {text}: not a number of items from 1 on"
        ))
        .hint("`--tasks-per-engine 100`: a new process after every 100 items")
    })
}

fn described(pool: &SessionPool) -> String {
    let engines = if pool.size == 1 { "engine" } else { "engines" };
    let items = match pool.items.map(NonZeroU64::get) {
        None => String::new(),
        Some(1) => ", a new process for each item".to_owned(),
        Some(items) => format!(", a new process after every {items} items"),
    };
    format!(
        "pool {}: {} {} {engines}{items}",
        pool.name,
        pool.size,
        kind_word(pool.kind)
    )
}

fn milliseconds(time: Duration) -> String {
    format!("{} ms", time.as_millis().max(1))
}

fn list(session: &mut Session, sink: &mut dyn Sink) -> Result<(), Failed> {
    let current = session.current_pool().map(|pool| pool.name.clone());
    let mut rows = Vec::new();
    for (pool, rank, status) in session.engines(sink) {
        let used = if pool.is_some() && pool == current {
            " *"
        } else {
            ""
        };
        let name = pool.map_or_else(|| "local".to_owned(), |name| format!("{name}{used}"));
        rows.push(vec![
            Field::Text(name),
            Field::Text(rank.to_string()),
            Field::Text(status.pid.to_string()),
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
            Field::Text("threads of the local engine".to_owned()),
            Field::Empty,
            Field::Empty,
            Field::Empty,
        ]);
    }
    let columns = vec!["pool", "engine", "pid", "state", "tasks", "busy", "memory"];
    sink.send(Event::Table(Table {
        title: None,
        columns,
        rows,
    }));
    Ok(())
}
