//! Results that are kept: what a call costs that finds its own, in memory and, in another process, on disk.

use crate::driver::Driver;
use crate::figures::{Ratio, Row, Target};
use crate::outside::{Failure, Outcome, Programs};
use crate::{progress, session};

const ROUNDS: usize = 5;

/// Prints the seconds of one call in a loop over a thousand keys.
const MEMORY: &str = "{ let begin = std::time::Instant::now(); let mut sum = 0; \
    for n in 0..1_000_000u64 { sum += square(std::hint::black_box(n % 1000)); } std::hint::black_box(sum); \
    println!(\"{}\", begin.elapsed().as_secs_f64() / 1e6); }";

/// The same in a new process, over all keys that another one has written.
const DISK: &str = "{ on_disk(0); let begin = std::time::Instant::now(); let mut sum = 0; \
    for n in 1..=10_000u64 { sum += on_disk(n); } \
    let seconds = begin.elapsed().as_secs_f64(); assert_eq!(sum, 333383335000); println!(\"{}\", seconds / 1e4); }";

pub fn hits(programs: &Programs) -> Outcome<(Vec<Row>, String)> {
    progress("kept results");
    let failed = |error: std::io::Error| Failure(format!("a folder for kept results: {error}"));
    let folder = tempfile::tempdir_in(&programs.folder).map_err(failed)?;
    let mut driver = Driver::start(programs, "memo_rounds.py")?;
    let [mut memory, mut diskcache, mut joblib] = [(); 3].map(|()| Vec::new());
    let opening = [
        format!("%env REGATTA_MEMO={}", folder.path().display()),
        "%opt 3".to_owned(),
        "%%memo\nfn square(n: u64) -> u64 { n * n }".to_owned(),
        "%%memo\nfn on_disk(n: u64) -> u64 { n * n }".to_owned(),
        "for n in 0..1000 { square(n); } for n in 0..=10_000 { on_disk(n); }".to_owned(),
    ];
    let rounds = session::alternate(
        programs,
        &opening,
        ROUNDS,
        |round| {
            vec![
                MEMORY.to_owned(),
                format!("%pool start processes -n 1 --name r{round}"),
                format!("%px_r{round} {DISK}"),
                format!("%pool stop r{round}"),
            ]
        },
        &mut |round| {
            let times = [
                (&mut memory, driver.ask("memory")?),
                (&mut diskcache, driver.ask("diskcache")?),
                (&mut joblib, driver.ask("joblib")?),
            ];
            for (times, time) in times.into_iter().filter(|_| round > 0) {
                times.push(time);
            }
            Ok(())
        },
    )?;
    let ours = |cell: usize| -> Outcome<Vec<f64>> {
        rounds.iter().map(|round| round[cell].printed()).collect()
    };
    let row = |measure, ours: &[f64], peer: &[f64], name, least| {
        Row::against(
            measure,
            ours,
            (peer, name),
            Ratio::Faster,
            Target::AtLeast(least),
        )
    };
    let (in_memory, on_disk) = (ours(0)?, ours(2)?);
    let disk = "a %%memo hit on disk, another process";
    let rows = vec![
        row(
            "a %%memo hit in memory, u64 → u64",
            &in_memory,
            &memory,
            "lru_cache",
            1.0,
        ),
        row(disk, &on_disk, &diskcache, "diskcache, memoize", 3.0),
        row(disk, &on_disk, &joblib, "joblib.Memory", 20.0),
    ];
    let note = format!(
        "kept results: the loops of the cells `{MEMORY}` and `%px {DISK}` by their own clock, with `%opt 3`; on disk each \
         round has a new process, on either side, which has opened the file and has nothing in memory; {ROUNDS} \
         alternating rounds."
    );
    Ok((rows, note))
}
