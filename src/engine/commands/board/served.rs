//! The board of a call whose engines are on several hosts: values of a server that the session has for that, which each
//! engine's environment names. Whether it has halted is looked after by a thread, so that a command asks nobody.
//!
//! Where the session is gone, or cannot be reached, there is none: a map that goes on without it has nobody to count with.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use regatta_cell::shell::{BOARD, How, board::TIMES, served};
use regatta_cell::store::call::{Call, Kind, Number, Reply, Who, milliseconds};

use super::{Board, counts, fixed_limit, is_enough, part_of_median, word};
use crate::store::{Store, connect};

/// So long a server that does not answer is left alone.
const PAUSE: Duration = Duration::from_millis(500);

/// The server, as the session has told since this process began.
static ADDRESS: Mutex<Option<String>> = Mutex::new(None);

pub fn is_at(address: Option<&str>) {
    *lock(&ADDRESS) = address.map(str::to_owned);
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub struct Served {
    mark: u64,
    client: Mutex<Box<dyn Store>>,
    /// The watching thread ends soon after nobody has it any more.
    halted: Arc<AtomicU64>,
    /// Nanoseconds that commands took which went well, as far as they are known here.
    times: Mutex<Vec<u64>>,
}

impl Served {
    /// `None` when nobody serves it any more.
    pub fn open(mark: u64, how: &How) -> Result<Option<Self>, String> {
        let told = lock(&ADDRESS).clone();
        let address = told
            .or_else(|| std::env::var(BOARD).ok())
            .ok_or("the session has not told this engine how commands are counted")?;
        let not = |why: &dyn std::fmt::Display| format!("commands cannot be counted: {why}");
        let mut client = connect(&address).map_err(|trouble| not(&trouble))?;
        let key = served::halted(mark);
        let halted = match client.call(&Call::Get { key }, &|| false) {
            Reply::Failed(_) => return Ok(None),
            reply => number(&reply).filter(|it| *it != served::OVER),
        };
        let halted = Arc::new(AtomicU64::new(halted.unwrap_or_default()));
        if how.halt.is_some() {
            let (halted, key) = (Arc::downgrade(&halted), served::halted(mark));
            std::thread::Builder::new()
                .name("halt".to_owned())
                .spawn(move || watch(&address, &key, &halted))
                .map_err(|error| not(&error))?;
        }
        Ok(Some(Self {
            mark,
            client: Mutex::new(client),
            halted,
            times: Mutex::default(),
        }))
    }

    fn call(&self, call: &Call, stops: &dyn Fn() -> bool) -> Reply {
        lock(&self.client).call(call, stops)
    }
}

fn number(reply: &Reply) -> Option<u64> {
    match reply {
        Reply::Value(Some(json)) => json.parse().ok(),
        _ => None,
    }
}

/// Follows a value as long as somebody wants to know it, up to the call's end.
fn watch(address: &str, key: &str, halted: &Weak<AtomicU64>) {
    let is_unwanted = || halted.strong_count() == 0;
    let Ok(mut client) = connect(address) else {
        return;
    };
    let mut known = None;
    while !is_unwanted() && known.is_none_or(|known| known < super::NOW) {
        let asked = Call::Wait {
            key: key.to_owned(),
            unlike: known.map(|known: u64| known.to_string()),
            wait: None,
        };
        let reply = client.call(&asked, &is_unwanted);
        match (number(&reply), halted.upgrade()) {
            (Some(served::OVER), _) => return,
            (Some(now), Some(halted)) => {
                halted.fetch_max(now, SeqCst);
                known = Some(now);
            }
            // It was there: the call is over.
            _ if reply == Reply::Value(None) => return,
            _ => std::thread::sleep(PAUSE),
        }
    }
}

impl Board for Served {
    fn halted(&self) -> u64 {
        self.halted.load(SeqCst)
    }

    fn take_turn(&self, delay: f64, stops: &dyn Fn() -> bool) -> bool {
        if delay <= 0.0 {
            return true;
        }
        // Whoever begins has a lock for as long as no other is to begin.
        let turn = Call::Acquire {
            kind: Kind::Lock,
            name: served::turn(self.mark),
            limit: 1,
            lease: Some(milliseconds(Duration::from_secs_f64(delay))),
            wait: None,
            who: Who::default(),
        };
        let stops = || stops() || self.halted() != 0;
        self.call(&turn, &stops) != Reply::Interrupted
    }

    fn limit(&self, how: &How) -> Option<Duration> {
        let Some(share) = how.timeout_share else {
            return fixed_limit(how);
        };
        let mut times = lock(&self.times);
        if times.len() < TIMES {
            let key = served::times(self.mark);
            if let Reply::Value(Some(json)) = self.call(&Call::Get { key }, &|| false) {
                let numbers = json.trim_matches(['[', ']']).split(',');
                *times = numbers.filter_map(|one| one.trim().parse().ok()).collect();
            }
        }
        part_of_median(share, &mut times).or_else(|| fixed_limit(how))
    }

    fn note(&self, how: &How, ok: bool, took: Duration) {
        // The first ones tell enough.
        if how.timeout_share.is_some() && ok && lock(&self.times).len() < TIMES {
            let push = Call::Push {
                key: served::times(self.mark),
                values: vec![(took.as_nanos() as u64).to_string()],
            };
            self.call(&push, &|| false);
        }
        let Some(halt) = how.halt.filter(|halt| counts(halt, ok)) else {
            return;
        };
        let count = Call::Incr {
            key: served::count(self.mark),
            by: Number::Int(1),
        };
        let Reply::Number(Number::Int(count)) = self.call(&count, &|| false) else {
            return;
        };
        if is_enough(&halt, count.cast_unsigned(), how.total) {
            let word = word(&halt);
            self.halted.fetch_max(word, SeqCst);
            let halted = Call::Set {
                key: served::halted(self.mark),
                value: word.to_string(),
                expire: None,
            };
            self.call(&halted, &|| false);
        }
    }
}

#[cfg(test)]
mod tests {
    use regatta_cell::shell::{Counted, Halt};

    use super::*;
    use crate::store::Server;

    #[test]
    fn engines_elsewhere_know_what_the_others_have_counted() {
        let server = Server::start().unwrap();
        is_at(Some(server.address()));
        let halt = Halt {
            now: true,
            counted: Counted::Failed,
            count: 2,
            share: None,
        };
        let how = How {
            halt: Some(halt),
            timeout_share: Some(2.0),
            total: 10,
            ..How::default()
        };
        let open = |mark| Served::open(mark, &how).unwrap().unwrap();
        let [one, other] = [(); 2].map(|()| open(5));
        for seconds in [1, 9, 2] {
            assert_eq!(one.limit(&how), None);
            other.note(&how, true, Duration::from_secs(seconds));
        }
        assert_eq!(one.limit(&how), Some(Duration::from_secs(4)));
        one.note(&how, false, Duration::ZERO);
        assert_eq!((one.halted(), other.halted()), (0, 0));
        other.note(&how, false, Duration::ZERO);
        assert_eq!(other.halted(), 2);
        while one.halted() == 0 {
            std::thread::sleep(PAUSE / 50);
        }
        let late = open(5);
        assert_eq!(late.halted(), 2);
        assert_eq!(open(6).halted(), 0);
        // One begins at once, the next one later, unless it is not to begin at all.
        let fresh = [(); 2].map(|()| open(7));
        let since = std::time::Instant::now();
        assert!(fresh[0].take_turn(0.05, &|| false) && fresh[1].take_turn(0.05, &|| false));
        // The server counts in milliseconds of its own.
        assert!(since.elapsed() >= Duration::from_millis(45));
        assert!(fresh[0].take_turn(1000.0, &|| false));
        assert!(!fresh[1].take_turn(1000.0, &|| true));
        // Who comes after the call's end, or the session's, begins all the same.
        let over = Call::Set {
            key: served::halted(5),
            value: served::OVER.to_string(),
            expire: None,
        };
        one.call(&over, &|| false);
        assert_eq!(open(5).halted(), 0);
        drop(server);
        assert!(Served::open(5, &how).unwrap().is_none());
    }
}
