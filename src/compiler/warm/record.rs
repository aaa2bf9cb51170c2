//! A compiler's record on the shelf.

use std::fs;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::compiler::process;

/// What a compiler says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub pid: i32,
    /// The sysroot of its toolchain.
    pub toolchain: String,
    pub usage: Use,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Use {
    /// It serves a session.
    Session,
    /// It forgets the one that has just left.
    Forgets,
    /// It waits for one until then, in milliseconds since 1970.
    Waits { until: u64 },
}

impl Use {
    /// Waits for so long from now on.
    pub fn waits(patience: Duration) -> Self {
        let until = now() + patience;
        let until = u64::try_from(until.as_millis()).unwrap_or(u64::MAX);
        Self::Waits { until }
    }
}

fn now() -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default()
}

impl Record {
    /// When it ends without a session.
    pub fn ends_in(&self) -> Option<Duration> {
        match self.usage {
            Use::Session | Use::Forgets => None,
            Use::Waits { until } => Some(Duration::from_millis(until).saturating_sub(now())),
        }
    }

    /// Resident memory in bytes.
    pub fn memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kilobytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        Some(kilobytes * 1024)
    }

    /// Whether its process is there, and no other one that has its number by now.
    pub fn is_alive(&self) -> bool {
        let line = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0);
        words.any(|word| word == process::ROLE.as_bytes())
    }
}
