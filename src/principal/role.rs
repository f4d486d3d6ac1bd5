//! The names of roles. Knows no principal.

use std::fmt;
use std::str::FromStr;

use crate::setting::as_text;

/// The role a principal needs to open a session (docs/auth.md).
pub const ROLE_USER: &str = "ROLE_USER";
/// The role that lets a user publish over REST (docs/rest.md).
pub const ROLE_PUBLISHER: &str = "ROLE_PUBLISHER";
/// The role that lets a user do everything over REST (docs/rest.md).
pub const ROLE_ADMIN: &str = "ROLE_ADMIN";

/// The role of an anonymous session, and its only one (docs/auth.md).
pub const ROLE_ANONYMOUS: &str = "ROLE_ANONYMOUS";

/// Longest role name, in bytes.
const ROLE_MAX_BYTES: usize = 64;

/// A role by its full name: `ROLE_` and more, at most 64 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Role(Box<str>);

impl Role {
    /// [`ROLE_USER`]
    pub fn user() -> Self {
        Self(ROLE_USER.into())
    }

    /// [`ROLE_ADMIN`]
    pub fn admin() -> Self {
        Self(ROLE_ADMIN.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_role = text.strip_prefix("ROLE_").is_some_and(|rest| !rest.is_empty())
            && text.len() <= ROLE_MAX_BYTES
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        match is_role {
            true => Ok(Self(text.into())),
            // Without the text: it may be a password that has slipped.
            false => Err(format!(
                "expected full names such as ROLE_USER (at most {ROLE_MAX_BYTES} visible ASCII characters)"
            )),
        }
    }
}

as_text!(Role);

impl From<Role> for Box<str> {
    fn from(role: Role) -> Self {
        role.0
    }
}
