//! The common part of exporting traces and metrics: the protocol, the accepted certificates, and Herald's resource
//! attributes. Knows no span and no metric.

use std::fmt;

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use tonic::transport::{Certificate, ClientTlsConfig};

use crate::instance::Instance;
use crate::tls;

pub mod client;

const DEFAULT_SERVICE: &str = "herald";

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

/// Whether `text` is `http` or `https` and a host. It may hold a password, and stands in no error.
pub fn is_endpoint(text: &str) -> bool {
    let Ok(uri) = text.parse::<http::Uri>() else {
        return false;
    };
    matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
}

/// Who sends: this program, at `instance`, unless `given` (OpenTelemetry's variables) says otherwise.
pub fn resource(instance: &Instance, given: &[(String, String)]) -> Resource {
    let own = [
        KeyValue::new("service.name", DEFAULT_SERVICE),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", instance.id.to_string()),
        KeyValue::new("herald.instance.name", instance.name.to_string()),
    ];
    let given = given
        .iter()
        .cloned()
        .map(|(key, value)| KeyValue::new(key, value));
    // What comes later is stronger.
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes(own)
        .with_attributes(given)
        .build()
}

/// Whom a collector's certificate may come from: the system's authorities, and those of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authorities {
    /// PEM, and known to be readable.
    pem: Option<Vec<u8>>,
}

impl Authorities {
    /// Those of a file in PEM, beside the system's.
    ///
    /// # Errors
    /// The file, and what is wrong with it.
    pub fn from_file(path: &str) -> Result<Self, String> {
        let pem = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
        let count = CertificateDer::pem_slice_iter(&pem).filter(Result::is_ok).count();
        match count {
            0 => Err(format!("{path}: expected certificates in PEM")),
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
        let mut roots = tls::system_roots();
        if let Some(pem) = &self.pem {
            roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).flatten());
        }
        tls::client(roots).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::Key;

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
    fn the_resource_names_program_and_instance_unless_it_is_told_otherwise() {
        let instance = Instance::new(&crate::instance::Config {
            name: Some("one".parse().unwrap()),
        });
        let check = |given: &[(&str, &str)], key, expected: &str| {
            let given: Vec<_> = given
                .iter()
                .map(|(key, value)| ((*key).into(), (*value).into()))
                .collect();
            let resource = resource(&instance, &given);
            let found = resource.get(&Key::from_static_str(key));
            assert_eq!(found.map(|value| value.to_string()).as_deref(), Some(expected));
        };
        check(&[], "service.name", "herald");
        check(&[], "service.instance.id", &instance.id.to_string());
        check(&[], "herald.instance.name", "one");
        check(&[], "telemetry.sdk.language", "rust");
        check(&[("service.name", "x")], "service.name", "x");
        check(&[("service.instance.id", "y")], "service.instance.id", "y");
        check(&[("deployment.environment", "z")], "deployment.environment", "z");
    }

    #[test]
    fn a_file_of_authorities_that_cannot_be_right_is_named() {
        let file = |name: &str| format!("{}/tests/it/support/nats_tls/{name}", env!("CARGO_MANIFEST_DIR"));
        assert!(Authorities::from_file(&file("ca.pem")).unwrap().pem.is_some());
        for bad in [file("server-key.pem"), "/none".into()] {
            assert!(Authorities::from_file(&bad).unwrap_err().starts_with(&bad));
        }
    }
}
