//! Why a request over the bus got no reply. Pure.

use std::fmt;

/// Why a request got no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestError {
    /// Nobody listens on the subject.
    NoResponders,
    /// No reply in time.
    Timeout,
    /// The connection was lost, or was not up.
    Unavailable,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoResponders => "nobody answers this destination",
            Self::Timeout => "no answer in time",
            Self::Unavailable => "the bus is not connected",
        })
    }
}

impl std::error::Error for RequestError {}
