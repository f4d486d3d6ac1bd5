//! What those who wait will cost: an estimate for each kind of login, since a password takes a thousand times what a token
//! does. Knows no login and no clock.

use std::time::Duration;

/// The assumed cost of a password's hash before one has been computed, of a token's signature, and of a backend's answer.
const UNKNOWN: [Duration; 3] = [
    Duration::from_millis(20),
    Duration::from_micros(100),
    Duration::from_millis(50),
];
/// Slower ones raise the estimate by 1/64 of the difference; a faster one replaces it.
const RISES_BY_ONE_IN: u32 = 64;
/// Nobody is refused because of the expected wait before this many were computed: the first ones, in cold memory and on cores
/// that a storm's handshakes also need, take many times what the next ones do.
pub(super) const KNOWN_AFTER: u32 = 16;

/// What a login waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::auth) enum Kind {
    /// The hash of a password.
    Password,
    /// The signature of a token.
    Token,
    /// The answer of a backend. Its time is the clock's, not the CPU's; it waits in a queue of its own.
    Callout,
}

/// One kind.
#[derive(Debug, Default)]
struct Estimate {
    /// The CPU time of one, estimated low rather than high: a login that waits in vain has merely waited, but one that is
    /// refused in vain leaves cores idle.
    time: Option<Duration>,
    /// How many were computed, up to [`KNOWN_AFTER`].
    known: u32,
    waiting: u32,
}

/// All kinds, and how many of each wait.
#[derive(Debug, Default)]
pub(super) struct Costs([Estimate; 3]);

impl Costs {
    /// One more waits.
    pub(super) fn came(&mut self, kind: Kind) {
        self.0[kind as usize].waiting += 1;
    }

    /// One waits no more.
    pub(super) fn left(&mut self, kind: Kind) {
        let waiting = &mut self.0[kind as usize].waiting;
        *waiting = waiting.saturating_sub(1);
    }

    /// One took this CPU time.
    pub(super) fn computed(&mut self, kind: Kind, took: Duration) {
        let estimate = &mut self.0[kind as usize];
        estimate.known = (estimate.known + 1).min(KNOWN_AFTER);
        estimate.time = Some(match estimate.time {
            Some(time) if time < took => time + (took - time) / RISES_BY_ONE_IN,
            _ => took,
        });
    }

    /// What one of this kind costs, as far as it is known.
    pub(super) fn of(&self, kind: Kind) -> Duration {
        self.0[kind as usize].time.unwrap_or(UNKNOWN[kind as usize])
    }

    /// What all who wait surely cost: kinds of which too few were computed count nothing. `None`: none of those that wait is
    /// known.
    pub(super) fn surely(&self) -> Option<Duration> {
        let known = |estimate: &Estimate| {
            let time = estimate.time.filter(|_| estimate.known == KNOWN_AFTER)?;
            Some(time.saturating_mul(estimate.waiting))
        };
        self.0.iter().filter_map(known).reduce(Duration::saturating_add)
    }

    /// What half of those who wait cost.
    pub(super) fn half(&self) -> Duration {
        let all = [Kind::Password, Kind::Token, Kind::Callout];
        let halves = all.map(|kind| self.of(kind).saturating_mul(self.0[kind as usize].waiting / 2));
        halves.into_iter().fold(Duration::ZERO, Duration::saturating_add)
    }
}
