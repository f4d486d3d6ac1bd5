//! A user's name and password out of the forms that clients write them in. Knows no user and no hash.

use crate::config::secret::Secret;

/// A name and a password, both as presented: unchecked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name as presented; perhaps no legal user name.
    pub user: String,
    /// The password.
    pub password: Secret,
}

impl Credentials {
    /// Reads `Basic <base64 of user:password>` (RFC 7617).
    pub fn from_authorization(text: &str) -> Option<Self> {
        use base64::Engine;
        let (scheme, encoded) = text.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = base64::engine::general_purpose::STANDARD
            .decode(encoded.trim())
            .ok()?;
        let decoded = String::from_utf8(decoded).ok()?;
        let (user, password) = decoded.split_once(':')?;
        Some(Self {
            user: user.into(),
            password: Secret::new(password),
        })
    }
}
