//! How an instance ends: phases, signals, paced closes.

use serde::{Deserialize, Serialize};

use crate::config::units::HumanDuration;

/// `[drain]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// SIGTERM to exit, at most.
    pub timeout: HumanDuration,
    /// From "not ready" until accepting stops: the balancer's time to notice.
    pub balancer_wait: HumanDuration,
    /// Over how long the sessions' closes are spread.
    pub spread: HumanDuration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            timeout: HumanDuration::secs(25),
            balancer_wait: HumanDuration::secs(2),
            spread: HumanDuration::secs(5),
        }
    }
}

/// Where an instance stands in its life. Phases only go forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Bound, not yet serving.
    Starting,
    /// Serving.
    Running,
    /// Asked to end: not ready, still accepting.
    NotReady,
    /// No longer accepting; sessions are being closed.
    Draining,
}
