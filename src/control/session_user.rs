//! The question of one instance to another, whose a session is, and the answer. Knows the registry, no HTTP. A question
//! that cannot be read is logged and answered with nobody.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::json;
use crate::delivery::registry::Registry;
use crate::principal::UserName;
use crate::telemetry::trace::decide::session_id;

/// The question for one instance: do you hold this session? Answer: [`SessionUserAnswer`].
pub const SESSION_USER: &str = "sessions.user";

#[derive(Debug, Serialize, Deserialize)]
struct Question {
    session: String,
}

/// The answer to [`SESSION_USER`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionUserAnswer {
    /// Whose it is; none: the instance that answers does not hold it.
    user: Option<String>,
}

impl SessionUserAnswer {
    /// Whose it is, as a name that was checked.
    pub fn user(&self) -> Option<UserName> {
        UserName::parse(self.user.as_deref()?).ok()
    }
}

/// The payload of [`SESSION_USER`].
pub fn question(session: &str) -> Bytes {
    json(&Question {
        session: session.into(),
    })
}

/// Answers [`SESSION_USER`] for this instance.
pub async fn answer_session_user(registry: &Registry, payload: Bytes) -> Bytes {
    let session = read(&payload);
    if session.is_none() {
        tracing::warn!(kind = SESSION_USER, "a control message cannot be read");
    }
    let user = match session {
        Some(session) => registry.user_of(&session).await,
        None => None,
    };
    json(&SessionUserAnswer {
        user: user.map(|user| user.to_string()),
    })
}

fn read(payload: &[u8]) -> Option<Box<str>> {
    let question: Question = serde_json::from_slice(payload).ok()?;
    session_id(&question.session)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_and_answers_are_read_back_and_checked() {
        let id = "01JDEXAMPRE0000000000000AA";
        assert_eq!(read(&question(id)).as_deref(), Some(id));
        for hostile in [&b""[..], b"{}", b"[]", br#"{"session":"x"}"#, b"\xff"] {
            assert_eq!(read(hostile), None);
        }
        let check = |user: Option<&str>, expected: bool| {
            let answer = SessionUserAnswer {
                user: user.map(Into::into),
            };
            assert_eq!(answer.user().is_some(), expected, "{user:?}");
        };
        check(Some("älice"), true);
        check(Some("a:b"), false);
        check(None, false);
    }
}
