//! What instances ask and tell each other about sessions and themselves over the bus's control channel, and the receiving
//! side of it. Knows the registry; no bus and no HTTP. A payload that cannot be read is logged and does nothing.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::close_reason::CloseReason;
use crate::delivery::registry::{Registry, SessionView};
use crate::principal::UserName;

pub mod describe;
pub mod explain;
pub mod log_level;
pub mod session_user;

/// The question for one instance: which sessions does this user have with you? Answer: [`SessionsListAnswer`].
pub const SESSIONS_LIST: &str = "sessions.list";
/// To every instance: close this user's sessions with 4403.
pub const DISCONNECT: &str = "sessions.disconnect";

/// Most bytes of sessions in one answer: well under what NATS carries, whatever its `max_payload`.
const ANSWER_MAX_BYTES: usize = 256 << 10;

/// The question [`SESSIONS_LIST`].
#[derive(Debug, Serialize, Deserialize)]
struct SessionsList {
    user: String,
}

/// The answer to [`SESSIONS_LIST`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionsListAnswer {
    /// The user's sessions on the instance that answers.
    pub sessions: Vec<SessionView>,
    /// Whether some were left out.
    #[serde(default)]
    pub truncated: bool,
}

/// [`DISCONNECT`].
#[derive(Debug, Serialize, Deserialize)]
struct Disconnect {
    user: String,
    /// Who asked for it, for the logs of the instances that do it.
    by: String,
}

/// The payload of [`SESSIONS_LIST`].
pub fn sessions_list(user: &UserName) -> Bytes {
    json(&SessionsList {
        user: user.to_string(),
    })
}

/// The payload of [`DISCONNECT`]; `by` names the operator.
pub fn disconnect(user: &UserName, by: &str) -> Bytes {
    json(&Disconnect {
        user: user.to_string(),
        by: by.into(),
    })
}

/// Answers [`SESSIONS_LIST`] for this instance.
pub async fn answer_sessions_list(registry: &Registry, payload: Bytes) -> Bytes {
    let sessions = match read_user::<SessionsList>(SESSIONS_LIST, &payload, |question| &question.user) {
        Some((user, _)) => registry.sessions_of(&user).await,
        None => Vec::new(),
    };
    json(&fit(sessions, ANSWER_MAX_BYTES))
}

/// Does what [`DISCONNECT`] tells this instance.
pub async fn apply_disconnect(registry: &Registry, payload: Bytes) {
    if let Some((user, order)) = read_user::<Disconnect>(DISCONNECT, &payload, |order| &order.user) {
        tracing::info!(target: "herald::audit", action = "disconnect-user", by = %order.by, user = %user,
            "closing a user's sessions on this instance");
        registry.close_user(&user, CloseReason::Disconnected).await;
    }
}

fn read_user<T: for<'a> Deserialize<'a>>(
    kind: &str,
    payload: &[u8],
    user: impl Fn(&T) -> &str,
) -> Option<(UserName, T)> {
    let read = serde_json::from_slice::<T>(payload)
        .ok()
        .and_then(|message| Some((UserName::parse(user(&message)).ok()?, message)));
    if read.is_none() {
        tracing::warn!(kind, "a control message cannot be read");
    }
    read
}

/// The sessions, oldest first, that fit into `max_bytes` of JSON.
fn fit(mut sessions: Vec<SessionView>, max_bytes: usize) -> SessionsListAnswer {
    sessions.sort_by_key(|session| session.since_ms);
    let mut room = max_bytes;
    let fits = sessions
        .iter()
        .take_while(|session| match room.checked_sub(json(session).len() + 1) {
            Some(left) => {
                room = left;
                true
            }
            None => false,
        })
        .count();
    let truncated = fits < sessions.len();
    sessions.truncate(fits);
    SessionsListAnswer { sessions, truncated }
}

/// Plain structs of texts and numbers serialize into memory without fail; the type asks nevertheless.
fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(session: &str, since_ms: u64) -> SessionView {
        SessionView {
            session: session.into(),
            since_ms,
            address: [127, 0, 0, 1].into(),
            subscriptions: vec!["/queue/message".into()],
        }
    }

    #[test]
    fn an_answer_keeps_its_bound_and_says_so() {
        let one = json(&view("s", 1)).len() + 1;
        let check = |room, expected: &[&str], truncated| {
            let answer = fit(vec![view("b", 2), view("a", 1)], room);
            let names: Vec<_> = answer.sessions.iter().map(|view| view.session.as_str()).collect();
            assert_eq!(
                (names.as_slice(), answer.truncated),
                (expected, truncated),
                "{room}"
            );
        };
        check(0, &[], true);
        check(one, &["a"], true);
        check(2 * one, &["a", "b"], false);
    }

    #[test]
    fn payloads_are_read_back_and_checked() {
        let user = UserName::parse("älice").unwrap();
        let (read, order) =
            read_user::<Disconnect>(DISCONNECT, &disconnect(&user, "key:ops"), |order| &order.user).unwrap();
        assert_eq!((read, order.by.as_str()), (user.clone(), "key:ops"));
        let ask = |payload: &[u8]| {
            read_user::<SessionsList>(SESSIONS_LIST, payload, |q| &q.user).map(|read| read.0)
        };
        assert_eq!(ask(&sessions_list(&user)), Some(user));
        for hostile in [
            &b""[..],
            b"{}",
            b"[]",
            br#"{"user":""}"#,
            br#"{"user":"a:b"}"#,
            b"\xff",
        ] {
            assert_eq!(ask(hostile), None);
        }
    }
}
