//! The measure of many engines: what a chunk costs the session while a cluster grows to a thousand engines, all of them real
//! processes on four nodes. Its time and memory are the session's own, as the kernel counts them, so that it does not
//! matter how many cores all the engines have to share.

use crate::cluster::begin;
use crate::figures::{Ratio, Row, Target, median};
use crate::hosts::{COUNT, Hosts};
use crate::outside::{Failure, Outcome, Programs};
use crate::{progress, session};

/// Engines on each node.
const SIZES: [usize; 4] = [1, 10, 100, 250];
const ROUNDS: usize = 3;

/// Chunks of one empty item each.
const CHUNKS: usize = 100_000;

/// Of the process that has started the one in which cells run: seconds of all its threads, and bytes of resident memory.
const SESSION: &str = "fn session() -> (f64, u64) { \
     let read = |of: &str| std::fs::read_to_string(format!(\"/proc/{}/{of}\", std::os::unix::process::parent_id())).unwrap(); \
     let threads: Vec<u64> = std::fs::read_dir(format!(\"/proc/{}/task\", std::os::unix::process::parent_id())).unwrap() \
         .map(|it| std::fs::read_to_string(it.unwrap().path().join(\"schedstat\")).unwrap()) \
         .map(|it| it.split_whitespace().next().unwrap().parse().unwrap()).collect(); \
     let pages: u64 = read(\"statm\").split_whitespace().nth(1).unwrap().parse().unwrap(); \
     (threads.iter().sum::<u64>() as f64 / 1e9, pages * 4096) }";

/// What one round has cost.
struct Cost {
    /// Seconds of the session's threads, per chunk.
    time: f64,
    /// Seconds by the clock, per chunk.
    clock: f64,
    /// Bytes of resident memory before and after.
    memory: [f64; 2],
}

pub fn engines(programs: &Programs) -> Outcome<(Vec<Row>, String)> {
    let hosts = Hosts::up(programs)?;
    let mut all = Vec::new();
    for size in SIZES {
        progress(&format!("{CHUNKS} chunks on {} engines", size * COUNT));
        let map = format!(
            "{{ let ((before, held), begin) = (session(), std::time::Instant::now()); \
             let got = pool::pool(\"\").chunk(1).map(0..{CHUNKS}u64, |x: u64| x + 1); \
             let took = begin.elapsed().as_secs_f64(); \
             assert!(got.into_iter().eq(1..{CHUNKS} + 1)); \
             let (after, holds) = session(); \
             println!(\"{{:e}} {{took:e}} {{held:e}} {{holds:e}}\", after - before); }};"
        );
        let mut cells = vec![SESSION.to_owned(), begin(&hosts, &[size; COUNT])];
        // The first round loads the function.
        cells.extend(std::iter::repeat_n(map, ROUNDS + 1));
        let ran = session::run(programs, &cells)?;
        let costs: Outcome<Vec<Cost>> = ran[3..].iter().map(|cell| cost(&cell.text()?)).collect();
        all.push((size * COUNT, costs?));
    }
    let times = |costs: &[Cost]| -> Vec<f64> { costs.iter().map(|cost| cost.time).collect() };
    let few = times(&all[0].1);
    let row = |at: usize, measure, target| {
        let peer = (&few[..], "on 4 engines");
        Row::against(measure, &times(&all[at].1), peer, Ratio::Share, target)
    };
    let rows = vec![
        row(1, "a chunk, the session's CPU: 40 engines", FLAT),
        row(2, "  400 engines", FLAT),
        row(3, "  1 000 engines", FLAT),
    ];
    let megabytes = |bytes: f64| (bytes / 1e6).round();
    let of_size = |(engines, costs): &(usize, Vec<Cost>)| {
        let clock: Vec<f64> = costs.iter().map(|cost| cost.clock).collect();
        let held = costs.first().map_or(f64::NAN, |cost| cost.memory[0]);
        let holds = costs.last().map_or(f64::NAN, |cost| cost.memory[1]);
        format!(
            "{engines} engines {:.1} µs by the clock, {} MB before and {} MB after {ROUNDS} maps",
            median(&clock) * 1e6,
            megabytes(held),
            megabytes(holds),
        )
    };
    let sizes: Vec<String> = all.iter().map(of_size).collect();
    let note = format!(
        "many engines: medians of {ROUNDS} maps of {CHUNKS} chunks of one empty item, on real engines of {COUNT} nodes; the CPU of all \
         threads of the session's process, its child for cells left out. A chunk by the clock of the machine that runs all \
         engines too, and the session's resident memory: {}.",
        sizes.join("; ")
    );
    Ok((rows, note))
}

/// What counts as flat.
const FLAT: Target = Target::AtMost(1.5);

fn cost(printed: &str) -> Outcome<Cost> {
    let numbers: Result<Vec<f64>, _> = printed.split_whitespace().map(str::parse).collect();
    let chunks = CHUNKS as f64;
    match numbers.as_deref() {
        Ok(&[time, clock, held, holds]) => Ok(Cost {
            time: time / chunks,
            clock: clock / chunks,
            memory: [held, holds],
        }),
        _ => Err(Failure(format!(
            "no four numbers were printed: {printed:?}"
        ))),
    }
}
