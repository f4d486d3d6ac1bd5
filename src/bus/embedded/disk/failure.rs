//! The ways in which the file can fail, as far as they matter to others. Knows no publisher.

use std::fmt;
use std::io;

use redb::{CommitError, StorageError, TableError, TransactionError};

/// Why a transaction did not take place, or perhaps did.
#[derive(Debug)]
pub(super) enum Failure {
    /// The file is not open.
    Closed,
    /// The disk has no room.
    Full {
        /// Whether the file has to be opened again, and then perhaps has what the transaction did.
        has_begun: bool,
    },
    /// Anything else that the disk or the file does.
    Broken(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the file is not open"),
            Self::Full { .. } => f.write_str("no room on the disk"),
            Self::Broken(words) => f.write_str(words),
        }
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        match &error {
            StorageError::Io(cause)
                if matches!(
                    cause.kind(),
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
                ) =>
            {
                Self::Full { has_begun: true }
            }
            _ => Self::Broken(error.to_string()),
        }
    }
}

impl From<TransactionError> for Failure {
    fn from(error: TransactionError) -> Self {
        match error {
            TransactionError::Storage(error) => error.into(),
            other => Self::Broken(other.to_string()),
        }
    }
}

impl From<TableError> for Failure {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Storage(error) => error.into(),
            other => Self::Broken(other.to_string()),
        }
    }
}

impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Storage(error) => error.into(),
            other => Self::Broken(other.to_string()),
        }
    }
}
