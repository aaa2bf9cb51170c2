//! What the engine calls in an artifact itself, because each artifact works with the toolchain's shared
//! standard library and the engine executable with its own copy of it.

use std::io::Write as _;

use crate::catch::NO_TEXT;
use crate::host::{Bytes, host, text_of};

/// Installs the panic hook. Called once per engine: the shared standard library is one for all artifacts.
pub fn attach() {
    std::panic::set_hook(Box::new(|info| {
        let message = info.payload_as_str().unwrap_or(NO_TEXT);
        let (file, line, column) = info
            .location()
            .map_or(("", 0, 0), |at| (at.file(), at.line(), at.column()));
        let noted = (host().panicked)(
            Bytes::of(message.as_bytes()),
            Bytes::of(file.as_bytes()),
            line,
            column,
        );
        if !noted {
            let thread = std::thread::current();
            let name = thread.name().unwrap_or("<unnamed>");
            let place = text_of(|to, write| {
                (host().place)(Bytes::of(file.as_bytes()), line, to, write);
            });
            let place = if place.is_empty() {
                format!("{file}:{line}:{column}")
            } else {
                place
            };
            let _ = writeln!(
                std::io::stderr(),
                "thread '{name}' panicked at {place}:\n{message}"
            );
        }
    }));
}

/// Writes out what user code printed without a newline.
pub fn flush() {
    let _ = std::io::stdout().flush();
}
