//! Several jobs on the same engines, what is told of engines that die, and in what order.

mod support;

use support::{Session, contains, lacks};

const NAP: &str =
    "fn nap(ms: u64) -> u64 { std::thread::sleep(std::time::Duration::from_millis(ms)); ms }";

/// What a cell shows as its value.
#[track_caller]
fn value(session: &mut Session, code: &str) -> String {
    let shown = session.cell(code);
    let value = shown.split_once("]: ").map(|(_, value)| value.trim());
    value
        .unwrap_or_else(|| panic!("no value of {code}: {shown}"))
        .to_owned()
}

#[test]
fn whoever_is_free_takes_the_next_chunk_of_any_job() {
    let mut session = Session::start();
    session.cells(&[NAP, "%pool start -n 3"]);

    // Three jobs of one item each: one engine each.
    let three = "let jobs: Vec<_> = (0..3).map(|_| pool::pool(\"p0\").quiet().start([2000u64], nap)).collect();\n\
        let began = std::time::Instant::now();\n\
        for job in &jobs { job.get().unwrap(); }\n\
        let mut by: Vec<u32> = jobs.iter().map(|job| job.engine_of(0).unwrap()).collect();\n\
        by.sort();\n\
        println!(\"{by:?} {}\", began.elapsed().as_millis() < 4000);";
    contains(&session.cell(three), &["[0, 1, 2] true"]);
    // An item goes past engines that are busy with another job, and with a cell.
    session.cells(&["%px -t 1 -a nap(60_000)"]);
    let past = "let long = pool::pool(\"p0\").quiet().targets(&[0]).start([9000u64], nap);\n\
        let short = pool::pool(\"p0\").quiet().start([1u64, 2, 3], nap);\n\
        let got = short.get().unwrap();\n\
        println!(\"{got:?} {:?} {}\", [0, 1, 2].map(|i| short.engine_of(i).unwrap()), long.ready());";
    contains(&session.cell(past), &["[1, 2, 3] [2, 2, 2] false"]);
    session.cell("long.cancel();");
    session.cells(&["%pool restart"]);

    // A table stands above the value of its cell, whatever the map is.
    for _ in 0..12 {
        for map in ["%map -u", "%map", "%map --on-error collect"] {
            let shown = session.cell(&format!("{map} |x: u64| x + 1 over 0..40u64"));
            let (table, out) = (shown.rfind('└'), shown.find("Out["));
            assert!(table.is_some() && table < out, "{shown}");
        }
        let shown = session.cell("%reduce |x: u64| x over 0..40u64 with |a, b| a + b");
        assert!(shown.rfind('└') < shown.find("Out["), "{shown}");
        let shown = session.cell("let r = %map -u |x: u64| x over 0..9u64\nprintln!(\"below\");");
        assert!(shown.rfind('└') < shown.find("below"), "{shown}");
    }

    // What ends its engine before an item is begun is not the item's fault.
    session.cells(&[
        "#[derive(Clone, Serialize)] struct Bomb(u8);",
        "impl<'de> Deserialize<'de> for Bomb { fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> { std::process::abort() } }",
        "let bomb = Bomb(1);",
    ]);
    let shown = session.cell("%map -q |x: u64| x + bomb.0 as u64 over [1u64]");
    contains(
        &shown,
        &[
            "error",
            "ten engines ended before they came to item 0",
            "SIGABRT",
        ],
    );
    lacks(&shown, &["three engines"]);
    session.cells(&["%pool restart"]);
    assert_eq!(
        value(&mut session, "%map -q |x: u64| x + 1 over [1u64]"),
        "[2]"
    );
    assert_eq!(session.end(), 0);
}

#[test]
fn functions_of_several_arguments_and_submitted_calls() {
    let mut session = Session::start();
    session.cells(&[
        NAP,
        "%pool start -n 3",
        "fn add(a: u64, b: f64) -> f64 { a as f64 + b }\n\
         fn total(table: &Vec<u64>) -> u64 { table.iter().sum() }\n\
         let (a, b, c, d, e, f, g, h, i, j) = (1u64, 2u64, 3u64, 4u64, 5u64, 6u64, 7u64, 8u64, 9u64, String::from(\"ten\"));\n\
         let text = \"static\";\nlet xs = vec![1u64, 2, 3];",
    ]);
    // More captured variables than a tuple of the cell crate's.
    let shown = session.cell(
        "%map |x| x + a + b + c + d + e + f + g + h + i + j.len() as u64 + text.len() as u64 over 0..3u64",
    );
    contains(&shown, &["[54, 55, 56]", "j: String (4 B)", "text: &str"]);
    // Iterables side by side, crossed, and of tuples, for closures and for functions.
    let crossed = "[(0, \"a\"), (0, \"b\"), (1, \"a\"), (1, \"b\")]";
    for (map, values) in [
        (
            "|x, y| x as f64 * y over xs.clone(), [0.5, 1.5, 2.5, 9.0]",
            "[0.5, 3.0, 7.5]",
        ),
        ("add over xs.clone(), [0.5, 1.5, 2.5]", "[1.5, 3.5, 5.5]"),
        ("f64::powf over [1.0, 2.0], [3.0, 2.0]", "[1.0, 4.0]"),
        ("|x, y| x + y over vec![(1, 2), (3, 4)]", "[3, 7]"),
        ("add over vec![(1, 2.0), (3, 4.0)]", "[3.0, 7.0]"),
        ("|pair: (u64, u64)| pair.0 over 5..7u64, 0..9u64", "[5, 6]"),
        (
            "|x: u64, y| (x, y) over grid(0..2, [\"a\".to_string(), \"b\".to_string()])",
            crossed,
        ),
        (
            "--take 2 |x, y, z| x + y + z + a over 0..9u64, 1.., 2..",
            "[4, 7]",
        ),
    ] {
        assert_eq!(
            value(&mut session, &format!("%map -q {map}")),
            values,
            "{map}"
        );
    }
    let reduced = "%reduce -q |x, y| x * y + a over xs.clone(), 1..=3u64 with |p, q| p + q";
    assert_eq!(value(&mut session, reduced), "17");
    contains(
        &session.cell("%map -q |x, y, z| x over xs.clone(), 0..3u64"),
        &["error", "takes 3 arguments", "2 inputs"],
    );
    for few in [
        "%map -q |x, y| x * y over [1, 2]",
        "%map -q add over [1u64, 2]",
    ] {
        contains(
            &session.cell(few),
            &[
                "error: the function takes 2 arguments",
                "no tuples of 2",
                "In [",
            ],
        );
    }
    assert_eq!(
        value(&mut session, "%map -q |x| x + 1 over 0..3,"),
        "[1, 2, 3]"
    );

    // One call on whoever is free, with what it needs.
    contains(
        &session.cell("let job = %submit nap(20) + a"),
        &["job ", "a: u64"],
    );
    assert_eq!(value(&mut session, "job.result()"), "Ok(21)");
    assert_eq!(value(&mut session, "%result"), "21");
    session.cells(&[
        "%submit || { let z = j.clone(); z + \"!\" }",
        "let ten = %result",
    ]);
    assert_eq!(value(&mut session, "ten"), "\"ten!\"");
    session.cells(&["%submit { let none: Option<u64> = None; none.unwrap() }"]);
    contains(
        &session.cell("%result"),
        &["error", "called `Option::unwrap()`"],
    );
    contains(&session.cell("%submit"), &["error", "needs code"]);
    // The cases that users of futures know: order of completion, timeouts, the first error, many at once.
    let futures = "use std::time::Duration;\n\
        let jobs: Vec<_> = [900u64, 10, 300].iter().map(|ms| pool::submit_with(ms, |ms| nap(*ms))).collect();\n\
        let none = pool::wait(&jobs[..1], Duration::ZERO, pool::Until::All);\n\
        let first = pool::wait(&jobs, None, pool::Until::First);\n\
        let order: Vec<usize> = pool::as_completed(&jobs).map(|(place, _)| place).collect();\n\
        let again: Vec<usize> = pool::as_completed(&jobs).map(|(place, _)| place).collect();\n\
        let all = pool::wait(&jobs, Duration::from_secs(60), pool::Until::All);\n\
        println!(\"{:?} {:?} {order:?} {} {:?}\", none.done, first.done, again.len(), all.pending);\n\
        println!(\"{:?}\", jobs.iter().map(|job| job.result().unwrap()).collect::<Vec<_>>());\n\
        let bad = [pool::submit(|| nap(5000)), pool::submit(|| { assert!(nap(1) > 1, \"too short\"); 1 })];\n\
        let found = pool::wait(&bad, None, pool::Until::Error);\n\
        println!(\"{found:?} {} {:?}\", bad[1].is_failed(), bad[1].result());\n\
        bad[0].cancel();\n\
        println!(\"{:?}\", pool::as_completed::<u8>(&[]).count());";
    let shown = session.cell(futures);
    contains(
        &shown,
        &[
            "[] [1] [1, 2, 0] 3 []",
            "[900, 10, 300]",
            "Waited { done: [1], pending: [0] } true Err(",
            "too short",
        ],
    );
    let many = "let many: Vec<_> = (0..400u64).map(|n| pool::submit_with(&n, |n| n * 2)).collect();\n\
        many.iter().map(|job| job.result().unwrap()).sum::<u64>()";
    let shown = session.cell(many);
    contains(&shown, &["159600"]);
    lacks(&shown, &["finished"]);
    // What is shared, in every form.
    let forms = "let base = vec![10u64, 20];\n\
        let mut seen: Vec<_> = pool::map_iter_with(&base, 0..4u64, |base, x| base[0] + x).collect();\n\
        seen.sort();\n\
        let p0 = pool::pool(\"p0\");\n\
        let started = p0.start_with(&base, 0..2u64, |b, x| b[1] + x).get();\n\
        let tried = p0.try_map_with(&base, 1..3u64, |b, x| b[x as usize]);\n\
        println!(\"{seen:?} {started:?} {:?} {}\", tried[0], tried[1].is_err());";
    contains(
        &session.cell(forms),
        &["[(0, 10), (1, 11), (2, 12), (3, 13)] Ok([20, 21]) Ok(20) true"],
    );
    // The engines' own variables, each where it is.
    session.cells(&[
        "%px let mut table: Vec<u64> = (0..5).map(|n| n * 10).collect(); let own = engine::rank();",
    ]);
    let shown = session.cell("%map |x: usize| table[x] + own as u64 * 0 + a over 0..5usize");
    contains(
        &shown,
        &[
            "uses the engines' own table: Vec<u64>, own: u32",
            "[1, 11, 21, 31, 41]",
        ],
    );
    // They are there again for cells, as they were and as cells change them.
    contains(&session.cell("%px table.len()"), &["0-2", "5"]);
    session.cells(&["%px table.push(50);"]);
    assert_eq!(
        value(&mut session, "%map -q |x: usize| table[x] over 4..6usize"),
        "[40, 50]"
    );
    assert_eq!(
        value(
            &mut session,
            "%map -q |x: usize| table.len() + x over 0..2usize"
        ),
        "[6, 7]"
    );
    contains(
        &session.cell("%px (table.len(), own)"),
        &["(6, 0)", "(6, 2)"],
    );
    // As the values that they are: copied where that is one, lent elsewhere.
    for (map, values) in [
        (
            "|x: u64| x + own as u64 * 0 + table.iter().sum::<u64>() over 0..2u64",
            "[150, 151]",
        ),
        (
            "|x: u64| -> u64 { let mut n = x; for t in table { n += t; } n } over 0..2u64",
            "[150, 151]",
        ),
        (
            "|x, y: u64| total(&table) + x + y over [1u64], [2]",
            "[153]",
        ),
    ] {
        assert_eq!(
            value(&mut session, &format!("%map -q {map}")),
            values,
            "{map}"
        );
    }
    session.cells(&["let job = %submit total(&table)"]);
    assert_eq!(value(&mut session, "job.result()"), "Ok(150)");
    contains(
        &session
            .cell("%map |x: u64| { if x == 1 { panic!(\"no {}\", table.len()) }; x } over 0..3u64"),
        &["error", "no 6"],
    );
    contains(
        &session.cell("%map adder(table.clone()) over 0..3u64"),
        &["error", "only a closure"],
    );
    contains(
        &session.cell("%px (table.len(), own)"),
        &["(6, 0)", "(6, 2)"],
    );
    // A cell that changes it under a job: told, and the new one is not lost.
    session.cells(&[
        "let slow = %map -a |x: u64| { nap(30); x + table[0] } over 0..2000u64",
        "%px let table = (7u8, 8u8);",
    ]);
    contains(
        &session.cell("slow.get()"),
        &["Err(", "no variable `table` of type alloc::vec::Vec<u64>"],
    );
    contains(&session.cell("%px table"), &["0-2", "(7, 8)"]);
    session.cells(&["%px let table: Vec<u64> = (0..6).map(|n| n * 10).collect();"]);
    session.cells(&["%px -t 0 let table = String::new();"]);
    contains(
        &session.cell("%map |x: usize| table[x] over 0..2usize"),
        &["error", "`table` is", "String"],
    );
    session.cells(&["%px -t 0 drop(table);"]);
    contains(
        &session.cell("%map |x: usize| table[x] over 0..2usize"),
        &["error", "engine 0 of p0 has no variable `table`", "%px let"],
    );
    assert_eq!(
        value(
            &mut session,
            "%map -q -t 1,2 |x: usize| table[x] over 1..3usize"
        ),
        "[10, 20]"
    );
    contains(
        &session.cell("%reduce |x: u64| x over 0..9u64 with |a, b| a + b + own as u64"),
        &["error", "results are combined here too"],
    );
    session.cells(&["%pool start threads -n 2"]);
    contains(
        &session.cell("%map |x: u64| x + own as u64 over 0..9u64"),
        &["error", "engines 0,1,2 of p0 have a variable `own`"],
    );
    assert_eq!(
        value(&mut session, "%map -q |x, y| x + y over [1, 2], [3, 4]"),
        "[4, 6]"
    );
    session.cells(&["let job = %submit 1 + 1"]);
    assert_eq!(value(&mut session, "job.result()"), "Ok(2)");
    assert_eq!(session.end(), 0);
}

#[test]
fn processes_that_have_done_their_items_are_renewed() {
    let mut session = Session::start();
    contains(
        &session.cell("%pool start -n 2 --tasks-per-engine 5 --init 'let scale = 10u64;'"),
        &["a new process after every 5 items"],
    );
    // Items of each process: none has more, whatever the chunks are, and what all begin with is there.
    for options in [
        "",
        "--chunk 3",
        "--chunk 100",
        "--schedule static",
        "--schedule guided",
        "-u",
    ] {
        session.cells(&[&format!(
            "let got = %map -q {options} |x: u64| (x * scale, std::process::id()) over 0..43u64"
        )]);
        let counted = "let mut by = std::collections::BTreeMap::new();\n\
            for (_, pid) in &got { *by.entry(*pid).or_insert(0) += 1; }\n\
            (got.iter().map(|(x, _)| x).sum::<u64>(), by.len() > 8, by.values().max() == Some(&5))";
        assert_eq!(
            value(&mut session, counted),
            "(9030, true, true)",
            "{options}"
        );
    }
    // Several jobs share what is left; one that ends its engine is told as ever.
    let several = "let p0 = || pool::pool(\"p0\").quiet();\n\
        let jobs: Vec<_> = (0..4u64).map(|n| p0().start(n..n + 30, |x| x)).collect();\n\
        let bad = p0().start(0..30u64, |x| { if x == 7 { std::process::abort() } x });\n\
        (jobs.iter().map(|job| job.get().unwrap().len()).sum::<usize>(), bad.get().unwrap_err())";
    contains(
        &session.cell(several),
        &["(120, \"item 7 ended three engines"],
    );
    // What the engines had of their own is told once.
    session.cells(&["%px let mine = 3;"]);
    let shown = session.cell("%map -q |x: u64| x over 0..40u64");
    assert_eq!(shown.matches("lost there: mine").count(), 2, "{shown}");
    contains(&shown, &["it had done its 5 items"]);
    contains(&session.cell("%px scale"), &["0,1", "10"]);
    for (wrong, told) in [
        ("%pool start --tasks-per-engine 0", "from 1 on"),
        ("%pool start --tasks-per-engine -3", "from 1 on"),
        ("%pool start threads --tasks-per-engine 3", "threads"),
    ] {
        contains(&session.cell(wrong), &["error", told]);
    }
    assert_eq!(session.end(), 0);
}

/// Open files of a process.
fn files(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// Resident megabytes of a process.
fn megabytes(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    number.unwrap_or_default() / 1024
}

#[test]
fn descriptors_and_memory_stay_flat() {
    let mut session = Session::under("ulimit -n 64; exec \"$0\" --no-warm", &[]);
    session.prompt(support::PATIENCE);
    session.cells(&[
        "%pool start -n 4",
        "let mut n = 0u64;",
        "let mut k = vec![0u64; 700_000];",
        "%map -q |x| x + k[0] over 0..8u64",
        "%map -q |x| x + k[0] over 0..8u64",
    ]);
    let count = |session: &Session| -> Vec<usize> {
        let engines = session.engines();
        let all = std::iter::once(session.pid()).chain(engines);
        all.map(files).collect()
    };
    let (before, engine) = (count(&session), *session.engines().last().unwrap());
    let memory = megabytes(engine);
    // Values of one variable, bound anew, changed in place, and given by code.
    for _ in 0..6 {
        session.cells(&[
            "n += 1; let k = vec![n; 700_000];",
            "%map -q |x| x + k[0] over 0..8u64",
        ]);
    }
    session.cells(&["for n in 0..40u64 { let big = vec![n; 700_000]; assert_eq!(pool::map_with(&big, 0..4u64, |big, x| big[0] + x)[1], n + 1); }"]);
    let after = count(&session);
    for (before, after) in before.iter().zip(&after) {
        assert!(*after <= before + 8, "{before:?} {after:?}");
    }
    // 46 values of 5.6 MB each, of which a few stay.
    let grown = megabytes(engine).saturating_sub(memory);
    assert!(grown < 120, "{grown} MB");
    session.cells(&["drop(k);"]);

    // Deaths of the local engine, and of engines in maps.
    for _ in 0..100 {
        contains(&session.cell("std::process::abort()"), &["SIGABRT"]);
    }
    session.cells(&[
        "%pool start -n 1 --tasks-per-engine 1",
        "%map -q |x: u64| x over 0..200u64",
        "%pool stop",
    ]);
    let died = "%map -q --on-error collect |x: u64| { if x % 5 == 0 { std::process::abort() } x } over 0..30u64";
    contains(&session.cell(died), &["Crashed { item: 0"]);
    let left = count(&session);
    assert!(left[0] <= before[0] + 6, "{before:?} {left:?}");
    assert_eq!(
        value(&mut session, "%map -q |x: u64| x + 1 over [1u64]"),
        "[2]"
    );
    // Running out is told, and nothing is lost.
    session.cells(&["let kept = 7;", "%px let there = 8;"]);
    contains(&session.cell("%pool start -n 60"), &["error", "-n N"]);
    contains(
        &session.cell("(kept, pool::map(0..40u64, |x| x).len())"),
        &["(7, 40)"],
    );
    contains(&session.cell("%px there"), &["0-3", "8"]);
    let many = "let many: Vec<_> = (0..60u64).map(|n| pool::submit_with(&n, |n| n * 2)).collect();\n\
        many.iter().map(|job| job.result().unwrap()).sum::<u64>()";
    contains(&session.cell(many), &["3540"]);
    assert_eq!(value(&mut session, "kept"), "7");
    assert_eq!(session.end(), 0);
}
