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
    unfit: Option<Unfit>,
    /// By which it throws keys away when its memory is full.
    pub evicts: Option<String>,
}

/// Why a server of a version that would do cannot keep the store.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Unfit {
    /// It has a part of the keys, and sends who asks for others away.
    Cluster,
    /// It tells where servers are.
    Sentinel,
    /// It copies what this one has, and takes no writes.
    Replica { of: String },
}

impl fmt::Display for About {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.name)
    }
}

impl About {
    /// Why it cannot keep the store, and what is to be done.
    pub fn unfit(&self) -> Option<(String, String)> {
        if self.version.is_some_and(|version| version < OLDEST) {
            let (major, minor) = OLDEST;
            let why = format!("and the store needs {major}.{minor} or later");
            return Some((why, "name a newer one".to_owned()));
        }
        let (why, hint) = match self.unfit.as_ref()? {
            Unfit::Cluster => (
                "a node of a cluster, which has a part of the keys, and the store's calls need all of them on one server",
                "name a server that is in no cluster".to_owned(),
            ),
            Unfit::Sentinel => (
                "a sentinel, which keeps no values",
                "name the server that it watches: `redis-cli SENTINEL masters` tells".to_owned(),
            ),
            Unfit::Replica { of } => (
                "a replica that only reads",
                format!("name the server that it copies, {of}"),
            ),
        };
        Some((why.to_owned(), hint))
    }
}

/// The oldest version that has all that is asked of it.
const OLDEST: (u32, u32) = (6, 2);

fn unfit(field: &dyn Fn(&str) -> Option<String>) -> Option<Unfit> {
    let is = |name: &str, value: &str| field(name).as_deref() == Some(value);
    if is("redis_mode", "sentinel") {
        return Some(Unfit::Sentinel);
    }
    if is("cluster_enabled", "1") {
        return Some(Unfit::Cluster);
    }
    if is("role", "slave") && !is("slave_read_only", "0") {
        let host = field("master_host").unwrap_or_else(|| "?".to_owned());
        let port = field("master_port").unwrap_or_else(|| "?".to_owned());
        let of = format!("{host}:{port}");
        return Some(Unfit::Replica { of });
    }
    None
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
                .map(|value| value.trim().to_owned())
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
        // Without a limit it throws nothing away.
        let policy = field("maxmemory_policy").filter(|policy| policy != "noeviction");
        Ok(About {
            name,
            version,
            keys,
            unfit: unfit(&field),
            evicts: policy.filter(|_| field("maxmemory").is_some_and(|most| most != "0")),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_cannot_keep_the_store_is_known_by_what_it_says() {
        let of = |info: &str| {
            unfit(&|name| {
                let line =
                    |line: &str| Some(line.strip_prefix(name)?.strip_prefix(':')?.to_owned());
                info.lines().find_map(line)
            })
        };
        assert_eq!(
            of("redis_mode:standalone\nrole:master\ncluster_enabled:0"),
            None
        );
        assert_eq!(of("cluster_enabled:1\nrole:master"), Some(Unfit::Cluster));
        assert_eq!(of("redis_mode:sentinel"), Some(Unfit::Sentinel));
        let replica = "role:slave\nmaster_host:h\nmaster_port:7\nslave_read_only:";
        let read_only = Unfit::Replica {
            of: "h:7".to_owned(),
        };
        assert_eq!(of(&format!("{replica}1")), Some(read_only));
        assert_eq!(of(&format!("{replica}0")), None);
    }
}
