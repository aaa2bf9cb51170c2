//! Messages between ranks. Peers are Open MPI, from C and from Python with mpi4py, each started anew for a round.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::figures::{Ratio, Row, Target};
use crate::outside::{Failure, Outcome, Programs, output, without_cargo};
use crate::session::{self, Ran};
use crate::{install, progress};

const ROUNDS: usize = 5;
const LAUNCHES: usize = 15;

/// Prints the seconds of eight bytes one way, in a loop there and back; other ranks wait in a barrier meanwhile.
const SHORT: &str = "{ let me = comm::rank(); let rounds = 100_000; let mut begin = std::time::Instant::now(); \
    for round in 0..rounds + 2000 { if me > 1 { break; } if round == 2000 { begin = std::time::Instant::now(); } \
    if me == 0 { comm::send(&7.0f64, 1); } let it = comm::recv::<f64>(1 - me); if me == 1 { comm::send(&it, 0); } } \
    if me == 0 { println!(\"{}\", begin.elapsed().as_secs_f64() / (2.0 * f64::from(rounds))); } comm::barrier(); }";

/// The same of 64 MB, into memory that is there.
const LARGE: &str = "{ let me = comm::rank(); let mut it = vec![7.0f64; 8_000_000]; let mut begin = std::time::Instant::now(); \
    for round in 0..11 { if round == 1 { begin = std::time::Instant::now(); } \
    if me == 0 { comm::send(&it, 1); } comm::recv_into(&mut it, 1 - me); if me == 1 { comm::send(&it, 0); } } \
    if me == 0 { println!(\"{}\", begin.elapsed().as_secs_f64() / 20.0); } assert_eq!(it[7_999_999], 7.0); }";

/// A barrier.
const BARRIER: &str = "{ for _ in 0..2000 { comm::barrier(); } let begin = std::time::Instant::now(); \
    for _ in 0..100_000 { comm::barrier(); } \
    if comm::rank() == 0 { println!(\"{}\", begin.elapsed().as_secs_f64() / 1e5); } }";

/// The sum of one number of each rank.
const REDUCE: &str = "{ let mine = f64::from(comm::rank()) + 1.0; for _ in 0..2000 { comm::all_reduce(&mine, comm::op::sum); } \
    let begin = std::time::Instant::now(); let mut sum = 0.0; \
    for _ in 0..100_000 { sum = comm::all_reduce(&mine, comm::op::sum); } assert_eq!(sum, 3.0); \
    if comm::rank() == 0 { println!(\"{}\", begin.elapsed().as_secs_f64() / 1e5); } }";

/// The sum of 64 MB of each rank.
const REDUCE_LARGE: &str = "{ let mine = vec![f64::from(comm::rank()) + 1.0; 8_000_000]; let mut sum = comm::all_reduce(&mine, comm::op::sum); \
    let begin = std::time::Instant::now(); for _ in 0..10 { sum = comm::all_reduce(&mine, comm::op::sum); } \
    if comm::rank() == 0 { println!(\"{}\", begin.elapsed().as_secs_f64() / 10.0); } assert_eq!(sum[7_999_999], 3.0); }";

/// Between two ranks, and between two of eight.
pub fn messages(programs: &Programs) -> Outcome<(Vec<Row>, String)> {
    progress("messages");
    let mpi = Mpi::new(programs)?;
    let names = ["short", "large"].map(|measure| (Peer::C, 2, measure));
    let python = [
        "buffers",
        "pickled",
        "barrier",
        "all_reduce",
        "all_reduce_large",
    ];
    let asked: Vec<(Peer, usize, &str)> = names
        .into_iter()
        .chain([(Peer::C, 8, "short")])
        .chain(python.map(|measure| (Peer::Python, 2, measure)))
        .collect();
    let mut theirs = vec![Vec::new(); asked.len()];
    let cells = [SHORT, LARGE, BARRIER, REDUCE, REDUCE_LARGE];
    let opening = [
        "%opt 3",
        "%pool start -n 2 --name two",
        "%pool start -n 8 --name eight",
    ];
    let rounds = session::alternate(
        programs,
        &opening.map(str::to_owned),
        ROUNDS,
        |_| {
            let of_two = cells.iter().map(|cell| format!("%px_two {cell}"));
            of_two.chain([format!("%px_eight {SHORT}")]).collect()
        },
        &mut |round| {
            for (times, (peer, ranks, measure)) in theirs.iter_mut().zip(&asked) {
                let seconds = mpi.run(programs, *peer, *ranks, measure)?;
                if round > 0 {
                    times.push(seconds);
                }
            }
            Ok(())
        },
    )?;
    let ours = |cell: usize| -> Outcome<Vec<f64>> {
        rounds.iter().map(|round| round[cell].printed()).collect()
    };
    let row = |measure, cell: usize, peer: usize, name, least| -> Outcome<Row> {
        let against = (&theirs[peer][..], name);
        let target = Target::AtLeast(least);
        Ok(Row::against(
            measure,
            &ours(cell)?,
            against,
            Ratio::Faster,
            target,
        ))
    };
    let rows = vec![
        row("8 bytes one way", 0, 0, "Open MPI, C", 0.9)?,
        row("  the same", 0, 3, "mpi4py, buffers", 2.0)?,
        row("  the same", 0, 4, "mpi4py, pickled", 3.0)?,
        row(
            "  the same, 6 more ranks wait",
            5,
            2,
            "Open MPI, C, --oversubscribe",
            2.0,
        )?,
        row("64 MB one way", 1, 1, "Open MPI, C", 1.0)?,
        row("barrier, 2 ranks", 2, 5, "mpi4py", 1.0)?,
        row("all_reduce of 8 bytes, 2 ranks", 3, 6, "mpi4py", 1.0)?,
        row(
            "all_reduce of 64 MB, 2 ranks",
            4,
            7,
            "mpi4py, Allreduce",
            1.0,
        )?,
    ];
    let note = format!(
        "messages: the loops of the cells `{SHORT}`, `{LARGE}`, `{BARRIER}`, `{REDUCE}` and `{REDUCE_LARGE}` by their own clock, \
         with `%opt 3`; the peers' loops are the same; {ROUNDS} alternating rounds."
    );
    Ok((rows, note))
}

/// On a pool that MPI has started.
pub fn on_mpi(programs: &Programs) -> Outcome<(Vec<Row>, String)> {
    progress("messages on MPI");
    let mpi = Mpi::new(programs)?;
    let mut theirs = Vec::new();
    let opening = ["%opt 3", "%pool start mpi -n 2 --launcher mpiexec.openmpi"];
    let rounds = session::alternate(
        programs,
        &opening.map(str::to_owned),
        LAUNCHES,
        // Like its peer's, processes are new in each round: where their memory lies makes a difference.
        |_| vec!["%pool restart".to_owned(), format!("%px {SHORT}")],
        &mut |round| {
            let seconds = mpi.run(programs, Peer::C, 2, "short")?;
            if round > 0 {
                theirs.push(seconds);
            }
            Ok(())
        },
    )?;
    let ours: Outcome<Vec<f64>> = rounds.iter().map(|round| Ran::printed(&round[1])).collect();
    let row = Row::against(
        "8 bytes one way, MPI pool",
        &ours?,
        (&theirs, "Open MPI, C"),
        Ratio::Share,
        Target::AtMost(1.3),
    );
    let note = format!(
        "messages on MPI: the same cell on engines that mpiexec has started anew; {LAUNCHES} alternating rounds."
    );
    Ok((vec![row], note))
}

#[derive(Clone, Copy)]
enum Peer {
    C,
    Python,
}

/// Open MPI's programs.
struct Mpi {
    c: PathBuf,
}

impl Mpi {
    fn new(programs: &Programs) -> Outcome<Self> {
        install::debian(
            &["mpicc.openmpi", "mpiexec.openmpi"],
            &["openmpi-bin", "libopenmpi-dev"],
        )?;
        let c = programs.folder.join("messages");
        let mut mpicc = programs.command(Path::new("mpicc.openmpi"));
        mpicc.args(["-O3", "-o"]).arg(&c).arg(beside("messages.c"));
        output(&mut mpicc, "")?;
        Ok(Self { c })
    }

    /// Seconds, as the first rank prints them.
    fn run(&self, programs: &Programs, peer: Peer, ranks: usize, measure: &str) -> Outcome<f64> {
        let mut command = Command::new("mpiexec.openmpi");
        without_cargo(&mut command);
        command
            .args(["-n", &ranks.to_string()])
            .current_dir(&programs.folder)
            .envs(["OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"].map(|it| (it, "1")));
        if ranks > 2 {
            command.arg("--oversubscribe");
        }
        match peer {
            Peer::C => command.arg(&self.c),
            Peer::Python => command
                .arg(&programs.python)
                .arg("-B")
                .arg(beside("messages.py")),
        };
        let text = output(command.arg(measure), "")?;
        let number = text.trim().parse();
        number.map_err(|_| Failure(format!("{measure}: no number was printed: {text:?}")))
    }
}

fn beside(file: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers");
    folder.join(file)
}
