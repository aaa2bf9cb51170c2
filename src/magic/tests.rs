//! What users type, and the plain records that magics make of it. Nothing runs.

mod moving;
mod refused;

use std::time::Duration;

use regatta_cell::options::MapOptions;

use super::Magic;
use super::call::{Call, read as read_call, refused};
use super::compare::Compare;
use super::map::Map;
use super::pool::Pools;
use super::px::Px;
use super::reduce::Reduce;
use super::scaling::Scaling;
use crate::cell::{MagicCall, SegmentKind, parse};
use crate::outcome::{GroupOutputs, PoolKind, Report, Schedule};
use crate::session::{MapRequest, PxOptions, ScalingRequest};

/// The only magic of a cell, before its options are read.
fn written(text: &str) -> MagicCall {
    let cell = parse(text, None).expect("a cell");
    let [segment] = cell.segments.as_slice() else {
        panic!("one segment in {text}");
    };
    let SegmentKind::Magic(written) = &segment.kind else {
        panic!("a magic in {text}");
    };
    written.clone()
}

/// Hands the only magic of a cell to `read`; its error is one of the magic's own or of its options.
fn reading<M: Magic, T>(
    text: &str,
    read: impl Fn(M, &Call<'_>) -> Result<T, Report>,
) -> Result<T, Report> {
    let written = written(text);
    let (magic, matches, call) = read_call(&written)?;
    assert_eq!(magic.name, M::NAME, "{text}");
    let options = M::from_arg_matches(&matches).map_err(|error| refused(&error, M::NAME))?;
    read(options, &call)
}

fn mapped(text: &str) -> Result<MapRequest, Report> {
    if text.contains("%reduce") {
        reading(text, Reduce::request)
    } else {
        reading(text, Map::request)
    }
}

fn options(text: &str) -> MapOptions {
    mapped(text).expect(text).options
}

/// Error and hint on one line.
fn refusal<T>(read: Result<T, Report>) -> String {
    match read {
        Ok(_) => "accepted".to_owned(),
        Err(report) => {
            let hint = report.hint.as_ref().map(ToString::to_string);
            format!("{report} · {}", hint.unwrap_or_default())
        }
    }
}

#[test]
fn every_option_of_a_map_is_read() {
    assert_eq!(options("%map f over xs"), MapOptions::default());
    let all = options(
        "%map -p p1 -t 0,2 -c 8 --schedule guided --retries 2 --timeout 0.5 --on-error collect --items \
         --seed 7 --take 100 f over xs",
    );
    let wanted = MapOptions {
        pool: Some("p1".to_owned()),
        chunk: Some(8),
        schedule: Schedule::Guided,
        retries: 2,
        timeout: Some(Duration::from_millis(500)),
        collect: true,
        quiet: false,
        items: true,
        plan_only: false,
        seed: Some(7),
        take: Some(100),
        ..MapOptions::default()
    };
    assert_eq!(all, wanted);
    assert_eq!(options("%map -c auto f over xs").chunk, None);
    assert_eq!(options("%map -c8 f over xs").chunk, Some(8));
    assert_eq!(
        options("%map --schedule=static f over xs").schedule,
        Schedule::Static
    );
    assert!(options("%map --quiet f over xs").quiet);
    assert!(options("%map --plan f over xs").plan_only);
    assert!(options("%map -u f over xs").unordered);
    assert!(!options("%map -a -b f over xs").background);
    assert!(options("%map -b -a f over xs").background);
    for targets in ["0,2", "-1"] {
        let map = mapped(&format!("%map -t {targets} f over xs")).expect(targets);
        assert_eq!(map.targets, targets.parse().ok());
    }
}

#[test]
fn the_parts_of_a_map_keep_their_places() {
    let map = mapped("let f: Vec<u8> = %map -c 8 --schedule static |x| x + 1 over 0..10;")
        .expect("a map");
    assert_eq!(
        (map.function.as_str(), map.inputs.as_str()),
        ("|x| x + 1", "0..10")
    );
    assert_eq!((map.function_at, map.inputs_at), ((1, 46), (1, 61)));
    let bind = map.bind.expect("a binding");
    assert_eq!(
        (bind.name.as_str(), bind.ty.as_deref()),
        ("f", Some("Vec<u8>"))
    );

    let map = mapped("%%map -o r\n|x| {\n    x\n}\nover\n  0..3\n").expect("a map");
    assert_eq!(map.function, "|x| {\n    x\n}");
    assert_eq!(map.inputs, "0..3");
    assert_eq!((map.function_at, map.inputs_at), ((2, 1), (6, 3)));
    assert_eq!(map.bind.map(|bind| bind.pattern).as_deref(), Some("r"));
    assert_eq!(map.combine, None);

    let map = mapped("%map -q -- -k over xs").expect("a map");
    assert_eq!(map.function, "-k");
}

#[test]
fn a_reduction_has_an_operation() {
    let reduce = mapped("let s = %reduce -c 2 |x| { x.with(1)\n } over 0..4 with |a, b| a + b;")
        .expect("a reduction");
    assert_eq!(reduce.function, "|x| { x.with(1)\n }");
    assert_eq!((reduce.inputs.as_str(), reduce.inputs_at), ("0..4", (2, 9)));
    assert_eq!(reduce.combine, Some(("|a, b| a + b".to_owned(), (2, 19))));
    assert_eq!(reduce.options.chunk, Some(2));
    assert!(reduce.bind.is_some());
    for (text, error) in [
        (
            "%reduce f over xs",
            "%reduce needs `F over EXPR with OP` · for example `%reduce |x: u64| x * x over 0..10 with |a, b| a + b` \
             or `%reduce f over xs with u64::max`",
        ),
        (
            "%reduce f over xs wiht max",
            "%reduce needs `F over EXPR with OP` · did you mean `with` by `wiht`?",
        ),
        (
            "%reduce f oevr xs with max",
            "%reduce needs `F over EXPR with OP` · did you mean `over` by `oevr`?",
        ),
        (
            "%reduce -a f over xs with max",
            "%reduce cannot go on in the background · `%map -a` can, and `%result` gives its results to reduce; \
             `%submit` runs one call",
        ),
        (
            "%reduce -u f over xs with max",
            "%reduce: unknown option `-u` · `%help reduce` shows the options; code that begins with `-` \
             stands behind `--`",
        ),
        (
            "%reduce --on-error collect f over xs with max",
            "%reduce: unknown option `--on-error` · `%help reduce` shows the options; code that begins with `-` \
             stands behind `--`",
        ),
    ] {
        assert_eq!(refusal(mapped(text)), error, "{text}");
    }
}

#[test]
fn the_options_of_px_stand_on_defaults() {
    let on = |text: &str, defaults: PxOptions| {
        let options = reading(text, |px: Px, _| Ok(px.px.on(defaults.clone()))).expect(text);
        let PxOptions {
            block,
            stream,
            verbose,
            ..
        } = options;
        (block, stream, verbose, options)
    };
    let defaults = PxOptions {
        block: false,
        stream: false,
        verbose: true,
        progress_after: None,
        out: Some("kept".to_owned()),
        ..PxOptions::default()
    };
    let (block, stream, verbose, options) = on("%px x", defaults.clone());
    assert_eq!((block, stream, verbose), (false, false, true));
    assert_eq!(options.out.as_deref(), Some("kept"));
    let (block, stream, verbose, options) = on(
        "%px -b --stream --no-verbose -t 0, 2 --progress-after 0.5 -o none x",
        defaults.clone(),
    );
    assert_eq!((block, stream, verbose), (true, true, false));
    assert_eq!(Some(options.targets), "0,2".parse().ok());
    assert_eq!(options.progress_after, Some(Duration::from_millis(500)));
    assert_eq!(options.out, None);
    // The last of two that take each other back holds.
    assert!(!on("%px -b -a x", PxOptions::default()).0);
    assert!(on("%px -a -b x", PxOptions::default()).0);
    assert_eq!(
        on("%px --progress-after -1 x", PxOptions::default())
            .3
            .progress_after,
        None
    );
    for (text, stream, group) in [
        ("%px -r x", true, GroupOutputs::Order),
        ("%px -e x", false, GroupOutputs::Engine),
        ("%px --group-outputs type x", false, GroupOutputs::Type),
    ] {
        let (_, streams, _, options) = on(text, PxOptions::default());
        assert_eq!((streams, options.group_outputs), (stream, group), "{text}");
    }
    for (text, error) in [
        (
            "%px --progress-after soon x",
            "--progress-after soon: not a time in seconds · seconds are written `2` or `0.5`",
        ),
        (
            "%px --signal-on-interrupt SIGFOO x",
            "there is no signal SIGFOO · SIGINT, SIGTERM, SIGUSR1, … or their numbers; 0 sends nothing",
        ),
        (
            "%px --group-outputs tpye x",
            "%px: invalid value 'tpye' for '--group-outputs <HOW>' · did you mean type?",
        ),
    ] {
        assert_eq!(refusal(reading(text, |_: Px, _| Ok(()))), error, "{text}");
    }
}

#[test]
fn a_mistyped_word_gets_the_nearest_one() {
    let read = |text: &str| reading(text, |_: Pools, _| Ok(()));
    assert!(refusal(read("%pool strat -n 2")).ends_with("did you mean start?"));
    for (text, meant) in [
        ("%pool start --n 2", "-n"),
        ("%pool start --nmae a", "--name"),
    ] {
        let hint = format!("did you mean {meant}?");
        let refused = refusal(read(text));
        assert!(refused.ends_with(&hint), "{text}: {refused}");
    }
    for (text, meant) in [
        (
            "%pool start cluster node1:8,node2",
            "hosts stand behind `--ssh`: `--ssh node1:8,node2`",
        ),
        (
            "%pool start cluster --ssh node1:8, node2",
            "without spaces: `--ssh node1:8,node2`",
        ),
        (
            "%pool start cluster --ssh node1 -J gate",
            "`--ssh-options '-J gate'`",
        ),
        (
            "%pool start cluster --ssh-options -F file --ssh node1",
            "in quotes: `--ssh-options '-F file'`",
        ),
        (
            "%pool start cluster --slurm -N 4 -n 64",
            "in quotes: `--slurm '-N 4 -n 64'`",
        ),
        ("%pool add --ssh node3:8", "`%pool add node3:8`"),
        (
            "%attach c0 --steal",
            "did you mean `%pool attach c0 --steal`?",
        ),
    ] {
        let refused = refusal(read(text));
        assert!(refused.ends_with(meant), "{text}: {refused}");
    }
    let px = |text: &str| refusal(reading(text, |_: Px, _| Ok(())));
    assert_eq!(
        px("%px --t 0 x"),
        "%px: unknown option `--t` · did you mean -t?"
    );
    assert_eq!(
        px("%px -verbose x"),
        "%px: unknown option `-verbose` · did you mean --verbose?"
    );
    assert_eq!(
        refusal(read("%pool start 4")),
        "%pool: invalid value '4' for '[KIND]' · the number of engines is an option: `-n 4`"
    );
    assert_eq!(
        refusal(read("%pool start forks")),
        "%pool: invalid value 'forks' for '[KIND]' · one of processes, threads, mpi, cluster"
    );
}

#[test]
fn options_of_gnu_parallel_are_refused_with_what_is_here() {
    let refused = |options: &str| {
        refusal(read_call(&written(&format!(
            "%parallel {options} 'echo {{}}' ::: a"
        ))))
    };
    for option in [
        "-S node1",
        "--sshlogin node1",
        "--slf hosts",
        "--sshlogin=node1",
    ] {
        let refused = refused(option);
        let (_, hint) = refused.split_once(" · ").expect("a hint");
        assert!(
            hint.starts_with("`%pool start cluster --ssh node1:8,node2` starts"),
            "{refused}"
        );
    }
    assert_eq!(
        refused("--joblgo x"),
        "%parallel: unknown option `--joblgo` · did you mean --joblog?"
    );
}

#[test]
fn wrong_options_of_a_map_are_refused_with_a_hint() {
    let chunk = "`-c 8` sends 8 inputs at once, `-c auto` adapts while the map runs";
    for (options, error) in [
        ("--chnk 8", "%map: unknown option `--chnk` · did you mean --chunk?".to_owned()),
        ("-c 0", format!("--chunk 0: a chunk has at least one input · {chunk}")),
        ("-c -3", format!("--chunk -3: not a number of inputs, nor `auto` · {chunk}")),
        ("-c few", format!("--chunk few: not a number of inputs, nor `auto` · {chunk}")),
        (
            "--timeout -1",
            "--timeout -1: not a time in seconds · seconds are written `2` or `0.5`".to_owned(),
        ),
        (
            "--timeout 0",
            "--timeout 0: no input can be that fast · leave `--timeout` out to let each input take its time"
                .to_owned(),
        ),
        (
            "--schedule statc",
            "%map: invalid value 'statc' for '--schedule <HOW>' · did you mean static?".to_owned(),
        ),
        (
            "--schedule 7",
            "%map: invalid value '7' for '--schedule <HOW>' · one of dynamic, static, guided".to_owned(),
        ),
        (
            "--on-error ignore",
            "%map: invalid value 'ignore' for '--on-error <HOW>' · one of stop, collect".to_owned(),
        ),
        (
            "-t 1:x",
            "`1:x` is no target: targets are written `all`, `2`, `0,2`, `1:3`, `::2` or `-1` · ".to_owned(),
        ),
        (
            "-o match",
            "`match` cannot name a variable · a name has letters, digits and `_`, and is no keyword".to_owned(),
        ),
        (
            "--items -q",
            "%map: --items and -q exclude each other · `--items` asks for a table, `-q` for none".to_owned(),
        ),
        (
            "-a --plan",
            "%map: --plan and -a exclude each other · `--plan` runs nothing that could be left to run".to_owned(),
        ),
        (
            "-u --items",
            "%map: --items and -u exclude each other · `--items` has a row per input; with `-u` nobody knows which \
             result is whose"
                .to_owned(),
        ),
        (
            "-a --items",
            "%map: --items and -a exclude each other · `--items` shows a table at the map's end, which `-a` does \
             not wait for"
                .to_owned(),
        ),
        (
            "--plan -o r",
            "%map: --plan and a name for the results exclude each other · `--plan` runs nothing, so there is \
             nothing to bind"
                .to_owned(),
        ),
    ] {
        let text = format!("%map {options} f over xs");
        assert_eq!(refusal(mapped(&text)), error, "{text}");
    }
    for (text, error) in [
        (
            "let f = %map -o g f over xs",
            "%map: the results have two names, `f` and `g` · `let NAME = ` and `-o NAME` say the same: leave one \
             of them out",
        ),
        (
            "%map f ovr xs",
            "%map needs `F over EXPR` · did you mean `over` by `ovr`?",
        ),
        (
            "%map f",
            "%map needs `F over EXPR` · for example `%map fib over [30, 31, 32]` or `%map |x| x * 2 over 0..10`",
        ),
        ("%map -c 8", "%map needs code · `%help map` shows examples"),
        (
            "let j = %jobs",
            "%jobs gives no value to bind to `j` · %bash, %sh, %pxresult, %map, %reduce, %submit, %parallel, %result, %pull and %gather give one",
        ),
    ] {
        assert_eq!(refusal(mapped(text)), error, "{text}");
    }
    for retries in ["-1", "x"] {
        let refused = refusal(mapped(&format!("%map --retries {retries} f over xs")));
        assert!(
            refused.contains(&format!("invalid value '{retries}' for '--retries <N>'")),
            "{refused}"
        );
    }
}

#[test]
fn a_comparison_names_pools_and_options_before_the_dashes() {
    let read = |text: &str| {
        reading(text, |compare: Compare, call| {
            let pools: Vec<String> = compare.pools.iter().map(ToString::to_string).collect();
            Ok((pools, compare.request(call)?))
        })
    };
    let (pools, request) = read("%compare serial -c 4 threads p-1 --  |x| { x\n - -1 } over 0..4")
        .expect("a comparison");
    assert_eq!(pools, ["serial", "threads", "p-1"]);
    assert_eq!(request.options.chunk, Some(4));
    assert_eq!(request.function, "|x| { x\n - -1 }");
    assert_eq!((request.function_at, request.inputs_at), ((1, 38), (2, 14)));

    let (pools, _) = read("%compare -- f over xs").expect("pools are looked at later");
    assert!(pools.is_empty());
    for (text, error) in [
        (
            "%compare serial f over xs",
            "%compare needs `--` and code behind it · `%help compare` shows how it is written",
        ),
        (
            "%compare serial --",
            "%compare needs `--` and code behind it · `%help compare` shows how it is written",
        ),
        (
            "%compare serial --chnk 8 -- f over xs",
            "%compare: unexpected argument '--chnk' found · did you mean --chunk?",
        ),
        (
            "%compare serial -- f",
            "%compare needs `F over EXPR` · for example `%compare serial threads processes -- |x: u64| x * 2 over \
             0..10`",
        ),
    ] {
        assert_eq!(refusal(read(text)), error, "{text}");
    }
}

#[test]
fn a_scaling_has_options_on_both_sides_of_its_code() {
    let read = |text: &str| -> Result<ScalingRequest, Report> {
        reading(text, |scaling: Scaling, call| {
            scaling.request(call, Some(PoolKind::Threads))
        })
    };
    let request = read("%scaling |x| x - -1 over 0..4 --engines 4, 1, 2 --repeat 5;").expect("one");
    assert_eq!(request.counts, [4, 1, 2]);
    assert_eq!((request.repeat, request.kind), (5, PoolKind::Threads));
    assert_eq!(request.map.function, "|x| x - -1");
    assert_eq!(
        (request.map.inputs.as_str(), request.map.inputs_at),
        ("0..4", (1, 26))
    );
    let request = read("%scaling -n 2,8 --kind processes -c 4 f over xs --seed 1").expect("one");
    assert_eq!(
        (request.counts, request.kind),
        (vec![2, 8], PoolKind::Processes)
    );
    let options = request.map.options;
    assert_eq!((options.chunk, options.seed), (Some(4), Some(1)));
    let request = read("%%scaling --engines=1,2\nf\nover xs\n").expect("one");
    assert_eq!((request.counts, request.repeat), (vec![1, 2], 3));
    assert_eq!(request.map.inputs_at, (3, 6));
    let hint = "numbers of engines are written `--engines 1,2,4,8`";
    for (options, error) in [
        ("--engines 0", format!("--engines 0: a pool of 0 engines cannot work · {hint}")),
        ("--engines 1,x", format!("--engines 1,x: `x` is no number of engines · {hint}")),
        ("--engines -2", format!("--engines -2: `-2` is no number of engines · {hint}")),
        ("--engines 1,,2", format!("--engines 1,,2: a number is missing · {hint}")),
        ("--engines 1,2,", format!("--engines 1,2,: a number is missing · {hint}")),
        (
            "--engines 1",
            format!("--engines 1: there is nothing to compare one engine with · {hint}"),
        ),
        (
            "--engines 2,4,2",
            "--engines 2,4,2: 2 stands there twice · each number of engines is measured once; \
             `--repeat` says how often"
                .to_owned(),
        ),
        (
            "--repeat 0",
            "--repeat 0: each pool runs the map at least once · `--repeat 3`, the default: of each pool \
             the best of 3 runs"
                .to_owned(),
        ),
        (
            "--repeat often",
            "--repeat often: not a number of runs · `--repeat 3`, the default: of each pool the best of \
             3 runs"
                .to_owned(),
        ),
        ("--kind thread", "%scaling: invalid value 'thread' for '--kind <KIND>' · did you mean threads?".to_owned()),
        (
            "--engines 1,2 xs",
            "%scaling: `xs` is no option · options stand in front of the code, or all of them behind it".to_owned(),
        ),
    ] {
        assert_eq!(refusal(read(&format!("%scaling f over xs {options}"))), error);
    }
    let many = refusal(read("%scaling -n 1000 f over xs"));
    assert!(many.starts_with(
        "--engines 1000: too many for one machine · the most is 256; this machine has"
    ));
    // What is no option of its own is the code's.
    let request = read("%scaling f over a --b").expect("one");
    assert_eq!(request.map.inputs, "a --b");
    assert_eq!(
        refusal(read("%scaling f xs --engines 1,2")),
        "%scaling needs `F over EXPR` · for example `%scaling fib over [30, 31, 32] --engines 1,2,4`"
    );
}

#[test]
fn the_cell_parser_knows_whose_arguments_are_words() {
    let words = super::ALL.iter().filter(|magic| {
        let all = magic.takes == super::Takes::Words && magic.code_behind.is_empty();
        all || matches!(magic.name, "env" | "sh" | "bash")
    });
    let mut words: Vec<&str> = words.map(|magic| magic.name).collect();
    words.sort_unstable();
    assert_eq!(words, crate::cell::line::MAGICS);
}
