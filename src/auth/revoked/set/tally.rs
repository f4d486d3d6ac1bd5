//! The number of revocations and a digest of them, in a few bytes: of all of them, and of those that last beyond a
//! moment. Pure.

use std::collections::BTreeMap;

/// The number of revocations and a digest of them: equal for equal sets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Digest {
    pub count: usize,
    pub hash: u64,
}

impl Digest {
    fn add(&mut self, mark: u64) {
        self.count = self.count.saturating_add(1);
        self.hash ^= mark;
    }

    fn take(&mut self, other: Self) {
        self.count = self.count.saturating_sub(other.count);
        self.hash ^= other.hash;
    }
}

/// The width of a step, in ms.
const STEP_MS: u64 = 30_000;
/// How much longer than now a revocation has to last to be compared, in steps: clocks may differ by this much,
/// including the time of a message on its way.
const STEPS_AHEAD: u64 = 3;

/// The end from which on two instances compare their sets: revocations that end sooner may already be removed on one of
/// them.
pub(crate) fn comparable_from_ms(now_ms: u64) -> u64 {
    (now_ms / STEP_MS)
        .saturating_add(STEPS_AHEAD)
        .saturating_mul(STEP_MS)
}

/// The digest of a set, by the ends of its entries.
#[derive(Debug, Default)]
pub(super) struct Tally {
    all: Digest,
    /// By the step of the end. Only a few are left out of a digest: the next ones to end.
    ends: BTreeMap<u64, Digest>,
}

impl Tally {
    /// Adds one with this end and this mark.
    pub(super) fn add(&mut self, until_ms: u64, mark: u64) {
        self.all.add(mark);
        self.ends.entry(until_ms / STEP_MS).or_default().add(mark);
    }

    /// Removes one.
    pub(super) fn remove(&mut self, until_ms: u64, mark: u64) {
        let one = Digest { count: 1, hash: mark };
        self.all.take(one);
        let step = until_ms / STEP_MS;
        if let Some(digest) = self.ends.get_mut(&step) {
            digest.take(one);
            if digest.count == 0 {
                self.ends.remove(&step);
            }
        }
    }

    /// Of those that end at `from_ms` or later, which is the beginning of a step.
    pub(super) fn from(&self, from_ms: u64) -> Digest {
        let mut digest = self.all;
        for sooner in self.ends.range(..from_ms / STEP_MS).map(|(_, sooner)| *sooner) {
            digest.take(sooner);
        }
        digest
    }
}
