//! Which rule decides whether a user may do something: `GET /api/v1/explain/permission`. The decision and its
//! explanation are in [`crate::permissions`]; this finds the user in question.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use utoipa::{IntoParams, ToSchema};

use super::api::Api;
use super::ask::ask_others;
use super::audit::Deed;
use super::error::ApiError;
use super::notifications::request::User;
use super::refusals;
use crate::permissions::{Action, Decision, Who};
use crate::telemetry::audit::event::What;
use crate::telemetry::trace::decide::session_id;

pub(crate) mod session;

use session::{ExplainSession, Explained, Explainer, OfSession};

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
    /// By this user of the configuration or the users file. Either this, `key`, `certificate` or `session`.
    #[param(value_type = Option<User>)]
    user: Option<String>,
    /// By the holder of this key.
    key: Option<String>,
    /// By the holder of the certificate of this entry of `api.certificates`.
    certificate: Option<String>,
    /// By this live session, wherever it is: CONNECTED's `session`.
    session: Option<String>,
}

/// Whoever logs in by a token is in no list, online or not.
const NO_SUCH_USER: &str = "there is no such user in auth.users and auth.users_file; for a user whom a token or the backend of \
     auth.callout proves, ask with &session=… about a live session (herald users NAME lists them; herald explain permission --session \
     ID), or about the token by a configuration (herald explain permission --config FILE --token-file FILE)";

/// What is to be done.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Asked {
    /// SUBSCRIBE.
    Subscribe,
    /// SEND.
    Send,
    /// A notification over REST.
    Publish,
}

impl Asked {
    fn action(self) -> Action {
        match self {
            Self::Subscribe => Action::Subscribe,
            Self::Send => Action::Send,
            Self::Publish => Action::Publish,
        }
    }
}

/// Says whether a user, the holder of a key or of a certificate, or a live session may SUBSCRIBE, SEND or publish somewhere: each rule that was looked at, whether
/// it fits, what its conditions compared, and which decided. A refusal is a 200 as well.
#[utoipa::path(
    get,
    path = "/api/v1/explain/permission",
    tag = "debug",
    params(Question),
    security(("key" = ["admin"]), ("user" = [])),
    responses(
        (status = 200, description = "Permitted or not", body = Decision),
        (status = 404, description = "`not-found`: no such user, key, certificate or session", body = crate::problem::Problem,
            content_type = "application/problem+json"),
        refusals::OfUser,
    )
)]
pub(crate) async fn get_permission(
    State(api): State<Arc<Api>>,
    Extension(deed): Extension<Deed>,
    question: Result<Query<Question>, QueryRejection>,
) -> Result<Json<Box<RawValue>>, ApiError> {
    let expected = "expected ?action=subscribe, send or publish, &destination=…, and one of &user=…, &key=…, &certificate=… and &session=…";
    let Query(question) = question.map_err(|_| ApiError::BadRequest(expected.into()))?;
    let action = question.action.action();
    let state = &api.state;
    let explain = |who: Who<'_>| {
        let explained = state
            .permissions
            .explain_text(&state.prefixes, action, who, &question.destination);
        explained.map_err(|error| ApiError::BadRequest(error.to_string()))
    };
    let (decision, user) = match (
        &question.user,
        &question.key,
        &question.certificate,
        &question.session,
    ) {
        (None, None, None, Some(session)) => return of_session(&api, &deed, &question, session).await,
        (Some(user), None, None, None) => {
            let known = state.authenticator.known(user);
            let known = known.ok_or_else(|| ApiError::NotFound(NO_SUCH_USER.into()))?;
            let bar = state.policy.bars_user(action, &known);
            (
                explain(Who::User(&known))?.unless_barred(bar),
                Some(known.user().as_str().into()),
            )
        }
        (None, Some(key), None, None) => {
            let known = state.policy.named(key);
            let known = known.ok_or_else(|| ApiError::NotFound("there is no such key".into()))?;
            let bar = state.policy.bars_key(action, &known);
            (explain(Who::Key(&known.destinations))?.unless_barred(bar), None)
        }
        (None, None, Some(name), None) => {
            let known = state.policy.named_certificate(name);
            let known = known.ok_or_else(|| ApiError::NotFound("there is no such certificate".into()))?;
            let bar = state.policy.bars_certificate(action, &known);
            (
                explain(Who::Certificate(&known.destinations))?.unless_barred(bar),
                None,
            )
        }
        _ => return Err(ApiError::BadRequest(expected.into())),
    };
    deed.is(What {
        user,
        destination: Some(decision.destination.as_str().into()),
        ..What::default()
    });
    json(&decision)
}

fn json(decision: &Decision) -> Result<Json<Box<RawValue>>, ApiError> {
    to_raw_value(decision).map(Json).map_err(|_| ApiError::Internal)
}

/// The same by a live session: this instance knows it, or one of the others is asked, for at most 500 ms.
async fn of_session(
    api: &Api,
    deed: &Deed,
    question: &Question,
    session: &str,
) -> Result<Json<Box<RawValue>>, ApiError> {
    let state = &api.state;
    let session = session_id(session)
        .ok_or_else(|| ApiError::BadRequest("a session's id is the `session` of its CONNECTED".into()))?;
    deed.is(What {
        session: Some(session.clone()),
        destination: Some(question.destination.as_str().into()),
        ..What::default()
    });
    let asked = OfSession {
        session: session.into(),
        action: question.action,
        destination: question.destination.clone(),
    };
    let own = Explainer::of(state).explain(&asked).await;
    let explained = match own.user {
        Some(_) => own,
        None => ask_for(api, &asked).await?,
    };
    match (explained.decision, explained.unexplained) {
        (Some(decision), _) => Ok(Json(decision)),
        (None, Some(words)) => Err(ApiError::BadRequest(words)),
        (None, None) => Err(ApiError::Internal),
    }
}

/// Asks the other instances.
async fn ask_for(api: &Api, question: &OfSession) -> Result<Explained, ApiError> {
    let others = api.state.presence.others();
    let asked = ask_others::<ExplainSession>(&*api.state.bus, &others, question).await;
    let mut silent: Vec<&str> = Vec::new();
    for asked in asked {
        match asked.answer {
            Some(explained) if explained.user.is_some() => return Ok(explained),
            Some(_) => {}
            None => silent.push(&asked.instance.name),
        }
    }
    Err(ApiError::NotFound(match silent.is_empty() {
        true => "no instance has this session".into(),
        false => format!(
            "no instance that answered has this session; silent: {}",
            silent.join(", ")
        ),
    }))
}
