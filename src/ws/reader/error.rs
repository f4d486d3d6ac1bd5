//! Why reading ended, with the close reason and words fit for the client.

use std::{fmt, io};

use fastwebsockets::WebSocketError;

use crate::close_reason::CloseReason;
use crate::ws::guard::Refusal;
use crate::ws::utf8::NotUtf8;

/// What ended the reading side.
#[derive(Debug)]
pub enum ReadError {
    /// The guard refused a frame's head.
    Refused(Refusal),
    /// A text message or a Close frame's reason is not UTF-8.
    NotUtf8,
    /// A Close frame with one byte of payload.
    CloseTooShort,
    /// A Close frame with a code that must not appear in one.
    CloseCode(u16),
    /// An incomplete frame would take more memory than there is for those of all connections.
    NoRoom,
    /// fastwebsockets refused a frame that the guard had passed.
    Frame(WebSocketError),
    /// The connection broke, or ended inside a frame.
    Io(io::Error),
}

impl ReadError {
    /// How the connection should be closed.
    pub fn close_reason(&self) -> CloseReason {
        match self {
            Self::Refused(refusal) => refusal.close_reason(),
            Self::NotUtf8 => CloseReason::NotUtf8,
            Self::NoRoom => CloseReason::Overloaded,
            Self::CloseTooShort | Self::CloseCode(_) | Self::Frame(_) => CloseReason::Malformed,
            Self::Io(_) => CloseReason::PeerGone,
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::NotUtf8 => f.write_str("text is not UTF-8"),
            Self::NoRoom => f.write_str("too many incomplete frames of all sessions, come again later"),
            Self::CloseTooShort => f.write_str("a Close frame's payload begins with two bytes of code"),
            Self::CloseCode(code) => write!(f, "a Close frame must not carry the code {code}"),
            Self::Frame(error) => write!(f, "malformed WebSocket frame: {error}"),
            Self::Io(error) => write!(f, "connection lost: {error}"),
        }
    }
}

impl std::error::Error for ReadError {}

impl From<Refusal> for ReadError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<NotUtf8> for ReadError {
    fn from(_: NotUtf8) -> Self {
        Self::NotUtf8
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<WebSocketError> for ReadError {
    fn from(error: WebSocketError) -> Self {
        match error {
            WebSocketError::InvalidUTF8 => Self::NotUtf8,
            WebSocketError::IoError(error) => Self::Io(error),
            other => Self::Frame(other),
        }
    }
}
