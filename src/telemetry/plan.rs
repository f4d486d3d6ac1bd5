//! Which data go to which collector: `[tracing]`, `[metrics]` and OpenTelemetry's own environment variables, read once
//! into values. Needs no runtime and opens no socket, so that `herald check` and `herald serve` share it. The
//! exporter's library reads the headers of `OTEL_EXPORTER_OTLP_…` itself.
//!
//! A variable may be meant for another program on the same machine. One that Herald cannot use is ignored with a
//! warning, as OpenTelemetry's specification requires, and never keeps Herald from starting.

use std::fmt;
use std::time::Duration;

use super::metrics::otlp::Config as MetricsConfig;
use super::otlp::{Authorities, Protocol};
use super::trace::decide::Sampler;
use super::trace::export::Config as TracingConfig;
use environment::{DISABLED, METRICS_EXPORTER, Reader, TRACES_EXPORTER};

mod environment;

/// What is sent where.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// `None`: nothing is traced.
    pub traces: Option<Traces>,
    /// `None`: metrics are pushed to nobody.
    pub metrics: Option<Push>,
    /// What the variables say of this program; stronger than what Herald says of itself.
    pub resource: Vec<(String, String)>,
    /// The variables that were ignored.
    pub warnings: Vec<Warning>,
}

/// The collector of traces.
#[derive(Debug, Clone, PartialEq)]
pub struct Traces {
    /// Its address; over HTTP with the path.
    pub endpoint: String,
    /// The setting or variable that names it.
    pub said_by: &'static str,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// How long it may take for one request.
    pub timeout: Duration,
    /// Which traces are recorded.
    pub sampler: Sampler,
    /// Whom its certificate may come from.
    pub authorities: Authorities,
}

/// The collector of metrics.
#[derive(Debug, Clone, PartialEq)]
pub struct Push {
    /// Its address.
    pub endpoint: String,
    /// The setting or variable that names it.
    pub said_by: &'static str,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// Whom its certificate may come from.
    pub authorities: Authorities,
}

/// A variable that was ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Its name.
    pub variable: &'static str,
    /// What was expected. Repeats no value that may hold a secret.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; ignored", self.variable, self.message)
    }
}

/// The plan in this process's environment. The configuration is taken as checked.
pub fn from_process(tracing: &TracingConfig, metrics: &MetricsConfig) -> Plan {
    plan(tracing, metrics, &|name| std::env::var(name).ok())
}

/// What `tracing`, `metrics` and the variables that `environment` gives ask for. The configuration is taken as checked, and
/// is stronger than the variables, except for those that switch everything off.
pub fn plan(
    tracing: &TracingConfig,
    metrics: &MetricsConfig,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Plan {
    let mut read = Reader {
        environment,
        warnings: Vec::new(),
    };
    let disabled = read.one(DISABLED, "true or false", |text| {
        let is = |word: &str| text.eq_ignore_ascii_case(word);
        (is("true") || is("false")).then(|| is("true"))
    });
    let disabled = disabled.unwrap_or(false);
    let traces = match disabled || read.is_none(TRACES_EXPORTER) {
        true => None,
        false => read.traces(tracing),
    };
    let push = match disabled || read.is_none(METRICS_EXPORTER) {
        true => None,
        false => read.push(metrics),
    };
    let resource = match (&traces, &push) {
        (None, None) => Vec::new(),
        _ => read.resource(),
    };
    Plan {
        traces,
        metrics: push,
        resource,
        warnings: read.warnings,
    }
}

#[cfg(test)]
mod tests;
