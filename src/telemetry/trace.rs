//! Traces: what is recorded of a notification (docs/tracing.md). Knows no transport.

pub mod delivery;
