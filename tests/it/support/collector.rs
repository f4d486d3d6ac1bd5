//! A collector of spans: OTLP over gRPC or HTTP on a port and a thread of its own, so that killing it also ends its
//! connections. It keeps what it received in a form that a test can query.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use parking_lot::Mutex;
use prost::Message;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tonic::transport::server::TcpIncoming;

use super::cluster::until;

/// The protocol.
#[derive(Debug, Clone, Copy)]
pub enum Speaks {
    Grpc,
    Http,
}

/// A span as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    pub trace_id: String,
    pub id: String,
    /// Empty if there is none.
    pub parent: String,
    pub name: String,
    /// `server`, `producer` and so on.
    pub kind: &'static str,
    pub attributes: BTreeMap<String, String>,
    /// Whether its status is *error*.
    pub failed: bool,
    /// The ids of linked spans.
    pub links: Vec<String>,
    /// `service.name` of the resource.
    pub program: String,
    /// `herald.instance.name` of the resource.
    pub instance: String,
    pub nanos: u64,
}

impl Span {
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

/// What has arrived so far: the spans, and each export as its bytes, which hold all that was said, such as events and the words of
/// a status.
#[derive(Clone, Default)]
pub struct Received(Arc<Mutex<(Vec<Span>, Vec<Vec<u8>>)>>);

/// A running collector.
pub struct Collector {
    pub address: SocketAddr,
    speaks: Speaks,
    received: Received,
    runtime: Option<Runtime>,
}

impl Collector {
    pub fn start(speaks: Speaks) -> Self {
        let mut collector = Self {
            address: ([127, 0, 0, 1], 0).into(),
            speaks,
            received: Received::default(),
            runtime: None,
        };
        collector.restart();
        collector
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The value of the setting that selects the protocol.
    pub fn protocol(&self) -> &'static str {
        match self.speaks {
            Speaks::Grpc => "grpc",
            Speaks::Http => "http/protobuf",
        }
    }

    /// Ends it with all its connections, without a goodbye.
    pub fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Starts it again on the same port.
    pub fn restart(&mut self) {
        let socket = std::net::TcpListener::bind(self.address).expect("the collector's port");
        self.address = socket.local_addr().expect("its address");
        socket.set_nonblocking(true).expect("not blocking");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let (received, speaks) = (self.received.clone(), self.speaks);
        runtime.spawn(async move {
            let listener = TcpListener::from_std(socket).expect("a listener");
            match speaks {
                Speaks::Grpc => tonic::transport::Server::builder()
                    .add_service(TraceServiceServer::new(received))
                    .serve_with_incoming(TcpIncoming::from(listener))
                    .await
                    .expect("serving"),
                Speaks::Http => axum::serve(listener, http(received)).await.expect("serving"),
            }
        });
        self.runtime = Some(runtime);
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<Span> {
        self.received.0.lock().0.clone()
    }

    /// All that has arrived so far, as it came.
    pub fn exports(&self) -> Vec<u8> {
        self.received.0.lock().1.concat()
    }

    /// Waits until `enough` spans of the trace `trace_id` have arrived. Returns them with parents before children.
    pub async fn trace(&self, trace_id: &str, enough: usize) -> Vec<Span> {
        let of_trace = || {
            let spans = self.spans();
            let found = spans.into_iter().filter(|span| span.trace_id == trace_id);
            found.collect::<Vec<_>>()
        };
        until("the spans of a trace", async || of_trace().len() >= enough).await;
        in_order(of_trace())
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Parents before children, siblings by name and instance.
fn in_order(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by(|a, b| (&a.name, &a.instance).cmp(&(&b.name, &b.instance)));
    let mut ordered: Vec<Span> = Vec::new();
    while !spans.is_empty() {
        let next = spans
            .iter()
            .position(|span| spans.iter().all(|other| other.id != span.parent))
            .expect("no circle");
        ordered.push(spans.remove(next));
    }
    ordered
}

fn http(received: Received) -> Router {
    let take = move |body: Bytes| async move {
        let request = ExportTraceServiceRequest::decode(body).expect("an export");
        received.keep(request);
        ExportTraceServiceResponse::default().encode_to_vec()
    };
    Router::new().route("/v1/traces", post(take))
}

#[tonic::async_trait]
impl TraceService for Received {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        self.keep(request.into_inner());
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Received {
    fn keep(&self, request: ExportTraceServiceRequest) {
        let (kept, exports) = &mut *self.0.lock();
        exports.push(request.encode_to_vec());
        for group in request.resource_spans {
            let resource = attributes(&group.resource.unwrap_or_default().attributes);
            let of = |name: &str| resource.get(name).cloned().unwrap_or_default();
            for span in group.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                kept.push(Span {
                    trace_id: hex(&span.trace_id),
                    id: hex(&span.span_id),
                    parent: hex(&span.parent_span_id),
                    kind: ["none", "internal", "server", "client", "producer", "consumer"]
                        [span.kind as usize],
                    attributes: attributes(&span.attributes),
                    failed: span.status.is_some_and(|status| status.code == 2),
                    links: span.links.iter().map(|link| hex(&link.span_id)).collect(),
                    program: of("service.name"),
                    instance: of("herald.instance.name"),
                    nanos: span.end_time_unix_nano - span.start_time_unix_nano,
                    name: span.name,
                });
            }
        }
    }
}

fn attributes(all: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    let pairs = all.iter().map(|pair| (pair.key.clone(), text(&pair.value)));
    pairs.collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
