//! `%parallel`: a command line of GNU parallel's becomes commands, and these the inputs of a map whose function runs
//! them.

mod board;
mod input;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;

use nix::unistd::{AccessFlags, access};
use regatta_cell::options::MapOptions;
use regatta_cell::shell::{Command, Halt, How, Prints, SLOT, Told};

use super::crew::Hold;
use super::{Code, Failed, Pool, PoolRequest, Session};
use crate::cell::{Binding, Targets, gnu};
use crate::ids::JobId;
use crate::outcome::{ErrorKind, Event, PoolKind, Report, Sink};
use crate::pool::Payload;
use crate::pool::Starter;
use board::Shared;

/// A call as it was written.
#[derive(Clone, Debug)]
pub struct ParallelRequest {
    /// The command and the sources of values.
    pub text: String,
    pub at: (usize, usize),
    pub bind: Option<Binding>,
    /// The engines of a pool of its own.
    pub jobs: Option<i64>,
    pub targets: Option<Targets>,
    pub options: MapOptions,
    pub tries: u32,
    pub timeout: Option<Limit>,
    pub delay: f64,
    pub halt: Option<Halt>,
    pub prints: Prints,
    pub tag: bool,
    pub dry_run: bool,
    pub log: Option<String>,
    /// What stands in it stays.
    pub log_goes_on: bool,
    pub resume: Resume,
    pub results: Option<String>,
    pub columns: Option<regex::Regex>,
    pub values_each: Option<usize>,
    pub link: bool,
    /// Standard input is cut into blocks of about so many bytes.
    pub block: Option<u64>,
}

/// The most that a command may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    Seconds(f64),
    /// In parts of the median.
    Share(f64),
}

/// Which commands of an earlier call are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resume {
    #[default]
    Nothing,
    /// Those that have ended.
    Ended,
    /// Those that went well.
    WentWell,
}

/// The function of the map, in the artifact.
const WORK: &str = "|command| ::regatta_cell::shell::work(command)";

/// What is known of the commands of a job in the background, until those that failed are told.
#[derive(Clone, Debug)]
pub struct JobCommands {
    numbers: Vec<u64>,
    halt: Option<Halt>,
    logged: bool,
    /// Options that do nothing any more when the job goes on without the session.
    pub of_session: Vec<&'static str>,
    #[expect(dead_code, reason = "it is to stay")]
    shares: Arc<Shares>,
}

/// What the engines of a call look at while it runs.
#[derive(Debug)]
struct Shares {
    #[expect(dead_code, reason = "they are to stay open")]
    files: Vec<File>,
    #[expect(dead_code, reason = "it is to stay too")]
    board: Shared,
}

/// The pool of a call, and what is done with it afterwards.
struct Borrowed {
    pool: Pool,
    own: bool,
    /// The one that was in use before.
    before: Option<String>,
}

impl Session {
    /// Runs commands on the engines of a pool; those that fail are told, and make the cell fail.
    pub fn parallel(
        &mut self,
        request: &ParallelRequest,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let (template, mut commands, files) = self.commands(request, sink)?;
        let done = already(request)?;
        if request.dry_run {
            for command in commands.iter().filter(|one| !done.contains(&one.seq)) {
                let text = command.text.replace(SLOT, "1");
                let tag = command.tag.as_ref().map(|tag| format!("{tag}\t"));
                sink.send(Event::Text(tag.unwrap_or_default() + &text));
            }
            return Ok(());
        }
        commands.retain(|command| !done.contains(&command.seq));
        if let Some(path) = &request.results {
            begin_results(path)?;
        }
        if let Some(path) = &request.log {
            begin_log(path, request.log_goes_on)?;
        }
        let (timeout, timeout_share) = match request.timeout {
            None => (None, None),
            Some(Limit::Seconds(seconds)) => (Some(seconds), None),
            Some(Limit::Share(share)) => (None, Some(share)),
        };
        let borrowed = self.borrow_pool(request, sink)?;
        let far = borrowed.pool.starter.cluster().is_some();
        let board = if !far {
            Shared::page()
        } else if request.halt.is_some() || request.delay > 0.0 || timeout_share.is_some() {
            self.served_board()
        } else {
            Ok(Shared::Nothing)
        };
        let board = board.map_err(|error| system("what engines share cannot be made", &error));
        let board = match board {
            Ok(board) => board,
            Err(why) => {
                self.give_back(&borrowed, sink);
                return Err(why.into());
            }
        };
        let how = How {
            timeout,
            timeout_share,
            tries: request.tries,
            prints: request.prints,
            log: request.log.as_deref().map(absolute),
            board: board.place(),
            delay: request.delay,
            halt: request.halt,
            total: commands.len() as u64,
            far,
        };
        for command in &mut commands {
            command.how = how.clone();
        }
        let shares = Arc::new(Shares { files, board });
        let shown = commands.iter().map(|command| command.text.clone());
        self.crew.runs_commands(shown.collect());
        let ran = self.run_commands(request, &borrowed.pool, template, &commands, &shares, sink);
        self.crew.runs_commands(Vec::new());
        self.give_back(&borrowed, sink);
        // Until then engines look at them.
        drop(shares);
        ran
    }

    /// A pool of the call's own ends with it.
    fn give_back(&mut self, borrowed: &Borrowed, sink: &mut dyn Sink) {
        if borrowed.own {
            let _ = self.stop_pool(Some(&borrowed.pool.name.0), false, sink);
            if let Some(before) = &borrowed.before {
                let _ = self.use_pool(before);
            }
        }
    }

    /// The pool that it is for: its own, where it says how many engines or there is no other.
    fn borrow_pool(
        &mut self,
        request: &ParallelRequest,
        sink: &mut dyn Sink,
    ) -> Result<Borrowed, Failed> {
        let before = self.current_pool().map(|pool| pool.name.0.clone());
        let named = request.options.pool.is_some();
        if named || request.jobs.is_none() && before.is_some() {
            let pool = self.pool_named(request.options.pool.as_deref())?.clone();
            self.revive(&pool.name, &pool.all_ranks(), sink);
            return Ok(Borrowed {
                pool,
                own: false,
                before,
            });
        }
        if request.options.background {
            return Err(Report::usage(
                "%parallel: a pool of its own ends with the call, and `-a` does not wait for it",
            )
            .hint("`%pool start -n 8` starts a pool that stays; then without `-j`")
            .into());
        }
        let pool = PoolRequest {
            kind: PoolKind::Processes,
            size: request.jobs,
            name: None,
            init: None,
            items: None,
            starter: Starter::Session,
        };
        let (pool, _) = self.start_pool(pool, sink)?;
        Ok(Borrowed {
            pool,
            own: true,
            before,
        })
    }

    fn run_commands(
        &mut self,
        request: &ParallelRequest,
        pool: &Pool,
        template: String,
        commands: &[Command],
        shares: &Arc<Shares>,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let ranks = match &request.targets {
            Some(_) if pool.kind == PoolKind::Threads => {
                return Err(Report::usage("a thread pool has no targets").into());
            }
            Some(targets) => pool.ranks(targets)?.iter().map(|rank| rank.0).collect(),
            None => Vec::new(),
        };
        let options = MapOptions {
            function: if request.options.quiet {
                String::new()
            } else {
                template
            },
            pool: Some(pool.name.0.clone()),
            ranks,
            chunk: Some(1),
            commands: true,
            collect: !request.options.background,
            ..request.options.clone()
        };
        let no_room = |error: &dyn std::fmt::Display| system("no memory for the commands", error);
        let bytes = postcard::to_stdvec(commands).map_err(|error| no_room(&error))?;
        let data = vec![
            Payload::of(options.to_bytes()).map_err(|error| no_room(&error))?,
            Payload::of(bytes).map_err(|error| no_room(&error))?,
        ];
        let bind = request.bind.as_ref();
        let asked = "::regatta_cell::magic::asked(0)";
        if options.background {
            let job = self.next_job_variable();
            let mut code =
                format!("let {job} = ::regatta_cell::shell::start(&{asked}, 1, {WORK});\n");
            if let Some(bind) = bind {
                code += &format!("{}{job}.clone();\n", bind.opening());
            }
            self.run_local_with(&Code::default().generated(&code), data, sink)?;
            self.job_begun(&job, sink);
            let last = self.crew.jobs.maps.last_mut();
            if let Some(map) = last.filter(|map| map.variable == job) {
                map.commands = Some(JobCommands {
                    numbers: commands.iter().map(|command| command.seq).collect(),
                    halt: request.halt,
                    logged: request.log.is_some(),
                    of_session: of_session(request),
                    shares: shares.clone(),
                });
            }
            return Ok(());
        }
        let all = format!("::regatta_cell::shell::all(&{asked}, 1, {WORK})");
        let code = match bind {
            Some(bind) => format!("{}{all};\n", bind.opening()),
            None => format!("drop({all});\n"),
        };
        let mut code = Code::default().generated(&code);
        code.collects = true;
        let (produced, ran) = self.run(&code, data.clone(), Hold::default(), sink);
        data.iter().for_each(Payload::release);
        let told = produced
            .sent
            .first()
            .and_then(|sent| postcard::from_bytes::<Told>(&sent.copied()).ok());
        produced.sent.iter().for_each(Payload::release);
        ran?;
        let told = told.ok_or_else(|| {
            let what = "what became of the commands did not come back";
            Report::new(ErrorKind::System, what)
        })?;
        let name = bind.map(|bind| bind.name.as_str());
        tell(&told, request.halt, request.log.is_some(), name, sink)
    }

    /// Tells once of the commands of a job in the background that did not go well.
    pub(super) fn tell_commands(&mut self, job: JobId, sink: &mut dyn Sink) -> Result<(), Failed> {
        let ours = self.crew.jobs.maps.iter_mut().find(|map| map.job == job);
        let Some((variable, commands)) =
            ours.and_then(|map| Some((map.variable.clone(), map.commands.take()?)))
        else {
            return Ok(());
        };
        if !self.has_variable(&variable) {
            return Ok(());
        }
        let code = format!("::regatta_cell::shell::tell_of(&{variable});\n");
        let sent = self.sent_by(&Code::default().generated(&code), sink)?;
        let told = sent
            .first()
            .and_then(|sent| postcard::from_bytes::<Told>(&sent.copied()).ok());
        sent.iter().for_each(Payload::release);
        let mut told = told.unwrap_or_default();
        for (number, _) in &mut told.failures {
            // They are counted from 1; others may have been left out.
            let place = number
                .checked_sub(1)
                .and_then(|at| usize::try_from(at).ok());
            if let Some(seq) = place.and_then(|at| commands.numbers.get(at)) {
                *number = *seq;
            }
        }
        let name = format!("let done = %result {job}");
        tell(&told, commands.halt, commands.logged, Some(&name), sink)
    }

    /// The commands of a call, how its command was written, and the files that they need.
    fn commands(
        &mut self,
        request: &ParallelRequest,
        sink: &mut dyn Sink,
    ) -> Result<(String, Vec<Command>, Vec<File>), Failed> {
        let (words, sources, files) = self.sources(request, sink)?;
        if let Some(block) = request.block {
            let template = gnu::Template::without_values(&words);
            let how = input::Blocks {
                bytes: block,
                lines: request.values_each,
                tag: request.tag,
            };
            let commands = input::blocks(&template, &sources, &how)?;
            return Ok((template.text().to_owned(), commands, files));
        }
        let template = gnu::Template::of(&words);
        let rows = match &request.columns {
            None => gnu::combined(&sources, request.link),
            Some(columns) => {
                let rows = gnu::combined(&sources, request.link).into_iter();
                let apart =
                    |value: String| columns.split(&value).map(str::to_owned).collect::<Vec<_>>();
                rows.map(|row| row.into_iter().flat_map(apart).collect())
                    .collect()
            }
        };
        let groups = gnu::grouped(rows, request.values_each.unwrap_or(1));
        let slot = SLOT.to_string();
        let folder = |rows: &[Vec<String>]| {
            let root = absolute(request.results.as_deref()?);
            let parts = rows.iter().flat_map(|row| (1..).zip(row));
            let parts = parts.map(|(at, value)| format!("/{at}/{}", gnu::in_path(value)));
            Some(root + &parts.collect::<String>())
        };
        let commands = (1..).zip(groups).map(|(seq, rows)| Command {
            seq,
            text: template.command(seq, &rows, &slot),
            tag: request.tag.then(|| gnu::tag(&rows)),
            folder: folder(&rows),
            ..Command::default()
        });
        Ok((template.text().to_owned(), commands.collect(), files))
    }
}

fn system(what: &str, error: &dyn std::fmt::Display) -> Report {
    Report::new(ErrorKind::System, format!("{what}: {error}"))
}

/// What the session does for commands on other hosts.
fn of_session(request: &ParallelRequest) -> Vec<&'static str> {
    let all = [
        ("--joblog", request.log.is_some()),
        ("--results", request.results.is_some()),
        ("--halt", request.halt.is_some()),
        ("--delay", request.delay > 0.0),
        (
            "--timeout",
            matches!(request.timeout, Some(Limit::Share(_))),
        ),
    ];
    let given = all.into_iter().filter(|(_, is_given)| *is_given);
    given.map(|(option, _)| option).collect()
}

/// Engines may be in another folder by the time they write.
fn absolute(path: &str) -> String {
    std::path::absolute(path).map_or_else(
        |_| path.to_owned(),
        |path| path.to_string_lossy().into_owned(),
    )
}

/// The numbers of the commands that an earlier call has done.
fn already(request: &ParallelRequest) -> Result<BTreeSet<u64>, Report> {
    if request.resume == Resume::Nothing {
        return Ok(BTreeSet::new());
    }
    let Some(path) = &request.log else {
        return Err(Report::usage("%parallel: nothing says what has been done")
            .hint("`--resume` reads the file of `--joblog FILE`"));
    };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(system(&format!("{path} cannot be read"), &error)),
    };
    // The last line of each number counts.
    let mut ended: BTreeMap<u64, bool> = BTreeMap::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [seq, _, _, _, _, _, code, signal, ..] = fields[..] else {
            continue;
        };
        if let Ok(seq) = seq.parse() {
            ended.insert(seq, code == "0" && signal == "0");
        }
    }
    let skipped = |ok: bool| ok || request.resume == Resume::Ended;
    Ok(ended
        .into_iter()
        .filter(|(_, ok)| skipped(*ok))
        .map(|(seq, _)| seq)
        .collect())
}

/// Before any command runs: what one prints would be lost.
fn begin_results(path: &str) -> Result<(), Report> {
    std::fs::create_dir_all(path)
        .and_then(|()| Ok(access(path, AccessFlags::W_OK | AccessFlags::X_OK)?))
        .map_err(|error| Report::usage(format!("--results {path} cannot be written: {error}")))
}

/// The heads of GNU parallel's columns.
const LOG: &str = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";

fn begin_log(path: &str, goes_on: bool) -> Result<(), Report> {
    let begun = if goes_on {
        File::options().append(true).create(true).open(path)
    } else {
        File::create(path)
    };
    begun
        .and_then(|mut file| match file.metadata()?.len() {
            0 => file.write_all(LOG.as_bytes()),
            _ => Ok(()),
        })
        .map_err(|error| Report::usage(format!("--joblog {path} cannot be written: {error}")))
}

/// Tells of those that did not go well; then the cell fails.
fn tell(
    told: &Told,
    halt: Option<Halt>,
    logged: bool,
    name: Option<&str>,
    sink: &mut dyn Sink,
) -> Result<(), Failed> {
    // As many went well as were to.
    if told::has_succeeded(halt, told) || told.failed == 0 && told.left == 0 {
        return Ok(());
    }
    if told.failed > 0 {
        sink.send(Event::Table(told::failures(told)));
    }
    Err(told::summary(told, logged, name).into())
}
