//! Who waits for whom, as a graph whose nodes are ranks that wait for the same in the same call, and a cycle in it.

use std::collections::VecDeque;

use crate::ids::Rank;
use crate::outcome::CommWait;

/// Ranks that wait for the same, in the same call, at the same place.
pub(crate) struct Node<'a> {
    pub ranks: Vec<Rank>,
    /// What one of them waits for; of several that wait for any other rank, all that they wait for.
    pub wait: &'a CommWait,
}

pub(crate) struct Graph<'a> {
    /// Those of a shortest cycle come first, each before the one that it waits for; then the others, by rank.
    pub nodes: Vec<Node<'a>>,
    /// How many of them are in the cycle: the last of these waits for the first one.
    pub cycle: usize,
}

impl<'a> Graph<'a> {
    pub(crate) fn of(waits: &'a [CommWait]) -> Self {
        // Of those that wait for one rank, one alone may be in the cycle.
        let together = |wait: &CommWait| wait.call.collective || wait.on.len() > 1;
        let mut nodes: Vec<Node<'a>> = Vec::new();
        for wait in waits {
            let found = nodes.iter_mut().find(|node| alike(node.wait, wait));
            match found.filter(|_| together(wait)) {
                Some(node) => node.ranks.push(wait.rank),
                None => nodes.push(Node {
                    ranks: vec![wait.rank],
                    wait,
                }),
            }
        }
        let cycle = shortest_cycle(&nodes);
        let mut left: Vec<Option<Node<'a>>> = nodes.into_iter().map(Some).collect();
        let mut nodes: Vec<Node<'a>> = cycle.iter().filter_map(|node| left[*node].take()).collect();
        let count = nodes.len();
        for node in left.into_iter().flatten() {
            let same = |other: &&mut Node<'_>| alike(other.wait, node.wait);
            match nodes[count..].iter_mut().find(same) {
                Some(other) => other.ranks.extend(node.ranks),
                None => nodes.push(node),
            }
        }
        for node in &mut nodes {
            node.ranks.sort_unstable();
        }
        nodes[count..].sort_by_key(|node| node.ranks.first().copied());
        Self {
            nodes,
            cycle: count,
        }
    }

    pub(crate) fn ranks_in_cycle(&self) -> Vec<Rank> {
        let nodes = &self.nodes[..self.cycle];
        let mut ranks: Vec<Rank> = nodes.iter().flat_map(|node| &node.ranks).copied().collect();
        ranks.sort_unstable();
        ranks
    }
}

fn alike(one: &CommWait, other: &CommWait) -> bool {
    let same = one.call == other.call
        && one.tag == other.tag
        && one.type_name == other.type_name
        && one.place == other.place
        && one.comm == other.comm;
    if !same {
        return false;
    }
    if one.on == other.on {
        return true;
    }
    // Each of them waits for any other one.
    let whole = |wait: &CommWait| {
        let mut all = wait.on.clone();
        all.push(wait.rank);
        all.sort_unstable();
        all.dedup();
        all
    };
    let several = |wait: &CommWait| wait.on.len() > 1 && !wait.call.collective;
    several(one) && several(other) && whole(one) == whole(other)
}

/// Whom a node waits for.
fn next<'b>(nodes: &'b [Node<'_>], from: usize) -> impl Iterator<Item = usize> + 'b {
    let awaited = move |to: &Node<'_>| {
        to.ranks.iter().any(|rank| {
            let one = nodes[from].wait;
            // Alike ranks wait for any other than themselves.
            one.on.contains(rank)
                || std::ptr::eq(to.wait, one)
                    && to.ranks.len() > 1
                    && one.on.len() > 1
                    && !one.call.collective
        })
    };
    nodes
        .iter()
        .enumerate()
        .filter(move |(_, to)| awaited(to))
        .map(|(place, _)| place)
}

fn shortest_cycle(nodes: &[Node<'_>]) -> Vec<usize> {
    let mut best: Vec<usize> = Vec::new();
    for start in 0..nodes.len() {
        let mut before: Vec<Option<usize>> = vec![None; nodes.len()];
        let mut seen = vec![false; nodes.len()];
        let mut queue = VecDeque::from([start]);
        seen[start] = true;
        'search: while let Some(node) = queue.pop_front() {
            for to in next(nodes, node) {
                if to == start {
                    let mut path = vec![node];
                    while let Some(earlier) = before[path[path.len() - 1]] {
                        path.push(earlier);
                    }
                    path.reverse();
                    if best.is_empty() || path.len() < best.len() {
                        best = path;
                    }
                    break 'search;
                }
                if !seen[to] {
                    seen[to] = true;
                    before[to] = Some(node);
                    queue.push_back(to);
                }
            }
        }
    }
    best
}
