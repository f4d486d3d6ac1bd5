//! Every metric's name, in one file. Counters that others increment are handles here; what others own already
//! (the registry's and the bus's counters, presence) is read at the scrape, and named in `metrics/render`.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

use crate::close_reason::CloseReason;
use crate::limit::Limit;

mod process;
mod render;

pub use render::{CONTENT_TYPE, Observed};

/// Bounds of the ACK histogram in seconds: from a script's answer to a person's.
const ACK_BUCKETS: [f64; 12] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0,
];
/// Bounds of the request histogram in seconds: a publish takes well under a millisecond, a login tens of them.
const REQUEST_BUCKETS: [f64; 11] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0,
];

/// Handles that any module may hold; cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    /// Open WebSocket connections, before and after login.
    pub connections: IntGauge,
    /// Connections refused since `http.max_connections` was reached.
    pub connections_refused: IntCounter,
    /// Times that accepting was paused since no descriptor was left.
    pub accept_pauses: IntCounter,
    /// Sessions that ended, by reason.
    pub closes: IntCounterVec,
    /// Logins by result: `ok`, `failed`, `overloaded`.
    pub logins: IntCounterVec,
    /// Notifications accepted, by `source`: `rest`, `stomp`.
    pub published: IntCounterVec,
    /// Publishes refused, by `source` and `reason`.
    pub publish_refused: IntCounterVec,
    /// Application requests, by `result`: `ok`, `no_responders`, `timeout`, `error`, `unavailable`.
    pub requests: IntCounterVec,
    /// Frames from clients.
    pub frames_in: IntCounter,
    /// From a MESSAGE's write to its ACK.
    pub ack_seconds: Histogram,
    /// ACK and NACK frames, by `kind`.
    pub acks: IntCounterVec,
    /// Times that a limit was hit, by the setting's name; [`Metrics::limit_hit`] counts.
    limit_hits: IntCounterVec,
    /// Connections closed for want of a right PROXY protocol header.
    pub proxy_protocol_refused: IntCounter,
    /// Spans that the collector has taken.
    pub spans_exported: IntCounter,
    /// Spans that were lost, by `reason`: `queue` (it was full), `export` (the collector did not take them), `shutdown`.
    pub spans_lost: IntCounterVec,
    /// HTTP requests other than `/ws`, by `method`, `route` (its pattern) and `status`.
    pub http_requests: HistogramVec,
}

impl Metrics {
    /// A registry of its own with every metric registered.
    pub fn new() -> Result<Self, prometheus::Error> {
        process::note_start();
        let registry = Registry::new();
        let counter = |name: &str, help: &str| -> Result<IntCounter, prometheus::Error> {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let counters =
            |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
                let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
                registry.register(Box::new(counters.clone()))?;
                Ok(counters)
            };
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let metrics = Self {
            connections: gauge(
                "herald_connections",
                "Open WebSocket connections, before and after login.",
            )?,
            connections_refused: counter(
                "herald_connections_refused_total",
                "Connections refused with 503 at http.max_connections.",
            )?,
            accept_pauses: counter(
                "herald_accept_pauses_total",
                "Times that accepting paused since no file descriptor was left.",
            )?,
            closes: counters(
                "herald_session_closes_total",
                "Sessions that ended, by reason.",
                &["reason"],
            )?,
            logins: counters("herald_logins_total", "Logins, by result.", &["result"])?,
            published: counters(
                "herald_notifications_published_total",
                "Notifications accepted from publishers, by source.",
                &["source"],
            )?,
            publish_refused: counters(
                "herald_publish_refused_total",
                "Publishes refused, by source and reason.",
                &["source", "reason"],
            )?,
            requests: counters(
                "herald_application_requests_total",
                "Application requests to backends, by result.",
                &["result"],
            )?,
            frames_in: counter(
                "herald_frames_received_total",
                "STOMP frames received from clients.",
            )?,
            acks: counters(
                "herald_acks_total",
                "ACK and NACK frames received, by kind.",
                &["kind"],
            )?,
            ack_seconds: {
                let options = HistogramOpts::new(
                    "herald_ack_duration_seconds",
                    "Time from a MESSAGE's write to its ACK, in the ack modes that acknowledge.",
                )
                .buckets(ACK_BUCKETS.into());
                let seconds = Histogram::with_opts(options)?;
                registry.register(Box::new(seconds.clone()))?;
                seconds
            },
            limit_hits: counters(
                "herald_limit_hits_total",
                "Times that a limit was hit, by the name of its setting.",
                &["limit"],
            )?,
            proxy_protocol_refused: counter(
                "herald_proxy_protocol_refused_total",
                "Connections of trusted proxies closed for want of a right PROXY protocol header.",
            )?,
            spans_exported: counter(
                "herald_trace_spans_exported_total",
                "Spans that the collector has taken.",
            )?,
            spans_lost: counters(
                "herald_trace_spans_lost_total",
                "Spans that were lost, by reason.",
                &["reason"],
            )?,
            http_requests: {
                let options = HistogramOpts::new(
                    "herald_http_request_duration_seconds",
                    "Time from request head to response head, by method, route and status.",
                )
                .buckets(REQUEST_BUCKETS.into());
                let requests = HistogramVec::new(options, &["method", "route", "status"])?;
                registry.register(Box::new(requests.clone()))?;
                requests
            },
            registry: registry.clone(),
        };
        for reason in CloseReason::ALL {
            metrics.closes.with_label_values(&[reason.label()]);
        }
        for reason in ["queue", "export", "shutdown"] {
            metrics.spans_lost.with_label_values(&[reason]);
        }
        for limit in Limit::ALL {
            metrics.limit_hits.with_label_values(&[limit.name()]);
        }
        Ok(metrics)
    }

    /// Counts that `limit` was hit.
    pub fn limit_hit(&self, limit: Limit) {
        self.limit_hits.with_label_values(&[limit.name()]).inc();
    }

    /// How often `limit` was hit.
    pub fn limit_hits(&self, limit: Limit) -> u64 {
        self.limit_hits.with_label_values(&[limit.name()]).get()
    }

    /// The registry behind the handles.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}
