//! The meaning of a backend's answer: a user, a refusal, or nothing usable. Pure and strict: only a clear acceptance
//! lets anybody in, and only a clear refusal counts against the credential.

use serde::Deserialize;

use crate::auth::roles::RoleRules;
use crate::auth::token::json;
use crate::principal::{Attributes, Origin, Principal, TokenMark, UserName};

/// The longest answer, in bytes.
pub const ANSWER_MAX_BYTES: usize = 16 << 10;

/// How the answers of a backend are read.
#[derive(Debug)]
pub(super) struct Reading {
    /// The prefix of its users' names.
    pub(super) prefix: Box<str>,
    pub(super) roles: RoleRules,
}

/// What a backend answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The credential belongs to this user.
    User(Principal),
    /// The credential is refused.
    Refused,
    /// The credential was right, but has expired.
    Expired,
}

/// Why an answer cannot be used, in words that repeat none of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unusable(pub(super) &'static str);

#[derive(Deserialize)]
struct Read {
    user: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    attributes: Attributes,
    expires_in_ms: Option<u64>,
    refused: Option<Words>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    Flag(bool),
    Words(String),
}

impl Reading {
    /// Reads an answer that arrived at `now_ms` to a question asked at `asked_ms`. `is_own` says whether Herald itself
    /// has a user with this name.
    pub(super) fn read(
        &self,
        answer: &[u8],
        asked_ms: u64,
        now_ms: u64,
        is_own: impl FnOnce(&str) -> bool,
    ) -> Result<Answer, Unusable> {
        if answer.len() > ANSWER_MAX_BYTES {
            return Err(Unusable("it has more than 16 KiB"));
        }
        let read = json::object(answer).map(|object| serde_json::from_value(object.into()));
        let read: Read = read.and_then(Result::ok).ok_or({
            Unusable("it is not JSON of the form {\"user\":…,\"roles\":[…],\"attributes\":{…},\"expires_in_ms\":…} or {\"refused\":true}")
        })?;
        let own = match (read.user, read.refused) {
            (Some(user), None | Some(Words::Flag(false))) => user,
            (None, Some(Words::Flag(true))) => return Ok(Answer::Refused),
            (None, Some(Words::Words(words))) => {
                return Ok(match &*words {
                    "expired" => Answer::Expired,
                    _ => Answer::Refused,
                });
            }
            (None, _) => return Err(Unusable("it has neither a user nor a refusal")),
            (Some(_), Some(_)) => return Err(Unusable("it has both a user and a refusal")),
        };
        if read.expires_in_ms == Some(0) {
            return Ok(Answer::Expired);
        }
        let user = self
            .name(&own)
            .ok_or(Unusable("its user has a name that no user can have"))?;
        if is_own(user.as_str()) {
            return Err(Unusable(
                "its user has the name of a user with a password of Herald's",
            ));
        }
        let roles = self.roles.of(read.roles.iter().map(String::as_str));
        let principal = Principal::of(Origin::Callout, user, roles, read.attributes);
        let ends_ms = read.expires_in_ms.map(|ms| now_ms.saturating_add(ms));
        let mark = TokenMark {
            id: None,
            earliest_ms: asked_ms,
            key: None,
        };
        Ok(Answer::User(principal.by_token(mark).ending(ends_ms)))
    }

    /// The name with its prefix, which ends with `:`. Without a prefix, a name may not contain `:`, just as no user
    /// with a password may.
    fn name(&self, own: &str) -> Option<UserName> {
        let meets = self.prefix.is_empty() && own.contains(':');
        if own.is_empty() || meets {
            return None;
        }
        UserName::parse(&format!("{}{own}", self.prefix)).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn reading(prefix: &str) -> Reading {
        let role = |text: &str| text.parse().unwrap();
        let map = BTreeMap::from([("boss".to_owned(), role("ROLE_ADMIN"))]);
        Reading {
            prefix: prefix.into(),
            roles: RoleRules::new(&[role("ROLE_USER")], &map, &[role("ROLE_AUDIT")]),
        }
    }

    fn read(answer: &str) -> Result<Answer, Unusable> {
        reading("app:").read(answer.as_bytes(), 500, 1_000, |_| false)
    }

    fn user(answer: &str) -> Principal {
        match read(answer) {
            Ok(Answer::User(principal)) => principal,
            other => panic!("{answer}: {other:?}"),
        }
    }

    #[test]
    fn a_yes_names_a_user() {
        let ann = user(r#"{"user":"ann"}"#);
        assert_eq!(ann.user().as_str(), "app:ann");
        assert_eq!(ann.origin(), &Origin::Callout);
        assert_eq!(ann.roles().collect::<Vec<_>>(), ["ROLE_USER"]);
        assert_eq!(ann.ends_ms(), None);
        let ann = user(
            r#"{"user":"ann","roles":["ROLE_AUDIT","boss","ROLE_PUBLISHER","ROLE_ADMIN2"],"expires_in_ms":5,
                "attributes":{"tenant":"acme","plan":["a","b"]},"refused":false,"more":[1]}"#,
        );
        assert_eq!(
            ann.roles().collect::<Vec<_>>(),
            ["ROLE_USER", "ROLE_AUDIT", "ROLE_ADMIN"]
        );
        assert_eq!(ann.ends_ms(), Some(1_005));
        assert!(ann.attributes().has("tenant", "acme") && ann.attributes().has("plan", "b"));
        let far = user(&format!(r#"{{"user":"ann","expires_in_ms":{}}}"#, u64::MAX));
        assert_eq!(far.ends_ms(), Some(u64::MAX));
    }

    #[test]
    fn a_no_is_a_no() {
        for answer in [
            r#"{"refused":true}"#,
            r#"{"refused":"wrong password"}"#,
            r#"{"refused":""}"#,
        ] {
            assert_eq!(read(answer), Ok(Answer::Refused), "{answer}");
        }
        for answer in [r#"{"refused":"expired"}"#, r#"{"user":"ann","expires_in_ms":0}"#] {
            assert_eq!(read(answer), Ok(Answer::Expired), "{answer}");
        }
    }

    /// None of these lets anybody in, and none of them is a refusal.
    #[test]
    fn what_is_neither_is_of_no_use() {
        let many = format!(
            r#"{{"user":"ann","attributes":{{{}}}}}"#,
            (0..17)
                .map(|n| format!("\"a{n}\":\"x\""))
                .collect::<Vec<_>>()
                .join(",")
        );
        let long = format!(r#"{{"user":"{}"}}"#, "a".repeat(252));
        let large = format!(r#"{{"user":"ann","x":"{}"}}"#, "a".repeat(1 << 20));
        for answer in [
            "",
            "rubbish",
            "null",
            "[]",
            "{}",
            r#""ann""#,
            r#"{"user":"ann""#,
            r#"{"user":"ann"} x"#,
            r#"{"user":null}"#,
            r#"{"user":7}"#,
            r#"["ann",[],{},null,null]"#,
            r#"{"user":"ann","deep":[[[[[[[[1]]]]]]]]}"#,
            r#"{"user":""}"#,
            r#"{"user":"a\nb"}"#,
            r#"{"user":"a\u202eb"}"#,
            r#"{"user":"a\u0000"}"#,
            r#"{"user":"ann","user":"ben"}"#,
            r#"{"user":"ann","refused":true}"#,
            r#"{"user":"ann","refused":"no"}"#,
            r#"{"refused":false}"#,
            r#"{"refused":null}"#,
            r#"{"refused":1}"#,
            r#"{"user":"ann","roles":"ROLE_ADMIN"}"#,
            r#"{"user":"ann","roles":[1]}"#,
            r#"{"user":"ann","expires_in_ms":-1}"#,
            r#"{"user":"ann","expires_in_ms":"5"}"#,
            r#"{"user":"ann","expires_in_ms":1.5}"#,
            r#"{"user":"ann","attributes":{"a/b":"x"}}"#,
            r#"{"user":"ann","attributes":{"a":[]}}"#,
            r#"{"user":"ann","attributes":[1]}"#,
            &many,
            &long,
            &large,
        ] {
            assert!(read(answer).is_err(), "{:.80}", answer);
        }
        assert!(
            reading("app:")
                .read(b"{\"user\":\"\xff\"}", 0, 0, |_| false)
                .is_err()
        );
    }

    #[test]
    fn without_a_prefix_its_users_are_none_of_heralds() {
        let read = |answer: &str| reading("").read(answer.as_bytes(), 0, 0, |name| name == "admin");
        assert!(matches!(read(r#"{"user":"ann"}"#), Ok(Answer::User(_))));
        for answer in [
            r#"{"user":"admin"}"#,
            r#"{"user":"id:ann"}"#,
            r#"{"user":"anonymous:01"}"#,
        ] {
            assert!(read(answer).is_err(), "{answer}");
        }
    }
}
