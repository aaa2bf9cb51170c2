//! One item there and back on a process engine, against the same with each peer and with a bare socket.

use crate::driver::Driver;
use crate::figures::{Ratio, Row, Target, median};
use crate::outside::{Outcome, Programs};
use crate::{alone, progress, session};

const ROUNDS: usize = 5;

/// A cell that prints the median of so many trips. Some before them load the artifact on the engines.
pub fn trips(count: usize) -> String {
    let all = count + 100;
    format!(
        "{{ let mut times = Vec::new(); \
         for i in 0..{all}u64 {{ \
         let begin = std::time::Instant::now(); \
         let got = pool::map([i], |x: u64| x + 1); \
         times.push(begin.elapsed().as_secs_f64()); \
         assert_eq!(got, [i + 1]); }} \
         let mut times = times.split_off(100); \
         times.sort_by(f64::total_cmp); \
         println!(\"{{:e}}\", times[times.len() / 2]); }};"
    )
}

pub fn trip(programs: &Programs) -> Outcome<(Vec<Row>, String)> {
    progress("one item there and back");
    let mut pool = Driver::start(programs, "pool_rounds.py")?;
    let mut dask = Driver::start(programs, "dask_rounds.py")?;
    let mut cluster = Driver::start(programs, "ipyparallel_rounds.py")?;
    let [mut pools, mut dasks, mut clusters, mut sockets] = [(); 4].map(|()| Vec::new());
    let rounds = session::alternate(
        programs,
        &["%pool start -n 2".to_owned()],
        ROUNDS,
        |_| vec![trips(2000)],
        &mut |round| {
            let times = [
                (&mut pools, pool.ask("trip")?),
                (&mut dasks, dask.ask("trip")?),
                (&mut clusters, cluster.ask("trip")?),
                (&mut sockets, alone::ping_pong()?),
            ];
            // The first round warms.
            for (times, time) in times.into_iter().filter(|_| round > 0) {
                times.push(time);
            }
            Ok(())
        },
    )?;
    let mut ours = Vec::new();
    for round in &rounds {
        ours.push(round[0].printed()?);
    }
    let row = |peer: &[f64], name, least| {
        Row::against(
            "one item there and back",
            &ours,
            (peer, name),
            Ratio::Faster,
            Target::AtLeast(least),
        )
    };
    let rows = vec![
        row(&pools, "multiprocessing, Pool(2).apply", 2.0),
        row(&dasks, "Dask, submit().result()", 50.0),
        row(&clusters, "ipyparallel, apply_sync", 50.0),
        Row::against(
            "  as multiples of a socket's trip",
            &ours,
            (&sockets, "64 bytes to a process and back"),
            Ratio::Share,
            Target::Informative,
        ),
    ];
    let note = format!(
        "there and back: medians over {ROUNDS} alternating rounds of the median call, by the caller's own clock: \
         2000 calls of `pool::map([i], f)`, `Pool(2).apply` and 20000 trips of the socket, 200 of Dask \
         (`pure=False`) and of ipyparallel. A socket's trip: {:.1} µs.",
        median(&sockets) * 1e6
    );
    Ok((rows, note))
}
