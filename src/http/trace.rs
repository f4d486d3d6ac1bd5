//! A publisher's trace context in a request (W3C Trace Context and Baggage), the decision about it, and the request's
//! server span. Knows nothing of a route's internals.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{FromRequestParts, MatchedPath, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method, header};

use super::api::Api;
use super::caller::{self, Caller};
use super::error::ApiError;
use super::idempotency::Idempotency;
use crate::envelope::{HeaderLimits, Headers, TraceContext};
use crate::telemetry::trace::{self, Span, Tracer, Upstream};

const BAGGAGE: &str = "baggage";

/// The request's own recorded server span: an extension of the response, for the log lines about the request.
#[derive(Debug, Clone)]
pub(crate) struct Recorded(pub Span);

/// What a publisher's request says about the trace that it belongs to.
#[derive(Debug, Clone)]
pub(crate) struct FromPublisher {
    /// The decision. If sampled: a child of the request's server span.
    pub upstream: Upstream,
    /// `baggage`, if it is passed on.
    baggage: Option<Box<str>>,
    /// Its `Idempotency-Key`, or what is wrong with that: see [`FromPublisher::once`].
    key: Option<Result<Idempotency, ApiError>>,
    /// Who sent it.
    pub caller: Caller,
    /// From where.
    pub address: IpAddr,
}

impl FromPublisher {
    /// The request's `Idempotency-Key`, if it has one.
    ///
    /// # Errors
    /// It is none that may be.
    pub(crate) fn once(&self) -> Result<Option<&Idempotency>, ApiError> {
        match &self.key {
            None => Ok(None),
            Some(Ok(key)) => Ok(Some(key)),
            Some(Err(error)) => Err(error.clone()),
        }
    }

    /// `headers` with the request's `baggage`, unless they have one of their own or are too many.
    pub(crate) fn with_baggage(&self, headers: Headers, limits: HeaderLimits) -> Headers {
        match &self.baggage {
            Some(text)
                if headers.get(BAGGAGE).is_none()
                    && headers.iter().count() < limits.count
                    && BAGGAGE.len() + text.len() <= limits.bytes =>
            {
                headers.with(BAGGAGE, text)
            }
            _ => headers,
        }
    }
}

impl FromRequestParts<Arc<Api>> for FromPublisher {
    type Rejection = Infallible;

    /// Returns what [`begin`] decided.
    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Infallible> {
        let tracer = &api.state.tracer;
        let upstream = match parts.extensions.get::<Upstream>() {
            Some(upstream) => upstream.clone(),
            None if tracer.is_on() => Upstream {
                context: trace_context(&parts.headers).unsampled(),
                sampled: false,
            },
            None => Upstream {
                context: trace_context(&parts.headers),
                sampled: false,
            },
        };
        let baggage = || {
            let text = lines(&parts.headers, BAGGAGE).join(",");
            is_baggage(&text).then(|| text.into())
        };
        Ok(Self {
            upstream,
            key: Idempotency::read(&parts.headers, parts.extensions.get()).transpose(),
            baggage: tracer.carries_baggage().then(baggage).flatten(),
            caller: parts.extensions.get().cloned().unwrap_or(Caller::Anyone),
            address: caller::address_of(parts.extensions.get()),
        })
    }
}

/// Decides about a publish by `caller` that arrived at `start`, and begins its server span. If the answer is no,
/// nothing is left in the request.
pub(crate) fn begin(
    tracer: &Tracer,
    request: &mut Request,
    caller: &Caller,
    address: IpAddr,
    start: SystemTime,
) -> Option<Span> {
    let trusted =
        matches!(caller, Caller::Key(key) if tracer.trusts_key(&key.name)) || tracer.trusts_address(address);
    let mut upstream = tracer.decide(trace_context(request.headers()), trusted, None);
    if !upstream.sampled {
        return None;
    }
    let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let route = request.extensions().get::<MatchedPath>();
    let said = trace::Request {
        method: method(request.method()),
        route: route.map_or("none", MatchedPath::as_str),
        path: request.uri().path(),
        host: text(header::HOST),
        user_agent: text(header::USER_AGENT),
        caller: &caller.to_string(),
        address,
    };
    let span = tracer.server(&mut upstream, start, said)?;
    request.extensions_mut().insert(upstream);
    Some(span)
}

/// The trace context of a request. Several `tracestate` lines are one list; several `traceparent` lines count as
/// none.
fn trace_context(headers: &HeaderMap) -> TraceContext {
    let mut parents = headers.get_all(HeaderName::from_static("traceparent")).iter();
    let (Some(parent), None) = (parents.next(), parents.next()) else {
        return TraceContext::default();
    };
    let state = lines(headers, "tracestate").join(",");
    TraceContext::from_headers(parent.to_str().ok(), Some(&state))
}

fn lines<'a>(headers: &'a HeaderMap, name: &'static str) -> Vec<&'a str> {
    let values = headers.get_all(HeaderName::from_static(name)).iter();
    values.filter_map(|value| value.to_str().ok()).collect()
}

/// The most members and bytes of a `baggage` that is passed on (W3C Baggage section 3.3.2).
const BAGGAGE_MAX_MEMBERS: usize = 64;
const BAGGAGE_MAX_BYTES: usize = 8_192;

/// Whether `text` is a list of `key=value` within the bounds of W3C Baggage.
fn is_baggage(text: &str) -> bool {
    (1..=BAGGAGE_MAX_BYTES).contains(&text.len())
        && text.bytes().all(|b| (b' '..=b'~').contains(&b))
        && text.split(',').count() <= BAGGAGE_MAX_MEMBERS
        && text.split(',').all(|member| {
            member
                .trim()
                .split_once('=')
                .is_some_and(|(key, _)| !key.is_empty())
        })
}

/// The method as a label: one of a few.
pub(super) fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        _ => "_OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn baggage_is_bounded_and_a_list() {
        let check = |text: &str, expected| assert_eq!(is_baggage(text), expected, "{text}");
        check("a=1;p=x, b=2", true);
        check("", false);
        check("a", false);
        check("a=1,", false);
        check("a=\n", false);
        check(&format!("a={}", "x".repeat(8_191)), false);
        check(&["a=1"; 65].join(","), false);
    }
}
