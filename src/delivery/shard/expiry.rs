//! How a shard ends expired sessions, and reminds their clients before. Does nothing for a delivery: a session that
//! expires has one more timer.

use std::sync::Arc;

use super::Shard;
use crate::close_reason::CloseReason;
use crate::delivery::life::{Life, Verdict};
use crate::delivery::roster::Slot;
use crate::delivery::wheel::{Duty, Timer};
use crate::destination::{Path, Target};
use crate::envelope::Envelope;

impl Shard {
    /// The life of the session at `slot` begins, or is another from now on.
    pub(super) fn begin_life(&mut self, slot: Slot) {
        let tenancy = self.roster.tenancy(slot);
        let (now, remind_ms) = (self.wheel.now(), self.setting.remind_ms);
        let now_ms = (self.setting.unix_ms)();
        let Some((_, session)) = self.roster.get_mut(slot) else {
            return;
        };
        session.life = Life::default();
        let Some(ends_ms) = session.principal.ends_ms() else {
            return;
        };
        let left_ms = ends_ms.saturating_sub(now_ms);
        let (life, at) = Life::begin(now, left_ms, remind_ms, session.key.0);
        session.life = life;
        let timer = Timer {
            session: tenancy,
            duty: Duty::Live,
        };
        session.life.scheduled(self.wheel.schedule(at, timer));
    }

    /// A timer of [`Duty::Live`] is due.
    pub(super) fn live(&mut self, timer: Timer) {
        let (now, slot) = (self.wheel.now(), timer.session.slot);
        let now_ms = (self.setting.unix_ms)();
        let Some((_, session)) = self.roster.get_mut(slot) else {
            return;
        };
        let Some(ends_ms) = session.principal.ends_ms() else {
            return;
        };
        let left_ms = ends_ms.saturating_sub(now_ms);
        let (at, reminds) = match session.life.on_timer(now, left_ms, session.key.0) {
            Verdict::Void => return,
            Verdict::End => return self.doomed.push((slot, CloseReason::TokenExpired)),
            Verdict::Look(at) => (at, false),
            Verdict::Remind(at) => (at, true),
        };
        session.life.scheduled(self.wheel.schedule(at, timer));
        if reminds {
            self.remind(slot, left_ms);
        }
    }

    /// The session has subscribed to `target`: if that is where it is reminded, and it was to be reminded before, it is now.
    pub(super) fn remind_late(&mut self, slot: Slot, target: &Target) {
        let is_for_reminders =
            matches!(target, Target::User { path, .. } if path.as_str() == Path::REMINDERS);
        let Some((_, session)) = self.roster.get(slot).filter(|_| is_for_reminders) else {
            return;
        };
        if let Some(ends_ms) = session
            .principal
            .ends_ms()
            .filter(|_| session.life.is_reminding())
        {
            let left_ms = ends_ms.saturating_sub((self.setting.unix_ms)());
            self.remind(slot, left_ms);
        }
    }

    /// Tells the session alone, where it has subscribed to that, that it is about to end.
    fn remind(&mut self, slot: Slot, left_ms: u64) {
        let Some((_, session)) = self.roster.get(slot) else {
            return;
        };
        let target = Target::User {
            user: session.principal.user().clone(),
            path: Path::reminders(),
        };
        let body = format!(r#"{{"event":"expiring","expires_in_ms":{left_ms}}}"#);
        let envelope = Envelope::new(target, body).with_content_type("application/json");
        self.deliver_to(slot, &Arc::new(envelope));
    }
}
