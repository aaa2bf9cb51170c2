//! Places in the user's cells for the lines of an artifact's source. They travel with what an engine is told to run,
//! because only the engine that loaded it knows to which of its artifacts a panic belongs, and the same artifact may be
//! run by another cell.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::CellId;

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

/// The places of an artifact's lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places(Vec<Lines>);

/// Lines that stand together in the source, from 1, as they do in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Lines {
    first: u32,
    count: u32,
    place: Place,
}

impl Places {
    /// The place of a line of the source.
    pub fn find(&self, line: u32) -> Option<Place> {
        let has = |lines: &&Lines| {
            line.checked_sub(lines.first)
                .is_some_and(|at| at < lines.count)
        };
        let Lines { first, place, .. } = self.0.iter().find(has)?;
        Some(Place {
            line: place.line + (line - first),
            ..*place
        })
    }
}

impl FromIterator<(u32, Place)> for Places {
    fn from_iter<T: IntoIterator<Item = (u32, Place)>>(each: T) -> Self {
        let mut all: Vec<Lines> = Vec::new();
        for (line, place) in each {
            match all.last_mut() {
                Some(last)
                    if last.first + last.count == line
                        && last.place.cell == place.cell
                        && last.place.line + last.count == place.line =>
                {
                    last.count += 1;
                }
                _ => all.push(Lines {
                    first: line,
                    count: 1,
                    place,
                }),
            }
        }
        Self(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_found_as_it_was_given() {
        let place = |cell, line| Place {
            cell: CellId(cell),
            line,
        };
        let given = [
            (12, place(3, 1)),
            (13, place(3, 2)),
            (14, place(2, 3)),
            (120, place(4, 2)),
        ];
        let places: Places = given.into_iter().collect();
        assert_eq!(places.0.len(), 3, "lines that stand together are one entry");
        for (line, place) in given {
            assert_eq!(places.find(line), Some(place));
        }
        for line in [0, 1, 11, 15, 121] {
            assert_eq!(places.find(line), None);
        }
        assert_eq!(place(3, 1).to_string(), "In [3]:1");
    }
}
