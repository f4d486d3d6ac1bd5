//! Who a session or a request belongs to, what roles it has, and until when. Knows nothing of how that was proven (`auth/`).

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::deceptive::is_deceptive;

mod attributes;
mod granted;
mod role;

pub use attributes::{
    ATTRIBUTE_MAX_BYTES, ATTRIBUTE_VALUES_MAX, ATTRIBUTES_MAX, ATTRIBUTES_MAX_BYTES, Attributes,
    AttributesError, is_attribute_name,
};
pub use granted::{GRANTED_MAX, GRANTED_MAX_BYTES, Granted, GrantedError};
pub use role::{ROLE_ADMIN, ROLE_ANONYMOUS, ROLE_PUBLISHER, ROLE_USER, Role};

/// The longest user name, in bytes of UTF-8 (docs/auth.md).
pub const USER_NAME_MAX_BYTES: usize = 255;

/// What the names of anonymous sessions begin with. No issuer and no backend may give names that do.
pub const ANONYMOUS_PREFIX: &str = "anonymous:";

/// A user's name: 1 to 255 bytes of UTF-8, no control, bidirectional or invisible characters (docs/auth.md). Who logs in by a
/// password has no `:` in it; names that an issuer of tokens gives begin with its prefix, which ends with `:`.
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
    /// A `:` in the name of a user with a password, which Basic credentials cannot carry (RFC 7617 section 2).
    Colon,
}

impl fmt::Display for UserNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a user name must not be empty",
            Self::TooLong => "a user name has at most 255 bytes",
            Self::Control => "a user name must not contain control, bidirectional or invisible characters",
            Self::Colon => "the name of a user with a password must not contain ':'",
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
        Ok(Self(text.into()))
    }

    /// The same for a user with a password.
    pub fn with_password(text: &str) -> Result<Self, UserNameError> {
        match text.contains(':') {
            true => Err(UserNameError::Colon),
            false => Self::parse(text),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the name of an anonymous session: of nobody who could come back, and known to no list of users.
    pub fn is_anonymous(&self) -> bool {
        self.0.starts_with(ANONYMOUS_PREFIX)
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

impl std::borrow::Borrow<str> for UserName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Who vouches for a principal. Names of different origins are different users, even where they read the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Herald's own users: the configuration and the users file.
    Password,
    /// The issuer of a token, by its name.
    Issuer(Arc<str>),
    /// A backend that was asked.
    Callout,
    /// Nobody: a session that has presented nothing.
    Anonymous,
}

/// An authenticated user with its roles and attributes, and when that ends. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    known: Arc<Known>,
    /// Beside what is shared: all sessions of a user by password share the rest, and each has an end of its own.
    ends_ms: Option<NonZeroU64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    user: UserName,
    roles: Box<[Box<str>]>,
    attributes: Attributes,
    origin: Origin,
    /// Most have none.
    granted: Option<Box<Granted>>,
    /// Only who came by a token, or was let in by a backend, pays for it.
    token: Option<Box<TokenMark>>,
}

/// What of a token, or of a backend's yes, is kept, so that it can be revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenMark {
    /// `jti`
    pub id: Option<Box<str>>,
    /// The earliest moment at which it may have been issued, in Unix ms: `iat` less the issuer's leeway; of a backend's yes, when
    /// it was asked.
    pub earliest_ms: u64,
    /// What its key is, where the session is to end with the key.
    pub key: Option<Box<[u8; 32]>>,
}

impl Principal {
    /// A principal named `user` with `roles` (full names, `ROLE_…`) and without attributes, by password.
    pub fn new(user: UserName, roles: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        Self::with_attributes(user, roles, Attributes::default())
    }

    /// The same with attributes.
    pub fn with_attributes(
        user: UserName,
        roles: impl IntoIterator<Item = impl Into<Box<str>>>,
        attributes: Attributes,
    ) -> Self {
        Self::of(Origin::Password, user, roles, attributes)
    }

    /// The same, for whom `origin` vouches. It has no end.
    pub fn of(
        origin: Origin,
        user: UserName,
        roles: impl IntoIterator<Item = impl Into<Box<str>>>,
        attributes: Attributes,
    ) -> Self {
        let known = Known {
            user,
            roles: roles.into_iter().map(Into::into).collect(),
            attributes,
            origin,
            granted: None,
            token: None,
        };
        Self {
            known: Arc::new(known),
            ends_ms: None,
        }
    }

    /// Whoever has presented nothing: a name that nobody else has, and [`ROLE_ANONYMOUS`] alone. `id` tells it from all others.
    ///
    /// # Errors
    /// `id` cannot be part of a name.
    pub fn anonymous(id: &str) -> Result<Self, UserNameError> {
        let user = UserName::parse(&format!("{ANONYMOUS_PREFIX}{id}"))?;
        Ok(Self::of(
            Origin::Anonymous,
            user,
            [ROLE_ANONYMOUS],
            Attributes::default(),
        ))
    }

    /// Whether nobody vouches for it.
    pub fn is_anonymous(&self) -> bool {
        self.known.origin == Origin::Anonymous
    }

    /// The same, whose own token says what it may do. Not for one that was cloned: that is as it was proven.
    #[must_use]
    pub fn granting(mut self, granted: Option<Granted>) -> Self {
        if let Some(known) = Arc::get_mut(&mut self.known) {
            known.granted = granted.map(Box::new);
        }
        self
    }

    /// What its own token says it may do. `None`: that says nothing of it, or there is none.
    pub fn granted(&self) -> Option<&Granted> {
        self.known.granted.as_deref()
    }

    /// The same, proven by a token with this mark. To be said before it is cloned.
    #[must_use]
    pub fn by_token(mut self, token: TokenMark) -> Self {
        Arc::make_mut(&mut self.known).token = Some(Box::new(token));
        self
    }

    /// What is kept of the token that proved it, if one did.
    pub fn token(&self) -> Option<&TokenMark> {
        self.known.token.as_deref()
    }

    /// The same with another end, in Unix ms; `None` if it has none. 0 is the moment after 0.
    #[must_use]
    pub fn ending(self, ends_ms: Option<u64>) -> Self {
        let ends_ms = ends_ms.map(|ms| NonZeroU64::new(ms).unwrap_or(NonZeroU64::MIN));
        Self { ends_ms, ..self }
    }

    /// When a session of this principal ends, in Unix ms. `None` if it does not end by itself.
    pub fn ends_ms(&self) -> Option<u64> {
        self.ends_ms.map(NonZeroU64::get)
    }

    /// Who vouches for it.
    pub fn origin(&self) -> &Origin {
        &self.known.origin
    }

    /// Whether both are the same user of the same origin, whatever else has changed: only then may one renew the other's
    /// session.
    pub fn is_same_user(&self, other: &Self) -> bool {
        self.known.user == other.known.user && self.known.origin == other.known.origin
    }

    /// Whether one was cloned from the other: not merely equal in what it holds, but from the same login data. Their ends
    /// may differ.
    pub fn is_clone_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.known, &other.known)
    }

    /// The user's name.
    pub fn user(&self) -> &UserName {
        &self.known.user
    }

    /// The roles, in configured order.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.known.roles.iter().map(|role| &**role)
    }

    /// Whether the principal has `role` (a full name).
    pub fn has_role(&self, role: &str) -> bool {
        self.known.roles.iter().any(|held| &**held == role)
    }

    /// What else is known of it.
    pub fn attributes(&self) -> &Attributes {
        &self.known.attributes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_names_follow_the_contract() {
        assert!(UserName::parse("alice").is_ok());
        assert!(UserName::parse(&format!("{}a", "ä".repeat(127))).is_ok());
        assert_eq!(UserName::parse(""), Err(UserNameError::Empty));
        assert_eq!(UserName::parse(&"ä".repeat(128)), Err(UserNameError::TooLong));
        assert_eq!(UserName::parse("a\nb"), Err(UserNameError::Control));
        assert_eq!(UserName::parse("a\u{85}b"), Err(UserNameError::Control));
        for trick in ["al\u{200b}ice", "\u{202e}ecila", "alice\u{2028}", "\u{feff}alice"] {
            assert_eq!(UserName::parse(trick), Err(UserNameError::Control), "{trick:?}");
        }
        assert!(UserName::parse("میترا\u{200c}ها").is_ok());
        assert!(UserName::parse("id:alice").is_ok());
        assert_eq!(UserName::with_password("a:b"), Err(UserNameError::Colon));
        assert!(UserName::with_password("alice").is_ok());
    }

    #[test]
    fn an_anonymous_session_has_a_name_and_a_role_of_its_own() {
        let one = Principal::anonymous("01").unwrap();
        assert_eq!(one.user().as_str(), "anonymous:01");
        assert_eq!(one.roles().collect::<Vec<_>>(), [ROLE_ANONYMOUS]);
        assert!(one.is_anonymous() && one.user().is_anonymous() && one.attributes().is_empty());
        assert!(UserName::with_password("anonymous:01").is_err());
        let user = UserName::parse("anonymous").unwrap();
        assert!(!user.is_anonymous() && !Principal::new(user, [ROLE_ANONYMOUS]).is_anonymous());
    }

    #[test]
    fn who_is_who_does_not_depend_on_roles_or_ends() {
        let alice = |origin, role: &str| {
            let name = UserName::parse("alice").unwrap();
            Principal::of(origin, name, [role], Attributes::default())
        };
        let issuer = |name: &str| Origin::Issuer(name.into());
        let old = alice(issuer("https://a.example"), ROLE_USER).ending(Some(1_000));
        assert_eq!(old.ends_ms(), Some(1_000));
        let renewed = alice(issuer("https://a.example"), ROLE_ADMIN).ending(Some(2_000));
        assert!(old.is_same_user(&renewed));
        assert!(!old.is_clone_of(&renewed));
        for other in [
            alice(issuer("https://b.example"), ROLE_USER),
            alice(Origin::Password, ROLE_USER),
            alice(Origin::Anonymous, ROLE_USER),
        ] {
            assert!(!old.is_same_user(&other), "{other:?}");
        }
        let bob = Principal::new(UserName::parse("bob").unwrap(), [ROLE_USER]);
        assert!(!alice(Origin::Password, ROLE_USER).is_same_user(&bob));
        assert!(old.is_clone_of(&old.clone().ending(None)));
        assert_eq!(old.clone().ending(None).ends_ms(), None);
        assert_eq!(
            old.ending(Some(0)).ends_ms(),
            Some(1),
            "it has ended, and has an end"
        );
    }
}
