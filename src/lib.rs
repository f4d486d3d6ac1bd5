//! Herald: a gateway for notifications. Notifications arrive by REST, NATS or STOMP and are delivered as STOMP over WebSocket.
//!
//! docs/architecture.md describes all modules. `tests/tidy.rs` checks which module may know which; these absences are the
//! architecture:
//!
//! * [`stomp`] knows no I/O and no clock; [`bus`] knows no STOMP; [`delivery`] knows no bus and no WebSocket crate.
//! * fastwebsockets is only used in [`ws`], async-nats in [`bus`], axum in [`http`], `ws/upgrade` and `problem`.
//! * Interceptors see who does what, but never a socket.
//! * Only [`app`], `main.rs`, `cli/check` and `cli/doctor` see the whole [`config::Config`].

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "a test's tasks end with its runtime")
)]

pub mod app;
pub mod auth;
pub mod bus;
pub(crate) mod chat_message;
pub mod cli;
pub mod close_reason;
pub mod config;
pub(crate) mod control;
pub(crate) mod deceptive;
pub mod delivery;
pub mod destination;
pub mod drain;
pub mod envelope;
pub(crate) mod file_watch;
pub mod http;
pub(crate) mod http_client;
pub mod instance;
pub mod interceptor;
pub(crate) mod limit;
pub mod origins;
pub mod permissions;
pub(crate) mod presence;
pub mod principal;
pub(crate) mod probe;
pub(crate) mod problem;
pub(crate) mod publish;
pub(crate) mod recent;
pub(crate) mod relay;
pub(crate) mod revocation;
pub mod session;
pub mod setting;
pub mod stomp;
pub(crate) mod tap;
pub mod task;
pub mod telemetry;
pub(crate) mod tls;
pub mod ws;
