//! Which variables of `k`, `n`, `len`, `xs`, `table` and `r#type` a function uses.

use super::{bound, captured, closure};

fn of(function: &str) -> String {
    let names = ["k", "n", "len", "xs", "table", "r#type"];
    captured(function, &names.map(str::to_owned)).join(" ")
}

fn check(cases: &[(&str, &str)]) {
    for (function, names) in cases {
        assert_eq!(of(function), *names, "{function}");
    }
}

#[test]
fn free_names_in_the_order_of_their_first_use() {
    check(&[
        ("|x| x * k + table[x]", "k table"),
        ("|x| table[k] + k + n", "table k n"),
        ("|x| { x + n - k }", "n k"),
        ("move |x| &k", "k"),
        ("|x| k(x)", "k"),
        ("|x| k.pow(n)", "k n"),
        ("|x| x..k", "k"),
        ("|x| 0..k", "k"),
        ("|x| ..=k", "k"),
        ("|x| (0..n).map(|i| i + k).sum::<u64>()", "n k"),
        ("|x| x as u64 + !k", "k"),
        ("|x| if x < k { n } else { len }", "k n len"),
        ("|x| -k", "k"),
        ("|x| *k", "k"),
        ("|x| r#type + x", "r#type"),
        ("|x| return k", "k"),
        ("|x| 'a: loop { break 'a k }", "k"),
        ("|x| x", ""),
        ("", ""),
    ]);
}

#[test]
fn a_path_of_a_function_captures_nothing_unless_it_is_a_variable() {
    check(&[
        ("fib", ""),
        ("k::fib", ""),
        ("module::k", ""),
        ("u64::max", ""),
        ("<k as T>::len", ""),
        ("k", "k"),
        ("Vec::<u64>::len", ""),
    ]);
}

#[test]
fn fields_methods_paths_labels_and_macro_names_are_no_uses() {
    check(&[
        ("|p| p.len", ""),
        ("|p| p.len()", ""),
        ("|p| p.0.len", ""),
        ("|p| p\n    .len()\n    .n", ""),
        ("|p| p?.k", ""),
        ("|x| k::f(x)", ""),
        ("|x| a::k(x)", ""),
        ("|x| ::k::f(x)", ""),
        ("|x| k!(x)", ""),
        ("|x| k![x]", ""),
        ("|x| x.k != k", "k"),
        ("|x| k != x", "k"),
        ("|x| P { k: 1, n: x }", ""),
        ("|x| P { k: n }", "n"),
        ("|x| P { k: k }", "k"),
        ("|x| P { k }", "k"),
        ("|x| P { x, k, ..table }", "k table"),
        ("|x| vec![P { k: 1 }]", ""),
        ("|x| 'k: loop { break 'k }", ""),
        ("|x| \"k\".len() + 'k' as usize // n\n /* xs */", ""),
        ("#[allow(k)] |x| x", ""),
    ]);
}

#[test]
fn parameters_of_closures_hide_variables() {
    check(&[
        ("|k| k", ""),
        ("|k: u64| -> u64 { k }", ""),
        ("|&k| k", ""),
        ("|mut k: u64| { k += 1; k }", ""),
        ("|(k, (n, [len, ..]))| k + n + len", ""),
        ("|P { k, n: m }: P| k + m + n", "n"),
        ("|(Some(k) | Ok(k))| k", ""),
        ("|k @ 1..=5| k", ""),
        ("|x| xs.iter().map(|k| k + x).map(|y| y + k)", "xs k"),
        ("|x| f(|k| k, k)", "k"),
        ("|x| { let f = |k| k; f(k) }", "k"),
        ("|x| |k| x + k + n", "n"),
        ("|k| |x| x + k", ""),
        ("|x| [|k| k + n, |n| n + k]", "n k"),
        ("|| k", "k"),
        ("|x| (|| k)()", "k"),
        ("async |k| k", ""),
        ("move || move |k| k", ""),
        ("|x| match x { 0 => |k| k, _ => |y| k }", "k"),
        ("|k: HashMap<u8, u8>, x| k", ""),
    ]);
}

#[test]
fn bars_that_are_operators_open_no_closure() {
    check(&[
        ("|x| x | k | n", "k n"),
        ("|x| x || k || n", "k n"),
        ("|x| x || k | n", "k n"),
        ("|x| (x) | k | n", "k n"),
        ("|x| f[0] || k | n", "k n"),
        ("|x| { x } | k | n", "k n"),
        ("|x| 1 | k | n", "k n"),
        ("|x| x? | k | n", "k n"),
        ("|mut x| { x |= k; x | n }", "k n"),
        ("|x| f::<u8>() | k | n", "k n"),
    ]);
}

#[test]
fn a_let_hides_variables_behind_its_semicolon() {
    check(&[
        ("|x| { let k = x; k }", ""),
        ("|x| { let k = k + x; k }", "k"),
        ("|x| { k; let k = x; k }", "k"),
        ("|x| { { let k = x; } k }", "k"),
        ("|x| { let (k, n) = x; k + n }", ""),
        ("|x| { let P { k, n: m } = x; k + m }", ""),
        ("|x| { let P { k, n: m } = x; n }", "n"),
        ("|x| { let Some(k) = x else { return k }; k }", "k"),
        ("|x| { let Some(k) = x else { return n }; k }", "n"),
        ("|x| { let k: Box<dyn Iterator<Item = u8>> = n; k }", "n"),
        ("|x| { let k: fn(u8) -> Vec<u8> = f; k(n) }", "n"),
        ("|x| { let y @ 1..=5 = k; y }", "k"),
        ("|x| { let k; k = x; k }", ""),
        ("|x| { let y = if x { let k = 1; k } else { k }; y }", "k"),
        ("{ let n = k; move |x| x + n }", "k"),
        ("|x| { const K: u8 = 1; const k: u8 = 2; K + k }", ""),
    ]);
}

#[test]
fn patterns_of_conditions_hide_variables_in_their_blocks() {
    check(&[
        ("|x| if let Some(k) = x { k } else { 0 }", ""),
        ("|x| if let Some(k) = x { k } else { k }", "k"),
        ("|x| if let Some(k) = k { k } else { 0 }", "k"),
        ("|x| if let Some(k) = x && k > 1 && n { k } else { 0 }", "n"),
        ("|x| if n && let Some(n) = x { n } else { 0 }", "n"),
        ("|x| if let P { k, .. } = x { k } else { n }", "n"),
        (
            "|x| if let Some(k) = match x { _ => k } { k } else { 0 }",
            "k",
        ),
        (
            "|x| if let Some(k) = (if n { x } else { y }) { k } else { 0 }",
            "n",
        ),
        (
            "|x| if let Some(k) = if n { x } else if len { y } else { k } { k } else { 0 }",
            "n len k",
        ),
        (
            "|x| if x { 1 } else if let Some(k) = x { k } else { n }",
            "n",
        ),
        ("|x| while let Some(k) = x.pop() { f(k); }", ""),
        ("|x| { while let Some(k) = x.pop() { f(k); } k }", "k"),
        (
            "|x| if let k = if let n = x && let y = k { y } else { 0 } { k } else { 0 }",
            "k",
        ),
        ("|x| if let &&k = x && let &&n = k { n } else { k }", "k"),
        ("|x| if x == { k } { n } else { 0 }", "k n"),
        ("|x| if unsafe { k } { n } else { 0 }", "k n"),
    ]);
}

#[test]
fn a_loop_hides_its_pattern_in_its_block() {
    check(&[
        ("|x| { for k in 0..x { f(k) } }", ""),
        ("|x| { for k in 0..k { f(k) } }", "k"),
        ("|x| { for k in 0..x { f(k) } k }", "k"),
        ("|x| { for k in 0.. { f(k, n) } len }", "n len"),
        ("|x| { for (k, P { n, .. }) in xs { f(k, n) } }", "xs"),
        ("|x| { for k in { n } { f(k) } }", "n"),
        ("|f: &dyn for<'a> Fn(&'a u8)| f(k)", "k"),
    ]);
}

#[test]
fn an_arm_hides_its_pattern_in_itself() {
    check(&[
        ("|x| match x { Some(k) => k, None => 0 }", ""),
        ("|x| match x { Some(k) => k, None => k }", "k"),
        ("|x| match k { Some(k) => k, None => 0 }", "k"),
        ("|x| match x { k if k > n => k, _ => len }", "n len"),
        ("|x| match x { k => { k } n => n }", ""),
        ("|x| match x { A { k, n: m } => k + m, _ => n }", "n"),
        ("|x| match x { Some(k) | Ok(k) => k, | n => n }", ""),
        ("|x| match x { 0 => f::<u8, u8>(k), _ => n }", "k n"),
        ("|x| match x { 0 => { 1 }.max(k), _ => n }", "k n"),
        (
            "|x| match x { 1..=5 => k, y if let Some(n) = y => n, _ => len }",
            "k len",
        ),
        ("|x| match { k } { _ => n }", "k n"),
    ]);
}

#[test]
fn macros_use_what_their_tokens_and_format_strings_name() {
    check(&[
        ("|x| format!(\"{k:?} {x}\")", "k"),
        ("|x| format!(\"{x:>len$.n$} {{k}}\")", "len n"),
        ("|x| format!(r#\"{k}\"#)", "k"),
        ("|x| format!(\"{}\", k)", "k"),
        ("|k| format!(\"{k}\")", ""),
        ("|x| { let k = x; println!(\"{k}\"); }", ""),
        ("|x| f(\"{k}\")", ""),
        ("|x| vec![k; n]", "k n"),
        ("|x| json!({ \"a\": k })", "k"),
        ("|x| hashmap! { k: n }", "k n"),
        ("|x| matches!(x, Some(k) if k > n)", "n"),
        ("|x| matches!(k, Some(n))", "k"),
        ("|x| assert!(x.iter().all(|k| *k > n), \"{len}\")", "n len"),
        ("|x| vec![|k: u8| k, |n| n]", ""),
        ("|x| if m! { k } { n } else { 0 }", "k n"),
    ]);
}

#[test]
fn items_inside_see_none_of_the_variables() {
    check(&[
        ("|x| { fn f(n: u8) -> u8 { n + k } f(x) }", ""),
        ("|x| { fn k() {} k() }", ""),
        (
            "|x| { struct S { k: u8 } impl S { fn n(&self) { n } } x }",
            "",
        ),
        ("|x| { use a::k as n; x }", ""),
        ("|x| { let f: fn(u8) = g; f(k) }", "k"),
        ("|x| { fn f() {} k }", "k"),
    ]);
}

#[test]
fn broken_text_is_read_to_its_end() {
    check(&[
        ("|x| (k", "k"),
        ("|x| k)] n", "k n"),
        ("|x| { [k } n", "k n"),
        ("|x| match k", "k"),
        ("|x| if let Some(", ""),
        ("|x| for", ""),
        ("|x| let", ""),
        ("match { k", "k"),
        ("|k", ""),
        ("|", ""),
        (">|k| n", "n"),
        ("::<", ""),
        ("f::<u8", ""),
    ]);
    let deep = |levels| format!("{}k{}", "(".repeat(levels), ")".repeat(levels));
    assert_eq!(of(&deep(1500)), "k");
    assert_eq!(of(&deep(100_000)), "", "no compiler reads that either");
}

#[test]
fn no_text_upsets_it() {
    let pieces = [
        "k", "|", "||", "{", "}", "(", ")", "let", "if", "match", "=>", "=", "::<", ">", "for",
        "in", "fn", "!", "m!", "#", "[", "]", "..", ",", ";", "\"{k}\"", "matches!", "const",
        "else", ":", "::", ".", "&&", "->", "n",
    ];
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..20_000 {
        let words: Vec<&str> = (0..random.usize(1..14))
            .map(|_| pieces[random.usize(..pieces.len())])
            .collect();
        of(&words.join(" "));
        of(&words.concat());
    }
}

#[test]
fn a_closure_ends_before_what_closes_the_call() {
    for (text, wanted) in [
        ("|x| x + k)\n.sum(k)", "|x| x + k"),
        ("move |a, b| a + b, n", "move |a, b| a + b"),
        ("|x: u64| -> u64 { x; k };\nn", "|x: u64| -> u64 { x; k }"),
        ("|x| f::<u8, u8>(x, k)\n}", "|x| f::<u8, u8>(x, k)"),
        ("|| (1, 2)", "|| (1, 2)"),
        ("|x|", "|x|"),
        ("k", "k"),
        ("", ""),
    ] {
        assert_eq!(closure(text), wanted);
    }
}

#[test]
fn names_that_a_cell_binds() {
    for (text, wanted) in [
        ("let mut k = 3; let (a, B(b)) = f(k);", "k a b"),
        ("fn f(n: u8, &m: &u8) {}\n|x, y| z", "n m x y"),
        ("for i in 0..3 { g(self) }", "i"),
        ("f::<T>(K)", ""),
    ] {
        assert_eq!(bound(text).join(" "), wanted, "{text}");
    }
}
