//! Which names rustc calls similar that nobody would. Pure: text in, yes or no out.

/// The names in a message, without their paths.
fn names_in(message: &str) -> impl Iterator<Item = &str> {
    let quoted = message.split('`').skip(1).step_by(2);
    quoted.filter_map(|path| path.rsplit("::").next())
}

/// Whether a help or a label calls a name similar that is like none of the error's own.
pub fn is_far_fetched(label: &str, told: &str) -> bool {
    let says = label.contains("similar name exists") || label.starts_with("similarly named");
    let like = |known: &str| names_in(told).any(|name| similar(name, known));
    says && !names_in(label).next().is_some_and(like)
}

/// Whether one name can be a slip for the other; to rustc all names of one letter are.
fn similar(typed: &str, known: &str) -> bool {
    let words = |name: &str| {
        let mut words: Vec<String> = name.split('_').map(str::to_lowercase).collect();
        words.sort_unstable();
        words
    };
    let most = typed.chars().count().max(known.chars().count()) / 3;
    words(typed) == words(known) || strsim::damerau_levenshtein(typed, known) <= most
}

#[cfg(test)]
mod tests {
    use super::{is_far_fetched, similar};

    #[test]
    fn a_similar_name_is_one_that_is_similar() {
        for (typed, known, is) in [
            ("vlaue", "value", true),
            ("pol", "pool", true),
            ("index", "Index", true),
            ("i", "I", true),
            ("name_of", "of_name", true),
            ("F", "G", false),
            ("z", "G", false),
            ("h", "g1", false),
            ("ab", "cb", false),
            ("total", "metal", false),
        ] {
            assert_eq!(similar(typed, known), is, "{typed} {known}");
        }
        for (label, told, is) in [
            (
                "help: a static with a similar name exists: `G`",
                "cannot find value `F`",
                true,
            ),
            (
                "similarly named function `near` defined here",
                "no `h`",
                true,
            ),
            (
                "a similar name exists in the module: `HashMap`",
                "no `a::HashMa`, `b`",
                false,
            ),
            (
                "a field with a similar name exists: `wide`",
                "struct `T` has no field `wied`",
                false,
            ),
            (
                "similarly named function `near` defined here",
                "no `naer`",
                false,
            ),
            ("not found in this scope", "no `F`", false),
        ] {
            assert_eq!(is_far_fetched(label, told), is, "{label}");
        }
    }
}
