//! Durable clusters whose server cannot keep what it is given: its disk is full, or files of its are damaged when it starts
//! again. A map ends right, or says what is wrong, where, and what to do; the session goes on.
//!
//! Chances are logged (`REGATTA_SEED`). `REGATTA_DOSE=full` gives 20 full disks and 45 damaged files.

mod support;

use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use support::trial::{BOUND, Disk, Trial, Work, send};
use support::{contains, dose, lacks, proc};

/// Results that need room.
const WIDE: &str = "fn wide(x: u64) -> Vec<u64> { std::thread::sleep(std::time::Duration::from_millis(2)); (0..1_000).map(|n| x * n).collect() }";
const WIDE_WANTED: &str = "let wide_wanted: Vec<Vec<u64>> = (0..1_200).map(|x| (0..1_000).map(|n| x * n).collect()).collect();";

#[test]
fn a_full_disk_of_a_queue_is_told_and_outlived() {
    let disk = Disk::mount();
    let mut trial = Trial::durable_on("full", &disk);
    let full = disk.0.join("is-full");
    let when_full = format!(
        "fn when_full() -> std::ops::Range<u64> {{ println!(\"begun\"); while !std::path::Path::new({full:?}).exists() {{ std::thread::sleep(std::time::Duration::from_millis(5)); }} 0..1_200 }}"
    );
    trial.session.cells(&[WIDE, WIDE_WANTED, &when_full]);
    for round in 1..=dose::of(2, 20) {
        let (before, soon) = (trial.random.bool(), round % 2 == 0);
        let killed = trial.random.u8(..) < 80;
        dose::told(&format!(
            "round {round}: before the map {before}, freed soon {soon}, killed {killed}"
        ));
        let inputs = if before { "when_full()" } else { "0..1_200u64" };
        trial
            .session
            .enter(&format!("let got = %map wide over {inputs}"));
        trial
            .session
            .shows(if before { "begun" } else { "items" }, BOUND);
        std::fs::create_dir(&full).expect("a folder");
        disk.fill();
        if killed {
            send(trial.server().0, Signal::SIGKILL);
        }
        if soon {
            trial.pause(4000);
            disk.free();
        }
        let shown = trial.session.prompt(BOUND);
        if soon {
            lacks(&shown, &["error"]);
        } else {
            disk.free();
        }
        std::fs::remove_dir(&full).expect("a folder");
        if shown.contains("error") {
            // The map may have been over, and its value could not be kept.
            let of_cell = shown.contains("no room to build cells");
            let of_map = ["regatta-nats-", "TMPDIR"];
            contains(&shown, &["is full"]);
            contains(&shown, if of_cell { &[] } else { &of_map });
            lacks(&shown, &["died"]);
        } else {
            contains(&trial.cell("got == wide_wanted"), &["true"]);
        }
        trial.goes_on();
        assert_eq!(trial.hosts.engines().len(), 4);
    }
    trial.end();
}

/// What a store has of one kind; parts of paths.
const KINDS: [[&str; 2]; 9] = [
    ["-work/msgs", ".blk"],
    ["-results/msgs", ".blk"],
    ["-jobs/msgs", ".blk"],
    ["-objects/msgs", ".blk"],
    ["-work/obs", "o.dat"],
    ["-work/obs", "meta.inf"],
    ["-work/meta", ".inf"],
    ["-results/meta", ".sum"],
    ["/msgs", ".idx"],
];

#[test]
fn a_map_ends_right_or_with_an_error_when_a_file_of_the_store_is_truncated() {
    let mut trial = Trial::durable("truncated");
    let mut kinds = Vec::new();
    for round in 1..=dose::of(2, 45) {
        if kinds.is_empty() {
            kinds = KINDS.to_vec();
            trial.random.shuffle(&mut kinds);
        }
        let kind = kinds.pop().expect("one");
        trial.begin(Work::Map);
        trial.pause(500);
        let (server, folder) = trial.server();
        let keeper = proc::below(trial.session.pid())
            .into_iter()
            .find(|pid| proc::arguments(*pid).contains("__keep"))
            .expect("a keeper");
        // It would start the server again at once.
        send(keeper, Signal::SIGSTOP);
        send(server, Signal::SIGKILL);
        proc::leftovers(&[server], BOUND);
        let told = truncate(&folder, kind, &mut trial.random);
        dose::told(&format!("round {round}: {told}"));
        send(keeper, Signal::SIGCONT);
        let shown = trial.session.prompt(BOUND);
        dose::told(&shown);
        lacks(&shown, &["died"]);
        if shown.contains("error") {
            let words: Vec<&str> = shown.split_whitespace().collect();
            // Chunks are queued again.
            contains(
                &words.join(" "),
                &["has lost some of what its nodes need", "run it again"],
            );
        } else {
            contains(&trial.cell("got == wanted"), &["true"]);
        }
        trial.goes_on();
        assert_eq!(trial.hosts.engines().len(), 4);
    }
    trial.end();
}

/// Takes the end off a file of this kind; what was done.
fn truncate(folder: &Path, [part, end]: [&str; 2], random: &mut fastrand::Rng) -> String {
    let is_one = |path: &PathBuf| {
        let path = path.to_string_lossy();
        path.contains(part) && path.ends_with(end)
    };
    let mut files = proc::files(folder.join("streams"), &|_| true);
    files.retain(is_one);
    files.sort();
    let Some(path) = random.choice(&files) else {
        return format!("no {part} {end}");
    };
    let file = std::fs::File::options()
        .write(true)
        .open(path)
        .expect("a file");
    let before = file.metadata().expect("its length").len();
    let after = random.u64(0..=before);
    file.set_len(after).expect("a file that can be cut");
    let name = path.strip_prefix(folder).expect("a file in it");
    format!("{}: {before} to {after} bytes", name.display())
}
