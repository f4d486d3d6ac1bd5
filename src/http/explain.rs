//! Which sessions would get a notification, on which instance, and why the others would not: `GET /api/v1/explain`, and
//! the dry run of `POST /api/v1/notifications`. Asks every live instance; the messages over the bus are in
//! [`crate::control::explain`].

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::api::Api;
use super::ask::{Asked, ask_others};
use super::audit::Deed;
use super::error::ApiError;
use super::notifications::request::User;
use super::refusals;
use crate::bus::Health;
use crate::control::explain::{self as control, Explain};
use crate::delivery::explain::{Explained, Missed, Reached, Way, Why};
use crate::destination::{DestinationError, Target};
use crate::principal::UserName;
use crate::telemetry::audit::event::What;

/// The query.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Question {
    /// As in a notification: `/queue/…` or `/topic/…`; with `user` any path, with or without `/user` before it.
    #[param(example = "/queue/orders")]
    destination: String,
    /// Only this user's sessions would get it.
    #[param(value_type = Option<User>)]
    user: Option<String>,
}

/// Where a notification would go.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Explanation {
    /// The destination as a client subscribes to it.
    #[schema(example = "/user/queue/orders")]
    destination: String,
    /// The user, if it is for one user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user: Option<String>,
    /// Whether that user has a session anywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    online: Option<bool>,
    /// Whether a publish to this instance would be taken: 503 while its bus is not connected.
    bus_connected: bool,
    /// How many MESSAGEs would go out in the whole cluster.
    reached_count: u64,
    /// The subscriptions that would get one, at most 100 of each instance.
    reached: Vec<ReachedSession>,
    /// How many sessions would get none: the user's others, or of a broadcast all others.
    missed_count: u64,
    /// Those sessions, at most 100 of each instance.
    missed: Vec<MissedSession>,
    /// Names of the instances that did not answer in time: their sessions are missing above.
    silent: Vec<String>,
    /// Names of the instances that left out sessions for the size of their answer; the counts are whole.
    truncated: Vec<String>,
}

/// One subscription that would get it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReachedSession {
    /// CONNECTED's `session`.
    session: String,
    /// The user.
    user: String,
    /// The name of the instance that holds it.
    instance: String,
    /// SUBSCRIBE's `id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    subscription: Option<String>,
    /// `at_once`; `queued`: behind what waits for a slow reader; `held`: until the client acknowledges earlier ones;
    /// `resuming`: behind what the client missed.
    #[schema(example = "at_once")]
    way: &'static str,
    /// Bytes that wait for the session.
    waiting_bytes: u64,
    /// MESSAGEs that wait for their ACK; absent in ack mode `auto`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    unacknowledged: Option<u64>,
}

/// One session that would not.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MissedSession {
    /// CONNECTED's `session`.
    session: String,
    /// The user.
    user: String,
    /// The name of the instance that holds it.
    instance: String,
    /// Why, in words.
    #[schema(example = "not subscribed")]
    why: &'static str,
    /// What it subscribes to, at most 16.
    subscriptions: Vec<String>,
}

/// Says which sessions would get a notification, on which instance, and why not the others. Asks the live instances, and
/// names those that do not answer within 500 ms. Nothing is published.
#[utoipa::path(
    get,
    path = "/api/v1/explain",
    tag = "debug",
    params(Question),
    security(("key" = ["admin"]), ("user" = [])),
    responses(
        (status = 200, description = "Also where nobody would get it", body = Explanation),
        refusals::OfUser,
    )
)]
pub(crate) async fn get_explain(
    State(api): State<Arc<Api>>,
    Extension(deed): Extension<Deed>,
    question: Result<Query<Question>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Explanation>, ApiError> {
    let Query(question) = question.map_err(|_| {
        ApiError::BadRequest("expected ?destination=… and, for one user's notification, &user=…".into())
    })?;
    let prefixes = &api.state.prefixes;
    let target = match &question.user {
        None => prefixes.broadcast(&question.destination),
        Some(user) => {
            let user = UserName::parse(user).map_err(|error| ApiError::BadRequest(error.to_string()))?;
            prefixes.user(&question.destination, user)
        }
    };
    let target = target.map_err(|error| {
        let missing = match &error {
            DestinationError::NoUser(_) => ": add &user=…",
            _ => "",
        };
        ApiError::BadRequest(format!("destination: {error}{missing}"))
    })?;
    deed.is(about(&target));
    Ok(Json(explain(&api, &target).await))
}

/// What the audit is told of a question about `target`.
pub(super) fn about(target: &Target) -> What {
    let (user, path) = match target {
        Target::Broadcast(path) => (None, path),
        Target::User { user, path } => (Some(user.as_str().into()), path),
    };
    What {
        user,
        destination: Some(path.to_string().into()),
        ..What::default()
    }
}

/// Asks every live instance about `target`.
pub(crate) async fn explain(api: &Api, target: &Target) -> Explanation {
    let state = &api.state;
    let (others, question) = (state.presence.others(), target.into());
    let (own, asked) = tokio::join!(
        control::explain(&state.registry, target),
        ask_others::<Explain>(&*state.bus, &others, &question),
    );
    let (destination, user) = match target {
        Target::Broadcast(path) => (path.to_string(), None),
        Target::User { user, path } => (format!("{}{path}", state.prefixes.user_prefix), Some(user)),
    };
    let mut explanation = Explanation {
        destination,
        user: user.map(ToString::to_string),
        online: user.map(|user| state.presence.is_online(user)),
        bus_connected: *state.bus.health().borrow() == Health::Connected,
        reached_count: 0,
        reached: Vec::new(),
        missed_count: 0,
        missed: Vec::new(),
        silent: Vec::new(),
        truncated: Vec::new(),
    };
    explanation.add(&state.instance.name, own);
    for Asked { instance, answer } in asked {
        match answer {
            Some(answer) => explanation.add(&instance.name, answer),
            None => explanation.silent.push(instance.name.to_string()),
        }
    }
    explanation
}

impl Explanation {
    fn add(&mut self, instance: &str, explained: Explained) {
        self.reached_count = self.reached_count.saturating_add(explained.reached_count);
        self.missed_count = self.missed_count.saturating_add(explained.missed_count);
        if explained.truncated {
            self.truncated.push(instance.to_owned());
        }
        let reached = explained.reached.into_iter().take(control::NAMED_MAX);
        self.reached
            .extend(reached.map(|reached| reached_session(instance, reached)));
        let missed = explained.missed.into_iter().take(control::NAMED_MAX);
        self.missed
            .extend(missed.map(|missed| missed_session(instance, missed)));
    }
}

fn reached_session(instance: &str, reached: Reached) -> ReachedSession {
    ReachedSession {
        session: reached.session,
        user: reached.user,
        instance: instance.into(),
        subscription: reached.subscription,
        way: match reached.way {
            Way::AtOnce => "at_once",
            Way::Resuming => "resuming",
            Way::Queued => "queued",
            Way::Held => "held",
        },
        waiting_bytes: reached.waiting_bytes,
        unacknowledged: reached.unacknowledged,
    }
}

fn missed_session(instance: &str, missed: Missed) -> MissedSession {
    MissedSession {
        session: missed.session,
        user: missed.user,
        instance: instance.into(),
        why: match missed.why {
            Why::NotSubscribed => "not subscribed",
            Why::SubscribedToUserDestination => {
                "subscribed to the user destination of this name; this is a broadcast"
            }
            Why::SubscribedToBroadcast => {
                "subscribed to the broadcast of this name; this is for the user alone"
            }
        },
        subscriptions: missed.subscriptions,
    }
}
