//! Lines against expected lines with wildcards: `…` alone on a line stands for any number of lines, also
//! none. Knows nothing of notebooks or masks.

/// The wildcard line.
const ANY: &str = "…";

/// Above this many pairs of lines a mismatch is shown without working out what the wildcards stand for:
/// that takes four bytes and one step for every pair.
const MAX_PAIRS: usize = 4_000_000;

fn is_any(line: &str) -> bool {
    line.trim() == ANY
}

/// Whether a line of `expected` stands for any number of lines.
pub fn has_wildcard(expected: &str) -> bool {
    expected.lines().any(is_any)
}

/// Whether `actual` is what `expected` says. Time: at most the product of both lengths.
pub fn matches(expected: &[&str], actual: &[&str]) -> bool {
    let (mut e, mut a) = (0, 0);
    // The last wildcard met, and the first line that it may still take.
    let mut wildcard = None;
    while a < actual.len() {
        if expected.get(e).is_some_and(|line| is_any(line)) {
            wildcard = Some((e, a));
            e += 1;
        } else if expected.get(e) == Some(&actual[a]) {
            e += 1;
            a += 1;
        } else if let Some((at, taken)) = wildcard {
            wildcard = Some((at, taken + 1));
            e = at + 1;
            a = taken + 1;
        } else {
            return false;
        }
    }
    expected[e..].iter().all(|line| is_any(line))
}

/// `expected` with every wildcard replaced by the lines of `actual` that leave the fewest differences; each
/// line with its index in `expected`.
pub fn resolve<'a>(expected: &[&'a str], actual: &[&'a str]) -> Vec<(usize, &'a str)> {
    let (rows, width) = (expected.len(), actual.len() + 1);
    let wild = expected.iter().any(|line| is_any(line));
    if !wild || (rows + 1).saturating_mul(width) > MAX_PAIRS {
        return expected.iter().copied().enumerate().collect();
    }
    let cost = costs(expected, actual);
    let at = |e: usize, a: usize| cost[e * width + a];
    let mut resolved = Vec::with_capacity(rows);
    let (mut e, mut a) = (0, 0);
    while e < rows {
        if is_any(expected[e]) {
            if a == actual.len() || at(e + 1, a) <= at(e, a + 1) {
                e += 1;
            } else {
                resolved.push((e, actual[a]));
                a += 1;
            }
        } else {
            let same = actual.get(a) == Some(&expected[e]);
            if same || a == actual.len() || at(e + 1, a) <= at(e, a + 1) {
                resolved.push((e, expected[e]));
                e += 1;
                a += usize::from(same);
            } else {
                a += 1;
            }
        }
    }
    resolved
}

/// `cost[e * (actual.len() + 1) + a]`: the fewest lines to delete and insert that turn `expected[e..]` into
/// `actual[a..]`.
fn costs(expected: &[&str], actual: &[&str]) -> Vec<u32> {
    let (rows, width) = (expected.len(), actual.len() + 1);
    let mut cost = vec![0_u32; (rows + 1) * width];
    for e in (0..=rows).rev() {
        let wild = expected.get(e).is_some_and(|line| is_any(line));
        for a in (0..width).rev() {
            let right = (a + 1 < width).then(|| cost[e * width + a + 1]);
            let below = (e < rows).then(|| cost[(e + 1) * width + a]);
            cost[e * width + a] = if wild {
                below.into_iter().chain(right).min().unwrap_or(0)
            } else if e < rows && a + 1 < width && expected[e] == actual[a] {
                cost[(e + 1) * width + a + 1]
            } else {
                below
                    .into_iter()
                    .chain(right)
                    .min()
                    .map_or(0, |least| least + 1)
            };
        }
    }
    cost
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        text.split_whitespace().collect()
    }

    #[test]
    fn a_wildcard_takes_any_number_of_lines() {
        for (expected, actual) in [
            ("…", ""),
            ("…", "a b"),
            ("a …", "a"),
            ("… b", "a b b"),
            ("a … c … e", "a c b c d e"),
            ("… …", "x"),
        ] {
            assert!(
                matches(&words(expected), &words(actual)),
                "{expected:?} {actual:?}"
            );
        }
    }

    #[test]
    fn a_wildcard_is_not_an_excuse() {
        for (expected, actual) in [
            ("a …", "b"),
            ("… b", "b a"),
            ("a … c", "a b"),
            ("…x", "a"),
            ("", "a"),
            ("a", ""),
            ("… a … a", "a"),
        ] {
            assert!(
                !matches(&words(expected), &words(actual)),
                "{expected:?} {actual:?}"
            );
        }
    }

    #[test]
    fn wildcards_resolve_so_that_only_the_difference_is_left() {
        let resolved = resolve(&words("a … d x f"), &words("a b c d e f"));
        assert_eq!(
            resolved,
            [(0, "a"), (1, "b"), (1, "c"), (2, "d"), (3, "x"), (4, "f")]
        );
    }

    #[test]
    fn no_cost_means_a_match_and_the_other_way_round() {
        let mut state = 7_u64;
        let mut line = |choices: &[&'static str]| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            choices[usize::try_from(state >> 33).unwrap_or(0) % choices.len()]
        };
        let mut matched = 0;
        for length in 0..2000 {
            let expected: Vec<&str> = (0..length % 6).map(|_| line(&["a", "b", "…"])).collect();
            let actual: Vec<&str> = (0..length % 7).map(|_| line(&["a", "b"])).collect();
            let same = matches(&expected, &actual);
            assert_eq!(
                same,
                costs(&expected, &actual)[0] == 0,
                "{expected:?} {actual:?}"
            );
            let resolved: Vec<&str> = resolve(&expected, &actual)
                .into_iter()
                .map(|(_, line)| line)
                .collect();
            assert_eq!(same, resolved == actual, "{expected:?} {actual:?}");
            matched += usize::from(same);
        }
        assert!((100..1900).contains(&matched), "{matched} of 2000 match");
    }
}
