//! A revocation as operators see it. Knows no route.

use serde::Serialize;
use utoipa::ToSchema;

use super::super::users::rfc_3339;
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

/// What operators see of `one`.
pub(super) fn view(one: Revocation) -> RevocationView {
    let mut view = RevocationView {
        id: one.id.to_string(),
        user: one.whom.user().map(ToString::to_string),
        issuer: None,
        token_id: None,
        issued_before: None,
        block: false,
        since: rfc_3339(one.since_ms),
        until: rfc_3339(one.until_ms),
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
