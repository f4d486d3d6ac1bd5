//! From the plan to a tracer, and to the task behind it with the library's exporter.

use std::fmt;
use std::sync::Arc;

use opentelemetry::InstrumentationScope;
use opentelemetry_otlp::{
    RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _, WithTonicConfig as _,
};
use opentelemetry_sdk::trace::SpanExporter as _;
use tokio::sync::oneshot;
use tracing::info;

use super::{Config, Export, Exporter, PROBE_PAUSE, Queue};
use crate::destination::Path;
use crate::instance::Instance;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::otlp::client::Client;
use crate::telemetry::otlp::{Protocol, is_https, resource};
use crate::telemetry::plan::{Plan, Traces};
use crate::telemetry::trace::decide::{DebugSampling, Trust};
use crate::telemetry::trace::{Inner, Tracer};

/// Why tracing could not be begun: a setting or a variable, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartError(String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

/// Begins to trace, if `plan` names a collector. Must be called inside a tokio runtime. The collector need not be there.
///
/// # Errors
/// A setting or variable that cannot be right.
pub fn start(
    config: &Config,
    plan: &Plan,
    instance: &Instance,
    user_prefix: &Path,
    metrics: &Metrics,
) -> Result<(Tracer, Exporter), StartError> {
    let Some(traces) = &plan.traces else {
        return Ok((Tracer::default(), Exporter::default()));
    };
    let mut exporter =
        exporter(traces).map_err(|error| StartError(format!("{}: {error}", traces.said_by)))?;
    exporter.set_resource(&resource(instance, &plan.resource));
    let queue = Arc::new(Queue::new(config.queue.max(1), metrics.clone()));
    let export = Export {
        queue: queue.clone(),
        exporter,
        interval: config.interval.0,
        request_timeout: traces.timeout,
        failures: 0,
        pause: PROBE_PAUSE,
    };
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(export.run(stopped));
    info!(endpoint = %without_credentials(&traces.endpoint), protocol = %traces.protocol, ratio = traces.sampler.ratio,
        "tracing is on");
    let scope = InstrumentationScope::builder("herald")
        .with_version(env!("CARGO_PKG_VERSION"))
        .build();
    let tracer = Tracer::new(Inner {
        queue,
        sampler: traces.sampler,
        trust: Trust::new(&config.trust),
        baggage: config.baggage,
        debug: DebugSampling::default(),
        user_prefix: user_prefix.clone(),
        scope,
    });
    let exporter = Exporter {
        running: Some((stop, task)),
        flush_timeout: config.flush_timeout.0,
    };
    Ok((tracer, exporter))
}

/// The library's exporter for `traces`. Must be called inside a tokio runtime.
///
/// # Errors
/// Why the library cannot make one; names no secret.
fn exporter(traces: &Traces) -> Result<SpanExporter, String> {
    let exporter = match traces.protocol {
        Protocol::Grpc => {
            let builder = SpanExporter::builder()
                .with_tonic()
                .with_endpoint(&traces.endpoint)
                .with_timeout(traces.timeout)
                .with_retry_policy(RetryPolicy::disabled());
            // Left to itself the library trusts nobody.
            match is_https(&traces.endpoint) {
                true => builder.with_tls_config(traces.authorities.grpc()).build(),
                false => builder.build(),
            }
        }
        Protocol::Http => SpanExporter::builder()
            .with_http()
            .with_http_client(Client::new(&traces.endpoint, &traces.authorities)?)
            .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
            .with_endpoint(&traces.endpoint)
            .with_timeout(traces.timeout)
            .with_retry_policy(RetryPolicy::disabled())
            .build(),
    };
    exporter.map_err(|error| error.to_string())
}

/// An address may hold a password.
fn without_credentials(endpoint: &str) -> String {
    match (endpoint.find("://"), endpoint.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 <= at => {
            format!("{}{}", &endpoint[..scheme + 3], &endpoint[at + 1..])
        }
        _ => endpoint.to_owned(),
    }
}
