//! How a shard renews a session: from now on it belongs to another principal, every subscription is judged again, and
//! it expires at another time. All in one command, so that no notification passes between the judgement and the loss of
//! a subscription. Knows no permissions: [`Judge`] decides.

use super::Shard;
use crate::delivery::command::{Judge, Lost};
use crate::delivery::roster::{Session, Slot, Subscribed, To};
use crate::destination::Target;
use crate::principal::Principal;

impl Shard {
    /// Gives the session to `principal`, the same user's. Returns the subscriptions that `judge` took from it; what waits of them is
    /// dropped, as with UNSUBSCRIBE.
    pub(super) fn renew(&mut self, slot: Slot, principal: Principal, judge: &Judge) -> Vec<Lost> {
        if let Some((_, session)) = self.roster.get_mut(slot) {
            session.principal = principal;
        }
        let lost = self.not_permitted(slot, judge);
        for lost in &lost {
            self.unsubscribe(slot, lost.number, None);
        }
        self.begin_life(slot);
        lost
    }

    /// What the session has subscribed to, and may not any more; also what waits for its replay.
    fn not_permitted(&self, slot: Slot, judge: &Judge) -> Vec<Lost> {
        let Some((_, session)) = self.roster.get(slot) else {
            return Vec::new();
        };
        let refused = session.subscriptions.iter().filter(|held| {
            let target = self.target_of(session, held);
            target.is_some_and(|target| !judge(&target))
        });
        let lost = refused.map(|held| Lost {
            number: held.number,
            destination: self.as_subscribed(session, held).unwrap_or_default().into(),
        });
        lost.collect()
    }

    fn target_of(&self, session: &Session, held: &Subscribed) -> Option<Target> {
        match &held.to {
            To::Broadcast(place) => self.topics.path(place.group).cloned().map(Target::Broadcast),
            To::User { path, .. } => Some(Target::User {
                user: session.principal.user().clone(),
                path: path.clone(),
            }),
            To::Held { .. } => self.resuming.target(session.key, held.number).cloned(),
        }
    }
}
