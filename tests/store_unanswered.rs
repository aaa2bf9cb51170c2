//! A server that hangs: it is there, takes what it is sent, and does not answer.

mod support;

use std::time::Duration;

use support::redis::Server;
use support::{PATIENCE, Session, contains, lacks};

#[test]
fn ctrl_c_ends_calls_that_a_server_does_not_answer() {
    let server = Server::start(&[]);
    let mut session = Session::start();
    session.cells(&[
        &format!("%store use {}", server.url()),
        "%store set n 1",
        "%pool start processes -n 2",
        "%pool start threads -n 2 --name t",
        "%px let of_rank = comm::rank();",
        "let kept = 41;",
        "store::get::<u32>(\"n\")",
    ]);
    server.signal("-STOP");
    // It is long enough under way to be one that is not answered.
    let mut stuck = |cell: &str| {
        session.enter(cell);
        session.taken(PATIENCE);
        if cell.contains("begun") {
            // It is compiled by then.
            session.shows("<begun>", PATIENCE);
        }
        std::thread::sleep(Duration::from_millis(500));
        let shown = session.interrupt();
        lacks(&shown, &["died", "killed", "panicked", "are gone"]);
        // Where a line ends is of no interest.
        shown.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let unanswered = "Ctrl-C ended the call before the server had answered; ";
    for cell in ["store::get::<u32>(\"n\")", "%store", "%store get n"] {
        contains(&stuck(cell), &[unanswered, "nothing was changed"]);
    }
    // Of engines it is said which were interrupted.
    for cell in ["%px store::len(\"l\")", "%px -p t store::len(\"l\")"] {
        contains(&stuck(cell), &["interrupted"]);
    }
    let begun = "println!(\"{}begun>\", '<');";
    for cell in [&format!("{begun} store::incr(\"n\", 1)"), "%store set n 1"] {
        contains(&stuck(cell), &[unanswered, "may have been done or not"]);
    }
    for cell in [
        "store::pop_wait::<u32>(\"l\", store::FOREVER)",
        "store::wait_for::<u32>(\"other\", store::FOREVER)",
        "let _ = store::lock(\"l\", store::FOREVER);",
    ] {
        let shown = stuck(&format!("{begun} {cell}"));
        contains(&shown, &["interrupted: it waited for"]);
    }
    contains(&stuck("%store watch n"), &[unanswered]);
    contains(&stuck("%store use"), &["Ctrl-C came before the server"]);
    server.signal("-CONT");
    contains(&session.cell("kept + 1"), &["42"]);
    contains(&session.cell("%px of_rank"), &["0", "1"]);
    contains(&session.cell("%store get n"), &["1"]);
}
