//! Verifies that a control message comes from an instance, which means a holder of a key in `bus.control_key_file`.
//! Signs what this instance sends, checks what it receives, and counts and reports messages without a valid signature.
//! Knows no kind of message by name, and no connection.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_nats::{HeaderMap, Message};
use parking_lot::{Mutex, RwLock};

use super::options::ConnectError;
use crate::bus::{Config, Unsigned, Unverified, headers};
use crate::envelope::unix_ms;
use crate::file_watch::FileWatch;
use crate::limit::OncePerSecond;
use key_file::Keys;
use mac::{HEADER, Signature, Signed};
use replays::{Known, Replays};

mod key_file;
mod mac;
mod replays;

/// How far a message's time may differ from this instance's.
const WINDOW_MS: u64 = 60_000;
/// The difference between two clocks from which on `/readyz` reports it, before anything is lost because of it.
const SKEW_NAMED_MS: u64 = 30_000;
/// How long an event is shown in `/readyz`.
const SHOWN: Duration = Duration::from_secs(60);

/// What the log says once if instances trust every client that can reach the control subjects. The operator has chosen
/// this, so it is not reported as trouble, where it would hide new problems.
const OPEN: &str = "there are other instances, and bus.control_key_file is not set: whoever may publish to the control \
                    subjects on NATS passes for one (docs/nats.md, Control messages)";

/// Why a message has no valid signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// It has none.
    Unsigned,
    /// It was not made with these keys, or belongs to another message.
    Signature,
    /// It is valid, but its time is outside the window.
    Clock,
    /// It is valid, but has been received before.
    Replayed,
}

const CAUSES: [Cause; 4] = [Cause::Unsigned, Cause::Signature, Cause::Clock, Cause::Replayed];

impl Cause {
    /// For the log and for `/readyz`: a description of such a message.
    fn words(self) -> &'static str {
        match self {
            Self::Unsigned => "without a signature",
            Self::Signature => "whose signature is of no key in bus.control_key_file",
            Self::Clock => "signed more than 60 s before or after this instance's time",
            Self::Replayed => "that was received before (a replay)",
        }
    }
}

/// The events with one cause.
#[derive(Default)]
struct Tally {
    count: AtomicU64,
    log: OncePerSecond,
    last: Mutex<Option<Instant>>,
}

/// The keys of `bus.control_key_file`, as read at the start.
pub(super) struct ControlKeys {
    path: Arc<Path>,
    keys: Keys,
}

impl ControlKeys {
    /// Reads the file; `None` if the setting names none. Blocks.
    ///
    /// # Errors
    /// The file cannot be read, or does not hold one or two keys.
    pub(super) fn read(config: &Config) -> Result<Option<Self>, ConnectError> {
        let read = |path: &String| {
            let keys = Keys::read(path)?;
            let path = Path::new(path).into();
            Ok(Self { path, keys })
        };
        config.control_key_file.as_ref().map(read).transpose()
    }
}

/// The signatures of one instance.
pub(super) struct Seal {
    /// `None`: nothing is signed, and no signature is required.
    keys: Option<Held>,
    /// How many other instances there are.
    others: AtomicUsize,
    /// Whether the log has said that they trust everybody who can reach NATS.
    warned: AtomicBool,
    unsigned: Unsigned,
    replays: Mutex<Replays>,
    tallies: [Tally; CAUSES.len()],
    /// The last difference worth reporting, the sender's time minus ours in ms.
    skew: Mutex<Option<(Instant, i64)>>,
}

struct Held {
    path: Arc<Path>,
    now: RwLock<Arc<Keys>>,
    /// Whether the file contains keys at present.
    is_fit: AtomicBool,
}

impl Seal {
    /// With the keys of the file and `bus.control_unsigned`.
    pub(super) fn new(keys: Option<ControlKeys>, unsigned: Unsigned) -> Self {
        Self {
            keys: keys.map(|ControlKeys { path, keys }| Held {
                path,
                now: RwLock::new(Arc::new(keys)),
                is_fit: AtomicBool::new(true),
            }),
            others: AtomicUsize::new(0),
            warned: AtomicBool::new(false),
            unsigned,
            replays: Mutex::default(),
            tallies: Default::default(),
            skew: Mutex::new(None),
        }
    }

    /// How many other instances there are now. The first one is worth a warning if there is no key here.
    pub(super) fn others(&self, count: usize) {
        self.others.store(count, Ordering::Relaxed);
        if self.is_open() && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!("{OPEN}");
        }
    }

    /// Whether there are instances to give orders to, and no key to distinguish theirs from anybody's.
    fn is_open(&self) -> bool {
        self.keys.is_none() && self.others.load(Ordering::Relaxed) > 0
    }

    /// The headers of a message to other instances. `None` without a key.
    pub(super) fn sign(&self, subject: &str, reply: Option<&str>, payload: &[u8]) -> Option<HeaderMap> {
        let keys = self.keys.as_ref()?.now.read().clone();
        let message = Signed {
            subject,
            reply: reply.unwrap_or_default(),
            payload,
        };
        let signature = keys.signing()?.sign(message, unix_ms());
        headers::single(HEADER, &signature.write())
    }

    /// Whether a message from another instance is to be handled. A message without a valid signature is counted and
    /// logged; only `bus.control_unsigned = "refuse"` drops it. `what` tells the log which message it is, without
    /// anybody's name.
    pub(super) fn admits(&self, message: &Message, what: &str) -> bool {
        let Some(held) = &self.keys else { return true };
        let keys = held.now.read().clone();
        let Err(cause) = self.judge(&keys, message, unix_ms()) else {
            return true;
        };
        let refuses = self.unsigned == Unsigned::Refuse;
        let tally = &self.tallies[cause as usize];
        tally.count.fetch_add(1, Ordering::Relaxed);
        *tally.last.lock() = Some(Instant::now());
        if let Some(left_out) = tally.log.pass() {
            let done = if refuses { "refused" } else { "accepted" };
            // Foreign text: not all of it.
            let what: String = what.escape_debug().take(128).collect();
            tracing::warn!(
                kind = what,
                left_out,
                "{done} a control message {}",
                cause.words()
            );
        }
        !refuses
    }

    fn judge(&self, keys: &Keys, message: &Message, now_ms: u64) -> Result<(), Cause> {
        let header = message.headers.as_ref().and_then(|headers| headers.get(HEADER));
        let header = header.ok_or(Cause::Unsigned)?;
        let signature = Signature::read(header.as_str()).ok_or(Cause::Signature)?;
        let signed = Signed {
            subject: &message.subject,
            reply: message.reply.as_deref().unwrap_or_default(),
            payload: &message.payload,
        };
        if !keys.all().iter().any(|key| key.fits(signed, &signature)) {
            return Err(Cause::Signature);
        }
        let skew_ms = signature.time_ms.abs_diff(now_ms);
        if skew_ms > WINDOW_MS {
            self.note_skew(now_ms, signature.time_ms);
            return Err(Cause::Clock);
        }
        match self
            .replays
            .lock()
            .note(now_ms, signature.time_ms, signature.mark())
        {
            Known::New => {}
            Known::Again => return Err(Cause::Replayed),
            Known::Forgotten => return Err(Cause::Clock),
        }
        if skew_ms > SKEW_NAMED_MS {
            self.note_skew(now_ms, signature.time_ms);
        }
        Ok(())
    }

    fn note_skew(&self, now_ms: u64, time_ms: u64) {
        let ms = i64::try_from(time_ms.abs_diff(now_ms)).unwrap_or(i64::MAX);
        let ms = if time_ms < now_ms { -ms } else { ms };
        *self.skew.lock() = Some((Instant::now(), ms));
    }

    /// How many messages had no valid signature since the start, by cause.
    pub(super) fn unverified(&self) -> Unverified {
        let count = |cause: Cause| self.tallies[cause as usize].count.load(Ordering::Relaxed);
        Unverified {
            unsigned: count(Cause::Unsigned),
            signature: count(Cause::Signature),
            clock: count(Cause::Clock),
            replayed: count(Cause::Replayed),
        }
    }

    /// What `/readyz` reports about the last minute.
    pub(super) fn trouble(&self) -> Vec<String> {
        let is_recent = |at: &Instant| at.elapsed() < SHOWN;
        let done = match self.unsigned {
            Unsigned::Accept => "accepted",
            Unsigned::Refuse => "refused",
        };
        let causes = CAUSES.into_iter().filter(|cause| {
            let last = *self.tallies[*cause as usize].last.lock();
            last.as_ref().is_some_and(is_recent)
        });
        let mut lines: Vec<String> = causes
            .map(|cause| {
                let what = match cause {
                    Cause::Replayed => "repeated control messages (replays)".to_owned(),
                    _ => format!("control messages {}", cause.words()),
                };
                format!("{what} came within the last minute, and were {done}")
            })
            .collect();
        let skew = *self.skew.lock();
        if let Some((_, ms)) = skew.filter(|(at, _)| is_recent(at)) {
            let side = if ms < 0 { "behind" } else { "ahead of" };
            lines.push(format!(
                "the clock of another instance is {} s {side} this one's: control messages are good for 60 s",
                ms.unsigned_abs() / 1_000
            ));
        }
        if self
            .keys
            .as_ref()
            .is_some_and(|held| !held.is_fit.load(Ordering::Acquire))
        {
            lines.push(format!(
                "{} cannot be read, or does not hold one or two keys; those read before stay in use",
                key_file::SETTING
            ));
        }
        lines
    }

    /// The file of the keys, if there is one.
    pub(super) fn key_file(&self) -> Option<Arc<Path>> {
        self.keys.as_ref().map(|held| held.path.clone())
    }

    /// Reads the keys again whenever the file at `path` changes, until dropped. If the file contains no keys, the
    /// previous ones stay in use.
    pub(super) async fn watch(&self, path: Arc<Path>) {
        let Some(held) = &self.keys else { return };
        let mut watch = FileWatch::new(&path, "the file of bus.control_key_file");
        let mut said = None;
        loop {
            watch.changed().await;
            let path = path.clone();
            let read = tokio::task::spawn_blocking(move || Keys::read(&path.to_string_lossy()));
            match read.await {
                Ok(Ok(keys)) => {
                    said = None;
                    if !held.now.read().is_same(&keys) {
                        tracing::info!(keys = keys.all().len(), "the control keys were read again");
                        *held.now.write() = Arc::new(keys);
                    }
                    held.is_fit.store(true, Ordering::Release);
                }
                Ok(Err(error)) => {
                    held.is_fit.store(false, Ordering::Release);
                    let error = error.to_string();
                    if said.as_ref() != Some(&error) {
                        tracing::error!(error, "the control keys stay as they were");
                        said = Some(error);
                    }
                }
                // The runtime ends.
                Err(_) => return std::future::pending().await,
            }
        }
    }
}

#[cfg(test)]
mod tests;
