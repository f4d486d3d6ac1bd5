//! From the configuration's sections to what the modules take. Knows the whole configuration, no running part.

use std::sync::Arc;
use std::time::Duration;

use super::Error;
use crate::auth::Authenticator;
use crate::config::Config;
use crate::delivery::measure::Measure;
use crate::delivery::registry;
use crate::envelope::{HeaderLimits, TraceContext};
use crate::instance::Instance;
use crate::interceptor::Chain;
use crate::interceptor::authenticate::Authenticate;
use crate::interceptor::authorize::Authorize;
use crate::interceptor::rate_limit::RateLimit;
use crate::limit::Limit;
use crate::session::context;
use crate::session::state::{self, Rules};
use crate::stomp;
use crate::telemetry::export::{self, Exporter};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::spans::Tracer;

/// From what delivery measures to the metrics.
struct Measured(Metrics);

impl Measure for Measured {
    fn reached_shard(&self, after: Duration, trace: &TraceContext) {
        self.0.bus_to_shard.observe(after, trace.recorded_id());
    }

    fn walked(&self, took: Duration, trace: &TraceContext) {
        self.0.walk.observe(took, trace.recorded_id());
    }

    fn waited(&self, took: Duration, trace: Option<&TraceContext>) {
        let trace = trace.and_then(TraceContext::recorded_id);
        self.0.outbox_wait.observe(took, trace);
    }

    fn acknowledged(&self, took: Duration, trace: Option<&TraceContext>) {
        let trace = trace.and_then(TraceContext::recorded_id);
        self.0.ack.observe(took, trace);
    }

    fn bound_reached(&self, limit: Limit) {
        self.0.limit_hit(limit);
    }
}

pub(super) fn header_limits(config: &Config) -> HeaderLimits {
    HeaderLimits {
        count: config.limits.headers,
        bytes: config.limits.header_bytes.0,
    }
}

pub(super) fn start_tracing(
    config: &Config,
    instance: &Instance,
    metrics: &Metrics,
) -> Result<(Tracer, Exporter), Error> {
    let prefix = &config.destinations.user_prefix;
    export::start(&config.tracing, instance, prefix, metrics)
        .map_err(|error| Error::Config(error.to_string()))
}

pub(super) fn registry_limits(config: &Config, metrics: &Metrics, tracer: &Tracer) -> registry::Limits {
    registry::Limits {
        outbox_bytes: config.limits.outbox_bytes.0,
        outbox_total_bytes: config.limits.outbox_total_bytes.0,
        delivery_bytes: config.limits.delivery_bytes.0,
        hidden_tab_grace: config.heartbeat.hidden_tab_grace.0,
        user_prefix: config.destinations.user_prefix.clone(),
        measure: Arc::new(Measured(metrics.clone())),
        tracer: tracer.clone(),
    }
}

pub(super) fn rules(
    config: &Config,
    authenticator: &Arc<Authenticator>,
    headers: HeaderLimits,
) -> Result<Rules, Error> {
    let authorize = Authorize::new(&config.permissions, &config.destinations)
        .map_err(|error| Error::Config(error.to_string()))?;
    Ok(Rules {
        prefixes: config.destinations.clone(),
        chain: Chain::new(vec![
            Box::new(Authenticate::new(authenticator.clone())),
            Box::new(RateLimit::new(config.limits.sends_per_user)),
            Box::new(authorize),
        ]),
        limits: state::Limits {
            subscriptions: config.limits.subscriptions,
            transactions: config.limits.transactions,
            transaction_actions: config.limits.transaction_actions,
            transaction_bytes: config.limits.transaction_bytes.0,
            body_bytes: config.limits.body_bytes.0,
            unacknowledged: config.limits.unacknowledged,
            headers,
        },
    })
}

pub(super) fn connection_limits(config: &Config) -> context::Limits {
    let limits = &config.limits;
    let before = limits.frame_bytes_before_login.0;
    let decoder = |frame_bytes, body_bytes| stomp::Limits {
        frame_bytes,
        body_bytes,
        headers: limits.headers,
        header_bytes: limits.header_bytes.0,
    };
    context::Limits {
        before_login: decoder(before, before),
        // A frame is its body and as many headers as are allowed, bounded by a quarter of a MiB.
        after_login: decoder(
            limits.body_bytes.0 + (limits.headers * limits.header_bytes.0).min(256 << 10),
            limits.body_bytes.0,
        ),
        connect_timeout: limits.connect_timeout,
        requests_in_flight: limits.requests_in_flight,
    }
}
