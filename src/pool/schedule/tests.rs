//! Schedules played against simulated engines.

use std::collections::VecDeque;

use super::*;
use crate::pool::assignment::{Assignment, Next};
use crate::pool::ledger::Piece;

fn assigned(kind: Kind, total: Option<u64>, fixed: Option<u64>, workers: usize) -> Assignment {
    Assignment::new(total, workers, Box::new(Schedule::new(kind, fixed)))
}

/// Shell commands, that many.
fn commands(total: u64, workers: usize) -> Assignment {
    let schedule = Schedule::new(Kind::Dynamic, Some(1)).of_commands(true);
    Assignment::new(Some(total), workers, Box::new(schedule))
}

/// The decisions; `None` at the end.
fn decide(assignment: &mut Assignment) -> Option<Vec<Decision>> {
    match assignment.next(&Elsewhere::default()) {
        Next::Do(decisions) => Some(decisions),
        Next::Finish => None,
        Next::Stranded => panic!("stranded"),
    }
}

/// What came of a simulated map.
struct Played {
    /// Per worker the items it finished.
    finished: Vec<Vec<u64>>,
    failed: Vec<u64>,
    wall: f64,
    sent: usize,
}

/// Plays a map; `kill` says at which item of a piece the engine dies.
fn play(
    mut map: Assignment,
    costs: &[f64],
    mut kill: impl FnMut(usize, Piece) -> Option<u64>,
) -> Played {
    let workers = map.ledger().workers();
    let mut played = Played {
        finished: vec![Vec::new(); workers],
        failed: Vec::new(),
        wall: 0.0,
        sent: 0,
    };
    let mut free_at = vec![0.0; workers];
    let mut queue: Vec<(f64, usize, u32)> = Vec::new();
    let range = |piece: Piece| piece.span.first + piece.span.from..piece.span.first + piece.span.to;
    let cost = |piece: Piece| -> f64 {
        let items = range(piece);
        costs[items.start as usize..items.end as usize].iter().sum()
    };
    loop {
        let mut pulled = true;
        while pulled {
            pulled = false;
            let Some(decisions) = decide(&mut map) else {
                return played;
            };
            for decision in decisions {
                match decision {
                    Decision::Pull { items, chunks } => {
                        for _ in 0..chunks {
                            let left = costs.len() as u64 - map.ledger().pulled();
                            map.pulled(items.min(left), items >= left);
                            if items >= left {
                                break;
                            }
                        }
                        pulled = true;
                    }
                    Decision::Send { piece, worker } => {
                        played.sent += 1;
                        let cost = cost(map.ledger().piece(piece).unwrap());
                        free_at[worker] = f64::max(free_at[worker], played.wall) + cost;
                        queue.push((free_at[worker], worker, piece));
                    }
                }
            }
        }
        queue.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (at, worker, number) = queue.pop().expect("no hang");
        played.wall = at;
        let piece = map.ledger().piece(number).unwrap();
        if let Some(item) = kill(worker, piece) {
            let given_up = map.died(worker, Some(item), false, true);
            played.failed.extend(given_up.iter().map(|one| one.item));
            map.revived(worker);
            queue.retain(|(_, other, _)| *other != worker);
            free_at[worker] = at;
            continue;
        }
        let busy = Duration::from_secs_f64(cost(piece));
        map.finished(worker, number, piece.items(), busy);
        played.finished[worker].extend(range(piece));
    }
}

fn dynamic(items: usize, workers: usize) -> Assignment {
    assigned(Kind::Dynamic, Some(items as u64), None, workers)
}

#[test]
fn six_uneven_items_are_balanced_one_by_one() {
    let fib = [39.1, 24.2, 14.9, 9.2, 5.7, 3.5].map(|cost| cost / 1000.0);
    let played = play(dynamic(6, 2), &fib, |_, _| None);
    assert_eq!(played.finished.iter().map(Vec::len).sum::<usize>(), 6);
    assert!(fib.iter().sum::<f64>() / played.wall > 1.95);
}

#[test]
fn every_item_is_done_once_whatever_dies() {
    for kind in [Kind::Dynamic, Kind::Static, Kind::Guided] {
        for seed in 1..60_u64 {
            let costs: Vec<f64> = (0..2000_u64)
                .map(|n| ((n * seed) % 17) as f64 * 1e-4 + 1e-6)
                .collect();
            let fixed = seed.is_multiple_of(3).then_some(seed % 20 + 1);
            let map = assigned(kind, Some(2000), fixed, 4);
            let mut random = fastrand::Rng::with_seed(seed);
            let played = play(map, &costs, |_, piece| {
                let span = piece.span;
                (random.u32(..).is_multiple_of(9))
                    .then(|| span.first + random.u64(span.from..span.to))
            });
            let mut items = played.finished.concat();
            // Some have ended three engines by chance.
            items.extend(&played.failed);
            items.sort_unstable();
            assert_eq!(items, (0..2000).collect::<Vec<_>>(), "{kind:?} {seed}");
        }
    }
}

#[test]
fn an_item_that_ends_every_engine_is_given_up_alone() {
    let costs = vec![1e-5; 5000];
    let deadly = [17, 18, 1234, 4999];
    let played = play(dynamic(5000, 3), &costs, |_, piece| {
        let items = piece.span.first + piece.span.from..piece.span.first + piece.span.to;
        deadly.into_iter().find(|item| items.contains(item))
    });
    let mut failed = played.failed.clone();
    failed.sort_unstable();
    assert_eq!(failed, deadly);
    assert_eq!(played.finished.concat().len(), 5000 - deadly.len());
}

#[test]
fn many_small_items_travel_in_few_chunks() {
    let played = play(dynamic(1_000_000, 2), &vec![50e-9; 1_000_000], |_, _| None);
    assert!(played.sent < 200, "{} chunks", played.sent);
}

#[test]
fn uneven_times_are_balanced_to_the_bound() {
    let mut random = fastrand::Rng::with_seed(7);
    let costs: Vec<f64> = (0..1000)
        .map(|_| {
            // Log-normal by Box and Muller.
            let (u, v) = (random.f64().max(1e-12), random.f64());
            let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
            0.003 * (1.5 * normal - 1.125).exp()
        })
        .collect();
    let longest = costs.iter().copied().fold(0.0, f64::max);
    let bound = f64::max(costs.iter().sum::<f64>() / 2.0, longest);
    let played = play(dynamic(1000, 2), &costs, |_, _| None);
    assert!(bound / played.wall > 0.97, "{}", bound / played.wall);
    let fixed = assigned(Kind::Static, Some(1000), None, 2);
    let dealt = play(fixed, &costs, |_, _| None);
    assert_eq!(
        dealt.finished.iter().map(Vec::len).collect::<Vec<_>>(),
        [500, 500]
    );
    assert!(dealt.wall > played.wall);
}

#[test]
fn a_static_schedule_gives_each_engine_its_block() {
    let fixed = assigned(Kind::Static, Some(10), None, 3);
    assert_eq!(fixed.planned_chunks(), Some(3));
    let played = play(fixed, &[1.0; 10], |_, _| None);
    assert_eq!(
        played.finished,
        [vec![0, 1, 2], vec![3, 4, 5], vec![6, 7, 8, 9]]
    );
    let dealt = assigned(Kind::Static, Some(10), Some(2), 3);
    let played = play(dealt, &[1.0; 10], |_, _| None);
    assert_eq!(played.finished[0], [0, 1, 6, 7]);
}

#[test]
fn a_stop_ends_when_what_runs_has_ended() {
    let mut map = assigned(Kind::Dynamic, Some(100), Some(5), 1);
    decide(&mut map);
    map.pulled(5, false);
    let decisions = decide(&mut map).unwrap();
    let [Decision::Send { piece, .. }, ..] = decisions[..] else {
        panic!()
    };
    map.stop();
    assert_eq!(decide(&mut map), Some(Vec::new()));
    map.finished(0, piece, 2, Duration::ZERO);
    assert_eq!(decide(&mut map), None);
    assert_eq!(map.ledger().settled(), 2);
}

#[test]
fn no_engine_left_is_told_and_no_input_is_a_finished_map() {
    let mut map = dynamic(9, 1);
    map.died(0, None, false, false);
    assert_eq!(map.next(&Elsewhere::default()), Next::Stranded);
    assert_eq!(decide(&mut dynamic(0, 2)), None);
}

/// A dead engine gets nothing dealt, whether it died before the inputs came or after.
#[test]
fn a_static_schedule_deals_around_the_dead() {
    for pulled_before in [false, true] {
        let mut map = assigned(Kind::Static, Some(6), Some(1), 3);
        let die = |map: &mut Assignment| drop(map.died(1, None, false, false));
        if !pulled_before {
            die(&mut map);
        }
        decide(&mut map);
        for _ in 0..6 {
            map.pulled(1, false);
        }
        if pulled_before {
            die(&mut map);
        }
        let mut finished = 0;
        while let Some(decisions) = decide(&mut map) {
            assert!(!decisions.is_empty(), "it hangs");
            for decision in decisions {
                if let Decision::Send { piece, worker } = decision {
                    map.finished(worker, piece, 1, Duration::from_millis(1));
                    finished += 1;
                }
            }
        }
        assert_eq!(finished, 6, "{pulled_before}");
    }
}

/// Items of each process, where one does `limit` of them before another takes its place.
fn renewed_after(limit: u64, mut map: Assignment, items: u64) -> Vec<Vec<u64>> {
    let mut over = Vec::new();
    let mut under_way = vec![Vec::new(); map.ledger().workers()];
    let mut left = vec![limit; under_way.len()];
    let mut sent: VecDeque<(usize, u32)> = VecDeque::new();
    map.pull_at_most(limit);
    loop {
        map.has_left(left.iter().copied().map(Some));
        let Some(decisions) = decide(&mut map) else {
            over.extend(under_way);
            return over;
        };
        let pulled = decisions
            .iter()
            .any(|one| matches!(one, Decision::Pull { .. }));
        for decision in decisions {
            match decision {
                Decision::Pull {
                    items: size,
                    chunks,
                } => {
                    for _ in 0..chunks {
                        let rest = items - map.ledger().pulled();
                        map.pulled(size.min(rest), size >= rest);
                    }
                }
                Decision::Send { piece, worker } => {
                    left[worker] -= map.ledger().piece(piece).unwrap().items();
                    sent.push_back((worker, piece));
                }
            }
        }
        let Some((worker, number)) = sent.pop_front() else {
            assert!(pulled, "it hangs");
            continue;
        };
        let piece = map.ledger().piece(number).unwrap();
        let first = piece.span.first;
        under_way[worker].extend(first + piece.span.from..first + piece.span.to);
        map.finished(
            worker,
            number,
            piece.items(),
            Duration::from_micros(piece.items()),
        );
        if left[worker] == 0 && map.ledger().held(worker) == 0 {
            over.push(std::mem::take(&mut under_way[worker]));
            map.renewed(worker);
            map.revived(worker);
            left[worker] = limit;
        }
    }
}

#[test]
fn a_process_does_no_more_items_than_it_may() {
    for kind in [Kind::Dynamic, Kind::Guided, Kind::Static] {
        for (limit, fixed, workers) in [
            (1, None, 2),
            (7, None, 3),
            (7, Some(3), 2),
            (4, Some(100), 1),
        ] {
            let items = 1000;
            let map = assigned(kind, Some(items), fixed, workers);
            let processes = renewed_after(limit, map, items);
            let case = format!("{kind:?} {limit} {fixed:?} {workers}");
            let full = |process: &&Vec<u64>| process.len() as u64 == limit;
            assert!(
                processes.iter().all(|one| one.len() as u64 <= limit),
                "{case}"
            );
            assert!(
                processes.iter().filter(full).count() as u64 >= items / limit - workers as u64,
                "{case}"
            );
            let mut all: Vec<u64> = processes.into_iter().flatten().collect();
            all.sort_unstable();
            assert_eq!(all, (0..items).collect::<Vec<_>>(), "{case}");
        }
    }
}

/// Gives inputs as they are asked for; the pieces that each worker is sent.
fn sent(map: &mut Assignment) -> Vec<Vec<u32>> {
    let mut sent = vec![Vec::new(); map.ledger().workers()];
    let mut pulled = true;
    while std::mem::take(&mut pulled) {
        for decision in decide(map).unwrap() {
            match decision {
                Decision::Pull { chunks, .. } => {
                    for _ in 0..chunks {
                        map.pulled(1, false);
                    }
                    pulled = true;
                }
                Decision::Send { piece, worker } => sent[worker].push(piece),
            }
        }
    }
    sent
}

#[test]
fn short_commands_wait_at_engines_and_long_ones_do_not() {
    for (milliseconds, least, most) in [(1, 12, 20), (5, 3, 4), (30, 1, 1)] {
        let mut map = commands(1000, 2);
        let first = sent(&mut map);
        let took = Duration::from_millis(milliseconds);
        map.finished(0, first[0][0], 1, took);
        sent(&mut map);
        for worker in 0..2 {
            let held = map.ledger().held(worker);
            assert!((least..=most).contains(&held), "{milliseconds} ms: {held}");
        }
    }
}

#[test]
fn an_engine_that_is_held_up_is_sent_nothing_before_its_command_ends() {
    let mut map = commands(1000, 2);
    let first = sent(&mut map);
    map.finished(0, first[0][0], 1, Duration::from_millis(1));
    let more = sent(&mut map);
    assert!(more[1].len() > 2);
    // The first one that it was sent goes on.
    assert_eq!(map.given_back(1, &more[1]), more[1].len() as u64);
    map.finished(0, more[0][0], 1, Duration::from_millis(1));
    let moved = sent(&mut map);
    assert!(moved[1].is_empty() && !moved[0].is_empty());
    assert_eq!(map.ledger().held(1), 1);
    map.finished(1, first[1][0], 1, Duration::from_millis(1));
    assert!(!sent(&mut map)[1].is_empty());
}
