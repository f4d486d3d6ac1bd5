//! Users online, one user's sessions over all instances, and how an operator ends them. Knows presence, the registry
//! and the bus's control channel; the messages over that channel are in [`crate::control`].

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tracing::Instrument;
use utoipa::{IntoParams, ToSchema};

use super::api::Api;
use super::ask::{Asked, ask_others};
use super::audit::Deed;
use super::caller::Caller;
use super::error::ApiError;
use super::notifications::raw::user_name;
use super::notifications::request::User;
use super::refusals;
use super::revocations::{Revoked, revoke_now};
use super::senders::SentCounts;
use crate::close_reason::CloseReason;
use crate::control::ask::{confirmed, tell};
use crate::control::sessions::{Disconnect, ListSessions, OfUser, Sessions, sessions_of};
use crate::delivery::registry::SessionView;
use crate::instance::{Instance, InstanceId};
use crate::principal::{Principal, UserName};
use crate::telemetry::audit::event::What;

/// Who is online.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OnlineUsers {
    /// The users with a session anywhere in the cluster, sorted.
    #[schema(value_type = Vec<String>, example = json!(["alice", "bob"]))]
    users: Vec<Box<str>>,
    /// How many.
    count: usize,
}

/// One user's sessions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserSessions {
    /// Who.
    user: String,
    /// Whether presence knows a session anywhere.
    online: bool,
    /// The sessions, oldest first.
    sessions: Vec<Session>,
    /// Names of the instances that did not answer in time: their sessions are missing above.
    silent: Vec<String>,
    /// Names of the instances that left out sessions for the size of their answer.
    truncated: Vec<String>,
}

/// One session.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Session {
    /// CONNECTED's `session`.
    session: String,
    /// The name of the instance that holds it.
    instance: String,
    /// The identity of that instance.
    instance_id: String,
    /// Since when (RFC 3339).
    #[schema(example = "2026-11-23T20:25:50.736Z")]
    since: String,
    /// Where the client connects from.
    address: String,
    /// Destinations as the client wrote them.
    subscriptions: Vec<String>,
    /// What the client has sent; left out for an instance of an earlier version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sent: Option<SentCounts>,
}

/// Lists the users online in the whole cluster.
#[utoipa::path(
    get,
    path = "/api/v1/users",
    tag = "users",
    security(("key" = ["read"]), ("user" = [])),
    responses(
        (status = 200, description = "Sorted by name", body = OnlineUsers),
        refusals::OfCredentials,
    )
)]
pub(crate) async fn list_users(State(api): State<Arc<Api>>) -> Json<OnlineUsers> {
    let users: Vec<Box<str>> = api
        .state
        .presence
        .users()
        .iter()
        .map(|user| user.as_str().into())
        .collect();
    Json(OnlineUsers {
        count: users.len(),
        users,
    })
}

/// Lists one user's sessions: asks the live instances, and names those that do not answer within 500 ms.
#[utoipa::path(
    get,
    path = "/api/v1/users/{user}",
    tag = "users",
    params(("user" = inline(User), Path, description = "Percent-encoded")),
    security(("key" = ["read"]), ("user" = [])),
    responses(
        (status = 200, description = "Also for a user who is not online, with no sessions", body = UserSessions),
        refusals::OfUser,
    )
)]
pub(crate) async fn get_user(State(api): State<Arc<Api>>, uri: Uri) -> Result<Json<UserSessions>, ApiError> {
    let user = user_name(uri.path().strip_prefix("/api/v1/users/").unwrap_or_default())?;
    let state = &api.state;
    let (others, question) = (state.presence.others(), OfUser { user: user.clone() });
    let (own, asked) = tokio::join!(
        sessions_of(&state.registry, &user),
        ask_others::<ListSessions>(&*state.bus, &others, &question),
    );
    Ok(Json(gather(
        &user,
        state.presence.is_online(&user),
        &state.instance,
        own,
        asked,
    )))
}

/// The query of a disconnect.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Disconnects {
    /// Whether the tokens that the user has now are revoked, too.
    #[serde(default)]
    #[param(required = false, default = false)]
    revoke: bool,
}

/// How long the bus may take to confirm that it tells all instances.
const CONFIRM: Duration = Duration::from_secs(1);

/// A user was disconnected.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Disconnected {
    /// Whether the bus has confirmed that it has the message to all instances, and the revocation too. If not, sessions on other instances
    /// may be left: Herald tells the others again for a minute, once the bus is back. An instance whose own link to the bus is down does not receive it in any case, and a revocation only later.
    #[schema(example = true)]
    told: bool,
    /// With `?revoke=true`: what was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    revocation: Option<Revoked>,
}

/// Disconnects a user everywhere (close code 4403). The user may log in again, with `?revoke=true` not by a token that was issued before.
/// While the bus is away this is refused, but for `?revoke=true`, which holds on the instance that was asked, and later on the others.
/// Whether its caller waits for the answer does not matter. With `outcome-unknown` the user is disconnected, and the revocation may come
/// into force yet.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{user}/sessions",
    tag = "users",
    params(Disconnects, ("user" = inline(User), Path, description = "Percent-encoded")),
    security(("key" = ["admin"]), ("user" = [])),
    responses(
        (status = 202, description = "Done; `told` says whether everywhere", body = Disconnected),
        refusals::OfDisconnect,
    )
)]
pub(crate) async fn delete_sessions(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Extension(deed): Extension<Deed>,
    query: Result<Query<Disconnects>, QueryRejection>,
    uri: Uri,
) -> Result<(StatusCode, Json<Disconnected>), ApiError> {
    let expected = |_| ApiError::BadRequest("expected ?revoke=true or false, or nothing".into());
    let Query(Disconnects { revoke }) = query.map_err(expected)?;
    let segment = uri
        .path()
        .strip_prefix("/api/v1/users/")
        .and_then(|rest| rest.strip_suffix("/sessions"))
        .unwrap_or_default();
    let user = user_name(segment)?;
    deed.is(What::user(user.as_str()));
    if !revoke {
        api.require_bus().map_err(ApiError::of_order)?;
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "one request, bounded in time, which is awaited below: whoever hangs up stops nothing half-way"
    )]
    let disconnecting = tokio::spawn(disconnect(api, user, caller, revoke).in_current_span());
    // An error means that it panicked, or that the runtime is shutting down.
    let disconnected = disconnecting.await.unwrap_or(Err(ApiError::Internal))?;
    if !disconnected.told {
        deed.untold();
    }
    Ok((StatusCode::ACCEPTED, Json(disconnected)))
}

/// Both halves, the revocation first, so that it is in force when the user comes back at once. Each takes as long as the disk and
/// the bus may take; how many there are at a time, the operators' requests bound.
async fn disconnect(
    api: Arc<Api>,
    user: UserName,
    caller: Caller,
    revoke: bool,
) -> Result<Disconnected, ApiError> {
    let state = &api.state;
    let revoked = match revoke {
        true => match revoke_now(&api, &user, &caller).await {
            // It may come into force yet, and the sessions are to end in any case.
            Err(ApiError::PerhapsKept) => Some(Err(ApiError::PerhapsKept)),
            made => Some(Ok(made?)),
        },
        false => None,
    };
    let gone = state.authenticator.revoked().clone();
    let gone = Arc::new(move |who: &Principal| gone.refuses(who).is_some());
    // These are told why they cannot come back.
    state
        .registry
        .close_of_user(&user, gone, CloseReason::Revoked)
        .await;
    let order = Disconnect {
        user,
        by: caller.to_string(),
        from: Some(state.instance.id),
    };
    let began = Instant::now();
    // Here it needs no bus.
    let ((), told) = tokio::join!(
        order.obey(&state.registry, &state.audit),
        confirmed(&*state.bus, CONFIRM, tell(&*state.bus, &order)),
    );
    if let Err(error) = &told {
        tracing::warn!(%error, "a user is disconnected here, and other instances may not have been told: they are told again for a minute");
        state.unconfirmed.add(order.user, order.by, began);
    }
    let revocation = revoked.transpose()?;
    let told = told.is_ok() && revocation.as_ref().is_none_or(|made| made.told);
    Ok(Disconnected { told, revocation })
}

fn gather(
    user: &UserName,
    online: bool,
    own: &Instance,
    own_sessions: Sessions,
    asked: Vec<Asked<'_, Sessions>>,
) -> UserSessions {
    let mut found: Vec<(u64, Session)> = Vec::new();
    let mut add = |name: &str, id: InstanceId, sessions: Vec<SessionView>| {
        found.extend(
            sessions
                .into_iter()
                .map(|view| (view.since_ms, session(name, id, view))),
        );
    };
    let (mut silent, mut truncated) = (Vec::new(), Vec::new());
    if own_sessions.truncated {
        truncated.push(own.name.to_string());
    }
    add(&own.name, own.id, own_sessions.sessions);
    for Asked { instance, answer } in asked {
        let name = || instance.name.to_string();
        match answer {
            Some(answer) => {
                if answer.truncated {
                    truncated.push(name());
                }
                add(&instance.name, instance.id, answer.sessions);
            }
            None => silent.push(name()),
        }
    }
    found.sort_by_key(|(since_ms, _)| *since_ms);
    let sessions: Vec<Session> = found.into_iter().map(|(_, session)| session).collect();
    UserSessions {
        user: user.to_string(),
        online: online || !sessions.is_empty(),
        sessions,
        silent,
        truncated,
    }
}

fn session(instance: &str, id: InstanceId, view: SessionView) -> Session {
    Session {
        session: view.session,
        instance: instance.into(),
        instance_id: id.to_string(),
        since: rfc_3339(view.since_ms),
        address: view.address.to_string(),
        subscriptions: view.subscriptions,
        sent: view.sent.map(SentCounts::from),
    }
}

/// A moment in Unix ms, in words.
pub(super) fn rfc_3339(unix_ms: u64) -> String {
    let moment = i64::try_from(unix_ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    moment.unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests;
