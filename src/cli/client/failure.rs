//! Why a client's command ended without doing its work, and the exit code of that. Knows statuses and close codes, and no
//! command.

use std::fmt;

use http::StatusCode;

use super::session::End;
use crate::cli::{exit, paint};

/// Why a command ended without doing its work, in words for people.
#[derive(Debug)]
pub enum ClientError {
    /// The command line is wrong, or a file or variable that it names.
    Usage(String),
    /// Herald could not be reached, or did not answer, or the connection broke.
    Unavailable(String),
    /// Herald does not know who asks, or does not let them.
    Refused(String),
    /// Herald asks to come again later.
    TryLater(String),
    /// A stage of a probe failed, which has this exit code.
    Stage(u8, String),
    /// Anything else, such as a destination that does not exist.
    Failure(String),
    /// Nobody reads the output any more. Not an error.
    OutputClosed,
}

impl ClientError {
    /// What the process ends with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => exit::USAGE,
            Self::Unavailable(_) => exit::UNAVAILABLE,
            Self::Refused(_) => exit::REFUSED,
            Self::TryLater(_) => exit::TRY_LATER,
            Self::Stage(code, _) => *code,
            Self::Failure(_) | Self::OutputClosed => exit::FAILURE,
        }
    }

    /// The error of an answer that is no success.
    pub(super) fn of_status(status: StatusCode, words: String) -> Self {
        match status.as_u16() {
            401 | 403 | 421 => Self::Refused(words),
            408 | 429 | 503 | 507 => Self::TryLater(words),
            502 | 504 => Self::Unavailable(words),
            _ => Self::Failure(words),
        }
    }

    /// The same error in other words, made of its own.
    pub(super) fn reworded(self, reword: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Usage(words) => Self::Usage(reword(words)),
            Self::Unavailable(words) => Self::Unavailable(reword(words)),
            Self::Refused(words) => Self::Refused(reword(words)),
            Self::TryLater(words) => Self::TryLater(reword(words)),
            Self::Stage(code, words) => Self::Stage(code, reword(words)),
            Self::Failure(words) => Self::Failure(reword(words)),
            Self::OutputClosed => Self::OutputClosed,
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(words)
            | Self::Unavailable(words)
            | Self::Refused(words)
            | Self::TryLater(words)
            | Self::Stage(_, words)
            | Self::Failure(words) => f.write_str(words),
            Self::OutputClosed => f.write_str("nobody reads the output"),
        }
    }
}

impl std::error::Error for ClientError {}

/// Printing failed.
impl From<std::io::Error> for ClientError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Failure(format!("cannot print: {error}")),
        }
    }
}

/// A session ended, or there was none.
impl From<End> for ClientError {
    fn from(end: End) -> Self {
        let words = paint::printable(&end.to_string());
        match end {
            End::Lost(_) => Self::Unavailable(words),
            End::NoUpgrade { status, .. } => Self::of_status(status, words),
            // docs/stomp.md, "Close codes".
            End::Closed { code, .. } => match code {
                1008 | 4401 | 4403 => Self::Refused(words),
                1001 | 1012 | 1013 => Self::TryLater(words),
                1005 | 1006 | 4408 => Self::Unavailable(words),
                _ => Self::Failure(words),
            },
            End::NotStomp(_) => Self::Failure(words),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_and_a_close_code_have_an_exit_code() {
        for (status, code) in [(400, 1), (401, 77), (403, 77), (404, 1), (422, 1), (429, 75)] {
            let error = ClientError::of_status(StatusCode::from_u16(status).unwrap(), String::new());
            assert_eq!(error.exit_code(), code, "{status}");
        }
        for (status, code) in [(500, 1), (502, 69), (503, 75), (504, 69), (507, 75)] {
            let end = End::NoUpgrade {
                status: StatusCode::from_u16(status).unwrap(),
                words: "why".into(),
            };
            assert_eq!(ClientError::from(end).exit_code(), code, "{status}");
        }
        for (close, code) in [
            (1001, 75),
            (1002, 1),
            (1006, 69),
            (1008, 77),
            (1009, 1),
            (1011, 1),
            (1013, 75),
            (4401, 77),
            (4403, 77),
            (4408, 69),
            (4409, 1),
        ] {
            let words = "why".to_owned();
            let error = ClientError::from(End::Closed {
                code: close,
                words,
                reason: None,
            });
            assert_eq!(error.exit_code(), code, "{close}");
            assert_eq!(error.to_string(), format!("why (close code {close})"));
        }
        let lost = ClientError::from(End::Lost("a\u{1b}b".into())).reworded(|words| format!("so: {words}"));
        assert_eq!((lost.exit_code(), &*lost.to_string()), (69, "so: a\\u{1b}b"));
        assert_eq!(ClientError::from(End::NotStomp(String::new())).exit_code(), 1);
        assert_eq!(ClientError::Usage(String::new()).exit_code(), 64);
    }
}
