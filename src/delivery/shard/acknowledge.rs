//! How a shard handles ACK and NACK: they make room in a window, and what the window held is sent.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::Shard;
use crate::delivery::command::Acknowledgement;
use crate::delivery::fanout::write::{Sent, send_one};
use crate::delivery::outbox::Outbox;
use crate::delivery::roster::Slot;
use crate::delivery::window::{Held, Window};
use crate::envelope::unix_ms;

impl Shard {
    /// Handles an ACK or NACK. Herald redelivers nothing, so both make room alike and differ only in their count.
    pub(super) fn acknowledge(&mut self, slot: Slot, ack: &Acknowledgement) {
        let Some((_, session)) = self.roster.get_mut(slot) else {
            return;
        };
        let now = Instant::now();
        let counters = &self.setting.counters;
        let mut settled = 0;
        // Only STOMP 1.0 names no subscription: the message's id then decides among the session's few.
        for held in &mut session.subscriptions {
            let named = ack.subscription.is_none_or(|number| number == held.number);
            let Some(window) = held.window.as_deref_mut().filter(|_| named) else {
                continue;
            };
            let count = window.acknowledge(&ack.message_id, now, |took, trail| {
                if ack.positive {
                    let trace = trail.map(|trail| trail.context());
                    self.setting.trail.acknowledged(took, trace);
                }
                if let Some(trail) = trail {
                    trail.acknowledged(ack.positive, &ack.trace);
                }
            });
            let counter = if ack.positive {
                &counters.acknowledged
            } else {
                &counters.refused
            };
            counter.fetch_add(count as u64, Ordering::Relaxed);
            settled += count;
        }
        match settled {
            0 => session.outbox.acks().miss(1),
            _ => {
                session.outbox.acks().settled(settled);
                self.release(slot, now);
            }
        }
    }

    /// Sends what the windows of a session admit.
    fn release(&mut self, slot: Slot, now: Instant) {
        let tick = self.wheel.now();
        let Some((hot, session)) = self.roster.get_mut(slot) else {
            return;
        };
        let outbox = &session.outbox;
        let (mut written, mut queued) = (0, 0);
        for held in &mut session.subscriptions {
            let Some(window) = held.window.as_deref_mut() else {
                continue;
            };
            while let Some(Held { id, frame }) = window.release() {
                outbox.release(frame.len());
                if frame.expires_at_ms.is_some_and(|at| at <= unix_ms()) {
                    outbox.ledger().expired.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                let trail = frame.trail.clone();
                outbox.acks().awaits();
                match send_one(hot, outbox, frame, tick) {
                    Sent::Written => written += 1,
                    Sent::Queued => queued += 1,
                    Sent::Failed(reason) => {
                        self.doomed.push((slot, reason));
                        break;
                    }
                }
                window.sent(id, now, trail);
            }
        }
        self.setting
            .counters
            .written
            .fetch_add(written, Ordering::Relaxed);
        self.setting.counters.queued.fetch_add(queued, Ordering::Relaxed);
    }

    /// Drops the window of a subscription that ends: what was held is lost, what was not acknowledged is counted as
    /// such (STOMP rule A3: nothing is redelivered).
    pub(super) fn drop_window(&self, outbox: &Outbox, window: &Window) {
        let (bytes, messages) = window.held();
        outbox.release(bytes);
        let dropped = &outbox.ledger().dropped;
        dropped.fetch_add(messages as u64, Ordering::Relaxed);
        window.end();
        outbox.acks().settled(window.unacknowledged());
        let unacknowledged = &self.setting.counters.unacknowledged;
        unacknowledged.fetch_add(window.unacknowledged() as u64, Ordering::Relaxed);
    }
}
