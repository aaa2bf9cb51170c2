//! Pools whose engines `mpiexec` starts, on the two MPIs that Debian has, side by side.

mod support;

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{SECOND, Session, contains, lacks, messages, proc, table::results};
use tempfile::TempDir;

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

    // What engines print and return is told of each, as on any pool.
    let shown = session
        .cell("%px { println!(\"I am {}\", engine::rank()); (engine::rank(), engine::size()) }");
    contains(
        &shown,
        &["[stdout:0] I am 0", "[stdout:2] I am 2", "(1, 3)"],
    );
    session.cell("%px let mine = engine::rank() * 2;");
    contains(&session.cell("%px -t 1: mine"), &["2", "4"]);
    contains(
        &session.cell("let squares = %map |x: u64| x * x over 0..8u64\nsquares"),
        &["on mpi0 (3 engines)", "[0, 1, 4, 9, 16, 25, 36, 49]"],
    );

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

    messages(&mut session);
    numbers_of_many_types(&mut session);
    collectives(&mut session);
    // What is the same whatever carries the messages.
    for cell in messages::cells() {
        results(&mut session, &cell, &[("0-2", "\"ok\"")]);
    }
    what_would_wait_for_ever(&mut session);
    collectives_in_vain(&mut session);
    waits_are_interrupted(&mut session);
    ends_with_the_first(&mut session);
    a_map_goes_on(&mut session);
    is_interrupted(&mut session);

    contains(&session.cell("%pool stop"), &["stopped mpi0"]);
    assert_eq!(engines(&session), [0; 0]);
    assert_eq!(session.end(), 0);
}

/// Point to point, on MPI's own messages.
fn messages(session: &mut Session) {
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
fn numbers_of_many_types(session: &mut Session) {
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
fn collectives(session: &mut Session) {
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
    let split = "%px { let half = comm::split(comm::rank() % 2, -(comm::rank() as i64)); (half.rank(), half.size(), \
                 half.all_reduce(&comm::rank(), comm::op::sum)) }";
    contains(
        &session.cell(split),
        &["(1, 2, 2)", "(0, 1, 1)", "(0, 2, 2)"],
    );
}

/// What would wait for ever ends, is told as on any pool, and costs nothing.
fn what_would_wait_for_ever(session: &mut Session) {
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
fn collectives_in_vain(session: &mut Session) {
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

/// Ctrl-C ends waits in MPI's own messages and before its collective calls; MPI and the variables stay. The rank that
/// waits for the store may send something yet, so that it is no deadlock.
fn waits_are_interrupted(session: &mut Session) {
    let before = engines(session);
    for wait in [
        "comm::barrier()",
        "let _: u64 = comm::recv(1);",
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

/// One rank dies, and so do all: told once, with who was first.
fn ends_with_the_first(session: &mut Session) {
    session.cell("%px let here = 1;");
    let second = engines(session)[1];
    kill(Pid::from_raw(second), Signal::SIGKILL).expect("an engine");
    // Also what has started them.
    let of_mpi = |pid: &i32| {
        let arguments = proc::arguments(*pid);
        arguments.contains("mpi") && !arguments.contains("__compiler")
    };
    let all: Vec<i32> = proc::below(session.pid())
        .into_iter()
        .filter(of_mpi)
        .collect();
    let gone = proc::leftovers(&all, 5 * SECOND);
    assert!(gone.is_empty(), "{gone:?}");
    session.cell("1 + 1");
    let shown = session.cell("%px engine::size()");
    contains(
        &shown,
        &["were dead and started again", "lost there: here", "3"],
    );

    let shown = session.cell("%px { if engine::rank() == 2 { std::process::exit(3) } loop {} }");
    contains(
        &shown,
        &[
            "engine 2 died: ended itself with exit status 3",
            "engines 0,1: ended by MPI with engine 2",
        ],
    );
    assert_eq!(shown.matches("died").count(), 1, "one error\n{shown}");
    contains(&session.cell("%pool restart"), &["engines 0,1,2 restarted"]);
    let shown = session.cell(
        "%px if engine::rank() == 1 { unsafe { std::ptr::null_mut::<u8>().write_volatile(1) } }",
    );
    contains(&shown, &["engine 1 died: segmentation fault (SIGSEGV)"]);
    assert_eq!(shown.matches("died").count(), 1, "one error\n{shown}");
}

/// The items that were under way when all ended are done by those that stand in for them.
fn a_map_goes_on(session: &mut Session) {
    let flag = session.temporary().join("crashed");
    let code = format!(
        "let all = %map |x: u64| {{ if x == 3 && std::fs::File::create_new({flag:?}).is_ok() {{ std::process::abort() }} x + 1 }} over 0..6u64\nall"
    );
    contains(&session.cell(&code), &["[1, 2, 3, 4, 5, 6]"]);
}

fn is_interrupted(session: &mut Session) {
    session.enter("%px loop {}");
    session.taken(5 * SECOND);
    std::thread::sleep(Duration::from_millis(300));
    contains(&session.interrupt(), &["engines 0-2 interrupted"]);
    contains(
        &session.cell("%px engine::rank() + 10"),
        &["10", "11", "12"],
    );
}

#[test]
fn open_mpi() {
    is_a_pool(OPEN_MPI, "Open MPI");
}

#[test]
fn mpich() {
    is_a_pool(MPICH, "MPICH");
}

/// Nothing is left of a session that is killed: no engine, no launcher, none of its helpers, and no file.
#[test]
fn nothing_is_left_of_a_killed_session() {
    for launcher in [OPEN_MPI, MPICH] {
        needs(launcher);
        let mut session = Session::start();
        let before = files();
        contains(&start(&mut session, launcher, 4), &["4 MPI engines"]);
        session.enter("%px loop {}");
        session.taken(5 * SECOND);
        let below = proc::below(session.pid());
        session.signal(Signal::SIGKILL);
        let left = proc::leftovers(&below, 10 * SECOND);
        assert!(left.is_empty(), "{launcher}: {left:?}");
        let new: Vec<_> = files()
            .into_iter()
            .filter(|file| !before.contains(file))
            .collect();
        assert!(new.is_empty(), "{launcher}: {new:?}");
    }
}

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

/// A Slurm of the test's own: see tests/slurm/private.
struct Slurm {
    process: Child,
    folder: TempDir,
}

impl Slurm {
    fn start() -> Self {
        for program in ["/usr/sbin/slurmctld", "/usr/sbin/slurmd", "/usr/bin/srun"] {
            assert!(
                Path::new(program).is_file(),
                "`{program}` is not installed: apt-get install -y --no-install-recommends slurm-wlm slurm-wlm-basic-plugins"
            );
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slurm/private");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut process = Command::new(script)
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("the script");
        let mut said = String::new();
        let mut out = BufReader::new(process.stdout.take().expect("its output"));
        out.read_line(&mut said).expect("text");
        if said != "ready\n" {
            out.read_to_string(&mut said).expect("text");
            panic!("{said}");
        }
        Self { process, folder }
    }

    fn conf(&self) -> String {
        self.folder.path().join("slurm.conf").display().to_string()
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("SLURM_CONF", self.conf());
        command
    }

    /// Jobs that it has, with their steps.
    fn jobs(&self) -> String {
        let mut squeue = self.client("squeue");
        let said = squeue
            .args(["--noheader", "--steps"])
            .output()
            .expect("squeue");
        let steps = String::from_utf8(said.stdout).expect("text");
        let said = self
            .client("squeue")
            .arg("--noheader")
            .output()
            .expect("squeue");
        steps + &String::from_utf8(said.stdout).expect("text")
    }

    fn becomes_idle(&self) {
        let since = Instant::now();
        while !self.jobs().is_empty() {
            assert!(since.elapsed() < Duration::from_secs(15), "{}", self.jobs());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
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
    slurm.becomes_idle();

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
    slurm.becomes_idle();

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
    slurm.becomes_idle();

    // The session is killed amid a cell.
    contains(&session.cell(start), &["pool mpi0: 4 MPI engines"]);
    let started = engines_anywhere(session.pid());
    assert!(started.len() >= 8, "engines and their parents: {started:?}");
    session.enter("%px loop {}");
    session.taken(5 * SECOND);
    session.signal(Signal::SIGKILL);
    let left = proc::leftovers(&started, 10 * SECOND);
    assert!(left.is_empty(), "{left:?}");
    slurm.becomes_idle();
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
    slurm.becomes_idle();
}
