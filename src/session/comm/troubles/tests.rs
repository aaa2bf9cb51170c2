use super::*;

fn waits(call: Call, on: &[u32]) -> Waiting {
    Waiting {
        call,
        on: on.to_vec(),
        tag: Some(0),
        type_name: "alloc::string::String".to_owned(),
        place: None,
        comm: 0,
        members: Vec::new(),
        number: 0,
        since: 0,
        met: Vec::new(),
    }
}

#[test]
fn in_a_collective_all_wait_for_who_has_not_reached_it() {
    let told = CommTold::Deadlock {
        waits: vec![
            (1, waits(Call::AllReduce, &[0])),
            (2, waits(Call::AllReduce, &[0])),
            (3, waits(Call::AllReduce, &[1])),
            (4, waits(Call::Recv, &[3])),
        ],
        others: vec![(0, State::Left)],
    };
    let all = troubles(&[(Rank(1), told)]);
    let [CommTrouble::Stuck { waits, .. }] = &all[..] else {
        panic!("{all:?}");
    };
    let on = waits.iter().map(|it| it.on[0].0);
    assert_eq!(on.collect::<Vec<_>>(), [0, 0, 0, 3]);
}

#[test]
fn ranks_that_wait_for_one_that_is_gone_are_told_of_together() {
    let gone = |rank: u32| {
        let told = CommTold::Gone {
            waiting: waits(Call::Recv, &[1]),
            rank: 1,
            state: State::Left,
        };
        (Rank(rank), told)
    };
    let all = troubles(&[gone(2), gone(0)]);
    let [CommTrouble::Stuck { waits, others }] = &all[..] else {
        panic!("{all:?}");
    };
    assert_eq!(waits.iter().map(|it| it.rank.0).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(waits[0].type_name, "String");
    assert_eq!(others[..], [(Rank(1), RankState::Left)]);
    assert_eq!(all[0].ranks(), [Rank(0), Rank(2)]);
}

#[test]
fn a_rank_of_which_two_have_told_is_named_once() {
    let of = |on: &[u32]| waits(Call::Barrier, on);
    let both = CommTold::Deadlock {
        waits: vec![(0, of(&[1])), (2, of(&[1]))],
        others: vec![(1, State::Left)],
    };
    let one = CommTold::Deadlock {
        waits: vec![(2, of(&[1]))],
        others: vec![(1, State::Left)],
    };
    let all = troubles(&[(Rank(0), both), (Rank(2), one)]);
    let [CommTrouble::Stuck { waits, .. }] = &all[..] else {
        panic!("{all:?}");
    };
    assert_eq!(waits.iter().map(|it| it.rank.0).collect::<Vec<_>>(), [0, 2]);
}

#[test]
fn who_has_left_because_it_waited_in_vain_is_not_waited_for() {
    let gone = |rank: u32, of: u32| {
        let told = CommTold::Gone {
            waiting: waits(Call::AllGather, &[of]),
            rank: of,
            state: State::Left,
        };
        (Rank(rank), told)
    };
    // Rank 3 tells first, and has left when the others look.
    let all = troubles(&[gone(3, 1), gone(0, 1), gone(2, 3)]);
    let [CommTrouble::Stuck { waits, others }] = &all[..] else {
        panic!("{all:?}");
    };
    assert_eq!(waits.len(), 3);
    assert!(waits.iter().all(|it| it.on == [Rank(1)]), "{waits:?}");
    assert_eq!(others[..], [(Rank(1), RankState::Left)]);
}
