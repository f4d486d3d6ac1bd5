//! `[http]`: where Herald listens, its paths, its origins, its limits. Knows nothing of a route's internals.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::hosts::HostPattern;
use super::page;
use super::proxies::{ForwardedHeader, Network};
use crate::origins::Origins;
use crate::setting::{ByteSize, Findings, HumanDuration, address, as_text, optional_address};

mod tls;

pub use tls::{ClientAuth, MinVersion, TlsConfig};

/// First segments used by Herald's own routes (docs/rest.md).
const RESERVED: [&str; 5] = ["api", "livez", "readyz", "metrics", "manage"];

/// `[http]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where `/ws`, REST and the page listen.
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
    /// A separate port for `/metrics`, health and debug routes. `None` means `listen`.
    #[serde(deserialize_with = "optional_address")]
    pub admin_listen: Option<SocketAddr>,
    /// A prefix of every route, such as `/backend`.
    pub base_path: BasePath,
    /// The STOMP endpoint, and everything below it.
    pub ws_path: RoutePath,
    /// The page at `/`.
    pub page: page::Choice,
    /// The provider at which the page's users sign in.
    pub page_oidc: page::PageOidc,
    /// The address of a trace's page, for links on Herald's page.
    pub trace_url: TraceUrl,
    /// Origins that may open `/ws` and change state, in addition to pages of the host itself: `*`, exact, or
    /// `https://*.example.com`.
    pub origins: Origins,
    /// Hosts under which browsers may change state. Empty: those that no foreign DNS name can point here
    /// (docs/rest.md).
    pub hosts: Vec<HostPattern>,
    /// Origins whose preflight requests are answered.
    pub cors_origins: Origins,
    /// The time from accept, or from the first byte of a later request, to a complete request head.
    pub header_timeout: HumanDuration,
    /// The time between an answer and the next request on the same connection.
    pub idle_timeout: HumanDuration,
    /// How long the peer of an HTTP connection may accept no bytes.
    pub write_timeout: HumanDuration,
    /// The maximum size of a request head. Beyond it: 431.
    pub head_bytes: ByteSize,
    /// Bytes of all incomplete request heads. Beyond it, the oldest connection of the address that has most is closed:
    /// 503.
    pub head_total_bytes: ByteSize,
    /// Connections at the same time that have neither logged in nor ever sent a request. Beyond it, the oldest
    /// connection of the address that has most is closed.
    pub unauthenticated: usize,
    /// The same for one address, beyond which its oldest connection is closed. 0 means no limit.
    pub unauthenticated_per_address: usize,
    /// Connections at the same time. Beyond it: 503.
    pub max_connections: usize,
    /// The maximum size of the body of a JSON request. `limits.body_bytes` limits a raw body.
    pub max_request_bytes: ByteSize,
    /// Bytes of all request bodies held at the same time. Beyond it: 503.
    pub buffered_request_bytes: ByteSize,
    /// The time from a request's head to the end of its body.
    pub body_timeout: HumanDuration,
    /// Proxies that are trusted to report a client's address.
    pub trusted_proxies: Vec<Network>,
    /// The header in which they report it.
    pub forwarded_header: ForwardedHeader,
    /// Whether their connections to `listen` begin with a PROXY protocol v2 header.
    pub proxy_protocol: bool,
    /// TLS on `listen`.
    pub tls: TlsConfig,
    /// TLS on `admin_listen`.
    pub admin_tls: TlsConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 8080).into(),
            admin_listen: None,
            base_path: BasePath::default(),
            ws_path: RoutePath("/ws".into()),
            page: page::Choice::Full,
            page_oidc: page::PageOidc::default(),
            trace_url: TraceUrl::default(),
            origins: Origins::any(),
            hosts: Vec::new(),
            cors_origins: Origins::default(),
            header_timeout: HumanDuration::secs(10),
            idle_timeout: HumanDuration::secs(75),
            write_timeout: HumanDuration::secs(30),
            head_bytes: ByteSize::kib(16),
            head_total_bytes: ByteSize::mib(64),
            unauthenticated: 20_000,
            unauthenticated_per_address: 0,
            max_connections: 100_000,
            max_request_bytes: ByteSize::mib(8),
            buffered_request_bytes: ByteSize::mib(64),
            body_timeout: HumanDuration::secs(30),
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedHeader::XForwardedFor,
            proxy_protocol: false,
            tls: TlsConfig::default(),
            admin_tls: TlsConfig::default(),
        }
    }
}

impl Config {
    /// Checks that addresses, paths and limits are consistent.
    pub fn check(&self, findings: &mut Findings) {
        if self.listen.port() != 0 && self.admin_listen == Some(self.listen) {
            findings.error(
                "http.admin_listen",
                "expected another address than that of http.listen",
            );
        }
        let first = self.ws_path.0.trim_start_matches('/').split('/').next();
        if first.is_some_and(|segment| RESERVED.contains(&segment)) {
            findings.error(
                "http.ws_path",
                format!(
                    "expected a path of its own: these are taken: /{}",
                    RESERVED.join(", /")
                ),
            );
        }
        if self.page == page::Choice::Small {
            findings.warn(
                "http.page",
                "there is one page now: \"small\" is read as \"full\"",
            );
        }
        self.page_oidc.check(findings);
        if self.proxy_protocol && self.trusted_proxies.is_empty() {
            findings.error(
                "http.proxy_protocol",
                "expected http.trusted_proxies to name the proxies that send it",
            );
        }
        self.tls.check("http.tls", findings);
        self.admin_tls.check("http.admin_tls", findings);
        if self.admin_tls.files().is_some() && self.admin_listen.is_none() {
            findings.error(
                "http.admin_tls",
                "expected http.admin_listen too, or http.tls instead",
            );
        }
        findings.positive("http.header_timeout", self.header_timeout);
        findings.positive("http.idle_timeout", self.idle_timeout);
        findings.positive("http.write_timeout", self.write_timeout);
        // hyper panics below 8 KiB.
        findings.within(
            "http.head_bytes",
            self.head_bytes,
            ByteSize::kib(8),
            ByteSize::mib(1),
        );
        findings.at_least("http.head_total_bytes", self.head_total_bytes, self.head_bytes);
        findings.at_least("http.unauthenticated", self.unauthenticated, 1);
        findings.at_least("http.max_connections", self.max_connections, 1);
        findings.within(
            "http.max_request_bytes",
            self.max_request_bytes,
            ByteSize(1),
            self.buffered_request_bytes,
        );
        if self.buffered_request_bytes.0 > tokio::sync::Semaphore::MAX_PERMITS {
            findings.error(
                "http.buffered_request_bytes",
                "expected a size that fits into memory",
            );
        }
    }
}

/// A path that can be used as a route unchanged: `/a/b`, with segments of unreserved characters (RFC 3986 section 2.3),
/// so that nothing needs escapes and the router reads nothing as a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutePath(Box<str>);

impl RoutePath {
    /// The path, with a leading and without a trailing `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoutePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RoutePath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let segment = |segment: &str| {
            !matches!(segment, "" | "." | "..")
                && segment
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
        };
        match text.strip_prefix('/') {
            Some(rest) if rest.split('/').all(segment) => Ok(Self(text.into())),
            _ => Err(format!(
                "expected a path such as /backend, with / in front and none at the end, of letters, digits and \
                 -._~, got {text:?}"
            )),
        }
    }
}

as_text!(RoutePath);

/// The prefix of every route: a [`RoutePath`], or nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BasePath(Option<RoutePath>);

impl BasePath {
    /// The path without a trailing `/`. Empty if there is none.
    pub fn as_str(&self) -> &str {
        self.0.as_ref().map_or("", RoutePath::as_str)
    }
}

impl fmt::Display for BasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for BasePath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Ok(Self(None)),
            text => text.parse().map(|path| Self(Some(path))),
        }
    }
}

as_text!(BasePath);

/// The address of a web page that contains `{trace_id}` once, or nothing. A link of any other kind would run in the
/// page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraceUrl(Box<str>);

impl fmt::Display for TraceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TraceUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let web = ["https://", "http://"]
            .iter()
            .any(|scheme| text.len() > scheme.len() && text.starts_with(scheme));
        // The page contains it, so everybody who opens the page sees it.
        let open = text
            .split_once("://")
            .and_then(|(_, rest)| rest.split(['/', '?', '#']).next())
            .is_some_and(|authority| !authority.contains('@'));
        let sound = web
            && open
            && text.matches("{trace_id}").count() == 1
            && text.bytes().all(|b| b.is_ascii_graphic());
        match sound || text.is_empty() {
            true => Ok(Self(text.into())),
            false => Err(
                "expected nothing, or an address with the place of the id, such as \
                 https://jaeger.example.com/trace/{trace_id}",
            ),
        }
    }
}

as_text!(TraceUrl);
