//! What an instance delivers at the moment, by destination: samples taken while the relay works. While nobody asks, the
//! cost is one relaxed load per notification. Knows no HTTP and no session, and of a body only its length.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::destination::{Path, Target};
use crate::envelope::Envelope;

/// What is counted for one destination.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Notifications.
    pub notifications: u64,
    /// How many of them no session of this instance wanted.
    pub unmatched: u64,
    /// Bytes of their bodies.
    pub body_bytes: u64,
}

impl Count {
    fn add(&mut self, body_bytes: usize, is_matched: bool) {
        self.notifications += 1;
        self.unmatched += u64::from(!is_matched);
        self.body_bytes += body_bytes as u64;
    }
}

/// The name that notifications are counted under. All users of one path are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Destination {
    /// The path; for a user destination, without the user.
    pub path: Path,
    /// Whether it is a user destination.
    pub is_user: bool,
}

/// The result of one sample.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    /// By destination, the busiest first.
    pub destinations: Vec<(Destination, Count)>,
    /// Notifications to destinations beyond the limit on names.
    pub others: Count,
}

#[derive(Default)]
struct Counts {
    by_destination: HashMap<Destination, Count>,
    others: Count,
}

/// All samples that are being taken. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tap {
    inner: Arc<Inner>,
}

struct Inner {
    open: AtomicUsize,
    samples_max: usize,
    destinations_max: usize,
    samples: Mutex<Vec<Arc<Mutex<Counts>>>>,
}

impl Tap {
    /// Allows at most `samples` at the same time, each with at most `destinations` names.
    pub(crate) fn new(samples: usize, destinations: usize) -> Self {
        Self {
            inner: Arc::new(Inner {
                open: AtomicUsize::new(0),
                samples_max: samples,
                destinations_max: destinations,
                samples: Mutex::new(Vec::new()),
            }),
        }
    }

    /// Whether anybody is sampling. Check this before [`Tap::record`]: without samples it is a notification's only
    /// cost.
    pub(crate) fn is_open(&self) -> bool {
        self.inner.open.load(Ordering::Relaxed) > 0
    }

    /// Counts one notification in every open sample. `is_matched` says whether a session of this instance may have
    /// wanted it.
    pub(crate) fn record(&self, envelope: &Envelope, is_matched: bool) {
        for counts in self.inner.samples.lock().iter() {
            let destination = match &envelope.target {
                Target::Broadcast(path) => Destination {
                    path: path.clone(),
                    is_user: false,
                },
                Target::User { path, .. } => Destination {
                    path: path.clone(),
                    is_user: true,
                },
            };
            let mut counts = counts.lock();
            let known = counts.by_destination.len();
            let Counts {
                by_destination,
                others,
            } = &mut *counts;
            let count = match by_destination.get_mut(&destination) {
                Some(count) => count,
                None if known < self.inner.destinations_max => by_destination.entry(destination).or_default(),
                None => others,
            };
            count.add(envelope.body.len(), is_matched);
        }
    }

    /// Begins a sample that ends when the guard is dropped. Returns `None` if the maximum number of samples is being
    /// taken.
    pub(crate) fn begin(&self) -> Option<Sampling> {
        let mut samples = self.inner.samples.lock();
        if samples.len() >= self.inner.samples_max {
            return None;
        }
        let counts = Arc::<Mutex<Counts>>::default();
        samples.push(Arc::clone(&counts));
        self.inner.open.store(samples.len(), Ordering::Relaxed);
        Some(Sampling {
            tap: self.clone(),
            counts,
        })
    }
}

/// A running sample. Dropping it ends the sample and frees its memory.
pub(crate) struct Sampling {
    tap: Tap,
    counts: Arc<Mutex<Counts>>,
}

impl Sampling {
    /// Ends the sample and returns its result.
    pub(crate) fn finish(self) -> Sample {
        let counts = std::mem::take(&mut *self.counts.lock());
        let mut destinations: Vec<_> = counts.by_destination.into_iter().collect();
        destinations.sort_by(|(a, a_count), (b, b_count)| {
            (Reverse(a_count.notifications), a).cmp(&(Reverse(b_count.notifications), b))
        });
        Sample {
            destinations,
            others: counts.others,
        }
    }
}

impl Drop for Sampling {
    fn drop(&mut self) {
        let inner = &self.tap.inner;
        let mut samples = inner.samples.lock();
        samples.retain(|counts| !Arc::ptr_eq(counts, &self.counts));
        inner.open.store(samples.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::principal::UserName;

    fn broadcast(path: &str, body: &'static str) -> Envelope {
        Envelope::new(Target::Broadcast(Path::parse(path).unwrap()), body)
    }

    fn to(user: &str, path: &str) -> Envelope {
        let user = UserName::parse(user).unwrap();
        let path = Path::parse(path).unwrap();
        Envelope::new(Target::User { user, path }, "x")
    }

    #[test]
    fn a_sample_counts_by_destination_and_all_users_as_one() {
        let tap = Tap::new(4, 10);
        assert!(!tap.is_open());
        let sampling = tap.begin().unwrap();
        assert!(tap.is_open());
        tap.record(&broadcast("/queue/a", "12345"), true);
        tap.record(&to("ann", "/queue/a"), true);
        tap.record(&to("bob", "/queue/a"), false);
        let sample = sampling.finish();
        let shown: Vec<_> = sample
            .destinations
            .iter()
            .map(|(name, count)| {
                (
                    name.path.as_str(),
                    name.is_user,
                    count.notifications,
                    count.unmatched,
                    count.body_bytes,
                )
            })
            .collect();
        assert_eq!(shown, [("/queue/a", true, 2, 1, 2), ("/queue/a", false, 1, 0, 5)]);
        assert!(!tap.is_open());
    }

    #[test]
    fn names_and_samples_are_bounded() {
        let tap = Tap::new(2, 3);
        let (first, second) = (tap.begin().unwrap(), tap.begin().unwrap());
        assert!(tap.begin().is_none());
        for number in 0..10 {
            tap.record(&broadcast(&format!("/queue/{number}"), "x"), true);
        }
        tap.record(&broadcast("/queue/0", "x"), true);
        let sample = first.finish();
        assert_eq!(sample.destinations.len(), 3);
        assert_eq!(sample.destinations[0].1.notifications, 2);
        assert_eq!(sample.others.notifications, 7);
        assert!(tap.is_open() && tap.begin().is_some());
        drop(second);
        assert!(!tap.is_open());
    }
}
