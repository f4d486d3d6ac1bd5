//! The server span of a publish over REST, by OpenTelemetry's conventions for HTTP. Knows no framework.

use std::net::IpAddr;
use std::time::SystemTime;

use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanKind, Status};

use super::decide::remote;
use super::{Span, Tracer, Upstream};

/// What a request says of itself, for its span.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// `POST`
    pub method: &'static str,
    /// The router's pattern.
    pub route: &'a str,
    /// The path as it came.
    pub path: &'a str,
    /// `Host`
    pub host: Option<&'a str>,
    /// `User-Agent`
    pub user_agent: Option<&'a str>,
    /// Who asks: `key:orders`, `user:alice`, `anyone`.
    pub caller: &'a str,
    /// Where from.
    pub address: IpAddr,
}

/// The server span of one request.
#[derive(Debug)]
pub struct ServerSpan(Span);

/// Longest text taken over from a request's head.
const TEXT_MAX_BYTES: usize = 1_024;

impl Tracer {
    /// The span of a request that came at `start`, if `upstream` is sampled; what follows is below it then.
    pub fn server(
        &self,
        upstream: &mut Upstream,
        start: SystemTime,
        request: Request<'_>,
    ) -> Option<ServerSpan> {
        let inner = self.0.as_ref().filter(|_| upstream.sampled)?;
        let bounded = |text: &str| text[..text.floor_char_boundary(TEXT_MAX_BYTES)].to_owned();
        let mut attributes = vec![
            KeyValue::new("http.request.method", request.method),
            KeyValue::new("http.route", request.route.to_owned()),
            KeyValue::new("url.path", bounded(request.path)),
            KeyValue::new("url.scheme", "http"),
            KeyValue::new("network.protocol.version", "1.1"),
            KeyValue::new("client.address", request.address.to_string()),
            KeyValue::new("herald.caller", bounded(request.caller)),
        ];
        if let Some(host) = request.host {
            let (name, port) = match host.rsplit_once(':') {
                Some((name, port)) if !port.contains(']') => (name, port.parse::<i64>().ok()),
                _ => (host, None),
            };
            attributes.push(KeyValue::new("server.address", bounded(name)));
            attributes.extend(port.map(|port| KeyValue::new("server.port", port)));
        }
        if let Some(agent) = request.user_agent {
            attributes.push(KeyValue::new("user_agent.original", bounded(agent)));
        }
        let name = format!("{} {}", request.method, request.route);
        let parent = remote(&upstream.context);
        let span = inner.start(name, SpanKind::Server, parent.as_ref(), start, attributes);
        upstream.context = span.context();
        Some(ServerSpan(span))
    }
}

impl ServerSpan {
    /// Ends it with the answer's status; only a fault of the server's own is an error.
    pub fn answered(mut self, status: u16) {
        self.0
            .set(KeyValue::new("http.response.status_code", i64::from(status)));
        if status >= 400 {
            self.0.set(KeyValue::new("error.type", status.to_string()));
        }
        if status >= 500
            && let Some(data) = &mut self.0.data
        {
            data.status = Status::error("");
        }
    }
}
