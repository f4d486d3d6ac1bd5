//! Finds the user of a session by asking the instances that may hold it. Knows the registry, no HTTP.

use serde::{Deserialize, Serialize};

use super::desk::Desk;
use super::question::{Question, Refused};
use crate::delivery::registry::Registry;
use crate::principal::UserName;
use crate::telemetry::trace::decide::session_id;

/// Do you hold this session, and whose is it?
pub(crate) struct FindSession;

impl Question for FindSession {
    const KIND: &'static str = "sessions.user";
    type Ask = OfSession;
    type Answer = Holder;
}

/// Which session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OfSession {
    /// CONNECTED's `session`.
    pub session: String,
}

/// The answer to [`FindSession`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holder {
    /// Whose it is; `None` if the instance that answers does not hold it.
    pub user: Option<UserName>,
}

/// Answers [`FindSession`].
pub(crate) fn register(desk: &mut Desk, registry: &Registry) {
    let registry = registry.clone();
    desk.answer::<FindSession, _>(move |OfSession { session }| {
        let registry = registry.clone();
        async move {
            let session = session_id(&session).ok_or(Refused::Malformed)?;
            let user = registry.user_of(&session).await;
            Ok(Holder { user })
        }
    });
}
