//! Whether the instance is alive and ready, and what Herald counts. Liveness does not depend on the bus: restarting
//! every instance would add a herd to an outage (docs/architecture.md, decision 9).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::api::Api;
use super::error::ApiError;
use super::refusals;
use crate::auth::Authenticator;
use crate::bus::{Bus, Health as BusHealth};
use crate::delivery::registry::Registry;
use crate::drain::Phase;
use crate::instance::Instance;
use crate::presence::Presence;
use crate::telemetry::audit::Audit;
use crate::telemetry::metrics::{Format, Observed};

/// `[readiness]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What an outage of NATS means.
    pub bus: WithoutBus,
}

/// `readiness.bus`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WithoutBus {
    /// Whoever has no NATS is not ready.
    #[default]
    Strict,
    /// Whoever was ready once stays so: its page, its logins and its sessions do not need NATS.
    Serving,
}

/// Whether the bus keeps this instance from being ready.
#[derive(Debug)]
pub(crate) struct Readiness {
    without: WithoutBus,
    was_ready: AtomicBool,
}

impl Readiness {
    /// By `[readiness]`, which concerns instances with NATS alone.
    pub(crate) fn new(config: &Config, has_nats: bool) -> Self {
        Self {
            without: if has_nats { config.bus } else { WithoutBus::Strict },
            was_ready: AtomicBool::new(false),
        }
    }

    /// A subscription that NATS refuses counts in either case: it would be missed without anybody noticing, and no
    /// other instance suffers from it.
    fn allows(&self, bus: &dyn Bus) -> bool {
        if bus.is_ready() {
            self.was_ready.store(true, Ordering::Relaxed);
            return true;
        }
        self.without == WithoutBus::Serving
            && self.was_ready.load(Ordering::Relaxed)
            && bus.stats().refused_subscriptions == 0
    }
}

/// Whether this instance can serve.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `UP` or `DOWN`.
    #[schema(example = "UP")]
    status: &'static str,
    /// The parts of the health.
    components: Components,
}

/// The parts of a health.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Components {
    /// `connected` or `disconnected`.
    bus: &'static str,
    /// `starting`, `running`, `not-ready` or `draining`.
    phase: &'static str,
    /// What keeps the instance from working as it should, such as a permission that NATS refuses, or keys of an issuer that are
    /// not there. Left out if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    trouble: Vec<String>,
}

fn health(api: &Api) -> (StatusCode, Json<Health>) {
    let bus = *api.state.bus.health().borrow();
    let phase = *api.state.phase.borrow();
    // Before it is asked whether the bus is ready: what begins in between is not said beside "UP".
    let of_bus = api.state.bus.trouble();
    let missing = api.state.authenticator.missing_keys();
    let missing: Vec<_> = missing
        .map(|issuer| format!("the keys of the issuer {issuer} are not there yet (auth.issuers)"))
        .collect();
    let knows_revoked = api.state.revocations.is_ready();
    let unknown =
        (!knows_revoked).then(|| "the revocations of the other instances are not known yet".to_owned());
    let bus_allows = api.state.readiness.allows(&*api.state.bus);
    let up = bus_allows && phase == Phase::Running && missing.is_empty() && knows_revoked;
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
            trouble: of_bus
                .into_iter()
                .chain(missing)
                .chain(unknown)
                .chain(api.state.revocations.trouble().map(Into::into))
                .collect(),
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
pub(crate) async fn livez() -> &'static str {
    "ok\n"
}

/// Says whether this instance can serve: bus connected (unless `readiness.bus` says `serving`), history read, and not draining.
#[utoipa::path(get, path = "/readyz", tag = "health", security(()),
    responses((status = 200, description = "Able to serve", body = Health),
        (status = 503, description = "Not able to serve", body = Health)))]
pub(crate) async fn readyz(State(api): State<Arc<Api>>) -> (StatusCode, Json<Health>) {
    health(&api)
}

/// The same as `/readyz`, where the replaced service had it.
#[utoipa::path(get, path = "/manage/health", tag = "health", security(()),
    responses((status = 200, description = "Able to serve", body = Health),
        (status = 503, description = "Not able to serve", body = Health)))]
pub(crate) async fn manage_health(State(api): State<Arc<Api>>) -> (StatusCode, Json<Health>) {
    health(&api)
}

/// How long the shards may take to report the age of their oldest frame. A scrape shows everything else without it.
const OLDEST_TIMEOUT: Duration = Duration::from_millis(500);

/// What is counted outside the metrics' own handles, at this moment.
pub(crate) async fn observe(
    registry: &Registry,
    bus: &dyn Bus,
    presence: &Presence,
    audit: &Audit,
    authenticator: &Authenticator,
    instance: &Instance,
) -> Observed {
    let oldest = tokio::time::timeout(OLDEST_TIMEOUT, registry.oldest_waiting());
    Observed {
        outbox_oldest: oldest.await.ok(),
        delivery: registry.stats(),
        bus: bus.stats(),
        bus_connected: *bus.health().borrow() == BusHealth::Connected,
        users_online: presence.online(),
        instances: presence.instances().len(),
        presence_refused: presence.refused(),
        audit_lost: audit.lost(),
        revocations: authenticator.revoked().len(),
        key_ages: authenticator
            .key_ages()
            .map(|(issuer, age)| (issuer.into(), age))
            .collect(),
        instance: Arc::clone(&instance.name),
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
pub(crate) async fn metrics(State(api): State<Arc<Api>>, headers: HeaderMap) -> Result<Response, ApiError> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let format = Format::accepted(accept.unwrap_or_default());
    let state = &api.state;
    let observed = observe(
        &state.registry,
        &*state.bus,
        &state.presence,
        &state.audit,
        &state.authenticator,
        &state.instance,
    )
    .await;
    let metrics = state.metrics.clone();
    // Reading /proc and encoding take milliseconds with many open descriptors: not on the runtime's threads.
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

#[cfg(test)]
mod tests {
    use super::super::tests::recording_bus::RecordingBus;
    use super::*;

    #[test]
    fn an_outage_of_nats_ends_readiness_only_where_it_is_to() {
        let check = |without, has_nats, was_ready, expected| {
            let bus = RecordingBus::default();
            let readiness = Readiness::new(&Config { bus: without }, has_nats);
            if was_ready {
                assert!(readiness.allows(&bus));
            }
            bus.disconnect();
            assert_eq!(
                readiness.allows(&bus),
                expected,
                "{without:?} {has_nats} {was_ready}"
            );
        };
        check(WithoutBus::Strict, true, true, false);
        check(WithoutBus::Serving, true, true, true);
        check(WithoutBus::Serving, true, false, false);
        check(WithoutBus::Serving, false, true, false);
    }
}
