//! Which of an instance's sessions send most. Knows the registry, no HTTP.

use serde::{Deserialize, Serialize};

use super::desk::Desk;
use super::question::{Question, Refused};
use crate::delivery::registry::{Registry, SenderView};
use crate::delivery::sent::By;

/// Most sessions that one instance names: some 50 KiB.
pub(crate) const TOP_MAX: usize = 100;

/// Which of your sessions send most?
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
            let senders = registry.senders(by, top).await;
            Ok(Senders { senders })
        }
    });
}
