//! The way of one request to the collector: OTLP over gRPC, or protobuf over HTTP/1.1. Knows no metric.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use prost::Message;
use tokio::net::TcpStream;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use super::Protocol;

/// Most of an answer that is read; nothing of it is of use.
const ANSWER_MAX_BYTES: usize = 64 << 10;

/// A collector.
pub(super) enum Collector {
    Grpc(Box<MetricsServiceClient<Channel>>),
    Http { authority: String, uri: Uri },
}

impl Collector {
    /// Connects with the first request. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// What was expected of the endpoint.
    pub fn new(endpoint: &str, protocol: Protocol, timeout: Duration) -> Result<Self, String> {
        let expected = || format!("expected an address such as http://127.0.0.1:4317, got {endpoint:?}");
        match protocol {
            Protocol::Grpc => {
                let channel = Endpoint::from_shared(endpoint.to_owned()).map_err(|_| expected())?;
                let mut channel = channel.connect_timeout(timeout).timeout(timeout);
                if channel.uri().scheme_str() == Some("https") {
                    let tls = ClientTlsConfig::new().with_enabled_roots();
                    channel = channel.tls_config(tls).map_err(|error| error.to_string())?;
                }
                let client = MetricsServiceClient::new(channel.connect_lazy());
                Ok(Self::Grpc(Box::new(client)))
            }
            Protocol::Http => {
                let uri: Uri = with_path(endpoint).parse().map_err(|_| expected())?;
                if uri.scheme_str() != Some("http") {
                    return Err(
                        "over HTTP metrics go out unencrypted only (http://…); gRPC takes https://".into(),
                    );
                }
                let host = uri.host().ok_or_else(expected)?;
                let authority = format!("{host}:{}", uri.port_u16().unwrap_or(80));
                Ok(Self::Http { authority, uri })
            }
        }
    }

    /// Sends one request. To be bounded in time by the caller.
    pub async fn send(&mut self, request: ExportMetricsServiceRequest) -> Result<(), String> {
        match self {
            Self::Grpc(client) => match client.export(request).await {
                Ok(_) => Ok(()),
                Err(status) => Err(format!("{:?}: {}", status.code(), status.message())),
            },
            Self::Http { authority, uri } => post(authority, uri, request.encode_to_vec().into()).await,
        }
    }
}

/// One connection a request: they are seldom.
async fn post(authority: &str, uri: &Uri, body: Bytes) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let stream = TcpStream::connect(authority)
        .await
        .map_err(|error| text(&error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| text(&error))?;
    let connection = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(connection));
    let request = Request::post(uri.path())
        .header(header::HOST, authority)
        .header(header::CONTENT_TYPE, "application/x-protobuf")
        .body(Full::new(body))
        .map_err(|error| text(&error))?;
    let answer = sender.send_request(request).await.map_err(|error| text(&error))?;
    let status = answer.status();
    // Read, so that the collector does not meet a reset in the middle of its answer.
    let _ = Limited::new(answer.into_body(), ANSWER_MAX_BYTES).collect().await;
    drop(connection);
    match status.is_success() {
        true => Ok(()),
        false => Err(status.to_string()),
    }
}

/// An address without a path means the usual one.
fn with_path(endpoint: &str) -> String {
    match endpoint.parse::<Uri>() {
        Ok(uri) if matches!(uri.path(), "" | "/") => {
            format!("{}/v1/metrics", endpoint.trim_end_matches('/'))
        }
        _ => endpoint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_path_gets_the_usual_one() {
        let check = |given, expected| assert_eq!(with_path(given), expected);
        check("http://c:4318", "http://c:4318/v1/metrics");
        check("http://c:4318/", "http://c:4318/v1/metrics");
        check("http://c/in", "http://c/in");
    }
}
