//! Engines of an MPI pool that Slurm starts.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::{self, SECOND, Session, contains, proc, slurm::Slurm};
use crate::{MPICH, OPEN_MPI, needs};

/// Jobs that it has, with their steps.
fn jobs(slurm: &Slurm) -> String {
    slurm.lists(&["--steps"]) + &slurm.lists(&[])
}

fn becomes_idle(slurm: &Slurm) {
    let since = Instant::now();
    while !jobs(slurm).is_empty() {
        assert!(since.elapsed() < Duration::from_secs(60), "{}", jobs(slurm));
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Engines of this session, whoever is their parent.
fn engines_anywhere(session: i32) -> Vec<i32> {
    let mark = format!(" regatta-{session}-");
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| proc::arguments(*pid).contains(&mark))
        .collect()
}

/// Slurm starts engines, of either MPI, and is left without jobs, however they end.
#[test]
fn slurm_starts_engines() {
    needs(OPEN_MPI);
    needs(MPICH);
    let slurm = Slurm::start();
    let mut session = Session::start();
    session.cell(&format!("%env SLURM_CONF={}", slurm.conf()));
    session.cell("%env MPICC=mpicc.mpich");
    contains(
        &session.cell("%pool start mpi -n 2 --name other --launcher 'srun --mpi=pmi2 -n {n}'"),
        &["pool other: 2 MPI engines", "slurm"],
    );
    contains(
        &session.cell("%px comm::all_reduce(&20u32, comm::op::sum)"),
        &["40"],
    );
    contains(&session.cell("%pool stop"), &["stopped other"]);
    becomes_idle(&slurm);

    session.cell("%env MPICC=mpicc.openmpi");
    let start = "%pool start mpi -n 4 --launcher 'srun --mpi=pmix -n {n}'";
    contains(&session.cell(start), &["pool mpi0: 4 MPI engines"]);
    let ring = "%px { let (rank, size) = (comm::rank(), comm::size()); comm::send(&rank, (rank + 1) % size); \
                let before: u32 = comm::recv((rank + size - 1) % size); (before, comm::all_reduce(&before, comm::op::sum)) }";
    contains(&session.cell(ring), &["(3, 6)", "(2, 6)"]);
    let shown = session.cell("%px { if engine::rank() == 2 { std::process::exit(3) } loop {} }");
    contains(
        &shown,
        &[
            "engine 2 died: ended itself with exit status 3",
            "engines 0,1,3: ended by MPI with engine 2",
        ],
    );
    contains(
        &session.cell("%pool restart"),
        &["engines 0,1,2,3 restarted"],
    );
    contains(&session.cell(ring), &["(3, 6)"]);
    contains(&session.cell("%pool stop"), &["stopped mpi0"]);
    assert_eq!(engines_anywhere(session.pid()), [0; 0]);
    becomes_idle(&slurm);

    // What Slurm has to say.
    contains(
        &session.cell("%pool start mpi -n 2 --launcher 'srun --mpi=nosuch -n {n}'"),
        &["did not start", "Invalid MPI type 'nosuch'", "--mpi=pmix"],
    );
    contains(
        &session.cell("%pool start mpi -n 2 --launcher 'srun --mpi=none -n {n}'"),
        &["did not start", "--mpi=pmix"],
    );
    contains(
        &session.cell("%pool start mpi -n 9 --launcher 'srun --mpi=pmix -n {n}'"),
        &[
            "none of 9 have come within 15 s",
            "queued and waiting for resources",
            "salloc",
        ],
    );
    becomes_idle(&slurm);

    // The session is killed amid a cell.
    contains(&session.cell(start), &["pool mpi0: 4 MPI engines"]);
    let started = engines_anywhere(session.pid());
    assert!(started.len() >= 8, "engines and their parents: {started:?}");
    session.enter("%px loop {}");
    session.taken(5 * SECOND);
    session.signal(Signal::SIGKILL);
    let left = proc::leftovers(&started, 10 * SECOND);
    assert!(left.is_empty(), "{left:?}");
    becomes_idle(&slurm);
    drop(session);

    // A notebook inside of an allocation.
    let notebook = slurm.folder.path().join("lesson.md");
    let text = "```rust\n%pool start mpi -n 2 --launcher 'srun --mpi=pmix -n {n}'\n\
                %px comm::all_reduce(&comm::rank(), comm::op::sum) + 70\n```\n";
    std::fs::write(&notebook, text).expect("a notebook");
    let mut salloc = slurm.client("salloc");
    salloc
        .args(["-n", "2", support::BINARY, "run"])
        .arg(&notebook);
    let ran = salloc
        .env("MPICC", "mpicc.openmpi")
        .output()
        .expect("salloc");
    let shown = String::from_utf8_lossy(&ran.stdout).into_owned();
    contains(&shown, &["pool mpi0: 2 MPI engines", "71"]);
    assert!(ran.status.success(), "{ran:?}");
    becomes_idle(&slurm);
}
