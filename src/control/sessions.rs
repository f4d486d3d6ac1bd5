//! One user's sessions on an instance, listed or closed. Knows the registry, no HTTP.

use serde::{Deserialize, Serialize};

use super::desk::Desk;
use super::question::{Question, Statement, fit, operator};
use crate::close_reason::CloseReason;
use crate::delivery::registry::{Registry, SessionView};
use crate::instance::InstanceId;
use crate::principal::UserName;
use crate::telemetry::audit::Audit;
use crate::telemetry::audit::event::{Event, What};

pub(crate) mod again;

/// Most bytes of sessions in one answer, within [`crate::bus::CONTROL_MAX_BYTES`].
const ANSWER_MAX_BYTES: usize = 256 << 10;

/// Which sessions does this user have with you?
pub(crate) struct ListSessions;

impl Question for ListSessions {
    const KIND: &'static str = "sessions.list";
    type Ask = OfUser;
    type Answer = Sessions;
}

/// Whose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OfUser {
    /// The user.
    pub user: UserName,
}

/// The answer to [`ListSessions`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sessions {
    /// The user's sessions on the instance that answers, oldest first.
    pub sessions: Vec<SessionView>,
    /// Whether some were left out.
    #[serde(default)]
    pub truncated: bool,
}

/// To every instance: close this user's sessions with 4403.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Disconnect {
    /// The user.
    pub user: UserName,
    /// The operator who asked for it, for the logs of the instances that do it.
    #[serde(deserialize_with = "operator")]
    pub by: String,
    /// The instance that tells it, which has done it already. Missing from an older one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<InstanceId>,
}

impl Statement for Disconnect {
    const KIND: &'static str = "sessions.disconnect";
}

/// Answers [`ListSessions`] and obeys [`Disconnect`] and [`again::DisconnectAgain`], which `audit` is told, unless it comes from `own`.
pub(crate) fn register(desk: &mut Desk, registry: &Registry, audit: &Audit, own: InstanceId) {
    let sessions = registry.clone();
    desk.answer::<ListSessions, _>(move |OfUser { user }| {
        let registry = sessions.clone();
        async move { Ok(sessions_of(&registry, &user).await) }
    });
    again::register(desk, registry, audit, own);
    let (registry, audit) = (registry.clone(), audit.clone());
    desk.listen(move |order: Disconnect| {
        let (registry, audit) = (registry.clone(), audit.clone());
        async move {
            if order.from != Some(own) {
                order.obey(&registry, &audit).await;
            }
            Ok(())
        }
    });
}

impl Disconnect {
    /// Closes the user's sessions on this instance.
    pub(crate) async fn obey(&self, registry: &Registry, audit: &Audit) {
        audit.done(Event::DisconnectUser, &self.by, &What::user(self.user.as_str()));
        registry.close_user(&self.user, CloseReason::Disconnected).await;
    }
}

/// The user's sessions on this instance, with the bound of an answer.
pub(crate) async fn sessions_of(registry: &Registry, user: &UserName) -> Sessions {
    answer(registry.sessions_of(user).await, ANSWER_MAX_BYTES)
}

fn answer(mut sessions: Vec<SessionView>, max_bytes: usize) -> Sessions {
    sessions.sort_by_key(|session| session.since_ms);
    let truncated = fit(&mut sessions, max_bytes);
    Sessions { sessions, truncated }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::ControlMessage;
    use crate::control::question::Payload;

    fn view(session: &str, since_ms: u64) -> SessionView {
        SessionView {
            session: session.into(),
            since_ms,
            address: [127, 0, 0, 1].into(),
            subscriptions: vec!["/queue/message".into()],
            sent: None,
        }
    }

    #[test]
    fn an_answer_keeps_its_bound_and_says_so() {
        let one = serde_json::to_vec(&view("s", 1)).unwrap().len() + 1;
        let check = |room, expected: &[&str], truncated| {
            let answer = answer(vec![view("b", 2), view("a", 1)], room);
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

    #[tokio::test]
    async fn an_order_of_its_own_is_not_obeyed_again() {
        let (audit, _guard, kept) = Audit::kept();
        let (own, other) = (InstanceId::random(), InstanceId::random());
        let mut desk = Desk::default();
        register(&mut desk, &crate::http::tests::registry(), &audit, own);
        for (from, user) in [(Some(own), "own"), (Some(other), "other"), (None, "older")] {
            let order = Disconnect {
                user: UserName::parse(user).unwrap(),
                by: "key:ops".into(),
                from,
            };
            desk.handle(ControlMessage {
                kind: Disconnect::KIND.into(),
                payload: order.to_payload(),
                responder: None,
            })
            .await;
        }
        let users: Vec<_> = kept
            .lines(2)
            .iter()
            .map(|line| line["what"]["user"].clone())
            .collect();
        assert_eq!(users, ["other", "older"]);
    }
}
