//! The contents of the users file, and why users are unusable: errors name the file and the user but never repeat a
//! hash. Knows nothing of reading and watching.

use std::fmt;
use std::path::Path;

use serde::Deserialize;

use crate::auth::phc::HashProblem;
use crate::auth::{Config, UserEntry};
use crate::file_watch::SettingsFile;
pub use crate::file_watch::settings_file::FileError;
use crate::principal::UserName;

/// Why the users as a whole are unusable.
#[derive(Debug)]
pub enum UsersError {
    /// The file as a whole.
    File(FileError),
    /// One user is unusable.
    User {
        /// The file or the configuration's key.
        place: String,
        /// The user's number in it, from 1.
        number: usize,
        /// What is wrong.
        problem: UserProblem,
    },
    /// The operating system returned no random bytes.
    Random(argon2::password_hash::Error),
}

/// Why a user is unusable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserProblem {
    /// Two users with the same name.
    Duplicate(UserName),
    /// The password is not an argon2id hash within the bounds.
    Password(UserName, HashProblem),
}

impl UsersError {
    pub(super) fn user(place: &str, number: usize, problem: UserProblem) -> Self {
        Self::User {
            place: place.to_owned(),
            number,
            problem,
        }
    }
}

impl fmt::Display for UsersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::User {
                place,
                number,
                problem,
            } => write!(f, "{place}, user number {number}{problem}"),
            Self::Random(error) => write!(f, "no random bytes from the operating system: {error}"),
        }
    }
}

impl std::error::Error for UsersError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(error) => error.source(),
            _ => None,
        }
    }
}

/// Continues a sentence that ends in the user's number. The name is shown if it is valid.
impl fmt::Display for UserProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate(name) => write!(f, " ({name}): name: there is a user of this name already"),
            Self::Password(name, problem) => write!(f, " ({name}): password: {problem}"),
        }
    }
}

/// `auth.users_file`, if it is set.
pub(in crate::auth) fn named(config: &Config) -> Option<SettingsFile> {
    let path = config.users_file.as_ref()?;
    Some(SettingsFile {
        setting: "auth.users_file",
        what: "the users file",
        holds: "users",
        path: Path::new(path).into(),
        max: config.users_file_bytes,
    })
}

/// The entries of a users file, not checked yet.
pub(super) fn parse(file: &SettingsFile, content: &[u8]) -> Result<Vec<UserEntry>, UsersError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[serde(default)]
        users: Vec<UserEntry>,
    }
    let file: File = file.parse(content).map_err(UsersError::File)?;
    Ok(file.users)
}
