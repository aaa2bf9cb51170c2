//! What MPI's users rely on, on every kind of pool: the cases of mpi4py's suite (`test_p2p_obj`, `test_p2p_obj_matched`,
//! `test_p2p_buf`, `test_cco_obj`, `test_cco_buf`, `test_cco_vec`, `test_msgzero`, `test_comm`, `test_request`) and of
//! rsmpi's examples that `tests/comm.rs` does not have, and what is between them: requests that are dropped, calls that
//! do not fit together, ranks that fail.

mod support;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::peers::{CELLS, FAIR};
use support::{Session, contains, hosts::Hosts, lacks, table::results};

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Shared,
    Mpi,
}

/// What is told of calls that cannot be made, of ranks that share memory and of MPI's. Nothing of it lasts.
const TROUBLE: &[(&str, &[&str], &[&str])] = &[
    (
        "comm::isend(&1, comm::size()).wait()",
        &["send", "no rank", "the ranks are 0 to"],
        &[],
    ),
    ("comm::irecv::<u8>(77).wait()", &["recv", "no rank 77"], &[]),
    ("comm::sendrecv(&1, 0, 77)", &["no rank 77"], &[]),
    ("comm::probe(77)", &["probe", "no rank 77"], &[]),
    ("comm::mprobe(77).status()", &["probe", "no rank 77"], &[]),
    (
        "comm::split(0, 0).send(&1, comm::size())",
        &["send", "no rank"],
        &[],
    ),
    ("comm::gather(&1, 77)", &["gather", "no rank 77"], &[]),
    ("comm::scatter(&[1], 77)", &["scatter", "no rank 77"], &[]),
    (
        "comm::reduce(&1, comm::op::sum, 77)",
        &["reduce", "no rank 77"],
        &[],
    ),
    (
        "comm::reduce(&1, |a, b| a + b, comm::PROC_NULL)",
        &["no rank"],
        &[],
    ),
    (
        "comm::all_to_all(&[1])",
        &["all_to_all", "1 parts for", "ranks: it takes one for each"],
        &[],
    ),
    (
        "comm::scatter(&vec![1; 2], 0)",
        &["scatter", "2 parts for", "ranks"],
        &[],
    ),
    (
        "comm::recv_tag::<u8>(0, -1)",
        &["a tag is a number from 0 on, and -1 is not"],
        &[],
    ),
    (
        "comm::isend_tag(&1, 0, -7).wait()",
        &["a tag is", "-7"],
        &[],
    ),
    (
        "comm::irecv_tag::<u8>(0, i32::MIN).wait()",
        &["a tag is", "-2147483648"],
        &[],
    ),
    ("comm::probe_tag(0, -2)", &["a tag is", "-2"], &[]),
    (
        "comm::NULL.barrier()",
        &["`comm::NULL` has no ranks", "`comm::UNDEFINED`"],
        &[],
    ),
    (
        "comm::NULL.recv_any::<u8>().0",
        &["`comm::NULL` has no ranks"],
        &[],
    ),
    ("comm::NULL.rank()", &["`comm::NULL` has no ranks"], &[]),
    (
        "{ let mut it = comm::irecv::<u8>(comm::rank()); comm::send(&1_u8, comm::rank()); it.test(); it.wait() }",
        &["the value of this request was given before"],
        &[],
    ),
    // Requests that have failed are over: their messages are others'.
    (
        "if comm::rank() == 0 { comm::irecv::<u8>(1).wait(); }",
        &["rank 1 has left the cell"],
        &[],
    ),
    (
        "if comm::rank() == 0 { comm::wait_all([comm::irecv::<u8>(1), comm::irecv::<u8>(1)]); }",
        &["rank 1 has left the cell"],
        &[],
    ),
    // Lengths, types and roots that do not fit together.
    (
        "comm::all_reduce(&vec![1.5; 3 + comm::rank() as usize], comm::op::sum)",
        &["all_reduce", "values"],
        &["give as many"],
    ),
    (
        "comm::all_reduce(&vec![1.5; 9000 + comm::rank() as usize], comm::op::max)",
        &["all_reduce"],
        &["give as many"],
    ),
    (
        "comm::scan(&vec![1; 2 + comm::rank() as usize], comm::op::sum)",
        &["scan", "values"],
        &["give as many"],
    ),
    (
        "comm::reduce(&vec![1; 2 + comm::rank() as usize], comm::op::sum, 1)",
        &["reduce", "values"],
        &["give as many"],
    ),
    (
        "if comm::rank() == 0 { comm::all_reduce(&1u32, comm::op::sum); } else { comm::all_reduce(&1.5f32, comm::op::sum); }",
        &["type mismatch", "u32", "f32", "all_reduce"],
        &[],
    ),
    (
        "if comm::rank() == 0 { comm::all_gather(&vec![1u32, 2, 3]); } else { comm::all_gather(&vec![1.5]); }",
        &["type mismatch", "[u32]", "[f64]"],
        &[],
    ),
    (
        "if comm::rank() == 0 { comm::broadcast(&mut (1u32, 2u32), 0) } else { comm::broadcast(&mut (1u64, 2u16), 0) }",
        &[
            "type mismatch",
            "rank 1 expects (u64, u16) in broadcast, rank 0 has sent (u32, u32)",
        ],
        &["rank 0 expects (u32, u32) in broadcast, rank 1 has sent (u64, u16)"],
    ),
    (
        "if comm::rank() == 1 { comm::all_gather(&Some(1u32)); } else { comm::all_gather(&Some(1u64)); }",
        &[
            "type mismatch",
            "expects Option<u64> in all_gather, rank 1 has sent Option<u32>",
        ],
        &[],
    ),
    (
        "if comm::rank() == 1 { comm::gather(&vec![0_u8; 3_000_000], 0); } else { comm::gather(&vec![1.5; 3], 0); }",
        &[
            "type mismatch",
            "rank 0 expects [f64] in gather, rank 1 has sent [u8]",
        ],
        &[],
    ),
    (
        "comm::gather(&comm::rank(), comm::rank())",
        &["gather", "as the root"],
        &[],
    ),
    (
        "comm::reduce(&comm::rank(), comm::op::sum, comm::rank())",
        &["reduce", "as the root"],
        &[],
    ),
    (
        "comm::scatter(&vec![0; comm::size() as usize], comm::rank() % 2)",
        &["scatter", "as the root", "all have the same"],
        &[],
    ),
    (
        "{ let mut it = comm::rank(); comm::broadcast(&mut it, comm::rank()); it }",
        &["broadcast", "as the root", "all have the same"],
        &[],
    ),
    (
        "{ let all = comm::split(0, -(comm::rank() as i64)); let mut it = 0; comm::barrier(); all.broadcast(&mut it, all.rank() % 2); it }",
        &["broadcast", "as the root"],
        &[],
    ),
    (
        "if comm::rank() == 0 { comm::gather(&1, 0); } else { comm::gather(&1, 1); }",
        &["gather", "as the root"],
        &[],
    ),
    // One adds, the others look for the largest.
    (
        "if comm::rank() == 0 { comm::all_reduce(&1, comm::op::sum) } else { comm::all_reduce(&1, comm::op::max) }",
        &[
            "all_reduce",
            "`comm::op::sum`",
            "`comm::op::max`",
            "all have the same",
        ],
        &[],
    ),
    (
        "{ let row = vec![1.5; 9000]; if comm::rank() == 1 { comm::all_reduce(&row, comm::op::prod) } else { comm::all_reduce(&row, comm::op::min) }.len() }",
        &["all_reduce", "`comm::op::prod`", "`comm::op::min`"],
        &[],
    ),
    (
        "if comm::rank() == 1 { comm::scan(&1, comm::op::min) } else { comm::scan(&1, comm::op::sum) }",
        &["scan", "`comm::op::sum`", "`comm::op::min`"],
        &[],
    ),
    (
        "if comm::rank() == 1 { comm::reduce(&1, comm::op::min, 0) } else { comm::reduce(&1, comm::op::sum, 0) }",
        &["reduce", "`comm::op::sum`", "`comm::op::min`"],
        &[],
    ),
    // The same behind function pointers, whose types are the same.
    (
        "comm::all_reduce(&1, if comm::rank() == 0 { comm::op::sum } else { comm::op::max })",
        &[
            "`comm::all_reduce`: rank 0 has another function",
            "all have the same",
        ],
        &[],
    ),
    (
        "{ fn first(a: String, _: String) -> String { a } fn last(_: String, b: String) -> String { b } let op = [first, last][comm::rank() as usize % 2]; comm::exscan(&String::new(), op) }",
        &["`comm::exscan`: rank 1 has another function"],
        &[],
    ),
    (
        "{ let mut it = comm::rank(); comm::broadcast(&mut it, 1); comm::reduce(&it, [comm::op::min, comm::op::max][(comm::rank() == 1) as usize], 0) }",
        &["`comm::reduce`: rank 1 has another function"],
        &[],
    ),
    (
        "{ let mut row = vec![1; 3 * comm::rank() as usize]; comm::broadcast(&mut row[..], 0) }",
        &["broadcast", "there is room for"],
        &[],
    ),
    (
        "if comm::rank() == 0 { comm::send(&vec![1; 3], 1); } else if comm::rank() == 1 { comm::recv_into(&mut [0; 2][..], 0); }",
        &[
            "recv",
            "rank 0 has sent 3 values",
            "room for another number",
        ],
        &[],
    ),
    // Who asks again and again for what does not come.
    (
        "if comm::rank() == 0 { let mut it = comm::irecv::<u8>(1); while it.test().is_none() {} }",
        &[
            "rank 0  waits for rank 1 in wait",
            "rank 1 has left the cell",
        ],
        &[],
    ),
    (
        "if comm::rank() == 0 { while comm::iprobe(1).is_none() { std::thread::yield_now() } }",
        &[
            "rank 0  waits for rank 1 in probe",
            "rank 1 has left the cell",
        ],
        &[],
    ),
    (
        "if comm::rank() == 0 { let mut it = [comm::irecv_any::<u8>()]; while comm::test_any(&mut it).is_none() {} }",
        &["in wait_any", "have left the cell"],
        &[],
    ),
    // Ranks that fail in their own code, and in the middle of things.
    (
        "comm::all_reduce(&comm::rank().to_string(), |a, b| if comm::rank() == 1 { panic!(\"mine alone\") } else { a + &b })",
        &["engine 1 panicked: mine alone"],
        &[],
    ),
    (
        "{ comm::barrier(); if comm::rank() == 1 { panic!(\"amid it\") } comm::all_gather(&comm::rank()); comm::barrier() }",
        &[
            "engine 1 panicked: amid it",
            "rank 1 has left the cell and has not reached all_gather",
        ],
        &[],
    ),
    (
        "{ let it = comm::isend(&vec![1_u8; 3_000_000], (comm::rank() + 1) % 2); if comm::rank() == 1 { panic!(\"with much under way\") } it.wait() }",
        &["panicked: with much under way"],
        &[],
    ),
];

fn told(session: &mut Session, kind: Kind) {
    let all = (
        session.cell("%px comm::size()"),
        "%px { comm::barrier(); comm::all_reduce(&1u32, comm::op::sum) }",
    );
    // The same tags as the cell before, which may have failed with messages under way.
    let handed_on = "%px { let (me, size) = (comm::rank(), comm::size()); comm::send(&(me as u16), (me + 1) % size); \
                     comm::recv::<u16>((me + size - 1) % size); comm::all_reduce(&1u32, comm::op::sum) }";
    for (code, words, of_mpi) in TROUBLE {
        let shown = session.cell(&format!("%px {code}"));
        contains(&shown, words);
        if kind == Kind::Mpi {
            contains(&shown, of_mpi);
        }
        lacks(&shown, &["died", "Message truncated", "tag -"]);
        session.cell("%comm --clear");
        for code in [all.1, handed_on] {
            let shown = session.cell(code);
            lacks(&shown, &["error", "panicked", "deadlock", "never received"]);
            assert_eq!(
                shown.lines().filter(|line| line.contains('│')).count(),
                all.0.lines().filter(|line| line.contains('│')).count(),
                "{shown}"
            );
        }
    }
}

/// Very many messages that nobody receives come to an end, on MPI too, which has memory for some of them alone.
fn flood(session: &mut Session) {
    let code = "%px if comm::rank() == 1 { for at in 0..60_000_u32 { comm::send(&at, 0); } }";
    lacks(&session.cell(code), &["died", "interrupted"]);
    session.cell("%px comm::barrier()");
    session.cell("%comm --clear");
    contains(
        &session.cell("%px comm::all_reduce(&21u32, |a, _| a + a)"),
        &["│"],
    );
}

fn peers(start: &str, ranks: u32, kind: Kind) {
    let mut session = Session::start();
    contains(&session.cell(start), &["engines"]);
    let ok = [(&*format!("0-{}", ranks - 1), "\"ok\"")];
    let fair = (kind == Kind::Shared).then_some(&FAIR);
    for cell in CELLS.iter().chain(fair) {
        let code = format!("%%px\n{{\n{}\n\"ok\"\n}}", cell.trim());
        results(&mut session, &code, &ok);
    }
    lacks(&session.cell("%comm"), &["never received"]);
    told(&mut session, kind);
    if kind == Kind::Mpi {
        flood(&mut session);
    }
    assert_eq!(session.end(), 0);
}

#[test]
fn processes() {
    peers("%pool start processes -n 5", 5, Kind::Shared);
}

#[test]
fn threads() {
    peers("%pool start threads -n 4", 4, Kind::Shared);
}

#[test]
fn hosts() {
    let hosts = Hosts::up("peers");
    peers(&hosts.start([3, 2]), 5, Kind::Shared);
}

#[test]
fn open_mpi() {
    peers(
        "%pool start mpi -n 3 --launcher mpiexec.openmpi",
        3,
        Kind::Mpi,
    );
}

#[test]
fn mpich() {
    peers(
        "%pool start mpi -n 4 --launcher mpiexec.mpich",
        4,
        Kind::Mpi,
    );
}

/// What variables name of ranks that are gone is none of those that stand in for them.
#[test]
fn what_was_made_with_a_rank_that_has_died_is_over() {
    let mut session = Session::start();
    session.cells(&[
        "%pool start processes -n 3",
        "%px let (old, coming) = (comm::split(0, 0), comm::irecv::<u8>(1));",
    ]);
    let victim = session.engines()[2];
    kill(Pid::from_raw(victim), Signal::SIGKILL).expect("an engine");
    session.cell("1 + 1");
    session.cell("%pool restart 1");
    // A new communicator and a new request, which might be called as the old ones.
    let code = "%px { let new = comm::split(comm::rank() % 2, 0); let it = comm::irecv::<u8>(comm::rank()); \
                comm::send(&9_u8, comm::rank()); comm::barrier(); (new.size(), it.wait()) }";
    results(&mut session, code, &[("0,2", "(2, 9)"), ("1", "(1, 9)")]);
    contains(
        &session.cell("%px -t 0,2 old.size()"),
        &["this communicator was made by engines that are gone: `split` anew"],
    );
    contains(
        &session.cell("%px -t 0,2 coming.wait()"),
        &["`comm::wait`: the request is over, or belongs to engines that are gone"],
    );
    let sum = "%px comm::all_reduce(&comm::rank(), comm::op::sum)";
    results(&mut session, sum, &[("0-2", "3")]);
    assert_eq!(session.end(), 0);
}

/// A message that MPI does not take, here for want of memory, is told, is not counted, and is in nobody's way.
#[test]
fn what_mpi_does_not_take_has_not_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let header = folder.path().join("refuses.h");
    let text = "#include <mpi.h>\n#include <stdlib.h>\n#define MPI_Isend(bytes, count, ...) \\\n    \
                (getenv(\"REFUSES\") && (count) >= atoi(getenv(\"REFUSES\")) ? MPI_ERR_NO_MEM : MPI_Isend(bytes, count, __VA_ARGS__))\n";
    std::fs::write(&header, text).expect("a header");
    let mut session = Session::start();
    session.cell(&format!(
        "%env MPICC=mpicc.openmpi -include {}",
        header.display()
    ));
    let start = "%pool start mpi -n 3 --launcher mpiexec.openmpi";
    contains(&session.cell(start), &["3 MPI engines"]);
    // The body of a long one, and a short one.
    for (least, value) in [("1000", "vec![1_u64; 200_000]"), ("0", "7_u8")] {
        session.cell(&format!(
            "%px if comm::rank() == 0 {{ unsafe {{ std::env::set_var(\"REFUSES\", \"{least}\") }} }}"
        ));
        let shown = session.cell(&format!(
            "%px if comm::rank() == 0 {{ comm::isend(&{value}, 1).wait(); }}"
        ));
        contains(&shown, &["`comm::send`: MPI does not take the message"]);
        lacks(&shown, &["never received", "engines 0-2"]);
        session.cell("%px if comm::rank() == 0 { unsafe { std::env::remove_var(\"REFUSES\") } }");
    }
    // Nothing of it is waited for, neither by who comes next nor by who looks for deadlocks.
    let shown =
        session.cell("%px if comm::rank() == 1 { comm::recv::<Vec<u64>>(0).len() } else { 0 }");
    contains(&shown, &["rank 1 waits for rank 0", "has left the cell"]);
    let code = "%px if comm::rank() == 0 { comm::isend(&vec![1_u64; 200_000], 1).wait(); 0 } \
                else if comm::rank() == 1 { comm::recv::<Vec<u64>>(0).len() } else { 0 }";
    results(&mut session, code, &[("0,2", "0"), ("1", "200000")]);
    contains(&session.cell("%comm"), &["mpi0: 1 message of"]);
    assert_eq!(session.end(), 0);
}
