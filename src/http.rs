//! Everything that speaks HTTP: the listener, the routes and their answers. Knows the bus, presence and the registry
//! by their traits and handles; knows no STOMP frame.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::auth::Authenticator;
use crate::bus::Bus;
use crate::delivery::registry::Registry;
use crate::destination::{Path, Prefixes};
use crate::drain::Phase;
use crate::envelope::HeaderLimits;
use crate::instance::Instance;
use crate::origins::Origins;
use crate::presence::Presence;
use crate::publish::Publisher;
use crate::setting::{ByteSize, HumanDuration};
use crate::tap::Tap;
use crate::telemetry::metrics::Metrics;
use proxies::{ForwardedHeader, Network};

pub mod access;
pub mod ask;
pub mod body;
pub mod debug_sampling;
pub mod error;
pub mod explain;
pub mod health;
pub mod instances;
pub mod json;
pub mod listener;
pub mod log_level;
pub mod notifications;
pub mod observe;
pub mod openapi;
pub mod origin;
pub mod page;
pub mod proxies;
pub mod refusals;
pub mod router;
pub mod tap;
pub mod trace;
pub mod users;

#[cfg(test)]
pub(crate) mod tests;

/// Everything that the routes need of the rest of Herald; [`router::router`] takes it.
pub struct State {
    /// Where notifications go.
    pub publisher: Publisher,
    /// The way to the other instances, and whether it is there.
    pub bus: Arc<dyn Bus>,
    /// Who is online in the cluster.
    pub presence: Arc<Presence>,
    /// This instance's sessions.
    pub registry: Registry,
    /// Proves Basic credentials.
    pub authenticator: Arc<Authenticator>,
    /// Which destinations a backend may name.
    pub prefixes: Arc<Prefixes>,
    /// This instance.
    pub instance: Instance,
    /// The compiled `[api]`.
    pub policy: access::Policy,
    /// Where requests and publishes are counted, and what `/metrics` shows.
    pub metrics: Metrics,
    /// Makes spans, or none.
    pub tracer: crate::telemetry::trace::Tracer,
    /// Readiness.
    pub phase: watch::Receiver<Phase>,
    /// `limits.headers` and `limits.header_bytes`.
    pub header_limits: HeaderLimits,
    /// `application.time_zone`, for the `time` of `POST /api/v1/message`.
    pub time_zone: jiff::tz::TimeZone,
    /// Samples what this instance fans out.
    pub tap: Tap,
    /// `presence.list_destination`, for the page.
    pub list_destination: Option<Path>,
}

/// `[http]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where `/ws`, REST and the page listen.
    pub listen: String,
    /// A port of their own for `/metrics`, health and debug routes; none: on `listen`.
    pub admin_listen: Option<String>,
    /// Prefixes every route, such as `/backend`.
    pub base_path: String,
    /// The STOMP endpoint, and everything below it.
    pub ws_path: String,
    /// The page at `/`.
    pub page: page::Choice,
    /// The address of a trace's own page, `{trace_id}` in it, for the page's links; empty: none.
    pub trace_url: String,
    /// Origins that may open `/ws` and change state, beside pages of the host itself: `*`, exact, or
    /// `https://*.example.com`.
    pub origins: Vec<String>,
    /// Origins whose preflights are answered.
    pub cors_origins: Vec<String>,
    /// From accept to a whole request head.
    pub header_timeout: HumanDuration,
    /// Connections at once; above it 503.
    pub max_connections: usize,
    /// Largest body of a JSON request; a raw body is bounded by `limits.body_bytes`.
    pub max_request_bytes: ByteSize,
    /// Bytes of all request bodies held at once; above it 503.
    pub buffered_request_bytes: ByteSize,
    /// From a request's head to the end of its body.
    pub body_timeout: HumanDuration,
    /// Proxies that are believed in what they say of a client's address.
    pub trusted_proxies: Vec<Network>,
    /// The header that they say it in.
    pub forwarded_header: ForwardedHeader,
    /// Whether their connections to `listen` begin with a PROXY protocol v2 header.
    pub proxy_protocol: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".into(),
            admin_listen: None,
            base_path: String::new(),
            ws_path: "/ws".into(),
            page: page::Choice::Full,
            trace_url: String::new(),
            origins: vec!["*".into()],
            cors_origins: Vec::new(),
            header_timeout: HumanDuration::secs(10),
            max_connections: 100_000,
            max_request_bytes: ByteSize::mib(8),
            buffered_request_bytes: ByteSize::mib(64),
            body_timeout: HumanDuration::secs(30),
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedHeader::XForwardedFor,
            proxy_protocol: false,
        }
    }
}

/// Why `[http]` cannot be served. Names the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Such as `http.base_path`.
    pub key: &'static str,
    /// What was expected.
    pub expected: &'static str,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}", self.key, self.expected)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Checks what types cannot say: paths that can be routed, origins that can match, bounds that fit together.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let fail = |key, expected| Err(ConfigError { key, expected });
        if !self.base_path.is_empty() && !is_route(&self.base_path) {
            return fail(
                "http.base_path",
                "nothing, or a path such as /backend: no '/' at its end, only letters, digits and -._~",
            );
        }
        if !is_route(&self.ws_path) {
            return fail(
                "http.ws_path",
                "a path such as /ws: no '/' at its end, only letters, digits and -._~",
            );
        }
        if !self.trace_url.is_empty() && !is_trace_url(&self.trace_url) {
            return fail(
                "http.trace_url",
                "nothing, or an address with the place of the id, such as https://jaeger.example.com/trace/{trace_id}",
            );
        }
        self.origins()?;
        if self.max_request_bytes.0 == 0 || self.max_request_bytes > self.buffered_request_bytes {
            return fail(
                "http.max_request_bytes",
                "more than nothing, and at most http.buffered_request_bytes",
            );
        }
        if self.buffered_request_bytes.0 > tokio::sync::Semaphore::MAX_PERMITS {
            return fail("http.buffered_request_bytes", "a size that fits into memory");
        }
        Ok(())
    }

    /// `http.origins` and `http.cors_origins`, read.
    pub fn origins(&self) -> Result<(Origins, Origins), ConfigError> {
        let read = |key, list: &[String]| {
            let expected = "'*', an origin such as https://app.example.com, or https://*.example.com";
            Origins::parse(list).map_err(|_| ConfigError { key, expected })
        };
        Ok((
            read("http.origins", &self.origins)?,
            read("http.cors_origins", &self.cors_origins)?,
        ))
    }
}

/// Whether `text` is a web address, the trace's id once in it: a link of any other kind would run in the page.
fn is_trace_url(text: &str) -> bool {
    let web = ["https://", "http://"]
        .iter()
        .any(|scheme| text.len() > scheme.len() && text.starts_with(scheme));
    web && text.matches("{trace_id}").count() == 1 && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Whether `text` can be a route as it stands: nothing that needs escaping, nothing that the router reads as a pattern.
fn is_route(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    text.strip_prefix('/').is_some_and(|inner| {
        inner
            .split('/')
            .all(|segment| !segment.is_empty() && segment.bytes().all(legal))
    })
}
