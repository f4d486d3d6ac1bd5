//! The users file: bounded reading, TOML to entries, and errors that name the file and the user but never repeat a
//! hash. Knows nothing of watching.

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::auth::UserEntry;
use crate::auth::phc::HashProblem;
use crate::principal::UserName;
use crate::setting::ByteSize;

/// Why the users as a whole are unusable.
#[derive(Debug)]
pub enum UsersError {
    /// The file cannot be read.
    Read(PathBuf, io::Error),
    /// The path is not a regular file.
    NotAFile(PathBuf),
    /// The file is larger than `auth.users_file_bytes`.
    TooLarge(PathBuf, ByteSize),
    /// The file is not TOML, or has wrong keys or types.
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1, if known.
        line: Option<usize>,
        /// What is wrong, in words that repeat no value.
        message: String,
    },
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
            Self::Read(path, error) => write!(f, "{}: {error}", place(path)),
            Self::NotAFile(path) => write!(f, "{}: expected a regular file", place(path)),
            Self::TooLarge(path, max) => {
                write!(
                    f,
                    "{}: larger than auth.users_file_bytes allows ({max})",
                    place(path)
                )
            }
            Self::Syntax { path, line, message } => {
                f.write_str(&place(path))?;
                if let Some(line) = line {
                    write!(f, ", line {line}")?;
                }
                write!(f, ": {message}")
            }
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
            Self::Read(_, error) => Some(error),
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

/// How errors name the file.
pub(super) fn place(path: &Path) -> String {
    format!("auth.users_file {}", path.display())
}

/// The content of a regular file (possibly behind symbolic links) of at most `max` bytes. Blocks.
pub(super) fn read(path: &Path, max: ByteSize) -> Result<Vec<u8>, UsersError> {
    let error = |error| UsersError::Read(path.to_owned(), error);
    // Checked before opening: opening a pipe would wait for its writer.
    if !std::fs::metadata(path).map_err(error)?.is_file() {
        return Err(UsersError::NotAFile(path.to_owned()));
    }
    let mut content = Vec::new();
    std::fs::File::open(path)
        .map_err(error)?
        .take(max.0 as u64 + 1)
        .read_to_end(&mut content)
        .map_err(error)?;
    if content.len() > max.0 {
        return Err(UsersError::TooLarge(path.to_owned(), max));
    }
    Ok(content)
}

/// The entries of a users file, not checked yet.
pub(super) fn parse(path: &Path, content: &[u8]) -> Result<Vec<UserEntry>, UsersError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[serde(default)]
        users: Vec<UserEntry>,
    }
    let syntax = |line, message: String| UsersError::Syntax {
        path: path.to_owned(),
        line,
        message,
    };
    let text = std::str::from_utf8(content).map_err(|error| {
        let before = content.get(..error.valid_up_to()).unwrap_or_default();
        syntax(Some(line_of(before)), "not UTF-8".to_owned())
    })?;
    let file: File = toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        syntax(
            before.map(|before| line_of(before.as_bytes())),
            harmless(error.message()),
        )
    })?;
    Ok(file.users)
}

fn line_of(before: &[u8]) -> usize {
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

/// The words of `toml` and `serde` without the values that some of them repeat: a value in the wrong place may be a
/// hash or a password.
fn harmless(message: &str) -> String {
    match message.split_once(", expected ") {
        Some((found, expected)) if found.starts_with("invalid ") => format!("expected {expected}"),
        _ if message.contains(['"', '$']) => "not the TOML of a users file".to_owned(),
        _ => message.to_owned(),
    }
}
