//! Who a session or a request belongs to, and what roles it has. Knows nothing of how that was proven (`auth/`).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::setting::as_text;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::deceptive::is_deceptive;

mod attributes;

pub use attributes::{
    ATTRIBUTE_MAX_BYTES, ATTRIBUTE_VALUES_MAX, ATTRIBUTES_MAX, ATTRIBUTES_MAX_BYTES, Attributes,
    AttributesError, is_attribute_name,
};

/// The role a principal needs to open a session (docs/auth.md).
pub const ROLE_USER: &str = "ROLE_USER";
/// The role that lets a user publish over REST (docs/rest.md).
pub const ROLE_PUBLISHER: &str = "ROLE_PUBLISHER";
/// The role that lets a user do everything over REST (docs/rest.md).
pub const ROLE_ADMIN: &str = "ROLE_ADMIN";

/// The longest user name, in bytes of UTF-8 (docs/auth.md).
pub const USER_NAME_MAX_BYTES: usize = 128;

/// A user's name: 1 to 128 bytes of UTF-8, no control, bidirectional or invisible characters, no `:` (docs/auth.md).
/// Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserName(Arc<str>);

/// Why a text is not a valid user name. The words are fit for a client and do not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserNameError {
    /// Empty.
    Empty,
    /// Longer than [`USER_NAME_MAX_BYTES`].
    TooLong,
    /// A control character, or one that could make a name look like another ([`is_deceptive`]).
    Control,
    /// A `:`, which Basic credentials cannot carry in a name (RFC 7617 section 2).
    Colon,
}

impl fmt::Display for UserNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a user name must not be empty",
            Self::TooLong => "a user name has at most 128 bytes",
            Self::Control => "a user name must not contain control, bidirectional or invisible characters",
            Self::Colon => "a user name must not contain ':'",
        })
    }
}

impl std::error::Error for UserNameError {}

impl UserName {
    /// Checks `text` against the rules of this type.
    pub fn parse(text: &str) -> Result<Self, UserNameError> {
        if text.is_empty() {
            return Err(UserNameError::Empty);
        }
        if text.len() > USER_NAME_MAX_BYTES {
            return Err(UserNameError::TooLong);
        }
        if text.chars().any(is_deceptive) {
            return Err(UserNameError::Control);
        }
        if text.contains(':') {
            return Err(UserNameError::Colon);
        }
        Ok(Self(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl Serialize for UserName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for UserName {
    /// Checks the text by [`UserName::parse`], without a copy of what is refused.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = UserName;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a user name of at most {USER_NAME_MAX_BYTES} bytes")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<UserName, E> {
                UserName::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl FromStr for UserName {
    type Err = UserNameError;

    fn from_str(text: &str) -> Result<Self, UserNameError> {
        Self::parse(text)
    }
}

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

impl std::borrow::Borrow<str> for UserName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// An authenticated user with its roles and attributes. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal(Arc<Inner>);

#[derive(Debug, PartialEq, Eq)]
struct Inner {
    user: UserName,
    roles: Box<[Box<str>]>,
    attributes: Attributes,
}

impl Principal {
    /// A principal named `user` with `roles` (full names, `ROLE_…`) and without attributes.
    pub fn new(user: UserName, roles: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        Self::with_attributes(user, roles, Attributes::default())
    }

    /// The same with attributes.
    pub fn with_attributes(
        user: UserName,
        roles: impl IntoIterator<Item = impl Into<Box<str>>>,
        attributes: Attributes,
    ) -> Self {
        Self(Arc::new(Inner {
            user,
            roles: roles.into_iter().map(Into::into).collect(),
            attributes,
        }))
    }

    /// Whether one was cloned from the other: not merely equal in what it holds, but from the same login data.
    pub fn is_clone_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The user's name.
    pub fn user(&self) -> &UserName {
        &self.0.user
    }

    /// The roles, in configured order.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.0.roles.iter().map(|role| &**role)
    }

    /// Whether the principal has `role` (a full name).
    pub fn has_role(&self, role: &str) -> bool {
        self.0.roles.iter().any(|held| &**held == role)
    }

    /// What else is known of it.
    pub fn attributes(&self) -> &Attributes {
        &self.0.attributes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_names_follow_the_contract() {
        assert!(UserName::parse("alice").is_ok());
        assert!(UserName::parse(&"ä".repeat(64)).is_ok());
        assert_eq!(UserName::parse(""), Err(UserNameError::Empty));
        assert_eq!(UserName::parse(&"ä".repeat(65)), Err(UserNameError::TooLong));
        assert_eq!(UserName::parse("a\nb"), Err(UserNameError::Control));
        assert_eq!(UserName::parse("a\u{85}b"), Err(UserNameError::Control));
        for trick in ["al\u{200b}ice", "\u{202e}ecila", "alice\u{2028}", "\u{feff}alice"] {
            assert_eq!(UserName::parse(trick), Err(UserNameError::Control), "{trick:?}");
        }
        assert!(UserName::parse("میترا\u{200c}ها").is_ok());
        assert_eq!(UserName::parse("a:b"), Err(UserNameError::Colon));
    }
}
