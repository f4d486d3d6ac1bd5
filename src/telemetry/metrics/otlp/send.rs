//! Sends one request to the collector: OTLP over gRPC, or protobuf over HTTP/1.1. Knows no metric.

use std::time::Duration;

use http::{Request, Uri, header};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use prost::Message;
use tonic::transport::{Channel, Endpoint};

use crate::telemetry::otlp::client::Client;
use crate::telemetry::otlp::{Authorities, Protocol, is_https, with_path};

/// A collector.
pub(super) enum Collector {
    Grpc(Box<MetricsServiceClient<Channel>>),
    Http { client: Box<Client>, uri: Uri },
}

impl Collector {
    /// Connects with the first request. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// What was expected of the endpoint.
    pub(super) fn new(
        endpoint: &str,
        protocol: Protocol,
        timeout: Duration,
        authorities: &Authorities,
    ) -> Result<Self, String> {
        let expected = || format!("expected an address such as http://127.0.0.1:4317, got {endpoint:?}");
        match protocol {
            Protocol::Grpc => {
                let channel = Endpoint::from_shared(endpoint.to_owned()).map_err(|_| expected())?;
                let mut channel = channel.connect_timeout(timeout).timeout(timeout);
                if is_https(endpoint) {
                    let tls = authorities.grpc();
                    channel = channel.tls_config(tls).map_err(|error| error.to_string())?;
                }
                let client = MetricsServiceClient::new(channel.connect_lazy());
                Ok(Self::Grpc(Box::new(client)))
            }
            Protocol::Http => {
                let uri: Uri = with_path(endpoint, "/v1/metrics")
                    .parse()
                    .map_err(|_| expected())?;
                let client = Box::new(Client::new(endpoint, authorities)?);
                Ok(Self::Http { client, uri })
            }
        }
    }

    /// Sends one request. To be bounded in time by the caller.
    pub(super) async fn send(&mut self, request: ExportMetricsServiceRequest) -> Result<(), String> {
        match self {
            Self::Grpc(client) => match client.export(request).await {
                Ok(_) => Ok(()),
                Err(status) => Err(format!("{:?}: {}", status.code(), status.message())),
            },
            Self::Http { client, uri } => {
                let request = Request::post(uri.clone())
                    .header(header::CONTENT_TYPE, "application/x-protobuf")
                    .body(request.encode_to_vec().into())
                    .map_err(|error| error.to_string())?;
                let answer = client.send(request).await.map_err(|error| error.to_string())?;
                match answer.status().is_success() {
                    true => Ok(()),
                    false => Err(answer.status().to_string()),
                }
            }
        }
    }
}
