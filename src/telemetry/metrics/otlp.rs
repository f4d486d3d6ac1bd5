//! Pushes the metrics over OTLP as well: everything that `/metrics` shows, under the same names, every
//! [`Config::interval`]. If a collector is slow or away, the failure is counted and logged once; nothing waits for it
//! and nothing is kept for it: the next push contains everything counted meanwhile.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::common::v1::KeyValue;
use serde::{Deserialize, Serialize};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Metrics, Observed, process};
use crate::instance::Instance;
use crate::setting::{HumanDuration, serialize_shown, shown_address};
use crate::task;
use crate::telemetry::otlp::{Protocol, resource};
use crate::telemetry::plan::Plan;
use convert::{Span, attribute};
use futures_util::future::BoxFuture;
use send::Collector;

mod convert;
mod send;

/// How long the last push may take at the end.
const LAST_PUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// `[metrics]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The collector that metrics are pushed to; none: `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT`, and without that nobody.
    #[serde(serialize_with = "serialize_shown")]
    pub endpoint: Option<String>,
    /// How it is spoken to; none: gRPC on port 4317, HTTP on any other.
    pub protocol: Option<Protocol>,
    /// How often.
    pub interval: HumanDuration,
    /// How long it may take for one push.
    pub timeout: HumanDuration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            endpoint: None,
            protocol: None,
            interval: HumanDuration::secs(15),
            timeout: HumanDuration::secs(10),
        }
    }
}

/// Reads what others count, at the moment of a push.
pub type Observe = Arc<dyn Fn() -> BoxFuture<'static, Observed> + Send + Sync>;

/// The work that pushes until `shutdown` and once more then, if `plan` names a collector. Must be called inside a tokio
/// runtime.
///
/// # Errors
/// What was expected of the endpoint, with the name of the setting or variable.
pub fn start(
    config: &Config,
    plan: &Plan,
    instance: &Instance,
    metrics: Metrics,
    observe: Observe,
    shutdown: CancellationToken,
) -> Result<Option<impl Future<Output = ()> + Send + use<>>, String> {
    let Some(push) = &plan.metrics else {
        return Ok(None);
    };
    let collector = Collector::new(&push.endpoint, push.protocol, config.timeout.0, &push.authorities)
        .map_err(|error| format!("{}: {error}", push.said_by))?;
    info!(endpoint = shown_address(&push.endpoint), interval = %config.interval, "metrics are pushed by OTLP");
    let push = Push {
        metrics,
        observe,
        collector,
        resource: attributes(instance, &plan.resource),
        timeout: config.timeout.0,
        failing: false,
    };
    Ok(Some(push.run(config.interval.0, shutdown)))
}

/// As `opentelemetry-proto` has it.
fn attributes(instance: &Instance, given: &[(String, String)]) -> Vec<KeyValue> {
    let resource = resource(instance, given);
    let pairs = resource.iter();
    pairs
        .map(|(key, value)| attribute(key.as_str(), &value.as_str()))
        .collect()
}

struct Push {
    metrics: Metrics,
    observe: Observe,
    collector: Collector,
    resource: Vec<KeyValue>,
    timeout: Duration,
    failing: bool,
}

impl Push {
    async fn run(mut self, every: Duration, shutdown: CancellationToken) {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = ticks.tick() => {}
            }
            self.push_or_count(self.timeout).await;
        }
        self.push_or_count(LAST_PUSH_TIMEOUT.min(self.timeout)).await;
    }

    /// Pushes once. What a collector answers must not end the pushes, and with them the instance.
    async fn push_or_count(&mut self, within: Duration) {
        if task::caught(self.push(within)).await.is_err() {
            self.failed("the push panicked");
        }
    }

    async fn push(&mut self, within: Duration) {
        let observed = (self.observe)().await;
        let metrics = self.metrics.clone();
        let gathered = tokio::task::spawn_blocking(move || metrics.gather(&observed)).await;
        let families = match gathered {
            Ok(Ok(families)) => families,
            Ok(Err(error)) => return self.failed(&error.to_string()),
            Err(error) => return self.failed(&error.to_string()),
        };
        let span = Span {
            start: (process::start_seconds() * 1e9) as u64,
            end: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_nanos() as u64),
        };
        let request = convert::request(&families, self.resource.clone(), span);
        match timeout(within, self.collector.send(request)).await {
            Ok(Ok(())) => {
                if self.failing {
                    info!("the collector takes metrics again");
                }
                self.failing = false;
            }
            Ok(Err(error)) => self.failed(&error),
            Err(_) => self.failed("no answer in time (metrics.timeout)"),
        }
    }

    fn failed(&mut self, error: &str) {
        self.metrics.otlp_failures.inc();
        if !self.failing {
            warn!(error, "the collector takes no metrics; /metrics is not affected");
        }
        self.failing = true;
    }
}
