//! One notification of `POST /api/v1/notifications`, read and validated field by field, so that every refusal points at
//! what is wrong without repeating it. Knows no bus and no HTTP.

use std::fmt::Display;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::destination::{Prefixes, Target};
use crate::envelope::{HeaderLimits, Headers, MessageId, collapse_key};
use crate::http::error::ApiError;
use crate::limit::Limit;
use crate::principal::UserName;

mod capped;

use capped::Capped;

/// Most notifications of one array (docs/rest.md).
pub const NOTIFICATIONS_MAX: usize = 1_000;
/// Most users of one notification (docs/rest.md).
pub const USERS_MAX: usize = 1_000;
/// Most members of `headers` that are looked at, passed on or not; `limits.headers` bounds those passed on.
const HEADERS_SEEN_MAX: usize = 1_000;

/// A user's name: at most 128 bytes of UTF-8, no control characters, no `:`.
#[derive(Serialize, ToSchema)]
#[schema(
    min_length = 1,
    max_length = 128,
    pattern = r"^[^\u0000-\u001f\u007f-\u009f:]+$",
    example = "alice"
)]
pub struct User(String);

/// What the route takes, alone or in an array of at most 1,000. Unknown fields are ignored.
#[derive(Serialize, ToSchema)]
pub struct NotificationRequest {
    /// `/queue/…` or `/topic/…`; with `user` or `users` any path, with or without `/user` before it.
    #[schema(example = "/queue/orders")]
    destination: String,
    /// Only this user's sessions get it.
    #[schema(required = false, nullable = false)]
    user: Option<User>,
    /// Only these users' sessions get it. Not together with `user`.
    #[schema(required = false, nullable = false, min_items = 1, max_items = 1_000)]
    users: Option<Vec<User>>,
    /// Any JSON. Its text becomes the body, byte for byte, as `application/json`.
    payload: serde_json::Value,
    /// Become headers of the MESSAGE, after the filter.
    #[schema(required = false)]
    headers: Option<std::collections::BTreeMap<String, String>>,
    /// The notification's id; without it a new ULID.
    #[schema(required = false, pattern = "^[A-Za-z0-9._-]{1,64}$")]
    id: Option<String>,
    /// After so many milliseconds it is stale, and no longer written to anyone.
    #[schema(required = false, minimum = 1)]
    ttl_ms: Option<u64>,
    /// A newer notification to the same destination with the same key takes its place while it waits for a slow reader.
    #[schema(required = false, min_length = 1, max_length = 128, example = "order-17")]
    collapse: Option<String>,
}

/// What a notification is validated by.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// `[destinations]`
    pub prefixes: &'a Prefixes,
    /// `limits.headers` and `limits.header_bytes`.
    pub headers: HeaderLimits,
}

/// A valid notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// One broadcast, or each user's own; never empty.
    pub targets: Vec<Target>,
    /// The payload's JSON text.
    pub payload: Bytes,
    /// The publisher's headers, filtered.
    pub headers: Headers,
    /// The publisher's id.
    pub id: Option<MessageId>,
    /// Milliseconds until it is stale.
    pub ttl_ms: Option<u64>,
    /// What newer notifications replace it by.
    pub collapse: Option<Arc<str>>,
}

/// A request's body, not yet looked into.
#[derive(Debug)]
pub enum Batch<'a> {
    /// What is no array, as text: whether it is JSON at all, only [`parse`] sees.
    One(&'a str),
    /// An array's items.
    Many(Vec<&'a RawValue>),
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    destination: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    user: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    users: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    payload: Option<&'a RawValue>,
    #[serde(borrow, default)]
    headers: Option<&'a RawValue>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    ttl_ms: Option<&'a RawValue>,
    #[serde(borrow, default)]
    collapse: Option<&'a RawValue>,
}

/// A field that is there, even as `null`: a `null` user must not make a broadcast of a private notification.
pub fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// A body as JSON text: UTF-8, and one JSON value. What is wrong is said by its place alone.
pub fn json_text(body: &[u8]) -> Result<&str, ApiError> {
    json_value(utf8(body)?).map(RawValue::get)
}

fn utf8(body: &[u8]) -> Result<&str, ApiError> {
    std::str::from_utf8(body).map_err(|_| ApiError::Malformed("the body is not UTF-8".into()))
}

fn json_value(text: &str) -> Result<&RawValue, ApiError> {
    serde_json::from_str(text).map_err(|error| {
        let what = if error.is_eof() {
            "ends early"
        } else {
            "is not JSON"
        };
        ApiError::Malformed(format!(
            "the body {what} at line {}, column {}",
            error.line(),
            error.column()
        ))
    })
}

/// An object's fields: of any JSON each as its own text, so that what can fail is the text's being JSON, its kind, and a
/// field given twice.
pub fn whole<'a, T: Deserialize<'a>>(text: &'a str, pointer: &str) -> Result<T, ApiError> {
    if !text.trim_ascii_start().starts_with('{') {
        return Err(ApiError::invalid(pointer, "must be an object"));
    }
    serde_json::from_str(text).map_err(|_| match json_value(text) {
        Ok(_) => ApiError::invalid(pointer, "must not have the same field twice"),
        Err(malformed) => malformed,
    })
}

/// A string that must be there.
pub fn text(raw: Option<&RawValue>, pointer: impl Display) -> Result<String, ApiError> {
    let raw = raw.ok_or_else(|| ApiError::invalid(pointer.to_string(), "is required"))?;
    serde_json::from_str(raw.get()).map_err(|_| ApiError::invalid(pointer.to_string(), "must be a string"))
}

/// Splits a body into its notifications.
pub fn split(body: &[u8]) -> Result<Batch<'_>, ApiError> {
    let text = utf8(body)?;
    // One notification is read once: most are small, and reading twice would be a tenth of their cost.
    if text.trim_ascii_start().starts_with('{') {
        return Ok(Batch::One(text));
    }
    let whole = json_value(text)?;
    if !whole.get().starts_with('[') {
        return Ok(Batch::One(whole.get()));
    }
    let items: Capped<&RawValue, NOTIFICATIONS_MAX> = serde_json::from_str(whole.get())
        .map_err(|_| ApiError::invalid("", "must be an object or an array"))?;
    if items.more {
        return Err(ApiError::invalid(
            "",
            format!("an array has at most {NOTIFICATIONS_MAX} notifications"),
        ));
    }
    Ok(Batch::Many(items.kept))
}

/// Validates one notification; `at` is the JSON pointer to it: empty, or `/3` for the fourth of an array.
pub fn parse(text: &str, at: &str, rules: Rules<'_>) -> Result<Notification, ApiError> {
    let fields: Fields<'_> = whole(text, at)?;
    let destination = self::text(fields.destination, format_args!("{at}/destination"))?;
    let users = users(&fields, at)?;
    let illegal = |error: crate::destination::DestinationError| {
        ApiError::invalid(format!("{at}/destination"), error.to_string())
    };
    let targets = match users {
        None => vec![rules.prefixes.broadcast(&destination).map_err(illegal)?],
        Some(users) => users
            .into_iter()
            .map(|user| rules.prefixes.user(&destination, user).map_err(illegal))
            .collect::<Result<_, _>>()?,
    };
    let payload = fields
        .payload
        .ok_or_else(|| ApiError::invalid(format!("{at}/payload"), "is required"))?;
    Ok(Notification {
        targets,
        // Own bytes: a view would keep the whole request alive for as long as one notification waits somewhere.
        payload: Bytes::copy_from_slice(payload.get().as_bytes()),
        headers: headers(fields.headers, at, rules.headers)?,
        id: fields.id.map(|raw| id(raw, &format!("{at}/id"))).transpose()?,
        ttl_ms: fields
            .ttl_ms
            .map(|raw| ttl(raw, &format!("{at}/ttl_ms")))
            .transpose()?,
        collapse: fields
            .collapse
            .map(|raw| collapse(raw, &format!("{at}/collapse")))
            .transpose()?,
    })
}

/// The users, each once, in their order; none for a broadcast.
fn users(fields: &Fields<'_>, at: &str) -> Result<Option<Vec<UserName>>, ApiError> {
    match (fields.user, fields.users) {
        (None, None) => Ok(None),
        (Some(user), None) => Ok(Some(vec![user_name(user, format_args!("{at}/user"))?])),
        (Some(_), Some(_)) => Err(ApiError::invalid(
            format!("{at}/users"),
            "must not stand beside user",
        )),
        (None, Some(raw)) => {
            let pointer = format!("{at}/users");
            let items: Capped<&RawValue, USERS_MAX> = serde_json::from_str(raw.get())
                .map_err(|_| ApiError::invalid(pointer.as_str(), "must be an array of strings"))?;
            if items.more || items.kept.is_empty() {
                return Err(ApiError::invalid(
                    pointer,
                    format!("must name 1 to {USERS_MAX} users"),
                ));
            }
            let mut seen = std::collections::HashSet::with_capacity(items.kept.len());
            let mut users = Vec::with_capacity(items.kept.len());
            for (index, raw) in items.kept.into_iter().enumerate() {
                let user = user_name(raw, format_args!("{pointer}/{index}"))?;
                if seen.insert(user.clone()) {
                    users.push(user);
                }
            }
            Ok(Some(users))
        }
    }
}

fn user_name(raw: &RawValue, pointer: impl Display + Copy) -> Result<UserName, ApiError> {
    let name = text(Some(raw), pointer)?;
    UserName::parse(&name).map_err(|error| ApiError::invalid(pointer.to_string(), error.to_string()))
}

fn headers(raw: Option<&RawValue>, at: &str, limits: HeaderLimits) -> Result<Headers, ApiError> {
    let Some(raw) = raw else {
        return Ok(Headers::default());
    };
    let pointer = &*format!("{at}/headers");
    let members: Capped<(String, &RawValue), HEADERS_SEEN_MAX> = serde_json::from_str(raw.get())
        .map_err(|_| ApiError::invalid(pointer, "must be an object of strings"))?;
    if members.more {
        let detail = format!(
            "at most {HEADERS_SEEN_MAX} members, {} of them passed on",
            limits.count
        );
        return Err(over(pointer, detail, Some(Limit::Headers)));
    }
    let mut pairs = Vec::with_capacity(members.kept.len());
    for (name, raw) in members.kept {
        let value = serde_json::from_str::<String>(raw.get())
            .map_err(|_| ApiError::invalid(format!("{pointer}/{}", escape(&name)), "must be a string"))?;
        pairs.push((name, value));
    }
    let pairs = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    Headers::from_publisher(pairs, limits).map_err(|error| over(pointer, error.to_string(), error.limit()))
}

fn over(pointer: &str, detail: String, limit: Option<Limit>) -> ApiError {
    ApiError::Invalid {
        pointer: pointer.into(),
        detail,
        limit,
    }
}

fn id(raw: &RawValue, pointer: &str) -> Result<MessageId, ApiError> {
    MessageId::parse(&text(Some(raw), pointer)?)
        .ok_or_else(|| ApiError::invalid(pointer, "must be 1 to 64 of A-Z a-z 0-9 . _ -"))
}

fn ttl(raw: &RawValue, pointer: &str) -> Result<u64, ApiError> {
    serde_json::from_str::<u64>(raw.get())
        .ok()
        .filter(|ttl| *ttl > 0)
        .ok_or_else(|| ApiError::invalid(pointer, "must be a whole number of milliseconds, at least 1"))
}

fn collapse(raw: &RawValue, pointer: &str) -> Result<Arc<str>, ApiError> {
    collapse_key(&text(Some(raw), pointer)?)
        .ok_or_else(|| ApiError::invalid(pointer, "must be 1 to 128 bytes without control characters"))
}

/// A member's name as a part of a JSON pointer (RFC 6901 section 3), cut where it would bloat the answer.
fn escape(name: &str) -> String {
    let cut: String = name.chars().take(64).collect();
    cut.replace('~', "~0").replace('/', "~1")
}
