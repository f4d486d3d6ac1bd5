//! The answer to a refused HTTP request: `application/problem+json` (RFC 9457). Knows no reason for a refusal.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// RFC 9457. Members that do not apply are absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// The kind of problem: compare this, not the words.
    #[serde(rename = "type")]
    #[schema(example = "urn:herald:problem:invalid-value")]
    pub kind: String,
    /// The kind in words.
    pub title: &'static str,
    /// The HTTP status again.
    #[schema(example = 400)]
    pub status: u16,
    /// What is wrong with this request.
    pub detail: String,
    /// JSON pointer (RFC 6901) to the part of the body that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "/3/users/0")]
    pub pointer: Option<String>,
    /// Name of the limit that the request is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub limit: Option<&'static str>,
    /// The limit's value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub limit_bytes: Option<usize>,
    /// Name, or else key, of the rule that refuses.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "tenant")]
    pub rule: Option<String>,
    /// For how many of several users it was published, though not for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub published: Option<usize>,
    /// Where what is not in its order is kept, for each of its users.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub positions: Option<Vec<String>>,
}

impl Problem {
    /// A problem whose status says everything but the detail (RFC 9457 section 4.2.1).
    pub(crate) fn of_status(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank".into(),
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            detail: detail.into(),
            pointer: None,
            limit: None,
            limit_bytes: None,
            rule: None,
            published: None,
            positions: None,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        (status, kind, Json(self)).into_response()
    }
}
