//! The nodes of a cluster, as its session's threads see them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use super::message::{About, Pulse};
use super::{COMING, processor};
use crate::ids::Rank;
use crate::outcome::NodeFault;

/// A node that says it runs more engines than this is not taken at its word.
pub const MOST: u32 = 256;

/// A node, by its place among those that there were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(pub usize);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// It is being reached.
    Starting,
    Up,
    /// And why.
    Gone(NodeFault),
}

/// What is known of a node.
#[derive(Clone, Debug)]
pub struct NodeStatus {
    pub host: String,
    pub state: NodeState,
    pub about: Option<About>,
    /// The engines that it has.
    pub ranks: BTreeSet<Rank>,
    /// Since when it is waited for, and for how long.
    pub tried: Option<(Instant, Duration)>,
    /// What it has told last.
    pub pulse: Option<Pulse>,
    /// When.
    pub heard: Option<Instant>,
    /// A word there and back.
    pub round_trip: Option<Duration>,
    /// How far its clock is ahead of this host's, seconds.
    pub offset: Option<f64>,
}

impl NodeStatus {
    /// Engines that it may run.
    pub fn slots(&self) -> u32 {
        self.about.as_ref().map_or(0, |about| about.slots)
    }
}

#[derive(Default)]
struct Table {
    nodes: Vec<NodeStatus>,
    /// By what they call themselves on their subjects.
    numbers: BTreeMap<String, NodeId>,
}

pub struct Nodes {
    table: Mutex<Table>,
    /// Woken with every change that somebody may wait for.
    waker: Waker,
    /// Cells are compiled for this host's processor.
    native: AtomicBool,
    /// Hears of nodes that come by themselves, as they are called on their subjects, with their hosts; without one they are gone.
    told: OnceLock<Told>,
}

type Told = Box<dyn Fn(&str, Option<&str>) + Send + Sync>;

/// How long a node that an earlier session has met may take to say that it is there.
const THERE: Duration = Duration::from_secs(3);

impl Nodes {
    pub fn new(waker: Waker) -> Self {
        Self {
            table: Mutex::default(),
            waker,
            native: AtomicBool::new(false),
            told: OnceLock::new(),
        }
    }

    /// From now on this is told, see [`Self::told`].
    pub fn tell(&self, told: Told) {
        // It is one for all.
        let _ = self.told.set(told);
    }

    /// Tells of a node that nobody here has started.
    fn tell_of(&self, node: NodeId, is_there: bool) {
        let Some(told) = self.told.get() else { return };
        let table = self.table();
        let seat = table.seat(node).cloned();
        let host = table.nodes.get(node.0).map(|status| status.host.clone());
        drop(table);
        if let (Some(seat), Some(host)) = (seat, host)
            && is_own(&seat)
        {
            told(&seat, is_there.then_some(host.as_str()));
        }
    }

    /// Whether cells are compiled for this host's processor from now on; an error names the nodes that could not run them, and
    /// nothing has changed.
    pub fn are_for_this_processor(&self, native: bool) -> Result<(), Vec<(String, NodeFault)>> {
        let table = self.table();
        let up = table
            .nodes
            .iter()
            .filter(|node| node.state == NodeState::Up);
        let unfit = up.filter_map(|node| {
            let fault = processor::lacks(&node.about.as_ref()?.features)?;
            Some((node.host.clone(), fault))
        });
        let unfit: Vec<_> = if native { unfit.collect() } else { Vec::new() };
        if !unfit.is_empty() {
            return Err(unfit);
        }
        self.native.store(native, Ordering::Relaxed);
        Ok(())
    }

    pub fn for_this_processor(&self) -> bool {
        self.native.load(Ordering::Relaxed)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, node: NodeId, what: impl FnOnce(&mut NodeStatus)) {
        if let Some(status) = self.table().nodes.get_mut(node.0) {
            what(status);
        }
        self.waker.wake_by_ref();
    }

    /// Whether a node is waited for from now on: not while it is sent the program.
    pub fn waited_for(&self, node: NodeId, is_waited_for: bool) {
        self.change(node, |status| {
            status.tried = is_waited_for.then(|| (Instant::now(), COMING));
        });
    }

    /// Those that were waited for as long as they may be, and how long that was.
    pub fn late(&self) -> Vec<(NodeId, Duration)> {
        let late = |(at, status): (usize, &NodeStatus)| {
            let tried = status.tried.filter(|_| status.state == NodeState::Starting);
            let (since, patience) = tried?;
            (since.elapsed() > patience).then_some((NodeId(at), patience))
        };
        let table = self.table();
        table.nodes.iter().enumerate().filter_map(late).collect()
    }

    /// A node that does not come is none. One that came by itself, and is there after all, is a new one when it speaks.
    pub fn is_late(&self, node: NodeId, patience: Duration) {
        let seconds = patience.as_secs();
        self.gone(node, NodeFault::Silent { seconds });
        let is_another = |seat: &String, of: &mut NodeId| *of != node || !is_own(seat);
        self.table().numbers.retain(is_another);
    }

    /// A node will come; its number, of those from `first` on.
    pub fn expect(&self, host: &str, first: u32) -> (NodeId, u32) {
        let mut table = self.table();
        let node = table.add(host);
        let number = first.wrapping_add(node.0 as u32);
        table.numbers.insert(number.to_string(), node);
        (node, number)
    }

    /// A node that is called so on its subjects will come, or has. One that came to an earlier session by itself is not waited for
    /// long.
    pub fn expect_as(&self, seat: &str, host: &str) {
        let mut table = self.table();
        // It may have been quicker.
        if !table.numbers.contains_key(seat) {
            let node = table.add(host);
            if let Some(status) = table.nodes.get_mut(node.0)
                && is_own(seat)
            {
                status.tried = Some((Instant::now(), THERE));
            }
            table.numbers.insert(seat.to_owned(), node);
        }
        drop(table);
        self.waker.wake_by_ref();
    }

    /// The node with this number.
    pub fn of(&self, number: u32) -> Option<NodeId> {
        self.table().numbers.get(&number.to_string()).copied()
    }

    /// Its number, when it was given one.
    pub fn number(&self, node: NodeId) -> Option<u32> {
        self.table().seat(node)?.parse().ok()
    }

    /// Somebody with this number has spoken for the first time.
    pub fn meets(&self, number: &str) -> NodeId {
        let mut table = self.table();
        if let Some(node) = table.numbers.get(number) {
            return *node;
        }
        let node = table.add(number);
        table.numbers.insert(number.to_owned(), node);
        node
    }

    /// Whether one of this number was given up.
    pub fn was(&self, number: &str) -> bool {
        let table = self.table();
        let node = table
            .numbers
            .get(number)
            .and_then(|node| table.nodes.get(node.0));
        node.is_some_and(|node| matches!(node.state, NodeState::Gone(_)))
    }

    pub fn joined(&self, node: NodeId, about: About) {
        self.change(node, |status| {
            // Given up meanwhile.
            if status.state != NodeState::Starting {
                return;
            }
            status.host.clone_from(&about.host);
            let slots = about.slots.min(MOST);
            status.about = Some(About { slots, ..about });
            status.state = NodeState::Up;
        });
        self.tell_of(node, true);
    }

    pub fn refused(&self, node: NodeId, about: About, why: NodeFault) {
        self.change(node, |status| {
            status.host = about.host;
            status.state = NodeState::Gone(why);
        });
        self.tell_of(node, false);
    }

    /// It is not one any more; its host.
    pub fn gone(&self, node: NodeId, why: NodeFault) -> String {
        self.change(node, |status| {
            if !matches!(status.state, NodeState::Gone(_)) {
                status.state = NodeState::Gone(why);
            }
        });
        self.tell_of(node, false);
        self.host(node)
    }

    /// The nodes of a host, `user@host` or the host alone, that are so.
    pub fn of_host(&self, host: &str, is_so: impl Fn(&NodeState) -> bool) -> Vec<NodeId> {
        let table = self.table();
        let is_of = |node: &NodeStatus| {
            let name = node.host.rsplit_once('@').map(|(_, name)| name);
            is_so(&node.state) && (node.host == host || name == Some(host))
        };
        let of = { table.nodes.iter().enumerate() }.filter(|(_, node)| is_of(node));
        of.map(|(at, _)| NodeId(at)).collect()
    }

    /// One that is gone is as if the user had taken it out.
    pub fn forget(&self, node: NodeId) {
        self.change(node, |status| {
            status.state = NodeState::Gone(NodeFault::Removed);
        });
    }

    pub fn host(&self, node: NodeId) -> String {
        let table = self.table();
        let host = table.nodes.get(node.0).map(|node| node.host.clone());
        host.unwrap_or_default()
    }

    /// Its answer to a beat. `monotonic`: this host's clock, nanoseconds; `now`: since 1970.
    pub fn feels(&self, node: NodeId, pulse: &Pulse, monotonic: u64, now: Duration) {
        let round_trip = Duration::from_nanos(monotonic.saturating_sub(pulse.sent));
        let answered = now.saturating_sub(round_trip / 2);
        let mut table = self.table();
        if let Some(status) = table.nodes.get_mut(node.0) {
            status.heard = Some(Instant::now());
            status.round_trip = Some(round_trip);
            status.offset = Some(pulse.now.as_secs_f64() - answered.as_secs_f64());
            status.pulse = Some(pulse.clone());
        }
    }

    pub fn all(&self) -> Vec<NodeStatus> {
        self.table().nodes.clone()
    }

    /// Why there is none, when that is one cause for all.
    pub fn why_none(&self) -> NodeFault {
        let table = self.table();
        let mut faults = table.nodes.iter().filter_map(|status| match &status.state {
            NodeState::Gone(why) => Some(why),
            _ => None,
        });
        let of_all =
            |why: &&NodeFault| matches!(why, NodeFault::TakenOver { .. } | NodeFault::NoHolder);
        faults.find(of_all).cloned().unwrap_or(NodeFault::NoneLeft)
    }

    /// Where an engine of this rank is to run: where it was as long as that is up, or else on the first node with a free
    /// place; when all are full, where the fewest are beyond their places.
    pub fn place(&self, rank: Rank) -> Option<NodeId> {
        let mut table = self.table();
        let is_up = |status: &NodeStatus| status.state == NodeState::Up;
        let had = |status: &NodeStatus| status.ranks.contains(&rank) && is_up(status);
        let found = table.nodes.iter().position(had).or_else(|| {
            for status in &mut table.nodes {
                status.ranks.remove(&rank);
            }
            let free = |status: &NodeStatus| i64::from(status.slots()) - status.ranks.len() as i64;
            let nodes = table
                .nodes
                .iter()
                .enumerate()
                .filter(|(_, node)| is_up(node));
            let best = nodes.max_by_key(|(at, node)| (free(node).min(1), Reverse(*at)));
            best.map(|(at, _)| at)
        })?;
        table.nodes[found].ranks.insert(rank);
        Some(NodeId(found))
    }

    /// Engines have other ranks now, or none.
    pub fn renumber(&self, now: impl Fn(Rank) -> Option<Rank>) {
        for status in &mut self.table().nodes {
            status.ranks = status.ranks.iter().filter_map(|rank| now(*rank)).collect();
        }
    }
}

impl Table {
    /// What a node is called on its subjects.
    fn seat(&self, node: NodeId) -> Option<&String> {
        let mut seats = self.numbers.iter();
        seats.find_map(|(seat, of)| (*of == node).then_some(seat))
    }

    fn add(&mut self, host: &str) -> NodeId {
        self.nodes.push(NodeStatus {
            host: host.to_owned(),
            state: NodeState::Starting,
            about: None,
            ranks: BTreeSet::new(),
            tried: Some((Instant::now(), COMING)),
            pulse: None,
            heard: None,
            round_trip: None,
            offset: None,
        });
        NodeId(self.nodes.len() - 1)
    }
}

/// Whether a node has called itself so, and is none that was started with a number.
fn is_own(seat: &str) -> bool {
    seat.parse::<u32>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(slots: u32) -> About {
        About {
            version: 1,
            host: String::new(),
            pid: 1,
            slots,
            cores: 1,
            memory: 0,
            libc: String::new(),
            architecture: String::new(),
            features: BTreeSet::new(),
            is_durable: false,
        }
    }

    #[test]
    fn nodes_are_filled_one_after_the_other_and_then_evenly() {
        let nodes = Nodes::new(Waker::noop().clone());
        for (host, slots) in [("node1", 2), ("node2", 3)] {
            let (node, _) = nodes.expect(host, 0);
            nodes.joined(node, about(slots));
        }
        let mut places: Vec<usize> = (0..9)
            .filter_map(|rank| Some(nodes.place(Rank(rank))?.0))
            .collect();
        assert_eq!(places, [0, 0, 1, 1, 1, 0, 1, 0, 1]);
        // Those of a node that is gone go to the others.
        nodes.gone(NodeId(0), NodeFault::NoHolder);
        places = (0..2)
            .filter_map(|rank| Some(nodes.place(Rank(rank))?.0))
            .collect();
        assert_eq!(places, [1, 1]);
    }
}
