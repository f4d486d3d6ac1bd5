//! Ended spans on their way to the collector: a bounded queue. Ending a span never waits: spans that do not fit are
//! counted and lost. Knows no exporter.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry_sdk::trace::SpanData;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tracing::warn;

use super::export::BATCH_MAX;
use crate::telemetry::metrics::Metrics;

/// Ended spans that wait for the exporting task.
pub(super) struct Queue {
    waiting: Mutex<Vec<SpanData>>,
    limit: usize,
    /// Whether nobody takes spans out any more. Changes under `waiting`'s lock.
    closed: AtomicBool,
    /// Enough wait for a full request.
    pub(super) enough: Notify,
    pub(super) metrics: Metrics,
    /// Whether the log has said that spans are lost, since the collector last took some.
    pub(super) complained: AtomicBool,
}

impl Queue {
    pub(super) fn new(limit: usize, metrics: Metrics) -> Self {
        Self {
            waiting: Mutex::new(Vec::new()),
            limit,
            closed: AtomicBool::new(false),
            enough: Notify::new(),
            metrics,
            complained: AtomicBool::new(false),
        }
    }

    /// Takes an ended span, or counts it as lost. Never waits: the lock is held for a copy of the span.
    pub(super) fn push(&self, span: SpanData) {
        let mut waiting = self.waiting.lock();
        if self.closed.load(Ordering::Relaxed) {
            drop(waiting);
            self.metrics.spans_lost.with_label_values(&["export"]).inc();
            return;
        }
        if waiting.len() >= self.limit {
            drop(waiting);
            self.metrics.spans_lost.with_label_values(&["queue"]).inc();
            if !self.complained.swap(true, Ordering::Relaxed) {
                warn!(
                    limit = self.limit,
                    "spans are lost: more end than the collector takes (tracing.queue); herald_trace_spans_lost_total \
                     counts them"
                );
            }
            return;
        }
        waiting.push(span);
        let enough = waiting.len() == BATCH_MAX;
        drop(waiting);
        if enough {
            self.enough.notify_one();
        }
    }

    /// Counts what waits, and all that comes, as lost: nobody exports any more.
    pub(super) fn close(&self) {
        let mut waiting = self.waiting.lock();
        self.closed.store(true, Ordering::Relaxed);
        let left = std::mem::take(&mut *waiting).len() as u64;
        drop(waiting);
        self.metrics
            .spans_lost
            .with_label_values(&["export"])
            .inc_by(left);
    }

    /// Up to `most` of those that have waited longest.
    pub(super) fn take(&self, most: usize) -> Vec<SpanData> {
        let mut waiting = self.waiting.lock();
        if waiting.len() <= most {
            return std::mem::take(&mut *waiting);
        }
        waiting.drain(..most).collect()
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Queue")
    }
}
