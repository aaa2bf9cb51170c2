//! A cluster is a pool like others: the same cells show the same on a pool of processes and on one of two hosts, right or
//! wrong, but for names, times, and which engine takes which item.

mod support;

use std::path::PathBuf;

use support::{PATIENCE, Ran, contains, hosts::Hosts, lacks, run_file};

/// Each on both pools, in one session. `POOL` is the pool's name.
const CELLS: &[&str] = &[
    // What engines return and print.
    "%px engine::rank() * 10",
    "%px (engine::rank(), engine::size())",
    "%px { println!(\"I am {}\", engine::rank()); eprintln!(\"and {}\", engine::rank()); }",
    "%px print!(\"no end of the line\")",
    "%px { use std::io::Write; std::io::stdout().write_all(b\"\\xff\\xfe no text\\n\").unwrap(); }",
    "%px { let mut line = String::new(); std::io::stdin().read_line(&mut line).unwrap(); line }",
    "%px for n in 0..3000 { println!(\"{n} of {}\", engine::rank()); }",
    "%px \"x\".repeat(500)",
    "%px vec![engine::rank(); 60]",
    "%px -t 1 engine::rank()",
    "%px -t -1 engine::rank()",
    "%px -t 9 engine::rank()",
    "%px -t x 1",
    "%px",
    // What fails.
    "%px if engine::rank() == 1 { panic!(\"one is wrong\") } else { engine::rank() }",
    "%px std::fs::read_to_string(\"/nonexistent\")?",
    "%px undefined()",
    "%px -t 0 { let thread = std::thread::spawn(|| 1 / std::env::args().len().saturating_sub(99)); thread.join().is_err() }",
    // Variables there and here.
    "let word = \"hello\".to_owned();",
    "%push word",
    "%px word.len()",
    "%px let mine = engine::rank() + 100;",
    "%pull mine",
    "%pull nothing",
    "%push nothing",
    "%push -t 1 word",
    "let xs: Vec<u64> = (0..11).collect();",
    "%scatter xs",
    "%px let squares: Vec<u64> = xs.iter().map(|x| x * x).collect();",
    "%gather squares",
    "%gather -t 0 squares",
    "%scatter word",
    "%gather word",
    "%px -t 1 let only = 5;",
    "%px only",
    "%pull only",
    "%map -q |x: u64| only + x over 0..2",
    "let large = vec![1_u64; 400_000];",
    "%push large",
    "%px large.iter().sum::<u64>()",
    "%map -q |x: u64| large[x as usize] + x over 0..4",
    // Functions whose results are kept, and C.
    "%%memo\nfn square(x: u64) -> u64 { x * x }",
    "%px (square(3), square(3))",
    "%map -q square over [3, 4, 5, 3]",
    "%%memo\nfn bad(x: &mut u64) -> u64 { *x }",
    "%memo --clear",
    "%%c\nint add(int a, int b) { return a + b; }",
    "%px unsafe { add(2, engine::rank() as i32) }",
    "%map -q |x: i32| unsafe { add(x, 1) } over 0..6",
    "%%c\nint broken(int a) { return a }",
    // Maps.
    "%map -q |x: u64| x * 2 over 0..12",
    "%map -q |x: u64| x over Vec::<u64>::new()",
    "%map -q |x: u64| if x == 2 { panic!(\"two\") } else { x } over 0..6",
    "%map -q --on-error collect |x: u64| if x == 2 { panic!(\"two\") } else { x } over 0..6",
    "%map -q --on-error collect |x: u64| if x == 1 { std::process::exit(4) } else { x } over 0..3",
    "%map -q --on-error collect --timeout 3 |x: u64| if x == 1 { loop { std::hint::black_box(x); } } else { x } over 0..3",
    "%reduce -q |x: u64| x * x over 0..10 with |a, b| a + b",
    "%reduce -q |x: u64| x over Vec::<u64>::new() with |a, b| a + b",
    "%compare serial POOL -- |x: u64| x * 2 over 0..10",
    "%scaling |x: u64| x * 2 over 0..8 --engines 1,2",
    "%timeline",
    "pool::map(0..4u64, |x| x * 2)",
    "%px pool::map(0..3u64, |x| x)",
    // Commands.
    "%parallel 'echo {}' ::: a b",
    "%parallel 'exit {}' ::: 0 1 2",
    "%parallel no_such_program ::: 1",
    // In the background.
    "%submit square(7)",
    "%wait",
    "%px -a engine::rank()",
    "%wait",
    "%pxresult",
    "%px -a if engine::rank() == 0 { panic!(\"no\") } else { 5 }",
    "%wait",
    "%pxresult",
    "%pxresult 999",
    "%cancel 999",
    "%map -a -q |x: u64| { std::thread::sleep(std::time::Duration::from_secs(20)); x } over 0..400",
    "%cancel",
    // Folders and the environment, also of engines that take a dead one's place.
    "%env REGATTA_TRIED=blue",
    "%cd FOLDER",
    "std::fs::write(\"here.txt\", \"text\").unwrap();",
    "let path = std::path::PathBuf::from(\"here.txt\");",
    "%map -q |_x: u64| std::fs::read_to_string(&path).unwrap() over 0..4",
    "%parallel 'cat here.txt; echo $REGATTA_TRIED' ::: 1",
    "%px -t 1 std::process::exit(3)",
    "%px (std::env::var(\"REGATTA_TRIED\").ok(), std::fs::read_to_string(\"here.txt\").is_ok())",
    "%cd /no/such/folder",
    "%px std::fs::read_to_string(\"here.txt\").is_ok()",
    // Deaths.
    "%px let mine = engine::rank() + 200;",
    "%px -t 0 unsafe { *(8 as *mut u8) = 1 }",
    "%px mine",
    "%px -t 1 std::process::abort()",
    "%px engine::rank()",
    "%pool restart 1",
    "%px engine::rank() + 1",
    // What ranks share.
    "%px store::incr(\"n\", 1); 0",
    "store::get::<u32>(\"n\")",
    "%px comm::all_reduce(&engine::rank(), comm::op::sum)",
    "%px if comm::rank() == 0 { comm::send(&7_u32, 1); 0 } else { comm::recv::<u32>(0) }",
    "%px comm::recv::<u32>(7)",
    "%px if comm::rank() == 0 { comm::recv::<u32>(1); }",
    "%pool stop",
    "%px 1",
];

/// Whose outputs are figures.
const MEASURED: [&str; 3] = ["%compare", "%scaling", "%timeline"];

/// What each cell shows, without what may differ.
fn shown(start: &str, name: &str, folder: &str) -> Vec<String> {
    let mut text = format!("# Both\n\n```rust\n{start}\n```\n");
    for code in CELLS {
        let code = code.replace("POOL", name).replace("FOLDER", folder);
        text += &format!("\n```rust\n{code}\n```\n");
    }
    let file = std::path::Path::new(folder).join("cells.md");
    std::fs::write(&file, text).expect("a file");
    let Ran { out, err, .. } = run_file(&file, &["--keep-going"]);
    let mut cells: Vec<String> = Vec::new();
    for line in out.lines() {
        match line.starts_with("In [") && line.contains("]: ") {
            true => cells.push(line.to_owned()),
            false => {
                if let Some(last) = cells.last_mut() {
                    *last += "\n";
                    *last += line;
                }
            }
        }
    }
    assert_eq!(cells.len(), CELLS.len() + 1, "{out}\n{err}");
    lacks(&cells[0], &["error"]);
    let cells = cells.into_iter().skip(1);
    cells.map(|cell| plain(&cell, name)).collect()
}

/// Without names, times, and tables of how items were spread.
fn plain(cell: &str, name: &str) -> String {
    if let Some(magic) = MEASURED.iter().find(|magic| cell.contains(**magic)) {
        let ended = if cell.contains("\nerror") {
            "fails"
        } else {
            "is measured"
        };
        return format!("{magic} {ended}");
    }
    let mut lines: Vec<String> = Vec::new();
    let mut printed: Vec<String> = Vec::new();
    let mut spread = false;
    let all: Vec<&str> = cell.lines().collect();
    for (at, line) in all.iter().enumerate() {
        if line.starts_with('┌') {
            let head = all.get(at + 1).copied().unwrap_or_default();
            spread = head.contains("busy") || head.contains("took");
        }
        let ends = line.starts_with('└');
        // What engines print comes as it comes; so does what a job says at its end.
        let said = line.starts_with("[std");
        let of_job =
            line.starts_with("job ") && (line.contains(" finished") || line.contains(" failed"));
        match () {
            () if said => printed.push((*line).to_owned()),
            () if spread
                || of_job
                || line.starts_with("wall ")
                || line.starts_with("warming")
                || line.starts_with("compiling") => {}
            () => {
                printed.sort();
                lines.append(&mut printed);
                lines.push(masked(line, name));
            }
        }
        spread &= !ends;
    }
    printed.sort();
    lines.append(&mut printed);
    lines.join("\n")
}

fn masked(line: &str, name: &str) -> String {
    let line = line.replace(name, "POOL");
    let on_one = ["error on engine 0", "error on engine 1"];
    let line = on_one
        .iter()
        .fold(line, |line, on| line.replace(on, "error on engine N"));
    let line = ["process", "cluster"].iter().fold(line, |line, kind| {
        line.replace(&format!("{kind} engine"), "engine")
    });
    let words: Vec<&str> = line.split(' ').collect();
    let is_time = |at: usize| {
        let unit = words
            .get(at + 1)
            .map(|word| word.trim_end_matches([':', ';', ',']));
        words[at].parse::<f64>().is_ok() && matches!(unit, Some("s" | "ms" | "µs" | "ns"))
    };
    let masked = (0..words.len()).map(|at| if is_time(at) { "TIME" } else { words[at] });
    masked.collect::<Vec<_>>().join(" ")
}

#[test]
fn cells_show_the_same_on_processes_and_on_hosts() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().to_str().expect("a path");
    let hosts = Hosts::up("parity");
    let near = shown("%pool start processes -n 2", "p0", folder);
    let far = shown(&hosts.start([1, 1]), "c0", folder);
    let differ: Vec<String> = near
        .iter()
        .zip(&far)
        .filter(|(near, far)| near != far)
        .map(|(near, far)| format!("processes:\n{near}\nhosts:\n{far}\n"))
        .collect();
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

/// A folder of this host's alone, taken away when this is dropped.
struct Own(PathBuf);

impl Own {
    fn new() -> Self {
        let home = PathBuf::from(std::env::var_os("HOME").expect("a home"));
        let name = format!("regatta-parity-{}", std::process::id());
        // Other hosts have a folder of their own in its place.
        let own = Self(home.join(".cache").join(name));
        std::fs::create_dir_all(&own.0).expect("a folder");
        own
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn a_folder_that_a_host_has_not_is_told() {
    let hosts = Hosts::up("folders");
    let own = Own::new();
    let mut s = hosts.session([2, 1]);
    let there = |s: &mut support::Session| {
        s.cell("%px std::env::current_dir().unwrap().display().to_string()")
    };
    s.cells(&["%cd /tmp"]);
    contains(&there(&mut s), &["\"/tmp\""]);
    // It may be told while the prompt waits.
    s.enter(&format!("%cd {}", own.0.display()));
    for host in ["node1", "node2"] {
        let note = format!("note: {host} has no folder");
        s.shows(&note, PATIENCE);
    }
    let told = s.shown();
    assert_eq!(told.matches("has no folder").count(), 2, "{told}");
    contains(&told, &["its engines stay in /tmp"]);
    contains(&there(&mut s), &["\"/tmp\""]);
    // Nobody has gone there for these: they begin where they can.
    lacks(&s.cell("%pool restart 0"), &["error"]);
    lacks(&there(&mut s), &["note", "error"]);
    let told = s.cell("%cd /tmp") + &there(&mut s);
    lacks(&told, &["note"]);
    contains(&told, &["\"/tmp\""]);
    assert_eq!(s.end(), 0);
}
