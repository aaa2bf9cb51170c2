//! What is said of words that are missing or wrong, and where help is asked for.

use super::super::call::{explained, read as read_call};
use super::{refusal, written};

#[test]
fn what_is_missing_and_what_is_wanted_is_named() {
    let refused = |text: &str| refusal(read_call(&written(text)));
    for (text, error) in [
        (
            "%store get",
            "%store get needs KEY · `%help store` shows how it is written",
        ),
        (
            "%store del",
            "%store del needs KEY… · `%help store` shows how it is written",
        ),
        (
            "%store watch",
            "%store watch needs KEY | PATTERN · `%help store` shows how it is written",
        ),
        (
            "%spawn -n 2",
            "%spawn needs PROGRAM… · `%help spawn` shows how it is written",
        ),
        (
            "%stop",
            "%stop needs NAME… · `%help stop` shows how it is written",
        ),
        (
            "%pool start -n abc",
            "%pool: invalid value 'abc' for '-n <N>' · it is a whole number",
        ),
        (
            "%pool start -n 99999999999999999999",
            "%pool: invalid value '99999999999999999999' for '-n <N>' · the number is too large",
        ),
        (
            "%pool start mpi -n 2 --launcher mpiexec.mpich -n {n}",
            "%pool: the argument '-n <N>' cannot be used multiple times · a command stands in quotes: \
             `--launcher 'mpiexec.mpich -n {n}'`",
        ),
        (
            "%pool start mpi --launcher srun --mpi=pmix",
            "%pool: unexpected argument '--mpi' found · a command stands in quotes: `--launcher 'srun --mpi=pmix'`",
        ),
    ] {
        assert_eq!(refused(text), error, "{text}");
    }
    assert!(refused("%logs").starts_with("%logs needs NAME"));
}

#[test]
fn help_is_asked_for_by_an_option_too() {
    for (text, name) in [
        ("%px --help", "px"),
        ("%px -h", "px"),
        ("%spawn --help", "spawn"),
        ("%comm -h", "comm"),
        ("%store get --help", "store"),
        ("%compare --help", "compare"),
    ] {
        let found = explained(&written(text)).map(|magic| magic.name);
        assert_eq!(found, Some(name), "{text}");
    }
    for text in [
        "%spawn -- ls --help",
        "%store set a --help",
        "%px x",
        "%pool",
    ] {
        assert!(explained(&written(text)).is_none(), "{text}");
    }
}
