//! Everything that Herald counts and measures: the handles that any module may hold. Values that others own already
//! (the registry's and the bus's counters, presence) are read at the scrape. Every name is in `metrics/names`;
//! docs/metrics.md explains each. Labels have few values, known in advance: never a user, a session or an arbitrary
//! destination.

use std::sync::Arc;

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use crate::close_reason::CloseReason;
use crate::envelope::Unrecovered;
use crate::limit::Limit;
use names::Name;
use timing::Exemplars;

mod keys;
mod labels;
pub mod names;
mod openmetrics;
pub mod otlp;
mod process;
mod render;
mod snapshot;
mod timing;

pub use keys::KeyRequests;
pub use labels::{CALLOUT_RESULTS, REFUSED_ACTIONS, RENEWAL_RESULTS};
pub use render::Format;
use snapshot::Relayed;

pub use snapshot::Observed;
pub use timing::Timing;

/// Bounds of the ACK histogram in seconds: from a script's answer to a person's.
const ACK_BUCKETS: &[f64] = &[
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0,
];
/// Bounds of the request histogram in seconds: a publish takes well under a millisecond, a login tens of them.
const REQUEST_BUCKETS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0,
];
/// Bounds of what happens inside an instance and over the bus, in seconds: from tens of microseconds to trouble.
const INNER_BUCKETS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0,
];
/// Bounds of what waits for a client's network, in seconds.
const WAIT_BUCKETS: &[f64] = &[
    0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0,
];

/// What a message was that made its handling panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poison {
    /// A notification.
    Notification,
    /// What an instance said or asked.
    Control,
}

/// Who answers a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// This instance, by way of the bus.
    Own,
    /// Another one.
    Other,
}

/// Handles that any module may hold; cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    exemplars: Vec<Series>,
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
    /// Logins that a backend was to decide about, by `result`: [`CALLOUT_RESULTS`].
    pub callouts: IntCounterVec,
    /// Renewals of sessions by result.
    pub renewals: IntCounterVec,
    /// Tokens by `issuer` (a configured one, or `unknown`) and `result`: `ok`, why it was refused, `unavailable`, `overloaded`.
    pub tokens: IntCounterVec,
    /// What a token took that was not remembered, with its time in the queue.
    pub token_verify: Timing,
    /// What permissions refused by `action`: one of [`REFUSED_ACTIONS`].
    pub permission_refusals: IntCounterVec,
    /// Fetches of keys by `issuer` and `result`: `ok`, `failed`.
    pub jwks_fetches: IntCounterVec,
    /// Requests with an API key, by `key` and `result`.
    pub key_requests: KeyRequests,
    /// Notifications accepted, by `source`: `rest`, `stomp`.
    pub published: IntCounterVec,
    /// Publishes refused, by `source` and `reason`.
    pub publish_refused: IntCounterVec,
    /// From a REST publish's acceptance until the bus has it.
    pub publish_rest: Timing,
    /// The same of a SEND.
    pub publish_stomp: Timing,
    /// Application requests, by `result`: `ok`, `no_responders`, `timeout`, `error`, `unavailable`.
    pub requests: IntCounterVec,
    /// Frames from clients.
    pub frames_in: IntCounter,
    /// From a notification's arrival at this instance until a shard has it.
    pub bus_to_shard: Timing,
    /// One shard's walk over a broadcast's subscribers.
    pub walk: Timing,
    /// From a frame's entry into an outbox until the kernel has it.
    pub outbox_wait: Timing,
    /// From a MESSAGE's write to its ACK.
    pub ack: Timing,
    /// ACK and NACK frames, by `kind`.
    pub acks: IntCounterVec,
    /// Subscriptions that came with `last-message-id`, by `outcome`: `recovered`, or the reason; [`Metrics::resumed`] counts.
    resumes: IntCounterVec,
    /// MESSAGEs that were replayed, by `source`: `tail`, `stream`; [`Metrics::replayed`] counts.
    replayed: IntCounterVec,
    /// From a SUBSCRIBE with `last-message-id` until the subscription is live.
    pub resume: Timing,
    /// Notifications to users without a session anywhere; this instance counts them for the cluster, or another does.
    pub offline: IntCounter,
    /// Messages whose handling panicked, by [`Poison`]; the bus counts those that it could not even decode.
    poisoned: [IntCounter; 2],
    /// Questions over the bus and back: to this instance, and to others.
    round_trips: [Timing; 2],
    probe_failures: [IntCounter; 2],
    /// Exports of metrics by OTLP that failed.
    pub otlp_failures: IntCounter,
    /// Times that a limit was hit, by the setting's name; [`Metrics::limit_hit`] counts.
    limit_hits: IntCounterVec,
    /// Connections closed for want of a right PROXY protocol header.
    pub proxy_protocol_refused: IntCounter,
    /// TLS handshakes that had no turn in time, or held one for too long.
    pub tls_handshakes_refused: IntCounter,
    /// Until when the certificates hold, by their setting; [`Metrics::certificate_expires`] tells.
    certificates: IntGaugeVec,
    /// Spans that the collector has taken.
    pub spans_exported: IntCounter,
    /// Spans that were lost, by `reason`: `queue` (it was full), `export` (the collector did not take them), `shutdown`.
    pub spans_lost: IntCounterVec,
    /// HTTP requests other than `/ws`, by `method`, `route` (its pattern) and `status`.
    pub http_requests: HistogramVec,
}

/// The exemplars of one histogram and what tells it from others of its name.
#[derive(Clone)]
struct Series {
    name: &'static str,
    label: Option<(&'static str, &'static str)>,
    exemplars: Arc<Exemplars>,
}

/// Makes metrics and registers them.
struct Maker {
    registry: Registry,
    exemplars: Vec<Series>,
}

impl Maker {
    fn add<C: Collector + Clone + 'static>(&self, collector: C) -> Result<C, prometheus::Error> {
        self.registry.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn counter(&self, name: Name) -> Result<IntCounter, prometheus::Error> {
        self.add(IntCounter::new(name.name, name.help)?)
    }

    fn counters(&self, name: Name, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
        self.add(IntCounterVec::new(Opts::new(name.name, name.help), labels)?)
    }

    fn timing(
        &mut self,
        name: Name,
        label: Option<(&'static str, &'static str)>,
        buckets: &[f64],
    ) -> Result<Timing, prometheus::Error> {
        let mut options = HistogramOpts::new(name.name, name.help).buckets(buckets.into());
        if let Some((label, value)) = label {
            options = options.const_label(label, value);
        }
        let timing = Timing::new(options)?;
        self.add::<Histogram>(timing.histogram())?;
        self.exemplars.push(Series {
            name: name.name,
            label,
            exemplars: timing.exemplars(),
        });
        Ok(timing)
    }
}

impl Metrics {
    /// A registry of its own with every metric registered.
    pub fn new() -> Result<Self, prometheus::Error> {
        process::note_start();
        let mut make = Maker {
            registry: Registry::new(),
            exemplars: Vec::new(),
        };
        let (rest, stomp) = (Some(("source", "rest")), Some(("source", "stomp")));
        let (own, other) = (Some(("peer", "own")), Some(("peer", "other")));
        let publish_rest = make.timing(names::PUBLISH_SECONDS, rest, INNER_BUCKETS)?;
        let publish_stomp = make.timing(names::PUBLISH_SECONDS, stomp, INNER_BUCKETS)?;
        let token_verify = make.timing(names::TOKEN_VERIFY_SECONDS, None, INNER_BUCKETS)?;
        let bus_to_shard = make.timing(names::BUS_TO_SHARD_SECONDS, None, INNER_BUCKETS)?;
        let walk = make.timing(names::WALK_SECONDS, None, INNER_BUCKETS)?;
        let outbox_wait = make.timing(names::OUTBOX_WAIT_SECONDS, None, WAIT_BUCKETS)?;
        let resume = make.timing(names::RESUME_SECONDS, None, ACK_BUCKETS)?;
        let ack = make.timing(names::ACK_SECONDS, None, ACK_BUCKETS)?;
        let round_trips = [
            make.timing(names::BUS_ROUND_TRIP_SECONDS, own, INNER_BUCKETS)?,
            make.timing(names::BUS_ROUND_TRIP_SECONDS, other, INNER_BUCKETS)?,
        ];
        let failures = make.counters(names::BUS_PROBE_FAILURES, &["peer"])?;
        let poisoned = IntCounter::new("poisoned", "Part of the poison messages, added at the scrape.")?;
        let deliveries_offline = IntCounter::new("offline", "Part of the deliveries, added at the scrape.")?;
        let metrics = Self {
            connections: make.add(IntGauge::new(names::CONNECTIONS.name, names::CONNECTIONS.help)?)?,
            connections_refused: make.counter(names::CONNECTIONS_REFUSED)?,
            accept_pauses: make.counter(names::ACCEPT_PAUSES)?,
            closes: make.counters(names::CLOSES, &["reason"])?,
            logins: make.counters(names::LOGINS, &["result"])?,
            callouts: make.counters(names::CALLOUTS, &["result"])?,
            renewals: make.counters(names::RENEWALS, &["result"])?,
            tokens: make.counters(names::TOKENS, &["issuer", "result"])?,
            token_verify,
            permission_refusals: make.counters(names::PERMISSION_REFUSALS, &["action"])?,
            jwks_fetches: make.counters(names::JWKS_FETCHES, &["issuer", "result"])?,
            key_requests: KeyRequests::new(make.counters(names::API_KEY_REQUESTS, &["key", "result"])?),
            published: make.counters(names::PUBLISHED, &["source"])?,
            publish_refused: make.counters(names::PUBLISH_REFUSED, &["source", "reason"])?,
            publish_rest,
            publish_stomp,
            requests: make.counters(names::REQUESTS, &["result"])?,
            frames_in: make.counter(names::FRAMES_RECEIVED)?,
            bus_to_shard,
            walk,
            outbox_wait,
            ack,
            acks: make.counters(names::ACKS, &["kind"])?,
            resumes: make.counters(names::RESUMES, &["outcome"])?,
            replayed: make.counters(names::REPLAYED, &["source"])?,
            resume,
            offline: deliveries_offline,
            poisoned: [
                poisoned.clone(),
                IntCounter::new("poisoned", "The same of control.")?,
            ],
            round_trips,
            probe_failures: ["own", "other"].map(|peer| failures.with_label_values(&[peer])),
            otlp_failures: make.counter(names::OTLP_FAILURES)?,
            limit_hits: make.counters(names::LIMIT_HITS, &["limit"])?,
            proxy_protocol_refused: make.counter(names::PROXY_PROTOCOL_REFUSED)?,
            tls_handshakes_refused: make.counter(names::TLS_HANDSHAKES_REFUSED)?,
            certificates: {
                let name = names::TLS_CERTIFICATE_EXPIRES;
                make.add(IntGaugeVec::new(Opts::new(name.name, name.help), &["setting"])?)?
            },
            spans_exported: make.counter(names::SPANS_EXPORTED)?,
            spans_lost: make.counters(names::SPANS_LOST, &["reason"])?,
            http_requests: {
                let name = names::HTTP_REQUESTS;
                let options = HistogramOpts::new(name.name, name.help).buckets(REQUEST_BUCKETS.into());
                make.add(HistogramVec::new(options, &["method", "route", "status"])?)?
            },
            registry: make.registry,
            exemplars: make.exemplars,
        };
        metrics.show_all_from_the_start();
        Ok(metrics)
    }

    /// Counts a subscription that came with `last-message-id`: it was recovered, or why not.
    pub fn resumed(&self, refused: Option<Unrecovered>) {
        let label = refused.map_or("recovered", Unrecovered::as_str);
        self.resumes.with_label_values(&[label]).inc();
    }

    /// Counts MESSAGEs that were replayed out of this instance's memory, and out of the stream.
    pub fn replayed(&self, from_tail: usize, from_stream: usize) {
        for (source, count) in [("tail", from_tail), ("stream", from_stream)] {
            self.replayed.with_label_values(&[source]).inc_by(count as u64);
        }
    }

    /// A rate over a series that appears with its first event misses that event.
    fn show_all_from_the_start(&self) {
        for reason in CloseReason::ALL {
            self.closes.with_label_values(&[reason.label()]);
        }
        for setting in ["http.tls", "http.admin_tls"] {
            self.certificates.with_label_values(&[setting]);
        }
        for reason in ["queue", "export", "shutdown"] {
            self.spans_lost.with_label_values(&[reason]);
        }
        self.replayed(0, 0);
        self.resumes.with_label_values(&["recovered"]);
        for reason in Unrecovered::ALL {
            self.resumes.with_label_values(&[reason.as_str()]);
        }
        for limit in Limit::ALL {
            self.limit_hits.with_label_values(&[limit.name()]);
        }
        for (counters, values) in [
            (&self.logins, &["ok", "anonymous", "failed", "overloaded"][..]),
            (&self.callouts, &CALLOUT_RESULTS),
            (&self.renewals, &RENEWAL_RESULTS),
            (&self.permission_refusals, &REFUSED_ACTIONS),
            (&self.published, &["rest", "stomp"]),
            (&self.acks, &["ACK", "NACK"]),
            (
                &self.requests,
                &["ok", "error", "no_responders", "timeout", "unavailable"],
            ),
        ] {
            for value in values {
                counters.with_label_values(&[*value]);
            }
        }
        for source in ["rest", "stomp"] {
            for reason in [
                "bus_unavailable",
                "too_large",
                "outcome_unknown",
                "history_full",
                "overloaded",
            ] {
                self.publish_refused.with_label_values(&[source, reason]);
            }
        }
    }

    /// Tells until when the certificate of `setting` holds.
    pub fn certificate_expires(&self, setting: &str, at: std::time::SystemTime) {
        let since = at.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let gauge = self.certificates.with_label_values(&[setting]);
        gauge.set(i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
    }

    /// Counts that `limit` was hit.
    pub fn limit_hit(&self, limit: Limit) {
        self.limit_hits.with_label_values(&[limit.name()]).inc();
    }

    /// How often `limit` was hit.
    pub fn limit_hits(&self, limit: Limit) -> u64 {
        self.limit_hits.with_label_values(&[limit.name()]).get()
    }

    /// Counts a message that was dropped because handling it panicked.
    pub fn poisoned(&self, what: Poison) {
        self.poisoned[what as usize].inc();
    }

    /// One question over the bus: how long its answer took, or none: there was none in time.
    pub fn probed(&self, peer: Peer, took: Option<std::time::Duration>) {
        let [own, other] = &self.round_trips;
        let [own_failures, other_failures] = &self.probe_failures;
        let (round_trip, failures) = match peer {
            Peer::Own => (own, own_failures),
            Peer::Other => (other, other_failures),
        };
        match took {
            Some(took) => round_trip.observe(took, None),
            None => failures.inc(),
        }
    }

    fn relayed(&self) -> Relayed {
        let [notifications, control] = &self.poisoned;
        Relayed {
            offline: self.offline.get(),
            poison_notifications: notifications.get(),
            poison_control: control.get(),
        }
    }

    /// The registry behind the handles.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}
