//! What this instance delivers at the moment, by destination: samples for as long as the request asks. Knows the
//! sampler, not what feeds it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::api::Api;
use super::audit::Deed;
use super::error::ApiError;
use super::refusals;
use super::whole::InQuery;
use crate::drain::Phase;
use crate::limit::Limit;
use crate::tap::Count;
use crate::telemetry::audit::event::What;

/// Shorter than proxies wait for an answer.
const SECONDS_MAX: u64 = 30;

/// How to sample.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Params {
    /// For how long, 1 to 30.
    #[serde(default = "default_seconds")]
    #[param(value_type = u64, minimum = 1, maximum = 30, default = 2)]
    seconds: InQuery,
}

fn default_seconds() -> InQuery {
    InQuery(2)
}

/// What an instance fanned out in a time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Tapped {
    /// The instance that answers; the others have samples of their own.
    instance: String,
    /// How long it sampled.
    #[schema(example = 2.0)]
    seconds: f64,
    /// By destination, the busiest first; at most `api.tap_destinations`.
    destinations: Vec<TappedDestination>,
    /// What came to destinations beyond that number.
    others: Counted,
}

/// One destination.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TappedDestination {
    /// As a client names it; `/user/…` is all users' together.
    #[schema(example = "/queue/orders")]
    destination: String,
    #[serde(flatten)]
    counted: Counted,
}

/// What was counted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Counted {
    /// Notifications that came from the bus.
    notifications: u64,
    /// Those of them that no session of this instance wanted.
    unmatched: u64,
    /// Bytes of their bodies.
    body_bytes: u64,
}

impl From<Count> for Counted {
    fn from(count: Count) -> Self {
        Self {
            notifications: count.notifications,
            unmatched: count.unmatched,
            body_bytes: count.body_bytes,
        }
    }
}

/// Samples what this instance fans out, by destination. Answers when the time is over, or earlier when it drains.
#[utoipa::path(
    get,
    path = "/api/v1/tap",
    tag = "debug",
    params(Params),
    security(("key" = ["admin"]), ("user" = [])),
    responses(
        (status = 200, description = "What came in the time", body = Tapped),
        refusals::OfUser,
    )
)]
pub(crate) async fn tap(
    State(api): State<Arc<Api>>,
    Extension(deed): Extension<Deed>,
    params: Result<Query<Params>, QueryRejection>,
) -> Result<Json<Tapped>, ApiError> {
    let seconds = params.map_or(0, |Query(params)| params.seconds.0);
    if !(1..=SECONDS_MAX).contains(&seconds) {
        return Err(ApiError::BadRequest(format!(
            "seconds must be a whole number from 1 to {SECONDS_MAX}"
        )));
    }
    deed.is(What {
        for_seconds: Some(seconds),
        ..What::default()
    });
    let state = &api.state;
    let sampling = state.tap.begin().ok_or(ApiError::Overloaded(
        "as many samples as are allowed are being taken (api.taps)",
        Some(Limit::Taps),
    ))?;
    let began = Instant::now();
    let mut phase = state.phase.clone();
    let draining = phase.wait_for(|phase| *phase >= Phase::Draining);
    // When the time is over the sample ends, whichever event it was.
    let _ = tokio::time::timeout(Duration::from_secs(seconds), draining).await;
    let seconds = began.elapsed().as_secs_f64();
    let sample = sampling.finish();
    let user_prefix = &state.prefixes.user_prefix;
    let destinations = sample.destinations.into_iter().map(|(name, count)| {
        let destination = match name.is_user {
            true => format!("{user_prefix}{}", name.path),
            false => name.path.to_string(),
        };
        TappedDestination {
            destination,
            counted: count.into(),
        }
    });
    Ok(Json(Tapped {
        instance: state.instance.name.to_string(),
        seconds: (seconds * 1_000.0).round() / 1_000.0,
        destinations: destinations.collect(),
        others: sample.others.into(),
    }))
}
