//! Which engines of a pool: `all`, `2`, `0,2`, `1:3`, `::2`, `-1`, by the rules of Python's indices and
//! slices, as ipyparallel's users know them. It must never know more of a pool than its size.

use std::fmt;
use std::str::FromStr;

use crate::ids::Rank;

/// Some engines of a pool, by number; which ones they are depends on the pool's size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    All,
    Index(i64),
    Slice {
        start: Option<i64>,
        end: Option<i64>,
        step: Option<i64>,
    },
}

/// Targets that can't be read, or that a pool doesn't have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    #[error("`{part}` is no target: targets are written `all`, `2`, `0,2`, `1:3`, `::2` or `-1`")]
    Syntax { part: String },
    #[error("the step of the slice `{part}` can't be 0")]
    ZeroStep { part: String },
    #[error("engine {index} doesn't exist: the pool has {}", engines(*.size))]
    NoSuchEngine { index: i64, size: u32 },
    #[error("`{targets}` selects no engine: the pool has {}", engines(*.size))]
    Empty { targets: String, size: u32 },
}

fn engines(size: u32) -> String {
    match size {
        0 => "no engines".to_owned(),
        1 => "1 engine, 0".to_owned(),
        _ => format!("{size} engines, 0 to {}", size - 1),
    }
}

impl Targets {
    /// Every engine of the pool.
    pub fn all() -> Self {
        Self(vec![Part::All])
    }

    /// These engines.
    pub fn of(ranks: &[Rank]) -> Self {
        let index = |rank: &Rank| Part::Index(rank.0.into());
        Self(ranks.iter().map(index).collect())
    }

    /// The engines of a pool of `size`, in the order in which they are named, each once.
    ///
    /// # Errors
    /// When a single engine that is named doesn't exist, or no engine is selected at all. Slices are
    /// clipped to the pool, as Python's are.
    pub fn resolve(&self, size: u32) -> Result<Vec<Rank>, TargetError> {
        let mut ranks = Vec::new();
        let mut taken = vec![false; size as usize];
        for part in &self.0 {
            for rank in part.resolve(size)? {
                // Out of a pool's range nothing is left after `Part::resolve`.
                if let Some(taken) = taken.get_mut(rank as usize)
                    && !std::mem::replace(taken, true)
                {
                    ranks.push(Rank(rank));
                }
            }
        }
        if ranks.is_empty() {
            return Err(TargetError::Empty {
                targets: self.to_string(),
                size,
            });
        }
        Ok(ranks)
    }
}

impl Part {
    fn resolve(&self, size: u32) -> Result<Vec<u32>, TargetError> {
        let length = i64::from(size);
        match *self {
            Self::All => Ok((0..size).collect()),
            Self::Index(index) => {
                let from_front = if index < 0 {
                    index.saturating_add(length)
                } else {
                    index
                };
                u32::try_from(from_front)
                    .ok()
                    .filter(|rank| *rank < size)
                    .map(|rank| vec![rank])
                    .ok_or(TargetError::NoSuchEngine { index, size })
            }
            Self::Slice { start, end, step } => {
                let step = step.unwrap_or(1);
                // Python's `slice.indices`: a backward slice runs from the last element to before the first.
                let (low, high) = if step > 0 {
                    (0, length)
                } else {
                    (-1, length - 1)
                };
                let clip = |index: i64| {
                    let index = if index < 0 {
                        index.saturating_add(length)
                    } else {
                        index
                    };
                    index.clamp(low, high)
                };
                let start = start.map_or(if step > 0 { low } else { high }, clip);
                let end = end.map_or(if step > 0 { high } else { low }, clip);
                let mut ranks = Vec::new();
                let mut next = start;
                while if step > 0 { next < end } else { next > end } {
                    ranks.extend(u32::try_from(next));
                    next = next.saturating_add(step);
                }
                Ok(ranks)
            }
        }
    }
}

impl FromStr for Targets {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let listed = text
            .trim()
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        listed
            .unwrap_or(text)
            .split(',')
            .map(|part| part.trim().parse())
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl FromStr for Part {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let syntax = || TargetError::Syntax {
            part: text.to_owned(),
        };
        let number = |text: &str| text.trim().parse::<i64>().map_err(|_| syntax());
        if text == "all" {
            return Ok(Self::All);
        }
        if !text.contains(':') {
            return number(text).map(Self::Index);
        }
        let mut bounds = [None; 3];
        for (nth, bound) in text.split(':').enumerate() {
            let slot = bounds.get_mut(nth).ok_or_else(syntax)?;
            if !bound.trim().is_empty() {
                *slot = Some(number(bound)?);
            }
        }
        let [start, end, step] = bounds;
        if step == Some(0) {
            return Err(TargetError::ZeroStep {
                part: text.to_owned(),
            });
        }
        Ok(Self::Slice { start, end, step })
    }
}

impl fmt::Display for Targets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, part) in self.0.iter().enumerate() {
            if nth > 0 {
                f.write_str(",")?;
            }
            part.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Index(index) => write!(f, "{index}"),
            Self::Slice { start, end, step } => {
                let bound = |bound: &Option<i64>| bound.map_or(String::new(), |b| b.to_string());
                write!(f, "{}:{}", bound(start), bound(end))?;
                step.map_or(Ok(()), |step| write!(f, ":{step}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    fn resolve(targets: &str, size: u32) -> Result<Vec<u32>, String> {
        let targets: Targets = targets
            .parse()
            .map_err(|error: TargetError| error.to_string())?;
        let ranks = targets.resolve(size).map_err(|error| error.to_string())?;
        Ok(ranks.into_iter().map(|rank| rank.0).collect())
    }

    #[test]
    fn targets_follow_pythons_rules() {
        for (targets, ranks) in [
            ("all", vec![0, 1, 2, 3, 4]),
            ("2", vec![2]),
            ("0,2", vec![0, 2]),
            ("1:3", vec![1, 2]),
            ("::2", vec![0, 2, 4]),
            ("-1", vec![4]),
            ("-3:", vec![2, 3, 4]),
            (":-3", vec![0, 1]),
            (":", vec![0, 1, 2, 3, 4]),
            ("::-1", vec![4, 3, 2, 1, 0]),
            ("3:0:-2", vec![3, 1]),
            ("-1:-4:-1", vec![4, 3, 2]),
            ("3:99", vec![3, 4]),
            ("-99:2", vec![0, 1]),
            ("99::-3", vec![4, 1]),
            ("4, 0:2 ,1,-5,all", vec![4, 0, 1, 2, 3]),
            ("3:3,1", vec![1]),
            ("2,0", vec![2, 0]),
            ("[0,2]", vec![0, 2]),
            (" [3, 0:2] ", vec![3, 0, 1]),
            ("0::9223372036854775807", vec![0]),
            ("::-9223372036854775808", vec![4]),
        ] {
            assert_eq!(resolve(targets, 5), Ok(ranks), "{targets}");
        }
    }

    #[test]
    fn what_a_pool_does_not_have_is_named() {
        for (targets, size, message) in [
            (
                "7",
                4,
                "engine 7 doesn't exist: the pool has 4 engines, 0 to 3",
            ),
            (
                "-5",
                4,
                "engine -5 doesn't exist: the pool has 4 engines, 0 to 3",
            ),
            ("0,1", 1, "engine 1 doesn't exist: the pool has 1 engine, 0"),
            (
                "3:3",
                4,
                "`3:3` selects no engine: the pool has 4 engines, 0 to 3",
            ),
            ("all", 0, "`all` selects no engine: the pool has no engines"),
            ("1::0", 4, "the step of the slice `1::0` can't be 0"),
        ] {
            assert_eq!(resolve(targets, size), Err(message.to_owned()), "{targets}");
        }
    }

    #[test]
    fn what_is_no_target_is_told() {
        for (targets, part) in [
            ("", ""),
            ("0,", ""),
            ("a", "a"),
            ("0,x:1", "x:1"),
            ("1:2:3:4", "1:2:3:4"),
            ("1.5", "1.5"),
            ("0..2", "0..2"),
            ("99999999999999999999", "99999999999999999999"),
            ("1 2", "1 2"),
            ("[0,1", "[0"),
            ("[]", ""),
        ] {
            let error = TargetError::Syntax {
                part: part.to_owned(),
            };
            assert_eq!(targets.parse::<Targets>(), Err(error), "{targets}");
        }
    }

    #[test]
    fn targets_are_shown_as_they_are_written() {
        for text in [
            "all", "2", "0,2", "1:3", "::2", "-1", "-3:", "::-1", "0,all,:2",
        ] {
            assert_eq!(
                text.parse::<Targets>().map(|t| t.to_string()),
                Ok(text.to_owned())
            );
        }
    }
}
