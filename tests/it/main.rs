//! The integration tests: one file a promise.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod websocket;
