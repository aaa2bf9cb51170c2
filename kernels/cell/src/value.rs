//! Values on their way to the user's eyes.

use std::any::type_name;
use std::fmt::{self, Debug, Write as _};

use crate::host::{Bytes, host};

/// The most that one value's text may take, in bytes; the rest is cut.
const LONGEST: usize = 256 * 1024;

/// Shows the value of a cell's last expression. evcxr looks for a method of this name first, so a type can
/// still bring its own.
pub trait CellValue {
    fn evcxr_display(&self);
}

impl<T: Debug + ?Sized> CellValue for T {
    fn evcxr_display(&self) {
        show(&debug_text(self), type_name::<T>());
    }
}

pub(crate) fn show(text: &str, type_name: &str) {
    (host().show)(
        Bytes::of(b"text/plain"),
        Bytes::of(text.as_bytes()),
        Bytes::of(type_name.as_bytes()),
    );
}

/// The `Debug` text, cut at [`LONGEST`] bytes so that a huge value neither fills memory nor the screen.
pub(crate) fn debug_text<T: Debug + ?Sized>(value: &T) -> String {
    let mut text = Shortened {
        text: String::new(),
        cut: false,
    };
    // Fails when cut, or when the type's own `Debug` does: both leave the text so far.
    let _ = write!(text, "{value:?}");
    if text.cut {
        text.text.push('…');
    }
    text.text
}

struct Shortened {
    text: String,
    cut: bool,
}

impl fmt::Write for Shortened {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = LONGEST - self.text.len();
        if part.len() > room {
            let end = (0..=room)
                .rev()
                .find(|&at| part.is_char_boundary(at))
                .unwrap_or(0);
            self.text.push_str(&part[..end]);
            self.cut = true;
            return Err(fmt::Error);
        }
        self.text.push_str(part);
        Ok(())
    }
}
