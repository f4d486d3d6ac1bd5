//! Timers of sessions, without a timer for each in the kernel or the runtime: a wheel of ticks that only touches timers that
//! are due. Knows no session and no rule of heart-beats.

use super::roster::Tenancy;

/// The slots of the wheel. What is due later is rescheduled after one turn.
const SLOTS: usize = 1_024;

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Duty {
    /// Send a heart-beat unless something was sent.
    Send,
    /// Check whether the peer was heard.
    Listen,
    /// Check whether the session's time is over.
    Live,
}

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timer {
    /// The session. Void once it has ended.
    pub session: Tenancy,
    /// The purpose.
    pub duty: Duty,
}

/// How many emptied vectors are kept for slots that fill next.
const SPARES: usize = 4;

/// The wheel.
pub(super) struct Wheel {
    slots: Vec<Vec<Timer>>,
    /// Vectors that empty slots reuse. If each slot kept its own, then after one turn the wheel would hold a timer's
    /// memory for every slot instead of every timer.
    spares: Vec<Vec<Timer>>,
    now: u32,
}

impl Wheel {
    /// An empty wheel at tick `now`.
    pub(super) fn new(now: u32) -> Self {
        Self {
            slots: vec![Vec::new(); SLOTS],
            spares: Vec::with_capacity(SPARES),
            now,
        }
    }

    /// The tick up to which everything was returned.
    pub(super) fn now(&self) -> u32 {
        self.now
    }

    /// Makes `timer` due at tick `at`, or one turn from now if that is further away: its handler then reschedules it. Returns
    /// the tick at which it is due.
    pub(super) fn schedule(&mut self, at: u32, timer: Timer) -> u32 {
        let at = at.clamp(self.now + 1, self.now + SLOTS as u32 - 1);
        let slot = &mut self.slots[at as usize % SLOTS];
        if slot.capacity() == 0
            && let Some(spare) = self.spares.pop()
        {
            *slot = spare;
        }
        slot.push(timer);
        at
    }

    /// Steps to the next tick, up to `until`, and returns what is due there. `None` once `until` is reached.
    pub(super) fn step(&mut self, until: u32) -> Option<Vec<Timer>> {
        if self.now >= until {
            return None;
        }
        self.now += 1;
        Some(std::mem::take(&mut self.slots[self.now as usize % SLOTS]))
    }

    /// Keeps the memory of an emptied vector for a slot that fills next; only of a few.
    pub(super) fn recycle(&mut self, mut emptied: Vec<Timer>) {
        if self.spares.len() < SPARES {
            emptied.clear();
            self.spares.push(emptied);
        }
    }

    /// The timers that the wheel has memory for.
    #[cfg(test)]
    fn capacity(&self) -> usize {
        self.slots.iter().chain(&self.spares).map(Vec::capacity).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::roster::Slot;

    fn timer(session: u32) -> Timer {
        Timer {
            session: Tenancy::of(Slot::of(session)),
            duty: Duty::Send,
        }
    }

    #[test]
    fn a_wheel_gives_each_timer_once_when_due() {
        let mut wheel = Wheel::new(0);
        wheel.schedule(3, timer(3));
        wheel.schedule(0, timer(1));
        wheel.schedule(5_000, timer(9));
        let mut seen = Vec::new();
        while let Some(due) = wheel.step(2_000) {
            seen.extend(due.iter().map(|timer| (wheel.now(), timer.session)));
            wheel.recycle(due);
        }
        let expected = [(1, 1), (3, 3), (1_023, 9)].map(|(tick, session)| (tick, timer(session).session));
        assert_eq!(seen, expected);
    }

    #[test]
    fn memory_is_of_the_timers_and_not_of_the_slots() {
        let mut wheel = Wheel::new(0);
        let sessions = 1_000;
        for session in 0..sessions {
            wheel.schedule(1 + session % 30, timer(session));
        }
        for _ in 0..2 * SLOTS {
            let Some(due) = wheel.step(u32::MAX) else { return };
            for held in &due {
                wheel.schedule(wheel.now() + 32, *held);
            }
            wheel.recycle(due);
        }
        let room = wheel.capacity();
        assert!(
            room <= 3 * sessions as usize,
            "room for {room} timers of {sessions}"
        );
    }
}
