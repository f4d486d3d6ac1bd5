//! The routes whose body is the notification's, unchanged, and whose path names the destination.
//!
//! Segments are split first and then percent-decoded (RFC 3986 section 2.4), so an escaped slash is never taken for a
//! separator. In a user's name it is a slash of the name; in a destination it is refused, since a segment cannot
//! contain one.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use percent_encoding::percent_decode_str;

use super::Accepted;
use super::request::User;
use crate::destination::{DestinationError, Target};
use crate::envelope::Envelope;
use crate::http::api::Api;
use crate::http::body::{Limit, require_plain};
use crate::http::error::ApiError;
use crate::http::refusals;
use crate::http::trace::FromPublisher;
use crate::principal::UserName;
use given::Given;

pub(in crate::http) mod given;

const BROADCAST: &str = "/api/v1/broadcast/";
const USERS: &str = "/api/v1/users/";

/// Broadcasts the raw body.
#[utoipa::path(
    post,
    path = "/api/v1/broadcast/{*destination}",
    tag = "publish",
    params(("destination" = String, Path, description = "`queue/orders` is `/queue/orders`; each segment percent-encoded",
        example = "queue/orders")),
    request_body(content_type = "*/*", description = "The notification's body, of any content type; it may be empty"),
    security((), ("key" = ["publish"]), ("user" = [])),
    responses(
        (status = 202, description = "Published", body = Accepted),
        refusals::OfPublish,
    )
)]
pub(crate) async fn post_broadcast(
    State(api): State<Arc<Api>>,
    publisher: FromPublisher,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Accepted, ApiError> {
    let outcome = match broadcast_target(&api, uri.path()) {
        Ok(target) => handle(&api, target, &publisher, &headers, body).await,
        Err(error) => Err(error),
    };
    api.counted(outcome)
}

/// Sends the raw body to one user's sessions.
#[utoipa::path(
    post,
    path = "/api/v1/users/{user}/{*destination}",
    tag = "publish",
    params(
        ("user" = inline(User), Path, description = "Percent-encoded"),
        ("destination" = String, Path, description = "`queue/orders`: the user sees `/user/queue/orders`; each segment percent-encoded",
            example = "queue/orders"),
    ),
    request_body(content_type = "*/*", description = "The notification's body, of any content type; it may be empty"),
    security((), ("key" = ["publish"]), ("user" = [])),
    responses(
        (status = 202, description = "Published", body = Accepted),
        refusals::OfPublish,
    )
)]
pub(crate) async fn post_user(
    State(api): State<Arc<Api>>,
    publisher: FromPublisher,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Accepted, ApiError> {
    let outcome = match user_target(&api, uri.path()) {
        Ok(target) => handle(&api, target, &publisher, &headers, body).await,
        Err(error) => Err(error),
    };
    api.counted(outcome)
}

async fn handle(
    api: &Api,
    target: Target,
    publisher: &FromPublisher,
    headers: &HeaderMap,
    body: Body,
) -> Result<Accepted, ApiError> {
    publisher.once()?;
    require_plain(headers)?;
    let given = Given::read(headers, api.state.header_limits)?;
    api.require_bus()?;
    let body = api.body_reader.read(headers, body, api.raw_limit()).await?;
    let mut envelope = Envelope::new(target, body.bytes.clone());
    let has_id = given.apply(&mut envelope);
    api.publish_one(publisher, envelope, has_id).await
}

impl Api {
    /// The bound on a raw body, by the name of its setting.
    fn raw_limit(&self) -> Limit {
        let (bytes, name) = self.state.publisher.body_limit();
        Limit { name, bytes }
    }
}

fn broadcast_target(api: &Api, path: &str) -> Result<Target, ApiError> {
    let destination = destination(path.strip_prefix(BROADCAST).unwrap_or_default())?;
    api.state.prefixes.broadcast(&destination).map_err(illegal)
}

fn user_target(api: &Api, path: &str) -> Result<Target, ApiError> {
    let (user, rest) = path
        .strip_prefix(USERS)
        .and_then(|rest| rest.split_once('/'))
        .unwrap_or_default();
    api.state
        .prefixes
        .user(&destination(rest)?, user_name(user)?)
        .map_err(illegal)
}

fn illegal(error: DestinationError) -> ApiError {
    ApiError::BadRequest(error.to_string())
}

/// Reads a user's name from a segment of the path.
pub(crate) fn user_name(segment: &str) -> Result<UserName, ApiError> {
    UserName::parse(&decode(segment)?).map_err(|error| ApiError::BadRequest(error.to_string()))
}

/// Reads a destination from segments of the path.
fn destination(segments: &str) -> Result<String, ApiError> {
    let mut destination = String::with_capacity(segments.len() + 1);
    for segment in segments.split('/') {
        let segment = decode(segment)?;
        if segment.contains('/') {
            return Err(ApiError::BadRequest(
                "a segment of a destination cannot hold '/' (%2F)".into(),
            ));
        }
        destination.push('/');
        destination.push_str(&segment);
    }
    Ok(destination)
}

/// Decodes one segment; `%` must begin an escape, and the result must be UTF-8.
fn decode(segment: &str) -> Result<String, ApiError> {
    let escapes_are_whole = segment.split('%').skip(1).all(|rest| {
        rest.as_bytes()
            .get(..2)
            .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    });
    if !escapes_are_whole {
        return Err(ApiError::BadRequest(
            "'%' in the path must be followed by two hex digits".into(),
        ));
    }
    percent_decode_str(segment)
        .decode_utf8()
        .map(Into::into)
        .map_err(|_| ApiError::BadRequest("the path is not UTF-8".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_split_before_they_are_decoded() {
        for (given, expected) in [
            ("queue/orders", Some("/queue/orders")),
            ("queue/a%20b/%C3%A4", Some("/queue/a b/ä")),
            ("queue/%252F", Some("/queue/%2F")),
            ("queue/a+b", Some("/queue/a+b")),
            ("queue/a%2Fb", None),
            ("queue/a%2fb", None),
            ("queue/%", None),
            ("queue/%4", None),
            ("queue/%zz", None),
            ("queue/%+1", None),
            ("queue/%FF", None),
        ] {
            assert_eq!(destination(given).ok().as_deref(), expected, "{given}");
        }
    }

    #[test]
    fn an_escaped_slash_belongs_to_a_name() {
        assert_eq!(user_name("a%2Fb").unwrap().as_str(), "a/b");
        assert_eq!(user_name("id%3Aa").unwrap().as_str(), "id:a");
        assert!(user_name("%0A").is_err());
    }
}
