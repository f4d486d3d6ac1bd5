//! OpenTelemetry's variables, read as its specification says: blanks and line ends around a value are dropped, an empty
//! one counts as not set, and an unusable one is kept as a warning and counts as not set. Does not read the process
//! environment: it is a parameter.

use std::str::FromStr;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use super::{Push, Traces, Warning};
use crate::telemetry::metrics::otlp::Config as MetricsConfig;
use crate::telemetry::otlp::{Authorities, Protocol, is_endpoint, with_path};
use crate::telemetry::trace::decide::Sampler;
use crate::telemetry::trace::export::Config as TracingConfig;

pub(super) const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
pub(super) const METRICS_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";
pub(super) const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
pub(super) const TRACES_PROTOCOL: &str = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL";
pub(super) const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
pub(super) const TRACES_TIMEOUT: &str = "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT";
pub(super) const TIMEOUT: &str = "OTEL_EXPORTER_OTLP_TIMEOUT";
pub(super) const TRACES_COMPRESSION: &str = "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION";
pub(super) const COMPRESSION: &str = "OTEL_EXPORTER_OTLP_COMPRESSION";
pub(super) const TRACES_CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE";
pub(super) const METRICS_CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE";
pub(super) const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
pub(super) const DISABLED: &str = "OTEL_SDK_DISABLED";
pub(super) const TRACES_EXPORTER: &str = "OTEL_TRACES_EXPORTER";
pub(super) const METRICS_EXPORTER: &str = "OTEL_METRICS_EXPORTER";
pub(super) const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
pub(super) const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";
pub(super) const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
pub(super) const RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads variables, and keeps what is wrong with them.
pub(super) struct Reader<'a> {
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    pub warnings: Vec<Warning>,
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
    pub(super) fn one<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
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
    pub(super) fn is_none(&mut self, name: &'static str) -> bool {
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

    pub(super) fn traces(&mut self, config: &TracingConfig) -> Option<Traces> {
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

    pub(super) fn push(&mut self, config: &MetricsConfig) -> Option<Push> {
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
    pub(super) fn resource(&mut self) -> Vec<(String, String)> {
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
