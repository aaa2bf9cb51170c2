//! The session's store without time, threads or sockets: calls go in, answers come out, at once or when what they wait
//! for is there. Time is given, in milliseconds of any clock that never goes back.

mod holds;
mod keys;
mod messages;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, VecDeque};

use regatta_cell::store::call::{Call, Kind, Reply};

use holds::{Gate, Hold};
use keys::Item;
use messages::Subscription;

/// A connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Client(pub u64);

/// What is done when its time has come.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// The key goes.
    Key(String),
    /// The client has waited long enough.
    Wait(Client),
    /// The lease is over.
    Lease(Lockable, u64),
}

/// What may be held: a lock and a semaphore may have the same name.
type Lockable = (bool, String);

fn lockable(kind: Kind, name: String) -> Lockable {
    (kind == Kind::Semaphore, name)
}

/// What a client waits for.
#[derive(Debug)]
enum For {
    Pop { key: String },
    Change { key: String, unlike: Option<String> },
    Hold(Lockable),
    Barrier(String),
    Message(u64),
}

#[derive(Debug)]
struct Waiting {
    what: For,
    until: Option<u64>,
}

#[derive(Debug, Default)]
pub struct State {
    now: u64,
    keys: HashMap<String, Item>,
    /// Who waits for a key, first come first.
    key_waits: HashMap<String, VecDeque<Client>>,
    holds: HashMap<Lockable, Hold>,
    gates: HashMap<String, Gate>,
    subscriptions: HashMap<u64, Subscription>,
    waits: HashMap<Client, Waiting>,
    dues: BTreeSet<(u64, Due)>,
    fences: u64,
    numbers: u64,
    answers: Vec<(Client, Reply)>,
}

impl State {
    /// Empty; fencing numbers go on from this one.
    pub fn since_fence(fence: u64) -> Self {
        Self {
            fences: fence,
            ..Self::default()
        }
    }

    /// Makes a call; its answer is among [`State::answers`], now or later. A client that waits makes none.
    pub fn call(&mut self, client: Client, call: Call, now: u64) {
        self.pass(now);
        let reply = match call {
            Call::Acquire {
                kind,
                name,
                limit,
                lease,
                wait,
                who,
            } => {
                let asked = holds::Asked { limit, lease, who };
                self.acquire(client, lockable(kind, name), asked, wait)
            }
            Call::Release { kind, name, fence } => Some(self.release(lockable(kind, name), fence)),
            Call::Renew {
                kind,
                name,
                fence,
                lease,
            } => Some(self.renew(lockable(kind, name), fence, lease)),
            Call::Barrier {
                name,
                size,
                wait,
                who,
            } => self.barrier(client, name, size, wait, who),
            Call::Publish { channel, message } => Some(self.publish(&channel, &message)),
            Call::Subscribe { pattern } => Some(self.subscribe(client, pattern)),
            Call::Next { subscription, wait } => self.next(client, subscription, wait),
            Call::Unsubscribe { subscription } => Some(self.unsubscribe(subscription)),
            Call::Keys { pattern, details } => Some(Reply::Keys(self.entries(&pattern, details))),
            call => self.key_call(client, call),
        };
        if let Some(reply) = reply {
            self.answers.push((client, reply));
        }
    }

    /// The answers that have become due.
    pub fn answers(&mut self) -> std::vec::Drain<'_, (Client, Reply)> {
        self.answers.drain(..)
    }

    /// Does what is due by now.
    pub fn pass(&mut self, now: u64) {
        self.now = self.now.max(now);
        while let Some((at, _)) = self.dues.first()
            && *at <= self.now
            && let Some((_, due)) = self.dues.pop_first()
        {
            match due {
                Due::Key(key) => {
                    self.keys.remove(&key);
                    self.changed(&key);
                }
                Due::Wait(client) => self.end_wait(client, End::TimedOut),
                Due::Lease(what, fence) => {
                    self.let_go(&what, |holder| holder.fence == fence);
                }
            }
        }
    }

    /// When something is due next.
    pub fn next_due(&self) -> Option<u64> {
        self.dues.first().map(|(at, _)| *at)
    }

    /// Ends a client's wait, if it waits.
    pub fn cancel(&mut self, client: Client, now: u64) {
        self.pass(now);
        self.end_wait(client, End::Interrupted);
    }

    pub fn is_waiting(&self, client: Client) -> bool {
        self.waits.contains_key(&client)
    }

    /// The client is gone: what it holds is free, and nobody waits with it any more.
    pub fn gone(&mut self, client: Client, now: u64) {
        self.pass(now);
        self.end_wait(client, End::Gone);
        let held: Vec<Lockable> = self
            .holds
            .iter()
            .filter(|(_, hold)| hold.is_held_by(client))
            .map(|(what, _)| what.clone())
            .collect();
        for what in held {
            self.let_go(&what, |holder| holder.client == client);
        }
        self.drop_subscriptions(client);
    }

    /// From now on the client waits, unless it does not want to: then the answer is this.
    fn wait(
        &mut self,
        client: Client,
        what: For,
        wait: Option<u64>,
        else_: Reply,
    ) -> Option<Reply> {
        if wait == Some(0) {
            return Some(else_);
        }
        // Of the millisecond that is now, a part has passed already: no wait is shorter than was said.
        let until = wait.map(|wait| self.now.saturating_add(wait).saturating_add(1));
        if let Some(until) = until {
            self.dues.insert((until, Due::Wait(client)));
        }
        match &what {
            For::Pop { key } | For::Change { key, .. } => {
                let waits = self.key_waits.entry(key.clone()).or_default();
                waits.push_back(client);
            }
            For::Hold(..) | For::Barrier(_) | For::Message(_) => {}
        }
        self.waits.insert(client, Waiting { what, until });
        None
    }

    /// The client's wait is over.
    fn waited(&mut self, client: Client) -> Option<For> {
        let Waiting { what, until } = self.waits.remove(&client)?;
        if let Some(until) = until {
            self.dues.remove(&(until, Due::Wait(client)));
        }
        if let For::Pop { key } | For::Change { key, .. } = &what
            && let Some(waits) = self.key_waits.get_mut(key)
        {
            waits.retain(|other| *other != client);
            if waits.is_empty() {
                self.key_waits.remove(key);
            }
        }
        Some(what)
    }

    /// Answers a client that waits.
    fn answer(&mut self, client: Client, reply: Reply) {
        self.waited(client);
        self.answers.push((client, reply));
    }

    fn end_wait(&mut self, client: Client, end: End) {
        let Some(what) = self.waited(client) else {
            return;
        };
        let over = match what {
            For::Pop { .. } => Reply::Value(None),
            For::Change { .. } => Reply::TimedOut,
            For::Hold(what) => self.leave_queue(&what, client),
            For::Barrier(name) => self.leave_barrier(&name, client, end == End::TimedOut),
            For::Message(subscription) => self.stop_listening(subscription),
        };
        match end {
            End::TimedOut => self.answers.push((client, over)),
            End::Interrupted => self.answers.push((client, Reply::Interrupted)),
            End::Gone => {}
        }
    }
}

/// How a wait ends without what it was for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    TimedOut,
    Interrupted,
    Gone,
}
