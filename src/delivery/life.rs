//! When a session expires, and when its client is reminded: pure rules. Knows no session and no socket; time is a
//! parameter, in ticks, and as the remaining life in ms.
//!
//! **One timer.** A replaced timer stays in the wheel, but has no effect, because the life knows the tick of the valid one.

use super::heartbeat::{TICK_MS, ticks_of};

/// The ends of equal lives are spread over so many ticks: what ends one session often ends thousands.
const SPREAD_TICKS: u32 = 3;
/// What "never" is in ticks.
const NEVER: u32 = u32::MAX;

/// How much of a session's life is left. 8 bytes in every session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Life {
    /// The tick of the valid timer. 0: there is none.
    due: u32,
    /// The tick of the reminder. 0: it is past.
    reminds: u32,
}

/// What a timer asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing: another timer took its place.
    Void,
    /// Look again at this tick.
    Look(u32),
    /// Remind the client, and look again at this tick.
    Remind(u32),
    /// The life is over.
    End,
}

impl Life {
    /// A life of `left_ms` that begins, or is renewed, at tick `now`, and the tick of its first timer. The reminder comes
    /// `remind_ms` before its end, or after two thirds of it, whichever is later; 0: never. `spread` is any number of the session.
    pub(super) fn begin(now: u32, left_ms: u64, remind_ms: u64, spread: u64) -> (Self, u32) {
        let lead_ms = remind_ms.min(left_ms / 3);
        let reminds = match remind_ms {
            0 => NEVER,
            _ => now.saturating_add(ticks_of((left_ms - lead_ms).max(1))),
        };
        let life = Self { due: 0, reminds };
        (life, life.next(now, left_ms, spread))
    }

    /// The valid timer is due at tick `due`: what [`super::wheel::Wheel::schedule`] made of the tick that was asked for.
    pub(super) fn scheduled(&mut self, due: u32) {
        self.due = due;
    }

    /// Whether the client was to be reminded by now.
    pub(super) fn is_reminding(self) -> bool {
        self.reminds == 0
    }

    /// A timer is due at tick `now`, when `left_ms` are left.
    pub(super) fn on_timer(&mut self, now: u32, left_ms: u64, spread: u64) -> Verdict {
        if self.due != now {
            return Verdict::Void;
        }
        if left_ms == 0 {
            return Verdict::End;
        }
        if self.reminds > now {
            return Verdict::Look(self.next(now, left_ms, spread));
        }
        match std::mem::take(&mut self.reminds) {
            0 => Verdict::Look(self.next(now, left_ms, spread)),
            _ => Verdict::Remind(self.next(now, left_ms, spread)),
        }
    }

    /// The tick of the next timer.
    fn next(self, now: u32, left_ms: u64, spread: u64) -> u32 {
        // Within the last tick it was spread already.
        let spread = match left_ms > TICK_MS {
            true => (spread % u64::from(SPREAD_TICKS)) as u32,
            false => 0,
        };
        let end = now.saturating_add(ticks_of(left_ms)).saturating_add(spread);
        match self.reminds {
            0 => end,
            reminds => end.min(reminds),
        }
        .max(now.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps a life of `left_ms` from tick 1 on, with a wheel of `turn` ticks, to its end. Returns the ticks of its reminder and
    /// of its end.
    fn live(left_ms: u64, remind_ms: u64, spread: u64, turn: u32) -> (Option<u32>, u32) {
        let (mut life, mut at) = Life::begin(1, left_ms, remind_ms, spread);
        let (mut now, mut reminded) = (1, None);
        loop {
            now = at.clamp(now + 1, now + turn);
            life.scheduled(now);
            let left_ms = (left_ms + TICK_MS).saturating_sub(u64::from(now) * TICK_MS);
            at = match life.on_timer(now, left_ms, spread) {
                Verdict::Void => panic!("the valid timer"),
                Verdict::End => return (reminded, now),
                Verdict::Look(at) => at,
                Verdict::Remind(at) => {
                    assert_eq!(reminded.replace(now), None, "once");
                    assert!(life.is_reminding());
                    at
                }
            };
        }
    }

    #[test]
    fn a_life_reminds_once_and_ends_when_it_is_over() {
        for turn in [1, 7, 1_023] {
            for spread in 0..4 {
                let late = (spread % 3) as u32;
                // 60 s before the end of an hour, and after two thirds of a minute.
                assert_eq!(
                    live(3_600_000, 60_000, spread, turn),
                    (Some(1 + 14_160), 1 + 14_400 + if turn == 1 { 0 } else { late }),
                    "{turn} {spread}"
                );
                assert_eq!(live(60_000, 60_000, spread, turn).0, Some(1 + 160));
                assert_eq!(live(60_000, 0, spread, turn).0, None);
            }
        }
    }

    #[test]
    fn no_life_ends_early_and_none_a_second_late() {
        for left_ms in [1, 249, 250, 251, 1_000, 1_001, 59_999] {
            for spread in 0..4 {
                let (_, end) = live(left_ms, 60_000, spread, 1_023);
                let over_ms = u64::from(end - 1) * TICK_MS;
                assert!(
                    (left_ms..left_ms + 1_000).contains(&over_ms),
                    "{left_ms}: {over_ms}"
                );
            }
        }
    }

    #[test]
    fn a_timer_that_was_replaced_is_void() {
        let (mut life, first) = Life::begin(1, 10_000, 0, 0);
        life.scheduled(first);
        let (mut renewed, second) = Life::begin(20, 10_000, 0, 0);
        renewed.scheduled(second);
        assert_eq!(renewed.on_timer(first, 0, 0), Verdict::Void);
        assert_eq!(renewed.on_timer(second, 0, 0), Verdict::End);
        assert_eq!(Life::default().on_timer(1, 0, 0), Verdict::Void);
    }

    #[test]
    fn what_the_wall_clock_says_decides() {
        let (mut life, at) = Life::begin(1, 10_000, 0, 0);
        life.scheduled(at);
        // It was set back by an hour.
        assert_eq!(life.on_timer(at, 3_600_000, 0), Verdict::Look(at + 14_400));
        // It was set forward: the next look ends it.
        life.scheduled(at + 100);
        assert_eq!(life.on_timer(at + 100, 0, 0), Verdict::End);
    }
}
