//! Counts the control messages that were dropped, and logs them at a bounded rate, so that their sender cannot fill the
//! log.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::question::Refused;

const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// The messages dropped, by kind. Kinds are constants of the program, so their number is bounded.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    total: AtomicU64,
    kinds: Mutex<BTreeMap<&'static str, Kind>>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Kind {
    logged: Option<Instant>,
    unlogged: u64,
}

impl Complaints {
    /// Counts one dropped message, and logs it unless one of its kind was logged within the last second. Returns whether it
    /// was logged.
    pub(crate) fn refused(&self, kind: &'static str, refused: Refused) -> bool {
        self.total.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let dropped = {
            let mut kinds = self.kinds.lock();
            let kind = kinds.entry(kind).or_default();
            kind.unlogged += 1;
            if kind
                .logged
                .is_some_and(|at| now.saturating_duration_since(at) < LOG_INTERVAL)
            {
                return false;
            }
            kind.logged = Some(now);
            std::mem::take(&mut kind.unlogged)
        };
        tracing::warn!(kind, dropped, reason = %refused, "dropped a control message");
        true
    }

    /// How many were dropped since start.
    pub(crate) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_kind_is_logged_once_a_second() {
        let complaints = Complaints::default();
        let refused = |kind| complaints.refused(kind, Refused::Malformed);
        let after = |ms| tokio::time::advance(Duration::from_millis(ms));
        assert!(refused("a"));
        after(999).await;
        assert!(!refused("a"));
        assert!(refused("b"));
        after(1).await;
        assert!(refused("a"));
        assert_eq!(complaints.total(), 4);
    }
}
