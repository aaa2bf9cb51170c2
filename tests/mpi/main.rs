//! Pools whose engines `mpiexec` starts, on the two MPIs that Debian has, side by side.

mod endings;
mod launchers;
mod messages;
mod slurm;
#[path = "../support/mod.rs"]
mod support;
mod waits;

use support::{Session, contains, is_like_others, messages as carried, proc, table::results};

const OPEN_MPI: &str = "mpiexec.openmpi";
const MPICH: &str = "mpiexec.mpich";

/// They are what is tested: where one is missing, nothing of it has been.
fn needs(launcher: &str) {
    let packages = match launcher {
        OPEN_MPI => "openmpi-bin libopenmpi-dev",
        _ => "mpich libmpich-dev",
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    for program in [launcher, &launcher.replace("mpiexec", "mpicc")] {
        assert!(
            folders.iter().any(|folder| folder.join(program).is_file()),
            "`{program}` is not installed: apt-get install -y --no-install-recommends {packages}"
        );
    }
}

fn start(session: &mut Session, launcher: &str, size: usize) -> String {
    session.cell(&format!("%pool start mpi -n {size} --launcher {launcher}"))
}

/// Engines of the session that are of an MPI pool.
fn engines(session: &Session) -> Vec<i32> {
    let below = proc::below(session.pid()).into_iter();
    let is_engine = |pid: &i32| proc::arguments(*pid).contains(" __mpi_engine regatta-");
    below.filter(is_engine).collect()
}

/// Files that MPI libraries make for the time of their run.
fn files() -> Vec<String> {
    let mut found = Vec::new();
    for folder in ["/dev/shm", "/tmp"] {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let starts = ["regatta-mpi-", "vader_segment", "mpich_shar"];
            if starts.iter().any(|start| name.starts_with(start)) {
                found.push(name);
            }
        }
    }
    found.sort();
    found
}

fn is_a_pool(launcher: &str, name: &str) {
    needs(launcher);
    let mut session = Session::start();
    contains(
        &start(&mut session, launcher, 3),
        &["pool mpi0: 3 MPI engines", name, "up in"],
    );
    contains(&session.cell("%pool list"), &["mpi0 *", "idle"]);
    assert_eq!(engines(&session).len(), 3);

    is_like_others(&mut session, "mpi0");

    // MPI's processes come and go together.
    contains(
        &session.cell("%pool resize 5"),
        &["error: mpi0 cannot be resized", "`%pool start mpi -n 5`"],
    );
    contains(
        &session.cell("%pool restart 1"),
        &["begin and end together", "`%pool restart`"],
    );
    contains(
        &session.cell("%pool start mpi -n 2 --tasks-per-engine 4"),
        &["cannot be exchanged"],
    );
    contains(
        &session.cell("%pool restart"),
        &["engines 0,1,2 restarted", "lost there: mine"],
    );
    contains(&session.cell("%px engine::rank() + 7"), &["7", "8", "9"]);

    messages::messages(&mut session);
    messages::numbers_of_many_types(&mut session);
    messages::collectives(&mut session);
    // What is the same whatever carries the messages.
    for cell in carried::cells() {
        results(&mut session, &cell, &[("0-2", "\"ok\"")]);
    }
    waits::what_would_wait_for_ever(&mut session);
    waits::collectives_in_vain(&mut session);
    waits::what_ranks_did_is_noted(&mut session);
    waits::waits_are_interrupted(&mut session);
    endings::ends_with_the_first(&mut session);
    endings::a_map_goes_on(&mut session);
    endings::is_interrupted(&mut session);

    contains(&session.cell("%pool stop"), &["stopped mpi0"]);
    assert_eq!(engines(&session), [0; 0]);
    assert_eq!(session.end(), 0);
}

#[test]
fn open_mpi() {
    is_a_pool(OPEN_MPI, "Open MPI");
}

#[test]
fn mpich() {
    is_a_pool(MPICH, "MPICH");
}
