//! Ranks on threads of the test, in a world of its own: no engine, no session.

use std::ffi::c_void;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use super::*;
use crate::engine::comm::{Into, Transport};
use crate::wire::memory_file;
use crate::wire::world::{Layout, MAGIC, State, Word, block, header};

/// More than a ring holds.
const MUCH: usize = 3 << 20;

fn world(size: u32) -> Arc<World> {
    let (file, layout) = (memory_file().expect("memory"), Layout::of(size));
    file.set_len(layout.length()).expect("room");
    for (at, number) in [(header::MAGIC, MAGIC), (header::SIZE, size.into())] {
        file.write_all_at(&number.to_ne_bytes(), at).expect("room");
    }
    Arc::new(World::open(file.into()).expect("a world"))
}

/// A cell begins on all ranks.
fn run(world: &World, run: u64) {
    let state = State::Running;
    for rank in 0..world.size() {
        let word = Word { run, state }.number();
        world.of(rank, block::HUB).store(word, Ordering::SeqCst);
    }
}

/// The ranks of a new world, in their first cell.
fn ranks<const N: usize>() -> [Shared; N] {
    let world = world(N as u32);
    run(&world, 1);
    let mut rank = 0;
    [(); N].map(|()| {
        let mut shared = Shared::new(world.clone(), rank, Way::Memory);
        Transport::begin(&mut shared);
        rank += 1;
        shared
    })
}

fn of(peer: u32) -> Envelope {
    Envelope {
        peer,
        kind: Kind::ENCODED,
        name: Bytes::of(b"Bytes"),
        ..NOBODY
    }
}

extern "C" fn room(to: *mut c_void, _: u64, bytes: u64) -> *mut u8 {
    // SAFETY: it is the vector of `into`, which lives for the call.
    let to = unsafe { &mut *to.cast::<Vec<u8>>() };
    *to = vec![0; bytes as usize];
    to.as_mut_ptr()
}

fn into(to: &mut Vec<u8>) -> Into {
    Into {
        ctx: std::ptr::from_mut(to).cast(),
        room,
    }
}

/// Who has sent it, and how many bytes.
fn recv(rank: &mut Shared, from: u32) -> Result<(u32, usize), Trouble> {
    let mut value = Vec::new();
    let got = rank.recv(&of(from), into(&mut value))?;
    assert!(value.iter().all(|byte| *byte == value[0]));
    Ok((got.from, value.len()))
}

fn nap() {
    std::thread::sleep(Duration::from_millis(400));
}

#[test]
fn who_receives_from_any_waits_for_those_that_have_not_left() {
    let [mut master, mut quick, mut slow] = ranks();
    std::thread::scope(|scope| {
        let work = |rank: &mut Shared| {
            assert_eq!(recv(rank, 0).expect("work"), (0, MUCH));
            rank.send(&of(0), &[1]).expect("room");
            rank.end();
        };
        scope.spawn(move || work(&mut quick));
        scope.spawn(move || {
            nap();
            work(&mut slow);
        });
        for to in [1, 2] {
            master.post_send(&of(to), &vec![7; MUCH]).expect("a rank");
        }
        assert_eq!(recv(&mut master, ANY_RANK).expect("an answer"), (1, 1));
        assert_eq!(recv(&mut master, ANY_RANK).expect("an answer"), (2, 1));
        master.end();
    });
}

#[test]
fn who_waits_for_one_that_has_left_hears_of_it_also_when_others_are_there() {
    let [mut first, mut second, third] = ranks();
    second.end();
    first.post_send(&of(2), &vec![7; MUCH]).expect("a rank");
    let trouble = recv(&mut first, 1).expect_err("it has left");
    assert!(
        trouble.text().contains("rank 1 has left the cell"),
        "{trouble:?}"
    );
    // A send and a receive in one: the one is there, and the other is not.
    for (to, from) in [(1, 2), (2, 1)] {
        let mut value = Vec::new();
        let trouble = first
            .sendrecv(&of(to), &vec![7; MUCH], &of(from), into(&mut value))
            .expect_err("it has left");
        assert!(
            trouble.text().contains("rank 1 has left the cell"),
            "{trouble:?}"
        );
    }
    drop(third);
}

#[test]
fn what_was_posted_goes_to_those_that_are_there() {
    let [mut first, mut gone, mut slow] = ranks();
    let world = first.world.clone();
    std::thread::scope(|scope| {
        let slow = scope.spawn(move || {
            nap();
            let got = recv(&mut slow, 0);
            slow.end();
            got
        });
        gone.end();
        for to in [1, 2] {
            first.post_send(&of(to), &vec![7; MUCH]).expect("a rank");
        }
        first.end();
        let got = slow.join().expect("no panic");
        assert_eq!(got.expect("all of it"), (0, MUCH));
    });
    // What the other one has of its message is none.
    run(&world, 2);
    Transport::begin(&mut first);
    Transport::begin(&mut gone);
    assert_eq!(gone.unreceived(false).len(), 0);
    assert!(gone.probe(&of(0), false).expect("no trouble").is_none());
    first.send(&of(1), &[9; 4]).expect("room");
    assert!(gone.probe(&of(0), false).expect("no trouble").is_some());
    assert_eq!(recv(&mut gone, 0).expect("a message"), (0, 4));
}

#[test]
fn what_was_cut_is_no_message_of_a_later_cell() {
    for posted in [false, true] {
        let [mut first, mut gone] = ranks();
        gone.end();
        first.post_send(&of(1), &vec![7; MUCH]).expect("a rank");
        first.end();
        // It takes in what there is of it.
        gone.unreceived(false);
        run(&first.world, 2);
        Transport::begin(&mut first);
        Transport::begin(&mut gone);
        let request = posted.then(|| gone.post_recv(&of(0)).expect("a rank"));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                nap();
                first.send(&of(1), &[9; 4]).expect("room");
            });
            let Some(request) = request else {
                assert_eq!(recv(&mut gone, 0).expect("a message"), (0, 4));
                return;
            };
            let mut value = Vec::new();
            let got = gone.complete(&of(0), request, true, into(&mut value));
            assert_eq!(got.expect("a message").expect("it waited").bytes, 4);
        });
    }
}

/// As when a panic of the sender's call was caught.
#[test]
fn who_waits_for_the_rest_of_a_message_gets_the_next_one_when_that_comes() {
    let [mut first, mut second] = ranks();
    std::thread::scope(|scope| {
        let second = scope.spawn(move || recv(&mut second, 0));
        first.post_send(&of(1), &vec![7; MUCH]).expect("a rank");
        first.drop_unsent();
        nap();
        first.send(&of(1), &[9; 4]).expect("room");
        assert_eq!(second.join().expect("no panic").expect("a message"), (0, 4));
    });
}

#[test]
fn polls_of_one_that_has_left_end_as_a_wait_does() {
    let [mut first, mut second, mut third] = ranks();
    second.send(&of(0), &[1]).expect("room");
    second.end();
    let one = first.post_recv(&of(1)).expect("a rank");
    let (two, any) = (
        first.post_recv(&of(1)).expect("a rank"),
        first.post_recv(&of(ANY_RANK)).expect("a rank"),
    );
    let mut value = Vec::new();
    let mut test = |rank: &mut Shared, peer, request| {
        rank.complete(&of(peer), request, false, into(&mut value))
    };
    // What has come before it left is there.
    assert!(test(&mut first, 1, one).expect("no trouble").is_some());
    let left = "rank 1 has left the cell";
    let trouble = until_trouble(|| test(&mut first, 1, two).map(|got| got.is_none()));
    assert!(trouble.text().contains(left), "{trouble:?}");
    let trouble = until_trouble(|| first.probe(&of(1), false).map(|got| got.is_none()));
    assert!(trouble.text().contains(left), "{trouble:?}");
    let trouble = until_trouble(|| {
        std::thread::sleep(Duration::from_millis(2));
        first
            .await_any(&of(1), &[two], false)
            .map(|it| it.is_none())
    });
    assert!(trouble.text().contains(left), "{trouble:?}");
    // The third may send something yet.
    let since = std::time::Instant::now();
    while since.elapsed() < Duration::from_secs(1) {
        assert!(
            test(&mut first, ANY_RANK, any)
                .expect("no trouble")
                .is_none()
        );
        assert!(first.probe(&of(2), false).expect("no trouble").is_none());
    }
    third.end();
    until_trouble(|| test(&mut first, ANY_RANK, any).map(|got| got.is_none()));
}

/// Polls until that ends.
fn until_trouble(mut poll: impl FnMut() -> Result<bool, Trouble>) -> Trouble {
    let since = std::time::Instant::now();
    loop {
        assert!(
            since.elapsed() < Duration::from_secs(20),
            "it polls for ever"
        );
        match poll() {
            Ok(is_in_vain) => assert!(is_in_vain),
            Err(trouble) => return trouble,
        }
    }
}
