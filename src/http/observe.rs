//! What surrounds every route but `/ws`: one span and one histogram sample per request, the headers of every
//! response, and the refusal of other sites' pages and of unauthorized callers. One middleware does it all: axum
//! boxes and clones every layer for each request, and five of them cost as much as parsing the request. Knows no
//! route by name: the router's own pattern is the label, so that a hostile path creates no new series.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument;

use super::api::Api;
use super::audit::Guard;
use super::caller::{Admitted, Known, address, authorize, certificate_of};
use super::error::{ApiError, Refused, RefusedAt};
use super::origin;
use super::paths::Paths;
use super::percent::decode;
use super::trace::{self, Recorded, method};
use crate::envelope::TraceContext;
use crate::limit::Limit;
use crate::ws::peer::Peer;

/// The middleware of a group of routes: measures, and admits those whom `guard` lets pass.
pub(crate) async fn around(
    State((api, guard)): State<(Arc<Api>, Guard)>,
    request: Request,
    next: Next,
) -> Response {
    measured(&api, request, async |request| {
        admit(&api, guard, request, next).await
    })
    .await
}

/// The same where preflights are answered: they are handled between [`measure`] and this, so that a page can read a
/// refusal.
pub(crate) async fn guard(
    State((api, guard)): State<(Arc<Api>, Guard)>,
    request: Request,
    next: Next,
) -> Response {
    admit(&api, guard, request, next).await
}

/// Only measures.
pub(crate) async fn measure(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    measured(&api, request, async |request| next.run(request).await).await
}

/// Answers a method that its path does not support, measured like any other request.
pub(crate) async fn method_not_allowed(State(api): State<Arc<Api>>, request: Request) -> Response {
    measured(&api, request, async |request| {
        no_such_method(&api, &request).into_response()
    })
    .await
}

/// The same inside [`measure`].
pub(crate) async fn guard_method(State(api): State<Arc<Api>>, request: Request) -> ApiError {
    no_such_method(&api, &request)
}

fn no_such_method(api: &Api, request: &Request) -> ApiError {
    origin::refusal(api, request).unwrap_or_else(|| match request.uri().path().ends_with('/') {
        true => Paths::without_slash(),
        false => ApiError::MethodNotAllowed(api.methods(request)),
    })
}

/// Answers an unknown path, measured like any other request.
pub(crate) async fn not_found(api: Arc<Api>, paths: Arc<Paths>, request: Request) -> Response {
    measured(&api, request, async |request| {
        paths.unknown(request.uri().path()).into_response()
    })
    .await
}

async fn admit(api: &Api, guard: Guard, request: Request, next: Next) -> Response {
    match (origin::refusal(api, &request), guard) {
        (Some(error), _) => error.into_response(),
        // Only a route that takes the rest of the path comes here with it.
        (None, _) if request.uri().path().ends_with('/') => Paths::without_slash().into_response(),
        (None, Guard::Open) => next.run(request).await,
        (None, _) => require(api, guard, request, next).await,
    }
}

/// Stands before every route that requires credentials. Runs before any byte of the body is read.
async fn require(api: &Api, guard: Guard, mut request: Request, next: Next) -> Response {
    let address = address(&request);
    let state = &api.state;
    let from_page = origin::is_of_browser(request.headers());
    // The clock is read here, so that a login is part of the span.
    let start = (matches!(guard, Guard::Publish) && state.tracer.is_on()).then(SystemTime::now);
    let certificate = certificate_of(request.extensions().get::<Peer>());
    let authorized = authorize(state, guard, request.headers(), address, certificate);
    let Admitted { caller, told } = match authorized.await {
        Ok(admitted) => admitted,
        Err(denied) => {
            let name = denied.key_name(request.headers());
            let response = denied.into_response();
            if let Some(name) = name {
                let name = name.as_deref();
                state.metrics.key_requests.count(name, response.status().as_u16());
            }
            return origin::challenge(response, from_page);
        }
    };
    let key = caller.key_name().cloned();
    let known = Known(caller.clone());
    let refusal = || match guard {
        Guard::Open | Guard::Metrics => None,
        Guard::Known | Guard::Publish | Guard::Read | Guard::Admin(_) => api.refusal(&request),
    };
    let mut response = match origin::rebound(&api.pages, &request, &caller).or_else(refusal) {
        Some(error) => error.into_response(),
        None => {
            tracing::Span::current().record("caller", tracing::field::display(&caller));
            let begun = start.and_then(|at| trace::begin(&state.tracer, &mut request, &caller, address, at));
            request.extensions_mut().insert(caller);
            if let Some(deed) = told.deed() {
                request.extensions_mut().insert(deed);
            }
            match begun {
                None => next.run(request).await,
                Some(span) => {
                    let mut response = next.run(request).instrument(span.tracing().clone()).await;
                    span.answered(response.status().as_u16());
                    response.extensions_mut().insert(Recorded(span));
                    response
                }
            }
        }
    };
    told.answered(&response);
    if let Some(name) = key {
        state
            .metrics
            .key_requests
            .count(Some(&name), response.status().as_u16());
    }
    // A handler that asked for more than the route does may know better.
    let extensions = response.extensions_mut();
    if extensions.get::<Refused>().is_some() && extensions.get::<Known>().is_none() {
        extensions.insert(known);
    }
    response
}

async fn measured(api: &Api, request: Request, answer: impl AsyncFnOnce(Request) -> Response) -> Response {
    let method = method(request.method());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("none", MatchedPath::as_str);
    let span = tracing::debug_span!(
        "request",
        http.request.method = method,
        http.route = route,
        caller = tracing::field::Empty
    );
    let traceparent = request.headers().get("traceparent").cloned();
    let address = address(&request);
    let uri = request.uri().clone();
    let started = Instant::now();
    let mut response = answer(request).instrument(span.clone()).await;
    set_headers(response.headers_mut());
    let took = started.elapsed();
    // The lines below are about the request, and belong to its span, which ends with them.
    let recorded = response
        .extensions_mut()
        .remove::<Recorded>()
        .map(|Recorded(own)| own);
    let in_trace = |tell: &dyn Fn()| match &recorded {
        Some(own) => own.tracing().in_scope(tell),
        None => tell(),
    };
    span.in_scope(|| {
        let (status, took_us) = (response.status().as_u16(), took.as_micros() as u64);
        in_trace(&|| tracing::debug!(status, took_us, "request answered"));
    });
    if let Some(Refused(reason)) = response.extensions().get::<Refused>() {
        let status = response.status().as_u16();
        // If the request is not recorded here, the publisher's trace is the one to look for.
        let text = traceparent.as_ref().and_then(|value| value.to_str().ok());
        let publishers = match recorded {
            Some(_) => TraceContext::default(),
            None => TraceContext::from_headers(text, None),
        };
        let trace_id = publishers.trace_id();
        // Refused reads and unknown paths are scanner noise: log them at debug. A caller who may not, or comes too often,
        // is none.
        let is_callers = matches!(status, 401 | 403 | 429);
        let is_noise = route == "none" || (method == "GET" && !is_callers);
        let known = response.extensions().get::<Known>();
        let caller = known.map(|Known(caller)| tracing::field::display(caller));
        let named = destination_in(uri.path(), route).or_else(|| destination_asked(&uri, route));
        let refused_at = response.extensions().get::<RefusedAt>();
        let destination = refused_at.map(|RefusedAt(path)| &**path).or(named.as_deref());
        macro_rules! tell {
            ($level:ident, $left_out:expr) => {
                tracing::$level!(
                    method, route, status, reason, caller, %address, destination, trace_id, left_out = $left_out,
                    "a request was refused"
                )
            };
        }
        in_trace(&|| match is_noise {
            false => {
                if let Some(left_out) = api.refusals.pass() {
                    tell!(info, left_out);
                }
            }
            true => tell!(debug, None::<u64>),
        });
    }
    if let Some(limit) = response.extensions().get::<Limit>() {
        api.state.metrics.limit_hit(*limit);
    }
    api.state
        .metrics
        .http_requests
        .with_label_values(&[method, route, response.status().as_str()])
        .observe(took.as_secs_f64());
    response
}

/// What every such route begins with.
const API: &str = "/api/v1/";

/// The most characters of a destination that the log repeats.
const DESTINATION_MAX_CHARS: usize = 300;

/// The part of a path that a route leaves open, where that is a destination: as the client wrote it, percent-encoded.
fn destination_in(path: &str, route: &str) -> Option<String> {
    // The route has `http.base_path` in front, the path need not.
    let fixed = &route[route.find(API)?..route.find("{*")?];
    let path = &path[path.find(API)?..];
    let open = path.splitn(fixed.matches('/').count() + 1, '/').last()?;
    Some(shown(&format!("/{open}")))
}

/// The destination that a query gives: decoded, or as the client wrote it if it cannot be read.
fn destination_asked(uri: &Uri, route: &str) -> Option<String> {
    route.find(API)?;
    let mut pairs = uri.query()?.split('&');
    let value = pairs.find_map(|pair| pair.strip_prefix("destination="))?;
    let decoded = decode(&value.replace('+', " "), "query");
    Some(shown(&decoded.unwrap_or_else(|_| value.to_owned())))
}

fn shown(destination: &str) -> String {
    destination.escape_debug().take(DESTINATION_MAX_CHARS).collect()
}

/// Answers must not be cached, and browsers must not guess their type, unless the route says otherwise.
fn set_headers(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_destination_of_a_query_is_shown_decoded_and_escaped() {
        let asked = |uri: &str, route: &str| destination_asked(&uri.parse().unwrap(), route);
        for (query, shown) in [
            ("user=a&destination=%2Fqueue%2Fa+b", Some("/queue/a b")),
            ("destination=/queue/%1b%5Bx", Some("/queue/\\u{1b}[x")),
            ("destination=/queue/%zz", Some("/queue/%zz")),
            ("my_destination=/queue/x", None),
        ] {
            let uri = format!("/api/v1/explain?{query}");
            assert_eq!(asked(&uri, "/api/v1/explain").as_deref(), shown, "{query}");
        }
        assert_eq!(asked("/login?destination=/queue/x", "/login"), None);
        let long = format!("/api/v1/explain?destination=/{}", "x".repeat(1000));
        let shown = asked(&long, "/herald/api/v1/explain").unwrap();
        assert_eq!(shown.len(), DESTINATION_MAX_CHARS);
    }
}
