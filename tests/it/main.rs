//! The integration tests: one binary, one file per promise, all over loopback.

mod bus;
mod support;
