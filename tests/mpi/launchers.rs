//! What starts the engines of an MPI pool: what is missing of it, and what it does otherwise than start them.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{SECOND, Session, contains, lacks, proc, regatta, serving::until};
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
        &[
            "`--launcher` is for MPI pools and clusters",
            "%pool start mpi --launcher",
        ],
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
    let sleeps = |pid: &i32| proc::arguments(*pid).contains("4711");
    let started = || {
        let below = proc::below(session.pid()).into_iter();
        let started: Vec<i32> = below.filter(sleeps).collect();
        (!started.is_empty()).then_some(started)
    };
    let started = until(started, "the launcher does not run");
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

/// Launchers of a user's own, which are scripts before `mpiexec` as often as not.
#[test]
fn launchers_may_be_scripts() {
    needs(OPEN_MPI);
    let mut session = Session::start();
    let folder = tempfile::tempdir().expect("a folder");
    let script = |name: &str, text: &str| {
        let path = folder.path().join(name);
        // Open MPI tells its name when it is asked for its version.
        let asked = "[ \"$1\" = --version ] && exec mpiexec.openmpi --version";
        std::fs::write(&path, format!("#!/bin/sh\n{asked}\n{text}\n")).expect("a script");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("its mode");
        path.display().to_string()
    };
    let gone = folder.path().join("gone");
    // Three options that regatta adds are left out.
    let other = |size: u32| {
        format!(
            "shift 4; exec mpiexec.openmpi --allow-run-as-root --oversubscribe -n {size} \"$@\""
        )
    };
    let start = |session: &mut Session, launcher: &str, size: u32| {
        let launcher = format!("{launcher} -n {{n}}");
        session.cell(&format!(
            "%pool start mpi -n {size} --launcher '{launcher}'"
        ))
    };

    for (name, text, told) in [
        (
            "zero",
            "exit 0".to_owned(),
            &["ended with exit status 0", "stays until that has ended"][..],
        ),
        (
            "fewer",
            other(2),
            &[
                "what was to start 3 of them has started 2 processes",
                "`{n}` in `--launcher`",
            ],
        ),
        (
            "more",
            other(4),
            &[
                "what was to start 3 of them has started 4 processes",
                "`{n}` in `--launcher`",
            ],
        ),
        (
            "alone",
            "while [ \"$1\" != -n ]; do shift; done; shift 2; \"$@\" & \"$@\" & \"$@\" & wait"
                .to_owned(),
            &["each of them is one of 1", "MPIs"],
        ),
        (
            "behind",
            "setsid mpiexec.openmpi \"$@\" >/dev/null 2>&1 & exit 0".to_owned(),
            &["ended with exit status 0"],
        ),
    ] {
        let shown = start(&mut session, &script(name, &text), 3);
        let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        contains(&shown, &["error: the pool's engines did not start"]);
        contains(&shown, told);
        assert_eq!(shown.matches("error: ").count(), 1, "one error\n{shown}");
        assert_eq!(engines(&session), [0; 0], "{name}");
    }
    let plain = folder.path().join("plain");
    std::fs::write(&plain, "#!/bin/sh\n").expect("a file");
    for (launcher, told) in [
        (&plain, "it may not be executed"),
        (&folder.path().to_owned(), "it is a folder"),
    ] {
        let shown = start(&mut session, &launcher.display().to_string(), 2);
        let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        contains(&shown, &["error", "is no program", told]);
    }
    lacks(&session.cell("%pool list"), &["mpi0"]);

    // One that does not know `--version` and never ends: Ctrl-C, at once.
    let deaf = folder.path().join("deaf");
    std::fs::write(&deaf, "#!/bin/sh\nexec sleep 4713\n").expect("a script");
    std::fs::set_permissions(&deaf, PermissionsExt::from_mode(0o755)).expect("its mode");
    session.enter(&format!(
        "%pool start mpi -n 2 --launcher {}",
        deaf.display()
    ));
    proc::there_are(1, "4713");
    contains(&session.interrupt(), &["interrupted"]);
    proc::there_are(0, "4713");

    // One that prints much, takes its time, and does not start again at first.
    let text = format!(
        "[ -e {gone} ] && {{ echo no more licences >&2; exit 3; }}\nyes words | head -c 20000000; sleep 2; exec mpiexec.openmpi \"$@\"",
        gone = gone.display()
    );
    let licensed = script("licensed", &text);
    contains(
        &start(&mut session, &licensed, 2),
        &["pool mpi0: 2 MPI engines, Open MPI"],
    );
    std::fs::write(&gone, "").expect("a file");
    let second = engines(&session)[1];
    kill(Pid::from_raw(second), Signal::SIGKILL).expect("an engine");
    contains(
        &session.cell("%pool restart"),
        &["error: the pool's engines did not start: no more licences"],
    );
    contains(
        &session.cell("%px engine::rank() + 40"),
        &["error: the pool's engines did not start: no more licences"],
    );
    std::fs::remove_file(&gone).expect("the file");
    contains(&session.cell("%pool restart"), &["engines 0,1 restarted"]);
    contains(&session.cell("%px engine::rank() + 40"), &["40", "41"]);
    contains(&session.cell("%pool stop"), &["stopped mpi0"]);

    // The session is killed while it starts.
    let others = proc::below(session.pid());
    session.enter(&format!(
        "%pool start mpi -n 2 --launcher '{licensed} -n {{n}}'"
    ));
    session.taken(5 * SECOND);
    let below = || {
        let below = proc::below(session.pid()).into_iter();
        let below: Vec<i32> = below.filter(|pid| !others.contains(pid)).collect();
        (!below.is_empty()).then_some(below)
    };
    until(below, "the launcher does not run");
    // It may start others.
    std::thread::sleep(Duration::from_secs(1));
    let below = below().unwrap_or_default();
    session.signal(Signal::SIGKILL);
    let left = proc::leftovers(&below, 10 * SECOND);
    assert!(left.is_empty(), "{left:?}");
}

/// To a program that reads the events, a map on engines of MPI's is one on processes.
#[test]
fn a_map_is_told_as_of_processes() {
    needs(OPEN_MPI);
    let cell = format!("%pool start mpi -n 2 --launcher {OPEN_MPI}\n%map |x: u64| x over 0..4");
    let ran = regatta(&["--format", "json", "-e", &cell], b"");
    let events = ran.out.lines().map(serde_json::from_str);
    let events: Vec<serde_json::Value> = events.collect::<Result<_, _>>().expect("JSON");
    let plan = events.iter().find(|event| event["event"] == "map_plan");
    let plan = plan.expect("a plan");
    assert_eq!(
        (&plan["kind"], &plan["pool"], &plan["engines"]),
        (&"processes".into(), &"mpi0".into(), &2.into())
    );
}
