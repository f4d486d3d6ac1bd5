//! The routes whose body is the notification's, unchanged, and whose path names the destination.
//!
//! In a user's name an escaped slash is a slash of the name. In a destination it separates segments like any other
//! slash: no segment can contain one, and generated clients escape a whole parameter. `?destination=` also names the
//! destination, for clients whose proxies resolve `%2F`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Uri};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Accepted;
use super::request::User;
use crate::destination::{DestinationError, Target};
use crate::envelope::Envelope;
use crate::http::api::Api;
use crate::http::body::{Limit, require_plain};
use crate::http::error::ApiError;
use crate::http::percent::decode;
use crate::http::refusals;
use crate::http::trace::FromPublisher;
use crate::principal::UserName;
use given::{Described, Given};

pub(in crate::http) mod given;

const BROADCAST: &str = "/api/v1/broadcast/";
const USERS: &str = "/api/v1/users/";

/// The destination beside the path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Named {
    /// The same destination as in the path, which may be left out then.
    #[param(required = false, example = "/queue/orders")]
    destination: Option<String>,
}

type InQuery = Result<Query<Named>, QueryRejection>;

/// Broadcasts the raw body.
#[utoipa::path(
    post,
    path = "/api/v1/broadcast/{*destination}",
    tag = "publish",
    params(
        ("destination" = String, Path, description = "`queue/orders` or `/queue/orders`, percent-encoded; `%2F` is a slash",
            example = "queue/orders"),
        Named,
        Described,
    ),
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
    query: InQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Accepted, ApiError> {
    let outcome = match broadcast_target(&api, uri.path(), query) {
        Ok(target) => handle(&api, target, &publisher, &headers, body).await,
        Err(error) => Err(error),
    };
    api.counted(outcome)
}

/// Broadcasts the raw body to the destination that the query names.
#[utoipa::path(
    post,
    path = "/api/v1/broadcast",
    tag = "publish",
    params(
        ("destination" = String, Query, description = "Where to, with its slash in front", example = "/queue/orders"),
        Described,
    ),
    request_body(content_type = "*/*", description = "The notification's body, of any content type; it may be empty"),
    security((), ("key" = ["publish"]), ("user" = [])),
    responses(
        (status = 202, description = "Published", body = Accepted),
        refusals::OfPublish,
    )
)]
pub(crate) async fn post_broadcast_by_query(
    state: State<Arc<Api>>,
    publisher: FromPublisher,
    uri: Uri,
    query: InQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Accepted, ApiError> {
    post_broadcast(state, publisher, uri, query, headers, body).await
}

/// Sends the raw body to one user's sessions.
#[utoipa::path(
    post,
    path = "/api/v1/users/{user}/{*destination}",
    tag = "publish",
    params(
        ("user" = inline(User), Path, description = "Percent-encoded; `%2F` is a slash of the name"),
        ("destination" = String, Path, description = "`queue/orders`: the user sees `/user/queue/orders`; percent-encoded, `%2F` is \
            a slash", example = "queue/orders"),
        Named,
        Described,
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
    query: InQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Accepted, ApiError> {
    let outcome = match user_target(&api, uri.path(), query) {
        Ok(target) => handle(&api, target, &publisher, &headers, body).await,
        Err(error) => Err(error),
    };
    api.counted(outcome)
}

/// Sends the raw body to one user's sessions, at the destination that the query names.
#[utoipa::path(
    post,
    path = "/api/v1/users/{user}",
    tag = "publish",
    params(
        ("user" = inline(User), Path, description = "Percent-encoded; `%2F` is a slash of the name"),
        ("destination" = String, Query, description = "`/queue/orders`: the user sees `/user/queue/orders`",
            example = "/queue/orders"),
        Described,
    ),
    request_body(content_type = "*/*", description = "The notification's body, of any content type; it may be empty"),
    security((), ("key" = ["publish"]), ("user" = [])),
    responses(
        (status = 202, description = "Published", body = Accepted),
        refusals::OfPublish,
    )
)]
pub(crate) async fn post_user_by_query(
    state: State<Arc<Api>>,
    publisher: FromPublisher,
    uri: Uri,
    query: InQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Accepted, ApiError> {
    post_user(state, publisher, uri, query, headers, body).await
}

/// Sends the raw body to one user's own destination `/sessions`, which this path would otherwise hide.
#[utoipa::path(
    post,
    path = "/api/v1/users/{user}/sessions",
    tag = "publish",
    params(
        ("user" = inline(User), Path, description = "Percent-encoded; `%2F` is a slash of the name"),
        Named,
        Described,
    ),
    request_body(content_type = "*/*", description = "The notification's body, of any content type; it may be empty"),
    security((), ("key" = ["publish"]), ("user" = [])),
    responses(
        (status = 202, description = "Published", body = Accepted),
        refusals::OfPublish,
    )
)]
pub(crate) async fn post_user_sessions(
    state: State<Arc<Api>>,
    publisher: FromPublisher,
    uri: Uri,
    query: InQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Accepted, ApiError> {
    post_user(state, publisher, uri, query, headers, body).await
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

fn broadcast_target(api: &Api, path: &str, query: InQuery) -> Result<Target, ApiError> {
    let prefixes = &api.state.prefixes;
    agreed(path.strip_prefix(BROADCAST), query, |destination| {
        prefixes.broadcast(destination)
    })
}

fn user_target(api: &Api, path: &str, query: InQuery) -> Result<Target, ApiError> {
    let rest = path.strip_prefix(USERS).unwrap_or_default();
    let (user, in_path) = match rest.split_once('/') {
        Some((user, destination)) => (user, Some(destination)),
        None => (rest, None),
    };
    let user = user_name(user)?;
    let prefixes = &api.state.prefixes;
    agreed(in_path, query, |destination| {
        prefixes.user(destination, user.clone())
    })
}

/// The target that the path names, or the query, or both.
fn agreed(
    in_path: Option<&str>,
    query: InQuery,
    target: impl Fn(&str) -> Result<Target, DestinationError>,
) -> Result<Target, ApiError> {
    let Query(Named { destination: named }) =
        query.map_err(|_| ApiError::BadRequest("the query cannot be read".into()))?;
    let illegal = |error: DestinationError| {
        let instead = match &error {
            DestinationError::NoUser(_) => ": POST /api/v1/users/{user}/queue/orders names one",
            _ => "",
        };
        ApiError::BadRequest(format!("{error}{instead}"))
    };
    let read = |text: &str| target(text).map_err(illegal);
    match (in_path.map(destination).transpose()?, named) {
        (Some(path), None) => read(&path),
        (None, Some(named)) => read(&named),
        (Some(path), Some(named)) => {
            let (path, named) = (read(&path)?, read(&named)?);
            let differ = "the path and ?destination= name different destinations; nothing was published";
            if path == named {
                Ok(path)
            } else {
                Err(ApiError::BadRequest(differ.into()))
            }
        }
        (None, None) => Err(ApiError::BadRequest(
            "the destination is missing: append it to this path, or name it in ?destination=".into(),
        )),
    }
}

/// Reads a user's name from a segment of the path.
pub(crate) fn user_name(segment: &str) -> Result<UserName, ApiError> {
    UserName::parse(&decode(segment, "path")?).map_err(|error| ApiError::BadRequest(error.to_string()))
}

/// Reads a destination from the rest of the path, whose first slash may be there or not.
fn destination(rest: &str) -> Result<String, ApiError> {
    let text = decode(rest, "path")?;
    Ok(if text.starts_with('/') {
        text
    } else {
        format!("/{text}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escaped_slash_separates_segments_of_a_destination() {
        for (given, expected) in [
            ("queue/orders", Some("/queue/orders")),
            ("queue/a%20b/%C3%A4", Some("/queue/a b/ä")),
            ("queue/%252F", Some("/queue/%2F")),
            ("queue/a+b", Some("/queue/a+b")),
            ("queue/a%2Fb", Some("/queue/a/b")),
            ("queue/a%2fb", Some("/queue/a/b")),
            ("%2Fqueue%2Forders", Some("/queue/orders")),
            ("/queue/orders", Some("/queue/orders")),
            // Refused later, as a destination with an empty segment.
            ("%2F/queue", Some("//queue")),
            ("queue/%C3/%A4", None),
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
