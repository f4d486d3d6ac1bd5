//! What others see of a live reader: whether it is ready, what troubles it, its counts; and what they tell it. Knows no
//! message.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::fronts::Fronts;
use crate::bus::nats::api::ApiFailure;
use crate::bus::nats::streams::{Plan, Report, Stream, Version};
use crate::bus::reader::Cause;

/// The state of one kind's history. Counts are since start.
#[derive(Default)]
pub(in crate::bus::nats) struct State {
    report: Mutex<Told>,
    fronts: Mutex<Fronts>,
    caught_up: watch::Sender<bool>,
    /// Asks the reader to look at its stream.
    pub(in crate::bus::nats) look: Notify,
    /// The reader's own: there is more to do at once.
    pub(super) more: Notify,
    /// The highest sequence that JetStream acknowledged to this instance.
    pub(in crate::bus::nats) acked: AtomicU64,
    /// The epoch of the stream as it was described last.
    pub(in crate::bus::nats) epoch: AtomicU64,
    /// The last sequence that was read.
    pub(in crate::bus::nats) head: AtomicU64,
    /// How many messages the consumer has yet to send.
    pub(in crate::bus::nats) pending: AtomicU64,
    resets: [AtomicU64; 3],
    pub(in crate::bus::nats) polled: AtomicU64,
    pub(in crate::bus::nats) holes: AtomicU64,
    pub(in crate::bus::nats) broken: AtomicU64,
    pub(in crate::bus::nats) expired: AtomicU64,
}

/// What the stream is like, as far as it is known.
#[derive(Default)]
struct Told {
    report: Report,
    /// Why it could not be asked last, and whether JetStream itself refused.
    failure: Option<(String, bool)>,
    stream: Option<Stream>,
}

impl State {
    /// Notes what the stream is like. Whether it is as it has to be.
    pub(super) fn observe(&self, plan: &Plan, stream: &Stream, version: Version) -> bool {
        self.noted(stream.info.first);
        let report = plan.compare(&stream.config, version);
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

    /// Notes that the server cannot keep history: a stream of its making would not be what it says.
    pub(super) fn too_old(&self, version: Version) {
        let words = format!(
            "the NATS server has version {version}, history needs {} or later",
            Version::LEAST
        );
        self.note_failure(words, true);
    }

    /// Notes that the stream cannot be asked.
    pub(super) fn cannot_ask(&self, plan: &Plan, failure: &ApiFailure) {
        let words = format!("the stream {}: {failure}", plan.name);
        self.note_failure(words, matches!(failure, ApiFailure::Refused(_)));
    }

    fn note_failure(&self, words: String, is_refused: bool) {
        let mut told = self.report.lock();
        if told.failure.as_ref().is_none_or(|(held, _)| *held != words) {
            tracing::warn!(words, "cannot use a stream");
        }
        told.failure = Some((words, is_refused));
    }

    /// Notes the stream's first sequence.
    pub(in crate::bus::nats) fn noted(&self, first: u64) {
        self.fronts.lock().note(first, Instant::now());
    }

    /// How many sequences the first of one replica may be ahead of another's.
    pub(in crate::bus::nats) fn slack(&self) -> u64 {
        self.fronts.lock().slack()
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

    /// How often a consumer was given up, by cause.
    pub(in crate::bus::nats) fn resets(&self, cause: Cause) -> u64 {
        let count = self.resets.get(cause as usize);
        count.map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Whether the tail has everything that the stream had at the start, and its changes.
    #[cfg(test)]
    pub(in crate::bus::nats) fn is_caught_up(&self) -> watch::Receiver<bool> {
        self.caught_up.subscribe()
    }

    /// What keeps this instance from being ready, for `/readyz`. Empty if nothing does.
    pub(in crate::bus::nats) fn trouble(&self) -> Vec<String> {
        let told = self.report.lock();
        let mut trouble = told.report.not_ready.clone();
        let is_ready = *self.caught_up.borrow();
        // A reader that has caught up goes on by what it has while nobody answers, as in an election.
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

    /// The limits of the stream that are not the configuration's.
    pub(in crate::bus::nats) fn drift(&self) -> Vec<String> {
        self.report.lock().report.drift.clone()
    }

    /// The stream as it was described last.
    pub(in crate::bus::nats) fn stream(&self) -> Option<Stream> {
        self.report.lock().stream.clone()
    }
}
