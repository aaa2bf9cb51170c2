//! What is on its way to be shown: tables that wait for their last cells, and lines that are not whole yet.

use std::collections::HashMap;

use crate::ids::{EngineId, PoolName, Rank};
use crate::outcome::{LINES, MapReport, Stream};
use crate::session::prints::Prints;

#[derive(Debug, Default)]
pub struct Screen {
    /// A finished map's table that waits for its first results.
    pub(in crate::session) map_report: Option<MapReport>,
    /// What engines without a cell print, such as the functions of a map.
    pub(in crate::session) stray_prints: HashMap<(EngineId, Stream), Prints>,
    /// The last line that each engine has printed in a map.
    pub(in crate::session) last_lines: HashMap<(PoolName, Rank), String>,
    /// Reports of maps without a table, while they are wanted.
    pub(in crate::session) quiet_reports: Option<Vec<MapReport>>,
    pub(in crate::session) style: ValueStyle,
}

/// How the user wants to see values.
#[derive(Clone, Copy, Debug)]
pub struct ValueStyle {
    /// How many lines of a value are shown.
    pub lines: usize,
    /// Whether its type is shown.
    pub types: bool,
}

impl Default for ValueStyle {
    fn default() -> Self {
        Self {
            lines: LINES,
            types: false,
        }
    }
}
