//! The headers in which a raw body's request describes the notification, with the same names as for NATS publishers
//! (docs/nats.md). Knows no destination and no body.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use utoipa::IntoParams;

use crate::envelope::{CollapseKey, Envelope, HeaderLimits, Headers, MessageId, is_content_type, unix_ms};
use crate::http::error::ApiError;
use crate::http::notifications::request::members;
use crate::http::whole;

/// The headers of Herald's own that are read here, which other sites' pages need permission to set.
pub(crate) const OWN: [HeaderName; 4] = [
    HeaderName::from_static("herald-id"),
    HeaderName::from_static("herald-ttl-ms"),
    HeaderName::from_static("herald-collapse"),
    HeaderName::from_static("herald-headers"),
];

/// The headers, as the OpenAPI document has them. `Herald-Headers` is a text there: generated clients cannot write JSON into a header.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes what `Given` reads")]
pub(in crate::http) struct Described {
    /// The notification's id; without it a new ULID.
    #[param(rename = "Herald-Id", pattern = "^[A-Za-z0-9._-]{1,64}$")]
    id: Option<String>,
    /// After so many milliseconds it is no longer written to anyone.
    #[param(rename = "Herald-Ttl-Ms", minimum = 1)]
    ttl_ms: Option<u64>,
    /// A newer notification to the same destination with the same key takes its place while it waits for a slow reader.
    #[param(rename = "Herald-Collapse")]
    collapse: Option<String>,
    /// The MESSAGE's own headers, after the filter: a JSON object of strings, as text, such as `{"kind":"order"}`.
    #[param(rename = "Herald-Headers")]
    headers: Option<String>,
    /// A repeat with the same key is published once, for `history.duplicate_window`. Only where history keeps the destination.
    #[param(rename = "Idempotency-Key")]
    idempotency_key: Option<String>,
}

/// Everything that may be said about a notification besides its destination.
#[derive(Debug, Default)]
pub(super) struct Given {
    content_type: Option<Box<str>>,
    headers: Headers,
    id: Option<MessageId>,
    ttl_ms: Option<u64>,
    collapse: Option<CollapseKey>,
}

impl Given {
    /// Reads the request's headers. Refuses what breaks a rule, and never repeats a value.
    pub(super) fn read(headers: &HeaderMap, limits: HeaderLimits) -> Result<Self, ApiError> {
        Ok(Self {
            content_type: one(
                headers,
                header::CONTENT_TYPE.as_str(),
                "1 to 256 visible ASCII characters",
                |value| {
                    value
                        .to_str()
                        .ok()
                        .filter(|text| is_content_type(text))
                        .map(Into::into)
                },
            )?,
            headers: own_headers(headers, limits)?,
            id: one(headers, "Herald-Id", "1 to 64 of A-Z a-z 0-9 . _ -", |value| {
                MessageId::parse(value.to_str().ok()?)
            })?,
            ttl_ms: one(
                headers,
                "Herald-Ttl-Ms",
                "a whole number of milliseconds, at least 1",
                |value| whole::parse(value.to_str().ok()?).filter(|ttl| *ttl > 0),
            )?,
            collapse: one(
                headers,
                "Herald-Collapse",
                "1 to 128 bytes without control characters",
                |value| CollapseKey::of_backend(std::str::from_utf8(value.as_bytes()).ok()?),
            )?,
        })
    }

    /// Applies everything to `envelope`. Whether an id was given.
    pub(super) fn apply(self, envelope: &mut Envelope) -> bool {
        envelope.content_type = self.content_type;
        envelope.headers = self.headers;
        let has_id = self.id.is_some();
        if let Some(id) = self.id {
            envelope.id = id;
        }
        envelope.expires_at_ms = self.ttl_ms.map(|ttl| unix_ms().saturating_add(ttl));
        envelope.collapse = self.collapse;
        has_id
    }
}

/// The header `name` as read by `parse`, or `None` if it is absent.
fn one<T>(
    headers: &HeaderMap,
    name: &str,
    expected: &str,
    parse: impl FnOnce(&HeaderValue) -> Option<T>,
) -> Result<Option<T>, ApiError> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let parsed = parse(value).map(Some);
    parsed.ok_or_else(|| ApiError::BadRequest(format!("header {name} must be {expected}")))
}

/// `Herald-Headers`: the MESSAGE's own headers, as a JSON object of strings.
fn own_headers(headers: &HeaderMap, limits: HeaderLimits) -> Result<Headers, ApiError> {
    let object = one(headers, "Herald-Headers", "a JSON object of strings", |value| {
        members(value.as_bytes())
    })?;
    let object = object.unwrap_or_default();
    let pairs = object.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    Headers::from_publisher(pairs, limits)
        .map_err(|error| ApiError::BadRequest(format!("header Herald-Headers: {error}")))
}
