//! Where in the user's cells the lines of an artifact's source come from.

use std::collections::HashMap;

use super::Workshop;
use crate::cell::{ItemKind, aligned, defines_items};
use crate::compiler::{Artifact, ENTRY};
use crate::ids::CellId;
use crate::session::Code;
use crate::wire::places::{Place, Places};

impl Workshop {
    /// The user's lines in an artifact's source, which has the session's definitions as they were written and the
    /// statements of `code`, of this cell, inside of the entry function.
    pub fn places(&self, artifact: &Artifact, code: &Code, cell: CellId) -> Places {
        let source = &artifact.source;
        let homes: HashMap<&str, Place> = self.definitions.homes().collect();
        let mut found = Vec::new();
        for item in defines_items(source) {
            let text = item.text.trim();
            if let Some(home) = homes.get(text) {
                // Whatever cell a function is called in, it stands in the one that defined it.
                let lines = text.lines().count();
                found.extend((0..lines).map(|at| {
                    let line = home.line + u32::try_from(at).unwrap_or(u32::MAX);
                    let cell = home.cell;
                    (item.line + at, Place { cell, line })
                }));
            } else if item.kind == ItemKind::Fn && is_entry(item.name.as_deref()) {
                let own = aligned(&item.text, &code.text).into_iter().enumerate();
                found.extend(own.filter_map(|(at, line)| {
                    let line = u32::try_from(code.in_cell(line?)?).ok()?;
                    Some((item.line + at, Place { cell, line }))
                }));
            }
        }
        let numbered = |(line, place)| Some((u32::try_from(line).ok()?, place));
        found.into_iter().filter_map(numbered).collect()
    }
}

fn is_entry(name: Option<&str>) -> bool {
    name.is_some_and(|name| name.starts_with(ENTRY))
}
