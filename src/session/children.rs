//! Children as the user sees them: started, listed, waited for, told to end.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::crew::{Awaited, Crew};
use super::{Done, Failed, Session, explain};
pub use crate::children::{Child, Restart, Status as ChildStatus};
use crate::children::{Lines, NotStarted, Program, Refused, Request, Tail, is_name};
use crate::ids::CellId;
use crate::outcome::{
    About, ChildLine, ChildState, Doing, ErrorKind, Event, Origin, Progress, Report, Sink,
};
use crate::vocabulary::nearest;

/// Beyond its grace a child that was killed is waited for no longer than this.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// After so long a wait it is shown.
const SHOWN_AFTER: Duration = Duration::from_millis(700);

/// What is to be started.
pub struct SpawnRequest {
    pub name: Option<String>,
    pub count: u32,
    pub restart: Restart,
    pub folder: Option<PathBuf>,
    /// Variables of their environment.
    pub environment: Vec<(String, String)>,
    pub quiet: bool,
    pub detach: bool,
    pub words: Vec<String>,
}

impl Session {
    /// Starts children, and waits for nothing.
    pub fn spawn(&mut self, request: SpawnRequest) -> Result<Vec<Child>, Report> {
        if let Some(name) = request.name.as_deref().filter(|name| !is_name(name)) {
            return Err(Report::usage(format!("`{name}` cannot name a child"))
                .hint("a name has letters, digits, `_` and `-`; `all` means all children"));
        }
        let here = std::env::current_dir()
            .map_err(|error| Report::usage(format!("there is no working folder: {error}")))?;
        let folder = request
            .folder
            .map_or_else(|| here.clone(), |folder| here.join(folder));
        let own = request.environment.into_iter();
        let program = Program {
            words: request.words,
            folder,
            environment: own
                .map(|(name, value)| (name, Some(value.into())))
                .collect(),
            shared: 0,
        };
        self.crew.children.set_environment(self.environment());
        let started = self.crew.children.spawn(Request {
            name: request.name,
            count: request.count,
            restart: request.restart,
            quiet: request.quiet,
            detach: request.detach,
            about: About::cell(self.cell()),
            program,
        });
        started.map_err(|error| refused(&error))
    }

    /// Names of all children.
    pub fn child_names(&self) -> Vec<String> {
        self.crew.children.names()
    }

    /// The children of these names as they are now, in the order of their starts.
    pub fn children(&mut self, names: &[&str], sink: &mut dyn Sink) -> Vec<ChildStatus> {
        self.crew.drain_events(sink);
        self.crew.children.statuses(names)
    }

    /// Forgets those of these names that are over; how many there were.
    pub fn forget_children(&mut self, names: &[&str], sink: &mut dyn Sink) -> usize {
        self.crew.hear_children(sink);
        self.crew.children.forget(names)
    }

    /// Whether somebody reads along: what children print faster than that can be shown is left out then, else they wait;
    /// and what a command prints comes in its order, on whichever output.
    pub fn is_live(&mut self, live: bool) {
        self.live = live;
        self.crew.children.set_lossy(live);
    }

    /// Names of the children that run and end with the session.
    pub fn running_children(&self) -> Vec<String> {
        self.crew.children.running()
    }

    /// Whether there is no child but those that live on when the session ends.
    pub fn all_live_on(&self) -> bool {
        let children = &self.crew.children;
        children.detached("all").len() == children.names().len()
    }

    /// Waits until the children of this name are over, at most `timeout`; an error when one of them has failed.
    pub fn wait_children(
        &mut self,
        name: &str,
        timeout: Option<Duration>,
        sink: &mut dyn Sink,
    ) -> Result<Vec<(String, ChildState)>, Failed> {
        self.known_child(name)?;
        if name == "all" && self.all_live_on() {
            let lives_on = self.crew.children.detached(name);
            return Err(Report::usage(format!(
                "there is no child that ends with the session; {} may run on after it",
                some(&lives_on.iter().map(String::as_str).collect::<Vec<_>>())
            ))
            .hint(format!("`%wait {}` waits even so", group(&lives_on[0])))
            .into());
        }
        self.until(ChildrenOver::of(name, timeout, false), sink)
            .inspect_err(|_| sink.send(Event::Progress(None)))
            .inspect(|_| sink.send(Event::Progress(None)))
    }

    /// Tells the children of this name to end within `grace`, and waits until they have; how each went.
    pub fn stop_children(
        &mut self,
        name: &str,
        grace: Duration,
        sink: &mut dyn Sink,
    ) -> Result<(usize, Vec<(String, ChildState)>), Failed> {
        self.known_child(name)?;
        let told = self.crew.children.stop(name, grace);
        let patience = grace.saturating_add(KILL_PATIENCE);
        let over = self.until(ChildrenOver::of(name, Some(patience), true), sink);
        sink.send(Event::Progress(None));
        Ok((told, over?))
    }

    /// Shows the last lines of the children of these names.
    pub fn show_lines(&mut self, names: &[&str], lines: usize, sink: &mut dyn Sink) -> Done {
        self.known_children(names)?;
        for name in names {
            let printed = self.crew.children.lines(name, lines);
            show(printed, self.cell(), sink);
        }
        Ok(())
    }

    /// The same, and then what they print until they are over, or until Ctrl-C.
    pub fn follow_lines(&mut self, names: &[&str], lines: usize, sink: &mut dyn Sink) -> Done {
        self.known_children(names)?;
        self.crew.hear_children(sink);
        let (printed, tails) = self.crew.children.follow(names, lines);
        let cell = self.cell();
        show(printed, cell, sink);
        let followed = self.until(
            Following {
                names: names.iter().map(ToString::to_string).collect(),
                tails,
                cell,
                left: false,
            },
            sink,
        );
        self.crew.children.follow_none();
        followed
    }

    /// An error when one of these names means no child: then nothing is done to the others.
    pub fn known_children(&self, names: &[&str]) -> Result<(), Report> {
        names.iter().try_for_each(|name| self.known_child(name))
    }

    /// An error when there is no child of this name.
    pub fn known_child(&self, name: &str) -> Result<(), Report> {
        if !self.crew.children.states(name).is_empty() {
            return Ok(());
        }
        let names = self.crew.children.names();
        if name == "all" || names.is_empty() {
            return Err(Report::usage(match name {
                "all" => "there is no child".to_owned(),
                name => format!("there is no child `{name}`"),
            })
            .hint("`%spawn -- python3 child.py` starts one"));
        }
        let report = Report::usage(format!("there is no child `{name}`"));
        let groups = names.iter().map(|name| group(name));
        let all: Vec<&str> = names.iter().map(String::as_str).chain(groups).collect();
        Err(match nearest(name, all) {
            Some(meant) => report.hint(format!("did you mean {meant}?")),
            None => report.hint("`%children` lists them"),
        })
    }
}

/// `worker` of `worker.3`.
pub fn group(name: &str) -> &str {
    name.split_once('.').map_or(name, |(group, _)| group)
}

fn show(printed: Vec<Lines>, cell: CellId, sink: &mut dyn Sink) {
    for (name, lines) in printed {
        for ChildLine { stream, text } in lines {
            sink.send(Event::Output {
                about: About::cell(cell),
                origin: Origin::Child(name.clone()),
                stream,
                text: format!("{text}\n"),
            });
        }
    }
}

fn refused(error: &Refused) -> Report {
    let what = error.to_string();
    let report = match error {
        Refused::System(_) => return Report::new(ErrorKind::System, what),
        Refused::NotStarted(NotStarted::System { .. }) => {
            return Report::new(ErrorKind::System, what);
        }
        Refused::NotStarted(NotStarted::Files(_) | NotStarted::Processes(_)) => {
            Report::new(ErrorKind::System, what)
        }
        _ => Report::usage(what),
    };
    match error {
        Refused::Taken(name) => {
            let name = group(name);
            report.hint(format!("`%stop {name}` ends it; `--name` gives another name"))
        }
        Refused::NoFile { .. } => {
            report.hint("a child that lives on prints to a file in its folder: `--cwd` chooses it")
        }
        Refused::NotStarted(NotStarted::Placeholder(_, meant)) => report.hint(format!(
            "did you mean `{{{meant}}}`? `{{rank}}`, `{{size}}` and `{{name}}` are filled in; a word with blanks is left as it is"
        )),
        Refused::NotStarted(NotStarted::NotFound { word, meant }) => match meant {
            Some(meant) => report.hint(format!("did you mean {meant}?")),
            None if is_script(word) => report.hint("`!ls` lists this folder"),
            None if word.contains(char::is_whitespace) => {
                report.hint(format!("the program and its arguments are words of their own; `-- sh -c '{word}'` runs a line of shell"))
            }
            None => report.hint("it is looked for on the PATH; `%env PATH` shows it"),
        },
        Refused::NotStarted(NotStarted::NotRun { word, .. }) if is_script(word) => {
            report.hint(format!("`!chmod +x {word}`, or name what runs it: `-- python3 {word}`"))
        }
        Refused::NotStarted(NotStarted::Files(_)) => {
            report.hint("each child needs three; `ulimit -n 4096` before `regatta` allows more")
        }
        Refused::NotStarted(NotStarted::Processes(_)) => {
            report.hint("`ulimit -u` shows how many may; fewer children: `-n N`")
        }
        Refused::NotStarted(NotStarted::Nothing) => {
            report.hint("`%spawn -- python3 child.py` starts one")
        }
        _ => report,
    }
}

fn is_script(word: &str) -> bool {
    Path::new(word).extension().is_some()
}

/// The end of children.
struct ChildrenOver {
    name: String,
    timeout: Option<Duration>,
    /// They have been told to end.
    stopping: bool,
    since: Instant,
}

impl ChildrenOver {
    fn of(name: &str, timeout: Option<Duration>, stopping: bool) -> Self {
        Self {
            name: name.to_owned(),
            timeout,
            stopping,
            since: Instant::now(),
        }
    }
}

impl Awaited for ChildrenOver {
    type Outcome = Vec<(String, ChildState)>;

    fn look(
        &mut self,
        crew: &mut Crew,
        sink: &mut dyn Sink,
    ) -> Result<Option<Self::Outcome>, Failed> {
        let mut states = crew.children.states(&self.name);
        if self.name == "all" && !self.stopping {
            // Those that are to live on are waited for by their names.
            let lives_on = crew.children.detached("all");
            states.retain(|(name, _)| !lives_on.contains(name));
        }
        let left = states.iter().filter(|(_, state)| !state.is_over());
        let left: Vec<&str> = left.map(|(name, _)| name.as_str()).collect();
        if left.is_empty() {
            // Their last lines come before what is said of them.
            crew.hear_children(sink);
            return Ok(Some(states));
        }
        let waited = self.since.elapsed();
        if self.timeout.is_some_and(|timeout| waited >= timeout) {
            let what = format!(
                "not over within {} s: {}",
                whole_milliseconds(self.timeout.unwrap_or(waited)),
                some(&left)
            );
            let next = match self.stopping {
                true => "they were killed and are stuck in the kernel".to_owned(),
                false => format!(
                    "they go on; `%wait {0}` waits again, `%stop {0}` ends them",
                    self.name
                ),
            };
            return Err(Report::new(ErrorKind::Error, what).hint(next).into());
        }
        if waited > SHOWN_AFTER {
            sink.send(Event::Progress(Some(Progress {
                what: match self.stopping {
                    true => "stopping".to_owned(),
                    false => "waiting for".to_owned(),
                },
                unit: "children",
                done: (states.len() - left.len()) as u64,
                total: Some(states.len() as u64),
                elapsed: waited,
            })));
        }
        Ok(None)
    }

    fn interrupted(&mut self, _: &mut Crew) -> Result<(), Failed> {
        let report = explain::interrupted(Doing::Waiting);
        Err(match self.stopping {
            true => report.hint("those that were told to end are killed when their grace is over"),
            false => report.hint(format!(
                "the children go on; `%stop {}` ends them",
                self.name
            )),
        }
        .into())
    }
}

/// In seconds.
pub(super) fn whole_milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

/// `a, b and 3 more`
fn some(names: &[&str]) -> String {
    const MOST: usize = 5;
    match names.len() {
        0..=MOST => names.join(", "),
        all => format!("{} and {} more", names[..MOST].join(", "), all - MOST),
    }
}

/// What children print is shown until they are over.
struct Following {
    names: Vec<String>,
    /// Of those that print to a file.
    tails: Vec<(String, Tail)>,
    cell: CellId,
    left: bool,
}

impl Awaited for Following {
    type Outcome = ();

    fn look(&mut self, crew: &mut Crew, sink: &mut dyn Sink) -> Result<Option<()>, Failed> {
        let mut names = self.names.iter();
        let is_over = |name: &String| {
            let states = crew.children.states(name);
            states.iter().all(|(_, state)| state.is_over())
        };
        let ends = self.left || names.all(is_over);
        for (name, tail) in &mut self.tails {
            let mut lines = tail.more();
            if ends {
                lines.extend(tail.end());
            }
            show(vec![(name.clone(), lines)], self.cell, sink);
        }
        if ends {
            crew.hear_children(sink);
        }
        Ok(ends.then_some(()))
    }

    fn interrupted(&mut self, _: &mut Crew) -> Result<(), Failed> {
        self.left = true;
        Ok(())
    }
}
