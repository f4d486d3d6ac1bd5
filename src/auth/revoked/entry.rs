//! One revocation: whom it applies to, and until when. Instances exchange its JSON, and stores keep it. Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use ulid::Ulid;

use crate::deceptive::is_deceptive;
use crate::principal::UserName;
use crate::setting::as_text;

/// The maximum length of an issuer's name, in bytes.
pub(crate) const ISSUER_MAX_BYTES: usize = 1_024;
/// The maximum length of a `jti`, in bytes: a token with a longer one is refused anyway.
pub(crate) const TOKEN_ID_MAX_BYTES: usize = 255;
/// The maximum number of characters of a reason and of an operator's name.
pub(crate) const WORDS_MAX_CHARS: usize = 300;

/// The id of a revocation. Every id is unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RevocationId(Ulid);

impl RevocationId {
    /// A new id. Later ids are greater.
    pub(crate) fn new() -> Self {
        Self(Ulid::new())
    }

    /// Its bits, which are practically random.
    pub(super) fn bits(self) -> u128 {
        self.0.0
    }
}

impl fmt::Display for RevocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RevocationId {
    type Err = String;

    /// Its only text form.
    fn from_str(text: &str) -> Result<Self, String> {
        let id = Ulid::from_string(text).ok();
        id.filter(|id| id.to_string() == text)
            .map(Self)
            .ok_or_else(|| "expected the id of a revocation".into())
    }
}

as_text!(RevocationId);

/// Whom a revocation applies to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Whom {
    /// The holder of this token.
    Token {
        /// `iss`
        issuer: Box<str>,
        /// `jti`
        id: Box<str>,
    },
    /// The holders of tokens of this user, of this issuer, or both, that were issued up to a moment (Unix ms).
    Issued {
        user: Option<UserName>,
        issuer: Option<Box<str>>,
        up_to_ms: u64,
    },
    /// This user, with any credential.
    Block(UserName),
}

impl Whom {
    /// The user that it names, if any.
    pub(crate) fn user(&self) -> Option<&UserName> {
        match self {
            Self::Token { .. } => None,
            Self::Issued { user, .. } => user.as_ref(),
            Self::Block(user) => Some(user),
        }
    }
}

/// One revocation. Of two with the same id the greater one applies everywhere: a lifted one is greater than one that is
/// not lifted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub(crate) struct Revocation {
    /// Whether it is lifted. It is nevertheless kept until its end, so that an instance that still has the earlier form
    /// cannot bring it back.
    pub lifted: bool,
    /// When it ends, in Unix ms.
    pub until_ms: u64,
    /// Whom it applies to.
    pub whom: Whom,
    /// Its id.
    pub id: RevocationId,
    /// When it was made, in Unix ms.
    pub since_ms: u64,
    /// The operator who made it.
    pub by: Box<str>,
    /// Why, in the operator's words.
    pub reason: Option<Box<str>>,
}

impl Revocation {
    /// The reason, in the operator's words.
    pub(crate) fn lifted(&self) -> Self {
        Self {
            lifted: true,
            ..self.clone()
        }
    }
}

/// The same revocation, lifted.
#[derive(Serialize, Deserialize)]
struct Wire {
    id: RevocationId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<UserName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issuer: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_id: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issued_up_to_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "is_false")]
    block: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    lifted: bool,
    since_ms: u64,
    until_ms: u64,
    #[serde(default, deserialize_with = "clean")]
    by: Box<str>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "clean_too"
    )]
    reason: Option<Box<str>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(value: &bool) -> bool {
    !value
}

/// For people only, so it is shortened and cleaned rather than refused.
pub(crate) fn legible(text: &str) -> Box<str> {
    let legible = text.chars().filter(|character| !is_deceptive(*character));
    legible.take(WORDS_MAX_CHARS).collect::<String>().into()
}

fn clean<'de, D: Deserializer<'de>>(text: D) -> Result<Box<str>, D::Error> {
    String::deserialize(text).map(|text| legible(&text))
}

fn clean_too<'de, D: Deserializer<'de>>(text: D) -> Result<Option<Box<str>>, D::Error> {
    Ok(Option::<String>::deserialize(text)?.map(|text| legible(&text)))
}

/// Whether `text` may be the name of an issuer here.
pub(crate) fn is_issuer(text: &str) -> bool {
    (1..=ISSUER_MAX_BYTES).contains(&text.len()) && !text.chars().any(is_deceptive)
}

/// Whether `text` may be the id of a token here.
pub(crate) fn is_token_id(text: &str) -> bool {
    (1..=TOKEN_ID_MAX_BYTES).contains(&text.len())
}

impl TryFrom<Wire> for Revocation {
    type Error = &'static str;

    fn try_from(wire: Wire) -> Result<Self, Self::Error> {
        let Wire {
            id,
            user,
            issuer,
            token_id,
            issued_up_to_ms,
            block,
            lifted,
            since_ms,
            until_ms,
            by,
            reason,
        } = wire;
        if issuer.as_deref().is_some_and(|issuer| !is_issuer(issuer))
            || token_id.as_deref().is_some_and(|id| !is_token_id(id))
        {
            return Err("not the name of an issuer or of a token");
        }
        let whom = match (token_id, issued_up_to_ms, block, issuer, user) {
            (Some(id), None, false, Some(issuer), None) => Whom::Token { issuer, id },
            (None, Some(_), false, None, None) => return Err("neither a user nor an issuer"),
            (None, Some(up_to_ms), false, issuer, user) => Whom::Issued {
                user,
                issuer,
                up_to_ms,
            },
            (None, None, true, None, Some(user)) => Whom::Block(user),
            _ => return Err("not one kind of revocation"),
        };
        Ok(Self {
            lifted,
            until_ms,
            whom,
            id,
            since_ms,
            by,
            reason,
        })
    }
}

impl From<Revocation> for Wire {
    fn from(of: Revocation) -> Self {
        let Revocation {
            lifted,
            until_ms,
            whom,
            id,
            since_ms,
            by,
            reason,
        } = of;
        let mut wire = Self {
            id,
            user: None,
            issuer: None,
            token_id: None,
            issued_up_to_ms: None,
            block: false,
            lifted,
            since_ms,
            until_ms,
            by,
            reason,
        };
        match whom {
            Whom::Token { issuer, id } => (wire.issuer, wire.token_id) = (Some(issuer), Some(id)),
            Whom::Issued {
                user,
                issuer,
                up_to_ms,
            } => {
                (wire.user, wire.issuer, wire.issued_up_to_ms) = (user, issuer, Some(up_to_ms));
            }
            Whom::Block(user) => (wire.user, wire.block) = (Some(user), true),
        }
        wire
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_json_is_the_wire() {
        for text in [
            r#"{"id":"01JDEXAMPRE0000000000000AA","issuer":"i","token_id":"t","since_ms":1,"until_ms":2,"by":"key:ops"}"#,
            r#"{"id":"01JDEXAMPRE0000000000000AA","user":"id:a","issued_up_to_ms":7,"since_ms":1,"until_ms":2,"by":""}"#,
            r#"{"id":"01JDEXAMPRE0000000000000AA","issuer":"i","issued_up_to_ms":7,"since_ms":1,"until_ms":2,"by":""}"#,
            r#"{"id":"01JDEXAMPRE0000000000000AA","user":"a","block":true,"lifted":true,"since_ms":1,"until_ms":2,"by":"x","reason":"left"}"#,
        ] {
            let read: Revocation = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), text);
        }
    }

    #[test]
    fn what_is_not_one_kind_is_refused() {
        let with = |members: &str| {
            let text = format!(
                r#"{{"id":"01JDEXAMPRE0000000000000AA","since_ms":1,"until_ms":2,"by":""{members}}}"#
            );
            serde_json::from_str::<Revocation>(&text)
        };
        for bad in [
            "",
            r#","user":"a""#,
            r#","block":true"#,
            r#","token_id":"t""#,
            r#","issued_up_to_ms":7"#,
            r#","user":"a","block":true,"issued_up_to_ms":7"#,
            r#","issuer":"","issued_up_to_ms":7"#,
            r#","issuer":"i","token_id":"""#,
            r#","user":"a\u200b","block":true"#,
            r#","user":"a","issued_up_to_ms":-1"#,
        ] {
            assert!(with(bad).is_err(), "{bad}");
        }
        let long = "x".repeat(ISSUER_MAX_BYTES + 1);
        assert!(with(&format!(r#","issuer":"{long}","issued_up_to_ms":7"#)).is_err());
        assert!("01jdexampre0000000000000aa".parse::<RevocationId>().is_err());
        let kept = with(r#","user":"a","block":true,"reason":"a\nb""#).unwrap();
        assert_eq!(kept.reason.as_deref(), Some("ab"));
    }
}
