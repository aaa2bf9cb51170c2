//! The measures of pools: the seed's map, the start of two engines, `%px` on eight. Regatta runs in one
//! session per measure, and both sides of a ratio alternate, so that a busy moment meets both.

use crate::figures::{Ratio, Row, Target, median};
use crate::outside::{Failure, Outcome, Programs, seconds};
use crate::{progress, session};

const FIB: &str = "fn fib(n: u64) -> u64 { if n <= 2 { 1 } else { fib(n - 1) + fib(n - 2) } }";
const START: &str = "%pool start -n 2";
const MAP_ROUNDS: usize = 7;
const START_ROUNDS: usize = 7;
/// Each takes ten seconds.
const SLOW_PEER_ROUNDS: usize = 3;
const PX_ROUNDS: usize = 11;

/// The seed's fib map on two process engines, and the same on Python's pool.
pub fn map(programs: &Programs) -> Outcome<(Vec<Row>, String)> {
    progress("the seed's map");
    let mut cells = vec![
        FIB.to_owned(),
        START.to_owned(),
        // Loads the engines' side, and gives both something to do.
        "let small = %map fib over [20, 21, 22, 23]".to_owned(),
    ];
    for _ in 0..MAP_ROUNDS {
        cells.push(
            "let t = std::time::Instant::now(); \
             let v: Vec<u64> = [38u64, 37, 36, 35, 34, 33].iter().map(|&n| fib(n)).collect(); \
             println!(\"{}\", t.elapsed().as_secs_f64());"
                .to_owned(),
        );
        cells.push("let f = %map fib over [38, 37, 36, 35, 34, 33]".to_owned());
        cells.push("assert_eq!(v, f);".to_owned());
    }
    let ran = session::run(programs, &cells)?;
    let (mut loops, mut walls, mut observed) = (Vec::new(), Vec::new(), Vec::new());
    for round in ran[3..].chunks(3) {
        loops.push(round[0].printed()?);
        walls.push(seconds(round[1].event("map_finished")?, "wall")?);
        observed.push(round[1].observed);
    }
    let (mut python_loops, mut python_walls) = (Vec::new(), Vec::new());
    for _ in 0..SLOW_PEER_ROUNDS {
        let times = programs.driver("multiprocess.py", &["map"], "")?;
        python_loops.push(seconds(&times, "serial")?);
        python_walls.push(seconds(&times, "wall")?);
    }
    let ours = Row::against(
        "fib map, 2 process engines",
        &walls,
        (&loops, "one after the other"),
        Ratio::Faster,
        Target::AtLeast(1.85),
    );
    let theirs = Row::against(
        "  the same with Python's Pool(2)",
        &python_walls,
        (&python_loops, "one after the other, Python"),
        Ratio::Faster,
        Target::Informative,
    );
    let least = |times: &[f64]| times.iter().copied().fold(f64::INFINITY, f64::min);
    let note = format!(
        "fib map: `wall` of map_finished against the loop's own clock in the local engine; the whole cell \
         with its compilation took {:.3} s. The least disturbed of {MAP_ROUNDS} rounds: {:.3} s against {:.3} s.",
        median(&observed),
        least(&walls),
        least(&loops)
    );
    Ok((vec![ours, theirs], note))
}

/// Two engines from nothing until both have answered.
pub fn start(programs: &Programs) -> Outcome<(Vec<Row>, String)> {
    progress("the start of two engines");
    let mut cells = vec![
        START.to_owned(),
        "%px engine::rank()".to_owned(),
        "%pool stop --all".to_owned(),
    ];
    let round = cells.clone();
    for _ in 0..START_ROUNDS {
        cells.extend_from_slice(&round);
    }
    let ran = session::run(programs, &cells)?;
    let (mut starts, mut answers, mut said) = (Vec::new(), Vec::new(), String::new());
    // The first round compiles the answer, which no peer has to do inside its measured time.
    for round in ran[3..].chunks(3) {
        starts.push(round[0].observed);
        answers.push(round[0].observed + round[1].run);
        round[0].event("text")?["text"]
            .as_str()
            .unwrap_or_default()
            .trim()
            .clone_into(&mut said);
    }
    let (mut spawned, mut clusters) = (Vec::new(), Vec::new());
    for _ in 0..START_ROUNDS {
        spawned.push(seconds(
            &programs.driver("multiprocess.py", &["start"], "")?,
            "start",
        )?);
    }
    for _ in 0..SLOW_PEER_ROUNDS {
        clusters.push(seconds(&programs.driver("cluster.py", &[], "")?, "start")?);
    }
    let row = |measure, peer, name, least| {
        Row::against(
            measure,
            &answers,
            (peer, name),
            Ratio::Faster,
            Target::AtLeast(least),
        )
    };
    let rows = vec![
        row(
            "start of 2 engines",
            &spawned[..],
            "multiprocessing, spawn",
            5.0,
        ),
        row("start of 2 engines", &clusters[..], "ipyparallel", 300.0),
    ];
    let note = format!(
        "start: the cell `{START}` from cell_started to cell_finished, {:.4} s, plus the run time of a compiled \
         `%px engine::rank()` on both; it printed `{said}`.",
        median(&starts)
    );
    Ok((rows, note))
}

/// One expression on eight engines against one. Every cell is new, so that each is compiled.
pub fn px(programs: &Programs) -> Outcome<(Vec<Row>, String)> {
    progress("%px on eight engines");
    let mut cells = vec!["%pool start -n 8".to_owned()];
    for number in 0..=PX_ROUNDS {
        let (one, all) = (2 * number, 2 * number + 1);
        cells.push(format!("%px -t 0 engine::rank() as u64 + {one}"));
        cells.push(format!("%px engine::rank() as u64 + {all}"));
    }
    let ran = session::run(programs, &cells)?;
    let (mut one, mut all, mut runs) = (Vec::new(), Vec::new(), Vec::new());
    // The first pair warms the engines.
    for pair in ran[3..].chunks(2) {
        one.push(pair[0].observed);
        all.push(pair[1].observed);
        runs.push(pair[1].run);
    }
    if one.len() != PX_ROUNDS {
        return Err(Failure(format!("{} rounds of %px ran", one.len())));
    }
    let row = Row::against(
        "%px of one expression, 8 engines",
        &all,
        (&one, "the same on 1 engine"),
        Ratio::Share,
        Target::AtMost(1.2),
    );
    let note = format!(
        "%px: whole cells with compilation; on 8 engines {:.4} s of it is the run.",
        median(&runs)
    );
    Ok((vec![row], note))
}
