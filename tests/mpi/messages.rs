//! Messages between the engines of an MPI pool, on MPI itself.

use crate::support::{Session, contains};

/// Point to point, on MPI's own messages.
pub fn messages(session: &mut Session) {
    let ring = "%px { let (rank, size) = (comm::rank(), comm::size()); if rank == 0 { comm::send(&1u64, 1); \
                comm::recv::<u64>(size - 1) } else { let sum: u64 = comm::recv(rank - 1); \
                comm::send(&(sum + 10), (rank + 1) % size); sum } }";
    contains(&session.cell(ring), &["21", "1", "11"]);
    // Text by serde, and rows of numbers that are longer than what goes with a header.
    let text = "%px if comm::rank() == 0 { comm::send_tag(&(\"hi\".to_owned(), vec![1u8, 2]), 2, 7); String::new() } \
                else if comm::rank() == 2 { format!(\"{:?}\", comm::recv_tag::<(String, Vec<u8>)>(0, 7)) } else { String::new() }";
    contains(&session.cell(text), &["hi", "[1, 2]"]);
    let long = "%px { let next = (comm::rank() + 1) % 3; let before = (comm::rank() + 2) % 3; \
                let mine: Vec<f64> = (0..100_000).map(|i| i as f64 + comm::rank() as f64).collect(); \
                let theirs = comm::sendrecv(&mine, next, before); (theirs.len(), theirs[99_999] as u64 - 99_999) }";
    contains(
        &session.cell(long),
        &["(100000, 2)", "(100000, 0)", "(100000, 1)"],
    );
    // Requests, any source, a probe.
    let requests = "%px if comm::rank() == 0 { let first = comm::irecv::<Vec<u32>>(1); let second = comm::irecv::<u8>(2); \
                    let n = first.wait().len(); n as u32 + second.wait() as u32 } \
                    else if comm::rank() == 1 { comm::isend(&vec![5u32; 50_000], 0).wait(); 0 } else { comm::send(&3u8, 0); 0 }";
    contains(&session.cell(requests), &["50003"]);
    let any = "%px if comm::rank() == 0 { comm::probe(1); let mut sum = 0; for _ in 1..3 { let (n, from) = comm::recv_any::<u32>(); \
               sum += n * 10 + from.from; } sum } else { comm::send(&comm::rank(), 0); 0 }";
    let shown = session.cell(any);
    contains(&shown, &["33"]);
    // What is received as something else names both.
    let shown = session.cell("%px if comm::rank() == 0 { comm::send(&1.5f64, 1) } else if comm::rank() == 1 { let _: u64 = comm::recv(0); }");
    contains(&shown, &["f64", "u64"]);
    contains(&session.cell("%px -t 1 comm::recv::<f64>(0)"), &["1.5"]);
}

/// One number goes without a header; however many are under way, each keeps its type, its tag and its place.
pub fn numbers_of_many_types(session: &mut Session) {
    let mixed = "%px if comm::rank() == 0 { for i in 0..200u64 { comm::send(&i, 1);\n comm::send(&(i as f32 / 2.0), 1);\n \
                 comm::send_tag(&(i as u8), 1, 3); } 0 } else if comm::rank() == 1 { for i in 0..200u64 { \
                 assert_eq!(comm::recv_tag::<u8>(0, 3), i as u8); assert_eq!(comm::recv::<u64>(0), i); \
                 assert_eq!(comm::recv::<f32>(0), i as f32 / 2.0); } 1234 } else { 0 }";
    contains(&session.cell(mixed), &["1234"]);
    let alternating = "%px { let other = 1 - comm::rank().min(1); if comm::rank() < 2 { let half = comm::split(0, 0); for i in 0..300i64 { \
                       if i % 2 == 0 { half.send(&i, other); assert_eq!(half.recv::<i64>(other), i); } \
                       else { half.send(&(i as u16), other); assert_eq!(half.recv::<u16>(other), i as u16); } } 77 } \
                       else { comm::split(1, 0); 0 } }";
    contains(&session.cell(alternating), &["77"]);
    let refused = "%px if comm::rank() == 0 { comm::send(&1u64, 1);\ncomm::send(&2.5f64, 1);\ncomm::send(&true, 1); } \
                   else if comm::rank() == 1 { assert_eq!(comm::recv::<u64>(0), 1);\n\nlet _: i8 = comm::recv(0); }";
    contains(
        &session.cell(refused),
        &["f64", "i8", "]:2", "never received"],
    );
    contains(&session.cell("%px -t 1 comm::recv::<f64>(0)"), &["2.5"]);
    contains(&session.cell("%px -t 1 comm::recv::<bool>(0)"), &["true"]);
}

/// Calls that all make together.
pub fn collectives(session: &mut Session) {
    let sums = "%px { comm::barrier(); (comm::all_reduce(&(comm::rank() as u64 + 1), comm::op::sum), \
                comm::all_reduce(&vec![comm::rank() as f64, 1.0], comm::op::max), comm::scan(&1u32, comm::op::sum)) }";
    contains(
        &session.cell(sums),
        &["(6, [2.0, 1.0], 1)", "(6, [2.0, 1.0], 3)"],
    );
    let parts = "%px { let mut all = if comm::rank() == 1 { vec![7u64; 3000] } else { Vec::new() }; comm::broadcast(&mut all, 1); \
                 let one = comm::scatter(&[10u32, 20, 30], 0); (all.len(), one, comm::gather(&one, 0), \
                 comm::all_gather(&format!(\"r{}\", comm::rank())).concat(), comm::all_to_all(&[comm::rank(); 3])) }";
    contains(
        &session.cell(parts),
        &["3000", "10", "Some([10, 20, 30])", "r0r1r2", "[0, 1, 2]"],
    );
    // Numbers of each length, as many as each rank likes, also more than go in one call of MPI's.
    for (number, length) in [
        ("u8", 5),
        ("i16", 5),
        ("f32", 5),
        ("f64", 5),
        ("u128", 5),
        ("f64", 150_001),
    ] {
        let each = format!(
            "%px {{ let mine = vec![(comm::rank() + 1) as {number}; {length} + comm::rank() as usize]; \
             let all = comm::all_gather(&mine).concat(); let dealt = comm::all_to_all(&vec![mine; 3]).concat(); \
             (all == dealt, all.len(), all[0], all[all.len() - 1]) }}"
        );
        let fits = format!("(true, {}, 1", 3 * length + 3);
        contains(&session.cell(&each), &[&fits, ", 3"]);
    }
    let other = "%px if comm::rank() == 2 { comm::gather(&vec![1f32; 9], 0).is_some() } else { comm::gather(&vec![1f64; 9], 0).is_some() }";
    contains(&session.cell(other), &["[f32]", "[f64]"]);
    contains(&session.cell("%px comm::gather(&[1f64], 0)"), &["Some("]);
    let split = "%px { let half = comm::split(comm::rank() % 2, -(comm::rank() as i64)); (half.rank(), half.size(), \
                 half.all_reduce(&comm::rank(), comm::op::sum)) }";
    contains(
        &session.cell(split),
        &["(1, 2, 2)", "(0, 1, 1)", "(0, 2, 2)"],
    );
}
