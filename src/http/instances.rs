//! The live instances and the state of each: `GET /api/v1/instances`. Asks all others over the control channel.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::api::Api;
use super::ask::{Asked, ask_others};
use super::refusals;
use crate::control::describe::{Describe, Holdings, holdings};
use crate::control::question::Nothing;
use crate::presence::InstanceView;

/// The live instances.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InstanceList {
    /// This one among them, sorted by name.
    instances: Vec<InstanceDescription>,
    /// Names of those that did not answer in time: what they hold is missing above.
    silent: Vec<String>,
}

/// One instance.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InstanceDescription {
    /// `instance.name`
    #[schema(example = "herald-0")]
    name: String,
    /// Its identity, new at each start.
    id: String,
    /// Whether it is the one that answers.
    own: bool,
    /// Users with a session there.
    users: usize,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    version: Option<String>,
    /// Sessions there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sessions: Option<u64>,
    /// Their subscriptions.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    subscriptions: Option<u64>,
    /// Bytes that wait in its outboxes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    outbox_bytes: Option<u64>,
}

/// Lists the live instances: asks them what they hold, and names those that do not answer within 500 ms.
#[utoipa::path(
    get,
    path = "/api/v1/instances",
    tag = "debug",
    security(("key" = ["admin"]), ("user" = [])),
    responses(
        (status = 200, description = "This one and all it has heard of lately", body = InstanceList),
        refusals::OfCredentials,
    )
)]
pub(crate) async fn list_instances(State(api): State<Arc<Api>>) -> Json<InstanceList> {
    let state = &api.state;
    let (own, others): (Vec<_>, Vec<_>) = state
        .presence
        .instances()
        .into_iter()
        .partition(|instance| instance.id == state.instance.id);
    let asked = ask_others::<Describe>(&*state.bus, &others, &Nothing).await;
    let mut instances: Vec<InstanceDescription> = Vec::with_capacity(others.len() + own.len());
    let mut silent = Vec::new();
    for Asked { instance, answer } in asked {
        if answer.is_none() {
            silent.push(instance.name.to_string());
        }
        instances.push(description(instance, false, answer));
    }
    instances.extend(
        own.iter()
            .map(|own| description(own, true, Some(holdings(&state.registry)))),
    );
    instances.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    Json(InstanceList { instances, silent })
}

fn description(instance: &InstanceView, own: bool, holdings: Option<Holdings>) -> InstanceDescription {
    let held = |pick: fn(&Holdings) -> u64| holdings.as_ref().map(pick);
    InstanceDescription {
        name: instance.name.to_string(),
        id: instance.id.to_string(),
        own,
        users: instance.users,
        sessions: held(|holdings| holdings.sessions),
        subscriptions: held(|holdings| holdings.subscriptions),
        outbox_bytes: held(|holdings| holdings.outbox_bytes),
        version: holdings.map(|holdings| holdings.version),
    }
}
