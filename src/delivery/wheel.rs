//! Heart-beats without a timer per session: a wheel of ticks that touches only what is due, and the pure rules for
//! when to send, when to ask and when to give up (STOMP rules B1 to B7).

/// Length of a tick.
pub const TICK_MS: u64 = 250;
/// Slots of the wheel; what is due later is looked at again after one turn.
const SLOTS: usize = 1_024;

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Send a heart-beat unless something was sent.
    Send,
    /// See whether the peer was heard.
    Listen,
}

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timer {
    /// The session's slot.
    pub session: u32,
    /// The slot's generation: a timer of an earlier tenant is void.
    pub generation: u32,
    /// What for.
    pub duty: Duty,
}

/// Emptied vectors that are kept for slots that fill next.
const SPARES: usize = 4;

/// The wheel.
pub struct Wheel {
    slots: Vec<Vec<Timer>>,
    /// What empty slots use again. A vector kept by each slot instead would hold, after one turn, a timer's memory for
    /// every slot and not for every timer.
    spares: Vec<Vec<Timer>>,
    now: u32,
}

impl Wheel {
    /// An empty wheel at tick `now`.
    pub fn new(now: u32) -> Self {
        Self {
            slots: vec![Vec::new(); SLOTS],
            spares: Vec::with_capacity(SPARES),
            now,
        }
    }

    /// The tick up to which everything was given out.
    pub fn now(&self) -> u32 {
        self.now
    }

    /// Makes `timer` due at tick `at`, or one turn from now if that is further away: whoever handles it looks again.
    pub fn schedule(&mut self, at: u32, timer: Timer) {
        let at = at.clamp(self.now + 1, self.now + SLOTS as u32 - 1);
        let slot = &mut self.slots[at as usize % SLOTS];
        if slot.capacity() == 0
            && let Some(spare) = self.spares.pop()
        {
            *slot = spare;
        }
        slot.push(timer);
    }

    /// Steps to the next tick, up to `until`, and gives what is due there; none once `until` is reached.
    pub fn step(&mut self, until: u32) -> Option<Vec<Timer>> {
        if self.now >= until {
            return None;
        }
        self.now += 1;
        Some(std::mem::take(&mut self.slots[self.now as usize % SLOTS]))
    }

    /// Keeps an emptied vector's memory for a slot that fills next; of a few only.
    pub fn recycle(&mut self, mut emptied: Vec<Timer>) {
        if self.spares.len() < SPARES {
            emptied.clear();
            self.spares.push(emptied);
        }
    }

    /// Timers that the wheel has memory for.
    #[cfg(test)]
    fn capacity(&self) -> usize {
        self.slots.iter().chain(&self.spares).map(Vec::capacity).sum()
    }
}

/// After how many ticks without a write a heart-beat goes out, for a promise of one every `every_ms`: two ticks early
/// and at 0.8 of the time at the latest, since some clients give up at 1.5 times (STOMP rule B3). 0: never.
pub fn send_after_ticks(every_ms: u64) -> u32 {
    if every_ms == 0 {
        return 0;
    }
    let ticks = every_ms / TICK_MS;
    let after = ticks.saturating_sub(2).min(ticks * 4 / 5).max(1);
    u32::try_from(after).unwrap_or(u32::MAX / 4)
}

/// `every_ms` in whole ticks, rounded up. 0: never.
pub fn ticks_of(every_ms: u64) -> u32 {
    u32::try_from(every_ms.div_ceil(TICK_MS))
        .unwrap_or(u32::MAX / 8)
        .min(u32::MAX / 8)
}

/// When the peer was heard, in ticks.
#[derive(Debug, Clone, Copy)]
pub struct Heard {
    /// The last byte that was no pong.
    pub byte: u32,
    /// The last pong.
    pub pong: u32,
    /// The last ping that asked for one.
    pub ping: Option<u32>,
}

/// What to do about a peer's silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing; look again at this tick.
    Look(u32),
    /// Ask by a WebSocket ping; look again at this tick.
    Ping(u32),
    /// Give up.
    Reap,
}

/// Judges silence at tick `now`, for a peer that promised a byte every `period` ticks. At 2.5 periods of silence a ping
/// goes out; a pong within one period keeps the session for another 2.5, at most `grace` ticks since the last byte that
/// was no pong: browsers throttle a hidden tab's timers to one a minute while the tab is alive and answers pings.
pub fn judge(now: u32, period: u32, grace: u32, heard: Heard) -> Verdict {
    let patience = period.saturating_mul(5) / 2;
    if now.wrapping_sub(heard.byte) < patience {
        return Verdict::Look(heard.byte + patience);
    }
    let last = heard.byte.saturating_add(grace.max(patience + period));
    if now >= last {
        return Verdict::Reap;
    }
    let alive = heard.byte.max(heard.pong);
    if now.saturating_sub(alive) < patience {
        return Verdict::Look((alive + patience).min(last));
    }
    match heard.ping.filter(|ping| *ping > alive) {
        Some(ping) if now - ping >= period => Verdict::Reap,
        Some(ping) => Verdict::Look((ping + period).min(last)),
        None => Verdict::Ping((now + period).min(last)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timer(session: u32) -> Timer {
        Timer {
            session,
            generation: 0,
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
        assert_eq!(seen, [(1, 1), (3, 3), (1_023, 9)]);
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

    #[test]
    fn heart_beats_go_out_early_enough() {
        let check = |every_ms, ticks| assert_eq!(send_after_ticks(every_ms), ticks, "{every_ms}");
        check(0, 0);
        check(1_000, 2);
        check(10_000, 32);
        check(60_000, 192);
        check(u64::MAX, u32::MAX / 4);
    }

    #[test]
    fn silence_is_judged_in_steps() {
        let check = |now, byte, pong, ping, expected| {
            assert_eq!(
                judge(now, 40, 1_200, Heard { byte, pong, ping }),
                expected,
                "at {now}"
            );
        };
        check(139, 100, 0, None, Verdict::Look(200));
        check(199, 100, 0, None, Verdict::Look(200));
        check(200, 100, 0, None, Verdict::Ping(240));
        check(220, 100, 0, Some(200), Verdict::Look(240));
        check(240, 100, 0, Some(200), Verdict::Reap);
        // A pong keeps it for another 2.5 periods, then it is asked again.
        check(240, 100, 201, Some(200), Verdict::Look(301));
        check(301, 100, 201, Some(200), Verdict::Ping(341));
        // A byte starts anew.
        check(341, 300, 201, Some(301), Verdict::Look(400));
        // The grace ends it although it answers every ping, and not only when the next ping would be due.
        check(1_250, 100, 1_240, Some(1_239), Verdict::Look(1_300));
        check(1_300, 100, 1_290, Some(1_289), Verdict::Reap);
    }
}
