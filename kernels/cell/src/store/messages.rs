//! Channels.

use std::marker::PhantomData;

use serde::{Serialize, de::DeserializeOwned};

use super::call::{Call, Reply};
use super::wait::{FOREVER, Wait};
use super::{call, count_of, json, read, refused};

/// Sends a message to all who have subscribed the channel by now; how many these are. Nobody else gets it.
///
/// # Panics
/// When the message is no JSON, or the store is out of reach.
#[track_caller]
pub fn publish(channel: &str, message: impl Serialize) -> usize {
    count_of(call(&Call::Publish {
        channel: channel.to_owned(),
        message: json(channel, &message),
    }))
}

/// From now on gets the messages of the channels whose names match: a name, or a pattern as of [`super::keys`].
///
/// # Panics
/// When the store is out of reach.
#[track_caller]
pub fn subscribe<T: DeserializeOwned>(channel: &str) -> Subscription<T> {
    let pattern = channel.to_owned();
    match call(&Call::Subscribe { pattern }) {
        Reply::Subscribed { subscription } => Subscription {
            subscription,
            missed: 0,
            of: PhantomData,
        },
        other => refused(other, ""),
    }
}

/// The messages of one who has subscribed, in order: an iterator that waits for each and has no end, but for Ctrl-C. Those
/// that nobody takes wait in the store: 100000 or 64 MB of them, then the oldest go.
#[derive(Debug)]
pub struct Subscription<T> {
    subscription: u64,
    missed: u64,
    of: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Subscription<T> {
    /// The next message, if one comes within the time.
    ///
    /// # Panics
    /// When it is of another type, or Ctrl-C ends the wait.
    #[track_caller]
    pub fn next_within(&mut self, timeout: impl Into<Wait>) -> Option<T> {
        self.next_from(timeout).map(|(_, message)| message)
    }

    /// The same with the name of its channel.
    ///
    /// # Panics
    /// As [`Subscription::next_within`].
    #[track_caller]
    pub fn next_from(&mut self, timeout: impl Into<Wait>) -> Option<(String, T)> {
        let next = Call::Next {
            subscription: self.subscription,
            wait: timeout.into().milliseconds(),
        };
        match call(&next) {
            Reply::Message {
                channel,
                message,
                missed,
            } => {
                self.missed += missed;
                let message = read(&channel, &message);
                Some((channel, message))
            }
            Reply::TimedOut => None,
            other => refused(other, "it waited for a message"),
        }
    }
}

impl<T> Subscription<T> {
    /// How many messages were lost, because too many waited.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

impl<T: DeserializeOwned> Iterator for Subscription<T> {
    type Item = T;

    #[track_caller]
    fn next(&mut self) -> Option<T> {
        self.next_within(FOREVER)
    }
}

impl<T> Drop for Subscription<T> {
    fn drop(&mut self) {
        let _ = call(&Call::Unsubscribe {
            subscription: self.subscription,
        });
    }
}
