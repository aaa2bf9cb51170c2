//! How the engines of an MPI pool end, all with the first, and that nothing is left of them.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{PATIENCE, SECOND, Session, contains, proc};
use crate::{MPICH, OPEN_MPI, engines, files, needs, start};

/// One rank dies, and so do all: told once, with who was first.
pub fn ends_with_the_first(session: &mut Session) {
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
pub fn a_map_goes_on(session: &mut Session) {
    let flag = session.temporary().join("crashed");
    let code = format!(
        "let all = %map |x: u64| {{ if x == 3 && std::fs::File::create_new({flag:?}).is_ok() {{ std::process::abort() }} x + 1 }} over 0..6u64\nall"
    );
    contains(&session.cell(&code), &["[1, 2, 3, 4, 5, 6]"]);
}

pub fn is_interrupted(session: &mut Session) {
    session.enter("%px println!(\"begun\"); loop {}");
    for rank in 0..3 {
        session.shows(&format!("[stdout:{rank}] begun"), PATIENCE);
    }
    contains(&session.interrupt(), &["engines 0-2 interrupted"]);
    contains(
        &session.cell("%px engine::rank() + 10"),
        &["10", "11", "12"],
    );
}

/// Nothing is left of a session that is killed: no engine, no launcher, none of its helpers, and no file.
#[test]
fn nothing_is_left_of_a_killed_session() {
    for launcher in [OPEN_MPI, MPICH] {
        needs(launcher);
        let mut session = Session::start();
        let before = files();
        // A compiler waits for the next session.
        let others = proc::below(session.pid());
        contains(&start(&mut session, launcher, 4), &["4 MPI engines"]);
        session.enter("%px loop {}");
        session.taken(5 * SECOND);
        let below = proc::below(session.pid()).into_iter();
        let below: Vec<i32> = below.filter(|pid| !others.contains(pid)).collect();
        assert!(below.len() >= 5, "engines and what has started them");
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
