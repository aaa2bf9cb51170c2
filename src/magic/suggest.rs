//! "Did you mean": the magic nearest to a mistyped or foreign name.

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
const TOPICS: [(&str, &str); 5] = [
    ("mpi", "pool"),
    ("mpiexec", "pool"),
    ("redis", "store"),
    ("ps", "children"),
    ("log", "logs"),
];

/// The magic that a mistyped or foreign name most likely means.
pub fn magic<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let foreign = ALIASES.iter().map(|(alias, _)| *alias);
    let alias = |meant: &str| ALIASES.iter().find(|(alias, _)| *alias == meant);
    if let Some((_, name)) = TOPICS.iter().find(|(topic, _)| *topic == typed) {
        return Some(name);
    }
    if let Some((_, name)) = alias(typed) {
        return Some(name);
    }
    let meant = nearest(typed, foreign.chain(known))?;
    Some(alias(meant).map_or(meant, |(_, name)| name))
}

#[cfg(test)]
mod tests {
    use super::{ALIASES, TOPICS, magic};

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
