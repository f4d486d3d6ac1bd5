//! STOMP 1.0, 1.1 and 1.2 as bytes: a sans-io codec. Knows no I/O, no runtime and no clock; time is a parameter.

pub mod decoder;
pub mod encoder;
pub mod error;
pub mod escape;
pub mod frame;
pub mod header;
pub mod heartbeat;
