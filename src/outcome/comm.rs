//! Messages between ranks: what they have sent each other, as data.

/// What the ranks of a pool have sent each other since its world began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommTable {
    pub size: u32,
    /// `[from][to]`; empty when nobody has used `comm`.
    pub traffic: Vec<Vec<CommTraffic>>,
    /// Nanoseconds that each rank has waited for others.
    pub waited: Vec<u64>,
    /// Nanoseconds inside sends of much.
    pub sending: Vec<u64>,
    /// What each rank has last sent and waited for, in its last run.
    pub spans: Vec<Vec<CommSpan>>,
}

/// What one rank has sent to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommTraffic {
    pub messages: u64,
    pub bytes: u64,
    /// Bytes that collective calls have sent.
    pub collective_bytes: u64,
    /// Of the messages, those that nobody has received yet.
    pub unreceived: u64,
}

/// Time in which a rank was not computing; nanoseconds on the machine's monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommSpan {
    /// It waited for another rank; otherwise it sent.
    pub waits: bool,
    pub from: u64,
    pub to: u64,
}
