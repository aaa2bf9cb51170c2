//! `%memo`: functions whose results are kept.

use super::{Code, Done, Failed, MemoRow, Session};
use crate::outcome::{Report, Sink};
use crate::vocabulary::nearest;

impl Session {
    /// Defines functions of these names, whose results are kept.
    pub fn define_memo(&mut self, code: &Code, names: Vec<String>, sink: &mut dyn Sink) -> Done {
        self.run_local(code, sink)?;
        self.crew.memos.defined(names);
        Ok(())
    }

    /// The functions of this session whose results are kept, by name, and those that only other sessions have called.
    pub fn memos(&mut self, sink: &mut dyn Sink) -> Result<(Vec<MemoRow>, Vec<MemoRow>), Failed> {
        self.crew.memo_rows(sink)
    }

    pub fn memo_names(&self) -> impl Iterator<Item = &str> {
        self.crew.memos.names()
    }

    /// Drops the results that functions have kept; the rows as they were.
    pub fn clear_memo(
        &mut self,
        which: &Kept,
        sink: &mut dyn Sink,
    ) -> Result<Vec<MemoRow>, Failed> {
        let (mut rows, others) = self.memos(sink)?;
        match which {
            Kept::Session => {}
            Kept::All => rows.extend(others),
            Kept::Of(name) => {
                rows.extend(others);
                if !rows.iter().any(|row| row.function == *name) {
                    let known = nearest(name, rows.iter().map(|row| row.function.as_str()));
                    let report = Report::usage(format!("no function `{name}` keeps results"));
                    let hint = match known {
                        Some(known) => format!("did you mean {known}?"),
                        None => "`%memo --all` lists the functions that do".to_owned(),
                    };
                    return Err(report.hint(hint).into());
                }
                rows.retain(|row| row.function == *name);
            }
        }
        let names: Vec<String> = rows.iter().map(|row| row.function.clone()).collect();
        self.crew.memos.clear(&names);
        let all = matches!(which, Kept::All);
        self.crew.hub().clear_memo((!all).then_some(names));
        Ok(rows)
    }
}

/// Functions that keep their results.
pub enum Kept {
    /// Those that this session has defined or called.
    Session,
    /// Those of all sessions.
    All,
    Of(String),
}
