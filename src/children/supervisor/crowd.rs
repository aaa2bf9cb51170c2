//! All children and what there is to show of them: what every way in works on, under one lock.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{Child, Lines, Refused, Request, Status};
use crate::children::census::Census;
use crate::children::machine::{Next, Stop};
use crate::children::named::{default_name, name_of};
use crate::children::one::{One, signal};
use crate::children::tail;
use crate::outcome::{About, ChildChange, ChildLine, ChildNews, ChildState, Stream};

/// Children at a time: each needs three open files.
pub const MOST: usize = 1000;

/// Children that are over and still listed.
const MOST_OVER: usize = 1000;

/// Something to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The name of whose it is.
    Line(About, String, ChildLine),
    News(About, ChildNews),
}

enum Waiting {
    /// Of the child of this number.
    Line(u64, ChildLine),
    News(About, ChildNews),
}

#[derive(Default)]
pub struct Crowd {
    pub children: Vec<One>,
    next: u64,
    /// How the environment of children differs from the session's own.
    pub environment: Vec<(String, Option<OsString>)>,
    waiting: VecDeque<Waiting>,
    pub lossy: bool,
    pub only: Vec<String>,
    /// The session ends.
    pub closing: bool,
}

impl Crowd {
    pub fn spawn(&mut self, request: Request) -> Result<Vec<Child>, Refused> {
        let lives = |one: &One| !one.state().is_over();
        let count = self.children.iter().filter(|one| lives(one)).count() as u64;
        let wanted = count + u64::from(request.count);
        if wanted > MOST as u64 {
            return Err(Refused::TooMany(wanted));
        }
        let is_known = |name: &str| {
            let mut all = self.children.iter();
            all.any(|one| super::chosen(name, &one.name))
        };
        let name = match request.name {
            Some(name) => name,
            None => default_name(&request.program.words, &is_known),
        };
        // `worker` is taken by `worker.0` too: both would be meant by it.
        let taken = self.children.iter();
        if let Some(one) = { taken }.find(|one| lives(one) && super::chosen(&name, &one.name)) {
            return Err(Refused::Taken(one.name.clone()));
        }
        let program = request.program;
        program.misspells().map_err(Refused::NotStarted)?;
        let mut started = Vec::new();
        for rank in 0..request.count {
            let name = name_of(&name, rank, request.count);
            let mut program = program.of(rank, request.count, &name);
            program.surround(&self.environment);
            let number = self.next;
            self.next += 1;
            let one = match request.detach {
                true => One::detached(number, name, program, request.quiet),
                false => One::start(number, name, program, request.restart, request.quiet),
            };
            match one {
                Ok(mut one) => {
                    one.about = request.about;
                    started.push(one);
                }
                Err(refused) => {
                    started.into_iter().for_each(One::abandon);
                    return Err(refused);
                }
            }
        }
        self.children
            .retain(|one| lives(one) || !super::chosen(&name, &one.name));
        self.forget_old();
        let told: Vec<Child> = started.iter().map(One::child).collect();
        for one in &told {
            let (pid, detached) = (one.pid, one.prints_to.is_some());
            let what = ChildChange::Started { pid, detached };
            self.tell(request.about, one.name.clone(), what);
        }
        self.children.extend(started);
        Ok(told)
    }

    /// Of many that are over the oldest go.
    fn forget_old(&mut self) {
        let over = |one: &One| one.state().is_over();
        let mut spare = self.children.iter().filter(|one| over(one)).count();
        self.children.retain(|one| {
            let goes = over(one) && spare > MOST_OVER;
            spare -= usize::from(over(one));
            !goes
        });
    }

    fn tell(&mut self, about: About, name: String, what: ChildChange) {
        let news = ChildNews { name, what };
        self.waiting.push_back(Waiting::News(about, news));
    }

    /// The last so many lines of those that a name means.
    pub fn last_lines(&self, wanted: &str, lines: usize) -> Vec<Lines> {
        let all = self.children.iter();
        { all }
            .filter(|one| super::chosen(wanted, &one.name))
            .map(|one| (one.name.clone(), one.last(lines)))
            .collect()
    }

    /// What waits to be shown of those is not.
    pub fn drop_lines(&mut self, wanted: &str) {
        let children = &mut self.children;
        self.waiting.retain(|waiting| {
            let Waiting::Line(number, line) = waiting else {
                return true;
            };
            let mut all = children.iter_mut();
            match all.find(|one| one.number == *number) {
                Some(one) if super::chosen(wanted, &one.name) => {
                    one.flow.taken(line.text.len() + 1);
                    false
                }
                _ => true,
            }
        });
    }

    /// What a child has printed waits to be shown, as far as that is meant to be.
    pub fn printed(&mut self, at: usize, lines: Vec<ChildLine>, now: Instant) {
        let one = &mut self.children[at];
        let mut only = self.only.iter();
        let followed = only.any(|only| super::chosen(only, &one.name));
        let shown = followed || self.only.is_empty() && !one.quiet;
        if !shown || self.closing {
            return;
        }
        for line in lines {
            let bytes = line.text.len() + 1;
            if one.flow.shows(bytes, self.lossy, now) {
                self.waiting.push_back(Waiting::Line(one.number, line));
            }
        }
    }

    pub fn has_news(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What there is to show, and whether somebody waits for it to be taken.
    pub fn take(&mut self) -> (Vec<Taken>, bool) {
        let mut paused = false;
        let mut taken = Vec::with_capacity(self.waiting.len());
        for waiting in std::mem::take(&mut self.waiting) {
            match waiting {
                Waiting::News(about, news) => taken.push(Taken::News(about, news)),
                Waiting::Line(number, line) => {
                    let mut all = self.children.iter_mut();
                    // One that is forgotten has nothing to say.
                    if let Some(one) = all.find(|one| one.number == number) {
                        paused |= one.flow.is_full();
                        one.flow.taken(line.text.len() + 1);
                        taken.push(Taken::Line(one.about, one.name.clone(), line));
                    }
                }
            }
        }
        (taken, paused)
    }

    /// Tells children to end; how many had not.
    pub fn stop(&mut self, wanted: &dyn Fn(&One) -> bool, grace: Duration, now: Instant) -> usize {
        let mut told = 0;
        let mut groups = Vec::new();
        let mut news = Vec::new();
        for one in self.children.iter_mut().filter(|one| wanted(one)) {
            told += usize::from(!one.state().is_over());
            match one.machine.stop(now, grace) {
                Stop::Tell => groups.push(one.number),
                Stop::AtOnce => {
                    let end = one.state().end();
                    let what = end.map(|end| ChildChange::Stopped { end, killed: false });
                    news.extend(what.map(|what| (one.about, one.name.clone(), what)));
                }
                // What its processes have left behind.
                Stop::Nothing if one.state().is_over() => groups.push(one.number),
                Stop::Nothing => {}
            }
        }
        for (about, name, what) in news {
            self.tell(about, name, what);
        }
        if !groups.is_empty() {
            let census = Census::take();
            let marked = census.marked();
            for one in self
                .children
                .iter()
                .filter(|one| groups.contains(&one.number))
            {
                let marked = marked.get(&one.number).map_or(&[][..], Vec::as_slice);
                if one.state().is_over() {
                    signal(marked, Signal::SIGKILL);
                } else {
                    let members = one.members(&census, marked);
                    let others = members.iter().filter(|pid| !in_group(**pid, one.pid));
                    let others: Vec<_> = others.copied().collect();
                    // What is suspended has to go on to hear that it is to end.
                    for told in [Signal::SIGTERM, Signal::SIGCONT] {
                        one.signal_group(told);
                        signal(&others, told);
                    }
                }
            }
        }
        told
    }

    /// The session ends, and with it all that are not meant to live on.
    pub fn close(&mut self, grace: Duration, now: Instant) {
        self.closing = true;
        self.stop(&|one| one.prints_to.is_none(), grace, now);
        self.waiting.clear();
    }

    /// What has come of a child whose process has ended, and all else of it that was told to.
    pub fn ended(&mut self, at: usize, now: Instant) {
        let one = &mut self.children[at];
        let (pid, ran) = (one.pid, one.ran());
        // Its group is its own until it is waited for.
        if one.machine.may_restart() {
            one.signal_group(Signal::SIGKILL);
        }
        let end = one.bury();
        let most = one.machine.most();
        let what = match one.machine.ended(end, now) {
            Next::Restart { after, number } => ChildChange::Restarts {
                pid,
                end,
                after,
                number,
                most,
            },
            Next::Over { spent } => ChildChange::Ended {
                pid,
                end,
                ran,
                spent,
            },
            Next::Stopped { killed } => ChildChange::Stopped { end, killed },
        };
        let (about, name) = (one.about, one.name.clone());
        self.tell(about, name, what);
    }

    /// Starts a child's next process.
    pub fn start_again(&mut self, at: usize, now: Instant) {
        let lines = self.children[at].finish_lines();
        self.printed(at, lines, now);
        let one = &mut self.children[at];
        one.program.move_store(&self.environment);
        if let Err(error) = one.start_again() {
            let again = match one.machine.not_started(now) {
                Next::Restart { after, number } => Some((number, after)),
                Next::Over { .. } | Next::Stopped { .. } => None,
            };
            let what = ChildChange::NotRestarted {
                why: error.to_string(),
                again,
                most: one.machine.most(),
            };
            let (about, name) = (one.about, one.name.clone());
            self.tell(about, name, what);
        }
    }

    /// Tells of what was not shown, when it is time to.
    pub fn tell_skipped(&mut self, now: Instant) {
        let mut news = Vec::new();
        for one in &mut self.children {
            let over = one.state().is_over() && one.pipes.is_empty();
            if let Some(lines) = one.flow.skipped(over, now) {
                let what = ChildChange::Skipped { lines };
                news.push((one.about, one.name.clone(), what));
            }
        }
        for (about, name, what) in news {
            self.tell(about, name, what);
        }
    }
}

fn in_group(pid: nix::unistd::Pid, leader: u32) -> bool {
    nix::unistd::getpgid(Some(pid)).is_ok_and(|group| u32::try_from(group.as_raw()) == Ok(leader))
}

impl One {
    fn child(&self) -> Child {
        Child {
            number: self.number,
            name: self.name.clone(),
            pid: self.pid,
            prints_to: self.prints_to.clone(),
        }
    }

    pub fn status(&self, census: &Census) -> Status {
        let usage = self.usage(census);
        let waits = matches!(self.state(), ChildState::Restarting(_));
        Status {
            number: self.number,
            name: self.name.clone(),
            pid: self.pid,
            state: self.state(),
            cpu: usage.cpu,
            memory: if waits { 0 } else { usage.memory },
            ran: self.ran(),
            restarts: self.machine.restarts(),
            detached: self.prints_to.is_some(),
            suspended: self.has_process() && census.is_suspended(self.pid),
            last_line: self.last_line(),
        }
    }

    /// The last so many lines.
    pub fn last(&self, lines: usize) -> Vec<ChildLine> {
        let mut last = match &self.prints_to {
            // One that is gone has nothing.
            Some(file) => return tail::last(file, self.prints_from, lines),
            None => self.printed.log.last(lines),
        };
        // What it has begun to say belongs to it too.
        for stream in [Stream::Stdout, Stream::Stderr] {
            let open = self.printed.open(stream);
            last.extend(open.map(|text| ChildLine { stream, text }));
        }
        last.drain(..last.len().saturating_sub(lines));
        last
    }

    fn last_line(&self) -> String {
        match &self.prints_to {
            Some(_) => self
                .last(1)
                .pop()
                .map_or_else(String::new, |line| line.text),
            None => self.printed.last_line(),
        }
    }
}
