//! Variables that a cell has consumed: a later cell that looks for one is told where it went.

use std::collections::BTreeMap;

use super::namespace::Namespace;
use super::{Failed, Session};
use crate::ids::CellId;

/// By variable the last cell that moved it.
pub(super) type Moved = BTreeMap<String, CellId>;

impl Session {
    /// Notes what a cell that ran through has moved out of its variables.
    pub(super) fn note_moved(&mut self, before: &Namespace, after: &Namespace) {
        let cell = self.cell();
        for name in before.variables().keys() {
            if !after.variables().contains_key(name) {
                self.moved.insert(name.clone(), cell);
            }
        }
    }

    /// Says of each variable that is not found where it was moved.
    pub(super) fn tell_moved(&self, failed: &mut Failed) {
        for report in &mut failed.0 {
            let name = report.what.strip_prefix("cannot find value `");
            let name = name.and_then(|rest| rest.split('`').next());
            let Some((name, cell)) = name.and_then(|name| self.moved.get_key_value(name)) else {
                continue;
            };
            report
                .notes
                .insert(0, format!("`{name}` was moved in {}", cell.name()));
            report.hint = Some(format!(
                "there `&{name}` or `{name}.clone()` keeps it; make it anew here"
            ));
        }
    }
}
