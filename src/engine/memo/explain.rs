//! Why the result of a call is kept or not, from what is in memory and on disk; and what has changed between two
//! meanings of a function.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use regatta_cell::host::MemoMemory;
use similar::{Algorithm, DiffTag, capture_diff_slices, group_diff_ops};
use strsim::levenshtein;

use super::disk::Key;
use super::traces::Trace;
use super::{Function, Memos};
use crate::outcome::{
    Change, Changed, DiffKind, DiffLine, Made, MadeOf, MemoDisk, MemoExplained, MemoWhy, Nearest,
    Part,
};

/// So many other arguments are told.
const NEAREST: usize = 3;
/// For so long they are looked for.
const LOOKING: Duration = Duration::from_millis(200);
/// Unchanged lines around a changed one.
const AROUND: usize = 1;

impl Memos {
    /// What is known of the result of these arguments.
    pub(super) fn explain(
        &self,
        function: &Function,
        key: &Key,
        arguments: String,
        memory: &MemoMemory,
    ) -> MemoExplained {
        let uses_disk = function.counts.on_disk.load(Relaxed);
        // What is on its way there counts.
        self.shelf.flush();
        let trace = match uses_disk {
            true => self.shelf.with(|disk| disk.trace(key)),
            false => None,
        };
        let disk = match (uses_disk, &trace) {
            (true, Some(_)) => MemoDisk::Used,
            (true, None) if self.shelf.has_folder() => MemoDisk::Unreadable,
            _ => MemoDisk::Unwanted,
        };
        let (_, session) = self.maker();
        let made = |trace: &Trace| Made {
            at: trace.made,
            session: trace.origin.session,
            this_session: trace.origin.session == session,
            by: trace.origin.by.clone(),
        };
        let trace = trace.flatten();
        let of_trace = trace.as_ref().map(made);
        let found_at = trace.as_ref().map(|trace| trace.made);
        let why = if memory.is_there && function.is_good(memory.made) {
            MemoWhy::There {
                in_memory: true,
                took: memory.took,
                good_until: function.good_until(memory.made),
                made: of_trace,
            }
        } else if let Some(trace) = trace.as_ref().filter(|trace| function.is_good(trace.made)) {
            MemoWhy::There {
                in_memory: false,
                took: trace.took,
                good_until: function.good_until(trace.made),
                made: of_trace,
            }
        } else if let Some(at) = found_at.or(memory.is_there.then_some(memory.made)) {
            MemoWhy::Expired {
                at: function.good_until(at).unwrap_or(at),
                ttl: function.ttl,
                made: of_trace,
            }
        } else {
            self.missed(function, key, &arguments, memory, &made)
        };
        MemoExplained {
            function: function.name.clone(),
            arguments,
            why,
            disk,
            good_only: false,
        }
    }

    /// Why it is neither in memory nor on disk.
    fn missed(
        &self,
        function: &Function,
        key: &Key,
        arguments: &str,
        memory: &MemoMemory,
        made: &dyn Fn(&Trace) -> Made,
    ) -> MemoWhy {
        let on_disk = function.counts.on_disk.load(Relaxed);
        if !on_disk {
            return match memory.dropped {
                true => MemoWhy::Dropped {
                    from_memory: true,
                    limit: 0,
                    at: None,
                },
                false => MemoWhy::Never {
                    nearest: Vec::new(),
                    others: memory.others,
                },
            };
        }
        if let Some(at) = self.shelf.with(|disk| disk.went(key)).flatten() {
            return MemoWhy::Dropped {
                from_memory: false,
                limit: function.limit,
                at: Some(at),
            };
        }
        let prefix = &key[..16];
        let namesakes = self
            .shelf
            .with(|disk| disk.namesakes(prefix, &function.name));
        let earlier = namesakes.unwrap_or_default().into_iter();
        let earlier = earlier.filter_map(|(mut other, made_of)| {
            other[16..].copy_from_slice(&key[16..]);
            let trace = self.shelf.with(|disk| disk.trace(&other)).flatten()?;
            Some((trace, made_of))
        });
        let latest = earlier.max_by_key(|(trace, _)| trace.made);
        let now: Option<MadeOf> = serde_json::from_str(&function.made_of).ok();
        if let (Some((trace, before)), Some(now)) = (latest, now) {
            let change = |what| Change { what, cell: None };
            return MemoWhy::Changed {
                changes: changes(&before, &now).into_iter().map(change).collect(),
                made: made(&trace),
            };
        }
        let others = self.shelf.with(|disk| disk.entries(prefix));
        MemoWhy::Never {
            nearest: self.nearest(prefix, arguments, made),
            others: others.unwrap_or_default().max(memory.others),
        }
    }

    fn nearest(
        &self,
        function: &[u8],
        arguments: &str,
        made: &dyn Fn(&Trace) -> Made,
    ) -> Vec<Nearest> {
        let since = Instant::now();
        let best: RefCell<Vec<(Distance, Trace)>> = RefCell::default();
        self.shelf.with(|disk| {
            let mut best = best.borrow_mut();
            best.clear();
            disk.each(function, |trace| {
                let far = distance(arguments, &trace.origin.arguments);
                // Of two that are as far, by their texts.
                let this = (far, &trace.origin.arguments);
                let at =
                    best.partition_point(|(far, other)| (*far, &other.origin.arguments) <= this);
                if at < NEAREST && !trace.origin.arguments.is_empty() {
                    best.insert(at, (far, trace));
                    best.truncate(NEAREST);
                }
                since.elapsed() < LOOKING
            })
        });
        let nearest = |(_, trace): (Distance, Trace)| Nearest {
            made: made(&trace),
            arguments: trace.origin.arguments,
        };
        best.into_inner().into_iter().map(nearest).collect()
    }
}

/// How far one text of arguments is from another: where only numbers differ, by these; else by their letters.
type Distance = (u64, f64);

fn distance(asked: &str, other: &str) -> Distance {
    let (asked_parts, other_parts) = (parts(asked), parts(other));
    let same_shape = asked_parts.len() == other_parts.len();
    let pairs = asked_parts.iter().zip(&other_parts);
    let mut sum = 0.0;
    for (one, two) in pairs {
        match (one, two) {
            (Token::Number(one), Token::Number(two)) => {
                sum += (one - two).abs() / (1.0 + one.abs());
            }
            (Token::Other(one), Token::Other(two)) if one == two => {}
            _ => return (1 + levenshtein(asked, other) as u64, 0.0),
        }
    }
    match same_shape {
        true => (0, sum),
        false => (1 + levenshtein(asked, other) as u64, 0.0),
    }
}

#[derive(Debug, PartialEq)]
enum Token<'a> {
    Number(f64),
    Other(&'a str),
}

/// The numbers of a text, and what stands between them.
fn parts(text: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let starts = |at: usize, letter: char| {
            let behind = &rest[at + letter.len_utf8()..];
            letter.is_ascii_digit()
                || letter == '-' && behind.starts_with(|c: char| c.is_ascii_digit())
        };
        let start = rest
            .char_indices()
            .find(|(at, letter)| starts(*at, *letter));
        let start = start.map_or(rest.len(), |(at, _)| at);
        if start > 0 {
            found.push(Token::Other(&rest[..start]));
        }
        rest = &rest[start..];
        let in_number = |(at, letter): &(usize, char)| {
            letter.is_ascii_digit()
                || "-.e".contains(*letter)
                    && (*at == 0
                        || rest[at + 1..].starts_with(|c: char| c.is_ascii_digit() || c == '-'))
        };
        let end = rest.char_indices().find(|one| !in_number(one));
        let end = end.map_or(rest.len(), |(at, _)| at);
        if end > 0 {
            found.push(match rest[..end].parse() {
                Ok(number) => Token::Number(number),
                Err(_) => Token::Other(&rest[..end]),
            });
        }
        rest = &rest[end..];
    }
    found
}

/// What has changed between two meanings of a function.
fn changes(before: &MadeOf, now: &MadeOf) -> Vec<Changed> {
    let mut found = Vec::new();
    if before.function.tokens != now.function.tokens {
        found.push(Changed::Body {
            lines: diff(&before.function.text, &now.function.text),
        });
    }
    let (old, new) = (by_name(&before.items), by_name(&now.items));
    let names: BTreeSet<&str> = new.keys().chain(old.keys()).copied().collect();
    for name in names {
        let owned = name.to_owned();
        match (old.get(name), new.get(name)) {
            (Some(old), Some(new)) if tokens(old) != tokens(new) => found.push(Changed::Item {
                name: owned,
                lines: diff(&text(old), &text(new)),
            }),
            (None, Some(_)) => found.push(Changed::Added { name: owned }),
            (Some(_), None) => found.push(Changed::Gone { name: owned }),
            _ => {}
        }
    }
    let (old, new) = (versions(before), versions(now));
    let names: BTreeSet<&str> = new.keys().chain(old.keys()).copied().collect();
    for name in names {
        let version = |of: &BTreeMap<&str, &str>| of.get(name).copied().unwrap_or("").to_owned();
        let (before, now) = (version(&old), version(&new));
        if before != now {
            found.push(Changed::Crate {
                name: name.to_owned(),
                before,
                now,
            });
        }
    }
    if before.rustc != now.rustc {
        found.push(Changed::Rustc {
            before: before.rustc.clone(),
            now: now.rustc.clone(),
        });
    }
    found
}

fn by_name(items: &[Part]) -> BTreeMap<&str, Vec<&Part>> {
    let mut found: BTreeMap<&str, Vec<&Part>> = BTreeMap::new();
    for item in items {
        found.entry(&item.name).or_default().push(item);
    }
    found
}

fn tokens(items: &[&Part]) -> BTreeSet<u64> {
    items.iter().map(|item| item.tokens).collect()
}

fn text(items: &[&Part]) -> String {
    let texts: Vec<&str> = items.iter().map(|item| item.text.as_str()).collect();
    texts.join("\n")
}

fn versions(made_of: &MadeOf) -> BTreeMap<&str, &str> {
    let crates = made_of.crates.iter();
    crates
        .map(|(name, version)| (name.as_str(), version.as_str()))
        .collect()
}

/// The lines that differ, each with its neighbours.
fn diff(before: &str, now: &str) -> Vec<DiffLine> {
    let old: Vec<&str> = before.lines().collect();
    let new: Vec<&str> = now.lines().collect();
    let groups = group_diff_ops(capture_diff_slices(Algorithm::Myers, &old, &new), AROUND);
    let mut found = Vec::new();
    for op in groups.into_iter().flatten() {
        let mut push = |kind, lines: &[&str]| {
            found.extend(lines.iter().map(|line| DiffLine {
                kind,
                text: (*line).to_owned(),
            }));
        };
        if op.tag() == DiffTag::Equal {
            push(DiffKind::Same, &new[op.new_range()]);
        } else {
            push(DiffKind::Before, &old[op.old_range()]);
            push(DiffKind::Now, &new[op.new_range()]);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use regatta_cell::host::{MemoCounts, now};

    use super::super::disk::{Disk, Found, Put};
    use super::super::shelf::Shelf;
    use super::super::traces::Origin;
    use super::*;
    use crate::outcome::Maker;

    fn part(name: &str, tokens: u64, text: &str) -> Part {
        Part {
            name: name.to_owned(),
            tokens,
            text: text.to_owned(),
        }
    }

    fn made_of(function: Part, items: &[Part], crates: &[(&str, &str)], rustc: &str) -> MadeOf {
        let crates = crates.iter();
        MadeOf {
            function,
            items: items.to_vec(),
            crates: crates
                .map(|(name, version)| ((*name).to_owned(), (*version).to_owned()))
                .collect(),
            rustc: rustc.to_owned(),
        }
    }

    #[test]
    fn what_another_compiler_had_computed_yesterday_is_told_so() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path(), |_| Ok(())).unwrap().disk;
        let json = |rustc: &str| {
            let made_of = made_of(part("f", 1, "fn f() {}"), &[], &[], rustc);
            serde_json::to_string(&made_of).unwrap()
        };
        let yesterday = now() - 24 * 3600 * 1000;
        let origin = Origin {
            session: yesterday,
            by: Maker::Thread(3),
            arguments: "3".to_owned(),
        };
        let origin = postcard::to_stdvec(&origin).unwrap();
        let (old, new) = (json("rustc 1.94.0"), json("rustc 1.95.0"));
        let mut key = [7; 32];
        for (meaning, made_of, made) in [(1, "{}", 5), (2, old.as_str(), yesterday)] {
            key[0] = meaning;
            let found = Found {
                value: vec![1],
                made,
                took: 9,
            };
            let put = Put {
                key,
                found,
                name: "f",
                made_of: made_of.to_owned().leak(),
                origin: origin.clone(),
                limit: 1 << 20,
                soon: false,
            };
            disk.put(&[put]).unwrap();
        }
        key[0] = 3;
        let function = Function {
            counts: MemoCounts::default(),
            name: "f".to_owned(),
            meaning: key[..16].try_into().unwrap(),
            made_of: new,
            limit: 1 << 20,
            ttl: 0,
            told: Mutex::default(),
        };
        function.counts.on_disk.store(true, Relaxed);
        let memos = Memos {
            shelf: Shelf::of(disk),
            ..Memos::default()
        };
        let memory = MemoMemory::default();
        let explained = memos.explain(&function, &key, "3".to_owned(), &memory);
        let MemoWhy::Changed { changes, made } = explained.why else {
            panic!("{explained:?}");
        };
        let what = Changed::Rustc {
            before: "rustc 1.94.0".to_owned(),
            now: "rustc 1.95.0".to_owned(),
        };
        assert_eq!(changes, [Change { what, cell: None }]);
        assert_eq!((made.at, made.session), (yesterday, yesterday));
        assert_eq!(made.by, Maker::Thread(3));
        assert!(!made.this_session);
    }

    #[test]
    fn every_kind_of_change_is_told() {
        let body = "fn f() {\n    a();\n    b();\n    c();\n    d();\n}";
        let before = made_of(
            part("f", 1, body),
            &[part("g", 2, "fn g() {}"), part("old", 3, "")],
            &[("rand", "0.8.5"), ("gone", "1.0.0")],
            "rustc 1.94.0",
        );
        assert_eq!(changes(&before, &before), []);
        let now = made_of(
            part("f", 9, &body.replace("c()", "cc()")),
            &[part("g", 8, "fn g() { 1; }"), part("new", 7, "")],
            &[("rand", "0.9.0")],
            "rustc 1.95.0",
        );
        let line = |kind, text: &str| DiffLine {
            kind,
            text: text.to_owned(),
        };
        use DiffKind::{Before, Now, Same};
        let name = |name: &str| name.to_owned();
        let expected = [
            Changed::Body {
                lines: vec![
                    line(Same, "    b();"),
                    line(Before, "    c();"),
                    line(Now, "    cc();"),
                    line(Same, "    d();"),
                ],
            },
            Changed::Item {
                name: name("g"),
                lines: vec![line(Before, "fn g() {}"), line(Now, "fn g() { 1; }")],
            },
            Changed::Added { name: name("new") },
            Changed::Gone { name: name("old") },
            Changed::Crate {
                name: name("gone"),
                before: name("1.0.0"),
                now: String::new(),
            },
            Changed::Crate {
                name: name("rand"),
                before: name("0.8.5"),
                now: name("0.9.0"),
            },
            Changed::Rustc {
                before: name("rustc 1.94.0"),
                now: name("rustc 1.95.0"),
            },
        ];
        assert_eq!(changes(&before, &now), expected);
    }

    #[test]
    fn numbers_are_near_by_what_they_are_and_texts_by_their_letters() {
        let nearest = |asked: &str, others: &[&str]| {
            let mut others: Vec<String> = others.iter().map(|&other| other.to_owned()).collect();
            others.sort_by(|one, two| {
                distance(asked, one)
                    .partial_cmp(&distance(asked, two))
                    .unwrap()
            });
            others
        };
        assert_eq!(
            nearest("10, 1.0", &["3, 1.0", "100, 1.0", "9, 1.0"]),
            ["9, 1.0", "3, 1.0", "100, 1.0"]
        );
        assert_eq!(nearest("-2", &["5", "-3", "1e9"]), ["-3", "5", "1e9"]);
        assert_eq!(
            nearest("\"boat\"", &["\"wagon\"", "\"boot\""]),
            ["\"boot\"", "\"wagon\""]
        );
        assert_eq!(
            nearest("[1, 2]", &["[1, 2, 3]", "[1, 900]"]),
            ["[1, 900]", "[1, 2, 3]"]
        );
        assert_eq!(
            parts("P { x: -1.5e-3, y: 2 }-é"),
            [
                Token::Other("P { x: "),
                Token::Number(-1.5e-3),
                Token::Other(", y: "),
                Token::Number(2.0),
                Token::Other(" }-é"),
            ]
        );
        assert_eq!(distance("", ""), (0, 0.0));
    }
}
