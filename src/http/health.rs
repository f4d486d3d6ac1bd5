//! Alive, ready, and what Herald counts. Liveness does not depend on the bus: restarting every instance would add a herd
//! to an outage (docs/architecture.md, decision 9).

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::refusals;
use super::router::Api;
use crate::bus::Health as BusHealth;
use crate::drain::Phase;
use crate::telemetry::metrics::{Format, Observed};

/// Whether this instance can serve.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `UP` or `DOWN`.
    #[schema(example = "UP")]
    status: &'static str,
    /// What that comes from.
    components: Components,
}

/// What a health comes from.
#[derive(Debug, Serialize, ToSchema)]
pub struct Components {
    /// `connected` or `disconnected`.
    bus: &'static str,
    /// `starting`, `running`, `not-ready` or `draining`.
    phase: &'static str,
}

fn health(api: &Api) -> (StatusCode, Json<Health>) {
    let bus = *api.state.bus.health().borrow();
    let phase = *api.state.phase.borrow();
    let up = bus == BusHealth::Connected && phase == Phase::Running;
    let health = Health {
        status: if up { "UP" } else { "DOWN" },
        components: Components {
            bus: match bus {
                BusHealth::Connected => "connected",
                BusHealth::Disconnected => "disconnected",
            },
            phase: match phase {
                Phase::Starting => "starting",
                Phase::Running => "running",
                Phase::NotReady => "not-ready",
                Phase::Draining => "draining",
            },
        },
    };
    let status = if up {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(health))
}

/// Says that the process is alive, whatever the bus does.
#[utoipa::path(get, path = "/livez", tag = "health", security(()), responses((status = 200, description = "Alive", body = String)))]
pub async fn livez() -> &'static str {
    "ok\n"
}

/// Says whether this instance can serve: bus connected, and not draining.
#[utoipa::path(get, path = "/readyz", tag = "health", security(()),
    responses((status = 200, description = "Able to serve", body = Health),
        (status = 503, description = "Not able to serve", body = Health)))]
pub async fn readyz(State(api): State<Arc<Api>>) -> (StatusCode, Json<Health>) {
    health(&api)
}

/// The same as `/readyz`, where the replaced service had it.
#[utoipa::path(get, path = "/manage/health", tag = "health", security(()),
    responses((status = 200, description = "Able to serve", body = Health),
        (status = 503, description = "Not able to serve", body = Health)))]
pub async fn manage_health(State(api): State<Arc<Api>>) -> (StatusCode, Json<Health>) {
    health(&api)
}

/// How long the shards may take to say how old their oldest frame is; a scrape shows the rest without it.
const OLDEST_TIMEOUT: Duration = Duration::from_millis(500);

/// What others than the metrics' own handles count, at this moment.
pub async fn observe(state: &super::State) -> Observed {
    let oldest = tokio::time::timeout(OLDEST_TIMEOUT, state.registry.oldest_waiting());
    Observed {
        outbox_oldest: oldest.await.ok(),
        delivery: state.registry.stats(),
        bus: state.bus.stats(),
        bus_connected: *state.bus.health().borrow() == BusHealth::Connected,
        users_online: state.presence.online(),
        instances: state.presence.instances().len(),
        presence_refused: state.presence.refused(),
        instance: Arc::clone(&state.instance.name),
    }
}

/// Everything counted, as Prometheus reads it: OpenMetrics with exemplars if `Accept` asks for that. Without credentials
/// only on `http.admin_listen`.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "health",
    security(("key" = ["read"]), ("user" = [])),
    responses(
        (status = 200, description = "Prometheus text, or OpenMetrics", content(
            (String = "text/plain"), (String = "application/openmetrics-text"))),
        refusals::OfCredentials,
    )
)]
pub async fn metrics(State(api): State<Arc<Api>>, headers: HeaderMap) -> Result<Response, ApiError> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let format = Format::accepted(accept.unwrap_or_default());
    let observed = observe(&api.state).await;
    let metrics = api.state.metrics.clone();
    // Reading /proc and encoding take milliseconds with many descriptors open: not on the runtime's threads.
    let rendered = tokio::task::spawn_blocking(move || metrics.render(&observed, format)).await;
    match rendered {
        Ok(Ok(text)) => Ok(([(header::CONTENT_TYPE, format.content_type())], text).into_response()),
        Ok(Err(error)) => {
            tracing::error!(%error, "metrics cannot be rendered");
            Err(ApiError::Internal)
        }
        Err(error) => {
            tracing::error!(%error, "metrics cannot be rendered");
            Err(ApiError::Internal)
        }
    }
}
