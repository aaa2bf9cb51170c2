//! "Did you mean": the known name nearest to a mistyped one.

/// The nearest of `known`, when it is near enough to be meant.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(typed, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 3 && *distance < name.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_is_recognised_and_nonsense_is_not() {
        let known = ["pool", "px", "map", "timeit", "time"];
        assert_eq!(nearest("pol", known), Some("pool"));
        assert_eq!(nearest("mpa", known), Some("map"));
        assert_eq!(nearest("timit", known), Some("timeit"));
        assert_eq!(nearest("frobnicate", known), None);
    }
}
