//! `[history]`: what is kept, for how long, and within which limits. Knows no NATS connection and no session.
//!
//! A setting that has no effect with the bus in use is an error, since its author expects an effect. A value that
//! equals its default is accepted.

use std::fmt;
use std::path::{Path as FsPath, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::destination::{Path, Prefixes};
use crate::envelope::Kept;
use crate::setting::{ByteSize, Findings, HumanDuration, as_text};

/// The most direct gets at once, and publishes that wait for their acknowledgement.
const READS_MAX: usize = 1_024;
const PUBLISHES_MAX: usize = 65_536;
/// The most messages that one replay may be allowed to send.
const REPLAY_MESSAGES_MAX: usize = 100_000;
/// The most bytes.
const REPLAY_BYTES_MAX: ByteSize = ByteSize::mib(256);
/// Of it all is gone through for a resume that reaches so far back.
const INDEX_BYTES_MAX: ByteSize = ByteSize::mib(256);
/// The least and the longest time for which a repeat is known.
const DUPLICATE_WINDOW: [HumanDuration; 2] = [HumanDuration::secs(1), HumanDuration::secs(24 * 3_600)];
/// The most keys that may be known: 150 MiB of them.
const KEYS_MAX: usize = 1_000_000;
/// The least bytes of a stream, so that one message of the largest size leaves room for others.
const STREAM_BYTES_MIN: ByteSize = ByteSize::mib(1);
/// What the bytes of publishes that wait for their acknowledgement are bounded by, beside `history.publishes`.
pub(crate) const PUBLISHES_BYTES: ByteSize = ByteSize::mib(64);

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
    /// How long broadcasts are kept.
    pub broadcast_age: HumanDuration,
    /// The most bytes of broadcasts that are kept.
    pub broadcast_bytes: ByteSize,
    /// How long notifications to users are kept.
    pub user_age: HumanDuration,
    /// The most bytes of notifications to users that are kept.
    pub user_bytes: ByteSize,
    /// Where NATS stores the streams.
    pub storage: Storage,
    /// On how many NATS servers each stream is stored.
    pub replicas: Replicas,
    /// Whether Herald creates and updates the streams. `false`: they must be there and fit.
    pub manage: bool,
    /// The JetStream domain.
    pub domain: Option<Domain>,
    /// The file that the embedded bus keeps its history in. `None`: in memory alone.
    pub path: Option<FilePath>,
    /// Memory for the newest messages, half of it for broadcasts and half for notifications to users. `None`: 32 MiB with the
    /// embedded bus, whose history it is; 64 MiB with NATS, where most resumes find there what they missed.
    pub tail_bytes: Option<ByteSize>,
    /// Memory for whose the messages in front of those in memory are, half of it for broadcasts and half for users; 0: none.
    pub index_bytes: ByteSize,
    /// The most messages that one resume replays.
    pub replay_messages: usize,
    /// The most bytes that one resume replays; one message always fits. `None`: the larger of 4 MiB and twice
    /// `limits.outbox_bytes`, so that a slow consumer, which has missed an outbox and what came since, may resume.
    pub replay_bytes: Option<ByteSize>,
    /// For how long a repeat with the same `Idempotency-Key` is known as one.
    pub duplicate_window: HumanDuration,
    /// The most keys that the embedded bus knows within that time.
    pub keys: usize,
    /// How many resumes read from NATS at the same time.
    pub reads: usize,
    /// How long a publish may wait until it is stored.
    pub publish_timeout: HumanDuration,
    /// How many publishes may wait until they are stored. Beyond it a publish is refused at once.
    pub publishes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: None,
            broadcast: None,
            user: true,
            broadcast_age: HumanDuration::secs(3_600),
            broadcast_bytes: ByteSize::mib(256),
            user_age: HumanDuration::secs(86_400),
            user_bytes: ByteSize::mib(1_024),
            storage: Storage::default(),
            replicas: Replicas::default(),
            manage: true,
            domain: None,
            path: None,
            tail_bytes: None,
            index_bytes: ByteSize::mib(8),
            replay_messages: 10_000,
            replay_bytes: None,
            duplicate_window: HumanDuration::secs(120),
            keys: 65_536,
            reads: 8,
            publish_timeout: HumanDuration::secs(10),
            publishes: 4_096,
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

    /// The bytes of memory for the newest messages, half of them for broadcasts and half for notifications to users.
    pub fn tail_bytes(&self, is_nats: bool) -> ByteSize {
        let default = if is_nats { 64 } else { 32 };
        self.tail_bytes.unwrap_or(ByteSize::mib(default))
    }

    /// The most bytes that one resume replays.
    pub fn replay_bytes(&self, outbox_bytes: ByteSize) -> ByteSize {
        let default = ByteSize(outbox_bytes.0.saturating_mul(2)).max(ByteSize::mib(4));
        self.replay_bytes.unwrap_or(default)
    }

    /// Checks the bounds, and that every setting means something for the bus in use.
    pub fn check(&self, is_nats: bool, prefixes: &Prefixes, findings: &mut Findings) {
        self.check_meaning(is_nats, findings);
        for (index, kept) in self.broadcast.iter().flatten().enumerate() {
            let key = format!("history.broadcast[{index}]");
            if !prefixes.broadcast_prefixes.contains(kept) {
                findings.error(
                    key,
                    format!("expected one of destinations.broadcast_prefixes, got {kept}"),
                );
            } else if self
                .broadcast
                .iter()
                .flatten()
                .take(index)
                .any(|other| other == kept)
            {
                findings.error(key, format!("{kept} is there twice"));
            }
        }
        findings.positive("history.broadcast_age", self.broadcast_age);
        findings.positive("history.user_age", self.user_age);
        findings.positive("history.publish_timeout", self.publish_timeout);
        findings.at_least("history.broadcast_bytes", self.broadcast_bytes, STREAM_BYTES_MIN);
        findings.at_least("history.user_bytes", self.user_bytes, STREAM_BYTES_MIN);
        findings.at_least("history.tail_bytes", self.tail_bytes(is_nats), STREAM_BYTES_MIN);
        if self.index_bytes > INDEX_BYTES_MAX {
            findings.error(
                "history.index_bytes",
                format!("expected 0B to {INDEX_BYTES_MAX}, got {}", self.index_bytes),
            );
        }
        findings.within(
            "history.replay_messages",
            self.replay_messages,
            1,
            REPLAY_MESSAGES_MAX,
        );
        let [least, longest] = DUPLICATE_WINDOW;
        findings.within("history.duplicate_window", self.duplicate_window, least, longest);
        findings.within("history.keys", self.keys, 1, KEYS_MAX);
        findings.within("history.reads", self.reads, 1, READS_MAX);
        findings.within("history.publishes", self.publishes, 1, PUBLISHES_MAX);
        if let Some(bytes) = self.replay_bytes
            && (bytes.0 == 0 || bytes > REPLAY_BYTES_MAX)
        {
            findings.error(
                "history.replay_bytes",
                format!("expected 1B to {REPLAY_BYTES_MAX}, got {bytes}"),
            );
        }
        if !is_nats && self.path.is_none() {
            return;
        }
        let least = HumanDuration(self.publish_timeout.0.saturating_mul(2));
        if self.duplicate_window < least {
            findings.error(
                "history.duplicate_window",
                format!("expected at least twice history.publish_timeout, which is {least}: a repeat must be known as one"),
            );
        }
        if !self.user && self.kept_prefixes(prefixes).is_empty() && self.is_enabled(is_nats) {
            findings.error(
                "history.enabled",
                "nothing is kept: history.user is false and history.broadcast is empty",
            );
        }
    }

    fn check_meaning(&self, is_nats: bool, findings: &mut Findings) {
        if self.path.is_some() && (is_nats || !self.is_enabled(is_nats)) {
            findings.error(
                "history.path",
                match is_nats {
                    true => "means nothing over NATS, which has a storage of its own: it is for the embedded bus, and bus.url is set",
                    false => "means nothing without history: history.enabled is false",
                },
            );
        }
        if is_nats {
            return;
        }
        let default = Self::default();
        let of_nats = [
            ("storage", self.storage != default.storage),
            ("replicas", self.replicas != default.replicas),
            ("manage", self.manage != default.manage),
            ("domain", self.domain.is_some()),
            ("index_bytes", self.index_bytes != default.index_bytes),
        ];
        let of_a_store = [
            ("reads", self.reads != default.reads),
            ("publish_timeout", self.publish_timeout != default.publish_timeout),
            ("publishes", self.publishes != default.publishes),
            ("broadcast_age", self.broadcast_age != default.broadcast_age),
            ("broadcast_bytes", self.broadcast_bytes != default.broadcast_bytes),
            ("user_age", self.user_age != default.user_age),
            ("user_bytes", self.user_bytes != default.user_bytes),
        ];
        for (name, is_set) in of_nats {
            if is_set {
                findings.error(
                    format!("history.{name}"),
                    "means nothing for the embedded bus: it is for NATS, and bus.url is not set",
                );
            }
        }
        for (name, is_set) in of_a_store {
            if is_set && self.path.is_none() {
                findings.error(
                    format!("history.{name}"),
                    "means nothing for a history in memory: it is for NATS or a file, and neither bus.url nor history.path \
                     is set",
                );
            }
        }
    }
}

/// `history.storage`: where NATS keeps a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Storage {
    /// On disk.
    #[default]
    File,
    /// In memory: gone when the servers that hold it are. Reads by subject are linear, so only for some 100,000 messages.
    Memory,
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::Memory => "memory",
        })
    }
}

impl FromStr for Storage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "file" => Ok(Self::File),
            "memory" => Ok(Self::Memory),
            _ => Err(format!("expected file or memory, got {text:?}")),
        }
    }
}

as_text!(Storage);

/// `history.replicas`: 1, 3 or 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Replicas(u8);

impl Default for Replicas {
    fn default() -> Self {
        Self(1)
    }
}

impl TryFrom<u8> for Replicas {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        match number {
            1 | 3 | 5 => Ok(Self(number)),
            _ => Err(format!("expected 1, 3 or 5, got {number}")),
        }
    }
}

impl From<Replicas> for u8 {
    fn from(replicas: Replicas) -> u8 {
        replicas.0
    }
}

/// `history.domain`: a JetStream domain, one NATS token of 1 to 64 letters, digits, `-` and `_`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain(Box<str>);

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Domain {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        match (1..=64).contains(&text.len()) && text.bytes().all(legal) {
            true => Ok(Self(text.into())),
            false => Err(format!(
                "expected one NATS token: 1 to 64 letters, digits, - or _, got {text:?}"
            )),
        }
    }
}

as_text!(Domain);

/// `history.path`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePath(PathBuf);

impl FilePath {
    /// The path.
    pub fn as_path(&self) -> &FsPath {
        &self.0
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl FromStr for FilePath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("expected a file".into()),
            path => Ok(Self(path.into())),
        }
    }
}

as_text!(FilePath);

#[cfg(test)]
mod tests;
