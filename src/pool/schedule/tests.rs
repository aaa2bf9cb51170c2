//! Schedules played against simulated engines.

use super::*;

/// What came of a simulated map.
struct Played {
    /// Per worker the items it finished.
    finished: Vec<Vec<u64>>,
    failed: Vec<u64>,
    wall: f64,
    sent: usize,
}

/// Plays a schedule; `kill` says at which item of a piece the engine dies.
fn play(
    mut schedule: Schedule,
    costs: &[f64],
    mut kill: impl FnMut(usize, Piece) -> Option<u64>,
) -> Played {
    let workers = schedule.workers.len();
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
            for decision in schedule.decide(&Elsewhere::default()) {
                match decision {
                    Decision::Pull { items, chunks } => {
                        for _ in 0..chunks {
                            let left = costs.len() as u64 - schedule.pulled;
                            schedule.pulled(items.min(left), items >= left);
                            if items >= left {
                                break;
                            }
                        }
                        pulled = true;
                    }
                    Decision::Send { piece, worker } => {
                        played.sent += 1;
                        let cost = cost(schedule.piece(piece).unwrap());
                        free_at[worker] = f64::max(free_at[worker], played.wall) + cost;
                        queue.push((free_at[worker], worker, piece));
                    }
                    Decision::Finish => return played,
                    Decision::Stranded => panic!("stranded"),
                }
            }
        }
        queue.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (at, worker, number) = queue.pop().expect("no hang");
        played.wall = at;
        let piece = schedule.piece(number).unwrap();
        if let Some(item) = kill(worker, piece) {
            let given_up = schedule.died(worker, Some(item), false, true);
            played.failed.extend(given_up.iter().map(|one| one.item));
            schedule.revived(worker);
            queue.retain(|(_, other, _)| *other != worker);
            free_at[worker] = at;
            continue;
        }
        let busy = Duration::from_secs_f64(cost(piece));
        schedule.finished(worker, number, piece.items(), busy);
        played.finished[worker].extend(range(piece));
    }
}

fn dynamic(items: usize, workers: usize) -> Schedule {
    Schedule::new(Kind::Dynamic, Some(items as u64), None, workers)
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
            let schedule = Schedule::new(kind, Some(2000), fixed, 4);
            let mut random = fastrand::Rng::with_seed(seed);
            let played = play(schedule, &costs, |_, piece| {
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
    let fixed = Schedule::new(Kind::Static, Some(1000), None, 2);
    let dealt = play(fixed, &costs, |_, _| None);
    assert_eq!(
        dealt.finished.iter().map(Vec::len).collect::<Vec<_>>(),
        [500, 500]
    );
    assert!(dealt.wall > played.wall);
}

#[test]
fn a_static_schedule_gives_each_engine_its_block() {
    let fixed = Schedule::new(Kind::Static, Some(10), None, 3);
    assert_eq!(fixed.planned_chunks(), Some(3));
    let played = play(fixed, &[1.0; 10], |_, _| None);
    assert_eq!(
        played.finished,
        [vec![0, 1, 2], vec![3, 4, 5], vec![6, 7, 8, 9]]
    );
    let dealt = Schedule::new(Kind::Static, Some(10), Some(2), 3);
    let played = play(dealt, &[1.0; 10], |_, _| None);
    assert_eq!(played.finished[0], [0, 1, 6, 7]);
}

#[test]
fn a_stop_ends_when_what_runs_has_ended() {
    let mut schedule = Schedule::new(Kind::Dynamic, Some(100), Some(5), 1);
    schedule.decide(&Elsewhere::default());
    schedule.pulled(5, false);
    let [Decision::Send { piece, .. }, ..] = schedule.decide(&Elsewhere::default())[..] else {
        panic!()
    };
    schedule.stop();
    assert_eq!(schedule.decide(&Elsewhere::default()), []);
    schedule.finished(0, piece, 2, Duration::ZERO);
    assert_eq!(schedule.decide(&Elsewhere::default()), [Decision::Finish]);
    assert_eq!(schedule.done(), 2);
}

#[test]
fn no_engine_left_is_told_and_no_input_is_a_finished_map() {
    let mut schedule = dynamic(9, 1);
    schedule.died(0, None, false, false);
    assert_eq!(schedule.decide(&Elsewhere::default()), [Decision::Stranded]);
    assert_eq!(
        dynamic(0, 2).decide(&Elsewhere::default()),
        [Decision::Finish]
    );
}

/// Items of each process, where one does `limit` of them before another takes its place.
fn renewed_after(limit: u64, mut schedule: Schedule, items: u64) -> Vec<Vec<u64>> {
    let mut over = Vec::new();
    let mut under_way = vec![Vec::new(); schedule.workers.len()];
    let mut left = vec![limit; under_way.len()];
    let mut sent: VecDeque<(usize, u32)> = VecDeque::new();
    schedule.pull_at_most(limit);
    loop {
        schedule.has_left(left.iter().copied().map(Some));
        let decisions = schedule.decide(&Elsewhere::default());
        let pulled = decisions
            .iter()
            .any(|one| matches!(one, Decision::Pull { .. }));
        for decision in decisions {
            match decision {
                Decision::Pull { items: size, .. } => {
                    let rest = items - schedule.pulled;
                    schedule.pulled(size.min(rest), size >= rest);
                    schedule.pulling = 0;
                }
                Decision::Send { piece, worker } => {
                    left[worker] -= schedule.piece(piece).unwrap().items();
                    sent.push_back((worker, piece));
                }
                Decision::Finish => {
                    over.extend(under_way);
                    return over;
                }
                Decision::Stranded => panic!("stranded"),
            }
        }
        let Some((worker, number)) = sent.pop_front() else {
            assert!(pulled, "it hangs");
            continue;
        };
        let piece = schedule.piece(number).unwrap();
        let first = piece.span.first;
        under_way[worker].extend(first + piece.span.from..first + piece.span.to);
        schedule.finished(
            worker,
            number,
            piece.items(),
            Duration::from_micros(piece.items()),
        );
        if left[worker] == 0 && schedule.held(worker) == 0 {
            over.push(std::mem::take(&mut under_way[worker]));
            schedule.renewed(worker);
            schedule.revived(worker);
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
            let schedule = Schedule::new(kind, Some(items), fixed, workers);
            let processes = renewed_after(limit, schedule, items);
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
