//! Counts the control messages that were dropped, and logs them without letting their sender fill the log.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::protocol::{CHANGES, DEPARTED, DIGEST, GOODBYE, Refused, SNAPSHOT};

const KINDS: [&str; 5] = [CHANGES, DIGEST, DEPARTED, GOODBYE, SNAPSHOT];
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// Whether `kind` belongs to presence.
pub fn is_known(kind: &str) -> bool {
    KINDS.contains(&kind)
}

/// The dropped messages by kind. All unknown kinds count as one.
#[derive(Debug, Default)]
pub struct Complaints {
    total: AtomicU64,
    kinds: Mutex<[Kind; KINDS.len() + 1]>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Kind {
    logged: Option<Duration>,
    unlogged: u64,
}

impl Complaints {
    /// Counts one dropped message, and logs it unless one of its kind was logged within the last second. Returns
    /// whether it was logged.
    pub fn refused(&self, now: Duration, kind: &str, refused: Refused) -> bool {
        self.total.fetch_add(1, Ordering::Relaxed);
        let index = KINDS.iter().position(|known| *known == kind);
        let name = index
            .and_then(|index| KINDS.get(index))
            .copied()
            .unwrap_or("presence.?");
        let dropped = {
            let mut kinds = self.kinds.lock();
            let Some(kind) = kinds.get_mut(index.unwrap_or(KINDS.len())) else {
                return false;
            };
            kind.unlogged += 1;
            if kind
                .logged
                .is_some_and(|at| now.saturating_sub(at) < LOG_INTERVAL)
            {
                return false;
            }
            kind.logged = Some(now);
            std::mem::take(&mut kind.unlogged)
        };
        tracing::warn!(kind = name, dropped, reason = %refused, "dropped a control message");
        true
    }

    /// How many messages were dropped since start.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_logged_once_a_second() {
        let complaints = Complaints::default();
        let refused = |ms, kind| complaints.refused(Duration::from_millis(ms), kind, Refused::Malformed);
        assert!(refused(0, CHANGES));
        assert!(!refused(999, CHANGES));
        assert!(refused(999, "presence.evil\n"));
        assert!(!refused(999, "presence.other"));
        assert!(refused(1_000, CHANGES));
        assert_eq!(complaints.total(), 5);
    }
}
