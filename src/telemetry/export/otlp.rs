//! The OTLP exporter that the configuration and OpenTelemetry's own environment variables ask for. Headers, compression,
//! certificates and the endpoint of `OTEL_EXPORTER_OTLP_…` are read by the library itself.

use std::time::Duration;

use opentelemetry::{Key, KeyValue};
use opentelemetry_otlp::{
    RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _, WithTonicConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanExporter as _;

use super::{Config, Protocol};
use crate::instance::Instance;
use crate::telemetry::propagation::Sampler;

const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_PROTOCOL: &str = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const TRACES_TIMEOUT: &str = "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT";
const TIMEOUT: &str = "OTEL_EXPORTER_OTLP_TIMEOUT";
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_SERVICE: &str = "herald";

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
        (None, None) => match port(&endpoint) {
            Some(4317) => Protocol::Grpc,
            _ => Protocol::Http,
        },
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
    }))
}

fn port(endpoint: &str) -> Option<u16> {
    endpoint.parse::<http::Uri>().ok()?.port_u16()
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
            match asked.endpoint_from_config {
                true => builder.with_endpoint(&asked.endpoint).build(),
                false => builder.build(),
            }
        }
        Protocol::Http => {
            let builder = SpanExporter::builder()
                .with_http()
                .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
                .with_timeout(asked.timeout)
                .with_retry_policy(RetryPolicy::disabled());
            match asked.endpoint_from_config {
                true => builder.with_endpoint(with_path(&asked.endpoint)).build(),
                false => builder.build(),
            }
        }
    }
    .map_err(|error| error.to_string())?;
    exporter.set_resource(&resource(instance));
    Ok(exporter)
}

/// The library takes an address over HTTP as it stands; who gives none of its own means the usual path.
fn with_path(endpoint: &str) -> String {
    let path = endpoint.parse::<http::Uri>().map(|uri| uri.path().to_owned());
    match path.as_deref() {
        Ok("" | "/") => format!("{}/v1/traces", endpoint.trim_end_matches('/')),
        _ => endpoint.to_owned(),
    }
}

/// `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` are stronger than what Herald says of itself.
fn resource(instance: &Instance) -> Resource {
    let given = Resource::builder().build();
    let own = [
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", instance.id.to_string()),
        KeyValue::new("herald.instance.name", instance.name.to_string()),
    ];
    let own = own.into_iter().filter(|own| given.get_ref(&own.key).is_none());
    let mut builder = Resource::builder().with_attributes(own);
    let named = given.get_ref(&Key::from_static_str("service.name"));
    if named.is_none_or(|name| name.as_str().starts_with("unknown_service")) {
        builder = builder.with_service_name(DEFAULT_SERVICE);
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::units::HumanDuration;

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

    #[test]
    fn an_address_without_a_path_gets_the_usual_one() {
        let check = |given, expected| assert_eq!(with_path(given), expected);
        check("http://c:4318", "http://c:4318/v1/traces");
        check("http://c:4318/", "http://c:4318/v1/traces");
        check("http://c/in", "http://c/in");
    }

    #[test]
    fn the_resource_names_program_and_instance() {
        let instance = Instance::new(&crate::instance::Config {
            name: Some("one".into()),
        });
        let resource = resource(&instance);
        let get = |key| resource.get(&Key::from_static_str(key)).map(|v| v.to_string());
        assert_eq!(get("service.name").as_deref(), Some("herald"));
        assert_eq!(get("service.instance.id"), Some(instance.id.to_string()));
        assert_eq!(get("herald.instance.name").as_deref(), Some("one"));
    }
}
