//! Closes a share of one instance's sessions, so that they reconnect elsewhere: `POST /api/v1/instances/{id}/shed`.
//! Asks that instance through [`crate::control::shed`]; knows no session.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::api::Api;
use super::ask::ASK_TIMEOUT;
use super::audit::Deed;
use super::caller::Caller;
use super::error::ApiError;
use super::refusals;
use crate::control::ask::ask;
use crate::control::shed::{SHARES, Share, ShedSessions};
use crate::telemetry::audit::event::What;

/// The query.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Sheds {
    /// How many of its sessions, in percent.
    #[param(minimum = 1, maximum = 100, example = 20)]
    share: u8,
}

/// What the instance does.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Shed {
    /// The instance's name.
    #[schema(example = "herald-0")]
    instance: String,
    /// Its identity.
    id: String,
    /// How many sessions it closes.
    #[schema(example = 1_000)]
    sessions: u64,
    /// Over which time, in milliseconds (`drain.spread`).
    #[schema(example = 5_000)]
    over_ms: u64,
}

/// Closes a share of one instance's sessions with 1001, picked at random, in waves over `drain.spread`. Their clients come
/// back where the balancer sends them.
#[utoipa::path(
    post,
    path = "/api/v1/instances/{id}/shed",
    tag = "debug",
    params(Sheds, ("id" = String, Path, description = "The instance's `id`, as `GET /api/v1/instances` has it")),
    security(("key" = ["admin"]), ("user" = [])),
    responses(
        (status = 202, description = "It has begun", body = Shed),
        (status = 404, description = "`not-found`: no live instance has this id", body = crate::problem::Problem,
            content_type = "application/problem+json"),
        refusals::OfUser,
    )
)]
pub(crate) async fn post_shed(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Extension(deed): Extension<Deed>,
    Path(id): Path<String>,
    query: Result<Query<Sheds>, QueryRejection>,
) -> Result<(StatusCode, Json<Shed>), ApiError> {
    let state = &api.state;
    let expected =
        || ApiError::BadRequest("expected ?share=1 to ?share=100, in percent, and nothing else".into());
    let Query(Sheds { share }) = query.map_err(|_| expected())?;
    if !SHARES.contains(&share) {
        return Err(expected());
    }
    let instances = state.presence.instances();
    let found = instances.iter().find(|instance| instance.id.to_string() == id);
    let instance = found.ok_or_else(|| {
        ApiError::NotFound("no live instance has this id; GET /api/v1/instances lists them".into())
    })?;
    deed.is(What {
        share: Some(share),
        target: Some(id.as_str().into()),
        ..What::default()
    });
    api.require_bus().map_err(ApiError::of_order)?;
    let order = Share {
        share,
        by: caller.to_string(),
    };
    let answer = ask::<ShedSessions>(&*state.bus, instance.id, &order, ASK_TIMEOUT).await;
    let answer = answer.map_err(|_| {
        ApiError::Overloaded(
            "the instance did not answer in time, and may have begun all the same, or is of an older version",
            None,
        )
    })?;
    let sessions = answer.sessions.ok_or(ApiError::Overloaded(
        "the instance is closing a share of its sessions already",
        None,
    ))?;
    let shed = Shed {
        instance: instance.name.to_string(),
        id,
        sessions,
        over_ms: answer.over_ms,
    };
    Ok((StatusCode::ACCEPTED, Json(shed)))
}
