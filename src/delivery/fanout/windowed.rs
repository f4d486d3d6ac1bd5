//! A write to one subscription that acknowledges: as much as its window admits; the rest is held within the outbox's
//! bound until an ACK makes room.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::write::{Sent, send_one};
use crate::close_reason::CloseReason;
use crate::delivery::frames::Frames;
use crate::delivery::outbox::Pushed;
use crate::delivery::roster::{Hot, Session};
use crate::delivery::window::Held;
use crate::envelope::MessageId;

/// The outcome of a windowed send.
#[derive(Default)]
pub(super) struct Windowed {
    pub written: u64,
    pub queued: u64,
    pub failed: Option<CloseReason>,
}

/// Sends `frames` to one subscription as far as its window admits them, and holds the rest.
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
            outbox.acks().awaits();
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
