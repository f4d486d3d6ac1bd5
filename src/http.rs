//! Everything that speaks HTTP: the listener, the routes and their answers. Knows the bus, presence and the registry
//! by their traits and handles; knows no STOMP frame.

use serde::{Deserialize, Serialize};

use crate::config::units::HumanDuration;

pub mod access;
pub mod error;
pub mod health;
pub mod listener;
pub mod notifications;
pub mod openapi;
pub mod page;
pub mod router;
pub mod users;

/// `[http]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where `/ws`, REST and the page listen.
    pub listen: String,
    /// A port of their own for `/metrics` and health; none: on `listen`.
    pub admin_listen: Option<String>,
    /// Prefixes every route, such as `/backend`.
    pub base_path: String,
    /// The STOMP endpoint, and everything below it.
    pub ws_path: String,
    /// Origins that may open `/ws` and change state: `*`, exact, or `https://*.example.com`.
    pub origins: Vec<String>,
    /// Origins whose preflights are answered.
    pub cors_origins: Vec<String>,
    /// From accept to a whole request head.
    pub header_timeout: HumanDuration,
    /// Connections at once; above it 503.
    pub max_connections: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".into(),
            admin_listen: None,
            base_path: String::new(),
            ws_path: "/ws".into(),
            origins: vec!["*".into()],
            cors_origins: Vec::new(),
            header_timeout: HumanDuration::secs(10),
            max_connections: 100_000,
        }
    }
}
