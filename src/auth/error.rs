//! Why a login fails, and why the authenticator cannot be set up. Knows no credential.

use std::fmt;
use std::time::Duration;

use super::users::UsersError;

/// Why a login failed. The client sees the same words for every cause on its side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthError {
    /// An unknown user, a wrong password, a token that is refused, or no usable credential. A client cannot tell these
    /// apart.
    Failed,
    /// A token with a valid signature that has expired.
    Expired,
    /// A credential that is right but no longer valid: it was revoked, or its user is blocked or was removed since.
    Revoked,
    /// The keys of the token's issuer are not available, or the backend that decides has not answered. Holds when to
    /// try again, if known.
    Unavailable(Option<Duration>),
    /// More logins wait than `login.queue`, `login.queue_timeout` or `login.delayed` allow. Holds when to try again, if
    /// known.
    Overloaded(Option<Duration>),
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed | Self::Revoked => "authentication failed",
            Self::Expired => "token expired",
            Self::Unavailable(_) | Self::Overloaded(_) => "overloaded",
        })
    }
}

impl std::error::Error for AuthError {}

/// Why the [`Authenticator`] cannot be set up.
#[derive(Debug)]
pub enum AuthSetupError {
    /// The configured users or the users file are wrong.
    Users(UsersError),
    /// The operating system returned no random bytes.
    Random(argon2::password_hash::Error),
    /// The operating system could not start threads for hashes.
    Threads(std::io::Error),
    /// The random bytes could not be made into a key.
    Key,
    /// Called outside a tokio runtime.
    NoRuntime,
}

impl fmt::Display for AuthSetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Users(error) => error.fmt(f),
            Self::Random(error) => write!(f, "no random bytes from the operating system: {error}"),
            Self::Threads(error) => write!(f, "no threads for password hashes: {error}"),
            Self::Key => f.write_str("no key could be made for the cache of logins"),
            Self::NoRuntime => f.write_str("the authenticator needs a tokio runtime"),
        }
    }
}

impl std::error::Error for AuthSetupError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Users(error) => error.source(),
            _ => None,
        }
    }
}
