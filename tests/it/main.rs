//! The integration tests: one binary, one file per promise, all over loopback.

#![allow(unreachable_pub, reason = "a test has no callers")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::large_futures,
    clippy::type_complexity,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, its futures live once, and its tasks end with its runtime"
)]

mod anonymous;
mod audit;
mod bus;
mod byte_rates;
mod callout;
mod cli;
mod cluster;
mod collapse;
mod descriptors;
mod expiry;
mod explain;
mod guessing;
mod half_frames;
mod history;
mod http;
mod idempotency;
mod idle_frames;
mod jwks;
mod keys_file;
mod large_bodies;
mod life;
mod limits;
mod log;
mod login_queue;
mod login_time;
mod metrics;
mod named_limits;
mod neighbour;
mod newcomers;
mod permissions;
mod places;
mod production;
mod readiness;
mod refusals;
mod refused_bodies;
mod renewal;
mod reserved;
mod revoke;
mod routes;
mod secrets;
mod sessions;
mod settings;
mod shed;
mod sites;
mod slow;
mod stomp;
mod streams;
mod support;
mod tls;
mod token;
mod token_commands;
mod tracing;
mod transactions;
mod websocket;
