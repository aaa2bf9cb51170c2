//! The command line, and before it the roles in which this binary serves itself: evcxr's child (the relay),
//! a tool of the toolchain's, rustc's wrapper, an engine, the session's compiler, its cleaner.

mod attach;
mod store;

use std::fs::File;
use std::io::{IsTerminal as _, Write};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue};
use clap::{Parser, Subcommand, ValueEnum};

use crate::compiler::toolchain::Toolchain;
use crate::compiler::warm::{Record, Stopped};
use crate::compiler::{self, cleaner, process, relay, tools, wrapper};
use crate::engine;
use crate::notebook_run::{self, Mode, NotebookOutcome};
use crate::outcome::{ErrorKind, Event, Field, Report, Sink, Table};
use crate::pool::cluster::keep;
use crate::render::{JsonLines, Style, Terminal};
use crate::repl::{self, Startup};
use crate::servers::{self, Tries, mortal, tree};
use crate::session::{Interrupt, Session};

/// An interactive, notebook-style REPL for Rust that commands a crew of engines.
#[derive(Parser)]
#[command(
    name = "regatta",
    version,
    about,
    args_conflicts_with_subcommands = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Run one cell and exit.
    #[arg(
        short = 'e',
        long = "eval",
        value_name = "CODE",
        allow_hyphen_values = true
    )]
    eval: Option<String>,
    /// How `-e` shows what happens.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Edit with vi's keys.
    #[arg(long)]
    vi: bool,
    /// Run the startup notebook, `regatta/init.md` in your config folder, also with `-e`, `run` and piped cells.
    #[arg(long, global = true)]
    init: bool,
    /// Do not run it at the prompt either.
    #[arg(long, global = true, conflicts_with = "init")]
    no_init: bool,
    /// Take over no compiler of an earlier session, and leave none to the next.
    #[arg(long, global = true)]
    no_warm: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Run a notebook: the ```rust cells of a Markdown file, in order.
    Run(Run),
    /// Be an engine of a session: what `%pool start mpi` has `mpiexec` start.
    Engine {
        /// Where the session listens.
        session: String,
    },
    /// Be a node of a session's cluster: what `%pool start cluster` has a host run.
    Node {
        /// The file that says how to join, which `%nodes --join-file` writes; `-` reads it from standard input.
        /// A server that was there before is also named by its URL, with the cluster's name behind it:
        /// `tls://USER:PASSWORD@HOST:4222/CLUSTER`.
        #[arg(long, value_name = "FILE|URL")]
        join: String,
        /// The key of a user of a server that is named by its URL, as NATS' own tools write it.
        #[arg(long, value_name = "FILE")]
        creds: Option<PathBuf>,
        /// Engines that it may run; as many as there are cores without it.
        #[arg(long, value_name = "N")]
        slots: Option<u32>,
    },
    /// The clusters that have outlived their sessions: lists them; with a name, opens a session on one.
    Attach(attach::Attach),
    /// The compilers that have outlived their sessions: the next session takes one over and starts at once.
    Warm {
        #[command(subcommand)]
        verb: Warm,
    },
    /// The values that a session shares with its engines and children: for scripts.
    Store(store::StoreArgs),
}

#[derive(Clone, Copy, Subcommand)]
enum Warm {
    /// Show them.
    Status,
    /// End those that wait for a session.
    Stop,
}

#[derive(clap::Args)]
struct Run {
    /// The notebook; `-` reads standard input.
    file: PathBuf,
    /// Go on after a cell that failed.
    #[arg(long)]
    keep_going: bool,
    /// Compare each output with the ```text fence below its cell.
    #[arg(long, conflicts_with = "update")]
    check: bool,
    /// Write the outputs into the ```text fences.
    #[arg(long)]
    update: bool,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    /// One JSON object per event.
    Json,
}

/// Finds the role and serves in it.
pub fn main() -> ExitCode {
    // evcxr's child must be told first: a wrapper or an engine never has this variable.
    if std::env::var_os(relay::ROLE_VARIABLE).is_some() {
        return ended(relay::main().is_ok());
    }
    if let Some(tool) = tools::role() {
        return tools::main(tool);
    }
    if wrapper::is_role() {
        return wrapper::main();
    }
    let mut arguments = std::env::args_os().skip(1);
    let (role, of) = (
        arguments.next().unwrap_or_default(),
        arguments.next().unwrap_or_default(),
    );
    if role == engine::ROLE {
        let session = of.to_str().and_then(|pid| pid.parse().ok());
        return ended(engine::main(session).is_ok());
    }
    if role == engine::mpi::ROLE {
        let parent = arguments.next().unwrap_or_default();
        let parent = parent.to_str().and_then(|pid| pid.parse().ok());
        return ended(engine::mpi::serve_session(&of.to_string_lossy(), parent).is_ok());
    }
    if role == engine::mpi::guard::ROLE {
        let command: Vec<_> = std::env::args_os().skip(3).collect();
        let ended = engine::mpi::guard::main(Path::new(&of), &command);
        return ended.map_or(ExitCode::FAILURE, |status| ExitCode::from(status as u8));
    }
    if role == engine::guard::ROLE {
        return ended(engine::guard::main(&of.to_string_lossy()).is_ok());
    }
    if role == servers::ROLE {
        let tries = Tries::of(&arguments.next().unwrap_or_default());
        let program = arguments.next().unwrap_or_default();
        let arguments: Vec<_> = arguments.collect();
        let kept = servers::main(Path::new(&of), tries, Path::new(&program), &arguments);
        return ended(kept.is_ok());
    }
    if role == keep::holder::ROLE {
        return ended(keep::holder::main().is_ok());
    }
    if role == mortal::ROLE {
        let why = mortal::main(std::env::args_os().skip(2));
        // It is not there to say so itself.
        let _ = writeln!(std::io::stderr(), "regatta: {why}");
        return ExitCode::from(127);
    }
    if role == tree::ROLE {
        return match tree::main(std::env::args_os().skip(2)) {
            Ok(status) => ExitCode::from(status),
            Err(why) => {
                let _ = writeln!(std::io::stderr(), "regatta: {why}");
                ExitCode::from(126)
            }
        };
    }
    if role == engine::disk::ROLE {
        return ended(engine::disk::check(Path::new(&of)).is_ok());
    }
    if role == process::ROLE {
        return process::main(&std::env::args_os().skip(2).collect::<Vec<_>>());
    }
    if role == cleaner::ROLE {
        return ended(cleaner::main(Path::new(&of)).is_ok());
    }
    if role == store::ROLE {
        return store::alone(std::env::args_os().skip(1));
    }
    let cli = Cli::try_parse().unwrap_or_else(|error| with_tip(error).exit());
    let cli = match cli.command {
        Some(Command::Attach(attach)) if !attach.opens() => {
            return ended(attach.without_session(sink(Format::Text).as_mut()));
        }
        Some(Command::Warm { verb }) => return warm(verb),
        Some(Command::Store(call)) => return store::main(call),
        Some(Command::Engine { session }) => return joined(&session),
        Some(Command::Node { join, creds, slots }) => return node(&join, creds.as_deref(), slots),
        _ => cli,
    };
    match session(!cli.no_warm) {
        Ok((session, original)) => run(cli, session, original),
        Err(why) => {
            // Nothing else is there yet that could render.
            let _ = writeln!(std::io::stderr(), "regatta: {why}");
            ExitCode::FAILURE
        }
    }
}

/// An error of the command line, with what was meant by a file in the place of a subcommand.
fn with_tip(mut error: clap::Error) -> clap::Error {
    if let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand)
        && let Some(meant) = run_instead(word)
    {
        error.remove(ContextKind::SuggestedSubcommand);
        let tips = vec![format!("did you mean `{meant}`?").into()];
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    }
    error
}

/// The command that runs a file of this name.
fn run_instead(file: &str) -> Option<String> {
    match Path::new(file).extension()?.to_str()? {
        "md" => Some(format!("regatta run {file}")),
        "rs" => Some(format!("regatta -e '%run {file}'")),
        _ => None,
    }
}

fn ended(well: bool) -> ExitCode {
    if well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn joined(session: &str) -> ExitCode {
    let ended = engine::mpi::main(session);
    ended.map_or(ExitCode::FAILURE, |status| ExitCode::from(status as u8))
}

fn node(join: &str, creds: Option<&Path>, slots: Option<u32>) -> ExitCode {
    // Whoever has started it reads this; programs that start nodes take it for an error.
    let is_seen = std::io::stderr().is_terminal();
    let joined = |server: &str, slots| {
        if is_seen {
            let engines = if slots == 1 { "engine" } else { "engines" };
            let _ = writeln!(
                std::io::stderr(),
                "regatta node: joined the cluster at {server} with {slots} {engines}; Ctrl-C ends this node"
            );
        }
    };
    match crate::pool::cluster::node::main(join, creds, slots, joined) {
        Ok(()) => {
            if is_seen {
                let over = "the cluster has ended, or this node was taken out of it";
                let _ = writeln!(std::io::stderr(), "regatta node: {over}");
            }
            ExitCode::SUCCESS
        }
        Err(why) => {
            // Whoever has started it reads this.
            let _ = writeln!(std::io::stderr(), "regatta node: {why}");
            ExitCode::FAILURE
        }
    }
}

fn session(outlives: bool) -> Result<(Session, File), Box<dyn std::error::Error>> {
    engine::hand_on_nothing();
    engine::open_many_files();
    // Nothing else is there yet that could render.
    let toolchain = Toolchain::find(|text| {
        let _ = writeln!(std::io::stderr(), "regatta: {text}");
    })?;
    let interrupt = Interrupt::install()?;
    let session = Session::start(toolchain, interrupt, outlives)?;
    Ok((
        session,
        File::from(std::io::stderr().as_fd().try_clone_to_owned()?),
    ))
}

fn run(mut cli: Cli, mut session: Session, original: File) -> ExitCode {
    if let Some(Command::Attach(attach)) = &mut cli.command {
        if !attach.take(&mut session, sink(cli.format).as_mut()) {
            return ExitCode::FAILURE;
        }
        cli.eval = attach.eval.take();
    }
    if let Some(code) = cli.eval {
        let ok = {
            let mut sink = sink(cli.format);
            session.begin(sink.as_mut());
            let ok = started_up(cli.init, &mut session, sink.as_mut())
                && notebook_run::cell(&mut session, &code, sink.as_mut());
            session.leave(sink.as_mut());
            ok
        };
        drop(session);
        return ended(ok);
    }
    match cli.command {
        None | Some(Command::Attach(_)) => {
            // Scripts mean the same for everybody, so they ask for it.
            let startup = cli.init || std::io::stdin().is_terminal() && !cli.no_init;
            repl::run(session, cli.vi, startup, &original)
        }
        Some(Command::Run(run)) => notebook(&run, cli.init, session, original),
        // These need no session.
        Some(Command::Warm { verb }) => warm(verb),
        Some(Command::Store(call)) => store::main(call),
        Some(Command::Engine { session }) => joined(&session),
        Some(Command::Node { join, creds, slots }) => node(&join, creds.as_deref(), slots),
    }
}

/// Shows or ends the compilers that have outlived their sessions.
fn warm(verb: Warm) -> ExitCode {
    let mut sink = sink(Format::Text);
    let told = match verb {
        Warm::Status => compiler::warm::status().map(|records| (vec![compilers(&records)], true)),
        Warm::Stop => {
            compiler::warm::stop().map(|stopped| (texts(&stopped), stopped.left.is_empty()))
        }
    };
    let (events, ok) = told.unwrap_or_else(|error| {
        let report = Report::new(ErrorKind::System, error.to_string());
        (vec![Event::Error(report)], false)
    });
    for event in events {
        sink.send(event);
    }
    ended(ok)
}

fn compilers(records: &[Record]) -> Event {
    if records.is_empty() {
        return Event::Text("no compiler waits for a session".to_owned());
    }
    let clock = |time: Duration| {
        let seconds = time.as_secs();
        Field::Text(format!("{}:{:02}", seconds / 60, seconds % 60))
    };
    let row = |record: &Record| {
        let ends_in = record.ends_in();
        let state = if ends_in.is_some() { "idle" } else { "in use" };
        vec![
            Field::Text(record.pid.to_string()),
            Field::Text(state.to_owned()),
            record.memory().map_or(Field::Empty, Field::Bytes),
            Field::Text(toolchain_name(&record.toolchain)),
            ends_in.map_or(Field::Empty, clock),
        ]
    };
    Event::Table(Table {
        title: None,
        columns: vec!["pid", "state", "memory", "toolchain", "ends in"],
        rows: records.iter().map(row).collect(),
    })
}

/// The name by which rustup knows a toolchain, or else where it is.
fn toolchain_name(sysroot: &str) -> String {
    let name = sysroot.rsplit_once("/toolchains/");
    name.map_or(sysroot, |(_, name)| name).to_owned()
}

fn texts(stopped: &Stopped) -> Vec<Event> {
    let told = [
        (&stopped.ended, "ended"),
        (&stopped.in_use, "in use by a session, goes on"),
        (&stopped.left, "does not end; `kill` it"),
    ];
    let told = told.into_iter().filter(|(pids, _)| !pids.is_empty());
    let told: Vec<Event> = told
        .map(|(pids, what)| {
            let pids: Vec<String> = pids.iter().map(i32::to_string).collect();
            Event::Text(format!("{}: {what}", pids.join(", ")))
        })
        .collect();
    if told.is_empty() {
        return vec![Event::Text("no compiler waits for a session".to_owned())];
    }
    told
}

fn cells(
    run: &Run,
    init: bool,
    text: &str,
    mode: Mode,
    session: &mut Session,
    sink: &mut dyn Sink,
) -> NotebookOutcome {
    session.begin(sink);
    let outcome = if started_up(init, session, sink) {
        notebook_run::notebook(session, text, mode, run.keep_going, sink)
    } else {
        NotebookOutcome::default()
    };
    session.leave(sink);
    outcome
}

/// Runs the startup notebook, if it is wanted; whether nothing in it failed.
fn started_up(wanted: bool, session: &mut Session, sink: &mut dyn Sink) -> bool {
    if !wanted {
        return true;
    }
    match Startup::find() {
        Ok(startup) => startup.is_none_or(|startup| startup.run(session, sink)),
        Err(why) => {
            sink.send(Event::Error(why));
            false
        }
    }
}

fn sink(format: Format) -> Box<dyn Sink> {
    match format {
        Format::Text => {
            let terminal = Terminal::new(std::io::stdout(), Style::detect());
            // A program reads it, such as a script that calls this one.
            if std::io::stdout().is_terminal() {
                return Box::new(terminal);
            }
            let aside: Box<dyn Write + Send> = match std::io::stderr().is_terminal() {
                true => Box::new(std::io::stderr()),
                false => Box::new(std::io::sink()),
            };
            Box::new(terminal.progress_to(aside))
        }
        Format::Json => Box::new(JsonLines::new(std::io::stdout())),
    }
}

fn notebook(run: &Run, init: bool, mut session: Session, mut original: File) -> ExitCode {
    let refused = |original: &mut File, report: Report| {
        let mut terminal = Terminal::new(original, Style::detect());
        terminal.send(Event::Error(report));
        ExitCode::from(2)
    };
    let text = match text_of(run) {
        Ok(text) => text,
        Err(report) => return refused(&mut original, report),
    };
    let mode = if run.check {
        Mode::Check
    } else if run.update {
        Mode::Update
    } else {
        Mode::Run
    };
    let (outcome, broken) = match run.format {
        Format::Json => {
            let mut sink = JsonLines::new(std::io::stdout());
            let outcome = cells(run, init, &text, mode, &mut session, &mut sink);
            (outcome, sink.broken())
        }
        Format::Text => {
            let style = Style::detect();
            let mut sink = Terminal::new(std::io::stdout(), style).echo(true);
            let outcome = cells(run, init, &text, mode, &mut session, &mut sink);
            (outcome, sink.broken())
        }
    };
    let terminated = session.interrupt().is_ended();
    drop(session);
    if terminated {
        return ExitCode::from(repl::TERMINATED);
    }
    let name = match run.file.to_string_lossy() {
        name if name == "-" => "the notebook".into(),
        name => name,
    };
    for remark in outcome.remarks(&name, mode) {
        // A standard error that is closed takes nothing; the exit status says it too.
        let _ = writeln!(original, "{remark}");
    }
    if let Some(updated) = outcome.updated
        && updated != text
        && let Err(error) = std::fs::write(&run.file, updated)
    {
        let what = format!("cannot write {}: {error}", run.file.display());
        return refused(&mut original, Report::usage(what));
    }
    ended(outcome.ok && !broken)
}

/// The notebook's text, from its file or from standard input.
fn text_of(run: &Run) -> Result<String, Report> {
    let file = &run.file;
    if file.extension().is_some_and(|end| end == "rs") {
        let instead = run_instead(&file.to_string_lossy()).unwrap_or_default();
        return Err(Report::usage(format!("{} is no notebook", file.display()))
            .hint(format!("`{instead}` runs it as one cell, and its `main`")));
    }
    let is_input = file.as_os_str() == "-";
    if is_input && run.update {
        let what = "--update needs a file to write to, not `-`";
        return Err(Report::usage(what));
    }
    let read = match is_input {
        true => std::io::read_to_string(std::io::stdin()),
        false => std::fs::read_to_string(file),
    };
    read.map_err(|error| Report::usage(format!("cannot read {}: {error}", file.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_alone_leads_to_the_command_that_runs_it() {
        let told = |word: &str| {
            let error = Cli::try_parse_from(["regatta", word]).err();
            with_tip(error.expect("no subcommand")).to_string()
        };
        assert!(told("a/nb.md").contains("tip: did you mean `regatta run a/nb.md`?"));
        assert!(told("nb.rs").contains("tip: did you mean `regatta -e '%run nb.rs'`?"));
        assert!(!told("nb.txt").contains("did you mean"));
        let both = told("run.md");
        assert_eq!(both.matches("tip:").count(), 1, "{both}");
    }
}
