//! What goes to which collector: `[tracing]`, `[metrics]` and OpenTelemetry's own environment variables, read once into
//! values. Needs no runtime and opens no socket, so that `herald check` and `herald serve` share it. The exporter's library
//! reads the headers of `OTEL_EXPORTER_OTLP_…` itself.
//!
//! A variable may be meant for another program of the same machine. One that Herald cannot use is ignored with a warning,
//! as OpenTelemetry's specification asks, and never keeps Herald from starting.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use super::metrics::otlp::Config as MetricsConfig;
use super::otlp::{Authorities, Protocol, is_endpoint, with_path};
use super::trace::decide::Sampler;
use super::trace::export::Config as TracingConfig;

const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const METRICS_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_PROTOCOL: &str = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const TRACES_TIMEOUT: &str = "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT";
const TIMEOUT: &str = "OTEL_EXPORTER_OTLP_TIMEOUT";
const TRACES_COMPRESSION: &str = "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION";
const COMPRESSION: &str = "OTEL_EXPORTER_OTLP_COMPRESSION";
const TRACES_CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE";
const METRICS_CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE";
const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
const DISABLED: &str = "OTEL_SDK_DISABLED";
const TRACES_EXPORTER: &str = "OTEL_TRACES_EXPORTER";
const METRICS_EXPORTER: &str = "OTEL_METRICS_EXPORTER";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
const RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

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

/// Reads variables, and keeps what is wrong with them.
struct Reader<'a> {
    environment: &'a dyn Fn(&str) -> Option<String>,
    warnings: Vec<Warning>,
}

impl Reader<'_> {
    /// A variable without blanks and line ends around it. An empty one counts as not set.
    fn text(&self, name: &str) -> Option<String> {
        let text = (self.environment)(name)?;
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn warn(&mut self, variable: &'static str, message: impl Into<String>) {
        let message = message.into();
        self.warnings.push(Warning { variable, message });
    }

    /// What `parse` makes of a variable; a warning and `None` if nothing.
    fn one<T>(&mut self, name: &'static str, expected: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = self.text(name)?;
        let parsed = parse(&text);
        if parsed.is_none() {
            self.warn(name, format!("expected {expected}, got {text:?}"));
        }
        parsed
    }

    /// The first of `names` that says something usable.
    fn first<T>(
        &mut self,
        names: [&'static str; 2],
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        names
            .into_iter()
            .find_map(|name| self.one(name, expected, &parse))
    }

    /// Whether an `OTEL_…_EXPORTER` says `none`. Of the others Herald has OTLP alone.
    fn is_none(&mut self, name: &'static str) -> bool {
        let said = self.one(
            name,
            "otlp or none: Herald exports by OTLP alone",
            |text| match text.to_ascii_lowercase().as_str() {
                "otlp" => Some(false),
                "none" => Some(true),
                _ => None,
            },
        );
        said.unwrap_or(false)
    }

    /// An address; it may hold a password and is not repeated.
    fn endpoint(&mut self, name: &'static str) -> Option<String> {
        let text = self.text(name)?;
        if is_endpoint(&text) {
            return Some(text);
        }
        self.warn(
            name,
            "expected a collector's address, such as http://localhost:4317",
        );
        None
    }

    fn traces(&mut self, config: &TracingConfig) -> Option<Traces> {
        let (endpoint, said_by) = match &config.endpoint {
            Some(endpoint) => (endpoint.clone(), "tracing.endpoint"),
            None => [TRACES_ENDPOINT, ENDPOINT]
                .into_iter()
                .find_map(|name| Some((self.endpoint(name)?, name)))?,
        };
        let said = self.first([TRACES_PROTOCOL, PROTOCOL], "grpc or http/protobuf", protocol);
        let protocol = config
            .protocol
            .or(said)
            .unwrap_or_else(|| Protocol::of(&endpoint));
        let said = self.first(
            [TRACES_TIMEOUT, TIMEOUT],
            "milliseconds, more than 0",
            milliseconds,
        );
        let timeout = config.timeout.map(|timeout| timeout.0).or(said);
        let mut sampler = self.sampler();
        if let Some(ratio) = config.ratio {
            sampler.ratio = ratio;
        }
        self.first(
            [TRACES_COMPRESSION, COMPRESSION],
            "none: Herald sends uncompressed",
            |text| text.eq_ignore_ascii_case("none").then_some(()),
        );
        let endpoint = match (protocol, said_by) {
            // The general variable is a base, below which each signal has its path; the one for traces says it all.
            (Protocol::Http, ENDPOINT) => format!("{}/v1/traces", endpoint.trim_end_matches('/')),
            (Protocol::Http, TRACES_ENDPOINT) | (Protocol::Grpc, _) => endpoint,
            (Protocol::Http, _) => with_path(&endpoint, "/v1/traces"),
        };
        Some(Traces {
            endpoint,
            said_by,
            protocol,
            timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
            sampler,
            authorities: self.authorities([TRACES_CERTIFICATE, CERTIFICATE]),
        })
    }

    fn push(&mut self, config: &MetricsConfig) -> Option<Push> {
        let (endpoint, said_by) = match &config.endpoint {
            Some(endpoint) => (endpoint.clone(), "metrics.endpoint"),
            None => (self.endpoint(METRICS_ENDPOINT)?, METRICS_ENDPOINT),
        };
        Some(Push {
            protocol: config.protocol.unwrap_or_else(|| Protocol::of(&endpoint)),
            endpoint,
            said_by,
            authorities: self.authorities([METRICS_CERTIFICATE, CERTIFICATE]),
        })
    }

    /// A ratio that cannot be read counts as not set, which means 1.
    fn sampler(&mut self) -> Sampler {
        let expected = "always_on, always_off, traceidratio, or one of them behind parentbased_";
        let named = self.one(SAMPLER, expected, |text| {
            let name = text.to_ascii_lowercase();
            let (parent_based, kind) = match name.strip_prefix("parentbased_") {
                Some(kind) => (true, kind),
                None => (false, name.as_str()),
            };
            let ratio = match kind {
                "always_on" => Some(1.0),
                "always_off" => Some(0.0),
                "traceidratio" => None,
                _ => return None,
            };
            Some((parent_based, ratio))
        });
        let Some((parent_based, ratio)) = named else {
            return Sampler::default();
        };
        let ratio = ratio.or_else(|| {
            self.one(SAMPLER_ARG, "a number from 0 to 1", |text| {
                f64::from_str(text)
                    .ok()
                    .filter(|ratio| (0.0..=1.0).contains(ratio))
            })
        });
        Sampler {
            parent_based,
            ratio: ratio.unwrap_or(1.0),
        }
    }

    /// Without a file that can be read, the system's authorities alone: whoever shows another certificate is not trusted.
    fn authorities(&mut self, names: [&'static str; 2]) -> Authorities {
        for name in names {
            let Some(path) = self.text(name) else { continue };
            match Authorities::from_file(&path) {
                Ok(authorities) => return authorities,
                Err(error) => self.warn(name, error),
            }
        }
        Authorities::default()
    }

    /// `OTEL_SERVICE_NAME` is stronger than `service.name` in `OTEL_RESOURCE_ATTRIBUTES`.
    fn resource(&mut self) -> Vec<(String, String)> {
        let mut pairs = match self.text(RESOURCE_ATTRIBUTES).map(|text| attributes(&text)) {
            Some(Some(pairs)) => pairs,
            Some(None) => {
                let expected = "expected key=value, several by commas, with anything else percent-encoded";
                self.warn(RESOURCE_ATTRIBUTES, expected);
                Vec::new()
            }
            None => Vec::new(),
        };
        if let Some(name) = self.text(SERVICE_NAME) {
            pairs.retain(|(key, _)| key != "service.name");
            pairs.push(("service.name".into(), name));
        }
        pairs
    }
}

fn protocol(text: &str) -> Option<Protocol> {
    match text.to_ascii_lowercase().as_str() {
        "grpc" => Some(Protocol::Grpc),
        "http/protobuf" => Some(Protocol::Http),
        _ => None,
    }
}

fn milliseconds(text: &str) -> Option<Duration> {
    let ms = text.parse().ok().filter(|ms| *ms > 0)?;
    Some(Duration::from_millis(ms))
}

/// The pairs of `OTEL_RESOURCE_ATTRIBUTES`, percent-decoded. One error, and the whole text is no good, as the
/// specification says.
fn attributes(text: &str) -> Option<Vec<(String, String)>> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let read = pairs.map(|pair| {
        let (key, value) = pair.split_once('=')?;
        let (key, value) = (decoded(key.trim())?, decoded(value.trim())?);
        (!key.is_empty()).then_some((key, value))
    });
    read.collect()
}

/// `None`: an escape that is none, or no UTF-8 behind them.
fn decoded(text: &str) -> Option<String> {
    let escapes_are_whole = text.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    let decoded = percent_decode_str(text).decode_utf8().ok();
    decoded.filter(|_| escapes_are_whole).map(Into::into)
}

#[cfg(test)]
mod tests;
