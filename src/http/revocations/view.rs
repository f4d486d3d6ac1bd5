//! A revocation as operators see it. Knows no route.

use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::revoked::entry::{Revocation, Whom};

/// One revocation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RevocationView {
    /// What it is known by.
    id: String,
    /// The user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user: Option<String>,
    /// The issuer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    issuer: Option<String>,
    /// The token's `jti`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    token_id: Option<String>,
    /// Tokens with an `iat` up to this moment and the leeway, in Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    issued_before: Option<u64>,
    /// Whether the user is shut out by whatever it presents.
    block: bool,
    /// When it was made (RFC 3339).
    since: String,
    /// When it ends (RFC 3339).
    until: String,
    /// Who made it.
    by: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
}

/// A time as RFC 3339 has it.
pub(super) fn time(ms: u64) -> String {
    let time = i64::try_from(ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.unwrap_or_default().to_string()
}

/// What operators see of `one`.
pub(super) fn view(one: Revocation) -> RevocationView {
    let mut view = RevocationView {
        id: one.id.to_string(),
        user: one.whom.user().map(ToString::to_string),
        issuer: None,
        token_id: None,
        issued_before: None,
        block: false,
        since: time(one.since_ms),
        until: time(one.until_ms),
        by: one.by.into(),
        reason: one.reason.map(Into::into),
    };
    match one.whom {
        Whom::Token { issuer, id } => (view.issuer, view.token_id) = (Some(issuer.into()), Some(id.into())),
        Whom::Issued { issuer, up_to_ms, .. } => {
            (view.issuer, view.issued_before) = (issuer.map(Into::into), Some(up_to_ms / 1_000));
        }
        Whom::Block(_) => view.block = true,
    }
    view
}
