//! Herald: a gateway for notifications. Events come in by REST, NATS or STOMP and leave as STOMP over WebSocket.
//!
//! The modules in reading order. Who may know whom is checked by `tests/tidy.rs`; the absences are the architecture:
//!
//! * [`stomp`] knows no I/O and no clock; [`bus`] knows no STOMP; [`delivery`] knows no bus and no WebSocket crate.
//! * fastwebsockets appears only under [`ws`], async-nats only under [`bus`], axum only under [`http`] and `ws/upgrade`.
//! * Interceptors see who and what, never a socket.
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
