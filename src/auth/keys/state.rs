//! Decides when an issuer's keys are fetched: on a schedule, again after a failure, and early for an unknown key, but
//! rarely. Pure: events with their time go in, actions come out. Knows no I/O, no clock and no key.
//!
//! Time is in milliseconds of any clock that does not go back; randomness is a parameter too (`dice`, any number).

use quick_cache::unsync::Cache;

/// The minimum time between two fetches for unknown keys. A name stays unknown until the next one may begin.
pub const UNKNOWN_MS: u64 = 30_000;
/// How many unknown names are remembered.
const UNKNOWN_MAX: usize = 1_024;
/// The first wait after a failure; each further failure doubles it.
const RETRY_FIRST_MS: u64 = 1_000;
/// The longest wait after a failure.
pub const RETRY_MAX_MS: u64 = 60_000;
/// The bounds for `Cache-Control: max-age`.
const MAX_AGE_MS: std::ops::RangeInclusive<u64> = 60_000..=3_600_000;

/// What to do about a token with an unknown key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnknown {
    /// Begin a fetch and wait for its answer.
    Fetch,
    /// Wait for the answer of the fetch that is in progress.
    Wait,
    /// Refuse it: the last set did not have its key.
    Refuse,
    /// It will become known after this time whether the key exists; not sooner, to spare the issuer's server.
    Later {
        /// Milliseconds.
        in_ms: u64,
    },
}

/// How a fetch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer<S> {
    /// A usable set, and how long its server says that it may be cached.
    Set {
        /// The set.
        set: S,
        /// `Cache-Control: max-age`, if there was one.
        max_age_ms: Option<u64>,
    },
    /// No answer, or no usable set.
    Failed,
}

/// The state of one issuer's fetches, and the set in force, an `S`.
#[derive(Debug)]
pub struct State<S> {
    refresh_ms: u64,
    stale_ms: u64,
    /// When the next fetch is due.
    due: u64,
    under_way: bool,
    /// Failures since the last success.
    failures: u32,
    /// When the last fetch for an unknown key began.
    last_unknown: Option<u64>,
    /// The set in force, and when it was fetched. Only a new set replaces it.
    loaded: Option<(S, u64)>,
    /// Names that the last set did not have, and until when they are refused.
    unknown: Cache<Box<str>, u64>,
}

impl<S> State<S> {
    /// Nothing has been fetched: a fetch is due at once.
    pub fn new(refresh_ms: u64, stale_ms: u64, now: u64) -> Self {
        Self {
            refresh_ms,
            stale_ms,
            due: now,
            under_way: false,
            failures: 0,
            last_unknown: None,
            loaded: None,
            unknown: Cache::new(UNKNOWN_MAX),
        }
    }

    /// When [`on_tick`](Self::on_tick) has something to do.
    pub fn due(&self) -> u64 {
        self.due
    }

    /// Whether a fetch has to begin now. The caller begins it.
    pub fn on_tick(&mut self, now: u64) -> bool {
        let begins = !self.under_way && now >= self.due;
        self.under_way |= begins;
        begins
    }

    /// A token names the key `kid` (`None`: none of the known keys fits it), which is not in the set.
    pub fn on_unknown_kid(&mut self, kid: Option<&str>, now: u64) -> OnUnknown {
        let kid = kid.unwrap_or_default();
        if self.unknown.get(kid).is_some_and(|until| now < *until) {
            return OnUnknown::Refuse;
        }
        if self.under_way {
            return OnUnknown::Wait;
        }
        match self.may_fetch_early(now) {
            true => OnUnknown::Fetch,
            false => OnUnknown::Later {
                in_ms: self.early_in_ms(now),
            },
        }
    }

    /// A signature was wrong: the key may have been replaced under the same name. Returns whether a fetch has to begin;
    /// nobody waits for it.
    pub fn on_wrong_signature(&mut self, now: u64) -> bool {
        !self.under_way && self.may_fetch_early(now)
    }

    /// The last fetch for an unknown key was for `kid`, and returned a set without it: the name is refused until the next
    /// such fetch may begin, and no longer, since the server may have the key by then.
    pub fn still_unknown(&mut self, kid: Option<&str>) {
        if let Some(began) = self.last_unknown {
            self.unknown
                .insert(kid.unwrap_or_default().into(), began + UNKNOWN_MS);
        }
    }

    /// A fetch has ended.
    pub fn on_answer(&mut self, answer: Answer<S>, now: u64, dice: u64) {
        self.under_way = false;
        let wait = match answer {
            Answer::Set { set, max_age_ms } => {
                self.failures = 0;
                self.loaded = Some((set, now));
                // Names that were unknown may be known now.
                self.unknown.clear();
                let asked = max_age_ms.map(|age| age.clamp(*MAX_AGE_MS.start(), *MAX_AGE_MS.end()));
                asked.unwrap_or(self.refresh_ms)
            }
            Answer::Failed => {
                let wait = RETRY_FIRST_MS << self.failures.min(6);
                self.failures = self.failures.saturating_add(1);
                wait.min(RETRY_MAX_MS)
            }
        };
        self.due = now + spread(wait, dice);
    }

    /// The set in force, unless it is too old to be used.
    pub fn usable(&self, now: u64) -> Option<&S> {
        let (set, at) = self.loaded.as_ref()?;
        (now.saturating_sub(*at) < self.stale_ms).then_some(set)
    }

    /// The last set, however old.
    pub fn last(&self) -> Option<&S> {
        self.loaded.as_ref().map(|(set, _)| set)
    }

    /// The age of the set in force.
    pub fn age_ms(&self, now: u64) -> Option<u64> {
        self.loaded.as_ref().map(|(_, at)| now.saturating_sub(*at))
    }

    /// After how long a fetch may begin for an unknown key.
    pub fn early_in_ms(&self, now: u64) -> u64 {
        self.last_unknown
            .map_or(0, |last| (last + UNKNOWN_MS).saturating_sub(now))
    }

    /// Begins a fetch if the last one for an unknown key is long enough ago.
    fn may_fetch_early(&mut self, now: u64) -> bool {
        let may = self.last_unknown.is_none_or(|last| now >= last + UNKNOWN_MS);
        if may {
            self.last_unknown = Some(now);
            self.under_way = true;
        }
        may
    }
}

/// `wait` ± 20 %, so that instances that started together do not keep fetching at the same moment.
fn spread(wait: u64, dice: u64) -> u64 {
    let fifth = wait / 5;
    wait - fifth + dice % (2 * fifth + 1)
}

#[cfg(test)]
mod tests;
