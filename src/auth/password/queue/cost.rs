//! Estimates the cost of the waiting logins, for each kind separately, since a password takes a thousand times as long
//! as a token. Knows no login and no clock.

use std::time::Duration;

/// The assumed cost of a password's hash, of a token's signature, and of a backend's answer, before one of them has
/// been computed.
const UNKNOWN: [Duration; 3] = [
    Duration::from_millis(20),
    Duration::from_micros(100),
    Duration::from_millis(50),
];
/// Slower ones raise the estimate by 1/64 of the difference; a faster one replaces it.
const RISES_BY_ONE_IN: u32 = 64;
/// Nobody is refused because of the expected wait before this many were computed: the first ones, in cold memory and on
/// cores that a storm's handshakes also need, take many times as long as later ones.
pub(super) const KNOWN_AFTER: u32 = 16;

/// What a login waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::auth) enum Kind {
    /// The hash of a password.
    Password,
    /// The signature of a token.
    Token,
    /// The answer of a backend. It is measured in wall-clock time, not CPU time; it waits in a separate queue.
    Callout,
}

/// One kind.
#[derive(Debug, Default)]
struct Estimate {
    /// The CPU time of one, estimated rather too low than too high: if the estimate is too low, a login waits in vain;
    /// if it is too high, logins are refused while cores are idle.
    time: Option<Duration>,
    /// How many were computed, up to [`KNOWN_AFTER`].
    known: u32,
    waiting: u32,
}

/// All kinds, and how many of each wait.
#[derive(Debug, Default)]
pub(super) struct Costs([Estimate; 3]);

impl Costs {
    /// Adds a waiting login.
    pub(super) fn came(&mut self, kind: Kind) {
        self.0[kind as usize].waiting += 1;
    }

    /// Removes a waiting login.
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

    /// The cost of one of this kind, if known.
    pub(super) fn of(&self, kind: Kind) -> Duration {
        self.0[kind as usize].time.unwrap_or(UNKNOWN[kind as usize])
    }

    /// The minimum cost of all waiting logins: kinds of which too few were computed do not count. `None`: none of the
    /// waiting kinds is known.
    pub(super) fn surely(&self) -> Option<Duration> {
        let known = |estimate: &Estimate| {
            let time = estimate.time.filter(|_| estimate.known == KNOWN_AFTER)?;
            Some(time.saturating_mul(estimate.waiting))
        };
        self.0.iter().filter_map(known).reduce(Duration::saturating_add)
    }

    /// The cost of half of the waiting logins.
    pub(super) fn half(&self) -> Duration {
        let all = [Kind::Password, Kind::Token, Kind::Callout];
        let halves = all.map(|kind| self.of(kind).saturating_mul(self.0[kind as usize].waiting / 2));
        halves.into_iter().fold(Duration::ZERO, Duration::saturating_add)
    }
}
