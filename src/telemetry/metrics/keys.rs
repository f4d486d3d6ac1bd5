//! Requests with an API key, by the key's name: few and known names, since they are configured. Knows no request.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::RwLock;
use prometheus::IntCounterVec;

/// Names that have series of their own. A keys file may be replaced again and again: what comes later shares [`OTHERS`].
const NAMES_MAX: usize = 100;
/// The key of a request with one that does not exist.
const UNKNOWN: &str = "unknown";
/// The keys beyond [`NAMES_MAX`].
const OTHERS: &str = "other";

/// Counts them; cheap to clone.
#[derive(Clone)]
pub struct KeyRequests {
    counters: IntCounterVec,
    names: Arc<RwLock<HashSet<Box<str>>>>,
}

impl KeyRequests {
    /// In `counters`, by `key` and `result`.
    pub(super) fn new(counters: IntCounterVec) -> Self {
        let requests = Self {
            counters,
            names: Arc::default(),
        };
        requests.show(UNKNOWN);
        requests
    }

    /// Counts a request with the key `name`, or with one that does not exist, and its answer's status.
    pub fn count(&self, name: Option<&str>, status: u16) {
        let result = match status {
            ..400 => "ok",
            400..500 => "refused",
            500.. => "error",
        };
        let key = name.map_or(UNKNOWN, |name| if self.is_known(name) { name } else { OTHERS });
        self.counters.with_label_values(&[key, result]).inc();
    }

    fn is_known(&self, name: &str) -> bool {
        if self.names.read().contains(name) {
            return true;
        }
        let mut names = self.names.write();
        if names.len() >= NAMES_MAX {
            return names.contains(name);
        }
        if names.insert(name.into()) {
            self.show(name);
        }
        true
    }

    /// A rate over a series that appears with its first event misses that event.
    fn show(&self, key: &str) {
        for result in ["ok", "refused", "error"] {
            self.counters.with_label_values(&[key, result]);
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus::Opts;

    use super::*;

    #[test]
    fn keys_are_counted_by_name_and_few_have_one() {
        let counters = IntCounterVec::new(Opts::new("n", "h"), &["key", "result"]).unwrap();
        let requests = KeyRequests::new(counters.clone());
        let count = |key, result| counters.with_label_values(&[key, result]).get();
        requests.count(Some("ops"), 202);
        requests.count(Some("ops"), 429);
        requests.count(Some("ops"), 503);
        requests.count(None, 401);
        assert_eq!(
            ["ok", "refused", "error"].map(|result| count("ops", result)),
            [1, 1, 1]
        );
        assert_eq!(count(UNKNOWN, "refused"), 1);
        for number in 0..2 * NAMES_MAX {
            requests.count(Some(&format!("k{number}")), 200);
        }
        assert_eq!(count(OTHERS, "ok"), NAMES_MAX as u64 + 1);
        requests.count(Some("ops"), 200);
        assert_eq!(count("ops", "ok"), 2);
    }
}
