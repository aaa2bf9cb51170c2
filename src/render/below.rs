//! What stands below everything else and is redrawn in place: a progress line, or the table of a job under
//! way. It knows how to draw and to erase it, and nothing of what is printed above.
//!
//! After drawing a table the cursor goes back to its first row. Erasing is then clearing downwards, which is
//! right also when a resized terminal has wrapped or cut the lines meanwhile: nothing is counted.

use std::io::{self, Write};

use crossterm::cursor::{MoveToColumn, MoveUp};
use crossterm::queue;
use crossterm::terminal::{BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate};

use super::live::Live;
use super::{Style, progress};
use crate::outcome::Progress;

/// How often output between two views may bring the table back: more only costs the terminal time.
const REDRAWS: u32 = 8;

#[derive(Default)]
pub(crate) struct Below {
    pub(crate) progress: Option<Progress>,
    /// Stands in place of the progress line.
    pub(crate) live: Option<Live>,
    drawn: Drawn,
    redraws: u32,
    /// The terminal was told to show nothing until told otherwise.
    synchronized: bool,
}

/// What is on the screen.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Drawn {
    #[default]
    Nothing,
    /// The cursor stands behind it.
    Line,
    /// The cursor stands at its beginning.
    Table,
}

impl Below {
    pub(crate) fn clear(&mut self) {
        self.progress = None;
        self.live = None;
    }

    pub(crate) fn is_drawn(&self) -> bool {
        self.drawn != Drawn::Nothing
    }

    /// A new view came: the table may be drawn again.
    pub(crate) fn refresh(&mut self) {
        self.redraws = REDRAWS;
    }

    pub(crate) fn erase(&mut self, out: &mut impl Write) -> io::Result<()> {
        match std::mem::take(&mut self.drawn) {
            Drawn::Nothing => Ok(()),
            Drawn::Line => queue!(out, MoveToColumn(0), Clear(ClearType::CurrentLine)),
            Drawn::Table => {
                self.begin(out)?;
                // Cleared from its first column downwards, a whole screen would go to tmux's history.
                queue!(
                    out,
                    Clear(ClearType::CurrentLine),
                    MoveToColumn(1),
                    Clear(ClearType::FromCursorDown),
                    MoveToColumn(0)
                )
            }
        }
    }

    /// Draws it at the cursor, which stands at the beginning of a line, and hands all to the terminal.
    pub(crate) fn draw(&mut self, out: &mut impl Write, style: &Style) -> io::Result<()> {
        if let Some(live) = self.live.as_ref().filter(|_| self.redraws > 0) {
            self.redraws -= 1;
            let lines = live.lines(style);
            self.begin(out)?;
            out.write_all(lines.join("\n").as_bytes())?;
            if let Ok(up @ 1..) = u16::try_from(lines.len() - 1) {
                queue!(out, MoveUp(up))?;
            }
            queue!(out, MoveToColumn(0))?;
            self.drawn = Drawn::Table;
        } else if let Some(progress) = self.progress.as_ref().filter(|_| self.live.is_none()) {
            out.write_all(progress::line(progress, style).as_bytes())?;
            self.drawn = Drawn::Line;
        }
        Ok(())
    }

    /// The changes so far become visible together.
    pub(crate) fn flush(&mut self, out: &mut impl Write) -> io::Result<()> {
        if std::mem::take(&mut self.synchronized) {
            queue!(out, EndSynchronizedUpdate)?;
        }
        out.flush()
    }

    fn begin(&mut self, out: &mut impl Write) -> io::Result<()> {
        if !std::mem::replace(&mut self.synchronized, true) {
            queue!(out, BeginSynchronizedUpdate)?;
        }
        Ok(())
    }
}
