//! How the audit writes names of users: unchanged, or as a keyed hash, so that lines of one user can be found without
//! its name. Names of keys, rules and issuers are not names of people. Pure.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::config;
use crate::setting::Secret;

/// How many bytes of a hash are written.
const HASH_BYTES: usize = 12;
/// What names a user as the one who did something.
const USER: &str = "user:";

/// Writes names.
#[derive(Clone)]
pub(super) enum Names {
    Plain,
    Hashed(Hmac<Sha256>),
}

// No key.
impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::Hashed(_) => "Hashed",
        })
    }
}

impl Names {
    pub(super) fn new(names: config::Names, key: Option<&Secret>) -> Self {
        // A key of any length is one.
        let made = key.and_then(|key| Hmac::new_from_slice(key.expose().as_bytes()).ok());
        match (names, made) {
            (config::Names::Hashed, Some(key)) => Self::Hashed(key),
            _ => Self::Plain,
        }
    }

    /// A user's name.
    pub(super) fn user<'a>(&self, name: &'a str) -> Cow<'a, str> {
        let Self::Hashed(key) = self else {
            return name.into();
        };
        let hash = key.clone().chain_update(name.as_bytes()).finalize().into_bytes();
        let mut text = String::from("hashed-");
        for byte in hash.iter().take(HASH_BYTES) {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text.into()
    }

    /// Who did something: a user, or something else.
    pub(super) fn who<'a>(&self, who: &'a str) -> Cow<'a, str> {
        match (self, who.strip_prefix(USER)) {
            (Self::Hashed(_), Some(name)) => format!("{USER}{}", self.user(name)).into(),
            _ => who.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashed_names_depend_on_the_key_and_are_those_of_users_alone() {
        let hashed = |key: &str| Names::new(config::Names::Hashed, Some(&Secret::new(key)));
        let (one, other) = (hashed("one key of 16 bytes"), hashed("another key of 16 bytes"));
        let name = one.user("alice");
        assert_eq!(name, one.user("alice"));
        assert_ne!(name, one.user("bob"));
        assert_ne!(name, other.user("alice"));
        assert_eq!(name.len(), "hashed-".len() + 2 * HASH_BYTES);
        assert_eq!(one.who("user:alice"), format!("user:{name}"));
        assert_eq!(one.who("key:ops"), "key:ops");
        assert_eq!(
            Names::new(config::Names::Plain, None).who("user:alice"),
            "user:alice"
        );
        assert!(!format!("{one:?}").contains("key of"));
    }
}
