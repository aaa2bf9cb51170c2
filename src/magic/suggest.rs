//! "Did you mean": the magic nearest to a mistyped or foreign name, and what to do instead of another program's option.

use crate::vocabulary::nearest;

/// What other programs call a magic of ours.
const ALIASES: [(&str, &str); 12] = [
    ("exit", "quit"),
    ("q", "quit"),
    ("bye", "quit"),
    ("vars", "whos"),
    ("who_ls", "who"),
    ("clear", "reset"),
    ("timing", "time"),
    ("hist", "history"),
    ("add", "dep"),
    ("crate", "dep"),
    ("kill", "cancel"),
    ("engines", "pool"),
];

/// Words for what a magic does; too short, or too near to a magic's name, to be the meaning of a mistyped one.
const TOPICS: [(&str, &str); 9] = [
    ("cluster", "pool"),
    ("nats", "pool"),
    ("slurm", "pool"),
    ("ssh", "pool"),
    ("mpi", "pool"),
    ("mpiexec", "pool"),
    ("redis", "store"),
    ("ps", "children"),
    ("log", "logs"),
];

/// Options of GNU parallel's that are done otherwise here; those that are nearest to them by their letters mean
/// something else.
const OF_GNU_PARALLEL: [(&[&str], &str); 3] = [
    (
        &["-S", "--sshlogin", "--sshloginfile", "--slf"],
        "`%pool start cluster --ssh node1:8,node2` starts engines on other hosts, and `%parallel` runs on them then",
    ),
    (
        &["-P", "--max-procs"],
        "`-j 8` says how many run at once, with a pool of the call's own",
    ),
    (
        &["-n", "--max-args"],
        "`-N 2` gives so many values to each command",
    ),
];

/// What to do instead of another program's option.
pub fn foreign_option(magic: &str, typed: &str) -> Option<&'static str> {
    let mut typed = typed.split_once('=').map_or(typed, |(name, _)| name);
    // A value may stand right behind a letter; a long option with one dash looks so too.
    let value = typed.strip_prefix('-').and_then(|it| it.get(1..));
    if let Some(value) = value.filter(|_| !typed.starts_with("--"))
        && (value.starts_with(|c: char| c.is_ascii_digit()) || typed.starts_with("-S"))
    {
        typed = &typed[..2];
    }
    let mut known = OF_GNU_PARALLEL.iter().filter(|_| magic == "parallel");
    known
        .find(|(options, _)| options.contains(&typed))
        .map(|(_, hint)| *hint)
}

/// Options of ssh's that are typed as if they were `%pool`'s.
const OF_SSH: [&str; 6] = ["-J", "-F", "-i", "-l", "-o", "-p"];

/// What was meant by a `wrong` one of a magic's words, which stands where it means nothing.
pub fn misplaced(magic: &str, words: &[String], wrong: &str) -> Option<String> {
    if magic != "pool" {
        return None;
    }
    let at = |word: &str| words.iter().position(|it| it == word);
    let behind = |word: &str| words.get(at(word)? + 1).map(String::as_str);
    let (is_start, is_add) = (at("start") == Some(0), at("add") == Some(0));
    if OF_SSH.contains(&wrong) && (is_start || is_add) {
        let value = behind(wrong).unwrap_or("…");
        return Some(format!(
            "options of ssh stand in quotes: `--ssh-options '{wrong} {value}'`"
        ));
    }
    if is_add && wrong == "--ssh" {
        let host = behind(wrong).unwrap_or("node3:8");
        return Some(format!("hosts stand there as they are: `%pool add {host}`"));
    }
    let is_host = is_start && at("cluster") == Some(1) && !wrong.starts_with('-');
    is_host.then(|| match behind("--ssh") {
        Some(first) => format!(
            "hosts stand together, without spaces: `--ssh {},{wrong}`",
            first.trim_end_matches(',')
        ),
        None => format!("hosts stand behind `--ssh`: `--ssh {wrong}`"),
    })
}

/// The magic that another program's word for it means.
pub fn foreign_name(typed: &str) -> Option<&'static str> {
    let mut all = TOPICS.iter().chain(&ALIASES);
    all.find(|(word, _)| *word == typed).map(|(_, name)| *name)
}

/// The magic that a mistyped or foreign name most likely means.
pub fn magic<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let foreign = ALIASES.iter().map(|(alias, _)| *alias);
    let alias = |meant: &str| ALIASES.iter().find(|(alias, _)| *alias == meant);
    if let Some(name) = foreign_name(typed) {
        return Some(name);
    }
    let meant = nearest(typed, foreign.chain(known))?;
    Some(alias(meant).map_or(meant, |(_, name)| name))
}

#[cfg(test)]
mod tests {
    use super::{ALIASES, TOPICS, foreign_option, magic, misplaced};

    #[test]
    fn hosts_and_sshs_options_lead_to_where_they_belong() {
        let hint = |line: &str, wrong| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            misplaced("pool", &words, wrong).unwrap_or_default()
        };
        for (line, wrong, expected) in [
            (
                "start cluster node1:8,node2",
                "node1:8,node2",
                "`--ssh node1:8,node2`",
            ),
            (
                "start cluster --ssh node1:8, node2",
                "node2",
                "`--ssh node1:8,node2`",
            ),
            (
                "start cluster --ssh a -J gate",
                "-J",
                "`--ssh-options '-J gate'`",
            ),
            ("add node3 -F", "-F", "`--ssh-options '-F …'`"),
            ("add --ssh node3:2", "--ssh", "`%pool add node3:2`"),
        ] {
            assert!(hint(line, wrong).contains(expected), "{line}");
        }
        for (line, wrong) in [
            ("start processes x", "x"),
            ("start cluster --durble", "--durble"),
            ("stop -J", "-J"),
        ] {
            assert_eq!(hint(line, wrong), "", "{line}");
        }
        assert_eq!(misplaced("map", &["start".to_owned()], "-J"), None);
    }

    #[test]
    fn options_of_gnu_parallel_lead_to_what_is_here() {
        let hint = |typed| foreign_option("parallel", typed).unwrap_or_default();
        for typed in ["-S", "-Snode1", "--sshlogin", "--slf=hosts"] {
            assert!(hint(typed).contains("%pool start cluster --ssh"), "{typed}");
        }
        assert!(hint("-P4").contains("-j 8") && hint("-n").contains("-N 2"));
        for typed in ["-noblock", "--joblgo", "-é2", "-", ""] {
            assert_eq!(hint(typed), "", "{typed}");
        }
        assert_eq!(foreign_option("map", "-S"), None);
    }

    #[test]
    fn the_names_of_other_programs_lead_to_ours() {
        assert_eq!(magic("exit", ["wait", "quit"]), Some("quit"));
        assert_eq!(magic("qit", ["wait", "quit"]), Some("quit"));
        assert_eq!(magic("exi", ["edit", "quit"]), Some("quit"));
        assert_eq!(magic("q", ["quit"]), Some("quit"));
        assert_eq!(magic("mpa", ["map", "opt"]), Some("map"));
        for (alias, name) in ALIASES.into_iter().chain(TOPICS) {
            assert!(crate::magic::find(name).is_some(), "{alias} → {name}");
            assert!(crate::magic::find(alias).is_none(), "{alias} is a magic");
        }
    }
}
