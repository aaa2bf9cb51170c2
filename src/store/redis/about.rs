//! What a server is.

use std::fmt;

use redis::cmd;
use regatta_cell::store::call::Trouble;

use super::Redis;
use super::line::{Repeat, Server};

/// So many are looked at one by one, to leave out what is the store's.
const FEW: u64 = 10_000;

/// A server's kind and version, and how much it has.
pub struct About {
    /// `Redis 7.0.15`, `Valkey 8.1.0`
    name: String,
    /// Of Redis, whose commands it has; `None` when it does not say.
    pub version: Option<(u32, u32)>,
    /// In its database.
    pub keys: u64,
}

impl fmt::Display for About {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.name)
    }
}

impl Redis {
    /// Asks the server what it is.
    pub fn about(&self) -> Result<About, Trouble> {
        let server = &self.shared.server;
        // A user may be forbidden to ask.
        let info = ask::<String>(server, "INFO")?.unwrap_or_default();
        let field = |name: &str| {
            info.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                .map(str::trim)
        };
        let name = match (field("valkey_version"), field("redis_version")) {
            (Some(version), _) => format!("Valkey {version}"),
            (None, Some(version)) => format!("Redis {version}"),
            (None, None) => "a server of Redis".to_owned(),
        };
        let version = field("redis_version").and_then(|text| {
            let mut parts = text.split('.').map(str::parse);
            Some((parts.next()?.ok()?, parts.next()?.ok()?))
        });
        let keys = server.call(Repeat::Safe, &|| false, |line| line.ask(&cmd("DBSIZE")));
        let mut keys = keys.unwrap_or(0);
        if keys < FEW
            && let Ok(names) = super::listing::scan(server, "*", &|| false)
        {
            let theirs = names.iter().filter(|name| !name.starts_with(super::OURS));
            keys = theirs.count() as u64;
        }
        Ok(About {
            name,
            version,
            keys,
        })
    }
}

fn ask<T: redis::FromRedisValue>(server: &Server, name: &str) -> Result<Option<T>, Trouble> {
    match server.call(Repeat::Safe, &|| false, |line| line.ask(&cmd(name))) {
        Ok(answer) => Ok(Some(answer)),
        Err(super::Fault::Said(_)) => Ok(None),
        Err(fault) => Err(fault.trouble()),
    }
}
