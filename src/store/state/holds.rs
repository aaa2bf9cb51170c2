//! Locks, semaphores and barriers.

use std::collections::VecDeque;

use regatta_cell::store::call::{Entry, EntryKind, Reply, Trouble, Who};

use super::{Client, Due, For, Lockable, State};
use crate::store::glob::matches;

/// A lock or a semaphore that somebody holds.
#[derive(Debug)]
pub struct Hold {
    limit: u32,
    holders: Vec<Holder>,
    /// Who waits, first come first.
    queue: VecDeque<(Client, Asked)>,
    /// When it was last taken.
    taken: u64,
}

#[derive(Debug)]
pub struct Holder {
    pub client: Client,
    pub fence: u64,
    /// When its lease is over.
    until: Option<u64>,
    who: Who,
}

/// What a holder wants.
#[derive(Debug)]
pub struct Asked {
    pub limit: u32,
    pub lease: Option<u64>,
    pub who: Who,
}

impl Hold {
    pub fn is_held_by(&self, client: Client) -> bool {
        self.holders.iter().any(|holder| holder.client == client)
    }

    fn by(&self) -> Vec<Who> {
        self.holders.iter().map(|one| one.who.clone()).collect()
    }
}

/// A barrier at which somebody waits.
#[derive(Debug)]
pub struct Gate {
    size: u32,
    here: Vec<(Client, Who)>,
    /// Whose time was over, and when: those who came together may leave together, and are not missing.
    left: Vec<(u64, Who)>,
    /// When the first came.
    since: u64,
}

/// So long who has left a barrier counts as having been there, milliseconds.
const TOGETHER: u64 = 1000;

impl State {
    pub(super) fn acquire(
        &mut self,
        client: Client,
        what: Lockable,
        asked: Asked,
        wait: Option<u64>,
    ) -> Option<Reply> {
        let now = self.now;
        let hold = self.holds.entry(what.clone()).or_insert_with(|| Hold {
            limit: asked.limit.max(1),
            holders: Vec::new(),
            queue: VecDeque::new(),
            taken: now,
        });
        if asked.limit != hold.limit {
            let theirs = hold.limit;
            self.drop_if_free(&what);
            return Some(Reply::Failed(Trouble::OtherSize {
                name: what.1,
                given: asked.limit,
                theirs,
            }));
        }
        if hold.queue.is_empty() && hold.holders.len() < hold.limit as usize {
            return Some(self.grant(client, &what, asked));
        }
        let held = Reply::Held { by: hold.by() };
        if wait != Some(0) {
            hold.queue.push_back((client, asked));
        }
        self.wait(client, For::Hold(what), wait, held)
    }

    fn grant(&mut self, client: Client, what: &Lockable, asked: Asked) -> Reply {
        self.fences += 1;
        let fence = self.fences;
        let until = asked.lease.map(|lease| self.now.saturating_add(lease));
        if let Some(until) = until {
            self.dues.insert((until, Due::Lease(what.clone(), fence)));
        }
        if let Some(hold) = self.holds.get_mut(what) {
            hold.taken = self.now;
            hold.holders.push(Holder {
                client,
                fence,
                until,
                who: asked.who,
            });
        }
        Reply::Granted { fence }
    }

    /// Takes it from these holders, and gives it to those who wait; whether there was one.
    pub(super) fn let_go(&mut self, what: &Lockable, whose: impl Fn(&Holder) -> bool) -> bool {
        let Some(hold) = self.holds.get_mut(what) else {
            return false;
        };
        let (gone, stay) = std::mem::take(&mut hold.holders)
            .into_iter()
            .partition(whose);
        hold.holders = stay;
        let gone: Vec<Holder> = gone;
        for holder in &gone {
            if let Some(until) = holder.until {
                let due = Due::Lease(what.clone(), holder.fence);
                self.dues.remove(&(until, due));
            }
        }
        self.serve_queue(what);
        !gone.is_empty()
    }

    fn serve_queue(&mut self, what: &Lockable) {
        while let Some(hold) = self.holds.get_mut(what)
            && hold.holders.len() < hold.limit as usize
            && let Some((client, asked)) = hold.queue.pop_front()
        {
            let granted = self.grant(client, what, asked);
            self.answer(client, granted);
        }
        self.drop_if_free(what);
    }

    fn drop_if_free(&mut self, what: &Lockable) {
        let free = |hold: &Hold| hold.holders.is_empty() && hold.queue.is_empty();
        if self.holds.get(what).is_some_and(free) {
            self.holds.remove(what);
        }
    }

    pub(super) fn release(&mut self, what: Lockable, fence: u64) -> Reply {
        Reply::Is(self.let_go(&what, |holder| holder.fence == fence))
    }

    pub(super) fn renew(&mut self, what: Lockable, fence: u64, lease: Option<u64>) -> Reply {
        let until = lease.map(|lease| self.now.saturating_add(lease));
        let holder = self.holds.get_mut(&what).and_then(|hold| {
            let mut holders = hold.holders.iter_mut();
            holders.find(|holder| holder.fence == fence)
        });
        let Some(holder) = holder else {
            return Reply::Is(false);
        };
        let before = std::mem::replace(&mut holder.until, until);
        let due = Due::Lease(what, fence);
        if let Some(before) = before {
            self.dues.remove(&(before, due.clone()));
        }
        if let Some(until) = until {
            self.dues.insert((until, due));
        }
        Reply::Is(true)
    }

    /// The client waits no more for it; the answer says who has it.
    pub(super) fn leave_queue(&mut self, what: &Lockable, client: Client) -> Reply {
        let mut by = Vec::new();
        if let Some(hold) = self.holds.get_mut(what) {
            hold.queue.retain(|(other, _)| *other != client);
            by = hold.by();
        }
        self.drop_if_free(what);
        Reply::Held { by }
    }

    pub(super) fn barrier(
        &mut self,
        client: Client,
        name: String,
        size: u32,
        wait: Option<u64>,
        who: Who,
    ) -> Option<Reply> {
        let since = self.now;
        let gate = self.gates.entry(name.clone()).or_insert_with(|| Gate {
            size,
            here: Vec::new(),
            left: Vec::new(),
            since,
        });
        if gate.size != size {
            return Some(Reply::Failed(Trouble::OtherSize {
                name,
                given: size,
                theirs: gate.size,
            }));
        }
        gate.left.retain(|(_, other)| *other != who);
        gate.here.push((client, who));
        if gate.here.len() >= size as usize {
            let here = self.gates.remove(&name).map(|gate| gate.here);
            let others = here.unwrap_or_default();
            let mut index = 0;
            for (at, (other, _)) in (0..).zip(others) {
                if other == client {
                    index = at;
                } else {
                    self.answer(other, Reply::Count(at));
                }
            }
            return Some(Reply::Count(index));
        }
        if wait == Some(0) {
            return Some(self.leave_barrier(&name, client, true));
        }
        self.wait(client, For::Barrier(name), wait, Reply::TimedOut)
    }

    /// The client is at it no more; the answer says who was there, with this one.
    pub(super) fn leave_barrier(&mut self, name: &str, client: Client, in_vain: bool) -> Reply {
        let now = self.now;
        let Some(gate) = self.gates.get_mut(name) else {
            return Reply::TimedOut;
        };
        gate.left.retain(|(at, _)| now - at < TOGETHER);
        let left = gate.left.iter().map(|(_, who)| who.clone());
        let here = gate.here.iter().map(|(_, who)| who.clone());
        let here = left.chain(here).collect();
        let size = gate.size;
        if let Some(at) = gate.here.iter().position(|(other, _)| *other == client) {
            let (_, who) = gate.here.remove(at);
            if in_vain {
                gate.left.push((now, who));
            }
        }
        if gate.here.is_empty() {
            self.gates.remove(name);
        }
        Reply::Missing { size, here }
    }

    pub(super) fn held_entries(&self, pattern: &str) -> Vec<Entry> {
        let holds = self.holds.iter();
        let holds = holds.map(|((is_semaphore, name), hold)| Entry {
            key: name.clone(),
            kind: match is_semaphore {
                true => EntryKind::Semaphore,
                false => EntryKind::Lock,
            },
            count: Some(hold.holders.len() as u64),
            of: Some(u64::from(hold.limit)),
            age: Some(self.now - hold.taken),
            expires: hold
                .holders
                .iter()
                .filter_map(|holder| holder.until)
                .min()
                .map(|until| until.saturating_sub(self.now)),
            who: hold.by(),
            ..Entry::default()
        });
        let gates = self.gates.iter().map(|(name, gate)| Entry {
            key: name.clone(),
            kind: EntryKind::Barrier,
            count: Some(gate.here.len() as u64),
            of: Some(u64::from(gate.size)),
            age: Some(self.now - gate.since),
            who: gate.here.iter().map(|(_, who)| who.clone()).collect(),
            ..Entry::default()
        });
        let all = holds.chain(gates);
        all.filter(|entry| matches(pattern, &entry.key)).collect()
    }
}
