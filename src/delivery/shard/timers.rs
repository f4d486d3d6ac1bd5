//! How a shard keeps its sessions' heart-beats: sends those that are due, pings silent clients, reaps those that do not
//! answer. [`super::expiry`] ends expired sessions.

use std::num::NonZeroU32;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::Shard;
use crate::close_reason::CloseReason;
use crate::delivery::heartbeat::{Heard, Verdict, judge};
use crate::delivery::roster::Slot;
use crate::delivery::wheel::{Duty, Timer};
use crate::delivery::wire;

impl Shard {
    pub(super) fn start_timers(&mut self, slot: Slot) {
        let now = self.wheel.now();
        let tenancy = self.roster.tenancy(slot);
        let Some((_, session)) = self.roster.get(slot) else {
            return;
        };
        session
            .outbox
            .liveness()
            .heard
            .store(self.setting.clock.load(Ordering::Relaxed), Ordering::Relaxed);
        let timer = |duty| Timer {
            session: tenancy,
            duty,
        };
        if session.send_after_ticks > 0 {
            let at = now + session.send_after_ticks;
            self.wheel.schedule(at, timer(Duty::Send));
        }
        if session.receive_ticks > 0 {
            let at = now + session.receive_ticks.saturating_mul(5) / 2;
            self.wheel.schedule(at, timer(Duty::Listen));
        }
    }

    pub(super) fn tick(&mut self, until: u32) {
        while let Some(due) = self.wheel.step(until) {
            for timer in &due {
                if self.roster.is_current(timer.session) {
                    match timer.duty {
                        Duty::Send => self.send_heartbeat(*timer),
                        Duty::Listen => self.listen(*timer),
                        Duty::Live => self.live(*timer),
                    }
                }
            }
            self.wheel.recycle(due);
        }
    }

    fn send_heartbeat(&mut self, timer: Timer) {
        let (now, slot) = (self.wheel.now(), timer.session.slot);
        let Some((hot, session)) = self.roster.get(slot) else {
            return;
        };
        let due = hot.last_write.saturating_add(session.send_after_ticks);
        let (blocked, every) = (hot.blocked, session.send_after_ticks);
        if due > now {
            self.wheel.schedule(due, timer);
            return;
        }
        // A blocked session's outbox holds bytes already: they are its sign of life.
        if !blocked {
            self.say(slot, Bytes::from_static(wire::HEARTBEAT));
        }
        self.wheel.schedule(now.saturating_add(every), timer);
    }

    fn listen(&mut self, timer: Timer) {
        let (now, slot) = (self.wheel.now(), timer.session.slot);
        let Some((_, session)) = self.roster.get_mut(slot) else {
            return;
        };
        let period = session.receive_ticks;
        let liveness = session.outbox.liveness();
        if liveness.paused.load(Ordering::Relaxed) {
            self.wheel.schedule(now.saturating_add(period), timer);
            return;
        }
        let heard = Heard {
            byte: liveness.heard.load(Ordering::Relaxed).min(now),
            pong: liveness.pong.load(Ordering::Relaxed).min(now),
            ping: session.pinged.map(NonZeroU32::get),
        };
        match judge(now, period, self.setting.grace_ticks, heard) {
            Verdict::Look(at) => {
                self.wheel.schedule(at, timer);
            }
            Verdict::Ping(at) => {
                session.pinged = NonZeroU32::new(now);
                self.setting.counters.pings.fetch_add(1, Ordering::Relaxed);
                self.say(slot, Bytes::from_static(wire::PING));
                self.wheel.schedule(at, timer);
            }
            Verdict::Reap => {
                self.setting.counters.reaped.fetch_add(1, Ordering::Relaxed);
                self.doomed.push((slot, CloseReason::Silence));
            }
        }
    }
}
