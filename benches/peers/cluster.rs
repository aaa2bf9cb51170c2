//! The measures of clusters, on hosts made of network namespaces: a map of empty items, one item there and back, `%px` on
//! four nodes, captured data, the start over ssh, the seed's map. Peers reach the same hosts by ssh.

use crate::driver::Driver;
use crate::figures::{Ratio, Row, Target, median};
use crate::hosts::{COUNT, Hosts};
use crate::nats::Bare;
use crate::outside::{Failure, Outcome, Programs, seconds};
use crate::roundtrip::trips;
use crate::{progress, session};

const ROUNDS: usize = 5;
/// A map takes a tenth of a second, and a stranger on one of the cores 3 % of that.
const FIB_ROUNDS: usize = 25;
/// Peers that take their time.
const SLOW_PEER_ROUNDS: usize = 3;

const FIB: &str = "fn fib(n: u64) -> u64 { if n <= 2 { 1 } else { fib(n - 1) + fib(n - 2) } }";

/// One item there and back, so often.
const TRIPS: usize = 1000;

const ITEMS: &str = "{ let begin = std::time::Instant::now(); \
     let got = pool::map(0..10_000u64, |x: u64| x + 1); \
     println!(\"{:e}\", begin.elapsed().as_secs_f64()); \
     assert!(got.into_iter().eq(1..10_001)); };";

/// Starts a cluster of so many engines on each of the first hosts.
pub fn begin(hosts: &Hosts, engines: &[usize]) -> String {
    let list: Vec<String> = (1..)
        .zip(engines)
        .map(|(host, engines)| format!("node{host}:{engines}"))
        .collect();
    format!(
        "%pool start cluster --ssh {} --ssh-options '{}'",
        list.join(","),
        hosts.options()
    )
}

/// The same, with maps that go through a queue on its server.
fn begin_durable(hosts: &Hosts, engines: &[usize]) -> String {
    begin(hosts, engines) + " --durable"
}

/// Four engines on two nodes: 10 000 empty items, and one item there and back; maps that are sent, and maps that are queued.
pub fn items_and_trips(programs: &Programs) -> Outcome<(Vec<Row>, String)> {
    let hosts = Hosts::up(programs)?;
    let mut rows = Vec::new();
    let mut bare_trips = Vec::new();
    for away in [0, 1] {
        progress(&format!("maps on two nodes, {away} ms away"));
        let far = if away > 0 {
            hosts.far(2, away)?
        } else {
            Vec::new()
        };
        let config = hosts.config().to_string_lossy().into_owned();
        let here = hosts.here();
        let bare = Bare::start(&hosts)?;
        let mut dask = Driver::start_with(programs, "dask_hosts.py", &[&config, &here])?;
        let serving = [&config, &here, "2", "2", "serve"];
        let mut cluster = Driver::start_with(programs, "ipyparallel_hosts.py", &serving)?;
        let [mut items, mut balanced, mut submitted, mut requests] = [(); 4].map(|()| Vec::new());
        let rounds = session::alternate(
            programs,
            &[begin(&hosts, &[2, 2]), begin_durable(&hosts, &[2, 2])],
            ROUNDS,
            |_| {
                let on = |pool: &str| [format!("%pool use {pool}"), ITEMS.to_owned(), trips(TRIPS)];
                [on("c0"), on("c1")].concat()
            },
            &mut |round| {
                let times = [
                    (&mut items, dask.ask("items")?),
                    (&mut balanced, cluster.ask("items")?),
                    (&mut submitted, dask.ask("trip")?),
                    (&mut requests, bare.trip()?),
                ];
                // The first round warms.
                for (times, time) in times.into_iter().filter(|_| round > 0) {
                    times.push(time);
                }
                Ok(())
            },
        )?;
        let ours = |cell: usize| -> Outcome<Vec<f64>> {
            rounds.iter().map(|round| round[cell].printed()).collect()
        };
        let ways = [
            [
                "10 000 empty items, 2 nodes",
                "one item to a node and back",
                "  the same, 1 ms away",
            ],
            [
                "10 000 empty items, queued",
                "one item queued, and back",
                "  the same, queued, 1 ms away",
            ],
        ];
        for ([many, one, same], at) in ways.into_iter().zip([1, 4]) {
            let name = |near| if away == 0 { near } else { same };
            let (ours_items, ours_trips) = (ours(at)?, ours(at + 1)?);
            for (peer, who) in [(&items, "Dask, map"), (&balanced, "ipyparallel, balanced")] {
                let least = Target::AtLeast(20.0);
                rows.push(Row::against(
                    name(many),
                    &ours_items,
                    (peer, who),
                    Ratio::Faster,
                    least,
                ));
            }
            let peer = (&submitted[..], "Dask, submit().result()");
            let least = Target::AtLeast(10.0);
            rows.push(Row::against(
                name(one),
                &ours_trips,
                peer,
                Ratio::Faster,
                least,
            ));
            let peer = (&requests[..], "NATS, a request and its answer");
            let most = Target::AtMost(3.0);
            rows.push(Row::against(
                name(one),
                &ours_trips,
                peer,
                Ratio::Share,
                most,
            ));
        }
        bare_trips.push(median(&requests) * 1e6);
        drop(far);
    }
    let note = format!(
        "nodes: medians over {ROUNDS} alternating rounds of the cell `{ITEMS}` and of {TRIPS} calls of `pool::map([i], f)`, by their own \
         clock, on 2 nodes with 2 engines each, sent and with `--durable`; ipyparallel's from 400 items, one per task. Bare NATS through the same kind of tunnel, \
         near and 1 ms away: {:.0} and {:.0} µs.",
        bare_trips[0], bare_trips[1]
    );
    Ok((rows, note))
}

/// The seed's map on an engine on each of two nodes, against two process engines: both as speedups.
pub fn fib(programs: &Programs) -> Outcome<(Vec<Row>, String)> {
    progress("the seed's map on two nodes");
    let hosts = Hosts::up(programs)?;
    let map = |pool: &str| {
        [
            format!("%pool use {pool}"),
            "let f = %map fib over [38, 37, 36, 35, 34, 33]".to_owned(),
        ]
    };
    let mut cells = vec![
        FIB.to_owned(),
        begin(&hosts, &[1, 1]),
        "%pool start -n 2".to_owned(),
    ];
    for _ in 0..=FIB_ROUNDS {
        cells.extend(map("c0"));
        cells.extend(map("p0"));
    }
    let ran = session::run(programs, &cells)?;
    let (mut nodes, mut processes) = (Vec::new(), Vec::new());
    // The first round loads the artifact.
    for round in ran[7..].chunks(4) {
        for (speedups, cell) in [&mut nodes, &mut processes].into_iter().zip([1, 3]) {
            speedups.push(seconds(round[cell].event("map_finished")?, "speedup")?);
        }
    }
    let row = Row::against(
        "fib map on 2 nodes, its speedup",
        &nodes,
        (&processes, "2 process engines"),
        Ratio::Share,
        Target::AtLeast(0.95),
    );
    let note = format!(
        "fib map on nodes: the `speedup` of map_finished, {FIB_ROUNDS} alternating rounds; the columns of times hold speedups."
    );
    Ok((vec![row], note))
}

/// `%px` on four engines of each of four nodes, against the sixteen on one.
pub fn px(programs: &Programs) -> Outcome<(Vec<Row>, String)> {
    progress("%px on four nodes");
    let hosts = Hosts::up(programs)?;
    let mut cells = vec![begin(&hosts, &[4; COUNT]), begin(&hosts, &[16])];
    for number in 0..=ROUNDS {
        for (at, pool) in [(0, "c1"), (1, "c0")] {
            let value = 2 * number + at;
            cells.push(format!("%px_{pool} engine::rank() as u64 + {value}"));
        }
    }
    let ran = session::run(programs, &cells)?;
    let (mut one, mut four) = (Vec::new(), Vec::new());
    // The first pair warms the engines.
    for pair in ran[4..].chunks(2) {
        one.push(pair[0].observed);
        four.push(pair[1].observed);
    }
    let row = Row::against(
        "%px on 16 engines of 4 nodes",
        &four,
        (&one, "16 engines of one node"),
        Ratio::Share,
        Target::AtMost(1.5),
    );
    let note = format!(
        "%px on nodes: whole cells with their compilation, each new, {ROUNDS} alternating rounds."
    );
    Ok((vec![row], note))
}

/// A map that captures 100 MB, on four engines of each of four nodes, against copying them once to each node.
pub fn capture(programs: &Programs) -> Outcome<(Vec<Row>, String)> {
    progress("100 MB captured on four nodes");
    let hosts = Hosts::up(programs)?;
    let file = programs.folder.join("100MB");
    std::fs::write(&file, vec![7; 100_000_000]).map_err(|error| Failure(error.to_string()))?;
    let ours = |round: usize| {
        vec![
            format!(
                "let table: Vec<f64> = (0..12_500_000).map(|x| (x + {round}) as f64).collect();"
            ),
            "let got = %map -q |i: usize| table[i] over 0..16usize".to_owned(),
            format!("assert!(got.iter().copied().eq((0..16).map(|x| (x + {round}) as f64)));"),
        ]
    };
    let mut rows = Vec::new();
    for (measure, start) in [
        (
            "100 MB captured, 4 nodes of 4 engines",
            begin(&hosts, &[4; COUNT]),
        ),
        ("  the same, queued", begin_durable(&hosts, &[4; COUNT])),
    ] {
        let mut copies = Vec::new();
        let rounds = session::alternate(programs, &[start], ROUNDS, ours, &mut |round| {
            let time = hosts.copy(&file, COUNT)?;
            if round > 0 {
                copies.push(time);
            }
            Ok(())
        })?;
        let maps: Vec<f64> = rounds.iter().map(|round| round[1].run).collect();
        rows.push(Row::against(
            measure,
            &maps,
            (&copies, "scp to each node, at once"),
            Ratio::Share,
            Target::AtMost(1.3),
        ));
    }
    // What is left of it takes room only.
    let _ = std::fs::remove_file(&file);
    let note = format!(
        "capture on nodes: the `run` of the cell `%map -q |i: usize| table[i] over 0..16usize`, sent and with `--durable`, {ROUNDS} \
         alternating rounds, each with a new table."
    );
    Ok((rows, note))
}

/// Two engines on each of four nodes, from nothing until all have answered; the program is there.
pub fn start(programs: &Programs) -> Outcome<(Vec<Row>, String)> {
    progress("the start of four nodes");
    let hosts = Hosts::up(programs)?;
    let round = [
        begin(&hosts, &[2; COUNT]),
        "%px engine::rank()".to_owned(),
        "%pool stop --all".to_owned(),
    ];
    let cells: Vec<String> = std::iter::repeat_n(round, ROUNDS + 1).flatten().collect();
    let ran = session::run(programs, &cells)?;
    // The first round brings the program, and compiles the answer.
    let ours: Vec<f64> = { ran[3..].chunks(3) }
        .map(|round| round[0].observed + round[1].run)
        .collect();
    let mut theirs = Vec::new();
    let config = hosts.config().to_string_lossy().into_owned();
    let (count, engines) = (COUNT.to_string(), "2");
    for _ in 0..SLOW_PEER_ROUNDS {
        let arguments = [&config[..], &hosts.here(), &count, engines, "start"];
        let took = programs.driver("ipyparallel_hosts.py", &arguments, "")?;
        theirs.push(
            took.as_f64()
                .ok_or_else(|| Failure(format!("no number: {took}")))?,
        );
    }
    let row = Row::against(
        "start of 4 nodes of 2 engines by ssh",
        &ours,
        (&theirs, "ipyparallel, its ssh launcher"),
        Ratio::Faster,
        Target::AtLeast(5.0),
    );
    let note = "start of nodes: the cell `%pool start cluster --ssh …` from cell_started to cell_finished, plus the run time of \
         a compiled `%px engine::rank()` on all."
        .to_owned();
    Ok((vec![row], note))
}
