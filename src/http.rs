//! Everything that speaks HTTP: the listener, the routes and their answers. Knows the bus, presence and the registry
//! by their traits and handles, and no STOMP frame.

pub mod access;
pub mod api;
pub mod ask;
pub mod body;
pub mod caller;
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
