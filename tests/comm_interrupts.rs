//! Ctrl-C at random moments of cells in which ranks do nothing but speak with each other: whether they happen to wait or
//! not, they end their calls, and nothing is lost.
//!
//! Chances are logged (`REGATTA_SEED`). `REGATTA_DOSE=full` gives many more of them.

mod support;

use std::thread;
use std::time::Duration;

use support::{PATIENCE, Session, contains, dose, hosts::Hosts, lacks};

/// The latest moment, after the ranks have begun.
const LATEST: Duration = Duration::from_millis(300);

/// What ranks do for ever.
const LOOPS: &[&str] = &[
    "comm::barrier();",
    "comm::sendrecv(&mine, next, before);",
    "comm::all_reduce(&mine, comm::op::sum);",
    "comm::all_reduce(&row, comm::op::max);",
    "comm::broadcast(&mut row.clone(), 1);",
    "comm::sendrecv(&row, next, before);",
    "comm::gather(&format!(\"rank {mine}\"), 0);",
    // One speaks and the others listen.
    "if mine == 0 { for to in 1..comm::size() { comm::send(&row, to); comm::send(&mine, to); } } \
     else { comm::recv::<Vec<f64>>(0); comm::recv::<u32>(0); }",
    // Nobody ever waits.
    "comm::iprobe_any();",
    "let (goes, mut comes) = (comm::isend(&mine, next), comm::irecv::<u32>(before)); \
     while comm::test_any(std::slice::from_mut(&mut comes)).is_none() {} goes.wait();",
    // Now and then.
    "for step in 0..200_000_u64 { std::hint::black_box(step); } comm::barrier();",
];

fn interrupted(start: &str) {
    let mut random = dose::random();
    let mut session = Session::start();
    contains(&session.cell(start), &["engines"]);
    let ranks = 3;
    let own = match start.contains("threads") {
        true => "let kept = 7_u32;",
        false => "%px let kept = 7_u32;",
    };
    session.cells(&[own]);
    let rounds = dose::of(LOOPS.len(), 20 * LOOPS.len());
    let mut by_force = 0;
    for round in 0..rounds {
        let code = LOOPS[round % LOOPS.len()];
        let after = LATEST.mul_f64(random.f64());
        dose::told(&format!("round {round}: {after:?} into {code}"));
        session.enter(&format!(
            "%px {{ let mine = comm::rank(); let (next, before) = ((mine + 1) % {ranks}, (mine + {ranks} - 1) % {ranks}); \
             let row = vec![1.0_f64; 20_000]; comm::barrier(); if mine == 0 {{ println!(\"here\"); }} \
             let _ = (next, before, &row); loop {{ {code} }} }}"
        ));
        session.shows("here", PATIENCE);
        thread::sleep(after);
        let shown = session.interrupt();
        contains(&shown, &["interrupted"]);
        lacks(&shown, &["panicked", "deadlock", "died"]);
        if shown.contains("restarted") {
            // The machine stood still for longer than ranks have to their next call.
            by_force += 1;
            session.cells(&[own]);
        }
        session.cell("%comm --clear");
        let next = session.cell("%px comm::all_reduce(&kept, comm::op::sum)");
        contains(&next, &[&(7 * ranks).to_string()]);
        lacks(&next, &["error", "deadlock", "started again"]);
    }
    assert!(4 * by_force <= rounds, "{by_force} of {rounds} by force");
    assert_eq!(session.end(), 0);
}

#[test]
fn processes() {
    interrupted("%pool start processes -n 3");
}

#[test]
fn threads() {
    interrupted("%pool start threads -n 3");
}

#[test]
fn open_mpi() {
    interrupted("%pool start mpi -n 3 --launcher mpiexec.openmpi");
}

#[test]
fn mpich() {
    interrupted("%pool start mpi -n 3 --launcher mpiexec.mpich");
}

#[test]
fn hosts() {
    let hosts = Hosts::up("loops");
    interrupted(&hosts.start([2, 1]));
}
