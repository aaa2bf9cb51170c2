//! What the help of each magic shows as an example works, and values of redefined types are told as lost.

mod support;

use support::{contains, lacks, notebook};

fn fence(code: &str) -> String {
    format!("````rust\n{code}\n````\n\n")
}

#[test]
fn every_example_of_a_magic_runs() {
    let mut text = String::new();
    let mut wanted = Vec::new();
    for (input, shows) in regatta::examples() {
        text += &fence(input);
        wanted.push((input, shows));
    }
    assert!(wanted.len() > 40, "few examples");
    let (ran, _) = notebook(&text, &[]);
    assert_eq!(ran.status, 0, "{}\n{}", ran.out, ran.err);
    let start = |cell: usize| ran.out.find(&format!("In [{cell}]: "));
    for (index, (input, shows)) in wanted.iter().enumerate() {
        let from = start(index + 1).unwrap_or_else(|| panic!("no cell {}", index + 1));
        let part = &ran.out[from..start(index + 2).unwrap_or(ran.out.len())];
        // Without the echoed input.
        let output: Vec<&str> = part.lines().skip(input.lines().count()).collect();
        contains(&output.join("\n"), &[shows]);
    }
}

#[test]
fn a_value_is_never_read_as_another_type() {
    let cells = [
        "#[derive(Debug)] struct Q(i32);",
        "let q = Q(3);\nlet many = vec![Q(1)];\nlet kept = 7;",
        "#[derive(Debug)] struct Q(i64);",
        "#[derive(Debug)] struct In { a: i32 }\n#[derive(Debug)] struct Out { i: In }\nlet out = Out { i: In { a: 1 } };",
        "#[derive(Debug)] struct In { a: String }",
        "const N: usize = 2;\n#[derive(Debug)] struct A([u8; N]);\nlet a = A([1; N]);",
        "const N: usize = 64;",
        "%pool start -n 2\n%px let there = Q(5); let also = 1;",
        "#[derive(Debug)] struct Q(u8);",
        "%px also",
        "%whos",
        "kept",
    ];
    let text: String = cells.iter().map(|code| fence(code)).collect();
    let (ran, _) = notebook(&text, &[]);
    assert_eq!(ran.status, 0, "{}\n{}", ran.out, ran.err);
    for name in ["q", "many", "out", "a"] {
        contains(&ran.out, &[&format!("the variable `{name}` is lost")]);
    }
    contains(&ran.out, &["lost on engines 0,1: `there`", "Out[12]: 7"]);
    let (_, listed) = ran.out.split_once("%whos").expect("a listing");
    lacks(listed, &["│ q ", "│ many ", "│ out ", "│ a ", "│ there "]);
    contains(listed, &["│ kept ", "│ also "]);
}
