//! OTLP over HTTP/1.1, with or without TLS, to one collector. Knows nothing of what it sends.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use opentelemetry_http::HttpError;

use super::{Authorities, is_https};
use crate::http_client::{HttpClient, HttpClientError};

/// Most of an answer that is read.
const ANSWER_MAX_BYTES: usize = 64 << 10;
/// The longest wait for an answer; exporters give up earlier, by their own time-outs.
const TIMEOUT_MAX: Duration = Duration::from_secs(300);

/// The way to one collector.
#[derive(Debug)]
pub struct Client(HttpClient);

impl Client {
    /// Connects with the first request.
    ///
    /// # Errors
    /// What was expected of the address.
    pub fn new(endpoint: &str, authorities: &Authorities) -> Result<Self, String> {
        let uri: Option<Uri> = endpoint.parse().ok();
        let uri =
            uri.filter(|uri| uri.host().is_some() && matches!(uri.scheme_str(), Some("http" | "https")));
        if uri.is_none() {
            return Err(
                "expected an address such as http://127.0.0.1:4318 or https://collector.example".to_owned(),
            );
        }
        Ok(Self(match is_https(endpoint) {
            true => HttpClient::new(authorities.rustls()?, ANSWER_MAX_BYTES),
            false => HttpClient::plain(ANSWER_MAX_BYTES).map_err(|error| error.to_string())?,
        }))
    }

    /// Sends one request, and gives the answer whatever its status.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpClientError> {
        self.0.send(request, TIMEOUT_MAX).await
    }
}

type Answering<'a> = futures_util::future::BoxFuture<'a, Result<Response<Bytes>, HttpError>>;

impl opentelemetry_http::HttpClient for Client {
    fn send_bytes<'s, 'a>(&'s self, request: Request<Bytes>) -> Answering<'a>
    where
        's: 'a,
        Self: 'a,
    {
        Box::pin(async { Ok(self.send(request).await?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_must_be_one_of_http() {
        for good in [
            "http://c/v1/traces",
            "https://c",
            "https://[::1]:4318",
            "http://user:password@c:1",
        ] {
            assert!(Client::new(good, &Authorities::default()).is_ok(), "{good}");
        }
        for bad in ["c:4318", "ftp://c", "", "/v1/traces"] {
            assert!(Client::new(bad, &Authorities::default()).is_err(), "{bad}");
        }
    }
}
