//! Values as scripts write and read them: on the command line, standard input and standard output.

use std::fmt::Display;
use std::io::{BufRead as _, Read as _, Write as _};

use super::words::{Shown, Written};
use super::{Done, Ended, MISUSED, NOTHING};
use crate::store::text::{plain, string, value};

impl Shown {
    pub(super) fn print(&self, json: &str) -> Done {
        match self.json {
            true => print(json),
            false => print(plain(json)),
        }
    }
}

impl Written {
    pub(super) fn json(&self, text: &str) -> String {
        match self.text {
            true => string(text),
            false => value(text),
        }
    }
}

/// A pipe that is closed takes nothing: whoever read from it has enough.
pub(super) fn print(text: impl Display) -> Done {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(|_| Ended(NOTHING, String::new()))
}

pub(super) fn unread(error: impl Display) -> Ended {
    Ended(MISUSED, format!("standard input cannot be read: {error}"))
}

/// What was written, or standard input without the end of its last line.
pub(super) fn input(text: String) -> Result<String, Ended> {
    if text != "-" {
        return Ok(text);
    }
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text);
    read.map_err(unread)?;
    Ok(text.strip_suffix('\n').map_or(text.clone(), str::to_owned))
}

pub(super) fn values_of(texts: Vec<String>) -> Result<Vec<String>, Ended> {
    let mut values = Vec::new();
    for text in texts {
        if text == "-" {
            for line in std::io::stdin().lock().lines() {
                values.push(line.map_err(unread)?);
            }
        } else {
            values.push(text);
        }
    }
    Ok(values)
}
