//! Places in the user's cells for the lines of an artifact's source. They stand in a file beside the artifact,
//! because only the engine that loaded it knows to which of its artifacts a panic belongs.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::ids::{ArtifactId, CellId};

/// What rustc calls the source of every cell. Other crates' sources have longer paths.
pub const SOURCE: &str = "src/lib.rs";

/// A line of a cell, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub cell: CellId,
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.cell.name(), self.line)
    }
}

/// The file of an artifact's places, beside its own file `so`.
pub fn file_of(artifact: ArtifactId, so: &Path) -> PathBuf {
    so.with_file_name(format!("{artifact}.places"))
}

/// What the file says: the lines of the source, from 1, and what they are.
pub fn written(places: impl Iterator<Item = (usize, Place)>) -> String {
    places
        .map(|(line, place)| format!("{line} {} {}\n", place.cell, place.line))
        .collect()
}

/// The place of a line of the source.
pub fn find(text: &str, line: u32) -> Option<Place> {
    text.lines().find_map(|entry| {
        let mut numbers = entry.split(' ').map(str::parse::<u32>);
        let mut number = || numbers.next()?.ok();
        (number()? == line).then_some(())?;
        Some(Place {
            cell: CellId(number()?),
            line: number()?,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_found_as_it_was_written() {
        let place = |cell, line| Place {
            cell: CellId(cell),
            line,
        };
        let text = written([(12, place(3, 1)), (120, place(4, 2))].into_iter());
        assert_eq!(find(&text, 12), Some(place(3, 1)));
        assert_eq!(find(&text, 120), Some(place(4, 2)));
        assert_eq!(find(&text, 1), None);
        assert_eq!(find("12 3", 12), None, "half a file");
        assert_eq!(place(3, 1).to_string(), "In [3]:1");
    }
}
