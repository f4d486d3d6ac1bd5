//! From the plan to a tracer, and to the export task with the library's exporter.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use opentelemetry_otlp::{
    RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _, WithTonicConfig as _,
};
use opentelemetry_sdk::trace::SpanExporter as _;
use tokio::sync::oneshot;
use tracing::{error, info};

use super::{Config, Export, Exporter, PROBE_PAUSE, Queue};
use crate::destination::Path;
use crate::instance::Instance;
use crate::setting::shown_address;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::otlp::client::Client;
use crate::telemetry::otlp::{Protocol, is_https, resource};
use crate::telemetry::plan::{Plan, Traces};
use crate::telemetry::trace::Tracer;
use crate::telemetry::trace::decide::Trust;

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
    #[expect(clippy::disallowed_methods, reason = "the exporter keeps the handle")]
    let task = tokio::spawn(watched(export.run(stopped), queue.clone()));
    info!(endpoint = shown_address(&traces.endpoint), protocol = %traces.protocol, ratio = traces.sampler.ratio,
        "tracing is on");
    let trust = Trust::new(&config.trust);
    let tracer = Tracer::new(queue, traces.sampler, trust, config.baggage, user_prefix.clone());
    let exporter = Exporter {
        running: Some((stop, task)),
        flush_timeout: config.flush_timeout.0,
    };
    Ok((tracer, exporter))
}

/// Runs `export`. Serving does not depend on it: if it panics, the log says so once, spans are counted as lost, and
/// notifications go on.
async fn watched(export: impl Future<Output = ()>, queue: Arc<Queue>) {
    if AssertUnwindSafe(export).catch_unwind().await.is_err() {
        queue.close();
        error!(
            "the task that exports spans has failed: spans are lost from now on; notifications are not affected"
        );
    }
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

#[cfg(test)]
pub(super) async fn watch_a_panic(queue: Arc<Queue>) {
    watched(async { panic!("on purpose") }, queue).await;
}
