//! Everything that speaks HTTP: the listener, the routes and their answers. Knows the bus, presence and the registry
//! by their traits and handles, and no STOMP frame.

use std::sync::Arc;

use tokio::sync::watch;

use crate::auth::Authenticator;
use crate::bus::Bus;
use crate::delivery::registry::Registry;
use crate::destination::{Path, Prefixes};
use crate::drain::Phase;
use crate::envelope::HeaderLimits;
use crate::instance::Instance;
use crate::presence::Presence;
use crate::publish::Publisher;
use crate::tap::Tap;
use crate::telemetry::metrics::Metrics;

pub mod access;
pub mod ask;
pub mod body;
pub mod config;
pub mod debug_sampling;
pub mod error;
pub mod explain;
pub mod health;
pub mod instances;
pub mod json;
pub mod listener;
pub mod log_level;
pub mod notifications;
pub mod observe;
pub mod openapi;
pub mod origin;
pub mod page;
pub mod proxies;
pub mod refusals;
pub mod router;
pub mod tap;
pub mod trace;
pub mod users;

pub use config::Config;

#[cfg(test)]
pub(crate) mod tests;

/// What the routes need of the rest of Herald. [`router::router`] takes it.
pub struct State {
    /// Publishes notifications.
    pub publisher: Publisher,
    /// The connection to the other instances, and whether it is up.
    pub bus: Arc<dyn Bus>,
    /// Who is online in the cluster.
    pub presence: Arc<Presence>,
    /// This instance's sessions.
    pub registry: Registry,
    /// Checks Basic credentials.
    pub authenticator: Arc<Authenticator>,
    /// Which destinations a backend may name.
    pub prefixes: Arc<Prefixes>,
    /// This instance.
    pub instance: Instance,
    /// The compiled `[api]`.
    pub policy: access::Policy,
    /// Counts requests and publishes, and renders `/metrics`.
    pub metrics: Metrics,
    /// Makes spans, or none.
    pub tracer: crate::telemetry::trace::Tracer,
    /// Readiness.
    pub phase: watch::Receiver<Phase>,
    /// `limits.headers` and `limits.header_bytes`.
    pub header_limits: HeaderLimits,
    /// `application.time_zone`, for the `time` of `POST /api/v1/message`.
    pub time_zone: jiff::tz::TimeZone,
    /// Samples what this instance fans out.
    pub tap: Tap,
    /// `presence.list_destination`, for the page.
    pub list_destination: Option<Path>,
}
