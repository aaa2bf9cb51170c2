//! Ranks that speak with each other, on process and thread pools. The cases are those of mpi4py's own suite
//! (`test_p2p_obj`, `test_p2p_buf`, `test_cco_obj`, `test_cco_buf`, `test_comm`, `test_status`), and what it has none of:
//! types that differ, rings that are full, ranks that end.

mod support;

use support::{Session, hosts::Hosts, messages, table::results};

/// An odd number, so that no tree is whole.
const RANKS: u32 = 5;

/// What the cells below use.
const DEFINITIONS: &str = r#"
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Shape { Point, Circle(f64), Named { name: String, sides: Vec<u8> } }
trait Value: Serialize + DeserializeOwned + PartialEq + Debug + Clone {}
impl<T: Serialize + DeserializeOwned + PartialEq + Debug + Clone> Value for T {}
fn next() -> u32 { (comm::rank() + 1) % comm::size() }
fn before() -> u32 { (comm::rank() + comm::size() - 1) % comm::size() }
"#;

/// Runs on every type of message.
const EVERY: &str = r#"
macro_rules! each_value { ($test:ident) => {
    $test(()); $test(true); $test(-7_i8); $test(i64::MIN); $test(u128::MAX); $test(-2.17_f64); $test(1.62_f32);
    $test('ß'); $test("mpi4py".to_owned()); $test(String::new()); $test(Some(3_u16)); $test(None::<String>);
    $test((1_u8, "two".to_owned(), 3.0)); $test(vec![1_i32, -2, 3]); $test(Vec::<f64>::new()); $test([1.5_f64, 2.5]);
    $test(vec!["a".to_owned(), "bc".to_owned()]); $test(vec![vec![1_u8], vec![], vec![2, 3]]);
    $test(BTreeMap::from([("k0".to_owned(), 1.5), ("k1".to_owned(), -2.0)])); $test(BTreeSet::from([3, 1, 2]));
    $test(Shape::Point); $test(Shape::Circle(0.5));
    $test(Shape::Named { name: "square".to_owned(), sides: vec![1; 4] });
    $test(vec![7.0_f64; 300_000]); $test("x".repeat(2_000_000));
} }
"#;

/// Each is one cell and gives "ok" on every rank.
const CELLS: &[&str] = &[
    // Handed on from rank to rank.
    r#"
fn chain<T: Value>(value: T) {
    let (me, last) = (comm::rank(), comm::size() - 1);
    let came = if me == 0 { comm::send(&value, 1); value.clone() }
        else { let came = comm::recv::<T>(me - 1); if me < last { comm::send(&came, me + 1); } came };
    assert_eq!(came, value);
}
each_value!(chain);
"ok""#,
    // Round the ring, and to itself: without waiting, and received before it is sent.
    r#"
fn ring<T: Value>(value: T) {
    let me = comm::rank();
    let mut sent = comm::isend(&value, me);
    assert_eq!(comm::recv::<T>(me), value);
    assert!(sent.test() && sent.test());
    let sent = comm::isend(&value, next());
    assert_eq!(comm::recv::<T>(before()), value);
    sent.wait();
    let mut came = comm::irecv::<T>(me);
    assert_eq!(came.test(), None);
    comm::send(&value, me);
    assert_eq!(came.test(), Some(value.clone()));
    assert_eq!(came.test(), None);
    let came = comm::irecv::<T>(before());
    comm::send(&value, next());
    let (came, status) = came.wait_status();
    assert_eq!((came, status.from, status.tag), (value.clone(), before(), 0));
    let came = comm::irecv::<T>(before());
    let sent = comm::isend_tag(&value, next(), 9);
    assert_eq!(comm::wait_all([came]), [value.clone()]);
    comm::wait_all([sent]);
    assert_eq!(comm::sendrecv(&value, next(), before()), value);
    assert_eq!(comm::sendrecv_tag(&value, me, me, 3), value);
}
each_value!(ring);
"ok""#,
    // Receives get messages in the order in which they were called, by their tags; what is dropped is withdrawn.
    r#"
let me = comm::rank();
let mut three: Vec<_> = (1..4).map(|tag| comm::irecv_tag::<i32>(me, tag)).collect();
for tag in [3, 1, 2] { comm::send_tag(&tag, me, tag); }
assert_eq!(comm::wait_all(three.drain(..)), [1, 2, 3]);
let two = [comm::irecv::<u8>(before()), comm::irecv::<u8>(before())];
comm::send(&1_u8, next());
comm::send(&2_u8, next());
assert_eq!(comm::wait_all(two), [1, 2]);
let withdrawn = comm::irecv::<u8>(me);
let kept = comm::irecv::<u8>(me);
drop(withdrawn);
comm::send(&5_u8, me);
assert_eq!(kept.wait(), 5);
let withdrawn = comm::irecv::<u8>(me);
comm::send(&6_u8, me);
comm::send(&7_u8, me);
drop(withdrawn);
assert_eq!((comm::recv::<u8>(me), comm::recv::<u8>(me)), (6, 7));
let many: Vec<_> = (0..6_u64).map(|number| comm::isend(&number, me)).collect();
for number in 0..6_u64 { assert_eq!(comm::recv::<u64>(me), number); }
comm::wait_all(many);
comm::send_tag(&1, me, 1);
comm::send_tag(&2, me, 2);
assert_eq!((comm::recv_tag::<i32>(me, 2), comm::recv::<i32>(me)), (2, 1));
"ok""#,
    // Probing leaves a message where it is.
    r#"
let me = comm::rank();
assert_eq!(comm::iprobe(before()), None);
comm::barrier();
comm::send_tag(&vec![1.5; 3], next(), 123);
let status = comm::probe(before());
assert_eq!((status.from, status.tag, status.bytes), (before(), 123, 24));
assert_eq!(comm::probe_any(), status);
assert_eq!(comm::probe_tag(before(), 123), status);
assert_eq!(comm::iprobe(before()), Some(status));
assert_eq!(comm::iprobe_any(), Some(status));
assert_eq!(comm::recv::<Vec<f64>>(before()), [1.5; 3]);
assert_eq!(comm::iprobe_any(), None);
comm::barrier();
"ok""#,
    // From any rank.
    r#"
let (me, size) = (comm::rank(), comm::size());
if me == 0 {
    let mut from: Vec<u32> = (1..size).map(|_| {
        let (value, status) = comm::recv_any_tag::<(u32, String)>(0);
        assert_eq!(value, (status.from, format!("from {}", status.from)));
        status.from
    }).collect();
    from.sort();
    assert_eq!(from, (1..size).collect::<Vec<_>>());
    let tagged: Vec<_> = (1..size).map(|_| comm::recv_any_tag::<u32>(7)).collect();
    assert!(tagged.iter().all(|(value, status)| *value == status.from && status.tag == 7));
    let posted: Vec<_> = (1..size).map(|_| comm::irecv_any::<u32>()).collect();
    comm::barrier();
    let mut came: Vec<u32> = comm::wait_all(posted);
    came.sort();
    assert_eq!(came, (1..size).collect::<Vec<_>>());
} else {
    comm::send(&(me, format!("from {me}")), 0);
    comm::send_tag(&me, 0, 7);
    comm::barrier();
    comm::send(&me, 0);
}
"ok""#,
    // More than a ring holds, to each other at once: nobody waits for ever.
    r#"
let mine = vec![f64::from(comm::rank()); 700_000];
comm::send(&mine, next());
comm::send(&mine[..3], next());
assert_eq!(comm::recv::<Vec<f64>>(before()), vec![f64::from(before()); 700_000]);
let mut place = [0.0; 3];
let status = comm::recv_into(&mut place, before());
assert_eq!((place, status.bytes), ([f64::from(before()); 3], 24));
for _ in 0..3 { comm::isend(&mine, next()); }
comm::send(&[1_u8, 2], next());
let mut came = vec![0.0; 700_000];
let memory = came.as_ptr();
for _ in 0..3 { comm::recv_into(&mut came, before()); }
assert_eq!((came.as_ptr(), came[699_999]), (memory, f64::from(before())));
let mut short: Vec<u8> = Vec::new();
comm::recv_into(&mut short, before());
assert_eq!(short, [1_u8, 2]);
let mut text = "old".to_owned();
comm::send("new", next());
assert_eq!(comm::recv::<String>(before()), "new");
comm::send(&"newer".to_owned(), next());
comm::recv_into(&mut text, before());
assert_eq!(text, "newer");
let mut row = [0_i32; 10];
comm::send(&[1, 2, 3], next());
comm::recv_into(&mut row[2..5], before());
assert_eq!(row, [0, 0, 1, 2, 3, 0, 0, 0, 0, 0]);
"ok""#,
    // Collectives of any value, with every root.
    r#"
fn together<T: Value + Default>(value: T) {
    let (me, size) = (comm::rank(), comm::size() as usize);
    comm::barrier();
    for root in 0..comm::size() {
        let mut it = if me == root { value.clone() } else { T::default() };
        comm::broadcast(&mut it, root);
        assert_eq!(it, value);
        let wanted = (me == root).then(|| vec![value.clone(); size]);
        assert_eq!(comm::gather(&value, root), wanted);
        let parts = if me == root { vec![value.clone(); size] } else { vec![] };
        assert_eq!(comm::scatter(&parts, root), value);
    }
    assert_eq!(comm::all_gather(&value), vec![value.clone(); size]);
    assert_eq!(comm::all_to_all(&vec![value.clone(); size]), vec![value.clone(); size]);
}
together(()); together(-7_i8); together(2.5); together(u128::MAX); together("mpi4py".to_owned());
together(vec![1.5, 2.5]); together(Vec::<u8>::new()); together(Some((1, "a".to_owned())));
together(vec!["a".to_owned(); 3]); together([1_u16, 2]); together(vec![3_i64; 100_000]);
let (me, size) = (comm::rank(), comm::size());
let rows = comm::all_gather(&vec![me; me as usize]);
assert_eq!(rows, (0..size).map(|rank| vec![rank; rank as usize]).collect::<Vec<_>>());
let parts: Vec<Vec<u32>> = (0..size).map(|to| vec![me; to as usize]).collect();
assert_eq!(comm::all_to_all(&parts), (0..size).map(|from| vec![from; me as usize]).collect::<Vec<_>>());
let mut row = [0_u32; 4];
if me == 1 { row[1..3].copy_from_slice(&[7, 8]); }
comm::broadcast(&mut row[1..3], 1);
assert_eq!(row, [0, 7, 8, 0]);
"ok""#,
    // Reductions: MPI's operations, and closures of whole values in the order of the ranks.
    r#"
let (me, size) = (comm::rank(), comm::size());
for root in 0..size {
    let at_root = |value: u32| (me == root).then_some(value);
    assert_eq!(comm::reduce(&me, comm::op::sum, root), at_root((0..size).sum::<u32>()));
    assert_eq!(comm::reduce(&(me + 1), comm::op::prod, root), at_root((1..=size).product::<u32>()));
    assert_eq!(comm::reduce(&me, comm::op::max, root), at_root(size - 1));
    assert_eq!(comm::reduce(&me, comm::op::min, root), at_root(0));
    let largest = comm::reduce(&(me, me), |a, b| if b.0 > a.0 { b } else { a }, root);
    assert_eq!(largest, (me == root).then_some((size - 1, size - 1)));
}
assert_eq!(comm::all_reduce(&me, comm::op::sum), (0..size).sum::<u32>());
let text = |upto: u32| (0..upto).map(|rank| rank.to_string()).collect::<String>();
assert_eq!(comm::all_reduce(&me.to_string(), |a, b| a + &b), text(size));
assert_eq!(comm::scan(&me.to_string(), |a, b| a + &b), text(me + 1));
assert_eq!(comm::scan(&me, comm::op::sum), (0..=me).sum::<u32>());
let pointers: [fn(u32, u32) -> u32; 2] = [comm::op::sum, comm::op::max];
assert_eq!(pointers.map(|op| comm::all_reduce(&me, op)), [(0..size).sum::<u32>(), size - 1]);
assert_eq!(comm::scan(&[1, 2], comm::op::sum), [1, 2].map(|it| it * (me as i32 + 1)));
assert_eq!(comm::all_reduce(&255_u8, comm::op::sum), 255_u8.wrapping_mul(size as u8));
assert_eq!(comm::all_reduce(&f64::from(me), |a, b| a - b), (0..size).map(f64::from).reduce(|a, b| a - b).unwrap());
"ok""#,
    // Rows of every number, of lengths that are folded whole and in parts.
    r#"
macro_rules! rows { ($($number:ty),+) => { $(
    for length in [0_usize, 1, 7, 4_099, 60_001] {
        let row = |rank: u32| -> Vec<$number> { (0..length).map(|at| ((at as u32 * 7 + rank) % 11 + 1) as $number).collect() };
        let mine = row(comm::rank());
        let fold = |op: fn($number, $number) -> $number, upto: u32| -> Vec<$number> {
            (1..upto).fold(row(0), |sum, rank| sum.into_iter().zip(row(rank)).map(|(a, b)| op(a, b)).collect())
        };
        let (size, root) = (comm::size(), length as u32 % comm::size());
        assert_eq!(comm::all_reduce(&mine, comm::op::sum), fold(comm::op::sum, size));
        assert_eq!(comm::all_reduce(&mine, comm::op::max), fold(comm::op::max, size));
        assert_eq!(comm::scan(&mine, comm::op::min), fold(comm::op::min, comm::rank() + 1));
        let sum = comm::reduce(&mine, comm::op::prod, root);
        assert_eq!(sum, (comm::rank() == root).then(|| fold(comm::op::prod, size)));
    }
)+ } }
rows!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64);
"ok""#,
    // Communicators.
    r#"
let (me, size) = (comm::rank(), comm::size());
let half = comm::split(me % 2, 0);
let mine: Vec<u32> = (0..size).filter(|rank| rank % 2 == me % 2).collect();
assert_eq!((half.rank(), half.size()), (me / 2, mine.len() as u32));
assert_eq!(half.all_gather(&me), mine);
assert_eq!(half.all_reduce(&me, comm::op::sum), mine.iter().sum::<u32>());
let (next, before) = ((half.rank() + 1) % half.size(), (half.rank() + half.size() - 1) % half.size());
assert_eq!(half.sendrecv(&me, next, before), mine[before as usize]);
half.send(&me, next);
let (value, status) = half.recv_any::<u32>();
assert_eq!((value, status.from), (mine[before as usize], before));
// A message of one communicator is none of another.
comm::send(&1, me);
half.send(&2, half.rank());
assert_eq!(half.recv::<i32>(half.rank()), 2);
assert_eq!(comm::recv::<i32>(me), 1);
let back = comm::split(0, -i64::from(me));
assert_eq!((back.rank(), back.size()), (size - 1 - me, size));
assert_eq!(back.all_gather(&me), (0..size).rev().collect::<Vec<_>>());
let quarter = half.split(half.rank() % 2, 0);
quarter.barrier();
assert_eq!(quarter.all_reduce(&1, comm::op::sum), quarter.size() as i32);
let alone = comm::split(me, 0);
assert_eq!((alone.rank(), alone.size(), alone.all_reduce(&me, comm::op::max)), (0, 1, me));
"ok""#,
    // By a seed: who sends how much to whom under which tag, received in another order than sent.
    r#"
for seed in 0..20 {
    let mut random = fastrand_like(seed);
    let size = comm::size();
    let messages: Vec<(u32, u32, i32, usize)> = (0..60).map(|_| {
        let mut below = |bound: u64| { random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407); (random >> 33) % bound };
        (below(size.into()) as u32, below(size.into()) as u32, below(3) as i32, (below(4) * below(40_000)) as usize)
    }).collect();
    let me = comm::rank();
    let mut sends = Vec::new();
    for (at, (from, to, tag, length)) in messages.iter().enumerate() {
        if *from == me { sends.push(comm::isend_tag(&vec![at as u32; *length], *to, *tag)); }
    }
    let tags = [seed as i32 % 3, (seed as i32 + 1) % 3, (seed as i32 + 2) % 3];
    for tag in tags {
        for from in (0..size).rev() {
            for (at, message) in messages.iter().enumerate() {
                if (message.0, message.1, message.2) == (from, me, tag) {
                    assert_eq!(comm::recv_tag::<Vec<u32>>(from, tag), vec![at as u32; message.3]);
                }
            }
        }
    }
    comm::wait_all(sends);
    let count = messages.iter().filter(|message| message.0 == me).count();
    assert_eq!(comm::all_reduce(&count, comm::op::sum), 60);
}
fn fastrand_like(seed: u64) -> u64 { seed ^ 0x9e3779b97f4a7c15 }
"ok""#,
];

fn cells(pool: &str) {
    cells_on(&format!("%pool start {pool} -n {RANKS}"), pool);
}

fn cells_on(start: &str, pool: &str) {
    let mut session = Session::start();
    session.cells(&[DEFINITIONS.trim(), EVERY.trim()]);
    session.cell(start);
    let cells = CELLS.iter().map(|cell| format!("%%px\n{}", cell.trim()));
    for cell in cells.chain(messages::cells()) {
        results(&mut session, &cell, &[("0-4", "\"ok\"")]);
    }
    // What was made stays for the next cell.
    if pool != "threads" {
        session.cells(&[
            "%px let pair = comm::split(comm::rank() / 2, 0);",
            "%px comm::send(&comm::rank(), (comm::rank() + 1) % comm::size());",
        ]);
        results(
            &mut session,
            "%px (pair.all_reduce(&1, comm::op::sum), comm::recv_any::<u32>().0)",
            &[
                ("0", "(2, 4)"),
                ("1", "(2, 0)"),
                ("2", "(2, 1)"),
                ("3", "(2, 2)"),
                ("4", "(1, 3)"),
            ],
        );
    }
    assert_eq!(session.end(), 0);
}

#[test]
fn messages_between_processes() {
    cells("processes");
}

#[test]
fn messages_between_threads() {
    cells("threads");
}

/// Ranks of one host share memory, those of two do not.
#[test]
fn messages_between_hosts() {
    let hosts = Hosts::up("comm");
    cells_on(&hosts.start([3, 2]), "cluster");
}
