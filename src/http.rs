//! Everything that speaks HTTP: the listener, the routes and their answers. Knows the bus, presence and the registry
//! by their traits and handles, and no STOMP frame.

pub(crate) mod access;
pub(crate) mod api;
pub(crate) mod ask;
mod audit;
pub(crate) mod body;
pub(crate) mod caller;
pub(crate) mod certificate;
pub mod config;
pub(crate) mod debug_sampling;
pub(crate) mod error;
pub(crate) mod explain;
pub mod health;
pub(crate) mod hosts;
pub(crate) mod idempotency;
pub(crate) mod instances;
pub(crate) mod json;
pub mod listener;
pub(crate) mod log_level;
mod log_lines;
mod me;
pub(crate) mod notifications;
pub(crate) mod observe;
pub(crate) mod openapi;
pub(crate) mod origin;
mod own_headers;
pub(crate) mod page;
mod paths;
mod percent;
pub(crate) mod permission;
pub(crate) mod proxies;
mod query;
pub(crate) mod refusals;
pub(crate) mod revocations;
pub(crate) mod router;
pub(crate) mod senders;
pub(crate) mod shed;
pub(crate) mod tap;
pub(crate) mod trace;
pub(crate) mod users;
mod whole;

pub use config::Config;

#[cfg(test)]
pub(crate) mod tests;
