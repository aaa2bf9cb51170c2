//! The text renderer. It knows what stands on the screen (a progress line, an unfinished line of user code)
//! and keeps blocks from running into it. It never fails: a closed pipe makes it fall silent.

use std::io::{self, Write};

use super::below::Below;
use super::live::{self, Live};
use super::progress::Pace;
use super::{
    Style, children, comm, compare, docs, engines, map, memo, notices, output, pager, plot,
    progress, px, report, scaling, tables, timeline, timing, value,
};
use crate::outcome::{Event, JobState, JobView, Notice, Origin, Progress, Sink};

/// Events as text, for people.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts about the screen"
)]
pub struct Terminal<W: Write> {
    out: W,
    style: Style,
    /// Asked again before each redrawing: the window may have been resized.
    measure: fn() -> Style,
    echo: bool,
    broken: bool,
    /// The cursor stands at the beginning of a line.
    fresh_line: bool,
    /// What belongs below everything else.
    below: Below,
    pace: Pace,
    /// Where lines of progress go that cannot be redrawn, when that is not where everything goes.
    aside: Option<Box<dyn Write + Send>>,
    /// It was said that the job stops, where nothing can be redrawn.
    told_stopping: bool,
    /// The command that shows what does not fit on the screen.
    pager: Option<String>,
}

impl<W: Write> Terminal<W> {
    pub fn new(out: W, style: Style) -> Self {
        Self {
            out,
            style,
            measure: Style::detect,
            echo: false,
            broken: false,
            fresh_line: true,
            below: Below::default(),
            pace: Pace::default(),
            aside: None,
            told_stopping: false,
            pager: None,
        }
    }

    /// What was asked for whole goes through this command, where it does not fit on the screen.
    pub fn set_pager(&mut self, pager: String) {
        self.pager = Some(pager);
    }

    /// Lines of progress go there: what is written is for a program that wants results.
    pub fn progress_to(mut self, aside: Box<dyn Write + Send>) -> Self {
        self.aside = Some(aside);
        self
    }

    /// Whether cells are shown as they start (`In [1]: …`): yes where nobody typed them.
    pub fn echo(mut self, echo: bool) -> Self {
        self.echo = echo;
        self
    }

    /// For a window that was resized.
    pub fn set_style(&mut self, style: Style) {
        self.style = style;
    }

    /// Whether nothing can be written any more, as when a pipe's reader left.
    pub fn broken(&self) -> bool {
        self.broken
    }

    fn block(&mut self, event: &Event) -> String {
        let style = &self.style;
        match event {
            Event::CellStarted { cell, code } if self.echo => output::echoed(cell.0, code, style),
            Event::CellStarted { .. }
            | Event::CellFinished { .. }
            | Event::Progress(_)
            | Event::Live(_) => String::new(),
            Event::Compare(it) => compare::compare(it, style),
            Event::Scaling(it) => scaling::scaling(it, style),
            Event::Memo(it) => memo::explained(it, style, &memo::Clock::now()),
            Event::PxTimeline(it) => timeline::px::chart(it, style),
            Event::Comm(it) => comm::table(it, style),
            Event::Timeline(it) => timeline::chart(it, style),
            Event::Output {
                origin: Origin::Local,
                text,
                ..
            } => text.clone(),
            Event::Output {
                origin: Origin::Engine(rank),
                stream,
                text,
                ..
            } => output::tagged(rank, *stream, text, style),
            Event::Output {
                origin: Origin::Child(name),
                stream,
                text,
                ..
            } => output::tagged(name, *stream, text, style),
            Event::Result { cell, value } => value::block(&format!("Out[{cell}]"), value, style),
            Event::Whole { value, .. } => value::whole(value, style),
            Event::Px(report) => px::px(report, style),
            Event::MapPlan(_, plan) => map::plan(plan, style),
            Event::MapFinished(_, report) => map::report(report, style),
            Event::Timing(timing) => timing::timing(timing, style),
            Event::Docs(it) => docs::docs(it, style),
            Event::Table(table) => tables::table(table, style),
            Event::Rows(rows) => tables::rows(rows, style),
            Event::Plot(it) => plot::chart(it, style),
            Event::Text(text) => ended(text.clone()),
            Event::Notice(_, Notice::Warning(it)) => report::warning(it, style),
            Event::Notice(_, it) => notice(&notices::words(it), style),
            Event::Engines(_, change) => notice(&engines::change_words(change), style),
            Event::Child(_, news) => match children::news_words(news) {
                Some(words) => notice(&words, style),
                None => String::new(),
            },
            Event::JobOver(_, end) => ended(engines::end_words(end)),
            Event::JobAnswer(it) => ended(engines::answer_words(it)),
            Event::Error(error) => report::report(error, style),
        }
    }

    /// Whether a text went through the pager.
    fn is_paged(&mut self, block: &str) -> bool {
        let fits = block.lines().count() < self.style.height;
        match self.pager.as_deref().filter(|_| self.style.live && !fits) {
            Some(pager) => {
                self.below.erase(&mut self.out).is_ok() && pager::page(pager, block).is_ok()
            }
            None => false,
        }
    }

    /// Writes a block on lines of its own; local output (`raw`) goes on where the last one stopped.
    fn show(&mut self, block: &str, raw: bool) -> io::Result<()> {
        self.below.erase(&mut self.out)?;
        if !block.is_empty() {
            if !raw && !self.fresh_line {
                self.out.write_all(b"\n")?;
            }
            self.out.write_all(block.as_bytes())?;
            self.fresh_line = block.ends_with('\n');
        }
        self.draw()
    }

    fn advance(&mut self, progress: Option<Progress>) -> io::Result<()> {
        if self.style.live {
            self.below.erase(&mut self.out)?;
            if progress.is_some() {
                self.resize();
            }
            self.below.progress = progress;
            return self.draw();
        }
        match progress {
            Some(progress) => self.tell(&progress),
            None => Ok(()),
        }
    }

    /// The next view of a job under way.
    fn follow(&mut self, view: Option<JobView>) -> io::Result<()> {
        if self.style.live {
            self.below.erase(&mut self.out)?;
            self.below.refresh();
            match (view, &mut self.below.live) {
                (Some(view), Some(live)) => live.update(view),
                (Some(view), none) => *none = Some(Live::new(view)),
                (None, live) => *live = None,
            }
            self.resize();
            return self.draw();
        }
        let Some(view) = view else {
            self.told_stopping = false;
            return Ok(());
        };
        let stopping = matches!(view.state, JobState::Stopping { .. });
        if !std::mem::replace(&mut self.told_stopping, stopping)
            && let Some(line) = live::stopping_line(&view, &self.style)
        {
            self.show(&ended(line), false)?;
        }
        self.tell(&Live::progress(&view))
    }

    /// A line now and then, where nothing can be redrawn.
    fn tell(&mut self, progress: &Progress) -> io::Result<()> {
        if !self.pace.due(progress) {
            return Ok(());
        }
        let line = ended(progress::line(progress, &self.style));
        if let Some(aside) = &mut self.aside {
            // Who cannot be told how far it is gets the results none the less.
            let _ = aside.write_all(line.as_bytes());
            return Ok(());
        }
        self.show(&line, false)
    }

    /// The window may have been resized; a line that wraps can't be redrawn.
    fn resize(&mut self) {
        let Style { width, height, .. } = (self.measure)();
        self.style = Style {
            width,
            height,
            ..self.style
        };
    }

    /// The end of a cell leaves a clean line for the prompt.
    fn finish(&mut self) -> io::Result<()> {
        self.below.clear();
        self.told_stopping = false;
        self.advance(None)?;
        if !self.fresh_line {
            self.fresh_line = true;
            self.out.write_all(b"\n")?;
            self.out.flush()?;
        }
        Ok(())
    }

    /// Not on a line that user code has begun: erasing it would take that text away.
    fn draw(&mut self) -> io::Result<()> {
        if self.fresh_line {
            self.below.draw(&mut self.out, &self.style)?;
        }
        self.below.flush(&mut self.out)
    }
}

impl<W: Write> Sink for Terminal<W> {
    fn send(&mut self, event: Event) {
        if self.broken {
            return;
        }
        let raw = matches!(
            event,
            Event::Output {
                origin: Origin::Local,
                ..
            }
        );
        let written = match event {
            Event::Progress(progress) => self.advance(progress),
            Event::Live(view) => self.follow(view.map(|(_, view)| view)),
            Event::CellFinished { .. } => self.finish(),
            event => {
                // A job's last words come with its progress gone.
                if matches!(event, Event::MapFinished(..) | Event::Px(_)) {
                    self.below.clear();
                }
                let block = self.block(&event);
                let whole = match &event {
                    Event::Docs(docs) => docs.whole,
                    event => matches!(event, Event::Whole { .. }),
                };
                if whole && self.is_paged(&block) {
                    Ok(())
                } else {
                    self.show(&block, raw)
                }
            }
        };
        self.broken = written.is_err();
    }
}

impl<W: Write> Drop for Terminal<W> {
    /// A session that ends in the middle of a job leaves no progress behind.
    fn drop(&mut self) {
        if !self.broken && self.below.is_drawn() {
            // Nobody is left to tell of a failure.
            let _ = self.below.erase(&mut self.out);
            let _ = self.below.flush(&mut self.out);
        }
    }
}

fn notice(text: &str, style: &Style) -> String {
    let text = style.wrapped(text.trim_end(), 6, 2);
    let note = style.spell(format!("note: {text}"));
    ended(style.warning(&note))
}

fn ended(mut text: String) -> String {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests;
