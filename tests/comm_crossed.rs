//! Ranks that make different collective calls at once are told so, however many there are and whatever each of them has
//! seen of the others: who is in which call, at which line. It is told once, and the next cell finds its ranks again.

mod support;

use support::{Session, contains, hosts::Hosts, lacks, table::results};

const RANKS: u32 = 6;

/// How often each: a matter of who comes first. `REGATTA_ROUNDS` says otherwise.
const ROUNDS: usize = 3;

fn rounds() -> usize {
    let said = std::env::var("REGATTA_ROUNDS").ok();
    said.and_then(|said| said.parse().ok()).unwrap_or(ROUNDS)
}

/// What each cell shows: its heading, and its lines but for what stands between them.
struct Case {
    code: &'static str,
    shows: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        code: "if me == 0 { comm::barrier(); }\nelse { comm::all_reduce(&me, comm::op::sum); }",
        shows: &[
            "collective calls out of order: rank 0 is in barrier, ranks 1-5 in all_reduce",
            "rank 0     in barrier            {cell}:3",
            "ranks 1-5  in all_reduce  u32  {cell}:4",
        ],
    },
    Case {
        code: "if me % 2 == 0 { comm::barrier(); }\nelse { comm::all_gather(&me); }",
        shows: &["out of order: ranks 0,2,4 are in barrier, ranks 1,3,5 in all_gather"],
    },
    // Some have gone on: what they have sent tells which call theirs was.
    Case {
        code: "if me == 3 { comm::gather(&me, 1); }\ncomm::barrier();",
        shows: &[
            "out of order: ranks 0-2,4,5 are in barrier, rank 3 in gather",
            "rank 3  ",
            "in gather",
            "{cell}:3",
            "{cell}:4",
        ],
    },
    Case {
        code: "let mut one = me;\nif me == 2 { comm::broadcast(&mut one, 2); }\nelse { comm::barrier(); }",
        shows: &["out of order: ranks 0,1,3-5 are in barrier, rank 2 in broadcast"],
    },
    // They meet late, and one that waits for them is told of, too.
    Case {
        code: "if me == 1 { std::thread::sleep(std::time::Duration::from_millis(300)); comm::barrier(); }\nelse if me == 5 { comm::recv::<u8>(1); }\nelse { comm::scan(&me, comm::op::max); }",
        shows: &[
            "out of order: ",
            "in barrier",
            "in scan",
            "rank 5  waits for rank 1 in recv  u8",
        ],
    },
    // In a communicator, and in each of two.
    Case {
        code: "let third = comm::split(me % 3, 0);\nif me == 1 { third.barrier(); }\nelse if me == 4 { third.all_gather(&me); }",
        shows: &[
            "out of order: rank 1 is in barrier, rank 4 in all_gather",
            "communicator ",
        ],
    },
    Case {
        code: "let half = comm::split(me % 2, 0);\nif half.rank() == 0 { half.barrier(); }\nelse { half.all_reduce(&1.5, comm::op::sum); }",
        shows: &[
            "out of order: rank 0 is in barrier, ranks 2 and 4 in all_reduce",
            "out of order: rank 1 is in barrier, ranks 3 and 5 in all_reduce",
        ],
    },
    Case {
        code: "let half = comm::split(me % 2, 0);\nif me == 2 { half.barrier(); }\nelse { comm::barrier(); }",
        shows: &[
            "out of order: ranks 0,1,3-5 are in barrier of all ranks, rank 2 in barrier of communicator ",
        ],
    },
];

fn crossed(pool: &str) {
    crossed_on(&format!("%pool start {pool} -n {RANKS}"));
}

fn crossed_on(start: &str) {
    let mut session = Session::start();
    session.cell(start);
    for case in CASES {
        for _ in 0..rounds() {
            let code = format!("%%px\nlet me = comm::rank();\n{};\n", case.code);
            let shown = session.cell(&code);
            let cell = { shown.split("In [").nth(1) }.and_then(|rest| rest.split(']').next());
            let cell = format!("In [{}]", cell.unwrap_or_default());
            let squeezed = squeeze(&shown);
            for words in case.shows {
                let words = words.replace("{cell}", &cell);
                contains(&squeezed, &[squeeze(&words).trim_end()]);
            }
            lacks(
                &shown,
                &["panicked", "deadlock", "has left", "wait for each other"],
            );
            let headings = case.shows.iter().filter(|it| it.contains("out of order"));
            assert_eq!(
                shown.matches("out of order").count(),
                headings.count(),
                "{shown}"
            );
        }
        results(
            &mut session,
            "%px comm::all_reduce(&comm::rank(), comm::op::sum)",
            &[("0-5", "15")],
        );
    }
    assert_eq!(session.end(), 0);
}

/// Several spaces as two: how wide columns are is another matter.
fn squeeze(text: &str) -> String {
    let mut out = String::new();
    for part in text.split_inclusive(' ') {
        if part != " " || !out.ends_with("  ") {
            out.push_str(part);
        }
    }
    out
}

#[test]
fn processes_in_different_collective_calls() {
    crossed("processes");
}

#[test]
fn threads_in_different_collective_calls() {
    crossed("threads");
}

#[test]
fn hosts_in_different_collective_calls() {
    let hosts = Hosts::up("crossed");
    crossed_on(&hosts.start([3, 3]));
}
