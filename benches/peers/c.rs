//! C: what a call costs from a cell, against the same function linked into a Rust program, and what a `%%c` cell costs
//! beside the compiler that it calls.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::figures::{Ratio, Row, Target, median};
use crate::outside::{Failure, Outcome, Programs, output, without_cargo};
use crate::{progress, session};

const ROUNDS: usize = 7;

const KERNELS: &str = "#include <stddef.h>\n#include <stdint.h>\n\
    uint64_t mix(uint64_t a, uint64_t b) { return (a ^ b) + (a >> 3); }\n\
    double norm(const double *x, size_t n) { double s = 0; for (size_t i = 0; i < n; i++) s += x[i] * x[i]; return s; }\n";

/// Prints the seconds that calls take.
const NUMBERS: &str = "{ let begin = std::time::Instant::now(); let mut a = 1; \
    for i in 0..100_000_000u64 { a = mix(a, i); } std::hint::black_box(a); \
    println!(\"{}\", begin.elapsed().as_secs_f64()); }";
const SLICES: &str = "{ let begin = std::time::Instant::now(); let mut a = 0.0; \
    for _ in 0..200_000 { a += norm(std::hint::black_box(&x)); } std::hint::black_box(a); \
    println!(\"{}\", begin.elapsed().as_secs_f64()); }";

/// Calls in a loop.
pub fn calls(programs: &Programs) -> Outcome<(Vec<Row>, String)> {
    progress("calls of C");
    let native = Native::build(programs)?;
    let (mut numbers, mut slices) = (Vec::new(), Vec::new());
    let opening = [
        "%opt 3".to_owned(),
        format!("%%c -O3\n{KERNELS}"),
        "let x: Vec<f64> = (0..1000).map(f64::from).collect();".to_owned(),
    ];
    let rounds = session::alternate(
        programs,
        &opening,
        ROUNDS,
        |_| [NUMBERS, SLICES].map(str::to_owned).to_vec(),
        &mut |round| {
            let [number, slice] = native.run(programs)?;
            if round > 0 {
                numbers.push(number);
                slices.push(slice);
            }
            Ok(())
        },
    )?;
    let ours = |cell: usize| -> Outcome<Vec<f64>> {
        rounds.iter().map(|round| round[cell].printed()).collect()
    };
    let peer = "the same, linked into a Rust program";
    let rows = vec![
        Row::against(
            "100 million %%c calls with 2 numbers",
            &ours(0)?,
            (&numbers, peer),
            Ratio::Share,
            Target::AtMost(1.1),
        ),
        Row::against(
            "200 000 %%c calls with slices of 1 000",
            &ours(1)?,
            (&slices, peer),
            Ratio::Share,
            Target::AtMost(1.02),
        ),
    ];
    let note = format!(
        "calls of C: the loops of the cells `{NUMBERS}` and `{SLICES}` by their own clock, with `%opt 3`; the program has \
         the same loops, `rustc -C opt-level=3` and `cc -O3`; {ROUNDS} alternating rounds."
    );
    Ok((rows, note))
}

/// A cell with C.
pub fn cell(programs: &Programs) -> Outcome<(Vec<Row>, String)> {
    progress("a cell with C");
    let file = programs.folder.join("alone.c");
    let mut alone = Vec::new();
    // New text each time, so that nothing is remembered.
    let source = |name: &str, round: usize| {
        KERNELS
            .replace("mix(", &format!("mix_{name}{round}("))
            .replace("norm(", &format!("norm_{name}{round}("))
    };
    let rounds = session::alternate(
        programs,
        &["1 + 1".to_owned()],
        ROUNDS,
        |round| {
            vec![
                format!("%%c -O3\n{}", source("", round)),
                format!("{round} + 1000"),
            ]
        },
        &mut |round| {
            let failed = |error: std::io::Error| Failure(format!("{}: {error}", file.display()));
            fs::write(&file, source("alone", round)).map_err(failed)?;
            let mut cc = Command::new("cc");
            cc.args(["-O3", "-shared", "-fPIC", "-o", "alone.so", "alone.c"]);
            let begin = Instant::now();
            output(prepared(&mut cc, &programs.folder), "")?;
            if round > 0 {
                alone.push(begin.elapsed().as_secs_f64());
            }
            Ok(())
        },
    )?;
    let ours: Vec<f64> = rounds.iter().map(|round| round[0].observed).collect();
    let plain: Vec<f64> = rounds.iter().map(|round| round[1].observed).collect();
    let both: Vec<f64> = alone
        .iter()
        .zip(&plain)
        .map(|(cc, cell)| cc + cell)
        .collect();
    let row = Row::against(
        "a %%c cell",
        &ours,
        (&both, "cc -O3 -shared, and a plain cell"),
        Ratio::Share,
        Target::AtMost(1.2),
    );
    let note = format!(
        "a %%c cell of two functions, new ones each time, from cell_started to cell_finished; `cc` alone takes {:.0} ms \
         of the other side, the cell `1 + 1000` {:.0} ms; {ROUNDS} alternating rounds.",
        median(&alone) * 1e3,
        median(&plain) * 1e3
    );
    Ok((vec![row], note))
}

/// A Rust program that the functions are linked into.
struct Native(PathBuf);

impl Native {
    fn build(programs: &Programs) -> Outcome<Self> {
        let folder = programs.folder.join("native");
        let failed = |error: std::io::Error| Failure(format!("{}: {error}", folder.display()));
        fs::create_dir_all(&folder).map_err(failed)?;
        let main = format!(
            "unsafe extern \"C\" {{ safe fn mix(a: u64, b: u64) -> u64; #[link_name = \"norm\"] fn c_norm(x: *const f64, n: usize) -> f64; }}\n\
             fn norm(x: &[f64]) -> f64 {{ unsafe {{ c_norm(x.as_ptr(), x.len()) }} }}\n\
             fn main() {{ let x: Vec<f64> = (0..1000).map(f64::from).collect();\n{NUMBERS}\n{SLICES}\n}}\n"
        );
        fs::write(folder.join("kernels.c"), KERNELS).map_err(failed)?;
        fs::write(folder.join("main.rs"), main).map_err(failed)?;
        let mut cc = Command::new("cc");
        cc.args(["-O3", "-c", "kernels.c"]);
        output(prepared(&mut cc, &folder), "")?;
        let mut rustc = Command::new("rustc");
        rustc.args([
            "--edition",
            "2024",
            "-C",
            "opt-level=3",
            "-C",
            "link-arg=kernels.o",
            "main.rs",
        ]);
        output(prepared(&mut rustc, &folder), "")?;
        Ok(Self(folder.join("main")))
    }

    /// Seconds of the two loops.
    fn run(&self, programs: &Programs) -> Outcome<[f64; 2]> {
        let text = output(&mut programs.command(&self.0), "")?;
        let mut numbers = text.lines().filter_map(|line| line.parse().ok());
        match (numbers.next(), numbers.next()) {
            (Some(one), Some(other)) => Ok([one, other]),
            _ => Err(Failure(format!("no two numbers were printed: {text:?}"))),
        }
    }
}

fn prepared<'a>(command: &'a mut Command, folder: &Path) -> &'a mut Command {
    without_cargo(command);
    command.current_dir(folder)
}
