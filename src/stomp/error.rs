//! Why bytes are not a valid frame, in words fit for the ERROR that the client gets. Knows no close code, but says
//! whether a size was at fault. The words never contain a header's value or a body: both may be secrets.

use std::fmt;

use super::{Command, Version};

/// The most characters of a client's text that an error repeats.
const QUOTED_CHARS: usize = 64;

/// A client's header name or command as an error may repeat it: truncated, with escapes for unprintable characters.
#[derive(Clone, PartialEq, Eq)]
pub struct Quoted(Box<str>);

impl Quoted {
    /// The first 64 characters of `text`.
    pub fn new(text: &str) -> Self {
        Self(text.chars().take(QUOTED_CHARS).collect())
    }

    /// The same for bytes that may not be UTF-8.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let cut = bytes.get(..QUOTED_CHARS).unwrap_or(bytes);
        Self::new(&String::from_utf8_lossy(cut))
    }
}

impl fmt::Debug for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The rule that a client's bytes broke. `Display` names the rule, the header at fault, and a limit by its
/// configuration key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Not a client command of STOMP, or a command that only servers send (rules F11, F12).
    UnknownCommand(Quoted),
    /// The command or a header is not UTF-8 (F4). Holds the header's number in the frame; 0 stands for the command.
    NotUtf8(usize),
    /// A NUL before the blank line that ends the headers (F1).
    NulInHeaders,
    /// A CR without LF where CR LF is an end of line (F3). Holds the number as in [`Fault::NotUtf8`].
    LoneCarriageReturn(usize),
    /// The same, between two frames.
    LoneCarriageReturnBetweenFrames,
    /// A header line without a colon (H6). Holds the header's number.
    NoColon(usize),
    /// A header line that begins with a colon (H6). Holds the header's number.
    EmptyName(usize),
    /// An escape that the version does not define (H2).
    BadEscape {
        /// The header's name as received.
        header: Quoted,
        /// The character after the `\`, or `None` if there is none.
        escape: Option<char>,
        /// The session's version.
        version: Version,
    },
    /// `content-length` is not a number (F9).
    BadContentLength,
    /// No NUL after as many bytes as `content-length` announces (F6).
    NoNul(usize),
    /// A body in a frame that must not have one (F5).
    BodyNotAllowed(Command),
    /// More headers than `limits.headers` (E3). Holds the limit.
    TooManyHeaders(usize),
    /// A header that exceeds `limits.header_bytes`, counting name and value as received.
    HeaderTooLong {
        /// The header's name.
        header: Quoted,
        /// The limit.
        limit: usize,
    },
    /// A body that exceeds `limits.body_bytes`. Holds the limit.
    BodyTooLarge(usize),
    /// A frame before login that exceeds `limits.frame_bytes_before_login`. Holds the limit.
    FrameTooLargeBeforeLogin(usize),
    /// A frame after login that exceeds what its three limits allow together. Holds their sum.
    FrameTooLarge(usize),
    /// Bytes after a fault: the decoder no longer knows where the next frame begins.
    AfterFault,
}

/// The command or header with this number in a frame.
struct Numbered(usize);

impl fmt::Display for Numbered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("the command"),
            number => write!(f, "header {number} of the frame"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownCommand(command) => write!(f, "unknown command {command}"),
            Self::NotUtf8(number) => write!(f, "{} is not UTF-8", Numbered(*number)),
            Self::NulInHeaders => f.write_str("NUL before the blank line that ends the headers"),
            Self::LoneCarriageReturn(number) => {
                write!(f, "{} has a CR that no LF follows", Numbered(*number))
            }
            Self::LoneCarriageReturnBetweenFrames => f.write_str("a CR that no LF follows between frames"),
            Self::NoColon(number) => write!(f, "{} has no ':'", Numbered(*number)),
            Self::EmptyName(number) => write!(f, "{} has an empty name", Numbered(*number)),
            Self::BadEscape {
                header,
                escape: Some(escape),
                version,
            } => write!(
                f,
                "header {header} has the escape '\\{}', which STOMP {version} does not define",
                escape.escape_debug()
            ),
            Self::BadEscape {
                header, escape: None, ..
            } => {
                write!(f, "header {header} ends in a lone '\\'")
            }
            Self::BadContentLength => f.write_str("content-length is not a non-negative integer"),
            Self::NoNul(length) => write!(f, "no NUL after the {length} bytes that content-length says"),
            Self::BodyNotAllowed(command) => write!(f, "{command} must not have a body"),
            Self::TooManyHeaders(limit) => {
                write!(f, "a frame has at most {limit} headers (limits.headers)")
            }
            Self::HeaderTooLong { header, limit } => {
                write!(f, "header {header} is over {limit} bytes (limits.header_bytes)")
            }
            Self::BodyTooLarge(limit) => {
                write!(f, "a body has at most {limit} bytes (limits.body_bytes)")
            }
            Self::FrameTooLargeBeforeLogin(limit) => write!(
                f,
                "a frame before login has at most {limit} bytes (limits.frame_bytes_before_login)"
            ),
            Self::FrameTooLarge(limit) => write!(
                f,
                "a frame has at most {limit} bytes (limits.headers, limits.header_bytes, limits.body_bytes)"
            ),
            Self::AfterFault => f.write_str("bytes after a malformed frame"),
        }
    }
}

/// Bytes that are not a valid frame. The session answers with an ERROR of these words and closes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// The broken rule.
    pub fault: Fault,
    /// The `receipt` header of the offending frame, if it was read, for the ERROR's `receipt-id` (E2).
    pub receipt: Option<Box<str>>,
}

impl DecodeError {
    /// Whether a size was at fault (close code 1009). Otherwise the bytes are malformed (1002).
    pub fn is_too_large(&self) -> bool {
        matches!(
            self.fault,
            Fault::TooManyHeaders(_)
                | Fault::HeaderTooLong { .. }
                | Fault::BodyTooLarge(_)
                | Fault::FrameTooLargeBeforeLogin(_)
                | Fault::FrameTooLarge(_)
        )
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.fmt(f)
    }
}

impl std::error::Error for DecodeError {}
