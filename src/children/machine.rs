//! The life of one child as a pure state machine: what is to be done when its process ends, when it is told to end, and
//! when time has passed. It starts and signals nothing itself.

use std::time::{Duration, Instant};

use crate::outcome::{ChildEnd, ChildState};

/// Whether a child whose process has ended by itself is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restart {
    #[default]
    Never,
    Always,
    /// When it failed, at most so many times.
    OnFailure(Option<u32>),
}

/// The first wait before a restart. Each further one is twice as long, up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A process that has run so long came up well: the next wait is the first again.
const CAME_UP: Duration = Duration::from_secs(10);

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The next process is started after a while; it is restart `number`.
    Restart { after: Duration, number: u32 },
    /// It is over. `spent`: its restarts are used up, and how many there were.
    Over { spent: Option<u32> },
    /// It was told to end, and has.
    Stopped { killed: bool },
}

/// What has become due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    Start,
    /// It does not end although it was told to.
    Kill,
}

/// How a child that is told to end is told so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Its processes get SIGTERM; what of them is left is killed after the grace.
    Tell,
    /// It waits for its restart, which does not come.
    AtOnce,
    /// It is over, or has been told before.
    Nothing,
}

#[derive(Clone, Debug)]
pub struct Machine {
    restart: Restart,
    state: ChildState,
    /// How often it was started again.
    restarts: u32,
    /// Waits since a process last came up well.
    waits: u32,
    /// When its process was started.
    since: Instant,
    /// When the state has something to do.
    at: Option<Instant>,
    killed: bool,
}

impl Machine {
    /// Its first process has just started.
    pub fn new(restart: Restart, now: Instant) -> Self {
        Self {
            restart,
            state: ChildState::Running,
            restarts: 0,
            waits: 0,
            since: now,
            at: None,
            killed: false,
        }
    }

    pub fn state(&self) -> ChildState {
        self.state
    }

    pub fn restarts(&self) -> u32 {
        self.restarts
    }

    /// How many restarts there can be.
    pub fn most(&self) -> Option<u32> {
        match self.restart {
            Restart::OnFailure(most) => most,
            Restart::Never | Restart::Always => None,
        }
    }

    /// When [`Machine::due`] has something to say.
    pub fn at(&self) -> Option<Instant> {
        self.at
    }

    /// Its process has ended, and nothing else of it that was told to end is left.
    pub fn ended(&mut self, end: ChildEnd, now: Instant) -> Next {
        if self.state == ChildState::Stopping {
            self.state = ChildState::Stopped(end);
            self.at = None;
            return Next::Stopped {
                killed: self.killed,
            };
        }
        let wanted = match self.restart {
            Restart::Never => false,
            Restart::Always => true,
            Restart::OnFailure(_) => !end.is_ok(),
        };
        let spent = self.spent();
        if !wanted || spent.is_some() {
            self.state = ChildState::Ended(end);
            return Next::Over {
                spent: spent.filter(|most| wanted && *most > 0),
            };
        }
        if now.saturating_duration_since(self.since) >= CAME_UP {
            self.waits = 0;
        }
        self.again(end, now)
    }

    /// How many restarts there were, when all are used up.
    fn spent(&self) -> Option<u32> {
        self.most().filter(|most| self.restarts >= *most)
    }

    fn again(&mut self, end: ChildEnd, now: Instant) -> Next {
        let after = wait(self.waits);
        self.waits += 1;
        self.state = ChildState::Restarting(end);
        self.at = now.checked_add(after);
        Next::Restart {
            after,
            number: self.restarts + 1,
        }
    }

    /// Whether another process may follow the one that has just ended.
    pub fn may_restart(&self) -> bool {
        self.state == ChildState::Running && self.restart != Restart::Never
    }

    /// Its next process has started.
    pub fn started(&mut self, now: Instant) {
        self.state = ChildState::Running;
        self.since = now;
        self.at = None;
        self.restarts += 1;
    }

    /// Its next process cannot be started, which may be over soon: its file is being written, there are too many
    /// processes. That was a restart too.
    pub fn not_started(&mut self, now: Instant) -> Next {
        self.restarts += 1;
        match (self.state, self.spent()) {
            (ChildState::Restarting(end), None) => self.again(end, now),
            (_, spent) => {
                self.state = ChildState::Lost;
                self.at = None;
                Next::Over { spent }
            }
        }
    }

    /// It is told to end within `grace`.
    pub fn stop(&mut self, now: Instant, grace: Duration) -> Stop {
        let at = now.checked_add(grace);
        match self.state {
            ChildState::Running => {
                self.state = ChildState::Stopping;
                self.at = at;
                Stop::Tell
            }
            ChildState::Restarting(end) => {
                self.state = ChildState::Stopped(end);
                self.at = None;
                Stop::AtOnce
            }
            // Whoever asks again may be less patient.
            ChildState::Stopping => {
                self.at = match (self.at, at) {
                    (Some(one), Some(other)) => Some(one.min(other)),
                    (one, other) => one.or(other),
                };
                Stop::Nothing
            }
            ChildState::Ended(_) | ChildState::Stopped(_) | ChildState::Lost => Stop::Nothing,
        }
    }

    /// What is to be done by now; killing again and again until it has ended.
    pub fn due(&mut self, now: Instant) -> Option<Due> {
        self.at.filter(|at| *at <= now)?;
        match self.state {
            ChildState::Restarting(_) => Some(Due::Start),
            ChildState::Stopping => {
                self.killed = true;
                Some(Due::Kill)
            }
            _ => None,
        }
    }
}

fn wait(waits: u32) -> Duration {
    let factor = 2_u32.checked_pow(waits).unwrap_or(u32::MAX);
    FIRST_WAIT.saturating_mul(factor).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: ChildEnd = ChildEnd::Exit(0);
    const FAILED: ChildEnd = ChildEnd::Exit(3);
    const KILLED: ChildEnd = ChildEnd::Signal(9);
    const SECOND: Duration = Duration::from_secs(1);

    fn machine(restart: Restart) -> (Machine, Instant) {
        let now = Instant::now();
        (Machine::new(restart, now), now)
    }

    fn over(spent: Option<u32>) -> Next {
        Next::Over { spent }
    }

    #[test]
    fn without_a_policy_an_end_is_the_end() {
        for end in [OK, FAILED, KILLED] {
            let (mut child, now) = machine(Restart::Never);
            assert_eq!(child.ended(end, now + SECOND), over(None));
            assert_eq!(child.state(), ChildState::Ended(end));
            assert_eq!(child.at(), None);
            assert_eq!(child.stop(now, SECOND), Stop::Nothing);
        }
    }

    #[test]
    fn a_failure_is_tried_again_until_its_restarts_are_used_up() {
        let (mut child, mut now) = machine(Restart::OnFailure(Some(2)));
        for (number, wait) in [(1, 100), (2, 200)] {
            let after = Duration::from_millis(wait);
            assert_eq!(child.ended(FAILED, now), Next::Restart { after, number });
            assert_eq!(child.state(), ChildState::Restarting(FAILED));
            assert_eq!(child.due(now), None, "it waits");
            now += after;
            assert_eq!(child.due(now), Some(Due::Start));
            child.started(now);
            assert_eq!((child.restarts(), child.due(now + SECOND)), (number, None));
        }
        assert_eq!(child.ended(KILLED, now), over(Some(2)));
        assert_eq!(child.state(), ChildState::Ended(KILLED));
    }

    #[test]
    fn what_went_well_is_started_again_only_when_always_is_said() {
        let (mut child, now) = machine(Restart::OnFailure(None));
        assert_eq!(child.ended(OK, now), over(None));
        let (mut child, now) = machine(Restart::OnFailure(Some(0)));
        assert_eq!(child.ended(FAILED, now), over(None));
        let (mut child, now) = machine(Restart::Always);
        assert!(matches!(
            child.ended(OK, now),
            Next::Restart { number: 1, .. }
        ));
    }

    #[test]
    fn waits_double_up_to_a_minute_and_begin_anew_after_a_long_run() {
        let (mut child, mut now) = machine(Restart::Always);
        let mut waits = Vec::new();
        for _ in 0..40 {
            let Next::Restart { after, .. } = child.ended(OK, now) else {
                panic!("it is always started again");
            };
            waits.push(after.as_millis());
            now += after;
            child.started(now);
        }
        assert_eq!(waits[..5], [100, 200, 400, 800, 1600]);
        assert_eq!(waits[39], 60_000);
        now += CAME_UP;
        assert!(matches!(
            child.ended(FAILED, now),
            Next::Restart {
                after: FIRST_WAIT,
                number: 41
            }
        ));
    }

    #[test]
    fn a_clock_that_stands_still_or_goes_back_harms_nothing() {
        let (mut child, now) = machine(Restart::Always);
        child.started(now + SECOND);
        assert!(matches!(child.ended(OK, now), Next::Restart { .. }));
    }

    #[test]
    fn who_is_told_to_end_is_killed_after_the_grace_and_never_started_again() {
        let (mut child, now) = machine(Restart::Always);
        assert_eq!(child.stop(now, SECOND), Stop::Tell);
        assert_eq!(child.state(), ChildState::Stopping);
        assert_eq!(child.due(now), None);
        assert_eq!(child.due(now + SECOND), Some(Due::Kill));
        assert_eq!(child.due(now + 2 * SECOND), Some(Due::Kill), "again");
        let killed = Next::Stopped { killed: true };
        assert_eq!(child.ended(KILLED, now + 2 * SECOND), killed);
        assert_eq!(child.state(), ChildState::Stopped(KILLED));
        assert_eq!(child.due(now + 9 * SECOND), None);

        let (mut child, now) = machine(Restart::Always);
        assert_eq!(child.stop(now, SECOND), Stop::Tell);
        let told = Next::Stopped { killed: false };
        assert_eq!(child.ended(ChildEnd::Signal(15), now), told);
    }

    #[test]
    fn asking_again_shortens_the_grace_and_never_lengthens_it() {
        let (mut child, now) = machine(Restart::Never);
        child.stop(now, 5 * SECOND);
        assert_eq!(child.stop(now, 9 * SECOND), Stop::Nothing);
        assert_eq!(child.at(), Some(now + 5 * SECOND));
        child.stop(now, Duration::ZERO);
        assert_eq!(child.due(now), Some(Due::Kill));
    }

    #[test]
    fn a_child_that_waits_for_its_restart_stops_at_once() {
        let (mut child, now) = machine(Restart::Always);
        child.ended(FAILED, now);
        assert_eq!(child.stop(now, SECOND), Stop::AtOnce);
        assert_eq!(child.state(), ChildState::Stopped(FAILED));
        assert_eq!(child.due(now + 99 * SECOND), None);
    }

    #[test]
    fn what_cannot_be_started_again_is_tried_until_its_restarts_are_used_up() {
        let (mut child, now) = machine(Restart::Always);
        // However long the last process ran, each try waits for longer.
        child.ended(FAILED, now + CAME_UP);
        for (number, wait) in [(2, 200), (3, 400), (4, 800)] {
            let after = Duration::from_millis(wait);
            let later = now + CAME_UP + CAME_UP;
            assert_eq!(child.not_started(later), Next::Restart { after, number });
            assert_eq!(child.due(later + after), Some(Due::Start));
        }
        child.started(now);
        assert_eq!((child.state(), child.restarts()), (ChildState::Running, 4));

        let (mut child, now) = machine(Restart::OnFailure(Some(2)));
        child.ended(FAILED, now);
        assert!(matches!(child.not_started(now), Next::Restart { .. }));
        assert_eq!(child.stop(now, SECOND), Stop::AtOnce, "while it waits");
        let (mut child, now) = machine(Restart::OnFailure(Some(1)));
        child.ended(FAILED, now);
        assert_eq!(child.not_started(now), over(Some(1)));
        assert_eq!(child.state(), ChildState::Lost);
        assert!(child.state().is_over() && !child.state().is_ok());
        assert_eq!(child.due(now + 99 * SECOND), None);
    }
}
