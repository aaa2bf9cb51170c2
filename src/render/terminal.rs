//! The text renderer. It knows what stands on the screen (a progress line, an unfinished line of user code)
//! and keeps blocks from running into it. It never fails: a closed pipe makes it fall silent.

use std::io::{self, Write};

use crossterm::cursor::MoveToColumn;
use crossterm::queue;
use crossterm::terminal::{Clear, ClearType};

use super::progress::Pace;
use super::{Style, map, output, progress, px, report, tables, timing, value};
use crate::outcome::{Event, Origin, Progress, Sink};

/// Events as text, for people.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts about the screen"
)]
pub struct Terminal<W: Write> {
    out: W,
    style: Style,
    echo: bool,
    broken: bool,
    /// The cursor stands at the beginning of a line.
    fresh_line: bool,
    /// The progress line that belongs below everything else.
    progress: Option<Progress>,
    /// Whether it is on the screen.
    drawn: bool,
    pace: Pace,
}

impl<W: Write> Terminal<W> {
    pub fn new(out: W, style: Style) -> Self {
        Self {
            out,
            style,
            echo: false,
            broken: false,
            fresh_line: true,
            progress: None,
            drawn: false,
            pace: Pace::default(),
        }
    }

    /// Whether cells are shown as they start (`In [1]: …`): yes where nobody typed them.
    #[must_use]
    pub fn echo(mut self, echo: bool) -> Self {
        self.echo = echo;
        self
    }

    pub fn style(&self) -> &Style {
        &self.style
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
            | Event::Live(_)
            | Event::Timeline(_)
            | Event::Compare(_) => String::new(),
            Event::Output {
                origin: Origin::Local,
                text,
                ..
            } => text.clone(),
            Event::Output {
                origin: Origin::Engine(rank),
                stream,
                text,
            } => output::tagged(*rank, *stream, text, style),
            Event::Result { cell, value } => value::block(&format!("Out[{cell}]"), value, style),
            Event::Px(report) => px::px(report, style),
            Event::MapPlan(plan) => map::plan(plan, style),
            Event::MapFinished(report) => map::report(report, style),
            Event::Timing(timing) => timing::timing(timing, style),
            Event::Table(table) => tables::table(table, style),
            Event::Text(text) => ended(text.clone()),
            Event::Notice(notice) => {
                let note = style.spell(format!("note: {}", notice.trim_end()));
                ended(style.warning(&note))
            }
            Event::Error(error) => report::report(error, style),
        }
    }

    /// Writes a block on lines of its own; local output (`raw`) goes on where the last one stopped.
    fn show(&mut self, block: &str, raw: bool) -> io::Result<()> {
        self.erase()?;
        if block.is_empty() {
            self.draw()?;
            return self.out.flush();
        }
        if !raw && !self.fresh_line {
            self.out.write_all(b"\n")?;
        }
        self.out.write_all(block.as_bytes())?;
        self.fresh_line = block.ends_with('\n');
        self.draw()?;
        self.out.flush()
    }

    fn advance(&mut self, progress: Option<Progress>) -> io::Result<()> {
        if self.style.live {
            self.erase()?;
            if progress.is_some() {
                // The window may have been resized; a line that wraps can't be redrawn.
                self.style.width = Style::detect().width;
            }
            self.progress = progress;
            self.draw()?;
            return self.out.flush();
        }
        match progress {
            Some(progress) if self.pace.due(&progress) => {
                let line = ended(progress::line(&progress, &self.style));
                self.show(&line, false)
            }
            _ => Ok(()),
        }
    }

    /// The end of a cell leaves a clean line for the prompt.
    fn finish(&mut self) -> io::Result<()> {
        self.advance(None)?;
        if !self.fresh_line {
            self.fresh_line = true;
            self.out.write_all(b"\n")?;
            self.out.flush()?;
        }
        Ok(())
    }

    fn erase(&mut self) -> io::Result<()> {
        if self.drawn {
            self.drawn = false;
            queue!(self.out, MoveToColumn(0), Clear(ClearType::CurrentLine))?;
        }
        Ok(())
    }

    /// Not on a line that user code has begun: erasing it would take that text away.
    fn draw(&mut self) -> io::Result<()> {
        if let Some(progress) = self.progress.as_ref().filter(|_| self.fresh_line) {
            let line = progress::line(progress, &self.style);
            self.out.write_all(line.as_bytes())?;
            self.drawn = true;
        }
        Ok(())
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
            Event::CellFinished { .. } => self.finish(),
            event => {
                // A job's last words come with its progress line gone.
                if matches!(event, Event::MapFinished(_) | Event::Px(_)) {
                    self.progress = None;
                }
                let block = self.block(&event);
                self.show(&block, raw)
            }
        };
        self.broken = written.is_err();
    }
}

impl<W: Write> Drop for Terminal<W> {
    /// A session that ends in the middle of a job leaves no progress line behind.
    fn drop(&mut self) {
        if !self.broken && self.drawn {
            // Nobody is left to tell of a failure.
            let _ = self.erase().and_then(|()| self.out.flush());
        }
    }
}

fn ended(mut text: String) -> String {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests;
