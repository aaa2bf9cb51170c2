//! The words for the session's own trouble, and for how cells end.

use crate::outcome::{Doing, SessionCause};
use crate::render::engines::lost_words;

pub(super) fn what(cause: &SessionCause) -> String {
    match cause {
        SessionCause::CompilerDied { why } => {
            format!("the compiler did not finish this cell: {why}")
        }
        SessionCause::NoCompiler { why } => {
            let why = why.as_deref().unwrap_or("no reason given");
            format!("the compiler did not start: {why}")
        }
        SessionCause::FullDisk { folder, .. } => format!(
            "there is no room to build cells in {}: the disk is full",
            folder.display()
        ),
        SessionCause::Interrupted(doing) => format!("interrupted while {}", self::doing(*doing)),
        SessionCause::Errored => "a `?` ended the cell with this error".to_owned(),
        SessionCause::LocalDied {
            interrupted: true, ..
        } => "interrupted; the local engine was restarted".to_owned(),
        SessionCause::LocalDied { cause, .. } => format!("the local engine died: {cause}"),
    }
}

fn doing(doing: Doing) -> &'static str {
    match doing {
        Doing::Compiling => "compiling",
        Doing::CompilingC => "compiling C",
        Doing::Measuring => "measuring",
        Doing::ReadingDocs => "reading documentation",
        Doing::RunningCommand => "running the command",
        Doing::StartingEngines => "starting engines",
        Doing::Waiting => "waiting",
        Doing::WaitingForCompiler => "waiting for the compiler",
    }
}

pub(super) fn notes(cause: &SessionCause) -> Vec<String> {
    match cause {
        SessionCause::LocalDied { lost, .. } => vec![
            lost_words(lost),
            "functions, types and crates are still there".to_owned(),
        ],
        _ => Vec::new(),
    }
}

pub(super) fn hint(cause: &SessionCause) -> Option<&'static str> {
    match cause {
        SessionCause::CompilerDied { .. } => Some(
            "enter the cell again: another compiler is started; variables and definitions stay",
        ),
        SessionCause::NoCompiler { .. } => {
            Some("`%quit`, mend it and start again; magics that need no compiler still work")
        }
        SessionCause::FullDisk { starting: true, .. } => Some(
            "make room there, or set TMPDIR to a folder with 200 MB of room, and start again; magics that need no compiler still work",
        ),
        SessionCause::FullDisk { .. } => {
            Some("make room there and run the cell again; nothing is lost")
        }
        SessionCause::Interrupted(_) | SessionCause::Errored | SessionCause::LocalDied { .. } => {
            None
        }
    }
}
