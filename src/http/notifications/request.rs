//! One notification of `POST /api/v1/notifications`: the type that reads and describes it, and the rules that no type
//! expresses. Every refusal points at what is wrong without repeating it. Knows no bus and no HTTP.

use std::num::NonZeroU64;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::value::RawValue;
use utoipa::openapi::{ArrayBuilder, OneOfBuilder, Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::destination::{DestinationError, Prefixes, Target};
use crate::envelope::{CollapseKey, HeaderLimits, Headers, MessageId};
use crate::http::error::ApiError;
use crate::http::json;
use crate::http::whole;
use crate::limit::Limit;
use crate::principal::{UserName, UserNameError};

mod capped;

use super::May;
use capped::{Items, Members};

/// The most notifications in one array (docs/rest.md).
pub(crate) const NOTIFICATIONS_MAX: usize = 1_000;
/// The most users of one notification (docs/rest.md).
pub(crate) const USERS_MAX: usize = 1_000;
/// The name of an array in the OpenAPI document: not every generator of clients makes something of an array that has none.
const LIST: &str = "NotificationList";
/// The most members of `headers` that are examined, passed on or not. `limits.headers` bounds those passed on.
const HEADERS_SEEN_MAX: usize = 1_000;

/// A user's name: at most 255 bytes of UTF-8, no control characters.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(
    value_type = String,
    min_length = 1,
    max_length = 255,
    pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$",
    example = "alice"
)]
pub(crate) struct User(UserName);

impl From<User> for UserName {
    fn from(User(name): User) -> Self {
        name
    }
}

impl TryFrom<String> for User {
    type Error = UserNameError;

    fn try_from(name: String) -> Result<Self, UserNameError> {
        UserName::parse(&name).map(Self)
    }
}

/// What the route takes, alone or in an array of at most 1,000.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NotificationRequest<'a> {
    /// `/queue/…` or `/topic/…`; with `user` or `users` any path, with or without `/user` before it.
    #[schema(example = "/queue/orders")]
    destination: String,
    /// Only this user's sessions get it.
    #[serde(default, deserialize_with = "present")]
    #[schema(required = false, nullable = false)]
    user: Option<User>,
    /// Only these users' sessions get it. Not together with `user`.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Vec<User>>, required = false, nullable = false, min_items = 1, max_items = 1_000)]
    users: Option<Items<User, USERS_MAX>>,
    /// Any JSON. Its text becomes the body, byte for byte, as `application/json`.
    #[serde(borrow)]
    #[schema(value_type = serde_json::Value)]
    payload: &'a RawValue,
    /// Become headers of the MESSAGE, after the filter.
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>, required = false)]
    headers: Option<Members<HEADERS_SEEN_MAX>>,
    /// The notification's id; without it a new ULID.
    #[serde(default, deserialize_with = "id")]
    #[schema(value_type = Option<String>, required = false, pattern = "^[A-Za-z0-9._-]{1,64}$")]
    id: Option<MessageId>,
    /// After so many milliseconds it is stale, and no longer written to anyone.
    #[serde(default, deserialize_with = "ttl_ms")]
    #[schema(value_type = Option<u64>, required = false, minimum = 1)]
    ttl_ms: Option<NonZeroU64>,
    /// A newer notification to the same destination with the same key takes its place while it waits for a slow reader.
    #[serde(default, deserialize_with = "collapse")]
    #[schema(value_type = Option<String>, required = false, min_length = 1, max_length = 128, example = "order-17")]
    collapse: Option<CollapseKey>,
}

/// The rules that a notification is validated against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules<'a> {
    /// `[destinations]`
    pub prefixes: &'a Prefixes,
    /// `limits.headers` and `limits.header_bytes`.
    pub headers: HeaderLimits,
    /// By which permissions whose notification it is. `None`: it is not to be published.
    pub may: Option<May<'a>>,
}

/// A valid notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notification {
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
    /// The key by which newer notifications replace it.
    pub collapse: Option<CollapseKey>,
}

/// The body of a request, not parsed yet.
#[derive(Debug)]
pub(crate) enum Batch<'a> {
    /// Anything but an array, as text. [`parse`] checks whether it is JSON at all.
    One(&'a str),
    /// An array's items.
    Many(Vec<&'a RawValue>),
}

/// One notification, or an array of at most 1,000.
impl PartialSchema for Batch<'_> {
    fn schema() -> RefOr<Schema> {
        OneOfBuilder::new()
            .item(Ref::from_schema_name(NotificationRequest::name()))
            .item(Ref::from_schema_name(LIST))
            .into()
    }
}

impl ToSchema for Batch<'_> {
    fn name() -> std::borrow::Cow<'static, str> {
        "NotificationsRequest".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        let many = ArrayBuilder::new()
            .description(Some("Notifications that are published in their order."))
            .items(Ref::from_schema_name(NotificationRequest::name()))
            .max_items(Some(NOTIFICATIONS_MAX));
        schemas.push((LIST.into(), many.into()));
        schemas.push((NotificationRequest::name().into(), NotificationRequest::schema()));
        NotificationRequest::schemas(schemas);
    }
}

/// Reads a field that may be absent and must not be `null`: a `null` user must not turn a private notification into a
/// broadcast.
pub(crate) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    json: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(json).map(Some)
}

fn id<'de, D: Deserializer<'de>>(json: D) -> Result<Option<MessageId>, D::Error> {
    checked(json, MessageId::parse, "must be 1 to 64 of A-Z a-z 0-9 . _ -")
}

fn collapse<'de, D: Deserializer<'de>>(json: D) -> Result<Option<CollapseKey>, D::Error> {
    checked(
        json,
        CollapseKey::of_backend,
        "must be 1 to 128 bytes without control characters",
    )
}

/// A text that `parse` reads. `null` counts as absent.
fn checked<'de, D: Deserializer<'de>, T>(
    json: D,
    parse: impl FnOnce(&str) -> Option<T>,
    rule: &'static str,
) -> Result<Option<T>, D::Error> {
    let text = Option::<String>::deserialize(json)?;
    text.map(|text| parse(&text).ok_or_else(|| D::Error::custom(rule)))
        .transpose()
}

fn ttl_ms<'de, D: Deserializer<'de>>(json: D) -> Result<Option<NonZeroU64>, D::Error> {
    let expected = "a whole number of milliseconds, at least 1";
    let ms = whole::optional(json, 1..=u64::MAX, expected)?;
    Ok(ms.and_then(NonZeroU64::new))
}

/// Splits a body into its notifications.
///
/// # Errors
/// [`ApiError::Malformed`] if the body is not UTF-8 or an array that is not JSON, [`ApiError::Invalid`] if the array is
/// too long.
pub(crate) fn split(body: &[u8]) -> Result<Batch<'_>, ApiError> {
    let text = json::text(body)?;
    if !text.trim_ascii_start().starts_with('[') {
        return Ok(Batch::One(text));
    }
    match serde_json::from_str::<Items<&RawValue, NOTIFICATIONS_MAX>>(text) {
        Ok(Items { kept, more: false }) => Ok(Batch::Many(kept)),
        Ok(_) => Err(ApiError::invalid(
            "",
            format!("an array has at most {NOTIFICATIONS_MAX} notifications"),
        )),
        Err(_) => Err(json::well_formed(text).err().unwrap_or(ApiError::Internal)),
    }
}

/// Validates one notification. `at` is the JSON pointer to it: empty, or `/3` for the fourth item of an array.
///
/// # Errors
/// As for [`json::object`], [`ApiError::Invalid`] for what breaks `rules`, and [`ApiError::NotPermitted`].
pub(crate) fn parse(text: &str, at: &str, rules: Rules<'_>) -> Result<Notification, ApiError> {
    let request: NotificationRequest<'_> = json::object(text, at)?;
    let users = users(request.user, request.users, at)?;
    let destination = &*request.destination;
    let illegal = |error: DestinationError| {
        let beside = match &error {
            DestinationError::NoUser(_) => {
                ": put \"user\" beside it, as in {\"destination\":\"/queue/orders\",\"user\":\"alice\",…}"
            }
            _ => "",
        };
        ApiError::invalid(format!("{at}/destination"), format!("{error}{beside}"))
    };
    let targets = match users {
        None => vec![rules.prefixes.broadcast(destination).map_err(illegal)?],
        Some(users) => users
            .into_iter()
            .map(|user| rules.prefixes.user(destination, user).map_err(illegal))
            .collect::<Result<_, _>>()?,
    };
    // The users' destinations are one and the same for the permissions.
    if let (Some(may), Some(target)) = (rules.may, targets.first()) {
        may.publish(target, Some(&|| format!("{at}/destination")))?;
    }
    Ok(Notification {
        targets,
        // A copy: a view would keep the whole request alive for as long as one notification waits somewhere.
        payload: Bytes::copy_from_slice(request.payload.get().as_bytes()),
        headers: headers(request.headers, at, rules.headers)?,
        id: request.id,
        ttl_ms: request.ttl_ms.map(NonZeroU64::get),
        collapse: request.collapse,
    })
}

/// The users in order, without duplicates. `None` for a broadcast.
fn users(
    user: Option<User>,
    users: Option<Items<User, USERS_MAX>>,
    at: &str,
) -> Result<Option<Vec<UserName>>, ApiError> {
    let invalid = |detail: String| Err(ApiError::invalid(format!("{at}/users"), detail));
    match (user, users) {
        (None, None) => Ok(None),
        (Some(User(user)), None) => Ok(Some(vec![user])),
        (Some(_), Some(_)) => invalid("must not be given together with user".into()),
        (None, Some(users)) if users.more || users.kept.is_empty() => {
            invalid(format!("must name 1 to {USERS_MAX} users"))
        }
        (None, Some(users)) => {
            let mut seen = std::collections::HashSet::with_capacity(users.kept.len());
            let names = users.kept.into_iter().map(|User(name)| name);
            Ok(Some(names.filter(|name| seen.insert(name.clone())).collect()))
        }
    }
}

/// The members of a JSON object of strings, each of which has a name of its own.
pub(super) fn members(json: &[u8]) -> Option<Vec<(String, String)>> {
    let members: Members<HEADERS_SEEN_MAX> = serde_json::from_slice(json).ok()?;
    (!members.more).then_some(members.kept)
}

fn headers(
    members: Option<Members<HEADERS_SEEN_MAX>>,
    at: &str,
    limits: HeaderLimits,
) -> Result<Headers, ApiError> {
    let members = members.unwrap_or_default();
    let over = |detail: String, limit: Option<Limit>| ApiError::Invalid {
        pointer: format!("{at}/headers"),
        detail,
        limit,
    };
    if members.more {
        let detail = format!(
            "at most {HEADERS_SEEN_MAX} members, {} of them passed on",
            limits.count
        );
        return Err(over(detail, Some(Limit::Headers)));
    }
    let pairs = members.kept.iter();
    let pairs = pairs.map(|(name, value)| (name.as_str(), value.as_str()));
    Headers::from_publisher(pairs, limits).map_err(|error| over(error.to_string(), error.limit()))
}
