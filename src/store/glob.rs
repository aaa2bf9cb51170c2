//! Patterns of keys and channels as Redis has them: `*`, `?`, `[abc]`, `[a-z]`, `[^a]`, and `\` before a letter that means
//! itself.

/// Whether all of the text matches.
pub fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    // Where the last `*` stands, and how far it reached in the text.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, t));
            p += 1;
            continue;
        }
        match one(&pattern[p..], text[t]) {
            Some(length) => (p, t) = (p + length, t + 1),
            None => match &mut star {
                Some((at, reached)) => {
                    *reached += 1;
                    (p, t) = (*at + 1, *reached);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|letter| *letter == '*')
}

/// How long the beginning of the pattern is that stands for this letter.
fn one(pattern: &[char], letter: char) -> Option<usize> {
    match *pattern.first()? {
        '?' => Some(1),
        '\\' if pattern.len() > 1 => (pattern[1] == letter).then_some(2),
        '[' => {
            let (inside, length) = class(pattern, letter)?;
            inside.then_some(length)
        }
        itself => (itself == letter).then_some(1),
    }
}

/// Whether the class contains the letter, and the class's length; one that is not closed reaches to the end.
fn class(pattern: &[char], letter: char) -> Option<(bool, usize)> {
    let negated = pattern.get(1) == Some(&'^');
    let mut at = 1 + usize::from(negated);
    let mut found = false;
    while at < pattern.len() && pattern[at] != ']' {
        if pattern[at] == '\\' && at + 1 < pattern.len() {
            found |= pattern[at + 1] == letter;
            at += 2;
        } else if pattern.get(at + 1) == Some(&'-') && at + 2 < pattern.len() {
            let (low, high) = (pattern[at], pattern[at + 2]);
            found |= (low.min(high)..=low.max(high)).contains(&letter);
            at += 3;
        } else {
            found |= pattern[at] == letter;
            at += 1;
        }
    }
    Some((found != negated, (at + 1).min(pattern.len())))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_as_those_of_redis_do() {
        for (pattern, yes, no) in [
            ("*", &["", "a", "a/b"][..], &[][..]),
            ("h?llo", &["hello", "hallo", "hüllo"], &["hllo", "heello"]),
            ("h*llo", &["hllo", "heeeello"], &["hell"]),
            ("h[ae]llo", &["hello", "hallo"], &["hillo"]),
            ("h[^e]llo", &["hallo", "hbllo"], &["hello"]),
            ("h[a-c]llo", &["hallo", "hbllo"], &["hdllo", "h-llo"]),
            ("h[c-a]llo", &["hbllo"], &["hdllo"]),
            (r"h\*llo", &["h*llo"], &["hello"]),
            (r"[\]a]", &["]", "a"], &["\\"]),
            ("a*b*c", &["abc", "aXbXbXc"], &["abcd", "acb"]),
            ("plain", &["plain"], &["plai", "plainer"]),
            ("[abc", &["a", "c"], &["d", "["]),
            ("", &[""], &["a"]),
        ] {
            for text in yes {
                assert!(matches(pattern, text), "{pattern} matches {text}");
            }
            for text in no {
                assert!(!matches(pattern, text), "{pattern} does not match {text}");
            }
        }
    }
}
