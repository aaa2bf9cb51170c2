//! Who holds or waits, as it stands in the server: JSON that names the process, so that others on the same machine can
//! tell whether it is still there.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::LazyLock;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use regatta_cell::store::call::Who;
use serde::{Deserialize, Serialize};

/// A holder of something, or a caller at a barrier; no two are the same.
#[derive(Serialize, Deserialize)]
pub struct Token {
    #[serde(flatten)]
    pub who: Who,
    /// Where process numbers mean the same.
    host: String,
    /// When the process began, in the system's ticks.
    began: u64,
    /// This one of all that the process ever had.
    id: String,
}

/// The machine since it started, and the namespace of process numbers.
static HOST: LazyLock<String> = LazyLock::new(|| {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{}/{}", boot.trim(), namespace.display())
});

static BEGAN: LazyLock<u64> = LazyLock::new(|| {
    let own = stat(std::process::id());
    own.and_then(|own| own.began).unwrap_or_default()
});

impl Token {
    /// A new one, as its text.
    pub fn text_for(who: &Who) -> String {
        let token = Self {
            who: Who {
                pid: std::process::id(),
                ..who.clone()
            },
            host: HOST.clone(),
            began: *BEGAN,
            id: format!("{:016x}", RandomState::new().build_hasher().finish()),
        };
        serde_json::to_string(&token).unwrap_or(token.id)
    }

    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Whether its process is known to be gone; one that has ended and that nobody has asked about yet is.
    fn is_gone(&self) -> bool {
        if self.host != *HOST || self.began == 0 || HOST.starts_with('/') {
            return false;
        }
        let pid = Pid::from_raw(self.who.pid.cast_signed());
        match kill(pid, None) {
            Err(Errno::ESRCH) => true,
            // Its number may be another's by now.
            _ => stat(self.who.pid)
                .is_some_and(|it| it.is_over || it.began.is_some_and(|began| began != self.began)),
        }
    }
}

/// Whether the process of this holder is known to be gone.
pub fn is_gone(text: &str) -> bool {
    Token::read(text).is_some_and(|token| token.is_gone())
}

/// Who a holder is; other programs write what they like.
pub fn who(text: &str) -> Who {
    Token::read(text).map_or_else(
        || Who {
            group: "another client of the server".to_owned(),
            ..Who::default()
        },
        |token| token.who,
    )
}

/// What the system tells of a process.
struct Stat {
    /// It has ended, and its parent does not know yet.
    is_over: bool,
    began: Option<u64>,
}

fn stat(pid: u32) -> Option<Stat> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may have spaces and parentheses of its own.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split_whitespace();
    Some(Stat {
        is_over: matches!(fields.next()?, "Z" | "X"),
        began: fields.nth(18)?.parse().ok(),
    })
}

#[cfg(test)]
mod tests {
    use super::{Token, who};
    use regatta_cell::store::call::Who;

    #[test]
    fn a_holder_is_gone_when_its_process_is() {
        let one = Token::text_for(&Who::default());
        assert_ne!(one, Token::text_for(&Who::default()));
        let mut token = Token::read(&one).unwrap();
        assert!(!token.is_gone());
        token.began += 1;
        assert!(token.is_gone(), "its number is another process's now");
        token.host.push('x');
        assert!(!token.is_gone(), "of another machine nothing is known");

        let mut child = std::process::Command::new("true").spawn().unwrap();
        let mut token = Token::read(&one).unwrap();
        token.who.pid = child.id();
        let ended = |pid| super::stat(pid).is_some_and(|stat| stat.is_over);
        while !ended(child.id()) {
            std::thread::yield_now();
        }
        token.began = super::stat(child.id()).unwrap().began.unwrap();
        assert!(token.is_gone(), "it has ended, and is still listed");
        child.wait().unwrap();
        assert!(token.is_gone());
    }

    #[test]
    fn what_others_hold_is_theirs() {
        assert!(who("8f2e1c").group.contains("another client"));
        let text = Token::text_for(&Who {
            group: "p0".to_owned(),
            rank: Some(3),
            ..Who::default()
        });
        assert_eq!(who(&text).to_string(), "rank 3 of p0");
    }
}
