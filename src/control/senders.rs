//! Which of an instance's sessions and users send most. Knows the registry, no HTTP.

use serde::{Deserialize, Serialize};

use super::desk::Desk;
use super::question::{Question, Refused};
use crate::delivery::registry::{Registry, SenderView};
use crate::delivery::sent::By;
use crate::delivery::sent::users::UserSent;

/// Most sessions and most users that one instance names: some 50 KiB each.
pub(crate) const TOP_MAX: usize = 100;

/// Which of your sessions and users send most?
pub(crate) struct ListSenders;

impl Question for ListSenders {
    const KIND: &'static str = "sessions.senders";
    type Ask = Top;
    type Answer = Senders;
}

/// How many, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Top {
    /// At most so many, up to [`TOP_MAX`].
    pub top: usize,
    /// By what.
    pub by: By,
}

/// The answer to [`ListSenders`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Senders {
    /// Whoever sends most comes first.
    pub senders: Vec<SenderView>,
    /// Likewise, at most [`TOP_MAX`]: who is not among the first of one instance may be among those of the cluster. An instance of an
    /// earlier version does not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<UserSent>,
}

/// Answers [`ListSenders`].
pub(crate) fn register(desk: &mut Desk, registry: &Registry) {
    let registry = registry.clone();
    desk.answer::<ListSenders, _>(move |Top { top, by }| {
        let registry = registry.clone();
        async move {
            if top > TOP_MAX {
                return Err(Refused::Bound("more senders than an instance names"));
            }
            Ok(senders_of(&registry, Top { top, by }).await)
        }
    });
}

/// Those of this instance.
pub(crate) async fn senders_of(registry: &Registry, Top { top, by }: Top) -> Senders {
    Senders {
        senders: registry.senders(by, top).await,
        users: registry.sending_users(by, TOP_MAX).await,
    }
}
