//! Which sessions and users of the cluster send most: `GET /api/v1/senders`. Asks all others over the control channel, and counts
//! nothing itself.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::api::Api;
use super::ask::{Asked, ask_others};
use super::error::ApiError;
use super::refusals;
use super::users::rfc_3339;
use super::whole::InQuery;
use crate::control::senders::{ListSenders, Senders, TOP_MAX, Top, senders_of};
use crate::delivery::registry::SenderView;
use crate::delivery::sent::users::UserSent;
use crate::delivery::sent::{By, SentView, keep_first};
use crate::principal::UserName;

/// How many, and in which order.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Params {
    /// At most so many, 1 to 100.
    #[serde(default = "default_top")]
    #[param(value_type = u64, minimum = 1, maximum = 100, default = 20)]
    top: InQuery,
    /// By what: SENDs within the last ten seconds, all of them, or their bytes.
    #[serde(default)]
    #[param(inline, required = false)]
    by: Order,
}

fn default_top() -> InQuery {
    InQuery(20)
}

/// By what senders are put in order.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Order {
    /// SENDs within the last ten seconds.
    #[default]
    Recent,
    /// All SENDs.
    Frames,
    /// Their bytes.
    Bytes,
}

impl From<Order> for By {
    fn from(order: Order) -> Self {
        match order {
            Order::Recent => Self::Recent,
            Order::Frames => Self::Frames,
            Order::Bytes => Self::Bytes,
        }
    }
}

/// The sessions that send most.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SenderList {
    /// Whoever sends most comes first. Sessions that have sent nothing are not in it.
    senders: Vec<Sender>,
    /// The users who send most, in all their sessions together: the open ones, and those that ended within about five minutes
    /// after the user's last SEND. Whoever sends most comes first. Not of instances of an earlier version.
    users: Vec<SendingUser>,
    /// Names of the instances that did not answer in time: their sessions are missing above.
    silent: Vec<String>,
}

/// One session.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Sender {
    /// Whose it is.
    user: String,
    /// CONNECTED's `session`.
    session: String,
    /// The name of the instance that holds it.
    instance: String,
    /// Where the client connects from.
    address: String,
    /// Since when (RFC 3339).
    #[schema(example = "2026-11-23T20:25:50.736Z")]
    since: String,
    /// What the client has sent.
    sent: SentCounts,
}

/// One user. Each anonymous session has a name of its own, and is in it only while it is open.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SendingUser {
    /// The name.
    user: String,
    /// The address of one of the sessions.
    address: String,
    /// The names of the instances that the sessions are or were on.
    instances: Vec<String>,
    /// How many of the open sessions have sent something.
    sessions: u64,
    /// How many sessions that sent something have ended.
    ended: u64,
    /// What the sessions have sent together.
    sent: SentCounts,
}

/// What a client has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct SentCounts {
    /// SENDs since the login; of a user, those of all sessions.
    frames: u64,
    /// Their bytes, headers and bodies.
    bytes: u64,
    /// SENDs within about the last ten seconds.
    recent_frames: u64,
    /// Their bytes.
    recent_bytes: u64,
}

impl From<SentView> for SentCounts {
    fn from(sent: SentView) -> Self {
        Self {
            frames: sent.frames,
            bytes: sent.bytes,
            recent_frames: sent.recent_frames,
            recent_bytes: sent.recent_bytes,
        }
    }
}

/// Lists the sessions and the users that send most, over all live instances; names those that do not answer within 500 ms.
#[utoipa::path(
    get,
    path = "/api/v1/senders",
    tag = "debug",
    params(Params),
    security(("key" = ["admin"]), ("user" = [])),
    responses(
        (status = 200, description = "Whoever sends most comes first", body = SenderList),
        refusals::OfUser,
    )
)]
pub(crate) async fn list_senders(
    State(api): State<Arc<Api>>,
    params: Result<Query<Params>, QueryRejection>,
) -> Result<Json<SenderList>, ApiError> {
    let expected = || {
        ApiError::BadRequest(format!(
            "expected ?top=1 to {TOP_MAX}, and &by=recent, frames or bytes"
        ))
    };
    let Query(Params { top, by }) = params.map_err(|_| expected())?;
    let top = usize::try_from(top.0)
        .ok()
        .filter(|top| (1..=TOP_MAX).contains(top));
    let (top, by) = (top.ok_or_else(expected)?, By::from(by));
    let state = &api.state;
    let (others, question) = (state.presence.others(), Top { top, by });
    let (own, asked) = tokio::join!(
        senders_of(&state.registry, question),
        ask_others::<ListSenders>(&*state.bus, &others, &question),
    );
    let with = |instance: &str, views: Vec<SenderView>| {
        let instance = instance.to_owned();
        views
            .into_iter()
            .take(top)
            .map(move |view| (instance.clone(), view))
    };
    let Senders { senders, users } = own;
    let mut found: Vec<_> = with(&state.instance.name, senders).collect();
    let mut sums = Sums::default();
    sums.add(&state.instance.name, users, by);
    let mut silent = Vec::new();
    for Asked { instance, answer } in asked {
        match answer {
            Some(Senders { senders, users }) => {
                found.extend(with(&instance.name, senders));
                sums.add(&instance.name, users, by);
            }
            None => silent.push(instance.name.to_string()),
        }
    }
    keep_first(&mut found, by, top, |(_, view)| view.sent);
    let senders = found.into_iter().map(|(instance, view)| Sender {
        user: view.user.to_string(),
        session: view.session,
        instance,
        address: view.address.to_string(),
        since: rfc_3339(view.since_ms),
        sent: view.sent.into(),
    });
    Ok(Json(SenderList {
        senders: senders.collect(),
        users: sums.first(by, top),
        silent,
    }))
}

/// What users have sent in the cluster, and the instances that said so.
#[derive(Default)]
struct Sums(HashMap<UserName, (UserSent, Vec<String>)>);

impl Sums {
    fn add(&mut self, instance: &str, users: Vec<UserSent>, by: By) {
        for one in users.into_iter().take(TOP_MAX) {
            match self.0.get_mut(&one.user) {
                Some((sum, instances)) => {
                    sum.add(&one, by);
                    instances.push(instance.to_owned());
                }
                None => {
                    let user = one.user.clone();
                    self.0.insert(user, (one, vec![instance.to_owned()]));
                }
            }
        }
    }

    /// The `most` that come first.
    fn first(self, by: By, most: usize) -> Vec<SendingUser> {
        let mut all: Vec<_> = self.0.into_values().collect();
        all.sort_unstable_by(|(a, _), (b, _)| a.user.cmp(&b.user));
        keep_first(&mut all, by, most, |(sum, _)| sum.sent);
        let user = |(sum, mut instances): (UserSent, Vec<String>)| {
            instances.sort_unstable();
            SendingUser {
                user: sum.user.to_string(),
                address: sum.address.to_string(),
                instances,
                sessions: sum.sessions,
                ended: sum.ended,
                sent: sum.sent.into(),
            }
        };
        all.into_iter().map(user).collect()
    }
}
