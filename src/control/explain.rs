//! The question of one instance to another, who of its sessions would get a notification, and the answer. Knows no HTTP. A
//! question that cannot be read is logged and answered with nobody.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::json;
use crate::delivery::explain::Explained;
use crate::delivery::registry::Registry;
use crate::destination::{Path, Target};
use crate::principal::UserName;

/// The question for one instance. Answer: [`Explained`].
pub const EXPLAIN: &str = "sessions.explain";

/// Most sessions of each kind that one instance names.
pub const NAMED_MAX: usize = 100;
/// Most bytes of each of an answer's lists: well under what NATS carries, whatever its `max_payload`.
const LIST_MAX_BYTES: usize = 128 << 10;

#[derive(Debug, Serialize, Deserialize)]
struct Question {
    path: String,
    user: Option<String>,
}

/// The payload of [`EXPLAIN`].
pub fn question(target: &Target) -> Bytes {
    let (path, user) = match target {
        Target::Broadcast(path) => (path, None),
        Target::User { user, path } => (path, Some(user.to_string())),
    };
    json(&Question {
        path: path.to_string(),
        user,
    })
}

/// Answers [`EXPLAIN`] for this instance.
pub async fn answer_explain(registry: &Registry, payload: Bytes) -> Bytes {
    let explained = match read(&payload) {
        Some(target) => explain(registry, &target).await,
        None => {
            tracing::warn!(kind = EXPLAIN, "a control message cannot be read");
            Explained::default()
        }
    };
    json(&explained)
}

/// This instance's own answer, with its bounds.
pub async fn explain(registry: &Registry, target: &Target) -> Explained {
    let mut explained = registry.explain(target, NAMED_MAX).await;
    fit(&mut explained.reached, LIST_MAX_BYTES);
    fit(&mut explained.missed, LIST_MAX_BYTES);
    explained
}

fn read(payload: &[u8]) -> Option<Target> {
    let question: Question = serde_json::from_slice(payload).ok()?;
    let path = Path::parse(&question.path).ok()?;
    Some(match question.user {
        None => Target::Broadcast(path),
        Some(user) => Target::User {
            user: UserName::parse(&user).ok()?,
            path,
        },
    })
}

/// Cuts the list to what fits into `max_bytes` of JSON; the counts beside it stay whole.
fn fit<T: Serialize>(list: &mut Vec<T>, max_bytes: usize) {
    let mut room = max_bytes;
    let fits = list
        .iter()
        .take_while(|item| match room.checked_sub(json(item).len() + 1) {
            Some(left) => {
                room = left;
                true
            }
            None => false,
        })
        .count();
    list.truncate(fits);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_read_back_and_checked() {
        let path = Path::parse("/queue/x").unwrap();
        let user = UserName::parse("älice").unwrap();
        for target in [Target::Broadcast(path.clone()), Target::User { user, path }] {
            assert_eq!(read(&question(&target)), Some(target));
        }
        for hostile in [
            &b""[..],
            b"{}",
            b"[]",
            br#"{"path":"no slash"}"#,
            br#"{"path":"/queue/x","user":""}"#,
            b"\xff",
        ] {
            assert_eq!(read(hostile), None);
        }
    }

    #[test]
    fn a_list_keeps_its_bound() {
        let one = json(&"x".repeat(10)).len() + 1;
        let mut list = vec!["x".repeat(10); 5];
        fit(&mut list, 3 * one + 1);
        assert_eq!(list.len(), 3);
    }
}
