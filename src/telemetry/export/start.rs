//! From `[tracing]` to a tracer and the task behind it. Knows what is asked for, not how it is sent.

use std::fmt;
use std::sync::Arc;

use opentelemetry::InstrumentationScope;
use tokio::sync::oneshot;
use tracing::info;

use super::asked::{Environment, asked, exporter};
use super::{Config, Export, Exporter, PROBE_PAUSE, Queue};
use crate::destination::Path;
use crate::instance::Instance;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::propagation::{DebugSampling, Trust};
use crate::telemetry::spans::{Inner, Tracer};

/// Why tracing could not be begun: a setting or a variable, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartError(String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

/// Begins to trace, if `config` or OpenTelemetry's environment variables name a collector. Must be called inside a tokio
/// runtime. The collector need not be there.
///
/// # Errors
/// A setting or variable that cannot be right.
pub fn start(
    config: &Config,
    instance: &Instance,
    user_prefix: &Path,
    metrics: &Metrics,
) -> Result<(Tracer, Exporter), StartError> {
    let environment = |name: &str| std::env::var(name).ok();
    let Some(asked) = asked(config, &Environment(&environment)).map_err(StartError)? else {
        return Ok((Tracer::default(), Exporter::default()));
    };
    let said_by = match asked.endpoint_from_config {
        true => "tracing.endpoint",
        false => "OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    };
    let exporter = exporter(&asked, instance).map_err(|error| StartError(format!("{said_by}: {error}")))?;
    let queue = Arc::new(Queue::new(config.queue.max(1), metrics.clone()));
    let export = Export {
        queue: queue.clone(),
        exporter,
        interval: config.interval.0,
        request_timeout: asked.timeout,
        failures: 0,
        pause: PROBE_PAUSE,
    };
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(export.run(stopped));
    info!(endpoint = %without_credentials(&asked.endpoint), protocol = %asked.protocol, ratio = asked.sampler.ratio,
        "tracing is on");
    let scope = InstrumentationScope::builder("herald")
        .with_version(env!("CARGO_PKG_VERSION"))
        .build();
    let tracer = Tracer::new(Inner {
        queue,
        sampler: asked.sampler,
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

/// An address may hold a password.
fn without_credentials(endpoint: &str) -> String {
    match (endpoint.find("://"), endpoint.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 <= at => {
            format!("{}{}", &endpoint[..scheme + 3], &endpoint[at + 1..])
        }
        _ => endpoint.to_owned(),
    }
}
