//! How a shard sends to subscriptions that acknowledge: as much as their window lets pass, the rest held within the
//! outbox's bound until an ACK makes room.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::send::{Sent, send_one};
use super::{Hot, Session, Shard};
use crate::close_reason::CloseReason;
use crate::delivery::command::{Acknowledgement, SessionKey};
use crate::delivery::fanout::Frames;
use crate::delivery::outbox::Pushed;
use crate::delivery::window::{Held, Window};
use crate::envelope::{MessageId, unix_ms};

impl Shard {
    /// Takes an ACK or NACK: Herald redelivers nothing, so both make room alike and differ in their count only.
    pub(super) fn acknowledge(&mut self, key: SessionKey, ack: &Acknowledgement) {
        let Some(&slot) = self.by_key.get(&key) else {
            return;
        };
        let Some(session) = &mut self.sessions[slot as usize] else {
            return;
        };
        let now = Instant::now();
        let counters = &self.setting.counters;
        let mut freed = false;
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
            freed |= count > 0;
        }
        if freed {
            self.release(slot, now);
        }
    }

    /// Sends what the windows of a session let pass.
    fn release(&mut self, slot: u32, now: Instant) {
        let tick = self.wheel.now();
        let Some(session) = &mut self.sessions[slot as usize] else {
            return;
        };
        let (hot, outbox) = (&mut self.hot[slot as usize], &session.outbox);
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
}

/// What a windowed send came to.
#[derive(Default)]
pub(super) struct Windowed {
    pub written: u64,
    pub queued: u64,
    pub failed: Option<CloseReason>,
}

/// Sends `frames` to one subscription as far as its window lets them; the rest is held.
pub(super) fn send_windowed(
    hot: &mut Hot,
    session: &mut Session,
    number: u32,
    frames: &Frames,
    ids: &[MessageId],
    tick: u32,
    now: Instant,
) -> Windowed {
    let mut done = Windowed::default();
    let Session {
        outbox,
        subscriptions,
        ..
    } = session;
    let window = subscriptions.iter_mut().find(|held| held.number == number);
    let Some(window) = window.and_then(|held| held.window.as_deref_mut()) else {
        return done;
    };
    for (frame, id) in frames.outgoing(&mut None, number).zip(ids) {
        if window.room() > 0 {
            let trail = frame.trail.clone();
            match send_one(hot, outbox, frame, tick) {
                Sent::Written => done.written += 1,
                Sent::Queued => done.queued += 1,
                Sent::Failed(reason) => {
                    done.failed = Some(reason);
                    return done;
                }
            }
            window.sent(id.clone(), now, trail);
            continue;
        }
        match outbox.hold(frame.len()) {
            Pushed::Queued => done.queued += 1,
            Pushed::Overflow => {
                done.failed = Some(CloseReason::SlowConsumer);
                return done;
            }
            Pushed::Closed => {
                done.failed = Some(CloseReason::PeerGone);
                return done;
            }
        }
        if let Some(replaced) = window.hold(Held {
            id: id.clone(),
            frame,
        }) {
            outbox.release(replaced);
            outbox.ledger().collapsed.fetch_add(1, Ordering::Relaxed);
        }
    }
    done
}

/// Drops the window of a subscription that ends: what was held is lost, what was not acknowledged counts as such
/// (STOMP rule A3: nothing is redelivered).
pub(super) fn drop_window(shard: &Shard, session_outbox: &crate::delivery::outbox::Outbox, window: &Window) {
    let (bytes, messages) = window.held();
    session_outbox.release(bytes);
    session_outbox
        .ledger()
        .dropped
        .fetch_add(messages as u64, Ordering::Relaxed);
    window.end();
    let unacknowledged = window.unacknowledged() as u64;
    shard
        .setting
        .counters
        .unacknowledged
        .fetch_add(unacknowledged, Ordering::Relaxed);
}
