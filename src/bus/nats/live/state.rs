//! The state of a live reader as others see it: whether it is ready, its problems, its counts; and what they report to
//! it. Knows no message.

use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::fronts::Fronts;
use super::life::Lives;
use crate::bus::nats::api::ApiFailure;
use crate::bus::nats::streams::{Plan, Report, Stream, Version};
use crate::bus::reader::Cause;

/// How often the log repeats why a stream cannot be used, and how often it reports a new reason: in an election there
/// are many.
const REPEATED_AFTER: Duration = Duration::from_secs(60);
const SAID_AFTER: Duration = Duration::from_secs(10);

/// The state of one kind's history. Counts are since start.
#[derive(Default)]
pub(in crate::bus::nats) struct State {
    report: Mutex<Told>,
    failures: Mutex<Failures>,
    fronts: Mutex<Fronts>,
    caught_up: watch::Sender<bool>,
    /// Asks the reader to check its stream.
    pub(in crate::bus::nats) look: Notify,
    /// The life of the stream that the reader reads.
    pub(in crate::bus::nats) lives: Lives,
    /// The reader's own signal: there is more to do at once.
    pub(super) more: Notify,
    /// The highest sequence that JetStream acknowledged to this instance in this epoch.
    pub(super) acked: AtomicU64,
    /// The epoch, that sequence, and a hash of the id of the message there.
    acked_id: Mutex<(u64, u64, u64)>,
    /// The epoch of the stream in its last description.
    pub(in crate::bus::nats) epoch: AtomicU64,
    /// The last sequence that was read.
    pub(in crate::bus::nats) head: AtomicU64,
    /// How many messages the consumer still has to send.
    pub(in crate::bus::nats) pending: AtomicU64,
    resets: [AtomicU64; 3],
    pub(in crate::bus::nats) polled: AtomicU64,
    pub(in crate::bus::nats) holes: AtomicU64,
    pub(in crate::bus::nats) broken: AtomicU64,
    pub(in crate::bus::nats) expired: AtomicU64,
}

fn too_old(version: Version) -> String {
    format!(
        "the NATS server has version {version}, history needs {} or later",
        Version::LEAST
    )
}

fn hash(id: &str) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

/// What is known about the stream.
#[derive(Default)]
struct Told {
    report: Report,
    /// Why the last request for it failed, and whether JetStream itself refused.
    failure: Option<(String, bool)>,
    stream: Option<Stream>,
}

/// What the log reported about failures.
#[derive(Default)]
struct Failures {
    said: Option<(Instant, String)>,
    left_out: u64,
}

impl Failures {
    /// `Some`: write the line. Holds how many were left out since the last one.
    fn pass(&mut self, words: &str, now: Instant) -> Option<u64> {
        let is_due = self.said.as_ref().is_none_or(|(at, said)| {
            let pause = if said == words { REPEATED_AFTER } else { SAID_AFTER };
            now.duration_since(*at) >= pause
        });
        if !is_due {
            self.left_out += 1;
            return None;
        }
        self.said = Some((now, words.to_owned()));
        Some(std::mem::take(&mut self.left_out))
    }
}

impl State {
    /// Records what the stream is like. Returns whether it is as required.
    pub(super) fn observe(&self, plan: &Plan, stream: &Stream, version: Version) -> bool {
        self.noted(stream.info.first);
        let mut report = plan.compare(&stream.config, version);
        if version < Version::LEAST {
            report.not_ready.push(too_old(version));
        }
        let mut told = self.report.lock();
        if told.report != report {
            for words in &report.not_ready {
                tracing::error!(
                    words,
                    "this instance is not ready: a stream is not as it has to be"
                );
            }
            for words in &report.drift {
                tracing::warn!(words, "a stream has other limits than the configuration says");
            }
        }
        let fits = report.not_ready.is_empty();
        self.epoch.store(stream.info.epoch, Ordering::Relaxed);
        *told = Told {
            report,
            failure: None,
            stream: Some(stream.clone()),
        };
        fits
    }

    /// Records that the server cannot keep history: a stream created by it would lack what its configuration says.
    pub(super) fn too_old(&self, version: Version) {
        self.note_failure(too_old(version), true);
    }

    /// Records that the stream cannot be queried.
    pub(super) fn cannot_ask(&self, plan: &Plan, failure: &ApiFailure) {
        let words = format!("the stream {}: {failure}", plan.name);
        self.note_failure(words, matches!(failure, ApiFailure::Refused(_)));
    }

    fn note_failure(&self, words: String, is_refused: bool) {
        let due = self.failures.lock().pass(&words, Instant::now());
        if let Some(left_out) = due {
            tracing::warn!(words, left_out, "cannot use a stream");
        }
        self.report.lock().failure = Some((words, is_refused));
    }

    /// Records the stream's first sequence.
    pub(in crate::bus::nats) fn noted(&self, first: u64) {
        self.fronts.lock().note(first, Instant::now());
    }

    /// By how many sequences the first one of a replica may be ahead of another's.
    pub(in crate::bus::nats) fn slack(&self) -> u64 {
        self.fronts.lock().slack()
    }

    /// A message with this id is stored at `sequence`.
    pub(in crate::bus::nats) fn acked(&self, epoch: u64, sequence: u64, id: &str) {
        let mut acked = self.acked_id.lock();
        if (epoch, sequence) > (acked.0, acked.1) {
            *acked = (epoch, sequence, hash(id));
            self.acked.store(sequence, Ordering::Relaxed);
        }
    }

    /// The epoch has changed: nothing is acknowledged in it.
    pub(super) fn forget_acked(&self, epoch: u64) {
        let mut acked = self.acked_id.lock();
        *acked = (epoch, 0, 0);
        self.acked.store(0, Ordering::Relaxed);
    }

    /// Whether a message with a different id was acknowledged at `sequence` of `epoch`.
    pub(super) fn is_another(&self, epoch: u64, sequence: u64, id: Option<&str>) -> bool {
        // Almost every message differs from that one.
        if self.acked.load(Ordering::Relaxed) != sequence {
            return false;
        }
        let acked = *self.acked_id.lock();
        (acked.0, acked.1) == (epoch, sequence) && id.is_none_or(|id| hash(id) != acked.2)
    }

    /// Everything that the stream had at the start has been read.
    pub(super) fn caught_up(&self) {
        self.caught_up.send_replace(true);
    }

    pub(super) fn reset(&self, cause: Cause) {
        if let Some(count) = self.resets.get(cause as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often a consumer was abandoned, by cause.
    pub(in crate::bus::nats) fn resets(&self, cause: Cause) -> u64 {
        let count = self.resets.get(cause as usize);
        count.map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Whether the tail has everything that the stream had at the start, as a watch.
    #[cfg(test)]
    pub(in crate::bus::nats) fn is_caught_up(&self) -> watch::Receiver<bool> {
        self.caught_up.subscribe()
    }

    /// What keeps this instance from being ready, for `/readyz`. Empty if nothing does.
    pub(in crate::bus::nats) fn trouble(&self) -> Vec<String> {
        let told = self.report.lock();
        let mut trouble = told.report.not_ready.clone();
        let is_ready = *self.caught_up.borrow();
        // A reader that has caught up continues with what it has while no server answers, as in an election.
        if let Some((words, is_refused)) = &told.failure
            && (*is_refused || !is_ready)
        {
            trouble.push(words.clone());
        }
        if !is_ready && trouble.is_empty() {
            trouble.push("history: what the stream has is still being read".to_owned());
        }
        trouble
    }

    /// Problems that do not keep this instance from being ready, but keep it from storing and reading: no server
    /// answers for the stream, as in an election, or because JetStream was switched off.
    pub(in crate::bus::nats) fn silence(&self) -> Option<String> {
        let told = self.report.lock();
        let is_ready = *self.caught_up.borrow();
        let failure = told
            .failure
            .as_ref()
            .filter(|(_, is_refused)| is_ready && !is_refused);
        failure.map(|(words, _)| words.clone())
    }

    /// The limits of the stream that differ from the configuration.
    pub(in crate::bus::nats) fn drift(&self) -> Vec<String> {
        self.report.lock().report.drift.clone()
    }

    /// The bytes in the stream and their maximum, in its last description; 0: unlimited.
    pub(in crate::bus::nats) fn filling(&self) -> (u64, u64) {
        let told = self.report.lock();
        told.stream.as_ref().map_or((0, 0), |stream| {
            let most = stream.config.get("max_bytes").and_then(|most| most.as_u64());
            (stream.bytes, most.unwrap_or(0))
        })
    }

    /// The last description of the stream.
    pub(in crate::bus::nats) fn stream(&self) -> Option<Stream> {
        self.report.lock().stream.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_said_at_once_and_then_seldom() {
        let mut failures = Failures::default();
        let start = Instant::now();
        let mut at = |ms, words| failures.pass(words, start + Duration::from_millis(ms));
        // An election: alternating reasons, again and again.
        assert_eq!(at(0, "silent"), Some(0));
        for (ms, words) in [
            (50, "no leader"),
            (100, "silent"),
            (9_000, "no leader"),
            (9_999, "silent"),
        ] {
            assert_eq!(at(ms, words), None, "{ms}");
        }
        assert_eq!(at(10_000, "no leader"), Some(4));
        // It stays the same.
        assert_eq!(at(69_999, "no leader"), None);
        assert_eq!(at(70_000, "no leader"), Some(1));
    }
}
