//! `%memo explain`: hit or miss, and why.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{Style, text, units};
use crate::outcome::{
    Change, Changed, DiffKind, DiffLine, Made, Maker, MemoDisk, MemoExplained, MemoWhy,
};

/// Lines of a difference.
const MOST_LINES: usize = 20;
/// What stands before what belongs to a line above.
const INDENT: &str = "  ";
/// Columns of a nearest call's arguments.
const ARGUMENTS: usize = 40;

/// The calendar and the clock on the wall.
pub(crate) struct Clock {
    today: Date,
    zone: TimeZone,
}

impl Clock {
    pub(crate) fn now() -> Self {
        Self::at(Timestamp::now(), TimeZone::system())
    }

    fn at(now: Timestamp, zone: TimeZone) -> Self {
        let today = zone.to_datetime(now).date();
        Self { today, zone }
    }

    /// `14:02`, `yesterday 14:02`, `2026-11-20 14:02`, from milliseconds since 1970.
    fn moment(&self, at: u64) -> String {
        let at = i64::try_from(at).ok().map(Timestamp::from_millisecond);
        let Some(Ok(at)) = at else {
            return "an unknown time".to_owned();
        };
        let at = self.zone.to_datetime(at);
        let time = at.strftime("%H:%M");
        let day = at.date();
        if day == self.today {
            return time.to_string();
        }
        if self.today.yesterday().ok() == Some(day) {
            return format!("yesterday {time}");
        }
        format!("{day} {time}")
    }
}

/// One line, and below it what belongs to it.
pub(crate) fn explained(it: &MemoExplained, style: &Style, clock: &Clock) -> String {
    let (head, below) = told(it, style, clock);
    let call = format!("{}({})", it.function, text::one_line(&it.arguments));
    let word = match it.why.is_hit() {
        true => style.strong("hit"),
        false => style.warning("miss"),
    };
    // The call gives way, not what is said of it.
    let shown = text::cut(&call, style.width.max(40) / 2);
    let first = format!("{shown}: {word}, {head}");
    let mut out = style.wrapped(&first, 0, INDENT.len()) + "\n";
    for line in below {
        out.push_str(&line);
        out.push('\n');
    }
    style.spell(out)
}

fn told(it: &MemoExplained, style: &Style, clock: &Clock) -> (String, Vec<String>) {
    let mut below = Vec::new();
    let mut say = |words: String| {
        let words = style.wrapped(&words, INDENT.len(), INDENT.len());
        below.push(format!("{INDENT}{words}"));
    };
    let head = match &it.why {
        MemoWhy::There {
            in_memory,
            took,
            made,
            good_until,
        } => {
            let place = match (in_memory, it.disk, made) {
                (true, MemoDisk::Used, Some(_)) => "in memory and on disk",
                (true, ..) => "in memory",
                (false, ..) => "on disk",
            };
            let made = made.as_ref().map_or_else(String::new, |made| {
                format!(", made {}", by_whom(made, clock))
            });
            say(format!("computing it took {}", duration(*took)));
            if let Some(until) = good_until {
                say(format!("it is good until {}", clock.moment(*until)));
            }
            format!("the value is there, {place}{made}")
        }
        MemoWhy::Never { nearest, others } => {
            match it.disk {
                MemoDisk::Used => {}
                MemoDisk::Unwanted => say(
                    "its results are not on disk: each process has its own, and this looks at the local engine's"
                        .to_owned(),
                ),
                MemoDisk::Unreadable => {
                    say("the results on disk cannot be read: this looks at the local engine's alone".to_owned());
                }
            }
            if it.good_only {
                say("of its results only `Ok` and `Some` are kept".to_owned());
            }
            let head = match (nearest.is_empty(), others) {
                (_, 0) => "never computed".to_owned(),
                (true, others) => format!(
                    "never computed; {} of other arguments",
                    units::counted(*others, "results")
                ),
                (false, others) => format!(
                    "never computed; of {} the nearest arguments are",
                    units::counted(*others, "results")
                ),
            };
            let calls = nearest.iter().map(|one| {
                let arguments = text::cut(&text::one_line(&one.arguments), ARGUMENTS);
                (format!("{}({arguments})", it.function), &one.made)
            });
            let calls: Vec<_> = calls.collect();
            let widest = calls.iter().map(|(call, _)| text::width(call)).max();
            for (call, made) in &calls {
                let gap = " ".repeat(widest.unwrap_or(0) - text::width(call));
                let by = style.faint(&format!("made {}", by_whom(made, clock)));
                below.push(format!("{INDENT}{}{gap}  {by}", style.code(call)));
            }
            head
        }
        MemoWhy::Changed { changes, made } => {
            let head = match changes.split_first() {
                Some((first, rest)) => {
                    difference(first, style, &mut below);
                    for change in rest {
                        let line = format!("and {}", changed(change, made));
                        below.push(format!("{INDENT}{line}"));
                        difference(change, style, &mut below);
                    }
                    changed(first, made)
                }
                None => "it is another function than the one that computed it".to_owned(),
            };
            let by = by_whom(made, clock);
            below.push(format!("{INDENT}the earlier one has a value, made {by}"));
            head
        }
        MemoWhy::Expired { at, ttl, made } => {
            if let Some(made) = made {
                say(format!("it was made {}", by_whom(made, clock)));
            }
            let good = units::seconds(Duration::from_millis(*ttl).as_secs_f64());
            format!(
                "expired at {}: results are good for {good}",
                clock.moment(*at)
            )
        }
        MemoWhy::Dropped {
            from_memory,
            limit,
            at,
        } => {
            let when = at.map_or_else(String::new, |at| format!(" at {}", clock.moment(at)));
            let room = match from_memory {
                true => "a process keeps 64 MiB of a function's results in memory".to_owned(),
                false => {
                    let limit = units::bytes(*limit);
                    format!(
                        "results of `{}` may take {limit} on disk (`--limit`)",
                        it.function
                    )
                }
            };
            format!("dropped for space{when}: {room}")
        }
    };
    (head, below)
}

fn duration(nanoseconds: u64) -> String {
    units::duration(Duration::from_nanos(nanoseconds))
}

/// `by engine 1 of p0 in the session of yesterday 14:02`.
fn by_whom(made: &Made, clock: &Clock) -> String {
    let by = match &made.by {
        Maker::Local => "by the local engine".to_owned(),
        Maker::Thread(rank) => format!("by thread {rank} of a pool"),
        Maker::Engine { pool, rank } => format!("by engine {rank} of {pool}"),
    };
    match made.this_session {
        true => format!("{by} in this session at {}", clock.moment(made.at)),
        false => format!("{by} in the session of {}", clock.moment(made.session)),
    }
}

/// What has changed, and where.
fn changed(change: &Change, made: &Made) -> String {
    let place = match (change.cell, made.this_session) {
        (Some(cell), _) => format!("changed in {}", cell.name()),
        (None, true) => "changed".to_owned(),
        (None, false) => "is another one than in that session".to_owned(),
    };
    match &change.what {
        Changed::Body { .. } => format!("the body {place}"),
        Changed::Item { name, .. } => format!("`{name}` {place}"),
        Changed::Added { name } => format!("it uses `{name}` now"),
        Changed::Gone { name } => format!("it uses `{name}` no more"),
        Changed::Crate { name, before, now } => match (before.as_str(), now.as_str()) {
            ("", now) => format!("it uses the crate `{name}` {now} now"),
            (before, "") => format!("it uses the crate `{name}` {before} no more"),
            (before, now) => format!("another version of the crate `{name}`: {before}, now {now}"),
        },
        Changed::Rustc { before, now } => format!("another rustc: {before}, now {now}"),
    }
}

fn difference(change: &Change, style: &Style, out: &mut Vec<String>) {
    let lines = match &change.what {
        Changed::Body { lines } | Changed::Item { lines, .. } => lines,
        _ => return,
    };
    for line in lines.iter().take(MOST_LINES) {
        out.push(format!("{INDENT}{}", self::line(line, style)));
    }
    if let Some(more) = lines.len().checked_sub(MOST_LINES).filter(|more| *more > 0) {
        let more = format!("{INDENT}… {} more", units::counted(more as u64, "lines"));
        out.push(style.faint(&more));
    }
}

fn line(line: &DiffLine, style: &Style) -> String {
    let sign = match line.kind {
        DiffKind::Same => ' ',
        DiffKind::Before => '-',
        DiffKind::Now => '+',
    };
    let tabs = line.text.replace('\t', "    ");
    let room = style.width.saturating_sub(INDENT.len());
    let text = text::cut(&format!("{sign} {tabs}"), room);
    match line.kind {
        DiffKind::Same => text,
        DiffKind::Before => style.removed(&text),
        DiffKind::Now => style.added(&text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::CellId;
    use crate::outcome::Nearest;

    /// A quarter past three in the afternoon.
    fn clock() -> Clock {
        let now: Timestamp = "2026-11-28T15:15:00Z".parse().unwrap();
        Clock::at(now, TimeZone::UTC)
    }

    fn at(moment: &str) -> u64 {
        let moment: Timestamp = moment.parse().unwrap();
        moment.as_millisecond() as u64
    }

    fn made(this_session: bool) -> Made {
        Made {
            at: at("2026-11-28T15:10:00Z"),
            session: at("2026-11-27T14:02:00Z"),
            this_session,
            by: match this_session {
                true => Maker::Local,
                false => Maker::Engine {
                    pool: "p0".to_owned(),
                    rank: 1,
                },
            },
        }
    }

    fn shown(why: MemoWhy) -> String {
        let it = MemoExplained {
            function: "slow".to_owned(),
            arguments: "3, 1.0".to_owned(),
            why,
            disk: MemoDisk::Used,
            good_only: false,
        };
        explained(&it, &Style::plain(80), &clock())
    }

    fn change(what: Changed, cell: Option<u32>) -> Change {
        Change {
            what,
            cell: cell.map(CellId),
        }
    }

    #[test]
    fn moments_are_told_as_one_would_say_them() {
        let clock = clock();
        for (moment, words) in [
            ("2026-11-28T00:00:00Z", "00:00"),
            ("2026-11-27T23:59:59Z", "yesterday 23:59"),
            ("2026-11-26T14:02:00Z", "2026-11-26 14:02"),
        ] {
            assert_eq!(clock.moment(at(moment)), words);
        }
        assert_eq!(clock.moment(u64::MAX), "an unknown time");
    }

    #[test]
    fn a_hit_says_where_it_is_and_who_made_it() {
        let there = |in_memory, this_session| MemoWhy::There {
            in_memory,
            took: 1_200_000_000,
            made: Some(made(this_session)),
            good_until: None,
        };
        assert_eq!(
            shown(there(false, false)),
            "slow(3, 1.0): hit, the value is there, on disk, made by engine 1 of p0 in the session of yesterday 14:02\n  \
             computing it took 1.20 s\n"
        );
        assert_eq!(
            shown(there(true, true)),
            "slow(3, 1.0): hit, the value is there, in memory and on disk, made by the local engine in this session at 15:10\n  \
             computing it took 1.20 s\n"
        );
    }

    #[test]
    fn what_has_changed_is_shown_with_its_lines() {
        let line = |kind, text: &str| DiffLine {
            kind,
            text: text.to_owned(),
        };
        let body = Changed::Body {
            lines: vec![
                line(DiffKind::Same, "fn slow() {"),
                line(DiffKind::Before, "    1"),
                line(DiffKind::Now, "    2"),
            ],
        };
        let helper = Changed::Item {
            name: "helper".to_owned(),
            lines: vec![line(DiffKind::Now, "// why")],
        };
        let rustc = Changed::Rustc {
            before: "rustc 1.94.0".to_owned(),
            now: "rustc 1.95.0".to_owned(),
        };
        let why = MemoWhy::Changed {
            changes: vec![change(body, Some(7)), change(helper, None)],
            made: made(false),
        };
        assert_eq!(
            shown(why),
            "slow(3, 1.0): miss, the body changed in In [7]\n    fn slow() {\n  -     1\n  +     2\n  \
             and `helper` is another one than in that session\n  + // why\n  \
             the earlier one has a value, made by engine 1 of p0 in the session of yesterday 14:02\n"
        );
        let why = MemoWhy::Changed {
            changes: vec![change(rustc, None)],
            made: made(true),
        };
        assert_eq!(
            shown(why),
            "slow(3, 1.0): miss, another rustc: rustc 1.94.0, now rustc 1.95.0\n  \
             the earlier one has a value, made by the local engine in this session at 15:10\n"
        );
    }

    #[test]
    fn other_misses_have_a_line_each() {
        let nearest = |arguments: &str| Nearest {
            arguments: arguments.to_owned(),
            made: made(true),
        };
        assert_eq!(
            shown(MemoWhy::Never {
                nearest: vec![nearest("4, 1.0"), nearest("10, 1.0")],
                others: 12,
            }),
            "slow(3, 1.0): miss, never computed; of 12 results the nearest arguments are\n  \
             slow(4, 1.0)   made by the local engine in this session at 15:10\n  \
             slow(10, 1.0)  made by the local engine in this session at 15:10\n"
        );
        let never = MemoWhy::Never {
            nearest: Vec::new(),
            others: 0,
        };
        assert_eq!(shown(never), "slow(3, 1.0): miss, never computed\n");
        assert_eq!(
            shown(MemoWhy::Expired {
                at: at("2026-11-28T15:11:00Z"),
                ttl: 60_000,
                made: None,
            }),
            "slow(3, 1.0): miss, expired at 15:11: results are good for 60.0 s\n"
        );
        assert_eq!(
            shown(MemoWhy::Dropped {
                from_memory: false,
                limit: 1_000_000_000,
                at: Some(at("2026-11-27T15:11:00Z")),
            }),
            "slow(3, 1.0): miss, dropped for space at yesterday 15:11: results of `slow` may take 1.00 GB on disk (`--limit`)\n"
        );
    }
}
