//! What the workshop waits for, and what goes on meanwhile.

use std::time::{Duration, Instant};

use crate::compiler::{CompileError, Compiled, Compiler, Pending, State, Warmth};
use crate::outcome::{About, Doing, Event, Notice, Progress, Sink};
use crate::session::crew::{Awaited, Crew};
use crate::session::{Failed, GRACE, Grace, Record, explain};

/// Silence before progress is told.
const PATIENCE: Duration = Duration::from_millis(700);

/// The cell for which the workshop works, and the crew, which goes on while it does.
pub struct Meanwhile<'a> {
    pub cell: &'a Record,
    pub crew: &'a mut Crew,
    pub sink: &'a mut dyn Sink,
}

impl Meanwhile<'_> {
    pub fn until<A: Awaited>(&mut self, awaited: A) -> Result<A::Outcome, Failed> {
        self.crew.until(awaited, self.sink)
    }

    /// Tells something of the cell.
    pub fn notice(&mut self, notice: Notice) {
        self.sink
            .send(Event::Notice(About::cell(self.cell.cell), notice));
    }

    /// The rest of the warm-up.
    pub fn warm(&mut self, compiler: &Compiler, since: Instant) -> Result<State, Failed> {
        self.until(Warm { compiler, since })
    }

    /// The compiler's answer. Ctrl-C ends the wait within a second.
    pub fn answered(
        &mut self,
        pending: Pending,
        what: &str,
        compiler: &Compiler,
    ) -> Result<Compiled, CompileError> {
        self.answer(pending, what, true, compiler)
    }

    /// The same of what is short: the account of what engines have must not be left half settled.
    pub fn finished(
        &mut self,
        pending: Pending,
        compiler: &Compiler,
    ) -> Result<Compiled, CompileError> {
        self.answer(pending, "compiling", false, compiler)
    }

    fn answer(
        &mut self,
        pending: Pending,
        what: &str,
        stops: bool,
        compiler: &Compiler,
    ) -> Result<Compiled, CompileError> {
        let answer = Answer {
            compiler,
            pending,
            what,
            since: Instant::now(),
            stops,
            pressed: false,
            grace: Grace(None),
        };
        self.until(answer).unwrap_or_else(|failed| {
            let why = failed.0.into_iter().next().map(|report| report.to_string());
            Err(CompileError::Unavailable(why.unwrap_or_default()))
        })
    }
}

fn tell_building(compiler: &Compiler, what: &str, since: Instant, sink: &mut dyn Sink) {
    let elapsed = since.elapsed();
    if elapsed < PATIENCE {
        return;
    }
    let (crates, newest) = compiler.building().so_far();
    sink.send(Event::Progress(Some(Progress {
        what: newest.map_or_else(|| what.to_owned(), |name| format!("{what}: {name}")),
        unit: "crates",
        done: crates as u64,
        total: None,
        elapsed,
    })));
}

/// The rest of the warm-up.
struct Warm<'a> {
    compiler: &'a Compiler,
    since: Instant,
}

impl Awaited for Warm<'_> {
    type Outcome = State;

    fn look(&mut self, _: &mut Crew, sink: &mut dyn Sink) -> Result<Option<State>, Failed> {
        if let Some(state) = self.compiler.root() {
            sink.send(Event::Progress(None));
            return Ok(Some(state));
        }
        if let Warmth::Failed(why) = self.compiler.warmth() {
            return Err(explain::no_compiler(&why).into());
        }
        tell_building(self.compiler, "warming up the compiler", self.since, sink);
        Ok(None)
    }

    fn interrupted(&mut self, _: &mut Crew) -> Result<(), Failed> {
        Err(explain::interrupted(Doing::WaitingForCompiler).into())
    }
}

/// An answer of the compiler.
struct Answer<'a> {
    compiler: &'a Compiler,
    pending: Pending,
    what: &'a str,
    since: Instant,
    /// Whether Ctrl-C stops the compiler.
    stops: bool,
    pressed: bool,
    /// How long a stopped compiler may still take.
    grace: Grace,
}

impl Awaited for Answer<'_> {
    type Outcome = Result<Compiled, CompileError>;

    fn look(
        &mut self,
        crew: &mut Crew,
        sink: &mut dyn Sink,
    ) -> Result<Option<Self::Outcome>, Failed> {
        let answer = self.pending.answer();
        if answer.is_none() && !self.grace.over() {
            tell_building(self.compiler, self.what, self.since, sink);
            return Ok(None);
        }
        sink.send(Event::Progress(None));
        // Ctrl-C in a terminal reaches cargo too, which may be quicker.
        let failed = answer.as_ref().is_none_or(Result::is_err);
        if self.pressed || self.stops && failed && crew.interrupt().take() {
            return Ok(Some(Err(CompileError::Interrupted)));
        }
        Ok(answer)
    }

    fn obeys(&self) -> bool {
        self.stops
    }

    fn interrupted(&mut self, _: &mut Crew) -> Result<(), Failed> {
        if !self.pressed {
            self.pending.interrupt();
            self.grace = Grace(Some(Instant::now() + GRACE));
        }
        self.pressed = true;
        Ok(())
    }
}
