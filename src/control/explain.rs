//! Which of an instance's sessions would get a notification. Knows the registry, no HTTP.

use serde::{Deserialize, Serialize};

use super::desk::Desk;
use super::question::{Question, fit};
use crate::delivery::explain::Explained;
use crate::delivery::registry::Registry;
use crate::destination::{Path, Target};
use crate::principal::UserName;

/// Most sessions of each kind that one instance names.
pub(crate) const NAMED_MAX: usize = 100;
/// Most bytes of each of an answer's lists: both fit into [`crate::bus::CONTROL_MAX_BYTES`].
const LIST_MAX_BYTES: usize = 128 << 10;

/// Who of your sessions would get a notification?
pub(crate) struct Explain;

impl Question for Explain {
    const KIND: &'static str = "sessions.explain";
    type Ask = Notification;
    type Answer = Explained;
}

/// Where the notification goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// Of a user's notification without the user prefix.
    path: Path,
    /// The user; `None` for a broadcast.
    user: Option<UserName>,
}

impl From<&Target> for Notification {
    fn from(target: &Target) -> Self {
        let (path, user) = match target {
            Target::Broadcast(path) => (path, None),
            Target::User { user, path } => (path, Some(user.clone())),
        };
        Self {
            path: path.clone(),
            user,
        }
    }
}

impl From<Notification> for Target {
    fn from(Notification { path, user }: Notification) -> Self {
        match user {
            None => Self::Broadcast(path),
            Some(user) => Self::User { user, path },
        }
    }
}

/// Answers [`Explain`].
pub(crate) fn register(desk: &mut Desk, registry: &Registry) {
    let registry = registry.clone();
    desk.answer::<Explain, _>(move |notification| {
        let registry = registry.clone();
        async move { Ok(explain(&registry, &notification.into()).await) }
    });
}

/// This instance's own answer, with its bounds.
pub(crate) async fn explain(registry: &Registry, target: &Target) -> Explained {
    bounded(registry.explain(target, NAMED_MAX).await, LIST_MAX_BYTES)
}

/// The same with at most `max_bytes` in each list. The counts beside them stay whole.
fn bounded(mut explained: Explained, max_bytes: usize) -> Explained {
    let reached = fit(&mut explained.reached, max_bytes);
    let missed = fit(&mut explained.missed, max_bytes);
    explained.truncated = reached || missed;
    explained
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::explain::{Missed, Why};

    #[test]
    fn an_answer_that_was_cut_says_so() {
        let missed = Missed {
            session: "s".into(),
            user: "anna".into(),
            why: Why::NotSubscribed,
            subscriptions: vec!["/queue/x".into()],
        };
        let one = serde_json::to_vec(&missed).unwrap().len() + 1;
        let explained = Explained {
            missed: vec![missed.clone(), missed],
            missed_count: 7,
            ..Explained::default()
        };
        for (room, kept, truncated) in [(2 * one, 2, false), (2 * one - 1, 1, true), (0, 0, true)] {
            let answer = bounded(explained.clone(), room);
            assert_eq!(
                (answer.missed.len(), answer.missed_count, answer.truncated),
                (kept, 7, truncated),
                "{room}"
            );
        }
    }
}
