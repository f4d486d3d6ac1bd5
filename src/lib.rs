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
pub mod chat_message;
pub mod cli;
pub mod close_reason;
pub mod config;
pub mod control;
pub mod deceptive;
pub mod delivery;
pub mod destination;
pub mod drain;
pub mod envelope;
pub mod http;
pub mod http_client;
pub mod instance;
pub mod interceptor;
pub mod limit;
pub mod origins;
pub mod presence;
pub mod principal;
pub mod probe;
pub mod problem;
pub mod publish;
pub mod recent;
pub mod relay;
pub mod session;
pub mod setting;
pub mod stomp;
pub mod tap;
pub mod task;
pub mod telemetry;
pub mod tls;
pub mod ws;
