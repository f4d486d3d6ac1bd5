//! STOMP 1.0, 1.1 and 1.2 as bytes: a sans-io codec. Knows no I/O, no runtime and no clock; time is a parameter.
//!
//! Inbound: [`Decoder`] takes bytes, however they were cut, and returns client [`Frame`]s. Outbound:
//! [`encoder::encode`] returns the bytes of one [`ServerFrame`]; code that assembles a MESSAGE in parts uses
//! [`escape::header_into`]. [`client`] is the other side of the protocol.

pub(crate) mod client;
pub mod decoder;
pub(crate) mod encoder;
pub mod error;
pub(crate) mod escape;
pub(crate) mod frame;
pub(crate) mod header;
pub(crate) mod heartbeat;
pub(crate) mod version;

pub use decoder::{Decoder, Limits};
pub use encoder::{ServerFrame, encode};
pub use error::{DecodeError, Fault};
pub use frame::{Command, Frame};
pub use header::Headers;
pub use version::Version;
