//! The marks by which an instance recognizes that another instance has decided to record a notification, and not a
//! publisher who writes the same headers. Each instance has a random mark, puts it on what it records, and sends it to
//! the others on the control channel, which nobody else may use. Time is a parameter; knows no bus.
//!
//! Memory is bounded: [`MARKS_MAX`] marks, of which the least recently received is removed first.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::envelope::Mark;

/// As many as presence knows instances at most.
const MARKS_MAX: usize = 1_024;
/// How long a mark is believed that is not heard again: six times the interval at which it is told.
const BELIEVED: Duration = Duration::from_secs(60);

/// This instance's mark, and those of the others.
#[derive(Debug)]
pub(super) struct Marks {
    own: Mark,
    /// With when each was heard last. As many as there are instances, looked at once for a recorded notification.
    others: Mutex<Vec<(Mark, Instant)>>,
    /// Somebody new is there, who does not know this instance yet.
    news: Notify,
}

impl Default for Marks {
    fn default() -> Self {
        Self {
            own: Mark::random(),
            others: Mutex::default(),
            news: Notify::new(),
        }
    }
}

impl Marks {
    pub(super) fn own(&self) -> Mark {
        self.own
    }

    /// An instance has told its mark.
    pub(super) fn heard(&self, mark: Mark, now: Instant) {
        if mark == self.own {
            return;
        }
        let mut others = self.others.lock();
        if let Some((_, at)) = others.iter_mut().find(|(held, _)| *held == mark) {
            *at = now;
            return;
        }
        others.retain(|(_, at)| now.saturating_duration_since(*at) < BELIEVED);
        if others.len() >= MARKS_MAX {
            let oldest = others.iter().enumerate().min_by_key(|(_, (_, at))| *at);
            if let Some((index, _)) = oldest {
                others.swap_remove(index);
            }
        }
        others.push((mark, now));
        drop(others);
        self.news.notify_one();
    }

    /// Whether `mark` is that of an instance.
    pub(super) fn knows(&self, mark: Option<Mark>, now: Instant) -> bool {
        let Some(mark) = mark else { return false };
        let is_fresh = |at: &Instant| now.saturating_duration_since(*at) < BELIEVED;
        mark == self.own
            || self
                .others
                .lock()
                .iter()
                .any(|(held, at)| *held == mark && is_fresh(at))
    }

    /// Returns when a mark has been heard for the first time since the last call.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_mark_is_known_while_it_is_told() {
        let (marks, start) = (Marks::default(), Instant::now());
        let (other, stranger) = (Mark::random(), Mark::random());
        assert!(marks.knows(Some(marks.own()), start));
        assert!(!marks.knows(None, start) && !marks.knows(Some(other), start));
        marks.heard(other, start);
        marks.news().await;
        assert!(marks.knows(Some(other), start) && !marks.knows(Some(stranger), start));
        marks.heard(other, start + BELIEVED / 2);
        assert!(marks.knows(Some(other), start + BELIEVED));
        assert!(!marks.knows(Some(other), start + BELIEVED * 2));
        // Neither its own nor one that is known is news.
        marks.heard(marks.own(), start);
        marks.heard(other, start + BELIEVED);
        let waits = tokio::time::timeout(Duration::ZERO, marks.news()).await;
        assert!(waits.is_err());
    }

    #[test]
    fn marks_are_bounded() {
        let (marks, start) = (Marks::default(), Instant::now());
        let first = Mark::random();
        marks.heard(first, start);
        for n in 1..=MARKS_MAX {
            marks.heard(Mark::random(), start + Duration::from_millis(n as u64));
        }
        let now = start + BELIEVED / 2;
        assert_eq!(marks.others.lock().len(), MARKS_MAX);
        assert!(!marks.knows(Some(first), now));
        marks.heard(first, start + BELIEVED * 3);
        assert_eq!(marks.others.lock().len(), 1, "the others are forgotten");
    }
}
