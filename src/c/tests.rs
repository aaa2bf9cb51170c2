//! How C's functions look in Rust: cases of the suites of cffi, ctypes, Cython and pybind11 among them.

use super::parse::Unit;
use super::types::Used;
use super::wrap::{function, items};
use crate::ids::ArtifactId;

/// The signatures of a source's functions, and why some are left out.
fn signatures(source: &str) -> Vec<String> {
    let unit = Unit::of(&format!("# 1 \"In [1]\"\n{source}"), "In [1]");
    let functions = unit.functions();
    let library = ArtifactId::default();
    let shown =
        functions.iter().map(
            |parsed| match function(parsed, &unit, &mut Used::new(), library) {
                Ok(function) => function.signature,
                Err(why) => format!("{}: {why}", parsed.name),
            },
        );
    shown.collect()
}

#[track_caller]
fn is(source: &str, signature: &str) {
    assert_eq!(signatures(source), [signature], "{source}");
}

#[test]
fn numbers_are_numbers() {
    is(
        "double f(double a, float b) {}",
        "fn f(a: f64, b: f32) -> f64",
    );
    is("int f(void) {}", "fn f() -> i32");
    is("void f() {}", "fn f()");
    is(
        "unsigned f(unsigned char a, signed char b) {}",
        "fn f(a: u8, b: i8) -> u32",
    );
    is(
        "long f(unsigned long long a, short int b) {}",
        "fn f(a: u64, b: i16) -> i64",
    );
    is(
        "int8_t f(uint16_t a, int64_t b) {}",
        "fn f(a: u16, b: i64) -> i8",
    );
    is("_Bool f(bool a) {}", "fn f(a: bool) -> bool");
    is(
        "ptrdiff_t f(size_t a, ssize_t b) {}",
        "fn f(a: usize, b: isize) -> isize",
    );
    is(
        "int f(const int a, volatile int b, register int c) {}",
        "fn f(a: i32, b: i32, c: i32) -> i32",
    );
    is("int (f)(int a) {}", "fn f(a: i32) -> i32");
    is("int f(int, double) {}", "fn f(a0: i32, a1: f64) -> i32");
    is(
        "long double f(double x) {}",
        "f: Rust knows no `long double`",
    );
}

#[test]
fn a_pointer_and_its_length_are_a_slice() {
    is(
        "double f(const double *x, size_t n) {}",
        "fn f(x: &[f64]) -> f64",
    );
    is(
        "double f(double const *x, size_t n) {}",
        "fn f(x: &[f64]) -> f64",
    );
    is("void f(double *x, size_t n) {}", "fn f(x: &mut [f64])");
    is(
        "void f(double a, const double *restrict x, double *restrict y, size_t n) {}",
        "fn f(a: f64, x: &[f64], y: &mut [f64])",
    );
    is(
        "void f(const int *a, size_t na, int *b, size_t nb) {}",
        "fn f(a: &[i32], b: &mut [i32])",
    );
    is("void f(double x[], size_t n) {}", "fn f(x: &mut [f64])");
    is("void f(const float x[3], size_t n) {}", "fn f(x: &[f32])");
    is(
        "void f(size_t n, const double x[n], double y[n]) {}",
        "fn f(x: &[f64], y: &mut [f64])",
    );
    is(
        "void f(const double m[][3], size_t n) {}",
        "fn f(m: &[[f64; 3]])",
    );
    is(
        "void f(double *x, size_t n, size_t stride) {}",
        "fn f(x: &mut [f64], stride: usize)",
    );
    is("void f(size_t n, size_t m) {}", "fn f(n: usize, m: usize)");
    is(
        "typedef double real; typedef real *vec; void f(vec x, size_t n) {}",
        "fn f(x: &mut [f64])",
    );
    is("void f(bool *x, size_t n) {}", "fn f(x: &mut [bool])");
}

#[test]
fn text_is_text_and_bytes_are_bytes() {
    is("size_t f(const char *s) {}", "fn f(s: &str) -> usize");
    is(
        "int f(const char *a, const char *b) {}",
        "fn f(a: &str, b: &str) -> i32",
    );
    is("int f(const char *s, size_t n) {}", "fn f(s: &[u8]) -> i32");
    is("void f(char *s, size_t n) {}", "fn f(s: &mut [u8])");
    is(
        "double f(const char *name, const double *x, size_t n) {}",
        "fn f(name: &str, x: &[f64]) -> f64",
    );
    is("const char *f(int i) {}", "fn f(i: i32) -> String");
    is("char f(char c) {}", "fn f(c: i8) -> i8");
}

#[test]
fn structs_of_numbers_are_structs() {
    let point = "struct point { double x, y; };";
    is(
        &format!("{point} struct point f(struct point p) {{}}"),
        "fn f(p: point) -> point",
    );
    is(
        "typedef struct { int a; float b[4]; } Pair; Pair f(const Pair *p, size_t n) {}",
        "fn f(p: &[Pair]) -> Pair",
    );
    is(
        "typedef struct point { int x; } Point; int f(Point p) {}",
        "fn f(p: Point) -> i32",
    );
    is(
        "struct s { unsigned a : 3; }; int f(struct s s) {}",
        "f: `struct s` has bit fields",
    );
    is(
        "struct s { char *p; }; int f(struct s s) {}",
        "f: `p` of `struct s` is no number",
    );
    is(
        "struct s; struct s f(void) {}",
        "f: `struct s` is only declared",
    );
    is(
        "struct __attribute__((packed)) s { char c; int i; }; int f(struct s s) {}",
        "f: `struct s` is laid out by an attribute",
    );
    is(
        "union u { int i; float f; }; int f(union u u) {}",
        "f: Rust knows no `union u`",
    );
    is(
        "enum color { RED, GREEN }; enum color f(enum color c) {}",
        "fn f(c: i32) -> i32",
    );
    is(
        "typedef enum { A = -1, B } e; int f(e x) {}",
        "fn f(x: i32) -> i32",
    );
}

#[test]
fn structs_are_called_as_their_first_typedef_calls_them() {
    for source in [
        "typedef struct point { double x; } point_t; point_t f(point_t p) {}",
        "typedef struct point { double x; } point_t, *point_p; point_t f(struct point p) {}",
        "struct point { double x; }; typedef struct point point_t; struct point f(point_t p) {}",
        "typedef struct point point_t; struct point { double x; }; point_t f(point_t p) {}",
        "typedef struct point { double x; } point_t; typedef point_t other; other f(point_t p) {}",
    ] {
        is(source, "fn f(p: point_t) -> point_t");
    }
    is(
        "typedef struct in { int a; } in_t; typedef struct { in_t i[2]; } out_t; out_t f(const in_t *p, size_t n) {}",
        "fn f(p: &[in_t]) -> out_t",
    );
    // A typedef may be called like another struct.
    is(
        "struct b { int y; }; typedef struct a { int x; } b; int f(struct a a) {}",
        "fn f(a: a) -> i32",
    );
    let unit = Unit::of(
        "# 1 \"In [1]\"\ntypedef struct point { double x; } point_t, Point; int f(point_t p) {}",
        "In [1]",
    );
    let mut used = Used::new();
    function(
        &unit.functions()[0],
        &unit,
        &mut used,
        ArtifactId::default(),
    )
    .unwrap();
    let text: String = items(&unit, &used)
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    for part in [
        "pub struct point_t { pub x: f64, }",
        "pub type point = point_t;",
        "pub type Point = point_t;",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_length_that_is_written_is_an_array_s() {
    is(
        "double f(const double x[3]) {}",
        "fn f(x: &[f64; 3]) -> f64",
    );
    is("void f(double m[2][3]) {}", "fn f(m: &mut [[f64; 3]; 2])");
    is("void f(double x[static 4]) {}", "fn f(x: &mut [f64; 4])");
    is(
        "enum { N = 8 }; void f(const int x[N * 2], int n) {}",
        "fn f(x: &[i32; 16], n: i32)",
    );
    is(
        "typedef float vec3[3]; void f(const vec3 a, vec3 b) {}",
        "fn f(a: &[f32; 3], b: &mut [f32; 3])",
    );
    is("void f(char name[16]) {}", "fn f(name: &mut [u8; 16])");
    is(
        "void f(double m[4][4], size_t n) {}",
        "fn f(m: &mut [[f64; 4]])",
    );
    // Rows whose length is not constant are no pointers.
    for source in [
        "void f(size_t n, size_t m, double a[n][m]) {}",
        "void f(size_t n, size_t m, double a[][m]) {}",
        "void f(size_t n, size_t m, double a[2][m + 1]) {}",
    ] {
        is(
            source,
            "unsafe fn kernels_raw::f(n: usize, m: usize, a: *mut f64)",
        );
    }
    is(
        "void f(double *a[2]) {}",
        "unsafe fn kernels_raw::f(a: *mut *mut f64)",
    );
}

#[test]
fn a_pointer_to_a_struct_is_a_reference_where_nothing_counts() {
    let point = "typedef struct { double x, y; } Point;";
    is(
        &format!("{point} double f(const Point *a, const Point *b) {{}}"),
        "fn f(a: &Point, b: &Point) -> f64",
    );
    is(
        &format!("{point} void f(Point *p, double by) {{}}"),
        "fn f(p: &mut Point, by: f64)",
    );
    is(
        &format!("{point} void f(Point *p, int n) {{}}"),
        "unsafe fn kernels_raw::f(p: *mut Point, n: i32)",
    );
    is(
        &format!("{point} Point *f(void) {{}}"),
        "unsafe fn kernels_raw::f() -> *mut Point",
    );
    // What Rust does not know is behind a pointer all the same.
    for node in [
        "struct node;",
        "struct node { struct node *next; int x; };",
        "struct node { unsigned a : 3; };",
        "typedef struct node node;",
    ] {
        is(
            &format!("{node} struct node *f(const struct node *n) {{}}"),
            "unsafe fn kernels_raw::f(n: *const ::std::ffi::c_void) -> *mut ::std::ffi::c_void",
        );
    }
    is(
        "#include <stdio.h>\ntypedef struct _IO_FILE FILE; int f(FILE *file) {}",
        "unsafe fn kernels_raw::f(file: *mut ::std::ffi::c_void) -> i32",
    );
}

#[test]
fn what_cannot_be_called_is_told() {
    is(
        "inline int f(int x) {}",
        "f: `inline` alone makes no function that others can call: leave it away",
    );
    is(
        "int f(a) int a; {}",
        "f: its parameters are declared behind the brackets, as C had it before 1989",
    );
    for complex in [
        "double _Complex f(double _Complex a) {}",
        "_Complex double f(double a) {}",
        "double f(_Complex float a) {}",
    ] {
        is(
            complex,
            "f: Rust knows no complex numbers of C's; two `double` are one",
        );
    }
    is(
        "typedef double four __attribute__((vector_size(32))); four f(four a) {}",
        "f: Rust knows no `four`",
    );
    is(
        "typedef int quarter __attribute__((mode(QI))); quarter f(int a) {}",
        "f: Rust knows no `quarter`",
    );
    is(
        "typedef struct { char a; int b; } __attribute__((packed)) P; int f(P p) {}",
        "f: `struct P` is laid out by an attribute",
    );
    for (name, kind) in [("wide", "__int128"), ("wide", "_Float16")] {
        is(
            &format!("{kind} {name}(int a) {{}}"),
            &format!("{name}: Rust knows no `{kind}`"),
        );
    }
    is(
        "int None(int x) {}",
        "None: all cells need that word of Rust's: give it another name",
    );
    let unit = Unit::of(
        "# 1 \"In [1]\"\nint global = 3, *p, table[3];\nstatic int own;\nextern int others;\nint declared(int);\nconst double PI = 3;\nint (*hook)(int);",
        "In [1]",
    );
    assert_eq!(unit.variables(), ["global", "p", "table", "PI", "hook"]);
}

#[test]
fn attributes_of_functions_are_no_obstacle() {
    for source in [
        "__attribute__((noinline)) int f(int x) {}",
        "int __attribute__((noinline, hot)) f(int x) {}",
        "__attribute__((optimize(\"O3\"))) int f(int x) {}",
        "_Noreturn int f(int x) {}",
        "extern int f(int x) {}",
        "int f(int x __attribute__((unused))) {}",
        "extern __inline int f(int x) {}",
        "__extension__ int f(int x) {}",
        "int f(register int const x) {}",
        "signed f(signed int x) {}",
    ] {
        is(source, "fn f(x: i32) -> i32");
    }
}

#[test]
fn what_has_no_safe_form_is_unsafe() {
    is(
        "double f(double (*g)(double), double x) {}",
        "unsafe fn kernels_raw::f(g: Option<unsafe extern \"C\" fn(f64) -> f64>, x: f64) -> f64",
    );
    is(
        "int f(const void *a, size_t n) {}",
        "unsafe fn kernels_raw::f(a: *const ::std::ffi::c_void, n: usize) -> i32",
    );
    is(
        "void f(double *x) {}",
        "unsafe fn kernels_raw::f(x: *mut f64)",
    );
    is(
        "void f(double **x, size_t n) {}",
        "unsafe fn kernels_raw::f(x: *mut *mut f64, n: usize)",
    );
    is(
        "double *f(size_t n) {}",
        "unsafe fn kernels_raw::f(n: usize) -> *mut f64",
    );
    is(
        "void f(int n, const double *x) {}",
        "unsafe fn kernels_raw::f(n: i32, x: *const f64)",
    );
    is(
        "typedef int (*compare)(const void *, const void *); int f(compare c) {}",
        "unsafe fn kernels_raw::f(c: Option<unsafe extern \"C\" fn(*const ::std::ffi::c_void, *const ::std::ffi::c_void) -> i32>) -> i32",
    );
    is(
        "int f(const char *format, ...) {}",
        "f: its number of arguments varies",
    );
    is(
        "int main(int argc, char **argv) {}",
        "main: `main` is a program's, not a function to call",
    );
}

#[test]
fn only_the_user_s_own_functions_are_there_that_others_can_call() {
    let own: [&str; 0] = [];
    for source in [
        "static int f(int x) {}",
        "static inline int f(int x) {}",
        "int f(int x);",
        "extern int f(int);",
        "int f;",
        "#define f(x) x",
        "# 1 \"/usr/include/x.h\" 1 3\nint f(int x) {}",
    ] {
        assert_eq!(signatures(source), own, "{source}");
    }
    is("extern inline int f(int x) {}", "fn f(x: i32) -> i32");
    let both = "# 1 \"/usr/include/x.h\" 1 3\ntypedef unsigned long word; extern int g (void) __attribute__ ((__nothrow__ , __leaf__));\n\
                __extension__ typedef struct { long long int q; } lldiv_t;\n# 2 \"In [1]\" 2\nword f(lldiv_t x) {}";
    is(both, "fn f(x: lldiv_t) -> u64");
    assert_eq!(
        signatures("int f(int x) { return g(x); }\nint g(int x) { return x; }").len(),
        2
    );
}

#[test]
fn names_of_rust_s_are_written_raw() {
    is(
        "int match(int type, int self) {}",
        "fn r#match(r#type: i32, self_: i32) -> i32",
    );
}

#[test]
fn types_and_constants_come_along() {
    let source = "enum { SMALL = 2, LARGE = SMALL << 4, NEXT, ODD = -1, HEX = 0x1F };\n\
                  struct in { float v[SMALL]; }; struct out { struct in a, b; uint8_t c; };\n\
                  double f(struct out o) {}";
    let unit = Unit::of(&format!("# 1 \"In [1]\"\n{source}"), "In [1]");
    let mut used = Used::new();
    let made = function(
        &unit.functions()[0],
        &unit,
        &mut used,
        ArtifactId::default(),
    )
    .unwrap();
    assert_eq!(made.signature, "fn f(o: out) -> f64");
    // As C lays it out: 8 + 8 + 1, up to a multiple of 4.
    assert!(made.text.contains("same_size::<out>(20"), "{}", made.text);
    let items = items(&unit, &used);
    let names: Vec<&str> = items.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["out", "in", "SMALL", "LARGE", "NEXT", "ODD", "HEX"]);
    let text: String = items.into_iter().map(|(_, text)| text).collect();
    for part in [
        "pub struct out { pub a: r#in, pub b: r#in, pub c: u8, }",
        "pub struct r#in { pub v: [f32; 2], }",
        "const LARGE: i32 = 32;",
        "const NEXT: i32 = 33;",
        "const ODD: i32 = -1;",
        "const HEX: i32 = 31;",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn macros_that_are_numbers_are_constants() {
    let source = "#define SIZE 4\n#define AREA (SIZE * SIZE)\n#define BB (-43)\n#define LONG 0x100000000LL\n\
                  #define PI 3.14159\n#define EPS -1e-9f\n#define TEXT \"abc\"\n#define max(a, b) a\n#define n 4\n\
                  #define EMPTY\n#define CAST ((int) 3)\n#define __OWN 3\nenum { RED = 2 };\n#define RED RED\n\
                  # 1 \"/usr/include/x.h\" 1 3\n#define OTHERS 3\n";
    let unit = Unit::of(&format!("# 1 \"In [1]\"\n{source}"), "In [1]");
    let constants = unit.names().constants();
    let shown: Vec<String> = constants
        .iter()
        .map(|(name, kind, value)| format!("{name}: {kind} = {value}"))
        .collect();
    assert_eq!(
        shown,
        [
            "RED: i32 = 2",
            "SIZE: i32 = 4",
            "AREA: i32 = 16",
            "BB: i32 = -43",
            "LONG: i64 = 4294967296",
            "PI: f64 = 3.14159",
            "EPS: f64 = -1e-9",
        ]
    );
}

#[test]
fn any_text_is_read_without_a_panic() {
    let source = "typedef struct point { double x[2]; } Point;\nint f(const Point *p, size_t n, int (*g)(int[3])) { return 1; }";
    for end in 0..=source.len() {
        signatures(&source[..end]);
        signatures(&source[end..]);
    }
}
