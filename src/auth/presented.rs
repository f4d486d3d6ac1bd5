//! What a client presents, and which of several credentials counts: the first that is present, whether or not it is
//! usable. A client that presents two different users must not be logged in as the wrong one. Takes text: knows no
//! STOMP and no HTTP.

use super::credentials::Credentials;
use crate::setting::Secret;

/// A token's SHA-256.
pub type TokenDigest = [u8; 32];

/// A credential as presented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presented {
    /// A name and a password.
    Password(Credentials),
    /// A token, unread, and its SHA-256, if that has been computed.
    Token(Secret, Option<TokenDigest>),
    /// Something that no user could have.
    Unusable,
    /// Nothing.
    Nothing,
}

/// The places of a CONNECT, in order of precedence. An empty value counts as absent: many clients send every header
/// that they know, whether or not they have a value for it.
// No `Debug`: it would print credentials.
#[derive(Clone, Copy, Default)]
pub struct Places<'a> {
    /// CONNECT's `X-Authorization`.
    pub x_authorization: Option<&'a str>,
    /// CONNECT's `Authorization`.
    pub authorization: Option<&'a str>,
    /// CONNECT's `login`.
    pub login: Option<&'a str>,
    /// CONNECT's `passcode`; without `login` it is a token.
    pub passcode: Option<&'a str>,
    /// What the preceding HTTP request presented, in the form of an `Authorization` header.
    pub upgrade: Option<&'a str>,
}

impl Presented {
    /// The first credential that is present in the places of a CONNECT.
    pub fn at(places: Places<'_>) -> Self {
        if let Some(text) = filled(places.x_authorization).or_else(|| filled(places.authorization)) {
            return Self::bearer(text).unwrap_or_else(|| {
                Credentials::from_authorization(text).map_or(Self::Unusable, Self::Password)
            });
        }
        let login = places.login.filter(|text| !text.is_empty());
        // Blanks may be a password.
        let passcode = places.passcode.filter(|text| !text.is_empty());
        match (login, passcode) {
            (Some(login), Some(passcode)) => {
                Credentials::new(login, passcode).map_or(Self::Unusable, Self::Password)
            }
            (None, Some(token)) => Self::Token(Secret::new(token.trim_ascii()), None),
            // Only half of a pair.
            (Some(_), None) => Self::Unusable,
            (None, None) => filled(places.upgrade).map_or(Self::Nothing, Self::header),
        }
    }

    /// The value of HTTP's `Authorization`: `Basic` or `Bearer`.
    pub fn header(text: &str) -> Self {
        Self::bearer(text)
            .unwrap_or_else(|| Credentials::from_basic(text).map_or(Self::Unusable, Self::Password))
    }

    /// `Bearer <token>` (RFC 6750, section 2.1), the scheme in any case.
    fn bearer(text: &str) -> Option<Self> {
        let (scheme, token) = text.trim_ascii().split_once(' ')?;
        let token = token.trim_ascii();
        let is_bearer = scheme.eq_ignore_ascii_case("bearer");
        is_bearer.then(|| match token.is_empty() {
            true => Self::Unusable,
            false => Self::Token(Secret::new(token), None),
        })
    }
}

fn filled(place: Option<&str>) -> Option<&str> {
    place.filter(|text| !text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    // base64 of alice:secret.
    const BASE64: &str = "YWxpY2U6c2VjcmV0";

    fn password(user: &str) -> Presented {
        Presented::Password(Credentials::new(user, "secret").unwrap())
    }

    fn token(text: &str) -> Presented {
        Presented::Token(Secret::new(text), None)
    }

    #[test]
    fn the_first_place_that_is_filled_decides() {
        let basic = format!("Basic {BASE64}");
        let all = Places {
            x_authorization: Some("Bearer x"),
            authorization: Some("bearer a"),
            login: Some("bob"),
            passcode: Some("secret"),
            upgrade: Some(&basic),
        };
        let check = |places: Places<'_>, expected: Presented| {
            assert_eq!(Presented::at(places), expected);
        };
        check(all, token("x"));
        let blank = Some("  ");
        let without_x = Places {
            x_authorization: blank,
            ..all
        };
        check(without_x, token("a"));
        let pair = Places {
            authorization: Some(""),
            ..without_x
        };
        check(pair, password("bob"));
        check(Places { login: None, ..pair }, token("secret"));
        check(
            Places {
                login: Some(""),
                ..pair
            },
            token("secret"),
        );
        check(
            Places {
                passcode: None,
                ..pair
            },
            Presented::Unusable,
        );
        let upgrade = Places {
            login: None,
            passcode: Some(""),
            ..pair
        };
        check(upgrade, password("alice"));
        check(
            Places {
                upgrade: blank,
                ..upgrade
            },
            Presented::Nothing,
        );
        check(
            Places {
                upgrade: Some("Bearer u"),
                ..upgrade
            },
            token("u"),
        );
    }

    #[test]
    fn what_is_not_usable_does_not_fall_through() {
        for text in ["Bearer", "Bearer ", "Digest x", "Basic !", "x.y.z"] {
            let places = Places {
                x_authorization: Some(text),
                login: Some("bob"),
                passcode: Some("secret"),
                ..Places::default()
            };
            assert_eq!(Presented::at(places), Presented::Unusable, "{text:?}");
        }
        // Only STOMP accepts the bare base64.
        assert_eq!(Presented::header(BASE64), Presented::Unusable);
        assert_eq!(
            Presented::at(Places {
                authorization: Some(BASE64),
                ..Places::default()
            }),
            password("alice")
        );
    }
}
