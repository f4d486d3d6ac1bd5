//! The OTLP exporter that the configuration and OpenTelemetry's own environment variables ask for. Headers and compression of
//! `OTEL_EXPORTER_OTLP_…`, and an endpoint that only they name, are read by the library itself.

use std::time::Duration;

use opentelemetry_otlp::{
    RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _, WithTonicConfig as _,
};
use opentelemetry_sdk::trace::SpanExporter as _;

use super::Config;
use crate::instance::Instance;
use crate::telemetry::otlp::client::Client;
use crate::telemetry::otlp::{Authorities, Protocol, is_https, resource, with_path};
use crate::telemetry::propagation::Sampler;

const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_PROTOCOL: &str = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const TRACES_TIMEOUT: &str = "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT";
const TIMEOUT: &str = "OTEL_EXPORTER_OTLP_TIMEOUT";
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// An environment: OpenTelemetry's variables in it. An empty one counts as not set, as its specification asks.
pub(super) struct Environment<'a>(pub &'a dyn Fn(&str) -> Option<String>);

impl Environment<'_> {
    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name)
            .map(|text| text.trim().to_owned())
            .filter(|text| !text.is_empty())
    }

    fn first(&self, names: [&str; 2]) -> Option<(String, String)> {
        names
            .into_iter()
            .find_map(|name| Some((name.to_owned(), self.get(name)?)))
    }
}

/// What is asked for, from both sources.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    /// Shown in the log; not given to the library where its own variable said it.
    pub endpoint: String,
    pub endpoint_from_config: bool,
    pub protocol: Protocol,
    pub timeout: Duration,
    pub sampler: Sampler,
    pub authorities: Authorities,
}

/// What `config` and `environment` ask for; none: no tracing.
///
/// # Errors
/// A variable that cannot be right, by its name.
pub(super) fn asked(config: &Config, environment: &Environment<'_>) -> Result<Option<Asked>, String> {
    let is = |name, word: &str| {
        environment
            .get(name)
            .is_some_and(|text| text.eq_ignore_ascii_case(word))
    };
    if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
        return Ok(None);
    }
    let (endpoint, endpoint_from_config) = match &config.endpoint {
        Some(endpoint) => (endpoint.clone(), true),
        None => match environment.first([TRACES_ENDPOINT, ENDPOINT]) {
            Some((_, endpoint)) => (endpoint, false),
            None => return Ok(None),
        },
    };
    let protocol = match (config.protocol, environment.first([TRACES_PROTOCOL, PROTOCOL])) {
        (Some(protocol), _) => protocol,
        (None, Some((name, text))) => match text.as_str() {
            "grpc" => Protocol::Grpc,
            "http/protobuf" => Protocol::Http,
            _ => return Err(format!("{name}: expected grpc or http/protobuf, got {text:?}")),
        },
        (None, None) => Protocol::of(&endpoint),
    };
    let timeout = match (config.timeout, environment.first([TRACES_TIMEOUT, TIMEOUT])) {
        (Some(timeout), _) => timeout.0,
        (None, Some((name, text))) => text
            .parse()
            .ok()
            .filter(|ms| *ms > 0)
            .map(Duration::from_millis)
            .ok_or_else(|| format!("{name}: expected milliseconds, got {text:?}"))?,
        (None, None) => DEFAULT_TIMEOUT,
    };
    let argument = environment.get("OTEL_TRACES_SAMPLER_ARG");
    let mut sampler = match environment.get("OTEL_TRACES_SAMPLER") {
        Some(name) => Sampler::from_names(&name, argument.as_deref())?,
        None => Sampler::default(),
    };
    if let Some(ratio) = config.ratio {
        sampler.ratio = ratio;
    }
    Ok(Some(Asked {
        endpoint,
        endpoint_from_config,
        protocol,
        timeout,
        sampler,
        authorities: Authorities::from_environment("TRACES", |name| environment.get(name))?,
    }))
}

/// The library's exporter for `asked`. Must be called inside a tokio runtime.
///
/// # Errors
/// Why the library cannot make one; names no secret.
pub(super) fn exporter(asked: &Asked, instance: &Instance) -> Result<SpanExporter, String> {
    let mut exporter = match asked.protocol {
        Protocol::Grpc => {
            let builder = SpanExporter::builder()
                .with_tonic()
                .with_timeout(asked.timeout)
                .with_retry_policy(RetryPolicy::disabled());
            // Left to itself the library trusts nobody.
            let builder = match is_https(&asked.endpoint) {
                true => builder.with_tls_config(asked.authorities.grpc()),
                false => builder,
            };
            match asked.endpoint_from_config {
                true => builder.with_endpoint(&asked.endpoint).build(),
                false => builder.build(),
            }
        }
        Protocol::Http => {
            let client = Client::new(&asked.endpoint, &asked.authorities)?;
            let builder = SpanExporter::builder()
                .with_http()
                .with_http_client(client)
                .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
                .with_timeout(asked.timeout)
                .with_retry_policy(RetryPolicy::disabled());
            match asked.endpoint_from_config {
                true => builder
                    .with_endpoint(with_path(&asked.endpoint, "/v1/traces"))
                    .build(),
                false => builder.build(),
            }
        }
    }
    .map_err(|error| error.to_string())?;
    exporter.set_resource(&resource(instance));
    Ok(exporter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setting::HumanDuration;

    const COLLECTOR: (&str, &str) = (ENDPOINT, "http://c:4318");

    fn of(config: &Config, variables: &[(&str, &str)]) -> Result<Option<Asked>, String> {
        let find = |name: &str| {
            let found = variables.iter().find(|(held, _)| *held == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        asked(config, &Environment(&find))
    }

    #[test]
    fn tracing_is_off_unless_an_endpoint_says_otherwise() {
        let check =
            |endpoint: Option<&str>, variables: &[(&str, &str)], expected: Option<(&str, Protocol)>| {
                let config = Config {
                    endpoint: endpoint.map(Into::into),
                    ..Config::default()
                };
                let asked = of(&config, variables).unwrap();
                let found = asked
                    .as_ref()
                    .map(|asked| (asked.endpoint.as_str(), asked.protocol));
                assert_eq!(found, expected, "{endpoint:?} {variables:?}");
            };
        check(None, &[], None);
        check(None, &[(ENDPOINT, " ")], None);
        check(
            Some("http://a:4317"),
            &[],
            Some(("http://a:4317", Protocol::Grpc)),
        );
        check(
            Some("http://a:4318"),
            &[],
            Some(("http://a:4318", Protocol::Http)),
        );
        check(None, &[COLLECTOR], Some(("http://c:4318", Protocol::Http)));
        let traces = (TRACES_ENDPOINT, "http://t");
        check(None, &[COLLECTOR, traces], Some(("http://t", Protocol::Http)));
        let grpc = (PROTOCOL, "grpc");
        check(
            Some("http://a"),
            &[COLLECTOR, grpc],
            Some(("http://a", Protocol::Grpc)),
        );
        check(Some("http://a"), &[("OTEL_SDK_DISABLED", "TRUE")], None);
        check(Some("http://a"), &[("OTEL_TRACES_EXPORTER", "none")], None);
    }

    #[test]
    fn the_configuration_is_stronger_than_opentelemetrys_variables() {
        let variables = [
            COLLECTOR,
            (TIMEOUT, "1500"),
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.5"),
        ];
        let asked = of(&Config::default(), &variables).unwrap().unwrap();
        assert_eq!(asked.timeout, Duration::from_millis(1_500));
        assert_eq!((asked.sampler.parent_based, asked.sampler.ratio), (false, 0.5));
        let config = Config {
            ratio: Some(0.01),
            timeout: Some(HumanDuration::secs(2)),
            ..Config::default()
        };
        let asked = of(&config, &variables).unwrap().unwrap();
        assert_eq!((asked.sampler.ratio, asked.timeout.as_secs()), (0.01, 2));
    }

    #[test]
    fn a_variable_that_cannot_be_right_is_named() {
        for (name, value) in [
            (PROTOCOL, "http/json"),
            (TIMEOUT, "1s"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
        ] {
            let error = of(&Config::default(), &[COLLECTOR, (name, value)]).unwrap_err();
            assert!(error.starts_with(name), "{error}");
        }
    }
}
