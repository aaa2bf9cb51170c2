//! Names of children: `worker` is one child, or all of `worker.0`, `worker.1`, ….

use std::path::Path;

/// Whether a user may give this name.
pub fn is_name(name: &str) -> bool {
    let fits = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-');
    !name.is_empty()
        && name.len() <= 64
        && name.chars().all(fits)
        && !name.starts_with('-')
        && name != "all"
}

/// The name of the child of this rank among so many.
pub fn name_of(name: &str, rank: u32, size: u32) -> String {
    match size {
        1 => name.to_owned(),
        _ => format!("{name}.{rank}"),
    }
}

/// Whether a name means this child.
pub fn chosen(wanted: &str, name: &str) -> bool {
    if wanted == "all" || wanted == name {
        return true;
    }
    let rank = name
        .strip_prefix(wanted)
        .and_then(|rest| rest.strip_prefix('.'));
    rank.is_some_and(|rank| rank.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What a child is called whose user says nothing: after its script, or else its program; numbered when that is taken.
pub fn default_name(words: &[String], is_taken: &dyn Fn(&str) -> bool) -> String {
    let name = |word: &String| {
        let stem = Path::new(word).file_stem()?.to_str()?;
        let name: String = stem
            .chars()
            .map(|letter| {
                if is_name(&letter.to_string()) {
                    letter
                } else {
                    '_'
                }
            })
            .take(32)
            .collect();
        is_name(&name).then_some(name)
    };
    let is_script = |word: &&String| {
        let end = Path::new(word).extension();
        !word.starts_with('-') && end.is_some_and(|end| end.to_str().is_some_and(is_name))
    };
    // `python3 -u child.py`, but not `sh -c 'echo a.b'`.
    let script = words.iter().skip(1).find(is_script);
    let script = script.filter(|word| !word.contains(char::is_whitespace));
    let base = script.and_then(name).or_else(|| name(words.first()?));
    let base = base.unwrap_or_else(|| "child".to_owned());
    let numbered = (2..).map(|number: u32| format!("{base}-{number}"));
    let mut free = std::iter::once(base.clone()).chain(numbered);
    free.find(|name| !is_taken(name)).unwrap_or(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_one_child_or_all_of_its_ranks() {
        for (wanted, name, is_it) in [
            ("worker", "worker", true),
            ("worker", "worker.0", true),
            ("worker", "worker.12", true),
            ("worker.1", "worker.1", true),
            ("worker.1", "worker.12", false),
            ("worker", "workers", false),
            ("worker", "worker-2", false),
            ("work", "worker.1", false),
            ("all", "worker.1", true),
        ] {
            assert_eq!(chosen(wanted, name), is_it, "{wanted} {name}");
        }
    }

    #[test]
    fn names_are_words() {
        for name in ["w", "worker_1", "a-b", "größe"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "all", "a.b", "a b", "-x", "a/b", &"x".repeat(65)] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn a_child_is_called_after_its_script() {
        let called = |text: &str, taken: &[&str]| {
            let words: Vec<String> = text.split('|').map(str::to_owned).collect();
            default_name(&words, &|name| taken.contains(&name))
        };
        assert_eq!(called("python3|child.py|{rank}", &[]), "child");
        assert_eq!(called("python3|-u|dir/my child.py", &[]), "python3");
        assert_eq!(called("python3|-u|dir/child.v2.py", &[]), "child_v2");
        assert_eq!(called("sleep|5", &[]), "sleep");
        assert_eq!(called("sh|-c|echo a.b", &[]), "sh");
        assert_eq!(called("/usr/bin/env|node|x.js", &[]), "x");
        assert_eq!(called("./all", &[]), "child");
        assert_eq!(called("sleep|5", &["sleep"]), "sleep-2");
        assert_eq!(called("sleep|5", &["sleep", "sleep-2"]), "sleep-3");
    }
}
