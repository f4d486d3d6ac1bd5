//! Browsers: which pages may change state here, whose preflight requests are answered, and what is required of a page
//! without credentials (docs/rest.md, "Browsers"). Knows no route and checks no credentials.

use std::borrow::Cow;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::response::Response;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::Config;
use super::api::Api;
use super::caller::Caller;
use super::error::ApiError;
use super::hosts::{self, HostPattern};
use super::notifications::raw::given;
use crate::origins::{Origins, is_of_host, is_origin};
use crate::ws::peer::Peer;

/// Which pages may change state: `http.origins`, `http.cors_origins` and `http.hosts`.
pub(super) struct Pages {
    pub(super) origins: Origins,
    pub(super) cors_origins: Origins,
    hosts: Vec<HostPattern>,
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What a browser says about where a request comes from. No script can write either header.
struct Said<'a> {
    /// `Origin`; empty if there are several or it is not ASCII, which no browser sends.
    origin: Option<&'a str>,
    site: Option<Site>,
}

/// `Sec-Fetch-Site` (W3C Fetch Metadata), which browsers send to `https` and this machine alone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Site {
    Cross,
    /// The same origin, the same site, or the user.
    Own,
    Unknown,
}

impl<'a> Said<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        let origin = headers.contains_key(header::ORIGIN);
        let sites = headers.get_all(SEC_FETCH_SITE).iter().map(|site| {
            let is = |word: &str| site.as_bytes().eq_ignore_ascii_case(word.as_bytes());
            match () {
                () if is("cross-site") => Site::Cross,
                () if is("same-origin") || is("same-site") || is("none") => Site::Own,
                () => Site::Unknown,
            }
        });
        Self {
            origin: origin.then(|| only(headers, header::ORIGIN).unwrap_or_default()),
            site: sites.reduce(|one, other| if one == other { one } else { Site::Cross }),
        }
    }
}

/// The value of a header that must not appear twice.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

impl Pages {
    /// From `[http]`.
    pub(super) fn new(config: &Config) -> Self {
        Self {
            origins: config.origins.clone(),
            cors_origins: config.cors_origins.clone(),
            hosts: config.hosts.clone(),
        }
    }

    /// Permits a state-changing request unless a browser says that another site's page sent it, or does not say that
    /// none did. Clients that are not browsers send neither header and pass.
    ///
    /// A page whose origin is listed by name in `http.cors_origins` is permitted: otherwise answering its preflights
    /// would be useless. `*` in `http.origins` (the default, for `/ws`) only admits what the browser calls the same site.
    /// `null` is nobody's: every sandboxed page has it.
    fn judge(&self, method: &Method, headers: &HeaderMap) -> Result<(), ApiError> {
        if method.is_safe() {
            return Ok(());
        }
        let said = Said::of(headers);
        if said.origin.is_none() && said.site.is_none() {
            return Ok(());
        }
        let host = only(headers, header::HOST);
        if !self.hosts.is_empty() && !host.is_some_and(|host| hosts::lists(&self.hosts, host)) {
            return Err(ApiError::Misdirected(
                "the Host of this page's request is not among http.hosts of the server".into(),
            ));
        }
        let Some(origin) = said.origin else {
            return match said.site {
                Some(Site::Cross) => Err(ApiError::CrossSite),
                _ => Ok(()),
            };
        };
        let own = || host.is_some_and(|host| is_of_host(origin, host));
        let passes = self.cors_origins.lists_by_name(origin)
            || match said.site {
                Some(Site::Cross) => false,
                Some(Site::Own) if self.origins.has_any() => is_origin(origin),
                _ => self.origins.lists_by_name(origin) || own(),
            };
        passes.then_some(()).ok_or(ApiError::CrossSite)
    }

    /// Refuses the page of a host that may be this one by a stranger's DNS (DNS rebinding), where the network is all that
    /// such a request is trusted for: `caller` has shown no key.
    ///
    /// Only while `http.hosts` does not say which names are this server's. What then tells a stranger's page from one of
    /// a drop-in deployment is what the stranger cannot change: DNS gives no certificate, so that the page came over plain
    /// HTTP; and it moves a name, not a port, so that the page's port is the one that the browser is connected to here.
    /// The pages of a deployment are served by what stands before Herald, on a port of its own.
    fn is_rebound(&self, headers: &HeaderMap, port: Option<u16>, caller: &Caller) -> bool {
        let said = Said::of(headers);
        let (None | Some(Site::Unknown), Some(origin), Some(port)) = (said.site, said.origin, port) else {
            return false;
        };
        let by_name = |origins: &Origins| origins.lists_by_name(origin);
        self.hosts.is_empty()
            && *caller == Caller::Anyone
            && hosts::rebindable(origin) == Some(port)
            && !by_name(&self.origins)
            && !by_name(&self.cors_origins)
    }
}

/// The check that every request must pass: `None`, or the refusal.
pub(super) fn refusal(api: &Api, request: &Request) -> Option<ApiError> {
    api.pages.judge(request.method(), request.headers()).err()
}

/// The check that a request must pass beside, once it is known who sends it: `None`, or the refusal.
pub(super) fn rebound(pages: &Pages, request: &Request, caller: &Caller) -> Option<ApiError> {
    let port = request.extensions().get::<Peer>().and_then(|peer| peer.port);
    let refused = !request.method().is_safe() && pages.is_rebound(request.headers(), port, caller);
    refused.then(|| {
        let name = Said::of(request.headers()).origin.and_then(hosts::name_of);
        let name = name.unwrap_or_default();
        ApiError::Misdirected(Cow::Owned(format!(
            "a page reached this server as {name}, a name that may be a stranger's, over plain HTTP and without a key; if \
             it is yours, set http.hosts = [\"{name}\"] (HERALD_HTTP__HOSTS={name}), with every other name and address \
             by which pages reach this server"
        )))
    })
}

/// Whether a browser sent these headers for a page, as far as they say so.
pub(super) fn is_of_browser(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN) || headers.keys().any(|name| name.as_str().starts_with("sec-fetch-"))
}

/// A refusal for its credentials asks a page for a key or a token alone: a browser that is asked for a password keeps it, and
/// sends it with whatever another page has it send.
pub(super) fn challenge(mut response: Response, from_page: bool) -> Response {
    // `Bearer` stands first, and says what is wrong with a token.
    let first = response.headers().get(header::WWW_AUTHENTICATE).cloned();
    if let Some(bearer) = first.filter(|_| from_page) {
        // In place of all.
        response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
    }
    response
}

/// What requests are read for besides [`given::OWN`], and pages may set. Where a header is not taken, its answer says so.
const READ: [HeaderName; 6] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("baggage"),
];

/// Answers preflights for `http.cors_origins`. `None` if the list is empty.
pub(crate) fn cors(origins: &Origins) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let origins = origins.clone();
    let allowed = AllowOrigin::predicate(move |origin: &HeaderValue, _: &_| {
        origin.to_str().is_ok_and(|origin| origins.allows(Some(origin)))
    });
    Some(
        CorsLayer::new()
            .allow_origin(allowed)
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
            .allow_headers(READ.into_iter().chain(given::OWN).collect::<Vec<_>>())
            .expose_headers([header::RETRY_AFTER])
            .max_age(std::time::Duration::from_secs(600)),
    )
}

#[cfg(test)]
mod tests;
