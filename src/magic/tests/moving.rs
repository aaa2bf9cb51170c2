//! Variables on their way between engines, as users ask for it.

use super::{reading, refusal};
use crate::magic::gather::Gather;
use crate::magic::pull::Pull;
use crate::magic::push::Push;
use crate::magic::scatter::Scatter;
use crate::outcome::Report;
use crate::session::{DataRequest, DataVerb};

fn moved(text: &str) -> Result<Vec<DataRequest>, Report> {
    if text.contains("%push") {
        reading(text, Push::requests)
    } else if text.contains("%pull") {
        reading(text, Pull::requests)
    } else if text.contains("%scatter") {
        reading(text, Scatter::request).map(|request| vec![request])
    } else {
        reading(text, Gather::request).map(|request| vec![request])
    }
}

#[test]
fn variables_to_move_are_named() {
    let push = DataRequest {
        verb: DataVerb::Push,
        name: "x".to_owned(),
        as_name: None,
        targets: None,
        cyclic: false,
        bind: None,
    };
    assert_eq!(
        moved("%push x").expect("a push"),
        std::slice::from_ref(&push)
    );
    let wanted = DataRequest {
        as_name: Some("y".to_owned()),
        targets: "::2".parse().ok(),
        ..push
    };
    assert_eq!(moved("%push x --as y -t ::2;").expect("a push"), [wanted]);

    for text in ["%push x, y", "%push x y", "%push x,y;"] {
        let several = moved(text).expect(text);
        let names: Vec<&str> = several
            .iter()
            .map(|request| request.name.as_str())
            .collect();
        assert_eq!(names, ["x", "y"], "{text}");
    }

    let pull = moved("let v: Vec<u8> = %pull y -t -1;").expect("a pull");
    assert_eq!((pull[0].verb, pull[0].name.as_str()), (DataVerb::Pull, "y"));
    assert_eq!(pull[0].targets, "-1".parse().ok());
    assert_eq!(
        pull[0].bind.as_ref().and_then(|bind| bind.ty.as_deref()),
        Some("Vec<u8>")
    );

    let scatter = moved("%scatter v --as part --cyclic").expect("a scatter");
    assert_eq!(scatter[0].verb, DataVerb::Scatter);
    assert_eq!(scatter[0].as_name.as_deref(), Some("part"));
    assert!(scatter[0].cyclic);
    assert!(!moved("%scatter v --block").expect("a scatter")[0].cyclic);

    let gather = moved("let w = %gather part").expect("a gather");
    assert_eq!(
        (gather[0].verb, gather[0].name.as_str()),
        (DataVerb::Gather, "part")
    );
    assert!(gather[0].bind.is_some());
}

#[test]
fn what_cannot_be_moved_is_refused_with_a_hint() {
    for (text, error) in [
        (
            "%push",
            "%push needs the name of a variable · `%help push` shows how it is written",
        ),
        (
            "%push x[0]",
            "`x[0]` cannot name a variable · give it a name first: `let part = x[0];`, then `%push part`",
        ),
        (
            "%pull x.y",
            "`x.y` cannot name a variable · give it a name first: `%px let part = x.y;`, then `%pull part`",
        ),
        (
            "%push x, y[0]",
            "`y[0]` cannot name a variable · give it a name first: `let part = y[0];`, then `%push part`",
        ),
        (
            "%push n = 5",
            "`n = 5` cannot name a variable · give it a name first: `let n = 5;`, then `%push n`",
        ),
        (
            "%push ]",
            "`]` cannot name a variable · a name has letters, digits and `_`, and is no keyword",
        ),
        (
            "%scatter vec![1,2,3,4,5]",
            "`vec![1,2,3,4,5]` cannot name a variable · give it a name first: `let xs = vec![1,2,3,4,5];`, then `%scatter xs`",
        ),
        (
            "%scatter vec![\"a b\", \"c\"] -t 0;",
            "`vec![\"a b\", \"c\"]` cannot name a variable · give it a name first: `let xs = vec![\"a b\", \"c\"];`, then `%scatter xs`",
        ),
        (
            "%scatter a 0..16 --cyclic",
            "`0..16` cannot name a variable · give it a name first: `let a = 0..16;`, then `%scatter a`",
        ),
        (
            "%push x --as 1y",
            "`1y` cannot name a variable · a name has letters, digits and `_`, and is no keyword",
        ),
        (
            "%push x, y --as z",
            "%push: 2 variables cannot all be called `z` · push them one by one, or without `--as`",
        ),
        (
            "let v = %pull x, y",
            "%pull: `v` takes one variable, not 2 · write one `let NAME = %pull NAME` for each",
        ),
        (
            "%scatter x y",
            "%scatter takes one variable, not x, y · write one `%scatter` for each",
        ),
        (
            "%scatter x --block --cyclic",
            "%scatter: --block and --cyclic exclude each other · `--block` is the default",
        ),
        (
            "let p = %px x",
            "%px gives no value to bind to `p` · `%px -o p …` binds what its engines give",
        ),
        (
            "let p = %push x",
            "%push gives no value to bind to `p` · %bash, %sh, %pxresult, %map, %reduce, %submit, %parallel, %result, %pull and %gather give one",
        ),
        (
            "%gather x --cyclc",
            "%gather: unexpected argument '--cyclc' found · did you mean --cyclic?",
        ),
    ] {
        assert_eq!(refusal(moved(text)), error, "{text}");
    }
}
