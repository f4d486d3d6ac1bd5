//! How refusals appear in the OpenAPI document, written once for all routes. Knows no route; the code that refuses is
//! elsewhere.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::{Ref, RefOr};

/// A status and when it is sent.
type Row = (&'static str, &'static str);

const CREDENTIALS: [Row; 3] = [
    ("401", "No credentials, or wrong ones"),
    ("403", "Without the scope, or from a foreign page"),
    (
        "503",
        "The bus is not connected, or too much at once; see `Retry-After`",
    ),
];
const VALUE: Row = ("400", "The path, a header or the body is wrong");
const HOST: Row = (
    "421",
    "A page's request for a host that this server does not go by; see `http.hosts`",
);
const BODY: [Row; 3] = [
    ("408", "The body took longer than `http.body_timeout`"),
    ("413", "Over the limit that `limit` names"),
    ("415", "A content type or a coding that the route does not take"),
];

const RATE: Row = (
    "429",
    "Over `api.targets_per_caller`; `Retry-After` says when to come again",
);

const STORE: [Row; 2] = [
    ("422", "The `Idempotency-Key` stands for another notification"),
    ("507", "History has no room"),
];

/// Refusals of every route that requires credentials.
pub(crate) struct OfCredentials;

/// Refusals of a route with a user in its path.
pub(crate) struct OfUser;

/// Refusals of a route that publishes its body.
pub(crate) struct OfPublish;

type Responses = BTreeMap<String, RefOr<Response>>;

fn problems(rows: impl IntoIterator<Item = Row>) -> Responses {
    let problem = |(status, when): Row| {
        let schema = RefOr::Ref(Ref::from_schema_name("Problem"));
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let response = ResponseBuilder::new()
            .description(when)
            .content("application/problem+json", content)
            .build();
        (status.to_owned(), RefOr::T(response))
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
        problems(CREDENTIALS.into_iter().chain([VALUE, HOST]))
    }
}

impl IntoResponses for OfPublish {
    fn responses() -> Responses {
        problems(
            CREDENTIALS
                .into_iter()
                .chain([VALUE, HOST])
                .chain(BODY)
                .chain([RATE])
                .chain(STORE),
        )
    }
}
