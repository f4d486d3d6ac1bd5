//! Reads a user's name and password from the forms in which clients send them. Knows no user and no hash.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::principal::USER_NAME_MAX_BYTES;
use crate::setting::Secret;

/// The longest password, in bytes of UTF-8. A longer one is unusable, however it is presented.
pub const PASSWORD_MAX_BYTES: usize = 1_024;

/// The longest `user:password`, in bytes.
const PAIR_MAX_BYTES: usize = USER_NAME_MAX_BYTES + 1 + PASSWORD_MAX_BYTES;
/// The longest base64 of it, with padding.
const BASE64_MAX_BYTES: usize = PAIR_MAX_BYTES.div_ceil(3) * 4;

/// The standard alphabet (RFC 4648 section 4). Padding carries no information, so it is optional.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A name and a password as presented, unchecked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name as presented; it may not be a valid user name.
    pub user: String,
    /// The password.
    pub password: Secret,
}

impl Credentials {
    /// A name and a password presented separately, as STOMP's `login` and `passcode`. `None` if they are too long or
    /// contain control characters, which no user has (RFC 7617 section 2).
    pub fn new(user: &str, password: &str) -> Option<Self> {
        let usable = user.len() <= USER_NAME_MAX_BYTES
            && password.len() <= PASSWORD_MAX_BYTES
            && !user.chars().chain(password.chars()).any(char::is_control);
        usable.then(|| Self {
            user: user.to_owned(),
            password: Secret::new(password),
        })
    }

    /// Reads the value of an `Authorization` header or of STOMP's `X-Authorization`: `Basic <base64>`, or the bare
    /// base64 of `user:password` (docs/auth.md). `None` for anything else, including `Bearer`.
    pub fn from_authorization(text: &str) -> Option<Self> {
        let text = text.trim_ascii();
        Self::from_basic(text).or_else(|| Self::from_base64(text))
    }

    /// Reads `Basic <base64>` and nothing else (RFC 7617): the scheme in any case, UTF-8, split at the first colon.
    pub fn from_basic(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim_ascii().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        Self::from_base64(rest.trim_ascii_start())
    }

    fn from_base64(text: &str) -> Option<Self> {
        if text.len() > BASE64_MAX_BYTES {
            return None;
        }
        let pair = Zeroizing::new(BASE64.decode(text).ok()?);
        let (user, password) = std::str::from_utf8(&pair).ok()?.split_once(':')?;
        Self::new(user, password)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, &str)>) {
        let found = Credentials::from_authorization(text);
        let found = found
            .as_ref()
            .map(|found| (found.user.as_str(), found.password.expose()));
        assert_eq!(found, expected, "{text:?}");
    }

    fn base64(text: &str) -> String {
        base64::engine::general_purpose::STANDARD.encode(text)
    }

    #[test]
    fn basic_follows_rfc_7617() {
        // The two examples of RFC 7617, section 2 and section 2.1.
        check(
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            Some(("Aladdin", "open sesame")),
        );
        check("Basic dGVzdDoxMjPCow==", Some(("test", "123£")));
        check("bAsIc   dGVzdDoxMjPCow", Some(("test", "123£")));
        check("  Basic dGVzdDoxMjPCow== ", Some(("test", "123£")));
        check(&format!("Basic {}", base64("a:b:c")), Some(("a", "b:c")));
        check(&format!("Basic {}", base64(":x")), Some(("", "x")));
        check(&format!("Basic {}", base64("x:")), Some(("x", "")));
    }

    #[test]
    fn bare_base64_is_basic_without_its_scheme() {
        check(&base64("test1:test"), Some(("test1", "test")));
        check("dGVzdDoxMjPCow", Some(("test", "123£")));
        assert_eq!(Credentials::from_basic(&base64("test1:test")), None);
    }

    #[test]
    fn what_is_no_credentials_is_unusable() {
        for text in ["", " ", "Basic", "Basic ", "Basic !!!!", "test1:test"] {
            check(text, None);
        }
        check(&format!("Bearer {}", base64("a:b")), None);
        check(&format!("Basic\t{}", base64("a:b")), None);
        check(&format!("Basic {} x", base64("a:b")), None);
        check(&base64("no colon"), None);
        check("Basic _-_-", None);
        check("Basic /zo6/w==", None);
        check(&base64("a:b\nc"), None);
        check(&base64("a\0:b"), None);
    }

    #[test]
    fn sizes_are_bounded() {
        let longest = ("u".repeat(USER_NAME_MAX_BYTES), "p".repeat(PASSWORD_MAX_BYTES));
        check(
            &base64(&format!("{}:{}", longest.0, longest.1)),
            Some((&longest.0, &longest.1)),
        );
        check(&base64(&format!("u:{}p", longest.1)), None);
        check(&base64(&format!("{}u:p", longest.0)), None);
        check(&"A".repeat(1 << 20), None);
    }
}
