//! Command lines as GNU parallel reads them.

use super::*;

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn jobs(line: &str) -> Vec<String> {
    let (command, sources) = sources(words(line)).unwrap();
    let values = |source: Source| match source.from {
        From::Words(values) => (values, source.linked),
        From::File(_) => panic!("no file is read here"),
    };
    let rows = combined(&sources.into_iter().map(values).collect::<Vec<_>>(), false);
    let template = Template::of(&command);
    (1..)
        .zip(rows)
        .map(|(number, row)| template.command(number, &[row], "1"))
        .collect()
}

#[test]
fn places_take_values() {
    for (line, expected) in [
        ("echo {} ::: a b", &["echo a", "echo b"][..]),
        ("echo ::: a b", &["echo a", "echo b"]),
        ("echo {#} {%} ::: a b", &["echo 1 1", "echo 2 1"]),
        ("echo {#} ::: a", &["echo 1"]),
        (
            "cp {} {.}.bak ::: d/a.tar.gz",
            &["cp d/a.tar.gz d/a.tar.bak"],
        ),
        (
            "echo {/} {//} {/.} ::: /d/e/a.b.c x",
            &["echo a.b.c /d/e a.b", "echo x . x"],
        ),
        (
            "echo {.} ::: a.d/b .hid a.",
            &["echo a.d/b", "echo ''", "echo a"],
        ),
        (
            "echo {2} {1} ::: A B ::: C D",
            &["echo C A", "echo D A", "echo C B", "echo D B"],
        ),
        ("echo ::: A B ::: C", &["echo A C", "echo B C"]),
        ("echo {1/.} {2//} ::: p/q.r ::: s/t", &["echo q s"]),
        ("echo {-1} {-2} {3}. ::: a ::: b", &["echo b a ."]),
        ("echo {0} {-3} {-4} {-5}. ::: a ::: b", &["echo a b b a ."]),
        ("echo {1}-{2} ::: a b c :::+ x y", &["echo a-x", "echo b-y"]),
        (
            "echo ::: a b :::+ x y ::: 1 2",
            &["echo a x 1", "echo a x 2", "echo b y 1", "echo b y 2"],
        ),
        ("::: true false", &["true", "false"]),
        ("awk '{print}' {} ::: f", &["awk '{print}' f"]),
        ("echo {x} {0}{} ::: f", &["echo {x} ff"]),
        ("echo", &[]),
        ("echo :::", &[]),
    ] {
        assert_eq!(jobs(line), expected, "{line}");
    }
}

#[test]
fn values_are_words_of_the_shell() {
    for (value, expected) in [
        ("a", "a"),
        ("", "''"),
        ("a b", "'a b'"),
        ("it's", "'it'\"'\"'s'"),
        ("'x", "\"'\"'x'"),
        ("x'", "'x'\"'\""),
        ("$HOME;*", "'$HOME;*'"),
        ("a/b-c_d.e+f", "a/b-c_d.e+f"),
        ("ä", "'ä'"),
        ("a\nb", "'a\nb'"),
    ] {
        assert_eq!(quoted(value), expected);
    }
}

#[test]
fn sources_say_what_is_wrong() {
    assert!(
        sources(words("echo :::+ a"))
            .unwrap_err()
            .contains("there is none")
    );
    assert!(
        sources(words("echo ::::"))
            .unwrap_err()
            .contains("needs a file")
    );
    let (_, found) = sources(words("echo :::: f g ::: a")).unwrap();
    assert_eq!(found.len(), 3);
    assert_eq!(found[1].from, From::File("g".to_owned()));
}

#[test]
fn several_values_go_to_one_job() {
    let rows = |text: &str| {
        words(text)
            .into_iter()
            .map(|word| vec![word])
            .collect::<Vec<_>>()
    };
    assert_eq!(grouped(rows("1 2 3"), 2), [rows("1 2"), rows("3")]);
    assert_eq!(grouped(rows("1 2"), 0), [rows(""), rows("")]);
    let pair = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
    let crossed = vec![pair("p/a.x", "1"), pair("b", "2")];
    for (text, expected) in [
        ("echo a{}b {#}", "echo ap/a.xb a1b abb a2b 1"),
        (
            "echo a{}b;echo {/.}",
            "echo ap/a.xb;echo a1b;echo abb;echo a2b;echo a 1 b 2",
        ),
        ("echo  {1}-{3}\t{4}{4}", "echo  p/a.x-b\t22"),
        ("echo x{#}{/}", "echo x1a.x x11 x1b x12"),
    ] {
        let template = Template::of(&[text.to_owned()]);
        assert_eq!(template.command(1, &crossed, "1"), expected, "{text}");
    }
    assert_eq!(tag(&crossed), "p/a.x 1 b 2");
    assert_eq!(
        combined(&[(words("1 2 3"), false), (words("a b"), false)], true)[2],
        words("3 a")
    );
}

#[test]
fn what_the_shell_would_take_is_found() {
    for (text, found) in [
        ("echo {} ::: a | wc", Some('|')),
        ("'echo {} | wc' ::: a", None),
        ("echo {} ::: $(seq 3) `ls; ls`", None),
        ("echo \"a;b\" ::: c\\;d", None),
        ("echo {} > x ::: a", Some('>')),
    ] {
        assert_eq!(for_the_shell(text), found, "{text}");
    }
    assert_eq!(over_at("'say over it' over xs"), Some(14));
    assert_eq!(over_at("'say over it'"), None);
}

#[test]
fn a_line_with_values_is_no_rust() {
    let text = "%parallel 'cp {} {//}' ::: \"it's\"\n1 + 1";
    let cell = crate::cell::parse(text, None).unwrap();
    assert_eq!(cell.segments.len(), 2);
}
