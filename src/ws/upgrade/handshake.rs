//! Whether a request may become a WebSocket (RFC 6455 section 4.2.1), and the answer if it may not. Pure.
//! fastwebsockets checks only key and version, and answers every fault with a bare 400.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::header::{
    ALLOW, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue,
    ORIGIN, RETRY_AFTER, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING,
    UPGRADE,
};
use http::{Method, StatusCode, Version};

use crate::interceptor::Upgrade;
use crate::origins::{Origins, is_of_host};
use crate::problem::Problem;
use crate::setting::Secret;

/// STOMP's sub-protocols, best first (STOMP rule W1).
const SUBPROTOCOLS: [&str; 3] = ["v12.stomp", "v11.stomp", "v10.stomp"];

/// What the sub-protocol that is a token begins with. It is never accepted: the answer would show the token.
const BEARER: &str = "herald.bearer.";

const KEY_BYTES: usize = 16;
/// The longest value of a header that is kept until CONNECT. A longer one counts as absent.
const SHOWN_MAX_BYTES: usize = 4 << 10;

/// A client may leave meaningless bits set in the key's last character.
const KEY_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// What the handshake agreed on. Holds no `HeaderValue`, which would keep hyper's buffer for as long as the session.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Agreed {
    /// The client's offer that is accepted.
    pub(super) subprotocol: Option<&'static str>,
    /// What the request shows. It presents its own `Authorization`, if no page of an unlisted origin could have sent it, a
    /// sub-protocol's token, or a cookie's. What is there and of no use is "unusable".
    pub(super) upgrade: Upgrade,
}

/// Why a request does not become a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Method,
    NoUpgrade,
    Version,
    Key,
    Body,
    Origin,
}

/// Checks the head of a request.
pub(super) fn check(
    method: &Method,
    version: Version,
    headers: &HeaderMap,
    origins: &Origins,
    cookie: Option<&str>,
    shown: &[Box<str>],
) -> Result<Agreed, Refused> {
    if method != Method::GET {
        return Err(Refused::Method);
    }
    // An Upgrade header in HTTP/1.0 is to be ignored (RFC 9110 section 7.8).
    let asks = version == Version::HTTP_11
        && lists(headers, &UPGRADE, "websocket")
        && lists(headers, &CONNECTION, "upgrade");
    if !asks {
        return Err(Refused::NoUpgrade);
    }
    if only(headers, &SEC_WEBSOCKET_VERSION).map(str::trim) != Some("13") {
        return Err(Refused::Version);
    }
    if !only(headers, &SEC_WEBSOCKET_KEY).is_some_and(|key| is_key(key.trim())) {
        return Err(Refused::Key);
    }
    let no_length = headers
        .get_all(CONTENT_LENGTH)
        .iter()
        .all(|length| length.as_bytes() == b"0");
    if !no_length || headers.contains_key(TRANSFER_ENCODING) {
        return Err(Refused::Body);
    }
    let by_name = check_origin(headers, origins)?;
    let own = || {
        let origin = only(headers, &ORIGIN)?;
        let is_known = origins.lists_by_name(origin) || is_of_host(origin, only(headers, &HOST)?);
        token_of_cookie(headers, cookie.filter(|_| is_known)?)
    };
    let authorization = match headers.contains_key(AUTHORIZATION) && by_name {
        true => Some(only(headers, &AUTHORIZATION).map_or_else(unusable, Secret::new)),
        false => token_of_subprotocol(headers).or_else(own),
    };
    let upgrade = Upgrade {
        authorization,
        origin: only(headers, &ORIGIN).map(Into::into),
        headers: shown_of(headers, shown),
    };
    Ok(Agreed {
        subprotocol: subprotocol(headers),
        upgrade,
    })
}

/// The headers of these names, of a bounded length; what is there several times, joined by commas, cookies by semicolons
/// (RFC 9110, section 5.3; RFC 6265, section 5.4).
fn shown_of(headers: &HeaderMap, names: &[Box<str>]) -> Box<[(Box<str>, Secret)]> {
    let shown = names.iter().filter_map(|name| {
        let values = headers.get_all(&**name).iter();
        let values: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
        let between = if **name == *"cookie" { "; " } else { ", " };
        let value = values.join(between);
        let fits = !value.is_empty() && value.len() <= SHOWN_MAX_BYTES;
        fits.then(|| (name.clone(), Secret::new(value)))
    });
    shown.collect()
}

/// Present, and of no use: nothing that comes after it counts.
fn unusable() -> Secret {
    Secret::new("unusable")
}

/// The token in a sub-protocol `herald.bearer.<token>`, which a page can set where it cannot set a header. Only the page itself
/// can have written it, whatever its origin.
fn token_of_subprotocol(headers: &HeaderMap) -> Option<Secret> {
    let mut tokens = offered(headers).filter_map(|name| name.strip_prefix(BEARER));
    let token = tokens.next()?;
    match tokens.next() {
        None => Some(Secret::new(format!("Bearer {token}"))),
        Some(_) => Some(unusable()),
    }
}

/// The token in the cookie of this name. The browser adds it to requests of any page, so the page's origin has to be known.
fn token_of_cookie(headers: &HeaderMap, name: &str) -> Option<Secret> {
    let pairs = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut values = pairs.flat_map(|text| text.split(';')).filter_map(|pair| {
        let (found, value) = pair.trim().split_once('=')?;
        (found == name && !value.is_empty()).then_some(value)
    });
    let value = values.next()?;
    match values.next() {
        None => Some(Secret::new(format!("Bearer {value}"))),
        Some(_) => Some(unusable()),
    }
}

/// Whether the request's own `Authorization` counts: it comes from no browser, or from a page listed by name. A page
/// of the host itself may connect, but a browser adds credentials that the page does not know of.
fn check_origin(headers: &HeaderMap, origins: &Origins) -> Result<bool, Refused> {
    if !headers.contains_key(ORIGIN) {
        return Ok(true);
    }
    // Two `Origin` headers, or one that is not ASCII, are not an origin; only `*` admits them.
    let origin = only(headers, &ORIGIN).unwrap_or_default();
    match origins.allows_at(Some(origin), only(headers, &HOST)) {
        true => Ok(origins.lists_by_name(origin)),
        false => Err(Refused::Origin),
    }
}

fn subprotocol(headers: &HeaderMap) -> Option<&'static str> {
    SUBPROTOCOLS
        .into_iter()
        .find(|name| offered(headers).any(|offered| offered == *name))
}

/// The sub-protocols that the client offers.
fn offered(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let values = values.filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

fn is_key(key: &str) -> bool {
    // 24 characters are 16 bytes; nothing longer is decoded.
    let mut bytes = [0; KEY_BYTES + 2];
    key.len() == 24 && KEY_BASE64.decode_slice(key, &mut bytes) == Ok(KEY_BYTES)
}

/// Whether a list-valued header contains `token`, in any case.
fn lists(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|item| item.trim().eq_ignore_ascii_case(token))
}

/// The value of a header that must not appear twice.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

impl Refused {
    /// The answer, with an RFC 9457 body.
    pub(super) fn response(self) -> Response {
        let (status, detail) = match self {
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "a WebSocket is opened by GET"),
            Self::NoUpgrade => (
                StatusCode::UPGRADE_REQUIRED,
                "this is a WebSocket endpoint: it wants HTTP/1.1 with Connection: Upgrade and Upgrade: websocket \
                 (does a proxy drop them?)",
            ),
            Self::Version => (StatusCode::UPGRADE_REQUIRED, "Sec-WebSocket-Version must be 13"),
            Self::Key => (
                StatusCode::BAD_REQUEST,
                "Sec-WebSocket-Key must be 16 bytes in base64",
            ),
            Self::Body => (
                StatusCode::BAD_REQUEST,
                "a request that opens a WebSocket has no body",
            ),
            Self::Origin => (
                StatusCode::FORBIDDEN,
                "this Origin is not among http.origins of the server, nor the host of the request",
            ),
        };
        let mut response = Problem::of_status(status, detail).into_response();
        let headers = response.headers_mut();
        match self {
            Self::Method => {
                headers.insert(ALLOW, HeaderValue::from_static("GET"));
            }
            Self::NoUpgrade | Self::Version => {
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
                headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            Self::Key | Self::Body | Self::Origin => {}
        }
        response
    }
}

/// 429: the address may ask again after `wait`.
pub(super) fn too_many(detail: &str, wait: Duration) -> Response {
    let mut response = Problem::of_status(StatusCode::TOO_MANY_REQUESTS, detail).into_response();
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    response
}

#[cfg(test)]
mod tests;
