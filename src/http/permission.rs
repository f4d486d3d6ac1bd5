//! Which rule decides whether somebody may do something: `GET /api/v1/explain/permission`. What is decided, and how it is
//! explained, is in [`crate::permissions`]; this looks up who is asked about.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::api::Api;
use super::audit::Deed;
use super::error::ApiError;
use super::notifications::request::User;
use super::refusals;
use crate::permissions::{Action, Decision, Who};
use crate::telemetry::audit::event::What;

/// The query.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Question {
    /// What is to be done.
    #[param(inline)]
    action: Asked,
    /// Where: as a client writes it; of what is published, `/user/queue/orders` is any user's.
    #[param(example = "/queue/orders")]
    destination: String,
    /// By this user of the configuration or the users file. Either this or `key`.
    #[param(value_type = Option<User>)]
    user: Option<String>,
    /// By the holder of this key.
    key: Option<String>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Asked {
    Subscribe,
    Send,
    Publish,
}

/// Says whether a user, or the holder of a key, may SUBSCRIBE, SEND or publish somewhere: each rule that was looked at, whether
/// it fits, what its conditions compared, and which decided. A refusal is a 200 as well.
#[utoipa::path(
    get,
    path = "/api/v1/explain/permission",
    tag = "debug",
    params(Question),
    security(("key" = ["admin"]), ("user" = [])),
    responses(
        (status = 200, description = "Permitted or not", body = Decision),
        (status = 404, description = "No such user or key", body = crate::problem::Problem),
        refusals::OfUser,
    )
)]
pub(crate) async fn get_permission(
    State(api): State<Arc<Api>>,
    Extension(deed): Extension<Deed>,
    question: Result<Query<Question>, QueryRejection>,
) -> Result<Json<Decision>, ApiError> {
    let expected =
        "expected ?action=subscribe, send or publish, &destination=…, and either &user=… or &key=…";
    let Query(question) = question.map_err(|_| ApiError::BadRequest(expected.into()))?;
    let action = match question.action {
        Asked::Subscribe => Action::Subscribe,
        Asked::Send => Action::Send,
        Asked::Publish => Action::Publish,
    };
    let state = &api.state;
    let explain = |who: Who<'_>| {
        let explained = state
            .permissions
            .explain_text(&state.prefixes, action, who, &question.destination);
        explained.map_err(|error| ApiError::BadRequest(error.to_string()))
    };
    let (decision, user) = match (&question.user, &question.key) {
        (Some(user), None) => {
            let known = state.authenticator.known(user);
            let known = known.ok_or_else(|| ApiError::NotFound("there is no such user".into()))?;
            let bar = state.policy.bars_user(action, &known);
            (
                explain(Who::User(&known))?.unless_barred(bar),
                Some(known.user().as_str().into()),
            )
        }
        (None, Some(key)) => {
            let known = state.policy.named(key);
            let known = known.ok_or_else(|| ApiError::NotFound("there is no such key".into()))?;
            let bar = state.policy.bars_key(action, &known);
            (explain(Who::Key(&known.destinations))?.unless_barred(bar), None)
        }
        _ => return Err(ApiError::BadRequest(expected.into())),
    };
    deed.is(What {
        user,
        destination: Some(decision.destination.as_str().into()),
        ..What::default()
    });
    Ok(Json(decision))
}
