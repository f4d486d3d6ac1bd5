//! Fetches the keys of issuers with the one HTTP client: one client per issuer, with the authorities that its setting
//! names. Knows no key.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{ACCEPT, CACHE_CONTROL, DATE, HeaderMap};
use http::{Request, StatusCode};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::auth::issuers::KnownIssuers;
use crate::auth::keys::jwks;
use crate::auth::keys::source::{Fetch, Fetched};
use crate::http_client::HttpClient;
use crate::setting::Findings;
use crate::tls;

/// A client for each issuer whose keys are fetched.
#[derive(Default)]
pub(crate) struct Fetchers(HashMap<String, Arc<dyn Fetch>>);

struct ByHttp(HttpClient);

impl Fetchers {
    /// Reads the authorities. What cannot be read is noted as an error. Blocks.
    pub(crate) fn new(issuers: &KnownIssuers, findings: &mut Findings) -> Self {
        let mut clients = HashMap::new();
        let mut system: Option<RootCertStore> = None;
        for config in issuers.fetched() {
            let roots = match &config.ca_file {
                None => Ok(system.get_or_insert_with(tls::system_roots).clone()),
                Some(path) => of_file(path),
            };
            let client = roots.and_then(|roots| {
                let tls = tls::client(roots).map_err(|error| error.to_string())?;
                Ok(HttpClient::new(tls, jwks::BYTES_MAX))
            });
            match client {
                Ok(client) => {
                    let fetch: Arc<dyn Fetch> = Arc::new(ByHttp(client));
                    clients.insert(config.issuer.clone(), fetch);
                }
                Err(words) => findings.error("auth.issuers.ca_file", words),
            }
        }
        Self(clients)
    }

    /// The client for this issuer.
    pub(crate) fn of(&self, issuer: &str) -> Option<Arc<dyn Fetch>> {
        self.0.get(issuer).cloned()
    }
}

pub(super) fn of_file(path: &str) -> Result<RootCertStore, String> {
    let read = CertificateDer::pem_file_iter(path).map_err(|error| format!("{path}: {error}"))?;
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(read.flatten());
    match added {
        0 => Err(format!("{path}: no certificate")),
        _ => Ok(roots),
    }
}

impl Fetch for ByHttp {
    fn get<'a>(
        &'a self,
        uri: &'a str,
        max_bytes: usize,
        within: Duration,
    ) -> BoxFuture<'a, Result<Fetched, String>> {
        Box::pin(async move {
            let request = Request::get(uri)
                .header(ACCEPT, "application/json")
                .body(Bytes::new())
                .map_err(|error| error.to_string())?;
            let answer = self.0.send(request, within).await;
            let answer = answer.map_err(|error| error.to_string())?;
            let (max_age, date) = (max_age(answer.headers()), date(answer.headers()));
            match (answer.status(), answer.into_body()) {
                (StatusCode::OK, body) if body.len() <= max_bytes => Ok(Fetched { body, max_age, date }),
                (StatusCode::OK, _) => Err(format!("the answer has more than {max_bytes} bytes")),
                (status, _) => Err(format!("status {}", status.as_u16())),
            }
        })
    }
}

fn date(headers: &HeaderMap) -> Option<i64> {
    let text = headers.get(DATE)?.to_str().ok()?;
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(date.timestamp().as_second())
}

fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(CACHE_CONTROL).iter();
    let mut directives = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    directives.find_map(|directive| {
        let seconds = directive.trim().strip_prefix("max-age=")?;
        Some(Duration::from_secs(seconds.trim_matches('"').parse().ok()?))
    })
}
