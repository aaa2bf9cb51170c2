//! Cells that give "ok" on every rank, whatever carries the messages.

/// Each as a `%px`, in a block of its own: references are no variables.
pub fn cells() -> impl Iterator<Item = String> {
    CELLS
        .iter()
        .map(|cell| format!("%%px\n{{\n{}\n}}", cell.trim()))
}

const CELLS: &[&str] = &[
    // Whichever request is done first; those that have given their values are passed by.
    r#"
let (me, size) = (comm::rank(), comm::size());
if me == 0 {
    let mut from: Vec<_> = (1..size).map(comm::irecv::<u32>).collect();
    assert_eq!(comm::test_any(&mut from), None);
    assert_eq!(comm::test_all(&mut from), None);
    assert!(comm::test_some(&mut from).is_empty());
    comm::barrier();
    let mut places = Vec::new();
    while let Some((place, value)) = comm::wait_any(&mut from) {
        assert_eq!(value, 10 * (place as u32 + 1));
        places.push(place);
    }
    places.sort();
    assert_eq!(places, (0..size as usize - 1).collect::<Vec<_>>());
    assert_eq!((comm::wait_any(&mut from), comm::wait_some(&mut from)), (None, vec![]));
    assert_eq!(comm::test_all(&mut from), Some(vec![]));
    // They come one after the other, each after the last was had.
    let mut from: Vec<_> = (1..size).map(comm::irecv::<String>).collect();
    for turn in (1..size).rev() {
        comm::send(&(), turn);
        assert_eq!(comm::wait_some(&mut from), [(turn as usize - 1, format!("from {turn}"))]);
    }
    let mut all: Vec<_> = (1..size).map(comm::irecv::<Vec<f64>>).collect();
    comm::barrier();
    let came = loop { if let Some(came) = comm::test_all(&mut all) { break came; } };
    assert_eq!(came, (1..size).map(|rank| vec![f64::from(rank); 50_000]).collect::<Vec<_>>());
    let mut sends: Vec<_> = (1..size).map(|to| comm::isend(&vec![1_u8; 3_000_000], to)).collect();
    comm::barrier();
    let mut done = comm::wait_some(&mut sends).len();
    while comm::wait_any(&mut sends).is_some() { done += 1; }
    assert_eq!(done, size as usize - 1);
} else {
    comm::barrier();
    comm::send(&(me * 10), 0);
    comm::recv::<()>(0);
    comm::send(&format!("from {me}"), 0);
    comm::barrier();
    comm::send(&vec![f64::from(me); 50_000], 0);
    comm::barrier();
    assert_eq!(comm::recv::<Vec<u8>>(0).len(), 3_000_000);
}
"ok""#,
    // A synchronous send ends when a receive has its message, and not before.
    r#"
let me = comm::rank();
let half = comm::split(0, -i64::from(me));
let last = half.size() - 1;
if me == 0 {
    comm::ssend(&7_u64, 1);
    assert_eq!(store::take::<u32>("received"), Some(1));
    comm::ssend_tag(&vec![1.5_f64; 200_000], 1, 3);
    comm::send(&1_u8, 1);
    comm::ssend_tag(&"text".to_owned(), 1, 2);
    comm::ssend_tag(&2_u8, 1, 4);
    // A receive that goes on has it, though nobody waits for that.
    comm::ssend_tag(&vec![9_u8; 5000], 1, 9);
    comm::barrier();
    half.ssend(&5_i16, last - 1);
} else if me == 1 {
    comm::probe(0);
    store::set("received", &1_u32);
    assert_eq!(comm::recv::<u64>(0), 7);
    assert_eq!(comm::recv_tag::<Vec<f64>>(0, 3), [1.5; 200_000]);
    assert_eq!(comm::recv_tag::<String>(0, 2), "text");
    assert_eq!(comm::recv::<u8>(0), 1);
    assert_eq!(comm::mprobe(0).recv::<u8>(), 2);
    let goes_on = comm::irecv_tag::<Vec<u8>>(0, 9);
    comm::barrier();
    assert_eq!(goes_on.wait(), [9; 5000]);
    assert_eq!(half.recv_any::<i16>(), (5, comm::Status { from: last, tag: 0, bytes: 2 }));
} else {
    comm::barrier();
}
let own = comm::irecv::<u32>(me);
comm::ssend(&me, me);
assert_eq!(own.wait(), me);
comm::ssend(&me, comm::PROC_NULL);
// Many, both ways.
if me < 2 {
    for round in 0..500_u64 {
        if me == 0 { comm::ssend(&round, 1); }
        assert_eq!(comm::recv::<u64>(1 - me), round);
        if me == 1 { comm::ssend(&round, 0); }
    }
}
"ok""#,
    // To nobody, and from there.
    r#"
let (me, size) = (comm::rank(), comm::size());
let nobody = comm::PROC_NULL;
comm::send(&me, nobody);
comm::isend(&vec![me; 1000], nobody).wait();
let mut kept = [7_u32; 3];
let status = comm::recv_into(&mut kept, nobody);
assert_eq!((kept, status.from, status.tag, status.bytes), ([7; 3], nobody, -1, 0));
assert_eq!(comm::probe(nobody), status);
assert_eq!(comm::iprobe(nobody), Some(status));
assert_eq!(comm::wait_any(&mut [comm::isend(&1, nobody)]), Some((0, ())));
assert!(comm::isend(&1, nobody).test());
drop(comm::irecv::<u8>(nobody));
assert_eq!(comm::sendrecv_replace(&mut kept[..], nobody, nobody), status);
// The edges of a line of ranks make the same calls as the others.
let left = if me == 0 { nobody } else { me - 1 };
let right = if me + 1 == size { nobody } else { me + 1 };
let mut halo = [f64::from(me); 4];
let own = halo[2];
comm::sendrecv_into(&[own][..], right, &mut halo[..1], left);
let own = halo[1];
comm::sendrecv_into(&[own][..], left, &mut halo[3..4], right);
let at = |rank: u32| if rank == nobody { me } else { rank };
assert_eq!(halo, [at(left), me, me, at(right)].map(f64::from));
let half = comm::split(me % 2, 0);
half.send(&1, nobody);
"ok""#,
    // In the place of what is sent.
    r#"
let (me, size) = (comm::rank(), comm::size());
let (next, before) = ((me + 1) % size, (me + size - 1) % size);
let mut number = me;
let status = comm::sendrecv_replace(&mut number, next, before);
assert_eq!((number, status.from), (before, before));
let mut row = vec![f64::from(me); 700_000];
comm::sendrecv_replace(&mut row, next, before);
assert_eq!(row, vec![f64::from(before); 700_000]);
comm::sendrecv_replace(&mut row[..2], before, next);
assert_eq!((row[0], row[1], row[2]), (f64::from(me), f64::from(me), f64::from(before)));
let mut text = format!("from {me}");
comm::sendrecv_replace(&mut text, me, me);
assert_eq!(text, format!("from {me}"));
comm::sendrecv_replace(&mut text, next, before);
assert_eq!(text, format!("from {before}"));
let mut came = String::new();
comm::sendrecv_into(&me.to_string(), next, &mut came, before);
assert_eq!(came, before.to_string());
"ok""#,
    // What was looked at is had by who has looked.
    r#"
let (me, size) = (comm::rank(), comm::size());
let (next, before) = ((me + 1) % size, (me + size - 1) % size);
assert!(comm::improbe(before).is_none() && comm::improbe_any().is_none());
comm::barrier();
comm::send_tag(&"first".to_owned(), next, 3);
comm::send_tag(&"second".to_owned(), next, 3);
let first = comm::mprobe(before);
assert_eq!((first.status().from, first.status().tag), (before, 3));
assert_eq!(comm::recv::<String>(before), "second");
assert!(comm::iprobe_any().is_none());
assert_eq!(first.recv::<String>(), "first");
comm::barrier();
comm::send(&[1.5, 2.5], next);
drop(comm::mprobe_any());
let again = loop { if let Some(message) = comm::improbe_any() { break message; } };
assert_eq!(again.status().bytes, 16);
assert_eq!(again.recv::<[f64; 2]>(), [1.5, 2.5]);
// One that waits for its receiver on MPI.
let sent = comm::isend(&vec![me; 400_000], next);
assert_eq!(comm::mprobe(before).recv::<Vec<u32>>(), vec![before; 400_000]);
sent.wait();
comm::barrier();
"ok""#,
    // What is folded of the ranks before, and what is dealt out after it was folded.
    r#"
let (me, size) = (comm::rank(), comm::size());
let some = |value: u32| (me > 0).then_some(value);
assert_eq!(comm::exscan(&me, comm::op::sum), some((0..me).sum()));
assert_eq!(comm::exscan(&(me + 1), comm::op::prod), some((1..=me).product()));
assert_eq!(comm::exscan(&me, comm::op::max), some(me.saturating_sub(1)));
assert_eq!(comm::exscan(&(me + 5), comm::op::min), some(5));
let row = vec![f64::from(me); 70_000];
assert_eq!(comm::exscan(&row, comm::op::sum), some((0..me).sum()).map(|it| vec![f64::from(it); 70_000]));
assert_eq!(comm::exscan(&[1_u128, 2], comm::op::sum), some(me).map(|it| [1, 2].map(|one| one * u128::from(it))));
let text = |upto: u32| (0..upto).map(|rank| rank.to_string()).collect::<String>();
assert_eq!(comm::exscan(&me.to_string(), |a, b| a + &b), (me > 0).then(|| text(me)));
let parts: Vec<u32> = (0..size).map(|to| me * 100 + to).collect();
assert_eq!(comm::reduce_scatter(&parts, comm::op::sum), (0..size).map(|rank| rank * 100 + me).sum::<u32>());
let rows: Vec<Vec<f64>> = (0..size).map(|to| vec![f64::from(to); to as usize]).collect();
assert_eq!(comm::reduce_scatter(&rows, comm::op::sum), vec![f64::from(me * size); me as usize]);
let parts: Vec<String> = (0..size).map(|to| format!("{me}{to} ")).collect();
assert_eq!(comm::reduce_scatter(&parts, |a, b| a + &b), (0..size).map(|rank| format!("{rank}{me} ")).collect::<String>());
let half = comm::split(me % 2, 0);
assert_eq!(half.exscan(&1, comm::op::sum), (half.rank() > 0).then_some(half.rank()));
assert_eq!(half.reduce_scatter(&vec![1; half.size() as usize], comm::op::sum), half.size());
"ok""#,
];
