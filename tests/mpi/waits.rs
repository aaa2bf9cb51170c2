//! Waits on an MPI pool: those that would never end do, and are told as on any pool; Ctrl-C ends the others.

use std::time::Duration;

use crate::engines;
use crate::support::{SECOND, Session, contains, lacks};

/// What would wait for ever ends, is told as on any pool, and costs nothing.
pub fn what_would_wait_for_ever(session: &mut Session) {
    session.cell("%px let kept = comm::rank() * 10;");
    let shown = session.cell("%px if comm::rank() == 0 { let _: u64 = comm::recv(2); }");
    contains(
        &shown,
        &[
            "waiting for a rank that has left the cell: rank 0 waits for rank 2",
            "rank 0  waits for rank 2 in recv  u64, any tag",
        ],
    );
    goes_on(session);
    let shown = session.cell(
        "%px { let me = comm::rank(); if me == 0 { let _: i32 = comm::recv(1); } \
         if me == 1 { let _: Vec<f64> = comm::recv_tag(0, 7); } }",
    );
    contains(
        &shown,
        &[
            "deadlock: ranks 0 and 1 wait for each other",
            "┌▶ rank 0  waits for rank 1 in recv  i32, any tag",
            "└─ rank 1  waits for rank 0 in recv  [f64], tag 7",
        ],
    );
    goes_on(session);
    let shown = session.cell(
        "%px if comm::rank() == 0 { comm::wait_any(&mut [comm::irecv::<u64>(1), comm::irecv::<u64>(2)]); }",
    );
    contains(&shown, &["rank 0", "in wait_any", "have left the cell"]);
    goes_on(session);
    let shown =
        session.cell("%px { comm::wait_any(&mut [comm::irecv::<u64>((comm::rank() + 1) % 3)]); }");
    contains(&shown, &["deadlock: ranks 0-2", "in wait_any"]);
    goes_on(session);
    // What has come is not what it waits for, and stays.
    let shown = session.cell(
        "%px { if comm::rank() == 0 { comm::send_tag(&5u8, 1, 3) } \
         else if comm::rank() == 1 { let _: u8 = comm::recv_tag(0, 4); } }",
    );
    contains(
        &shown,
        &[
            "rank 1  waits for rank 0 in recv  u8, tag 4",
            "rank 0 → rank 1: u8, tag 3",
        ],
    );
    contains(
        &session.cell("%px if comm::rank() == 1 { comm::recv_tag::<u8>(0, 3) + 37 } else { 0 }"),
        &["42"],
    );
    // A synchronous send waits for a receive, and not for MPI.
    let shown = session.cell(
        "%px { let other = comm::rank() ^ 1; if other < 2 { comm::ssend(&1u8, other); let _: u8 = comm::recv(other); } }",
    );
    contains(
        &shown,
        &[
            "deadlock: ranks 0 and 1 wait for each other",
            "┌▶ rank 0  waits for rank 1 in ssend  u8, tag 0",
            "└─ rank 1  waits for rank 0 in ssend  u8, tag 0",
        ],
    );
    session.cell("%comm --clear");
    goes_on(session);
    let shown = session.cell("%px if comm::rank() == 0 { comm::ssend(&vec![1u64; 100_000], 2) }");
    contains(
        &shown,
        &[
            "waiting for a rank that has left the cell: rank 0 waits for rank 2",
            "in ssend  [u64], tag 0",
        ],
    );
    session.cell("%comm --clear");
    let shown = session.cell("%px comm::ssend(&1u8, comm::rank())");
    contains(&shown, &["waits for itself", "in ssend"]);
    session.cell("%comm --clear");
    goes_on(session);
    // Of much: who has left takes none; who leaves takes what was sent before; two that send to each other take both.
    let nap = "std::thread::sleep(std::time::Duration::from_millis(400))";
    let shown = session.cell(&format!(
        "%px if comm::rank() == 0 {{ {nap}; comm::send(&vec![1u64; 1_000_000], 2) }}"
    ));
    contains(
        &shown,
        &[
            "rank 0  waits for rank 2 in send",
            "rank 2 has left the cell",
        ],
    );
    let shown = session.cell(&format!(
        "%px if comm::rank() == 0 {{ comm::send(&vec![1u64; 1_000_000], 2) }} else {{ {nap} }}"
    ));
    contains(
        &shown,
        &[
            "1 message was never received",
            "rank 0 → rank 2: [u64], tag 0",
        ],
    );
    contains(
        &session
            .cell("%px if comm::rank() == 2 { comm::recv::<Vec<u64>>(0).len() + 1 } else { 0 }"),
        &["1000001"],
    );
    let shown = session.cell(
        "%px { let other = comm::rank() ^ 1; if other < 2 { comm::send(&vec![1u64; 1_000_000], other); \
         comm::recv::<Vec<u64>>(other).len() } else { 0 } }",
    );
    contains(&shown, &["1000000"]);
    goes_on(session);
}

/// The same of calls that all make together, which MPI itself cannot leave.
pub fn collectives_in_vain(session: &mut Session) {
    let shown = session.cell("%px if comm::rank() != 1 { comm::barrier() }");
    contains(
        &shown,
        &[
            "ranks 0 and 2  wait for rank 1 in barrier",
            "rank 1 has left the cell and has not reached barrier",
        ],
    );
    goes_on(session);
    // It is stuck itself, in another call.
    let shown = session.cell(
        "%px if comm::rank() == 1 { let _: u8 = comm::recv(0); } else { let _ = comm::gather(&1u8, 0); }",
    );
    contains(
        &shown,
        &[
            "deadlock: ranks 0-2 wait for each other",
            "ranks 0 and 2  wait for rank 1 in gather",
            "waits for rank 0 in recv   u8, any tag",
        ],
    );
    goes_on(session);
    let shown = session.cell(
        "%px if comm::rank() == 1 { comm::barrier() } else { let _ = comm::all_gather(&1u8); }",
    );
    contains(
        &shown,
        &[
            "rank 1 is in `comm::barrier` meanwhile",
            "is in `comm::all_gather` meanwhile",
        ],
    );
    goes_on(session);
    let shown = session.cell(
        "%px { let half = comm::split((comm::rank() == 1) as u32, 0); if half.size() == 2 && half.rank() == 0 { half.barrier() } }",
    );
    contains(
        &shown,
        &["rank 0  waits for rank 2 in barrier  communicator"],
    );
    goes_on(session);
    let shown = session.cell("%px -t 0,1 comm::barrier()");
    contains(&shown, &["rank 2 does not run this cell"]);
    goes_on(session);
    // A member that comes late is waited for.
    let shown = session.cell(
        "%px { if comm::rank() == 1 { std::thread::sleep(std::time::Duration::from_millis(700)) } \
         comm::all_reduce(&1u32, comm::op::sum) + 50 }",
    );
    contains(&shown, &["53"]);
}

/// What ranks have waited and given each other is seen afterwards.
pub fn what_ranks_did_is_noted(session: &mut Session) {
    session.cell(
        "%px { let me = comm::rank(); if me == 1 { std::thread::sleep(std::time::Duration::from_secs(1)); comm::send(&1u64, 0) } \
         if me == 0 { comm::recv::<u64>(1); } }",
    );
    let shown = session.cell("%timeline");
    // It computes first, for as long as the machine takes for that.
    let is = |shown: &str, what: &str| {
        let mut rows = shown.lines().filter_map(|line| line.split_once(" 0 │"));
        rows.any(|(_, row)| {
            row.trim_start_matches([' ', '█'])
                .starts_with(&what.repeat(4))
        })
    };
    assert!(is(&shown, "·"), "{shown}");
    session.cell(
        "%px { let me = comm::rank(); if me == 1 { std::thread::sleep(std::time::Duration::from_secs(1)); comm::recv::<Vec<u64>>(0); } \
         if me == 0 { comm::send(&vec![1u64; 1_000_000], 1); } }",
    );
    let shown = session.cell("%timeline");
    assert!(is(&shown, "▒"), "{shown}");
    session.cell("%px { let mut it = vec![1u8; 1_000_000]; comm::broadcast(&mut it, 0); comm::all_reduce(&1u64, comm::op::sum) }");
    contains(&session.cell("%comm"), &["by collective calls"]);
}

/// Ctrl-C ends waits in MPI's own messages and before its collective calls; MPI and the variables stay. The rank that
/// waits for the store may send something yet, so that it is no deadlock.
pub fn waits_are_interrupted(session: &mut Session) {
    let before = engines(session);
    for wait in [
        "comm::barrier()",
        "let _: u64 = comm::recv(1);",
        "comm::ssend(&1u8, 1);",
        "comm::wait_any(&mut [comm::irecv::<u64>(1)]);",
    ] {
        session.enter(&format!(
            "%px if comm::rank() == 1 {{ let _ = store::pop_wait::<u8>(\"nothing\", std::time::Duration::from_secs(60)); }} else {{ {wait} }}"
        ));
        session.taken(5 * SECOND);
        std::thread::sleep(Duration::from_secs(2));
        let shown = session.interrupt();
        contains(&shown, &["interrupted"]);
        lacks(&shown, &["panicked", "deadlock", "restarted"]);
        session.cell("%comm --clear");
        goes_on(session);
    }
    assert_eq!(engines(session), before, "the same engines");
}

/// The variables are there, and MPI is.
#[track_caller]
fn goes_on(session: &mut Session) {
    let shown = session.cell("%px comm::all_reduce(&kept, comm::op::sum)");
    contains(&shown, &["30"]);
    lacks(&shown, &["deadlock", "panicked", "error", "started again"]);
}
