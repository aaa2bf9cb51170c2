//! How cells are read: what they bind, where they end, what is supplied.

mod support;

use std::fs;

use support::{Session, contains, lacks, regatta};

#[test]
fn cells_are_read_as_they_are_meant() {
    let mut session = a_session_with_a_startup_notebook();
    what_a_failed_cell_did_not_bind_is_kept(&mut session);
    what_a_cell_lacks_is_supplied(&mut session);
    cells_end_where_the_parser_wants_no_more(&mut session);
    cells_are_kept_changed_and_run_again(&mut session);
    assert_eq!(session.end(), 0);
}

const STARTUP: &str = r#"# Mine

```rust
fn from_init(n: u8) -> u8 {
    assert!(n > 0, "none");
    n * 40
}
7 * 6
```

```rust
println!("hello from init");
let mine = 2;
```

```rust
%%time
let late = 3;
late + "no"
```

```rust
println!("never");
```
"#;

fn a_session_with_a_startup_notebook() -> Session {
    let config = tempfile::tempdir().expect("a folder");
    fs::create_dir(config.path().join("regatta")).expect("a folder in it");
    fs::write(config.path().join("regatta/init.md"), STARTUP).expect("a notebook");
    let folder = config.path().display().to_string();
    let mut session = Session::under("exec \"$0\" --no-warm", &[("XDG_CONFIG_HOME", &folder)]);
    // The prompt is there before the notebook has run; the first cell waits for it.
    let before = session.prompt(support::PATIENCE);
    lacks(&before, &["hello from init"]);
    let shown = session.cell("1 + 1");
    contains(
        &shown,
        &[
            "hello from init",
            "cannot add `&str` to",
            "init.md:19:6",
            "the cell at line 17 of init.md failed; the cell below it was not run",
            "Out[1]: 2",
        ],
    );
    lacks(&shown, &["Out[0]", "never", "init.md ·"]);
    contains(&session.cell("from_init(1) as i32 + mine"), &["Out[2]: 42"]);
    contains(&session.cell("from_init(0)"), &["none", "init.md:5"]);
    lacks(&session.cell("%history"), &["hello from init"]);
    session
}

#[test]
fn scripts_begin_without_the_startup_notebook() {
    let config = tempfile::tempdir().expect("a folder");
    // It cannot be read.
    fs::create_dir_all(config.path().join("regatta/init.md")).expect("a folder in it");
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(support::BINARY);
        command
            .args(arguments)
            .env("XDG_CONFIG_HOME", config.path())
            .env("XDG_DATA_HOME", config.path());
        let output = command.output().expect("the binary");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), text)
    };
    assert_eq!(run(&["-e", "!echo hi"]), (Some(0), "hi\n".to_owned()));
    let (status, shown) = run(&["--init", "-e", "!echo hi"]);
    assert_eq!(status, Some(1));
    contains(
        &shown,
        &["init.md cannot be read: Is a directory", "--no-init"],
    );
    lacks(&shown, &["hi\n"]);
}

fn what_a_failed_cell_did_not_bind_is_kept(session: &mut Session) {
    session.cells(&["let y = 5;", "let kept = vec![1];"]);
    let shown = session.cell("let x = { let y = 1; if y == 1 { panic!(\"inner\") }; y };");
    contains(&shown, &["panicked: inner"]);
    lacks(&shown, &["lost"]);
    let shown = session.cell("if let Some(kept) = kept.get(0) { panic!(\"got {kept}\") }");
    contains(&shown, &["panicked: got 1"]);
    lacks(&shown, &["lost"]);
    contains(&session.cell("y as usize + kept.len()"), &["]: 6\n"]);
    // What the cell itself binds anew is gone.
    let shown = session.cell("let y = 6; panic!(\"after\");");
    contains(&shown, &["panicked: after", "lost", "`y`"]);
}

fn what_a_cell_lacks_is_supplied(session: &mut Session) {
    session.cells(&[
        "let five = 5",
        "let a = five;\nlet b = a\n    + 1 // six",
        "let add = |x: i32| x + 1;",
        "let label = |n: usize, s: &str| format!(\"{s}{n}\")",
        "let k = 10;",
    ]);
    contains(&session.cell("add(five) + b"), &["12"]);
    contains(&session.cell("label(3, \"no. \")"), &["no. 3"]);
    contains(
        &session.cell("%whos"),
        &["fn(i32) -> i32", "fn(usize, &str) -> String"],
    );
    // One that captures cannot be a pointer; the error is that of the text as it was written.
    let shown = session.cell("let more = |x: i32| x + k;");
    contains(&shown, &["error", "closure", "Box<dyn Fn"]);
    let shown = session.cell("let odd = |x| x.wrong();");
    contains(&shown, &["error", "let odd = |x| x.wrong();"]);
    lacks(&shown, &["fn(_)"]);
    let shown = session.cell(&format!(
        "let deep = {}1{};",
        "(".repeat(3000),
        ")".repeat(3000)
    ));
    contains(&shown, &["nests more than 2000 levels deep"]);
    contains(&session.cell("five"), &["5"]);
}

fn cells_end_where_the_parser_wants_no_more(session: &mut Session) {
    // Typed, not pasted: Enter at the end of each line.
    session.type_keys("fn same<T>(x: T) -> T\rwhere\r    T: Copy,\r{\rx\r}\r");
    session.prompt(support::PATIENCE);
    contains(&session.cell("same(42)"), &["42"]);
    contains(
        &session.cell("let x = 1; x++"),
        &["error", "postfix increment"],
    );
    session.type_keys("same(\r\r\r");
    contains(
        &session.prompt(support::PATIENCE),
        &["the cell is not finished"],
    );
    contains(
        &session.cell("%timeit same(1) +"),
        &["what %timeit is to measure is not finished: `same(1) +`"],
    );
    session.cells(&["let ok = true;"]);
    contains(
        &session.cell("!ok"),
        &["`!ok` is read as Rust: there is no such command", "false"],
    );
    contains(&session.cell("let not = !ok;\nnot"), &["false"]);
    // Both outputs of a command are in its order.
    contains(
        &session.cell("!for n in 1 2 3 4; do echo out $n; echo err $n >&2; done"),
        &["out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\nout 4\nerr 4\n"],
    );
    contains(
        &session.cell(".len()"),
        &["goes on with what is not there", "Alt-Enter"],
    );
}

fn cells_are_kept_changed_and_run_again(session: &mut Session) {
    // Two cells of a session before this one.
    let kept = session.data().join("regatta/sessions.txt");
    let own = fs::read_to_string(&kept).expect("this session's cells");
    contains(&own, &["1 + 1"]);
    let earlier = "1000 1 1 \"let old = 7;\"\n1000 1 2 \"old *\\n6\"\n";
    fs::write(&kept, format!("{earlier}{own}")).expect("a file");
    contains(
        &session.cell("%history ~1/"),
        &["~1/1: let old = 7;", "~1/2: old *"],
    );
    contains(&session.cell("%rerun ~1/1-2"), &["42"]);
    contains(
        &session.cell("%history -g \"let ?ld\""),
        &["~1/1: let old = 7;"],
    );
    contains(
        &session.cell("%history ~7/"),
        &["one earlier session has left its cells, which `~1/` means"],
    );
    contains(&session.cell("%history ~1/9"), &["there is no cell ~1/9"]);
    contains(&session.cell("%history x-y"), &["`x-y` names no cells"]);
    session.cells(&[
        "let mut count = 1;",
        "count += 1;",
        "%rerun",
        "%rerun -g \"count +=\"",
    ]);
    contains(&session.cell("count"), &["4"]);

    let folder = session.temporary();
    let path = |name: &str| folder.join(name).display().to_string();
    let notebook = path("kept.md");
    contains(
        &session.cell(&format!("%save {notebook} ~1/ 1")),
        &["3 cells written to"],
    );
    contains(
        &session.cell(&format!("%save {notebook} 1")),
        &["is there already", "%save -f"],
    );
    let text = fs::read_to_string(folder.join("kept.md")).expect("a notebook");
    assert_eq!(
        text,
        "```rust\nlet old = 7;\n```\n\n```rust\nold *\n6\n```\n\n```rust\n1 + 1\n```\n\n"
    );
    session.cells(&["%load ~1/2"]);
    // What was loaded stands in the prompt; it is changed and entered.
    session.type_keys(" + 40\r");
    contains(&session.prompt(support::PATIENCE), &["82"]);

    let cells = path("kept.rs");
    session.cells(&[&format!("%save {cells} ~1/")]);
    let text = fs::read_to_string(folder.join("kept.rs")).expect("a file");
    assert_eq!(text, "// %%\nlet old = 7;\n// %%\nold *\n6\n");
    contains(&session.cell(&format!("%run {cells}")), &["42"]);
    // Each of several cells has a prompt of its own.
    session.cells(&[&format!("%load {cells}")]);
    session.type_keys("\r");
    lacks(&session.prompt(support::PATIENCE), &["Out"]);
    session.type_keys(" + 1\r");
    contains(&session.prompt(support::PATIENCE), &["43"]);

    let paged = path("paged");
    session.cells(&[
        &format!("%env PAGER=cat > {paged}"),
        "%show (0..5000).collect::<Vec<i32>>()",
    ]);
    let text = fs::read_to_string(&paged).expect("what the pager got");
    contains(&text, &["4999"]);

    let program = path("prog.rs");
    let wrote = session.cell(&format!(
        "%%writefile {program}\nfn main() -> Result<(), String> {{\n    println!(\"in main\");\n    Err(\"a bad end\".to_owned())\n}}"
    ));
    contains(&wrote, &["wrote"]);
    contains(
        &session.cell(&format!("%run {program}")),
        &["in main", "a bad end"],
    );
    contains(
        &session.cell("%who"),
        &["variables", "count", "functions", "main", "same"],
    );
    let itself = path("itself.md");
    session.cell(&format!(
        "%%writefile {itself}\n```rust\n%run {itself}\n```"
    ));
    contains(
        &session.cell(&format!("%run {itself}")),
        &["cells run each other 16 deep"],
    );

    session.cells(&["let twenty_one = 21;", "%env EDITOR=sed -i s/_one/_one*2/"]);
    let edited = path("edited.rs");
    fs::write(folder.join("edited.rs"), "twenty_one\n").expect("a file");
    contains(&session.cell(&format!("%edit {edited}")), &["42"]);
    session.cells(&["%env EDITOR=false"]);
    contains(
        &session.cell("%edit 1"),
        &["the editor `false` cannot be run"],
    );
}

#[test]
fn a_script_of_lines_and_its_shell() {
    let mut script = String::from(
        "let n = \"abcd\"\n    .len()\n    + 1;\nfn half<T>(x: T) -> u64\nwhere\n    T: Into<u64>,\n{\n    x.into() / 2\n}\nn as u64 * half(50u32)\nn\n-1\n",
    );
    script += &"!sleep 0.02; echo line\n".repeat(100);
    script += "!head -c 8191 /dev/zero | tr '\\0' a; printf '\u{e9}\u{1f600}\\n'\n";
    script += "let word = \"hey\".to_owned();\nlet xs = vec![1, 2];\n";
    script += "!echo \"{word}-{n:>3}-{xs:?}\" | sed 's/{x}/y/' && echo ${word}{a,b} && awk 'BEGIN { print 6 * 7 }'\n";
    script += "let out = !printf 'one\\ntwo\\n'; echo {word}\nout\nlet none: Vec<String> = !true\nnone.len() + out.len()\n";
    script += "%env GREETING = \"hi {word}\"\nstd::env::var(\"GREETING\").unwrap()\n!echo \"to $GREETING\"\n%pool start -n 2\n%px std::env::var(\"GREETING\").is_ok()\n%env LATER=1\n%px std::env::var(\"LATER\").unwrap()\n%env -u LATER\nstd::env::var(\"LATER\").is_err()\n%env GREETIN\n";
    script += "%cd /usr/bin\nstd::env::current_dir().unwrap()\n!pwd\n%px std::env::current_dir().unwrap()\n%cd -\n%cd /nowhere/at/all\n";
    script += "%%bash\nset -e\nx=(a b c)\necho ${x[1]}${#x[@]}\nexit 3\n\n!echo {xs}\n!(echo 1\n";
    let ran = regatta(&[], script.as_bytes());
    let (out, err) = (&ran.out, &ran.err);
    let all = format!("{out}{err}");
    contains(&all, &["Out[3]: 125", "Out[4]: 5", "Out[5]: -1"]);
    assert_eq!(out.matches("line\n").count(), 100, "{all}");
    contains(&all, &["a\u{e9}\u{1f600}\n"]);
    lacks(&all, &["\u{fffd}"]);
    contains(
        &all,
        &[
            "hey-  5-[1, 2]\n{a,b}\n42",
            "[\"one\", \"two\", \"hey\"]",
            "3\n",
        ],
    );
    contains(
        &all,
        &["\"hi hey\"", "to hi hey", "true", "did you mean GREETING?"],
    );
    contains(
        &all,
        &["/usr/bin\n", "\"/usr/bin\"", "cannot go to /nowhere/at/all"],
    );
    contains(&all, &["b3\n", "the command ended with exit status: 3"]);
    contains(&all, &["{xs} cannot be written out", "`{xs:?}`"]);
    assert_eq!(ran.status, 1);
}
