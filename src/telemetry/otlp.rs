//! What traces and metrics share on their way to a collector: how it is spoken to, whose certificate it may show, and what
//! Herald says of itself. Knows no span and no metric.

use std::fmt;

use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::Resource;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use tonic::transport::{Certificate, ClientTlsConfig};

use crate::instance::Instance;

pub mod client;

const DEFAULT_SERVICE: &str = "herald";
const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";

/// `tracing.protocol`, `metrics.protocol`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// OTLP over gRPC.
    #[serde(rename = "grpc")]
    Grpc,
    /// OTLP over HTTP, protobuf.
    #[serde(rename = "http/protobuf", alias = "http")]
    Http,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grpc => "grpc",
            Self::Http => "http/protobuf",
        })
    }
}

impl Protocol {
    /// What an address without a protocol means: gRPC on its usual port, HTTP on any other.
    pub fn of(endpoint: &str) -> Self {
        match endpoint.parse::<http::Uri>().ok().and_then(|uri| uri.port_u16()) {
            Some(4317) => Self::Grpc,
            _ => Self::Http,
        }
    }
}

/// An address over HTTP is taken as it stands; who gives no path means the usual one, such as `/v1/traces`.
pub fn with_path(endpoint: &str, usual: &str) -> String {
    match endpoint.parse::<http::Uri>() {
        Ok(uri) if matches!(uri.path(), "" | "/") => format!("{}{usual}", endpoint.trim_end_matches('/')),
        _ => endpoint.to_owned(),
    }
}

/// Whether the address asks for TLS.
pub fn is_https(endpoint: &str) -> bool {
    let scheme = endpoint.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
}

/// `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` are stronger than what Herald says of itself.
pub fn resource(instance: &Instance) -> Resource {
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

/// Whom a collector's certificate may come from: the system's authorities, and those of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authorities {
    /// PEM, and known to be readable.
    pem: Option<Vec<u8>>,
}

impl Authorities {
    /// By `OTEL_EXPORTER_OTLP_<SIGNAL>_CERTIFICATE`, else `OTEL_EXPORTER_OTLP_CERTIFICATE`, as `variable` gives them.
    ///
    /// # Errors
    /// The variable's name, and what is wrong with its file.
    pub fn from_environment(signal: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let of_signal = format!("OTEL_EXPORTER_OTLP_{signal}_CERTIFICATE");
        let found = [of_signal.as_str(), CERTIFICATE].into_iter().find_map(|name| {
            let path = variable(name).filter(|path| !path.trim().is_empty())?;
            Some((name.to_owned(), path))
        });
        let Some((name, path)) = found else {
            return Ok(Self::default());
        };
        let pem = std::fs::read(path.trim()).map_err(|error| format!("{name}: {path}: {error}"))?;
        let count = CertificateDer::pem_slice_iter(&pem).filter(Result::is_ok).count();
        match count {
            0 => Err(format!("{name}: {path}: expected certificates in PEM")),
            _ => Ok(Self { pem: Some(pem) }),
        }
    }

    /// For gRPC.
    pub fn grpc(&self) -> ClientTlsConfig {
        let config = ClientTlsConfig::new().with_enabled_roots();
        match &self.pem {
            Some(pem) => config.ca_certificate(Certificate::from_pem(pem)),
            None => config,
        }
    }

    /// For HTTP.
    fn rustls(&self) -> Result<rustls::ClientConfig, String> {
        let mut roots = rustls::RootCertStore::empty();
        // What the system has and is unreadable is no authority.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(pem) = &self.pem {
            roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).flatten());
        }
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        Ok(config.with_root_certificates(roots).with_no_client_auth())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_path_gets_the_usual_one() {
        let check = |given, expected| assert_eq!(with_path(given, "/v1/traces"), expected);
        check("http://c:4318", "http://c:4318/v1/traces");
        check("https://c:4318/", "https://c:4318/v1/traces");
        check("http://c/in", "http://c/in");
    }

    #[test]
    fn the_port_says_how_it_is_spoken_to() {
        let check = |given, expected| assert_eq!(Protocol::of(given), expected, "{given}");
        check("http://c:4317", Protocol::Grpc);
        check("https://c:4317", Protocol::Grpc);
        check("http://c:4318", Protocol::Http);
        check("http://c", Protocol::Http);
        assert!(is_https("HTTPS://c") && !is_https("http://c") && !is_https("c"));
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

    #[test]
    fn a_file_of_authorities_that_cannot_be_right_is_named() {
        let file = |name: &str| format!("{}/tests/it/support/nats_tls/{name}", env!("CARGO_MANIFEST_DIR"));
        let check = |variables: &[(&str, &str)], expected: Result<bool, &str>| {
            let variable = |name: &str| {
                let found = variables.iter().find(|(held, _)| *held == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            let read = Authorities::from_environment("TRACES", variable).map(|read| read.pem.is_some());
            match (read, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{variables:?}"),
                (Err(error), Err(name)) => assert!(error.starts_with(name), "{error}"),
                other => panic!("{other:?} for {variables:?}"),
            }
        };
        let (good, bad) = (file("ca.pem"), file("server-key.pem"));
        let of_traces = "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE";
        check(&[], Ok(false));
        check(&[(CERTIFICATE, " ")], Ok(false));
        check(&[(CERTIFICATE, &good)], Ok(true));
        check(&[(CERTIFICATE, &bad)], Err(CERTIFICATE));
        check(&[(CERTIFICATE, &bad), (of_traces, &good)], Ok(true));
        check(&[(of_traces, "/none")], Err(of_traces));
    }
}
