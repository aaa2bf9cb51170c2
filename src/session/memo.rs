//! `%memo`: functions whose results are kept.

use super::{Code, Done, MemoRow, Session};
use crate::outcome::{Report, Sink};
use crate::vocabulary::nearest;

impl Session {
    /// Defines functions of these names, whose results are kept.
    pub fn define_memo(&mut self, code: &Code, names: Vec<String>, sink: &mut dyn Sink) -> Done {
        self.run_local(code, sink)?;
        self.crew.memos.defined(names);
        Ok(())
    }

    /// The functions whose results are kept, by name.
    pub fn memos(&mut self, sink: &mut dyn Sink) -> Vec<MemoRow> {
        self.crew.drain_events(sink);
        self.crew.memo_rows()
    }

    pub fn memo_names(&self) -> impl Iterator<Item = &str> {
        self.crew.memos.names()
    }

    /// Drops the results that a function has kept, or that all of them have; the rows as they were.
    pub fn clear_memo(
        &mut self,
        function: Option<&str>,
        sink: &mut dyn Sink,
    ) -> Result<Vec<MemoRow>, Report> {
        let mut rows = self.memos(sink);
        if let Some(name) = function {
            if !rows.iter().any(|row| row.function == name) {
                let known = nearest(name, rows.iter().map(|row| row.function.as_str()));
                let report = Report::usage(format!("no function `{name}` keeps results"));
                return Err(report.hint(match known {
                    Some(known) => format!("did you mean {known}?"),
                    None => "`%memo` lists the functions that do".to_owned(),
                }));
            }
            rows.retain(|row| row.function == name);
        }
        self.crew.hub().clear_memo(function.map(str::to_owned));
        self.crew.memos.clear(function);
        Ok(rows)
    }
}
