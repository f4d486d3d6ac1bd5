//! One client's session, from CONNECT to its end. `handshake` and `state` are pure; `driver` is the async shell
//! around them; `application` handles SENDs to application destinations. Knows no HTTP except the upgrade.

use serde::{Deserialize, Serialize};

use crate::setting::{Findings, HumanDuration};

pub(crate) mod action;
pub(crate) mod anonymous;
pub(crate) mod application;
pub(crate) mod context;
pub(crate) mod driver;
pub(crate) mod end;
pub mod handshake;
pub(crate) mod input;
pub(crate) mod per_user;
pub(crate) mod rates;
pub(crate) mod recovery;
pub(crate) mod renew;
pub(crate) mod state;

/// `[heartbeat]`: the server's offer (STOMP rules B1 to B7) and how long it tolerates silence.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HeartbeatConfig {
    /// How often the server can send heart-beats. 0s means never.
    pub send: HumanDuration,
    /// How often the server wants heart-beats from the client. 0s means never.
    pub receive: HumanDuration,
    /// How long to keep a client that answers pings but sends no heart-beats.
    pub hidden_tab_grace: HumanDuration,
}

impl HeartbeatConfig {
    /// Checks that heart-beats are off, or at most one per second.
    pub fn check(&self, findings: &mut Findings) {
        for (key, value) in [("heartbeat.send", self.send), ("heartbeat.receive", self.receive)] {
            if !value.0.is_zero() && value < HumanDuration::secs(1) {
                findings.error(key, format!("expected 0s or at least 1s, got {value}"));
            }
        }
    }
}

impl Default for HeartbeatConfig {
    fn default() -> Self {
        Self {
            send: HumanDuration::secs(10),
            receive: HumanDuration::secs(10),
            hidden_tab_grace: HumanDuration::secs(300),
        }
    }
}

/// What a logged-in session costs here, in bytes: its task's future, and one subscription. For the benchmark's
/// output, so that growth is visible.
pub fn sizes() -> [(&'static str, usize); 2] {
    [
        ("the session's future, its state within", driver::future_bytes()),
        ("a subscription in the session's state", size_of::<state::Open>()),
    ]
}
