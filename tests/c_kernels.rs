//! Functions in C: how they look in Rust, where they can be called, and what goes wrong.

mod support;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use support::{PATIENCE, Session, contains, lacks};

const VECTORS: &str = "%%c -O3 --libs m
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#define LIMIT 12
typedef struct point { double x, y; } Point;
double norm(const double *x, size_t n) {
    double s = 0;
    for (size_t i = 0; i < n; i++) s += x[i] * x[i];
    return sqrt(s);
}
void saxpy(double a, const double *x, double *y, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] += a * x[i];
}
Point moved(Point p, double by) { p.x += by; return p; }
void mirror(Point *p) { double x = p->x; p->x = p->y; p->y = x; }
double wide(const Point *p, size_t n) { double s = 0; for (size_t i = 0; i < n; i++) s += p[i].x; return s; }
int type(int match) { return match + 1; }
size_t length(const char *s) { size_t n = 0; while (s[n]) n++; return n; }
const char *word(int i) { return i ? \"one\" : \"none\"; }
uint64_t square(uint64_t n) { return n * n; }
static int calls;
int open = 3;
int counted(void) { return ++calls; }
void say(int i) { printf(\"C says %d\\n\", i); }
double apply(double (*f)(double), double x) { return f(x); }
int first(const int *x) { return x[0]; }
int crash(int i) { return *(volatile int *)(size_t)i; }
static int hidden(void) { return 1; }
int variadic(int n, ...) { return n + hidden(); }";

#[test]
fn c_functions_are_rust_functions_everywhere() {
    let mut session = Session::start();
    let shown = session.cell(VECTORS);
    contains(
        &shown,
        &[
            "fn norm(x: &[f64]) -> f64",
            "fn saxpy(a: f64, x: &[f64], y: &mut [f64])",
            "fn moved(p: Point, by: f64) -> Point",
            "fn wide(p: &[Point]) -> f64",
            "const LIMIT: i32 = 12;",
            "fn r#type(r#match: i32) -> i32",
            "fn length(s: &str) -> usize",
            "fn word(i: i32) -> String",
            "unsafe fn kernels_raw::apply(",
            "`f` is a callback",
            "`variadic` is left out",
            "`open` is left out: a variable of C's",
        ],
    );
    lacks(&shown, &["fn hidden", "error", "warning"]);
    they_are_called(&mut session);
    they_run_on_engines_and_threads(&mut session);
    they_are_replaced(&mut session);
    wrong_arguments_are_told(&mut session);
    a_crash_takes_the_engine_only(&mut session);
    assert_eq!(session.end(), 0);
}

fn they_are_called(session: &mut Session) {
    contains(&session.cell("norm(&[3.0, 4.0])"), &["5.0"]);
    contains(&session.cell("norm(&[])"), &["0.0"]);
    contains(
        &session.cell("let mut y = vec![1.0, 2.0]; saxpy(2.0, &[1.0, 1.0], &mut y); y"),
        &["[3.0, 4.0]"],
    );
    let shown =
        session.cell("let p = moved(Point { x: 1.0, y: 2.0 }, 0.5); (p, wide(&[p, p]), r#type(4))");
    contains(&shown, &["Point { x: 1.5, y: 2.0 }, 3.0, 5"]);
    let shown = session.cell("let mut q = point { x: 2.0, y: 1.0 }; mirror(&mut q); (q, LIMIT)");
    contains(&shown, &["(Point { x: 1.0, y: 2.0 }, 12)"]);
    contains(
        &session.cell("(length(\"abc\"), word(0))"),
        &["(3, \"none\")"],
    );
    // What C keeps is kept from cell to cell.
    contains(&session.cell("(counted(), counted())"), &["(1, 2)"]);
    contains(&session.cell("counted()"), &["3"]);
    contains(
        &session.cell("for i in 0..2 { say(i) }"),
        &["C says 0", "C says 1"],
    );
    // In the order of the calls, as at a terminal.
    let shown = session.cell("println!(\"one\"); say(2); println!(\"three\"); say(4);");
    contains(&shown, &["one\nC says 2\nthree\nC says 4"]);
    let raw = "extern \"C\" fn twice(x: f64) -> f64 { 2.0 * x }\nunsafe { kernels_raw::apply(Some(twice), 4.0) }";
    contains(&session.cell(raw), &["8.0"]);
    contains(
        &session.cell("apply(None, 4.0)"),
        &["cannot find function `apply`"],
    );
}

fn they_run_on_engines_and_threads(session: &mut Session) {
    session.cell("%pool start -n 2");
    let shown = session.cell("%px norm(&[engine::rank() as f64 * 3.0, 0.0])");
    contains(&shown, &["│      0 │    0.0 │", "│      1 │    3.0 │"]);
    contains(
        &session.cell("let s = %map square over 1..=5u64\ns"),
        &["[1, 4, 9, 16, 25]"],
    );
    let points = "let m = %map |p: Point| moved(p, 1.0).x over [Point { x: 1.0, y: 0.0 }; 3]\nm";
    contains(&session.cell(points), &["[2.0, 2.0, 2.0]"]);
    session.cell("%pool start threads --name t -n 2");
    contains(
        &session.cell("let s = %map square over 1..=5u64\ns"),
        &["[1, 4, 9, 16, 25]"],
    );
    session.cell("%pool use p0");
    // An engine that starts later has them too, and so has one that stands in for another.
    session.cell("%pool start -n 1 --name late");
    contains(&session.cell("%px square(12)"), &["144"]);
    session.cell("%pool restart late");
    contains(&session.cell("%px square(13)"), &["169"]);
}

fn they_are_replaced(session: &mut Session) {
    session.cell("fn through(n: u64) -> u64 { square(n) }\nlet held: fn(u64) -> u64 = square;");
    let again = "%%c\n#include <stdint.h>\nuint64_t square(uint64_t n) { return n * n + 1000; }";
    contains(&session.cell(again), &["fn square(n: u64) -> u64"]);
    // For later cells; what was compiled before keeps the one that it had.
    contains(
        &session.cell("(square(2), through(2), held(2))"),
        &["(1004, 1004, 4)"],
    );
    contains(&session.cell("norm(&[3.0, 4.0])"), &["5.0"]);
    // What had a safe form has none any more.
    session.cell("%%c\nint length(int *x) { return x[0]; }");
    contains(&session.cell("length(\"abc\")"), &["error"]);
    contains(
        &session.cell("unsafe { kernels_raw::length(&mut 7) + kernels_raw::first(&1) }"),
        &["8"],
    );
    // Another struct of the same name: what was compiled with the old one must not get it.
    session.cell("%%c\ntypedef struct { double x; } Point;\ndouble only(Point p) { return p.x; }");
    contains(&session.cell("only(Point { x: 2.5 })"), &["2.5"]);
    contains(
        &session.cell("moved(Point { x: 1.0 }, 1.0)"),
        &["compiled with another struct"],
    );
}

fn wrong_arguments_are_told(session: &mut Session) {
    let shown = session.cell("saxpy(1.0, &[1.0, 2.0, 3.0], &mut [0.0])");
    contains(
        &shown,
        &[
            "`saxpy` takes slices of one length `n`",
            "`x` has 3",
            "`y` has 1",
        ],
    );
    contains(
        &session.cell("%%c\nint texts(const char *s) { return s[0]; }"),
        &["fn texts(s: &str) -> i32"],
    );
    contains(&session.cell("texts(\"a\\0b\")"), &["zero byte at 1"]);
    contains(
        &session.cell("norm(3.0)"),
        &["mismatched types", "expected `&[f64]`"],
    );
}

fn a_crash_takes_the_engine_only(session: &mut Session) {
    session.cell("%pool use p0");
    contains(
        &session.cell("%px if engine::rank() == 1 { crash(0); }"),
        &["SIGSEGV"],
    );
    let shown = session.cell("let kept = 1; crash(0)");
    contains(&shown, &["the local engine died: segmentation fault"]);
    contains(&session.cell("norm(&[3.0, 4.0])"), &["5.0"]);
    // Its own state began anew with the engine.
    contains(&session.cell("counted()"), &["1"]);
    session.cell("%reset");
    contains(
        &session.cell("norm(&[3.0, 4.0])"),
        &["cannot find function `norm`"],
    );
}

#[test]
fn what_the_compiler_says_is_shown_with_the_user_s_lines() {
    let mut session = Session::start();
    let shown = session
        .cell("%%c\ndouble f(double x) {\n    return x + missing;\n}\nint g(void) { return 1 }");
    contains(
        &shown,
        &[
            "error: 'missing' undeclared",
            "In [",
            ":3:16",
            "return x + missing;",
            "^^^^^^^",
            ":5:23",
        ],
    );
    lacks(&shown, &["each undeclared"]);
    contains(&session.cell("f(1.0)"), &["cannot find function `f`"]);
    let shown = session.cell("%%c -Wall\nint f(int x) {\n    int unused = 3;\n    return x;\n}");
    contains(
        &shown,
        &[
            "warning: unused variable",
            "int unused = 3;",
            "fn f(x: i32) -> i32",
        ],
    );
    contains(&session.cell("f(4)"), &["4"]);
    let maths = "#include <math.h>\ndouble root(double x) { return cos(x); }";
    let shown = session.cell(&format!("%%c\n{maths}"));
    contains(&shown, &["no library defines `cos`", "%%c --libs m"]);
    contains(
        &session.cell(&format!("%%c --libs m\n{maths}")),
        &["fn root(x: f64) -> f64"],
    );
    contains(&session.cell("root(0.0)"), &["1.0"]);
    contains(
        &session.cell("%%c --libs nowhere\nint h(int x) { return x; }"),
        &["cannot find -lnowhere"],
    );
    contains(
        &session.cell("%%c\n#include \"none.h\"\nint h(int x) { return x; }"),
        &["none.h: No such file", "-I FOLDER"],
    );
    contains(
        &session.cell("%%c\nstatic int h(int x) { return x; }"),
        &["has no function that Rust can call"],
    );
    contains(&session.cell("%%c -fopenmp\n#include <omp.h>\nint workers(void) { int n = 0;\n#pragma omp parallel num_threads(2) reduction(+:n)\nn += 1;\nreturn n; }"), &["fn workers() -> i32"]);
    contains(&session.cell("workers()"), &["2"]);
    contains(
        &session.cell("%%c -DN=4 --cflags '-DM=5 -std=c99'\nint nm(void) { return N * M; }"),
        &["fn nm()"],
    );
    contains(&session.cell("nm()"), &["20"]);
    assert_eq!(session.end(), 0);
}

#[test]
fn c_that_never_ends_is_interrupted() {
    let mut session = Session::start();
    let source = "%%c -fopenmp\n#include <stdio.h>\nvoid forever(void) { for (volatile long i = 0;; i++) {} }\n\
                  void everywhere(void) {\n#pragma omp parallel\n{ for (volatile long i = 0;; i++) {} }\n}\n\
                  void ticks(void) { puts(\"tick\"); for (volatile long i = 0;; i++) {} }\n\
                  double sum(const double *x, size_t n) { double s = 0;\n#pragma omp parallel for reduction(+:s)\n\
                  for (size_t i = 0; i < n; i++) s += x[i];\nreturn s; }";
    contains(
        &session.cell(source),
        &[
            "fn forever()",
            "fn everywhere()",
            "fn sum(x: &[f64]) -> f64",
        ],
    );
    session.cell("%pool start -n 2");
    let sum = "sum(&vec![0.5; 100_000])";
    for code in ["forever()", "everywhere()"] {
        session.enter(&format!("println!(\"beg{{}}\", \"un\"); {code}"));
        session.shows("begun", PATIENCE);
        contains(
            &session.interrupt(),
            &["interrupted; the local engine was restarted"],
        );
        contains(&session.cell(sum), &["50000.0"]);
        session.enter(&format!("%px println!(\"begun\"); {code}"));
        for rank in [0, 1] {
            session.shows(&format!("[stdout:{rank}] begun"), PATIENCE);
        }
        contains(&session.interrupt(), &["engines 0,1 interrupted"]);
        contains(&session.cell(&format!("%px {sum}")), &["50000.0"]);
    }
    // What it has printed is there already.
    session.enter("ticks()");
    session.shows("tick", PATIENCE);
    contains(&session.interrupt(), &["interrupted"]);
    // Threads of OpenMP's beside those of a pool.
    session.cell("%pool start threads --name t -n 2");
    let shown = session
        .cell("let sums = %map -q |n: usize| sum(&vec![0.5; n]) over [2usize, 40, 100_000]\nsums");
    contains(&shown, &["[1.0, 20.0, 50000.0]"]);
    let shown = session.cell("%pool use p0\nlet sums = %map -q |n: usize| sum(&vec![0.5; n]) over [2usize, 40, 100_000]\nsums");
    contains(&shown, &["[1.0, 20.0, 50000.0]"]);
    assert_eq!(session.end(), 0);
}

/// The file of the cache that holds this name.
fn compiled(name: &str) -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").expect("a home")).join(".cache"),
        PathBuf::from,
    );
    let entries = fs::read_dir(cache.join("regatta/c")).expect("what was compiled");
    let mut files = entries.flatten().map(|entry| entry.path());
    let holds = |file: &PathBuf| {
        let bytes = fs::read(file).unwrap_or_default();
        let mut parts = bytes.windows(name.len());
        file.extension().is_some_and(|end| end == "so") && parts.any(|part| part == name.as_bytes())
    };
    files.find(holds).expect("a library with this name")
}

#[test]
fn what_c_was_compiled_to_outlives_its_file_and_is_checked() {
    let mut session = Session::start();
    let name = format!("kept_{}", std::process::id());
    let folder = tempfile::tempdir().expect("a folder");
    let source = folder.path().join("k.c");
    fs::write(&source, format!("int {name}(int x) {{ return x + 1; }}\n")).expect("a file");
    let source = format!("%c --file {}", source.display());
    session.cell(&source);
    contains(&session.cell(&format!("{name}(1)")), &["2"]);
    fs::remove_file(compiled(&name)).expect("ours");
    // An engine that comes later has it all the same.
    session.cell("%pool start -n 1");
    contains(&session.cell(&format!("%px {name}(2)")), &["3"]);
    session.cell(&source);
    // One that is cut short, as a machine may leave it that stops, is compiled anew.
    let file = compiled(&name);
    let whole = fs::read(&file).expect("a library");
    fs::remove_file(&file).expect("ours");
    fs::write(&file, &whole[..whole.len() / 2]).expect("half of it");
    contains(&session.cell(&source), &[&format!("fn {name}(x: i32)")]);
    contains(&session.cell(&format!("{name}(4)")), &["5"]);
    let again = fs::read(&file).expect("a library");
    assert!(again == whole, "{} bytes", again.len());
    assert_eq!(session.end(), 0);
}

#[test]
fn c_stands_in_files_and_needs_a_compiler() {
    let mut session = Session::start();
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("include")).expect("a folder");
    fs::write(folder.path().join("include/k.h"), "#define TWO 2\n").expect("a header");
    let file = folder.path().join("k.c");
    fs::write(
        &file,
        "#include \"k.h\"\nlong twice(long x) { return TWO * x; }\n",
    )
    .expect("a file");
    let (file, include) = (file.display(), folder.path().join("include"));
    let call = format!("%c --file {file} -I{}", include.display());
    contains(&session.cell(&call), &["fn twice(x: i64) -> i64"]);
    contains(&session.cell("twice(21)"), &["42"]);
    fs::write(
        folder.path().join("k.c"),
        "long twice(long x) {\n  return y;\n}\n",
    )
    .expect("a file");
    contains(
        &session.cell(&call),
        &["'y' undeclared", "k.c:2:10", "return y;"],
    );
    contains(&session.cell("twice(21)"), &["42"]);
    contains(
        &session.cell("%c --file nowhere.c"),
        &["cannot read nowhere.c"],
    );
    contains(&session.cell("%c"), &["%%c needs C below it"]);

    // A library in a folder of one's own: there when it is linked, when it is loaded, and not any more.
    fs::write(
        folder.path().join("seven.c"),
        "int seven(void) { return 7; }\n",
    )
    .expect("a file");
    let made = std::process::Command::new("cc")
        .current_dir(folder.path())
        .args(["-shared", "-fPIC", "-o", "libseven.so", "seven.c"])
        .status();
    assert!(made.expect("a compiler").success());
    let linked = format!(
        "%%c -L{} --libs seven\nint seven(void);\nint ten(void) {{ return seven() + 3; }}",
        folder.path().display()
    );
    contains(&session.cell(&linked), &["fn ten() -> i32"]);
    contains(&session.cell("ten()"), &["10"]);
    fs::remove_file(folder.path().join("libseven.so")).expect("ours");
    session.cell("%pool start -n 1");
    contains(
        &session.cell("%px ten()"),
        &["the C function `ten` is not there: libseven.so"],
    );
    contains(&session.cell("%px 6 * 7"), &["42"]);

    session.cell("%env CC=/nowhere/cc");
    let shown = session.cell("%%c\nint f(int x) { return x; }");
    contains(
        &shown,
        &["there is no C compiler", "/nowhere/cc", "apt install gcc"],
    );
    // One that never ends is ended by Ctrl-C.
    let slow = folder.path().join("slow");
    fs::write(&slow, "#!/bin/sh\nsleep 1000 & wait\n").expect("a script");
    std::os::unix::fs::chown(&slow, None, None).expect("ours");
    fs::set_permissions(&slow, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("ours");
    session.cell(&format!("%env CC={}", slow.display()));
    session.enter("%%c\nint f(int x) { return x; }");
    std::thread::sleep(Duration::from_millis(500));
    contains(&session.interrupt(), &["interrupted"]);
    session.cell("%env CC=cc");
    session.enter("%%c\nint f(int x) { return x + 2; }");
    contains(&session.prompt(PATIENCE), &["fn f(x: i32) -> i32"]);
    contains(&session.cell("f(2)"), &["4"]);
    assert_eq!(session.end(), 0);
}
