//! Why an instance could not start, or ended. Knows no part of it.

use std::fmt;

use crate::setting::Findings;

/// Why an instance could not start, or ended other than by a signal.
#[derive(Debug)]
pub enum Error {
    /// A setting that only its user could check, named in the text.
    Config(String),
    /// Anything else.
    Failure(String),
}

impl Error {
    /// The first error stands for all: whoever loads a configuration file sees them all before.
    pub(super) fn of(findings: &Findings) -> Self {
        let first = findings.errors.first();
        Self::Config(first.map(ToString::to_string).unwrap_or_default())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(text) | Self::Failure(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {}
