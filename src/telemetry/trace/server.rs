//! The server spans: of a publish over REST, by OpenTelemetry's conventions for HTTP, and of a CONNECT. Knows no framework
//! and no frame.

use std::net::IpAddr;
use std::time::SystemTime;

use opentelemetry::trace::Status;
use tracing::info_span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::decide::remote;
use super::layer::{self, TARGET};
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

/// The longest text that is taken over from a request's head, in bytes.
const TEXT_MAX_BYTES: usize = 1_024;

impl Tracer {
    /// The span of a request that came at `start`, if `upstream` is sampled; what follows is below it then.
    pub fn server(&self, upstream: &mut Upstream, start: SystemTime, request: Request<'_>) -> Option<Span> {
        let inner = self.0.as_ref().filter(|_| upstream.sampled)?;
        let name = format!("{} {}", request.method, request.route);
        let (host, port) = match request.host.map(|host| (host, host.rsplit_once(':'))) {
            Some((_, Some((name, port)))) if !port.contains(']') => (Some(name), port.parse::<i64>().ok()),
            Some((host, _)) => (Some(host), None),
            None => (None, None),
        };
        let span = info_span!(
            target: TARGET,
            parent: None,
            "POST",
            otel.name = name,
            otel.kind = "server",
            http.request.method = request.method,
            http.route = request.route,
            url.path = bounded(request.path),
            url.scheme = "http",
            network.protocol.version = "1.1",
            client.address = %request.address,
            herald.caller = bounded(request.caller),
            server.address = host.map(bounded),
            server.port = port,
            user_agent.original = request.user_agent.map(bounded),
        );
        let span = inner.begin(span, remote(&upstream.context), Some(start))?;
        upstream.context = span.context();
        Some(span)
    }

    /// The span of a CONNECT from `address` in STOMP `version`, if `upstream` is sampled. Ends with the answer.
    pub fn connect(&self, upstream: &Upstream, address: IpAddr, version: &str) -> Option<Span> {
        let inner = self.0.as_ref().filter(|_| upstream.sampled)?;
        let span = info_span!(
            target: TARGET,
            parent: None,
            "CONNECT",
            otel.kind = "server",
            network.protocol.name = "stomp",
            network.protocol.version = version,
            client.address = %address,
        );
        inner.begin(span, remote(&upstream.context), None)
    }
}

fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_MAX_BYTES)]
}

impl Span {
    /// Keeps the status of a request's answer; only a fault of the server's own is an error.
    pub fn answered(&self, status: u16) {
        self.set("http.response.status_code", i64::from(status));
        if status >= 400 {
            self.set("error.type", status.to_string());
        }
        if status >= 500 {
            self.0.set_status(Status::error(""));
        }
    }

    /// Keeps whose session a CONNECT has become.
    pub fn connected(&self, user: &str, session: &str) {
        self.set("user.name", user.to_owned());
        self.set("messaging.client.id", session.to_owned());
    }
}

/// The span of a password's check, from its place in the queue to its outcome, below the recorded span that this thread is
/// in; [`tracing::Span::none`] if there is none.
pub fn hash() -> tracing::Span {
    match layer::is_recording() {
        true => info_span!(target: TARGET, "hash", otel.kind = "internal"),
        false => tracing::Span::none(),
    }
}
