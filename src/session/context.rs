//! What all sessions of an instance share. Made once by `app`; knows no single session.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::HeartbeatConfig;
use super::application::Application;
use super::per_user::PerUser;
use super::per_user::cluster::Cluster;
use super::rates::Rates;
use super::state::Rules;
use crate::bus::Bus;
use crate::delivery::registry::Registry;
use crate::instance::Instance;
use crate::presence::Presence;
use crate::publish::Publisher;
use crate::setting::HumanDuration;
use crate::stomp;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::trace::Tracer;

/// The surroundings of a session.
pub struct Context {
    /// Which instance this is.
    pub instance: Instance,
    /// The way to the shards.
    pub registry: Registry,
    /// Requests to backends go this way.
    pub bus: Arc<dyn Bus>,
    /// Notifications go this way.
    pub publisher: Publisher,
    /// Who is online.
    pub presence: Arc<Presence>,
    /// What frames are judged by.
    pub rules: Rules,
    /// What answers application SENDs.
    pub application: Application,
    /// Counters.
    pub metrics: Metrics,
    /// Makes spans, or none.
    pub tracer: Tracer,
    /// What the server offers at CONNECT.
    pub heartbeat: HeartbeatConfig,
    /// How often a session may do what.
    pub rates: Rates,
    /// How many sessions a user may have.
    pub per_user: PerUser,
    /// The same in the whole cluster.
    pub cluster: Arc<Cluster>,
    /// Bounds of a connection.
    pub limits: Limits,
    /// Cancelled when the instance drains: who has not logged in by then does so elsewhere.
    pub draining: CancellationToken,
}

/// Bounds of a connection, before and after login.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Decoder bounds before login.
    pub before_login: stomp::Limits,
    /// Decoder bounds after login.
    pub after_login: stomp::Limits,
    /// From accept to CONNECTED, the client's part only (`limits.connect_timeout`).
    pub connect_timeout: HumanDuration,
    /// `limits.requests_in_flight`
    pub requests_in_flight: usize,
}
