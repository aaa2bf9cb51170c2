//! Channels: who listens gets what is published from then on.

use std::collections::{BTreeMap, VecDeque};

use regatta_cell::store::call::{Entry, EntryKind, Reply, Trouble};

use super::{Client, For, State};
use crate::store::glob::matches;

/// Messages and bytes that a subscriber may be behind; then its oldest go.
pub const MOST: usize = 100_000;
const MOST_BYTES: usize = 64 << 20;

#[derive(Debug)]
pub struct Subscription {
    client: Client,
    pattern: String,
    queue: VecDeque<(String, String)>,
    bytes: usize,
    missed: u64,
    /// Who waits for the next one.
    waits: Option<Client>,
    since: u64,
}

impl State {
    pub(super) fn subscribe(&mut self, client: Client, pattern: String) -> Reply {
        self.numbers += 1;
        let subscription = Subscription {
            client,
            pattern,
            queue: VecDeque::new(),
            bytes: 0,
            missed: 0,
            waits: None,
            since: self.now,
        };
        self.subscriptions.insert(self.numbers, subscription);
        Reply::Subscribed {
            subscription: self.numbers,
        }
    }

    pub(super) fn unsubscribe(&mut self, number: u64) -> Reply {
        let gone = self.subscriptions.remove(&number);
        if let Some(client) = gone.and_then(|one| one.waits) {
            self.answer(client, Reply::Failed(Trouble::NoSubscription));
        }
        Reply::Done
    }

    pub(super) fn drop_subscriptions(&mut self, client: Client) {
        let subscriptions = self.subscriptions.iter();
        let its = subscriptions.filter(|(_, one)| one.client == client);
        for number in its.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.unsubscribe(number);
        }
    }

    pub(super) fn publish(&mut self, channel: &str, message: &str) -> Reply {
        let mut reached = 0;
        let mut waited = Vec::new();
        for one in self.subscriptions.values_mut() {
            if !matches(&one.pattern, channel) {
                continue;
            }
            reached += 1;
            if let Some(client) = one.waits.take() {
                waited.push((client, one.missed));
                one.missed = 0;
                continue;
            }
            one.bytes += message.len();
            one.queue
                .push_back((channel.to_owned(), message.to_owned()));
            // Its newest stays, however large it is.
            while one.queue.len() > 1 && (one.queue.len() > MOST || one.bytes > MOST_BYTES) {
                let Some((_, oldest)) = one.queue.pop_front() else {
                    break;
                };
                one.bytes -= oldest.len();
                one.missed += 1;
            }
        }
        for (client, missed) in waited {
            let (channel, message) = (channel.to_owned(), message.to_owned());
            let reply = Reply::Message {
                channel,
                message,
                missed,
            };
            self.answer(client, reply);
        }
        Reply::Count(reached)
    }

    pub(super) fn next(&mut self, client: Client, number: u64, wait: Option<u64>) -> Option<Reply> {
        let Some(one) = self.subscriptions.get_mut(&number) else {
            return Some(Reply::Failed(Trouble::NoSubscription));
        };
        if let Some((channel, message)) = one.queue.pop_front() {
            one.bytes -= message.len();
            return Some(Reply::Message {
                channel,
                message,
                missed: std::mem::take(&mut one.missed),
            });
        }
        if wait == Some(0) {
            return Some(Reply::TimedOut);
        }
        if one.waits.is_some() {
            let why = "another thread waits for the subscription's next message".to_owned();
            return Some(Reply::Failed(Trouble::Refused { why }));
        }
        one.waits = Some(client);
        self.wait(client, For::Message(number), wait, Reply::TimedOut)
    }

    /// The client waits no more for its next message.
    pub(super) fn stop_listening(&mut self, number: u64) -> Reply {
        if let Some(one) = self.subscriptions.get_mut(&number) {
            one.waits = None;
        }
        Reply::TimedOut
    }

    pub(super) fn channel_entries(&self, pattern: &str) -> Vec<Entry> {
        let mut channels: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for one in self.subscriptions.values() {
            let (count, since) = channels.entry(&one.pattern).or_insert((0, one.since));
            *count += 1;
            *since = one.since.min(*since);
        }
        let channels = channels.into_iter();
        let channels = channels.filter(|(name, _)| matches(pattern, name));
        channels
            .map(|(name, (count, since))| Entry {
                key: name.to_owned(),
                kind: EntryKind::Channel,
                count: Some(count),
                age: Some(self.now - since),
                ..Entry::default()
            })
            .collect()
    }
}
