//! What goes wrong between ranks ends the cell within a bounded time, and is told once: who waits for whom, in which call,
//! for what, at which line; and what to do. The session and the engines' variables stay.

mod support;

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{PATIENCE, Session, contains, lacks, notebook, proc};

/// Much longer than it takes to find that nobody will ever send; a hang takes for ever.
const BOUND: Duration = Duration::from_secs(30);

/// What a cell shows that was compiled before; it ends in time.
#[track_caller]
fn in_time(session: &mut Session, code: &str) -> String {
    session.enter(code);
    session.taken(PATIENCE);
    let since = Instant::now();
    let shown = session.prompt(PATIENCE);
    let took = since.elapsed();
    assert!(took < BOUND, "{took:?} for {code}\n{shown}");
    shown
}

fn pool(engines: &str) -> Session {
    let mut session = Session::start();
    session.cells(&[engines, "%px let kept = comm::rank() * 10;"]);
    session
}

/// Nothing was lost, and ranks speak with each other as before.
#[track_caller]
fn goes_on(session: &mut Session, sum: u32) {
    let shown = session.cell("%px comm::all_reduce(&kept, comm::op::sum)");
    contains(&shown, &[&sum.to_string()]);
    lacks(&shown, &["deadlock", "panicked", "error", "never received"]);
}

#[test]
fn ranks_that_wait_for_each_other_are_drawn_as_the_cycle_that_they_are() {
    let mut session = pool("%pool start -n 3");
    let shown = in_time(
        &mut session,
        "%%px\nlet me = comm::rank();\nif me == 0 { let _: i32 = comm::recv(1); }\nif me == 1 { let _: Vec<f64> = comm::recv_tag(0, 7); }\n",
    );
    contains(
        &shown,
        &[
            "deadlock: ranks 0 and 1 wait for each other",
            "┌▶ rank 0  waits for rank 1 in recv  i32, any tag",
            "└─ rank 1  waits for rank 0 in recv",
            "[f64], tag 7",
            "In [4]:3",
            "In [4]:4",
            "help: one of them sends before it receives",
        ],
    );
    lacks(&shown, &["panicked", "rank 2"]);
    goes_on(&mut session, 30);

    let shown = in_time(
        &mut session,
        "%px let text: String = comm::recv((comm::rank() + 1) % 3);",
    );
    contains(
        &shown,
        &[
            "deadlock: ranks 0-2 wait for each other",
            "┌▶ rank 0  waits for rank 1 in recv  String",
            "│  rank 1  waits for rank 2 in recv  String",
            "└─ rank 2  waits for rank 0 in recv  String",
        ],
    );
    assert_eq!(shown.matches("deadlock").count(), 1, "{shown}");
    goes_on(&mut session, 30);

    // Rank 2 waits for one of the cycle, and is none of it.
    let shown = in_time(
        &mut session,
        "%px let on: u8 = comm::recv([1, 0, 1][comm::rank() as usize]);",
    );
    contains(
        &shown,
        &[
            "ranks 0 and 1 wait for each other",
            "   rank 2  waits for rank 1 in recv  u8",
        ],
    );
    goes_on(&mut session, 30);
}

#[test]
fn who_waits_for_a_rank_that_sends_nothing_more_is_told_which_one() {
    let mut session = pool("%pool start -n 3");
    let shown = in_time(
        &mut session,
        "%px if comm::rank() == 0 { let _: i32 = comm::recv(2); }",
    );
    contains(
        &shown,
        &[
            "waiting for a rank that has left the cell: rank 0 waits for rank 2",
            "rank 0  waits for rank 2 in recv  i32, any tag  In [4]:1",
            "needs a `send` of the same tag",
        ],
    );
    // Nobody is left who could send.
    let shown = in_time(
        &mut session,
        "%px if comm::rank() == 1 { let _ = comm::recv_any::<i32>(); }",
    );
    contains(
        &shown,
        &["rank 1", "in recv_any", "ranks 0 and 2 have left the cell"],
    );
    lacks(&shown, &["deadlock"]);
    // It is not asked.
    let shown = in_time(
        &mut session,
        "%px -t 0,1 if comm::rank() == 0 { let _: i32 = comm::recv(2); }",
    );
    contains(
        &shown,
        &[
            "rank 2 does not run this cell",
            "`%px` without `-t`",
            "`comm::split`",
        ],
    );
    lacks(&shown, &["panicked"]);
    // One that panics is told of apart.
    let shown = in_time(
        &mut session,
        "%px if comm::rank() == 1 { panic!(\"no more\") } else { comm::barrier() }",
    );
    contains(
        &shown,
        &[
            "engine 1 panicked: no more",
            "rank 1 has left the cell and has not reached barrier",
        ],
    );
    goes_on(&mut session, 30);
}

#[test]
fn a_synchronous_send_that_nobody_receives_is_told() {
    for engines in ["%pool start -n 3", "%pool start threads -n 3"] {
        let mut session = Session::start();
        session.cell(engines);
        let goes_on = |session: &mut Session| {
            let sum = "%px comm::all_reduce(&(10 * comm::rank()), comm::op::sum)";
            let shown = session.cell(sum);
            contains(&shown, &["30"]);
            lacks(&shown, &["deadlock", "panicked", "error", "never received"]);
        };
        let shown = in_time(
            &mut session,
            "%px { let other = comm::rank() ^ 1; if other < 2 { comm::ssend(&1u8, other); let _: u8 = comm::recv(other); } }",
        );
        contains(
            &shown,
            &[
                "deadlock: ranks 0 and 1 wait for each other",
                "┌▶ rank 0  waits for rank 1 in ssend  u8, tag 0",
                "└─ rank 1  waits for rank 0 in ssend  u8, tag 0",
                "help: one of them receives before it sends",
                "rank 0 → rank 1: u8, tag 0",
            ],
        );
        session.cell("%comm --clear");
        goes_on(&mut session);
        // It waits for something else.
        let shown = in_time(
            &mut session,
            "%px { let me = comm::rank(); if me == 0 { comm::ssend_tag(&1u8, 1, 5); } if me == 1 { let _: u8 = comm::recv_tag(0, 6); } }",
        );
        contains(
            &shown,
            &[
                "rank 0  waits for rank 1 in ssend  u8, tag 5",
                "rank 1  waits for rank 0 in recv   u8, tag 6",
            ],
        );
        let received = "%px if comm::rank() == 1 { comm::recv_tag::<u8>(0, 5) + 40 } else { 0 }";
        contains(&session.cell(received), &["41"]);
        let shown = in_time(
            &mut session,
            "%px if comm::rank() == 0 { comm::ssend(&2.5f64, 2) }",
        );
        contains(
            &shown,
            &[
                "waiting for a rank that has left the cell: rank 0 waits for rank 2",
                "rank 0  waits for rank 2 in ssend  f64, tag 0",
                "help: an `ssend` waits for its `recv`",
                "rank 0 → rank 2: f64, tag 0",
            ],
        );
        let received = "%px if comm::rank() == 2 { comm::recv::<f64>(0) + 40.0 } else { 0.0 }";
        contains(&session.cell(received), &["42.5"]);
        let shown = in_time(&mut session, "%px comm::ssend(&(), comm::rank())");
        contains(&shown, &["rank 0 waits for itself", "in ssend"]);
        session.cell("%comm --clear");
        // It is received as something else.
        let shown = in_time(
            &mut session,
            "%px { let me = comm::rank(); if me == 0 { comm::ssend(&1u16, 1); } if me == 1 { let _: f32 = comm::recv(0); } }",
        );
        contains(
            &shown,
            &["type mismatch: rank 1 expects f32 in recv, rank 0 has sent u16"],
        );
        session.cell("%comm --clear");
        goes_on(&mut session);
    }
}

#[test]
fn a_collective_that_not_all_reach_says_who_is_missing() {
    let mut session = pool("%pool start -n 4");
    let shown = in_time(&mut session, "%px if comm::rank() != 2 { comm::barrier() }");
    contains(
        &shown,
        &[
            "deadlock: ranks 0,1,3 wait for rank 2, which has left the cell",
            "in barrier",
            "rank 2 has left the cell and has not reached barrier",
            "not behind `if rank == …`",
        ],
    );
    assert_eq!(shown.matches("deadlock").count(), 1, "{shown}");
    // An early return.
    let shown = in_time(
        &mut session,
        "%%px\nfn early() -> Option<u32> { (comm::rank() > 0).then_some(1) }\nlet step = || -> Option<u32> { let one = early()?; Some(comm::all_reduce(&one, comm::op::sum)) };\nstep()\n",
    );
    contains(
        &shown,
        &[
            "ranks 1-3  wait for rank 0 in all_reduce  u32  In [5]:3",
            "rank 0 has left the cell and has not reached all_reduce",
        ],
    );
    // One waits for a message of another, which is in the barrier.
    let shown = in_time(
        &mut session,
        "%%px\nif comm::rank() == 3 { let _: i32 = comm::recv(0); }\ncomm::barrier();\n",
    );
    contains(
        &shown,
        &[
            "deadlock",
            "wait for each other",
            "in recv",
            "i32, any tag",
            "in barrier",
            "rank 3 has not reached barrier",
        ],
    );
    lacks(&shown, &["panicked"]);
    goes_on(&mut session, 60);
    // Another order.
    let shown = in_time(
        &mut session,
        "%px if comm::rank() == 0 { comm::barrier() } else { let mut x = 1; comm::broadcast(&mut x, 0) }",
    );
    contains(
        &shown,
        &[
            "collective calls out of order: rank 0 is in barrier, ranks 1-3 in broadcast",
            "rank 0     in barrier         In [8]:1",
            "ranks 1-3  in broadcast  i32  In [8]:1",
            "the same collective calls in the same order",
        ],
    );
    lacks(&shown, &["panicked", "deadlock", "has left"]);
    goes_on(&mut session, 60);
}

#[test]
fn another_type_is_named_with_the_one_that_was_sent() {
    let mut session = pool("%pool start -n 2");
    let shown = in_time(
        &mut session,
        "%%px\nif comm::rank() == 0 { comm::send_tag(&1.5, 1, 4); }\nif comm::rank() == 1 { let _: i32 = comm::recv_tag(0, 4); }\n",
    );
    contains(
        &shown,
        &[
            "type mismatch: rank 1 expects i32 in recv, rank 0 has sent f64",
            "rank 0  sent f64  to rank 1, tag 4    In [4]:2",
            "rank 1  recv i32  from rank 0, tag 4  In [4]:3",
            "help: send it as i32, or receive it as f64",
        ],
    );
    // It is still there for who wants it.
    let shown = session.cell("%px if comm::rank() == 1 { comm::recv::<f64>(0) } else { 0.5 }");
    contains(&shown, &["1.5"]);
    goes_on(&mut session, 10);
}

#[test]
fn a_rank_that_dies_is_named_and_started_again() {
    let mut session = pool("%pool start -n 3");
    session.enter("%px if comm::rank() == 1 { println!(\"begun\"); std::thread::sleep(std::time::Duration::from_secs(60)) } comm::barrier()");
    session.shows("[stdout:1] begun", PATIENCE);
    std::thread::sleep(Duration::from_millis(300));
    let victim = proc::engines(session.pid())[2];
    kill(Pid::from_raw(victim), Signal::SIGKILL).expect("a living engine");
    let since = Instant::now();
    let shown = session.prompt(PATIENCE);
    assert!(since.elapsed() < BOUND, "{shown}");
    contains(
        &shown,
        &["died: killed by SIGKILL", "rank 1 has died", "in barrier"],
    );
    lacks(&shown, &["panicked"]);
    // The others have kept what they have; the one that is new has not.
    let shown = session.cell("%px -t 0,2 kept");
    contains(&shown, &["20"]);
    contains(
        &session.cell("%px comm::all_reduce(&1u32, comm::op::sum)"),
        &["0-2", "3"],
    );
}

#[test]
fn a_long_computation_is_no_deadlock() {
    let mut session = pool("%pool start -n 2");
    let shown = session.cell(
        "%px if comm::rank() == 0 { std::thread::sleep(std::time::Duration::from_secs(2)); comm::send(&41, 1); 0 } else { comm::recv::<i32>(0) + 1 }",
    );
    contains(&shown, &["42"]);
    lacks(&shown, &["deadlock", "error"]);
    let shown = session.cell("%timeline");
    contains(&shown, &["%px of In [4] on p0", "computes", "· waits"]);
    // On a loaded machine the one begins before the other.
    let is_all = |line: &str| {
        ["98 %", "99 %", "100 %"]
            .iter()
            .any(|all| line.contains(all))
    };
    assert!(shown.lines().any(is_all), "{shown}");
}

#[test]
fn what_was_posted_goes_to_those_that_have_not_left() {
    let mut session = pool("%pool start -n 3");
    let shown = in_time(
        &mut session,
        "%%px\nlet me = comm::rank();\nlet much = vec![7u8; 3_000_000];\nif me == 0 { drop(comm::isend(&much, 1)); drop(comm::isend(&much, 2)); }\nif me == 2 { std::thread::sleep(std::time::Duration::from_secs(1)); comm::recv::<Vec<u8>>(0).len() } else { 0 }",
    );
    contains(&shown, &["3000000"]);
    lacks(&shown, &["has left", "error"]);
    // What the other one has of its message is none.
    let shown =
        session.cell("%px if comm::rank() == 1 { comm::iprobe(0).is_some() } else { false }");
    contains(&shown, &["false"]);
    lacks(&shown, &["true", "never received"]);
    goes_on(&mut session, 30);
}

#[test]
fn messages_that_nobody_receives_are_named_stay_and_can_be_dropped() {
    let mut session = pool("%pool start -n 2");
    let shown = session.cell("%%px\nif comm::rank() == 0 {\n    comm::send(&7, 1);\n    comm::send_tag(\"later\", 1, 5);\n}\n");
    contains(
        &shown,
        &[
            "2 messages were never received",
            "rank 0 → rank 1: i32, tag 0, 4 B, sent at In [4]:3",
            "tag 5",
            "sent at In [4]:4",
            "`%comm --clear`",
        ],
    );
    // They are named once, and again when there are more.
    lacks(&session.cell("%px 1"), &["never received"]);
    let shown = session.cell("%px if comm::rank() == 1 { comm::recv::<i32>(0) } else { 0 }");
    contains(&shown, &["7"]);
    lacks(&shown, &["never received"]);
    // Or others: of as many, one has taken another's place.
    let shown = session.cell("%px if comm::rank() == 0 { comm::send(&8, 1) }");
    contains(&shown, &["2 messages were never received"]);
    let shown = session.cell("%px if comm::rank() == 0 { comm::send(&9, 1) } else { println!(\"got {}\", comm::recv_tag::<i32>(0, 0)) }");
    contains(
        &shown,
        &[
            "got 8",
            "2 messages were never received",
            "sent at In [8]:1",
        ],
    );
    let shown = session.cell("%px if comm::rank() == 0 { comm::send(&9.0, 1) } else { println!(\"got {}\", comm::recv_tag::<i32>(0, 0)); comm::recv_tag::<f64>(0, 0); }");
    contains(&shown, &["got 9"]);
    lacks(&shown, &["never received"]);

    let shown = session.cell("%comm");
    contains(
        &shown,
        &[
            "p0: 5 messages of",
            "rank 0",
            "to 1",
            "waited",
            "1 message was never received",
            "tag 5",
        ],
    );
    contains(
        &session.cell("%comm --clear"),
        &["p0: dropped 1 message that nobody has received"],
    );
    contains(
        &session.cell("%comm --clear"),
        &["p0: all messages have been received"],
    );
    lacks(&session.cell("%comm"), &["never received"]);
    contains(&session.cell("%comm_p7"), &["error", "p7"]);
    contains(&session.cell("%comm --claer"), &["error", "--clear"]);
}

#[test]
fn ctrl_c_ends_a_wait_and_keeps_the_variables() {
    let mut session = pool("%pool start -n 2");
    session.enter("%px if comm::rank() == 0 { std::thread::sleep(std::time::Duration::from_secs(60)) } else { let _: i32 = comm::recv(0); }");
    session.taken(PATIENCE);
    std::thread::sleep(Duration::from_secs(2));
    let shown = session.interrupt();
    contains(&shown, &["interrupted"]);
    lacks(&shown, &["panicked", "deadlock"]);
    // Rank 0 computed, and was killed as everywhere; rank 1 only waited.
    contains(&session.cell("%px -t 1 kept"), &["10"]);
    contains(
        &session.cell("%px comm::all_reduce(&1u32, comm::op::sum)"),
        &["0,1", "2"],
    );
}

#[test]
fn threads_are_ranks_like_others() {
    let mut session = Session::start();
    session.cells(&["%pool start threads -n 3"]);
    let shown = in_time(
        &mut session,
        "%px let _: i32 = comm::recv((comm::rank() + 1) % 3);",
    );
    contains(
        &shown,
        &[
            "deadlock: ranks 0-2 wait for each other",
            "└─ rank 2  waits for rank 0 in recv  i32",
        ],
    );
    lacks(&shown, &["panicked"]);
    let shown = in_time(&mut session, "%px if comm::rank() != 1 { comm::barrier() }");
    contains(
        &shown,
        &["rank 1 has left the cell and has not reached barrier"],
    );
    let shown = session.cell("%px if comm::rank() == 0 { comm::send(&7, 1) }");
    contains(&shown, &["1 message was never received"]);
    contains(&session.cell("%comm"), &["t0: 1 message of 4 B sent"]);
    contains(&session.cell("%comm --clear"), &["t0: dropped 1 message"]);
    contains(
        &session.cell("%px comm::all_reduce(&1u32, comm::op::sum)"),
        &["0-2", "3"],
    );
    // A plain cell is one rank alone, in each that calls.
    session.cell("comm::send(&1, 0)");
    contains(&session.cell("comm::recv::<i32>(0)"), &["1"]);
    let told = "would wait for ever: a plain cell is one rank alone; ranks are those of `%px`";
    contains(&session.cell("comm::recv::<i32>(0)"), &[told]);
    contains(&session.cell("comm::recv_any::<i32>()"), &[told]);
}

#[test]
fn programs_are_told_by_fields() {
    let text = "```rust\n%pool start -n 2\n```\n\n```rust\n%px let _: i32 = comm::recv(1 - comm::rank());\n```\n\n```rust\n%px if comm::rank() == 0 { comm::send(&7, 1) }\n```\n\n```rust\n%comm\n```\n";
    let (ran, _) = notebook(text, &["--format", "json", "--keep-going"]);
    let events: Vec<serde_json::Value> = { ran.out.lines() }
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let errors: Vec<_> = { events.iter() }
        .filter(|event| event["event"] == "error")
        .collect();
    let [error] = errors[..] else {
        panic!("{}", ran.out);
    };
    assert_eq!(error["kind"], "comm");
    assert_eq!(error["comm"]["what"], "deadlock");
    assert_eq!(error["comm"]["cycle"], serde_json::json!([0, 1]));
    assert_eq!(error["comm"]["ranks"][0]["on"], serde_json::json!([1]));
    assert_eq!(error["comm"]["ranks"][0]["type"], "i32");
    assert_eq!(error["comm"]["ranks"][0]["place"], "In [2]:1");
    let comm = { events.iter() }.find(|event| event["event"] == "comm");
    let comm = comm.expect("%comm's line");
    assert_eq!(comm["sent"][0]["messages"], 1);
    assert_eq!(comm["unreceived"][0]["type"], "i32");
}
