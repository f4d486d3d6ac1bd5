//! The server side of WebSocket (RFC 6455): upgrade, guard, reader, writer, close. The only user of fastwebsockets.
//! Knows no STOMP.

pub mod close;
pub mod guard;
pub(crate) mod http_stream;
pub(crate) mod newcomers;
pub(crate) mod peer;
pub mod reader;
pub mod socket;
pub mod upgrade;
pub(crate) mod utf8;
pub(crate) mod wire;
pub mod writer;
