//! How refusals appear in the OpenAPI document, written once for all routes. Knows no route; the code that refuses is
//! elsewhere.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, Ref, RefOr};

/// A status, the last words of the problem's `type`, and when it is sent.
type Row = (&'static str, &'static [&'static str], &'static str);

const CREDENTIALS: [Row; 4] = [
    (
        "400",
        &["bad-request"],
        "the path, the query or a header is wrong",
    ),
    (
        "401",
        &["unauthenticated"],
        "no credentials, or wrong ones; see `WWW-Authenticate`",
    ),
    (
        "403",
        &["forbidden", "cross-site"],
        "without the scope or the role that `detail` names, or from a foreign page",
    ),
    (
        "503",
        &["bus-unavailable", "overloaded", "identity-unavailable"],
        "the bus is not connected, or too much at once; see `Retry-After`",
    ),
];
const HOST: Row = (
    "421",
    &["misdirected"],
    "a page's request for a host that this server does not go by; see `http.hosts`",
);
const BODY: [Row; 4] = [
    (
        "400",
        &[
            "bad-request",
            "malformed-body",
            "invalid-value",
            "incomplete-body",
        ],
        "the path, the query, a header or the body is wrong; `pointer` says where in the body",
    ),
    (
        "408",
        &["body-timeout"],
        "the body took longer than `http.body_timeout`",
    ),
    ("413", &["too-large"], "over the limit that `limit` names"),
    (
        "415",
        &["unsupported-media-type"],
        "a content type or a coding that the route does not take",
    ),
];
const PUBLISH: [Row; 6] = [
    (
        "413",
        &["too-large", "too-many-targets"],
        "over the limit that `limit` names; nothing was published",
    ),
    (
        "422",
        &["idempotency-key-reused"],
        "the `Idempotency-Key` stands for another notification",
    ),
    (
        "429",
        &["rate-limited"],
        "over the rate that `limit` names; nothing was published, `Retry-After` says when to come again",
    ),
    (
        "503",
        &[
            "bus-unavailable",
            "overloaded",
            "identity-unavailable",
            "outcome-unknown",
        ],
        "not published, or `outcome-unknown`: perhaps; repeat it with the same `Idempotency-Key` after `Retry-After`",
    ),
    ("507", &["history-full"], "not published: history has no room"),
    (
        "409",
        &["order-changed"],
        "published, but not in the array's order; `positions` says where",
    ),
];
const REVOKE: Row = (
    "503",
    &[
        "bus-unavailable",
        "overloaded",
        "identity-unavailable",
        "not-kept",
        "outcome-unknown",
    ],
    "nothing has changed, or not everywhere; see `Retry-After`",
);

/// Refusals of every route that requires credentials.
pub(crate) struct OfCredentials;

/// Refusals of a route with a user in its path.
pub(crate) struct OfUser;

/// Refusals of a route with a body.
pub(crate) struct OfBody;

/// Refusals of a route that publishes its body.
pub(crate) struct OfPublish;

/// Refusals of a route that shuts out, by its body or not.
pub(crate) struct OfRevocation;

/// Refusals of the route that disconnects a user, and may shut it out.
pub(crate) struct OfDisconnect;

type Responses = BTreeMap<String, RefOr<Response>>;

/// The header that says what to do about a refusal with this `status`.
fn header(status: &str) -> Option<(&'static str, Header)> {
    let (name, kind, words) = match status {
        "401" => (
            "WWW-Authenticate",
            Type::String,
            "the credentials that are wanted; a page is asked for a Bearer alone",
        ),
        "429" | "503" => (
            "Retry-After",
            Type::Integer,
            "seconds to wait before the next attempt",
        ),
        _ => return None,
    };
    let schema = ObjectBuilder::new().schema_type(kind).build();
    let header = HeaderBuilder::new().schema(Some(schema)).description(Some(words));
    Some((name, header.build()))
}

/// Of several rows with one status the last one holds.
fn problems(rows: impl IntoIterator<Item = Row>) -> Responses {
    let problem = |(status, kinds, when): Row| {
        let kinds: Vec<String> = kinds.iter().map(|kind| format!("`{kind}`")).collect();
        let schema = RefOr::Ref(Ref::from_schema_name("Problem"));
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let response = ResponseBuilder::new()
            .description(format!("{}: {when}", kinds.join(", ")))
            .content("application/problem+json", content);
        let response = match header(status) {
            Some((name, header)) => response.header(name, header),
            None => response,
        };
        (status.to_owned(), RefOr::T(response.build()))
    };
    rows.into_iter().map(problem).collect()
}

impl IntoResponses for OfCredentials {
    fn responses() -> Responses {
        problems(CREDENTIALS)
    }
}

impl IntoResponses for OfUser {
    fn responses() -> Responses {
        problems(CREDENTIALS.into_iter().chain([HOST]))
    }
}

impl IntoResponses for OfBody {
    fn responses() -> Responses {
        problems(CREDENTIALS.into_iter().chain([HOST]).chain(BODY))
    }
}

impl IntoResponses for OfRevocation {
    fn responses() -> Responses {
        problems(CREDENTIALS.into_iter().chain([HOST]).chain(BODY).chain([REVOKE]))
    }
}

impl IntoResponses for OfDisconnect {
    fn responses() -> Responses {
        problems(CREDENTIALS.into_iter().chain([HOST, REVOKE]))
    }
}

impl IntoResponses for OfPublish {
    fn responses() -> Responses {
        problems(CREDENTIALS.into_iter().chain([HOST]).chain(BODY).chain(PUBLISH))
    }
}
