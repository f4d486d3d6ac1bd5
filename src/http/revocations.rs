//! Managing revocations: `POST`, `GET` and `DELETE /api/v1/revocations`. Knows the revocations by their handle
//! ([`crate::revocation`]); their meaning is in [`crate::auth`].

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::api::Api;
use super::audit::Deed;
use super::body::require_json;
use super::caller::Caller;
use super::error::ApiError;
use super::json;
use super::notifications::request::{User, present};
use super::refusals;
use super::users::rfc_3339;
use super::whole::{InQuery, Number};
use crate::auth::revoked::LASTS_MAX_MS;
use crate::auth::revoked::entry::{
    Revocation, RevocationId, WORDS_MAX_CHARS, Whom, is_issuer, is_token_id, legible,
};
use crate::envelope::unix_ms;
use crate::principal::UserName;
use crate::revocation::{NotPut, Put, what};
use crate::setting::HumanDuration;

mod note;
mod view;

use note::note;
use view::{RevocationView, view};

/// The last second of the year 9999.
const SECONDS_MAX: u64 = 253_402_300_799;
/// How long a revocation of tokens lasts where nobody issues any.
const LASTS_DEFAULT_MS: u64 = 24 * 3_600_000;
/// The most revocations in one answer.
const PAGE_MAX: usize = 1_000;

/// Whom to shut out: the tokens of `user`, of `issuer` or of both; one token by `issuer` and `token_id`; or with `block` a user
/// by whatever it presents.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevocationRequest {
    /// The whole name, with its issuer's prefix.
    #[serde(default, deserialize_with = "present")]
    #[schema(required = false, nullable = false)]
    user: Option<User>,
    /// One of `auth.issuers`, byte for byte.
    #[serde(default, deserialize_with = "present")]
    #[schema(required = false, nullable = false, example = "https://id.example.com")]
    issuer: Option<String>,
    /// The `jti` of one token of `issuer`.
    #[serde(default, deserialize_with = "present")]
    #[schema(required = false, nullable = false, min_length = 1, max_length = 255)]
    token_id: Option<String>,
    /// Tokens with an `iat` up to this moment and the issuer's leeway, in Unix seconds; may be in the future. Without it: now.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u64>, required = false, nullable = false, maximum = 253_402_300_799_u64, example = 1_764_412_800)]
    issued_before: Option<Number>,
    /// Whether `user` is shut out by whatever it presents, a password too.
    #[serde(default, deserialize_with = "present")]
    #[schema(required = false, nullable = false, default = false)]
    block: Option<bool>,
    /// For how long, at most `8760h`. Without it: of tokens, until the last of them has ended; of a block, `8760h`.
    #[serde(default, rename = "for", deserialize_with = "duration")]
    #[schema(value_type = Option<String>, required = false, nullable = false, example = "24h")]
    lasts: Option<HumanDuration>,
    /// Why, for people: at most 300 characters.
    #[serde(default, deserialize_with = "present")]
    #[schema(required = false, nullable = false, max_length = 300)]
    reason: Option<String>,
}

/// Errors are in words that do not repeat the text.
fn duration<'de, D: Deserializer<'de>>(json: D) -> Result<Option<HumanDuration>, D::Error> {
    Deserialize::deserialize(json)
        .map(Some)
        .map_err(|_| D::Error::custom("must be a duration of at most 8760h, such as \"24h\""))
}

/// A revocation that was made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Revoked {
    /// What it is known by.
    #[schema(example = "01JDEXAMPRE0000000000000AA")]
    id: String,
    /// When it ends by itself (RFC 3339).
    #[schema(example = "2026-11-23T20:25:50.736Z")]
    until: String,
    /// Whether the bus has confirmed that it has the message to all instances. If not, since it is away or hangs, the revocation is in force
    /// on the instance that was asked, and the others hear of it when the bus is back. An instance whose own link to the bus is down hears
    /// of it when that link is back, in any case.
    #[schema(example = true)]
    pub(super) told: bool,
    /// What it does not do, in words for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    note: Option<String>,
}

/// A revocation that was lifted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Lifted {
    /// Whether the bus has confirmed that it has the message to all instances, as of a revocation that was made.
    #[schema(example = true)]
    told: bool,
}

/// Who is shut out.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RevocationList {
    /// In the order in which they were made.
    revocations: Vec<RevocationView>,
    /// Behind which one there are more (`?after=`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// The query of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// Only what names this user.
    user: Option<User>,
    /// Only those behind this one.
    after: Option<String>,
    /// At most so many, 1 to 1,000.
    #[param(default = 1_000, minimum = 1, maximum = 1_000)]
    #[param(value_type = Option<u64>)]
    limit: Option<InQuery>,
}

/// Shuts tokens or a user out of the whole cluster: their sessions are closed with 4401, and they cannot log in. Whether its caller
/// waits for the answer does not matter.
#[utoipa::path(
    post,
    path = "/api/v1/revocations",
    tag = "revocations",
    request_body = RevocationRequest,
    security(("key" = ["admin"]), ("user" = [])),
    responses(
        (status = 202, description = "In force; `told` says whether everywhere", body = Revoked),
        refusals::OfRevocation,
    )
)]
pub(crate) async fn post_revocation(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Extension(deed): Extension<Deed>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Revoked>), ApiError> {
    require_json(&headers)?;
    let body = api.read_json(&headers, body).await?;
    let request: RevocationRequest = json::read(&body.bytes)?;
    let revocation = revocation(&api, request, &caller)?;
    deed.is(what(&revocation));
    let made = revoke(&api, revocation).await?;
    if !made.told {
        deed.untold();
    }
    Ok((StatusCode::ACCEPTED, Json(made)))
}

/// Lists who is shut out, as the instance that answers has it.
#[utoipa::path(
    get,
    path = "/api/v1/revocations",
    tag = "revocations",
    params(Page),
    security(("key" = ["admin"]), ("user" = [])),
    responses(
        (status = 200, description = "Those in force", body = RevocationList),
        refusals::OfUser,
    )
)]
pub(crate) async fn list_revocations(
    State(api): State<Arc<Api>>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<RevocationList>, ApiError> {
    let expected =
        || ApiError::BadRequest("expected ?user=…, &after=ID and &limit=1 to 1000, or nothing".into());
    let Query(page) = page.map_err(|_| expected())?;
    let after = page.after.as_deref().map(str::parse::<RevocationId>);
    let after = after.transpose().map_err(|_| expected())?;
    let count = page
        .limit
        .map(|InQuery(limit)| usize::try_from(limit).unwrap_or(usize::MAX));
    let count = count.unwrap_or(PAGE_MAX);
    if !(1..=PAGE_MAX).contains(&count) {
        return Err(expected());
    }
    let wanted = page.user.map(UserName::from);
    let is_meant = |one: &Revocation| {
        !one.lifted
            && wanted
                .as_ref()
                .is_none_or(|wanted| one.whom.user() == Some(wanted))
    };
    let (found, is_last) = api.state.revocations.here().page(after, count, is_meant);
    let next = found.last().filter(|_| !is_last).map(|last| last.id.to_string());
    Ok(Json(RevocationList {
        revocations: found.into_iter().map(view).collect(),
        next,
    }))
}

/// Lifts a revocation before its end. Sessions that it closed have to come again.
#[utoipa::path(
    delete,
    path = "/api/v1/revocations/{id}",
    tag = "revocations",
    params(("id" = String, Path, description = "Of the revocation")),
    security(("key" = ["admin"]), ("user" = [])),
    responses(
        (status = 202, description = "Lifted; `told` says whether everywhere", body = Lifted),
        (status = 404, description = "`not-found`: no such revocation is in force", body = crate::problem::Problem,
            content_type = "application/problem+json"),
        refusals::OfRevocation,
    )
)]
pub(crate) async fn delete_revocation(
    State(api): State<Arc<Api>>,
    Extension(deed): Extension<Deed>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Lifted>), ApiError> {
    let found = id
        .parse()
        .ok()
        .and_then(|id| api.state.revocations.here().get(id));
    let found = found.filter(|one| !one.lifted);
    let found = found.ok_or_else(|| ApiError::NotFound("no such revocation is in force".into()))?;
    let lifted = found.lifted();
    deed.is(what(&lifted));
    let told = put(&api, lifted).await? == Put::Everywhere;
    if !told {
        deed.untold();
    }
    Ok((StatusCode::ACCEPTED, Json(Lifted { told })))
}

/// Revokes all tokens that `user` has now.
///
/// # Errors
/// As of the route.
pub(super) async fn revoke_now(api: &Api, user: &UserName, caller: &Caller) -> Result<Revoked, ApiError> {
    let whom = Whom::Issued {
        user: Some(user.clone()),
        issuer: None,
        up_to_ms: unix_ms(),
    };
    revoke(api, made(api, whom, None, None, caller)?).await
}

async fn revoke(api: &Api, revocation: Revocation) -> Result<Revoked, ApiError> {
    let (id, until) = (revocation.id.to_string(), rfc_3339(revocation.until_ms));
    let note = note(&api.state.authenticator, &revocation.whom);
    let told = put(api, revocation).await? == Put::Everywhere;
    Ok(Revoked {
        id,
        until,
        told,
        note,
    })
}

async fn put(api: &Api, revocation: Revocation) -> Result<Put, ApiError> {
    let put = api.state.revocations.put(revocation).await;
    put.map_err(|error| match error {
        NotPut::Full => {
            ApiError::Overloaded("there are as many revocations as auth.revocations allows", None)
        }
        NotPut::TooMany => ApiError::Overloaded("too many revocations wait to be put in force", None),
        NotPut::NotKept => ApiError::NotKept,
        NotPut::Unknown => ApiError::PerhapsKept,
    })
}

/// What `request` asks for, if it is one thing.
fn revocation(api: &Api, request: RevocationRequest, caller: &Caller) -> Result<Revocation, ApiError> {
    let RevocationRequest {
        user,
        issuer,
        token_id,
        issued_before,
        block,
        lasts,
        reason,
    } = request;
    let alone = |pointer: &str, words: &str| Err(ApiError::invalid(pointer, words));
    if let Some(issuer) = &issuer
        && (!is_issuer(issuer) || api.state.revocations.longest_ms(Some(issuer)).is_none())
    {
        return alone(
            "/issuer",
            "must be the issuer of one of auth.issuers, byte for byte",
        );
    }
    if token_id.as_deref().is_some_and(|id| !is_token_id(id)) {
        return alone("/token_id", "must have 1 to 255 bytes");
    }
    if reason
        .as_ref()
        .is_some_and(|reason| reason.chars().count() > WORDS_MAX_CHARS)
    {
        return alone("/reason", "must have at most 300 characters");
    }
    if lasts.is_some_and(|lasts| lasts.0.is_zero()) {
        return alone("/for", "must be longer than 0s");
    }
    let user = user.map(UserName::from);
    let whom = match (user, issuer, token_id, issued_before, block.unwrap_or_default()) {
        (Some(user), None, None, None, true) => Whom::Block(user),
        (None, _, _, _, true) => return alone("/user", "is required with \"block\": true"),
        (_, _, _, _, true) => {
            return alone(
                "/block",
                "stands with user alone: it holds for whatever the user presents",
            );
        }
        (None, Some(issuer), Some(id), None, false) => Whom::Token {
            issuer: issuer.into(),
            id: id.into(),
        },
        (_, None, Some(_), _, false) => return alone("/issuer", "is required with token_id"),
        (_, _, Some(_), _, false) => {
            return alone("/token_id", "stands with issuer alone: it names one token");
        }
        (None, None, None, _, false) => {
            return alone(
                "",
                "must have user, issuer, or issuer and token_id: whom to shut out",
            );
        }
        (user, issuer, None, issued_before, false) => {
            let up_to_ms = match issued_before {
                Some(Number(seconds)) if seconds > SECONDS_MAX => {
                    return alone("/issued_before", "must be Unix seconds before the year 10000");
                }
                Some(Number(seconds)) => seconds * 1_000,
                None => unix_ms(),
            };
            Whom::Issued {
                user,
                issuer: issuer.map(Into::into),
                up_to_ms,
            }
        }
    };
    made(api, whom, lasts, reason, caller)
}

/// A new one, with its end.
fn made(
    api: &Api,
    whom: Whom,
    lasts: Option<HumanDuration>,
    reason: Option<String>,
    caller: &Caller,
) -> Result<Revocation, ApiError> {
    let (now, all) = (unix_ms(), &api.state.revocations);
    let longest = |issuer: Option<&str>| all.longest_ms(issuer).unwrap_or(LASTS_DEFAULT_MS);
    let lasts_ms = match (lasts, &whom) {
        (Some(lasts), _) => u64::try_from(lasts.0.as_millis()).unwrap_or(LASTS_MAX_MS),
        (None, Whom::Block(_)) => LASTS_MAX_MS,
        (None, Whom::Token { issuer, .. }) => longest(Some(issuer)),
        (None, Whom::Issued { issuer, up_to_ms, .. }) => {
            longest(issuer.as_deref()).saturating_add(up_to_ms.saturating_sub(now))
        }
    };
    Ok(Revocation {
        id: RevocationId::new(),
        whom,
        until_ms: now.saturating_add(lasts_ms.clamp(1, LASTS_MAX_MS)),
        lifted: false,
        since_ms: now,
        by: legible(&caller.to_string()),
        reason: reason.map(|reason| legible(&reason)),
    })
}
