//! The caller, and what it may do: `GET /api/v1/me`. With this a page shows only what its user may use, and need not
//! try requests that would be refused, and audited as refused. Knows no other route.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::access::{Scope, role_grants};
use super::api::Api;
use super::caller::Caller;
use super::refusals;

/// Who asks.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Me {
    /// By what it is known.
    kind: CallerKind,
    /// The name of the user, of the key or of the certificate.
    #[schema(example = "alice")]
    name: String,
    /// What it may do. `publish`: somewhere; `permissions.publish` and the key say where.
    scopes: Vec<Scope>,
}

/// What a caller is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CallerKind {
    /// A password or a token.
    User,
    /// One of `api.keys` and `api.keys_file`.
    Key,
    /// One of `api.certificates`.
    Certificate,
    /// Nothing.
    Nobody,
}

/// Says who the caller is and which scopes it has. Takes any credentials that are good.
#[utoipa::path(
    get,
    path = "/api/v1/me",
    tag = "caller",
    security(("key" = []), ("user" = [])),
    responses(
        (status = 200, description = "Who asks", body = Me),
        refusals::OfUser,
    )
)]
pub(crate) async fn get_me(State(api): State<Arc<Api>>, Extension(caller): Extension<Caller>) -> Json<Me> {
    Json(me(&caller, api.state.policy.is_open()))
}

/// `anyone_publishes`: `api.access` is `open`.
fn me(caller: &Caller, anyone_publishes: bool) -> Me {
    let (kind, name) = match caller {
        Caller::User(principal) => (CallerKind::User, principal.user().as_str()),
        Caller::Key(key) => (CallerKind::Key, &*key.name),
        Caller::Certificate(rights) => (CallerKind::Certificate, &*rights.name),
        Caller::Anyone => (CallerKind::Nobody, ""),
    };
    let grants = |scope: &Scope| match caller {
        _ if *scope == Scope::Publish && anyone_publishes => true,
        Caller::User(principal) => role_grants(principal, *scope),
        Caller::Key(rights) | Caller::Certificate(rights) => rights.grants(*scope),
        Caller::Anyone => false,
    };
    Me {
        kind,
        name: name.to_owned(),
        scopes: Scope::ALL.into_iter().filter(grants).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::access::Key;
    use crate::principal::Principal;

    #[test]
    fn a_caller_is_told_all_its_scopes_and_no_more() {
        use Scope::{Admin, Metrics, Publish, Read};
        let user = |role: &str| Caller::User(Principal::new("anna".parse().unwrap(), ["ROLE_USER", role]));
        let key = |scopes: &[Scope]| Caller::of_key(&Key::new("shop", [0; 32], scopes));
        for (caller, anyone_publishes, kind, name, scopes) in [
            (user("ROLE_X"), false, CallerKind::User, "anna", &[][..]),
            (user("ROLE_X"), true, CallerKind::User, "anna", &[Publish]),
            (
                user("ROLE_PUBLISHER"),
                false,
                CallerKind::User,
                "anna",
                &[Publish],
            ),
            (
                user("ROLE_ADMIN"),
                false,
                CallerKind::User,
                "anna",
                &[Publish, Read, Metrics, Admin],
            ),
            (key(&[Publish]), false, CallerKind::Key, "shop", &[Publish]),
            (key(&[Read]), false, CallerKind::Key, "shop", &[Read, Metrics]),
            (
                key(&[Metrics]),
                true,
                CallerKind::Key,
                "shop",
                &[Publish, Metrics],
            ),
            (
                key(&[Admin]),
                false,
                CallerKind::Key,
                "shop",
                &[Publish, Read, Metrics, Admin],
            ),
        ] {
            let expected = Me {
                kind,
                name: name.into(),
                scopes: scopes.into(),
            };
            assert_eq!(me(&caller, anyone_publishes), expected, "{caller}");
        }
    }
}
