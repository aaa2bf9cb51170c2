//! What became of the values that cells have shown. The local engine keeps the last ones.

use std::collections::BTreeMap;

use super::Crew;
use crate::cell::Mention;
use crate::ids::CellId;
use crate::outcome::NotKept;
use crate::session::types::shorten;
use crate::wire::{KEPT_BYTES, KEPT_VALUES, is_guard};

/// How many shown values are remembered, also those that were not kept.
const REMEMBERED: usize = 200;

/// Where the value of a cell is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// The engine has it under this number.
    Engine(u64),
    /// It is the session's variable `_N`.
    Variable,
    /// It is the value of an expression that names it, such as `x`.
    Place(String),
    /// Why it is not there.
    Gone(NotKept),
}

/// A value that a cell has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Out {
    /// As Rust names it, with all paths.
    pub type_name: String,
    /// What it takes; `None` where that was not measured.
    pub bytes: Option<u64>,
    pub place: Whereabouts,
}

impl Out {
    /// Its type, without paths.
    pub fn kind(&self) -> String {
        shorten(&self.type_name)
    }
}

/// A value that the engine has kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptNote {
    pub number: u64,
    pub type_name: String,
    pub bytes: u64,
    pub dropped: Vec<u64>,
}

#[derive(Debug, Default)]
pub struct Outs {
    all: BTreeMap<u32, Out>,
}

/// A value's variable.
pub fn variable(cell: u32) -> String {
    format!("_{cell}")
}

/// Whether a variable is a value that a cell has shown; the user sees it as `Out[n]`.
pub fn is_out(name: &str) -> bool {
    let digits = name.strip_prefix('_').unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

impl Outs {
    /// A cell has shown a value of this type, which is not kept so far.
    pub fn shown(&mut self, cell: CellId, type_name: &str) {
        let place = Whereabouts::Gone(why_not(type_name));
        self.insert(cell, type_name, None, place);
    }

    fn insert(&mut self, cell: CellId, type_name: &str, bytes: Option<u64>, place: Whereabouts) {
        let type_name = type_name.to_owned();
        self.all.insert(
            cell.0,
            Out {
                type_name,
                bytes,
                place,
            },
        );
        while self.all.len() > REMEMBERED {
            self.all.pop_first();
        }
    }

    /// The engine says what it did with the cell's value.
    pub fn kept(&mut self, cell: CellId, note: &KeptNote) {
        let (place, bytes) = (Whereabouts::Engine(note.number), Some(note.bytes));
        self.insert(cell, &note.type_name, bytes, place);
        self.dropped(note);
    }

    /// What the engine has dropped for the sake of a value.
    pub fn dropped(&mut self, note: &KeptNote) {
        let large = note.bytes > KEPT_BYTES;
        for out in self.all.values_mut() {
            if matches!(out.place, Whereabouts::Engine(number) if note.dropped.contains(&number)) {
                out.place = Whereabouts::Gone(match is_guard(&out.type_name) {
                    true => NotKept::Released,
                    false => NotKept::NoRoom {
                        large,
                        values: KEPT_VALUES,
                        megabytes: KEPT_BYTES >> 20,
                    },
                });
            }
        }
    }

    /// The engine is gone and has taken its values and variables along.
    pub fn engine_gone(&mut self) {
        for out in self.all.values_mut() {
            if !matches!(out.place, Whereabouts::Gone(_)) {
                out.place = Whereabouts::Gone(NotKept::WithOthers);
            }
        }
    }

    /// These names mean another thing from now on.
    pub fn redefined(&mut self, names: &std::collections::BTreeSet<String>) {
        for out in self.all.values_mut() {
            let words = crate::cell::identifiers(&out.type_name);
            let concerned = names.iter().any(|name| words.contains(name));
            if concerned && matches!(out.place, Whereabouts::Engine(_) | Whereabouts::Variable) {
                out.place = Whereabouts::Gone(NotKept::Redefined);
            }
        }
    }

    /// After a cell: variables that are not there any more were moved.
    pub fn check_variables(&mut self, cell: CellId, has: impl Fn(&str) -> bool) {
        for (number, out) in &mut self.all {
            if out.place == Whereabouts::Variable && !has(&variable(*number)) {
                out.place = Whereabouts::Gone(NotKept::Moved(cell));
            }
        }
    }

    pub fn get(&self, cell: u32) -> Option<&Out> {
        self.all.get(&cell)
    }

    /// All of them, with the cells' numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Out)> {
        self.all.iter().map(|(cell, out)| (*cell, out))
    }

    /// A value is somewhere else now.
    pub fn moves_to(&mut self, cell: u32, place: Whereabouts) {
        if let Some(out) = self.all.get_mut(&cell) {
            out.place = place;
        }
    }

    /// The cell that a mention means, before the cell `now`.
    pub fn cell_of(&self, mention: Mention, now: CellId) -> Option<u32> {
        match mention {
            Mention::Cell(cell) => Some(cell),
            Mention::Last(back) => {
                let before = self.all.range(..now.0).rev();
                before.map(|(cell, _)| *cell).nth(back - 1)
            }
        }
    }
}

/// Why a value of this type is not kept.
fn why_not(type_name: &str) -> NotKept {
    let kind = || shorten(type_name);
    if type_name.is_empty() {
        NotKept::ShowsItself
    } else if type_name.contains('{') {
        NotKept::NoName(kind())
    } else if type_name.contains(['\'', '&', '*'])
        || type_name.contains("dyn ")
        || is_part(type_name)
    {
        NotKept::Borrows(kind())
    } else {
        NotKept::NotPlain
    }
}

/// Whether it is a type that values are only lent as.
fn is_part(type_name: &str) -> bool {
    type_name == "str" || type_name.starts_with('[') && !type_name.contains(';')
}

impl Crew {
    /// Notes which of them have gone with their variables.
    pub fn check_outs(&mut self, cell: CellId) {
        if let Some(namespace) = self.namespaces.get(&self.local) {
            let variables = namespace.variables();
            self.outs
                .check_variables(cell, |name| variables.contains_key(name));
        }
    }
}
