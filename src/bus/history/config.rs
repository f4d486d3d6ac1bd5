//! `[history]`: what is kept, and what it may cost. Knows no NATS connection and no session.

use serde::{Deserialize, Serialize};

use crate::destination::{Path, Prefixes};
use crate::envelope::Kept;
use crate::setting::{ByteSize, Findings, HumanDuration};

/// The most messages that one replay may be allowed to send.
const REPLAY_MESSAGES_MAX: usize = 100_000;
/// The least memory, so that one message of the largest usual size leaves room for others.
const TAIL_BYTES_MIN: ByteSize = ByteSize::mib(1);
/// The least and the longest time for which a repeat is known.
const DUPLICATE_WINDOW: [HumanDuration; 2] = [HumanDuration::secs(1), HumanDuration::secs(24 * 3_600)];
/// The most keys that may be known: 150 MiB of them.
const KEYS_MAX: usize = 1_000_000;

/// `[history]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether the bus keeps what it carries. `None`: the embedded bus does (in memory), NATS does not.
    pub enabled: Option<bool>,
    /// Broadcasts below these prefixes are kept. `None`: all of `destinations.broadcast_prefixes`.
    pub broadcast: Option<Vec<Path>>,
    /// Whether notifications to users are kept.
    pub user: bool,
    /// Memory for what is kept, half of it for broadcasts and half for notifications to users. `None`: 32 MiB.
    pub tail_bytes: Option<ByteSize>,
    /// The most messages that one resume replays.
    pub replay_messages: usize,
    /// The most bytes that one resume replays; one message always fits. `None`: the smaller of 512 KiB and a quarter of
    /// `limits.outbox_bytes`.
    pub replay_bytes: Option<ByteSize>,
    /// For how long a repeat with the same `Idempotency-Key` is known as one.
    pub duplicate_window: HumanDuration,
    /// The most keys that the embedded bus knows within that time.
    pub keys: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: None,
            broadcast: None,
            user: true,
            tail_bytes: None,
            replay_messages: 1_000,
            replay_bytes: None,
            duplicate_window: HumanDuration::secs(120),
            keys: 65_536,
        }
    }
}

impl Config {
    /// Whether the bus keeps anything; `is_nats`: `bus.url` is set.
    pub fn is_enabled(&self, is_nats: bool) -> bool {
        self.enabled.unwrap_or(!is_nats)
    }

    /// The prefixes whose broadcasts are kept.
    pub fn kept_prefixes<'c>(&'c self, prefixes: &'c Prefixes) -> &'c [Path] {
        self.broadcast.as_deref().unwrap_or(&prefixes.broadcast_prefixes)
    }

    /// Which destinations are kept, if any are.
    pub fn kept(&self, prefixes: &Prefixes) -> Kept {
        Kept::new(self.kept_prefixes(prefixes), self.user)
    }

    /// The bytes of memory for what is kept.
    pub fn tail_bytes(&self) -> ByteSize {
        self.tail_bytes.unwrap_or(ByteSize::mib(32))
    }

    /// The most bytes that one resume replays.
    pub fn replay_bytes(&self, outbox_bytes: ByteSize) -> ByteSize {
        let default = ByteSize((outbox_bytes.0 / 4).min(ByteSize::kib(512).0));
        self.replay_bytes.unwrap_or(default)
    }

    /// Checks the bounds, and whether the bus in use can keep anything; `is_nats`: `bus.url` is set.
    pub fn check(&self, is_nats: bool, prefixes: &Prefixes, outbox_bytes: ByteSize, findings: &mut Findings) {
        if is_nats && self.is_enabled(is_nats) {
            findings.error(
                "history.enabled",
                "history over NATS comes with a later version: expected false, or no bus.url (the embedded bus keeps history \
                 in memory)",
            );
        }
        let own: &[Path] = self.broadcast.as_deref().unwrap_or_default();
        for (index, kept) in own.iter().enumerate() {
            let key = format!("history.broadcast[{index}]");
            if !prefixes.broadcast_prefixes.contains(kept) {
                findings.error(
                    key,
                    format!("expected one of destinations.broadcast_prefixes, got {kept}"),
                );
            } else if own[..index].contains(kept) {
                findings.error(key, format!("{kept} is there twice"));
            }
        }
        findings.at_least("history.tail_bytes", self.tail_bytes(), TAIL_BYTES_MIN);
        findings.within(
            "history.replay_messages",
            self.replay_messages,
            1,
            REPLAY_MESSAGES_MAX,
        );
        let [least, longest] = DUPLICATE_WINDOW;
        findings.within("history.duplicate_window", self.duplicate_window, least, longest);
        findings.within("history.keys", self.keys, 1, KEYS_MAX);
        if let Some(bytes) = self.replay_bytes
            && (bytes.0 == 0 || bytes > outbox_bytes)
        {
            findings.error(
                "history.replay_bytes",
                format!("expected 1B to limits.outbox_bytes ({outbox_bytes}), got {bytes}"),
            );
        }
    }
}
