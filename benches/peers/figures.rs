//! What the table holds: medians, ratios and whether a target is reached. Pure numbers; it never measures.

/// What a ratio has to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
    /// At most so many seconds for ours; there is no peer.
    Within(f64),
    /// The peer's own figure, shown beside ours.
    Informative,
}

/// How the ratio is formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ratio {
    /// peer / ours: how many times faster ours is.
    Faster,
    /// ours / peer: what part of the peer's time ours needs.
    Share,
}

/// One line of the table. Times are in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub measure: &'static str,
    pub ours: Option<f64>,
    pub peer: Option<(f64, &'static str)>,
    pub ratio: Option<f64>,
    pub target: Target,
}

impl Row {
    /// The medians of both sides against each other.
    pub fn against(
        measure: &'static str,
        ours: &[f64],
        (peer, name): (&[f64], &'static str),
        ratio: Ratio,
        target: Target,
    ) -> Self {
        let (ours, peer) = (median(ours), median(peer));
        let ratio = match ratio {
            Ratio::Faster => peer / ours,
            Ratio::Share => ours / peer,
        };
        Self {
            measure,
            ours: Some(ours),
            peer: Some((peer, name)),
            ratio: Some(ratio),
            target,
        }
    }

    /// A time that is held against a limit of its own.
    pub fn within(measure: &'static str, ours: &[f64], seconds: f64) -> Self {
        Self {
            measure,
            ours: Some(median(ours)),
            peer: None,
            ratio: None,
            target: Target::Within(seconds),
        }
    }

    /// With the median of a peer that it is not held against.
    pub fn beside(self, (peer, name): (&[f64], &'static str)) -> Self {
        let peer = median(peer);
        Self {
            peer: Some((peer, name)),
            ratio: self.ours.map(|ours| ours / peer),
            ..self
        }
    }

    /// `None` where nothing is to be reached.
    pub fn reached(&self) -> Option<bool> {
        let ratio = self.ratio.unwrap_or(f64::NAN);
        match self.target {
            Target::AtLeast(least) => Some(ratio >= least),
            Target::AtMost(most) => Some(ratio <= most),
            Target::Within(seconds) => Some(self.ours.is_some_and(|ours| ours <= seconds)),
            Target::Informative => None,
        }
    }
}

/// The middle value, or the mean of the two in the middle; not a number when there is none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}
