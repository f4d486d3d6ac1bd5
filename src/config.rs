//! The configuration: embedded defaults ← `herald.toml` ← `HERALD_…` environment ← flags. The only place that knows
//! where a value came from. Every section's struct belongs to the module that uses it.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

mod check;
pub mod load;
pub mod origins;
mod problem;
mod providers;
mod schema;

#[cfg(test)]
mod tests;

pub use load::{Arguments, Loaded, load, load_http};
pub use origins::Origins;
pub use problem::{ConfigError, Problem};

use crate::setting::Limits;

/// Everything. Only `app.rs`, `main.rs` and `cli/check` may see it whole.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `[instance]`
    pub instance: crate::instance::Config,
    /// `[http]`
    pub http: crate::http::Config,
    /// `[api]`
    pub api: crate::http::access::Config,
    /// `[bus]`
    pub bus: crate::bus::Config,
    /// `[history]`
    pub history: crate::bus::history::Config,
    /// `[auth]`
    pub auth: crate::auth::Config,
    /// `[login]`
    pub login: crate::auth::LoginConfig,
    /// `[destinations]`
    pub destinations: crate::destination::Prefixes,
    /// `[permissions]`
    pub permissions: crate::permissions::Config,
    /// `[application]`
    pub application: crate::session::application::Config,
    /// `[limits]`
    pub limits: Limits,
    /// `[demo]`
    pub demo: crate::setting::Demo,
    /// `[heartbeat]`
    pub heartbeat: crate::session::HeartbeatConfig,
    /// `[delivery]`
    pub delivery: crate::delivery::Config,
    /// `[presence]`
    pub presence: crate::presence::Config,
    /// `[readiness]`
    pub readiness: crate::http::health::Config,
    /// `[drain]`
    pub drain: crate::drain::Config,
    /// `[metrics]`
    pub metrics: crate::telemetry::metrics::otlp::Config,
    /// `[log]`
    pub log: crate::telemetry::LogConfig,
    /// `[audit]`
    pub audit: crate::telemetry::audit::Config,
    /// `[tracing]`
    pub tracing: crate::telemetry::trace::export::Config,
}

impl Config {
    /// The SHA-256 of all settings but the secret ones, in hex: equal for instances that are configured alike.
    pub fn digest(&self) -> String {
        // Tables with keys that are texts: their conversion cannot fail, although the signature says so.
        let text = serde_json::to_string(self).unwrap_or_default();
        let digest = Sha256::digest(text);
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
