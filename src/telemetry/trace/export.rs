//! From ended spans to a collector: one task sends the queue over OTLP. Spans that the collector does not accept are
//! counted and lost. Knows no span by name.
//!
//! Nothing here is traced, so exporting cannot create spans: there is no layer between `tracing` and the queue.

use std::sync::atomic::Ordering;
use std::time::Duration;

use opentelemetry_sdk::trace::SpanExporter as _;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{info, warn};

use super::decide::Trusted;
use super::queue::Queue;
use crate::envelope::BaggageKey;
use crate::setting::{HumanDuration, serialize_shown};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::otlp::Protocol;

mod start;

pub use start::{StartError, start};

/// Spans in one request.
pub(super) const BATCH_MAX: usize = 512;
/// Spans in a request that only finds out whether the collector is back.
const PROBE_MAX: usize = 16;
/// Longest pause between two such.
const PROBE_PAUSE_MAX: Duration = Duration::from_secs(5);
/// The first.
const PROBE_PAUSE: Duration = Duration::from_millis(500);

/// `[tracing]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The collector, `http://host:4317`; none: `OTEL_EXPORTER_OTLP_ENDPOINT`, and without that no tracing.
    #[serde(serialize_with = "serialize_shown")]
    pub endpoint: Option<String>,
    /// How it is spoken to; none: `OTEL_EXPORTER_OTLP_PROTOCOL`, else gRPC on port 4317 and HTTP on any other.
    pub protocol: Option<Protocol>,
    /// Which share of new traces is recorded; none: as `OTEL_TRACES_SAMPLER` says, else all.
    pub ratio: Option<f64>,
    /// Whose `traceparent` may have its trace recorded whatever the ratio.
    pub trust: Vec<Trusted>,
    /// Whether the `baggage` of a request goes on with its notification.
    pub baggage: bool,
    /// Which members of a `baggage` browsers get.
    pub baggage_to_browsers: Vec<BaggageKey>,
    /// Spans that wait for the collector; beyond them new ones are lost.
    pub queue: usize,
    /// How long ended spans wait for others to go with.
    pub interval: HumanDuration,
    /// How long the collector may take for one request; none: `OTEL_EXPORTER_OTLP_TIMEOUT`, else 10 s.
    pub timeout: Option<HumanDuration>,
    /// How long the last spans may take at the end.
    pub flush_timeout: HumanDuration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            endpoint: None,
            protocol: None,
            ratio: None,
            trust: Vec::new(),
            baggage: true,
            baggage_to_browsers: Vec::new(),
            queue: 8_192,
            interval: HumanDuration::secs(1),
            timeout: None,
            flush_timeout: HumanDuration::secs(2),
        }
    }
}

/// The exporting task, which ends with its handle; [`Exporter::shutdown`] lets it send what waits.
#[derive(Default)]
pub struct Exporter {
    running: Option<(oneshot::Sender<Duration>, JoinHandle<()>)>,
    flush_timeout: Duration,
}

impl Exporter {
    /// Sends what waits, within `tracing.flush_timeout` and `deadline`; what is left then is counted as lost.
    pub async fn shutdown(self, deadline: Instant) {
        let Some((stop, task)) = self.running else { return };
        let left = deadline.saturating_duration_since(Instant::now());
        if stop.send(self.flush_timeout.min(left)).is_ok() {
            // The task keeps the time.
            let _ = timeout_at(deadline, task).await;
        }
    }
}

/// The task's own part.
struct Export {
    queue: std::sync::Arc<Queue>,
    exporter: opentelemetry_otlp::SpanExporter,
    interval: Duration,
    request_timeout: Duration,
    /// How often in a row the collector has refused.
    failures: u32,
    pause: Duration,
}

impl Export {
    async fn run(mut self, mut stop: oneshot::Receiver<Duration>) {
        let deadline = loop {
            let wait = if self.failures > 0 {
                self.pause
            } else {
                self.interval
            };
            let full = async {
                match self.failures {
                    0 => self.queue.enough.notified().await,
                    // A collector that is away is asked at its own pace.
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                flush = &mut stop => match flush {
                    Ok(flush) => break Instant::now() + flush,
                    // The handle is gone without a word: nobody waits.
                    Err(_) => return,
                },
                () = full => {}
                () = tokio::time::sleep(wait) => {}
            }
            let emptying = self.empty();
            tokio::pin!(emptying);
            tokio::select! {
                flush = &mut stop => {
                    let Ok(flush) = flush else { return };
                    let deadline = Instant::now() + flush;
                    // What is under way may still arrive.
                    let _ = timeout_at(deadline, emptying).await;
                    break deadline;
                }
                () = &mut emptying => {}
            }
        };
        self.failures = 0;
        // What is left in either case is counted below.
        let _ = timeout_at(deadline, self.empty()).await;
        let left = self.queue.take(usize::MAX).len() as u64;
        if left > 0 {
            let lost = self.queue.metrics.spans_lost.with_label_values(&["shutdown"]);
            lost.inc_by(left);
            warn!(spans = left, "spans are lost at the end (tracing.flush_timeout)");
        }
    }

    /// Sends until nothing waits, or the collector refuses.
    async fn empty(&mut self) {
        loop {
            let most = if self.failures > 0 { PROBE_MAX } else { BATCH_MAX };
            let spans = self.queue.take(most);
            if spans.is_empty() {
                return;
            }
            let batch = Batch {
                count: spans.len() as u64,
                metrics: self.queue.metrics.clone(),
            };
            let exported = timeout(self.request_timeout, self.exporter.export(spans)).await;
            let error = match exported {
                Ok(Ok(())) => {
                    batch.went();
                    self.recovered();
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer in time (tracing.timeout)".into(),
            };
            drop(batch);
            return self.refused(&error);
        }
    }

    fn recovered(&mut self) {
        if self.failures > 0 {
            info!("the collector takes spans again");
        }
        self.failures = 0;
        self.queue.complained.store(false, Ordering::Relaxed);
    }

    fn refused(&mut self, error: &str) {
        if self.failures == 0 {
            self.pause = PROBE_PAUSE;
            warn!(
                error,
                "the collector takes no spans (tracing.endpoint, tracing.protocol): they wait and then are lost \
                 (herald_trace_spans_lost_total); notifications are not affected"
            );
        } else {
            self.pause = (self.pause * 2).min(PROBE_PAUSE_MAX);
        }
        self.failures = self.failures.saturating_add(1);
    }
}

/// Spans that are under way to the collector: lost unless they went, also where the sending is given up half way.
struct Batch {
    count: u64,
    metrics: Metrics,
}

impl Batch {
    fn went(mut self) {
        self.metrics.spans_exported.inc_by(self.count);
        self.count = 0;
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if self.count > 0 {
            let lost = self.metrics.spans_lost.with_label_values(&["export"]);
            lost.inc_by(self.count);
        }
    }
}

#[cfg(test)]
mod tests;
