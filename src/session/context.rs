//! What all sessions of an instance share. `app` creates it once. Knows no single session.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::HeartbeatConfig;
use super::anonymous::AnonymousPlaces;
use super::application::Application;
use super::per_user::PerUser;
use super::per_user::cluster::Cluster;
use super::rates::Rates;
use super::state::Rules;
use crate::bus::Bus;
use crate::delivery::registry::Registry;
use crate::instance::Instance;
use crate::limit::{SomePerSecond, Total};
use crate::presence::Presence;
use crate::publish::Publisher;
use crate::setting::HumanDuration;
use crate::stomp;
use crate::telemetry::audit::Audit;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::trace::Tracer;

/// How many subscriptions resume at the same time; each takes a millisecond.
pub(crate) const RESUMES_AT_ONCE: usize = 64;

/// What a session needs of its instance.
pub(crate) struct Context {
    /// This instance.
    pub instance: Instance,
    /// The handle to the shards.
    pub registry: Registry,
    /// Carries requests to backends.
    pub bus: Arc<dyn Bus>,
    /// Publishes notifications.
    pub publisher: Publisher,
    /// Who is online.
    pub presence: Arc<Presence>,
    /// The rules that frames are judged by.
    pub rules: Rules,
    /// Handles application SENDs.
    pub application: Application,
    /// What is told of sessions that are renewed, and of those that end by themselves.
    pub audit: Audit,
    /// Counters.
    pub metrics: Metrics,
    /// Makes spans, or none.
    pub tracer: Tracer,
    /// What the server offers at CONNECT.
    pub heartbeat: HeartbeatConfig,
    /// How often a session may do what, and how slowly.
    pub rates: Rates,
    /// How many sessions a user may have.
    pub per_user: PerUser,
    /// How many anonymous sessions there may be.
    pub anonymous: AnonymousPlaces,
    /// The same in the whole cluster.
    pub cluster: Arc<Cluster>,
    /// What the incomplete frames of all sessions hold (`limits.incoming_total_bytes`).
    pub incoming: Arc<Total>,
    /// The bounds of a connection.
    pub limits: Limits,
    /// Limits the log's lines about what clients are refused.
    pub refused_frames: SomePerSecond,
    /// How many subscriptions may resume at once: each takes more of the outboxes' common bound than most need.
    pub resumes: Semaphore,
    /// Cancelled when the instance drains: clients that have not logged in by then do so elsewhere.
    pub draining: CancellationToken,
}

/// The bounds of a connection, before and after login.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The decoder's bounds before login.
    pub before_login: stomp::Limits,
    /// The decoder's bounds after login.
    pub after_login: stomp::Limits,
    /// The time from accept to CONNECTED. Only the client's part counts (`limits.connect_timeout`).
    pub connect_timeout: HumanDuration,
    /// `limits.requests_in_flight`
    pub requests_in_flight: usize,
    /// `limits.replay_read_timeout`
    pub replay_read_timeout: HumanDuration,
    /// `limits.replay_ack_timeout`
    pub replay_ack_timeout: HumanDuration,
}
