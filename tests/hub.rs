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
    let three = "let jobs: Vec<_> = (0..3).map(|_| pool::pool(\"p0\").quiet().start([300u64], nap)).collect();\n\
        let began = std::time::Instant::now();\n\
        for job in &jobs { job.get().unwrap(); }\n\
        let mut by: Vec<u32> = jobs.iter().map(|job| job.engine_of(0).unwrap()).collect();\n\
        by.sort();\n\
        println!(\"{by:?} {}\", began.elapsed().as_millis() < 600);";
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
