//! What starts the engines of an MPI pool: what is missing of it, and what it does otherwise than start them.

use std::time::Duration;

use crate::support::{SECOND, Session, contains, lacks, proc};
use crate::{MPICH, OPEN_MPI, engines, needs, start};

/// What is missing is named, and no engine is left that has half started.
#[test]
fn what_is_missing_is_told() {
    for launcher in [OPEN_MPI, MPICH] {
        needs(launcher);
    }
    let mut session = Session::start();
    let path = std::env::var("PATH").expect("a path");
    session.cell("%env PATH=/nowhere");
    contains(
        &session.cell("%pool start mpi -n 2"),
        &[
            "no `mpiexec` or `mpirun` here",
            "apt install openmpi-bin libopenmpi-dev",
        ],
    );
    let alone = session.temporary().join("mpiexec");
    std::fs::copy("/bin/true", &alone).expect("a program");
    contains(
        &session.cell(&format!(
            "%pool start mpi -n 2 --launcher {}",
            alone.display()
        )),
        &[
            "mpicc",
            "which engines need to reach MPI",
            "apt install libopenmpi-dev",
        ],
    );
    session.cell(&format!("%env PATH={path}"));
    contains(
        &session.cell("%pool start mpi -n 2 --launcher 'no-such-launcher -n {n}'"),
        &["no `no-such-launcher` here"],
    );
    contains(
        &session.cell("%pool start -n 2 --launcher srun"),
        &["`--launcher` is for `%pool start mpi`"],
    );
    // The two have nothing to do with each other.
    for (launcher, compiler) in [(OPEN_MPI, "mpicc.mpich"), (MPICH, "mpicc.openmpi")] {
        session.cell(&format!("%env MPICC={compiler}"));
        let shown = start(&mut session, launcher, 2);
        contains(&shown, &["error", "different MPIs", "Open MPI", "MPICH"]);
    }
    session.cell("%env MPICC=false");
    contains(
        &start(&mut session, OPEN_MPI, 2),
        &["`false` does not compile"],
    );
    session.cell("%env -u MPICC");
    // A launcher's own words, when it starts nothing.
    contains(
        &session.cell("%pool start mpi -n 2 --launcher 'mpiexec.openmpi --no-such-option'"),
        &["error", "no-such-option"],
    );
    lacks(&session.cell("%pool list"), &["mpi0"]);
    assert_eq!(engines(&session), [0; 0]);
    assert_eq!(session.end(), 0);
}

/// What a launcher does otherwise than start engines is told in its own words, with what to do, and nothing is left.
#[test]
fn launchers_that_start_no_engines_are_told() {
    needs(OPEN_MPI);
    needs(MPICH);
    let mut session = Session::start();
    let mut told = |launcher: &str, parts: &[&str]| {
        let size = if launcher.contains("slots") { 3 } else { 2 };
        let launcher = launcher.replace(" slots", "");
        let shown = session.cell(&format!(
            "%pool start mpi -n {size} --launcher '{launcher}'"
        ));
        contains(&shown, &["error: the pool's engines did not start"]);
        contains(&shown, parts);
        assert_eq!(shown.matches("error: ").count(), 1, "one error\n{shown}");
    };
    told("false", &["ended with exit status 1"]);
    told(
        "sh -c \"echo no licence today >&2; exit 7\"",
        &["no licence today"],
    );
    told("sh -c \"kill -SEGV $$\"", &["ended with exit status 139"]);
    // What it starts are no engines.
    told("mpiexec.openmpi -n {n} false", &["exit code", "non-zero"]);
    told("mpiexec.mpich -n {n} false", &["ended with exit status 1"]);
    told(
        "mpiexec.openmpi --nooversubscribe --host localhost:2 -n {n} slots",
        &["slots", "help: fewer engines: `-n N`", "--oversubscribe"],
    );
    // Sockets end at a network's border, as at a host's.
    for launcher in [OPEN_MPI, MPICH] {
        told(
            &format!("{launcher} -n {{n}} unshare --map-root-user --net"),
            &["no session listens", "run on the host of their session"],
        );
    }
    told(
        "mpiexec.openmpi --host nosuchhost.invalid:2 -n {n}",
        &["resolve hostname", "run on the host of their session"],
    );
    contains(
        &session.cell("%pool start mpi -n 0"),
        &["error: a pool of 0 engines cannot work"],
    );
    contains(
        &session.cell("%pool start mpi -n 2 --launcher ''"),
        &["error", "is no command"],
    );

    // Ctrl-C while nothing comes: at once, and what was started ends.
    session.enter("%pool start mpi -n 2 --launcher 'sh -c \"exec sleep 4711\"'");
    session.taken(5 * SECOND);
    std::thread::sleep(Duration::from_secs(1));
    let sleeps = |pid: &i32| proc::arguments(*pid).contains("4711");
    let started: Vec<i32> = { proc::below(session.pid()).into_iter() }
        .filter(sleeps)
        .collect();
    assert!(!started.is_empty(), "the launcher runs");
    contains(&session.interrupt(), &["interrupted"]);
    let left = proc::leftovers(&started, 5 * SECOND);
    assert!(left.is_empty(), "{left:?}");
    lacks(&session.cell("%pool list"), &["mpi0"]);

    // Its options are its own.
    contains(
        &session.cell("%pool start mpi -n 2 --launcher 'mpiexec.openmpi -x GREETING=hello -n {n}'"),
        &["pool mpi0: 2 MPI engines"],
    );
    contains(
        &session.cell("%px std::env::var(\"GREETING\").unwrap()"),
        &["hello"],
    );
    assert_eq!(session.end(), 0);
}
