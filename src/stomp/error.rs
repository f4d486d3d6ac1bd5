//! Why bytes are no frame, in words fit for the ERROR that the client gets. Knows no close code but says whether a size
//! was at fault. Words never hold a header's value or a body: both may be secrets.

use std::fmt;

use super::{Command, Version};

/// Most characters of a client's text that words repeat.
const QUOTED_CHARS: usize = 64;

/// A client's header name or command as words may repeat it: cut, and shown with escapes for what is not printable.
#[derive(Clone, PartialEq, Eq)]
pub struct Quoted(Box<str>);

impl Quoted {
    /// The first 64 characters of `text`.
    pub fn new(text: &str) -> Self {
        Self(text.chars().take(QUOTED_CHARS).collect())
    }

    /// The same of bytes that may not be UTF-8.
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

/// The rule that a client's bytes broke. `Display` names it, the header at fault, and a limit by its configuration key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// No client command of STOMP, or one that is a server's (rules F11, F12).
    UnknownCommand(Quoted),
    /// The command or a header is not UTF-8 (F4). Holds the header's number in the frame; 0: the command.
    NotUtf8(usize),
    /// A NUL before the blank line that ends the headers (F1).
    NulInHeaders,
    /// A CR that no LF follows, where CR LF is an end of line (F3). Holds the number as in [`Fault::NotUtf8`].
    LoneCarriageReturn(usize),
    /// The same between two frames.
    LoneCarriageReturnBetweenFrames,
    /// A header line without a colon (H6). Holds the header's number.
    NoColon(usize),
    /// A header line that begins with its colon (H6). Holds the header's number.
    EmptyName(usize),
    /// An escape that the version does not define (H2).
    BadEscape {
        /// The header's name as it came.
        header: Quoted,
        /// What stands after the `\`; none: nothing.
        escape: Option<char>,
        /// The session's version.
        version: Version,
    },
    /// `content-length` is not a number (F9).
    BadContentLength,
    /// As many bytes as `content-length` says are not followed by NUL (F6).
    NoNul(usize),
    /// A body in a frame that has none (F5).
    BodyNotAllowed(Command),
    /// More headers than `limits.headers`, which it holds (E3).
    TooManyHeaders(usize),
    /// A header, name and value as they came, over `limits.header_bytes`.
    HeaderTooLong {
        /// The header's name.
        header: Quoted,
        /// The limit.
        limit: usize,
    },
    /// A body over `limits.body_bytes`, which it holds.
    BodyTooLarge(usize),
    /// A frame before login over `limits.frame_bytes_before_login`, which it holds.
    FrameTooLargeBeforeLogin(usize),
    /// A frame after login over what its three limits allow together; holds their sum.
    FrameTooLarge(usize),
    /// Bytes that came after a fault: where the next frame begins is not known any more.
    AfterFault,
}

/// The header or command of this number in a frame.
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

/// Bytes that are no frame. The session answers ERROR with these words and closes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// The rule broken.
    pub fault: Fault,
    /// The `receipt` header of the frame at fault as far as it was read, for the ERROR's `receipt-id` (E2).
    pub receipt: Option<Box<str>>,
}

impl DecodeError {
    /// Whether a size was at fault (close code 1009); else the bytes are malformed (1002).
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
