use super::*;
use crate::outcome::{CommAt, CommCall, CommReport, CommTable, CommTraffic};

fn wait(rank: u32, name: &'static str, on: &[u32]) -> CommWait {
    let collective = !["recv", "recv_any", "send"].contains(&name);
    CommWait {
        rank: Rank(rank),
        call: CommCall {
            name,
            collective,
            for_all: ["barrier", "all_reduce", "all_gather", "all_to_all", "split"].contains(&name),
        },
        on: on.iter().copied().map(Rank).collect(),
        tag: (!collective).then_some(0),
        type_name: if collective { "" } else { "i32" }.to_owned(),
        place: Some(format!("In [3]:{}", 2 + rank % 2)),
        comm: 0,
    }
}

fn stuck(waits: Vec<CommWait>, others: &[(u32, RankState)]) -> String {
    let others = others.iter().map(|(rank, state)| (Rank(*rank), *state));
    let it = CommTrouble::Stuck {
        waits,
        others: others.collect(),
    };
    trouble(&it, &Style::plain(80))
}

#[test]
fn two_that_wait_for_each_other_are_a_cycle() {
    let waits = vec![wait(0, "recv", &[1]), wait(1, "recv", &[0])];
    let shown = "\
deadlock: ranks 0 and 1 wait for each other
  ┌▶ rank 0  waits for rank 1 in recv  i32, tag 0  In [3]:2
  └─ rank 1  waits for rank 0 in recv  i32, tag 0  In [3]:3
  = help: one of them sends before it receives, as rank 0 does in a ring; `comm::sendrecv` does both at once
";
    assert_eq!(stuck(waits, &[]), shown);
}

#[test]
fn who_waits_for_the_cycle_stands_below_it() {
    let waits = vec![
        wait(0, "recv", &[3]),
        wait(1, "recv", &[2]),
        wait(2, "recv", &[3]),
        wait(3, "recv", &[1]),
    ];
    let shown = stuck(waits, &[]);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[0], "deadlock: ranks 1-3 wait for each other");
    assert!(
        lines[1].starts_with("  ┌▶ rank 1  waits for rank 2"),
        "{shown}"
    );
    assert!(
        lines[2].starts_with("  │  rank 2  waits for rank 3"),
        "{shown}"
    );
    assert!(
        lines[3].starts_with("  └─ rank 3  waits for rank 1"),
        "{shown}"
    );
    assert!(
        lines[4].starts_with("     rank 0  waits for rank 3"),
        "{shown}"
    );
}

#[test]
fn a_collective_names_who_has_not_reached_it() {
    let barrier = |rank| {
        let mut wait = wait(rank, "barrier", &[2]);
        wait.place = Some("In [3]:2".to_owned());
        wait
    };
    let all = vec![barrier(0), barrier(1), barrier(3)];
    let shown = "\
deadlock: ranks 0,1,3 wait for rank 2, which has left the cell
  ranks 0,1,3  wait for rank 2 in barrier  In [3]:2
  rank 2 has left the cell and has not reached barrier
  = help: every rank calls barrier, as often as the others: not behind `if rank == …`, a `return` or a `?`
";
    assert_eq!(stuck(all.clone(), &[(2, RankState::Left)]), shown);
    // Or it waits for one of them.
    let mut crossed = all;
    crossed.push(wait(2, "recv", &[0]));
    let shown = stuck(crossed, &[]);
    assert!(
        shown.contains("deadlock: ranks 0-3 wait for each other"),
        "{shown}"
    );
    assert!(
        shown.contains("┌▶ ranks 0,1,3  wait for rank 2 in barrier"),
        "{shown}"
    );
    assert!(
        shown.contains("└─ rank 2       waits for rank 0 in recv"),
        "{shown}"
    );
    assert!(
        shown.contains("   rank 2 has not reached barrier"),
        "{shown}"
    );
}

#[test]
fn ranks_that_wait_for_any_other_are_one_line() {
    let mut waits = vec![
        wait(0, "recv_any", &[1, 2]),
        wait(1, "recv_any", &[0, 2]),
        wait(2, "recv_any", &[0, 1]),
    ];
    for wait in &mut waits {
        wait.place = Some("In [3]:2".to_owned());
        wait.tag = None;
    }
    let shown = stuck(waits, &[]);
    assert!(
        shown.contains("╶▶ ranks 0-2  wait for any other rank in recv_any  i32, any tag  In [3]:2"),
        "{shown}"
    );
}

#[test]
fn a_long_ring_shows_its_beginning_and_its_end() {
    let ring = (0..64).map(|rank| wait(rank, "recv", &[(rank + 63) % 64]));
    let shown = stuck(ring.collect(), &[]);
    assert!(shown.lines().count() < 17, "{shown}");
    assert!(shown.contains("  │  … 52 more\n"), "{shown}");
    assert!(
        shown.contains("deadlock: ranks 0-63 wait for each other"),
        "{shown}"
    );
}

#[test]
fn long_types_do_not_break_the_drawing() {
    let mut waits = vec![wait(0, "recv", &[1]), wait(1, "recv", &[0])];
    for wait in &mut waits {
        wait.type_name = "HashMap<String, Vec<(u64, Option<BTreeMap<String, f64>>)>>".to_owned();
    }
    let shown = stuck(waits, &[]);
    let drawn: Vec<&str> = shown
        .lines()
        .take_while(|line| !line.contains("help"))
        .collect();
    assert!(drawn.iter().all(|line| text::width(line) <= 80), "{shown}");
    assert!(shown.contains("  │    HashMap<"), "{shown}");
    assert!(shown.contains("In [3]:3"), "{shown}");
}

#[test]
fn no_cycle_is_found_where_there_is_none_and_the_shortest_where_there_are_several() {
    let chain = [wait(0, "recv", &[1]), wait(1, "recv", &[2])];
    assert_eq!(Graph::of(&chain).cycle, 0);
    let two = [
        wait(0, "recv", &[1]),
        wait(1, "recv", &[2]),
        wait(2, "recv", &[0]),
        wait(3, "recv_any", &[0, 4]),
        wait(4, "recv", &[3]),
    ];
    let graph = Graph::of(&two);
    assert_eq!(graph.ranks_in_cycle(), [Rank(3), Rank(4)]);
    assert_eq!(graph.nodes.len(), 5);
    // It sends to itself what it never receives.
    let own = [wait(0, "recv", &[0])];
    assert_eq!(Graph::of(&own).ranks_in_cycle(), [Rank(0)]);
}

#[test]
fn both_types_and_both_places_are_named() {
    let it = CommTrouble::Mismatch {
        rank: Rank(1),
        call: CommCall {
            name: "recv",
            collective: false,
            for_all: false,
        },
        from: Rank(0),
        tag: 7,
        sent: "f64".to_owned(),
        sent_at: Some("In [3]:2".to_owned()),
        wanted: "i32".to_owned(),
        wanted_at: Some("In [3]:4".to_owned()),
    };
    let shown = trouble(&it, &Style::plain(80));
    let expected = "\
type mismatch: rank 1 expects i32 in recv, rank 0 has sent f64
  rank 0  sent f64  to rank 1, tag 7    In [3]:2
  rank 1  recv i32  from rank 0, tag 7  In [3]:4
";
    assert!(shown.starts_with(expected), "{shown}");
    assert_eq!(it.ranks(), [Rank(1)]);
}

#[test]
fn a_collective_call_has_no_tag_to_be_told_of() {
    let it = CommTrouble::Mismatch {
        rank: Rank(0),
        call: CommCall {
            name: "all_reduce",
            collective: true,
            for_all: true,
        },
        from: Rank(2),
        tag: -2,
        sent: "f32".to_owned(),
        sent_at: None,
        wanted: "u32".to_owned(),
        wanted_at: None,
    };
    let shown = trouble(&it, &Style::plain(80));
    assert!(!shown.contains("tag"), "{shown}");
    assert!(
        shown.contains("all ranks give all_reduce values of the same type"),
        "{shown}"
    );
}

fn report(size: u32) -> CommReport {
    let one = |from: u32, to: u32| CommTraffic {
        messages: u64::from((from + 1) % size == to) * 3,
        bytes: u64::from((from + 1) % size == to) * 24,
        collective_bytes: 0,
        unreceived: 0,
    };
    CommReport {
        pool: crate::ids::PoolName("p0".to_owned()),
        ranks: (0..size).map(Rank).collect(),
        table: CommTable {
            size,
            traffic: (0..size)
                .map(|from| (0..size).map(|to| one(from, to)).collect())
                .collect(),
            waited: vec![2_000_000; size as usize],
            ..CommTable::default()
        },
        unreceived: Vec::new(),
    }
}

#[test]
fn the_matrix_has_senders_as_rows() {
    let expected = "\
p0: 6 messages of 48 B sent
┌────────┬──────────┬──────────┬─────────┐
│ from   │     to 0 │     to 1 │  waited │
│ rank 0 │        · │ 3 (24 B) │ 2.00 ms │
│ rank 1 │ 3 (24 B) │        · │ 2.00 ms │
└────────┴──────────┴──────────┴─────────┘
";
    assert_eq!(table(&report(2), &Style::plain(80)), expected);
}

#[test]
fn many_ranks_are_listed_in_pairs() {
    let shown = table(&report(32), &Style::plain(80));
    assert!(shown.lines().all(|line| text::width(line) <= 80), "{shown}");
    assert!(shown.contains("messages"), "{shown}");
    let nothing = CommReport {
        table: CommTable::default(),
        ..report(2)
    };
    assert_eq!(
        table(&nothing, &Style::plain(80)),
        "the ranks of p0 have sent each other nothing\n"
    );
}

#[test]
fn of_chosen_ranks_all_receivers_are_shown() {
    let mut one = report(3);
    one.ranks = vec![Rank(0)];
    let drawn = table(&one, &Style::plain(80));
    assert!(drawn.contains("p0: 3 messages of 24 B sent"), "{drawn}");
    assert!(
        drawn.contains("to 2") && !drawn.contains("rank 1"),
        "{drawn}"
    );
    one.table.traffic[0].fill(CommTraffic::default());
    assert_eq!(
        table(&one, &Style::plain(80)),
        "rank 0 has sent nothing on p0\n"
    );
}

#[test]
fn who_is_in_which_call_stands_with_its_line() {
    let at = |ranks: &[u32], name: &'static str, comm: u32, number: u64| CommAt {
        ranks: ranks.iter().copied().map(Rank).collect(),
        call: CommCall {
            name,
            collective: true,
            for_all: name == "barrier",
        },
        type_name: if name == "scan" { "u32" } else { "" }.to_owned(),
        place: Some(format!("In [3]:{}", ranks[0])),
        comm,
        number,
    };
    let crossed = |calls: Vec<CommAt>| {
        let it = CommTrouble::Crossed {
            ended: Vec::new(),
            calls,
            waits: vec![wait(7, "recv", &[2])],
            others: vec![(Rank(8), RankState::Left)],
        };
        trouble(&it, &Style::plain(80))
    };
    let expected = "\
collective calls out of order: ranks 1,3,4 are in barrier, rank 2 in scan
  ranks 1,3,4  in barrier       In [3]:1
  rank 2       in scan     u32  In [3]:2
  rank 7  waits for rank 2 in recv  i32, tag 0  In [3]:3
  rank 8 has left the cell
  = help: all ranks of a communicator make the same collective calls in the same order
";
    let calls = vec![at(&[1, 3, 4], "barrier", 0, 1), at(&[2], "scan", 0, 1)];
    assert_eq!(crossed(calls), expected);
    // The same call, and yet another one.
    let shown = crossed(vec![at(&[1], "barrier", 0, 1), at(&[2], "barrier", 4, 1)]);
    assert!(
        shown
            .contains(": rank 1 is in barrier of all ranks, rank 2 in barrier of communicator 4\n"),
        "{shown}"
    );
    let shown = crossed(vec![at(&[1], "barrier", 0, 1), at(&[2], "barrier", 0, 2)]);
    assert!(
        shown.contains("barrier, its collective call 1, rank 2 in barrier, its collective call 2"),
        "{shown}"
    );
}
