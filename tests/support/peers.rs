//! Cells that give "ok" on every rank, whatever carries the messages: the cases of `tests/comm_peers.rs`.

/// Each gives "ok" on every rank, whatever carries the messages, and for any number of ranks from 3 on.
pub const CELLS: &[&str] = &[
    // Rows of every number and of no length at all; values that are no numbers, and that are empty.
    r#"
let (me, size) = (comm::rank(), comm::size());
let (next, before) = ((me + 1) % size, (me + size - 1) % size);
macro_rules! rows { ($($number:ty),+) => { $(
    for length in [0_usize, 1, 5, 400] {
        let row = |rank: u32| -> Vec<$number> { (0..length).map(|at| (at % 50 + rank as usize) as $number).collect() };
        let (mine, bytes) = (row(me), (length * size_of::<$number>()) as u64);
        let mut came = row(99);
        let status = comm::sendrecv_into(&mine[..], next, &mut came[..], before);
        assert_eq!((came, status.bytes), (row(before), bytes));
        let mut came = row(99);
        let status = comm::sendrecv_into(&mine[..], me, &mut came[..], me);
        assert_eq!((&came, status.from, status.bytes), (&mine, me, bytes));
        assert_eq!(comm::sendrecv(&mine, next, before), row(before));
        let mut all = if me == 1 { row(1) } else { vec![] };
        comm::broadcast(&mut all, 1);
        comm::broadcast(&mut all[..], 1);
        assert_eq!(all, row(1));
        assert_eq!(comm::all_gather(&mine), (0..size).map(row).collect::<Vec<_>>());
        let parts: Vec<Vec<$number>> = (0..size).map(row).collect();
        assert_eq!(comm::scatter(&parts, size - 1), mine);
        assert_eq!(comm::all_to_all(&parts), vec![mine.clone(); size as usize]);
        assert_eq!(comm::exscan(&row(0), comm::op::max), (me > 0).then(|| row(0)));
        assert_eq!(comm::reduce_scatter(&parts, comm::op::min), mine);
    }
)+ } }
rows!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64);
assert_eq!(comm::all_gather(&(me % 2 == 0)), (0..size).map(|rank| rank % 2 == 0).collect::<Vec<_>>());
assert_eq!(comm::all_gather(&char::from(b'a' + me as u8)).into_iter().collect::<String>(), "abcdefgh"[..size as usize]);
assert_eq!(comm::sendrecv(&vec![true, false], next, before), [true, false]);
assert!(comm::sendrecv(&Vec::<bool>::new(), me, me).is_empty());
assert_eq!(comm::sendrecv(&[0_u64; 0], next, before), [0; 0]);
assert_eq!(comm::all_reduce(&[0_f32; 0], comm::op::sum), [0.0; 0]);
assert_eq!(comm::gather(&String::new(), 0), (me == 0).then(|| vec![String::new(); size as usize]));
assert_eq!(comm::all_to_all(&vec![(); size as usize]).len(), size as usize);
assert_eq!(comm::reduce(&u128::from(me), |a, b| a.max(b), 1), (me == 1).then(|| u128::from(size - 1)));
"#,
    // A message of a request that is dropped is there for others: for the next one, or where it stood among the others.
    r#"
let me = comm::rank();
let posted = || [comm::irecv::<u8>(me), comm::irecv::<u8>(me), comm::irecv::<u8>(me)];
let sent = || for value in 1..=3_u8 { comm::send(&value, me); };
let came = || [0; 3].map(|_| comm::recv::<u8>(me));
let three = posted();
sent();
drop(three);
assert_eq!(came(), [1, 2, 3]);
let [a, b, c] = posted();
sent();
drop(b);
drop(c);
drop(a);
assert_eq!(came(), [1, 2, 3]);
sent();
let [a, b, c] = [0; 3].map(|_| comm::mprobe(me));
drop(a);
drop(b);
assert_eq!(c.recv::<u8>(), 3);
sent();
assert_eq!([0; 5].map(|_| comm::recv::<u8>(me)), [1, 2, 1, 2, 3]);
// Others wait for it already.
let [a, b, c] = posted();
comm::send(&1_u8, me);
drop(a);
comm::send(&2_u8, me);
assert_eq!((b.wait(), c.wait()), (1, 2));
let a = comm::irecv_tag::<u8>(me, 5);
let b = comm::irecv_any::<u8>();
comm::send_tag(&1_u8, me, 5);
drop(a);
assert_eq!(b.wait_status().1.tag, 5);
// A long one, amid its coming.
let (next, before) = ((me + 1) % comm::size(), (me + comm::size() - 1) % comm::size());
comm::barrier();
let (a, b) = (comm::irecv::<Vec<u64>>(before), comm::irecv::<Vec<u64>>(before));
let long = comm::isend(&vec![7_u64; 500_000], next);
assert!(comm::iprobe_any().is_none());
drop(a);
assert_eq!(b.wait(), vec![7; 500_000]);
long.wait();
assert!(comm::iprobe_any().is_none());
comm::barrier();
"#,
    // Very many requests, completed in another order than they were made; those that have given their value are over.
    r#"
let (me, size) = (comm::rank(), comm::size());
let (next, before) = ((me + 1) % size, (me + size - 1) % size);
const COUNT: i32 = 256;
let mut sends: Vec<_> = (0..COUNT).map(|at| comm::isend_tag(&[at, at + 1, at + 2, at + 3], next, at % 7)).collect();
let mut receives: Vec<_> = (0..COUNT).rev().map(|at| comm::irecv_tag::<[i32; 4]>(before, at % 7)).collect();
let mut came = Vec::new();
while let Some((_, row)) = comm::wait_any(&mut receives) { came.push(row); }
while comm::wait_any(&mut sends).is_some() {}
assert_eq!((comm::test_all(&mut sends), comm::test_all(&mut receives)), (Some(vec![]), Some(vec![])));
assert_eq!((comm::wait_some(&mut receives), comm::test_any(&mut receives)), (vec![], None));
came.sort();
assert_eq!(came, (0..COUNT).map(|at| [at, at + 1, at + 2, at + 3]).collect::<Vec<_>>());
assert!(sends.iter_mut().all(comm::SendRequest::test) && receives.iter_mut().all(|it| it.test().is_none()));
sends.into_iter().for_each(comm::SendRequest::wait);
// Within a tag in the order of sending, whichever of two tags is asked for first.
let sends: Vec<_> = (0..40).map(|at| comm::isend_tag(&at, next, at % 2)).collect();
let odd: Vec<i32> = (0..20).map(|_| comm::recv_tag(before, 1)).collect();
let even: Vec<i32> = (0..20).map(|_| comm::recv_tag(before, 0)).collect();
assert_eq!((odd, even), ((0..20).map(|at| 2 * at + 1).collect(), (0..20).map(|at| 2 * at).collect()));
comm::wait_all(sends);
comm::barrier();
// From any rank, also from itself.
let mut futures: Vec<_> = (0..size).map(|_| comm::irecv_any::<u32>()).collect();
for to in 0..size { comm::isend(&me, to).wait(); }
let mut from: Vec<u32> = Vec::new();
while let Some((_, rank)) = comm::wait_any(&mut futures) { from.push(rank); }
from.sort();
assert_eq!(from, (0..size).collect::<Vec<_>>());
comm::barrier();
"#,
    // What was sent by requests that nobody keeps is given back once it has gone.
    r#"
let (me, size) = (comm::rank(), comm::size());
let resident = || -> i64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<i64>().unwrap() * 4096
};
let row = vec![1.5_f64; 400_000];
let mut came = row.clone();
comm::barrier();
let begun = resident();
for _ in 0..60 {
    drop(comm::isend(&row, (me + 1) % size));
    comm::recv_into(&mut came, (me + size - 1) % size);
    comm::barrier();
}
let grown = resident() - begun;
assert!(grown < 100_000_000, "{grown} more bytes for 60 messages of 3.2 MB");
// Also one that nobody has received yet goes.
let later = me.to_string().repeat(1_000_000);
drop(comm::isend(&later, (me + 1) % size));
comm::barrier();
assert_eq!(comm::recv::<String>((me + size - 1) % size).len(), 1_000_000);
"#,
    // Communicators: of some, of one, in another order, of a communicator; colors and keys as large as they can be.
    r#"
let (me, size) = (comm::rank(), comm::size());
let some = comm::split(if me == 1 { comm::UNDEFINED } else { u32::MAX - 1 }, i64::MIN + i64::from(me));
assert_eq!(some == comm::NULL, me == 1);
if some != comm::NULL {
    assert_eq!((some.rank(), some.size()), (me - u32::from(me > 1), size - 1));
    assert_eq!(some.all_gather(&me), (0..size).filter(|rank| *rank != 1).collect::<Vec<_>>());
}
assert_eq!(comm::split(comm::UNDEFINED, 0), comm::NULL);
let same = comm::split(7, 7);
assert_eq!((same.rank(), same.size()), (me, size));
let back = same.split(0, i64::MAX - i64::from(me));
assert_eq!((back.rank(), back.size()), (size - 1 - me, size));
assert_eq!(back.all_reduce(&me.to_string(), |a, b| a + &b), (0..size).rev().map(|it| it.to_string()).collect::<String>());
let two = back.split(me / 2, i64::from(me));
assert_eq!(two.all_gather(&me), (me / 2 * 2..size.min(me / 2 * 2 + 2)).collect::<Vec<_>>());
// The same tag in each of them, the innermost first.
for (value, comm) in [comm::WORLD, same, back, two].into_iter().enumerate() { comm.send_tag(&value, comm.rank(), 3); }
for (value, comm) in [comm::WORLD, same, back, two].into_iter().enumerate().rev() {
    assert_eq!(comm.probe_tag(comm.rank(), 3).from, comm.rank());
    assert_eq!(comm.recv_tag::<usize>(comm.rank(), 3), value);
}
let alone = two.split(me, 0);
alone.barrier();
let mut it = vec![me; 3];
alone.broadcast(&mut it, 0);
assert_eq!((alone.gather(&it, 0), alone.scatter(&[me], 0)), (Some(vec![vec![me; 3]]), me));
assert_eq!((alone.all_gather(&it), alone.all_to_all(&[me])), (vec![vec![me; 3]], vec![me]));
assert_eq!((alone.reduce(&it, comm::op::prod, 0), alone.scan(&it, comm::op::sum)), (Some(vec![me; 3]), vec![me; 3]));
assert_eq!((alone.exscan(&it, comm::op::sum), alone.reduce_scatter(&[me], comm::op::max)), (None, me));
assert_eq!(alone.sendrecv(&"me".to_owned(), 0, 0), "me");
"#,
    // The smaller and the larger of a number and NaN are the number, wherever it is.
    r#"
let (me, size) = (comm::rank(), comm::size());
macro_rules! floats { ($($float:ident),+) => { $(
    let nan = $float::NAN;
    for root in 0..size {
        let mine = [if me == root { nan } else { me as $float }, nan, $float::INFINITY, if me == root { -1.0 } else { nan }];
        let least = comm::all_reduce(&mine, comm::op::min);
        let most = comm::reduce(&mine, comm::op::max, root);
        assert_eq!([least[0], least[2], least[3]], [if root == 0 { 1.0 } else { 0.0 }, $float::INFINITY, -1.0]);
        assert!(least[1].is_nan());
        let highest = (if root == size - 1 { size - 2 } else { size - 1 }) as $float;
        assert_eq!(most.map(|it| [it[0], it[2], it[3]]), (me == root).then_some([highest, $float::INFINITY, -1.0]));
        assert_eq!(comm::all_reduce(&(mine[0] as f64), |a, b| a.min(b)), f64::from(least[0]));
        let upto = comm::scan(&mine, comm::op::max)[0];
        assert!(if me == 0 && root == 0 { upto.is_nan() } else { upto == (if me == root { me - 1 } else { me }) as $float });
        let before = comm::exscan(&vec![mine[0]; 9], comm::op::min);
        assert_eq!(before.is_none(), me == 0);
        assert!(before.is_none_or(|it| if root == 0 { it[0].is_nan() == (me == 1) } else { it == [0.0; 9] }));
    }
    assert!(comm::all_reduce(&nan, comm::op::sum).is_nan() && comm::all_reduce(&nan, comm::op::max).is_nan());
)+ } }
floats!(f32, f64);
"#,
    // Closures get values in the order of the ranks, whatever the root; some closures are the same on no two ranks.
    r#"
let (me, size) = (comm::rank(), comm::size());
let text = |ranks: std::ops::Range<u32>| ranks.map(|rank| rank.to_string()).collect::<Vec<_>>().join("-");
let mine = me.to_string();
let joined = |a: String, b: String| a + "-" + &b;
for root in 0..size { assert_eq!(comm::reduce(&mine, joined, root), (me == root).then(|| text(0..size))); }
assert_eq!((comm::scan(&mine, joined), comm::exscan(&mine, joined)), (text(0..me + 1), (me > 0).then(|| text(0..me))));
assert_eq!(comm::reduce_scatter(&vec![mine; size as usize], joined), text(0..size));
assert_eq!(comm::all_reduce(&(me + 1), |a, b| a * 10 + b), (1..=size).fold(0, |all, rank| all * 10 + rank));
assert_eq!(comm::all_reduce(&[me, 1], |_, b| b), [size - 1, 1]);
assert_eq!(comm::all_reduce(&me, |a, b| if me == 0 { a } else { b }), if me == 0 { 0 } else { size - 1 });
let place = comm::all_reduce(&((me * 7) % 3, me), |a, b| if b.0 > a.0 { b } else { a });
assert_eq!(place, if size == 3 { (2, 2) } else { (2, 2) });
"#,
    // Parts of very different lengths, from nothing to more than goes at once.
    r#"
fn length(from: u32, to: u32) -> usize { [0, 3, 1, 200_000, 131_072, 131_073][((from * 5 + to * 3) % 6) as usize] }
let (me, size) = (comm::rank(), comm::size());
let row = |from: u32, to: u32| vec![f64::from(from * 10 + to); length(from, to)];
let text = |from: u32, to: u32| char::from(b'a' + (from + to) as u8).to_string().repeat(8 * length(from, to));
assert_eq!(comm::all_to_all(&(0..size).map(|to| row(me, to)).collect::<Vec<_>>()), (0..size).map(|from| row(from, me)).collect::<Vec<_>>());
assert_eq!(comm::all_to_all(&(0..size).map(|to| text(me, to)).collect::<Vec<_>>()), (0..size).map(|from| text(from, me)).collect::<Vec<_>>());
for root in 0..size {
    let all = || (0..size).map(|from| row(from, root)).collect::<Vec<_>>();
    assert_eq!(comm::gather(&row(me, root), root), (me == root).then(all));
    assert_eq!(comm::all_gather(&row(me, root)), all());
    let texts = || (0..size).map(|from| text(from, root)).collect::<Vec<_>>();
    assert_eq!(comm::gather(&text(me, root), root), (me == root).then(texts));
    let parts = if me == root { (0..size).map(|to| row(root, to)).collect() } else { vec![] };
    assert_eq!(comm::scatter(&parts, root), row(root, me));
    let parts = if me == root { (0..size).map(|to| text(root, to)).collect() } else { vec![] };
    assert_eq!(comm::scatter(&parts, root), text(root, me));
}
assert_eq!(comm::all_gather(&[me; 32]), (0..size).map(|from| [from; 32]).collect::<Vec<_>>());
"#,
    // One gives work to the others, and goes on when some have left; what was posted to others goes meanwhile. It may ask
    // as often as it likes for what does not come, when it does something else.
    r#"
let (me, size) = (comm::rank(), comm::size());
let work = |rank: u32| vec![rank as u8; 3_000_000];
if me == 0 {
    let sent: Vec<_> = (1..size).map(|to| comm::isend(&work(to), to)).collect();
    let mut from: Vec<_> = (1..size).map(|_| comm::recv_any::<u32>().0).collect();
    comm::wait_all(sent);
    from.sort();
    assert_eq!(from, (1..size).collect::<Vec<_>>());
    let (since, mut counted) = (std::time::Instant::now(), 0_u64);
    while since.elapsed().as_millis() < 1500 {
        assert!(comm::iprobe(1).is_none());
        for at in 0..100_000_u64 { counted = std::hint::black_box(counted ^ at); }
    }
} else {
    std::thread::sleep(std::time::Duration::from_millis(u64::from(me - 1) * 400));
    assert_eq!(comm::recv::<Vec<u8>>(0), work(me));
    comm::send(&me, 0);
}
"#,
];

/// Whoever sends much does not keep others from being heard: of ranks that share memory, as MPI leaves that open.
pub const FAIR: &str = r#"
let me = comm::rank();
let wait = std::time::Duration::from_secs(60);
if me == 0 {
    for _ in 1..comm::size() { store::pop_wait::<u32>("sent", wait).unwrap(); }
    let first: std::collections::BTreeSet<u32> = (1..comm::size()).map(|_| comm::recv_any::<u32>().1.from).collect();
    assert_eq!(first.len() as u32, comm::size() - 1);
    for _ in 0..200 * (comm::size() - 1) - (comm::size() - 1) { comm::recv_any::<u32>(); }
} else {
    for at in 0..200_u32 { comm::send(&at, 0); }
    store::push("sent", &me);
}
"#;
