//! When a session's heart-beats are due: pure rules for when to send, when to ask and when to give up (STOMP rules B1
//! to B7), and the state that they use. Knows no session and no socket; time is a parameter, in ticks.

use std::sync::atomic::{AtomicBool, AtomicU32};

/// The length of a tick.
pub(super) const TICK_MS: u64 = 250;

/// When the peer was last heard, in ticks of the registry's clock. Written by the session's task, read by the shard.
#[derive(Debug, Default)]
pub struct Liveness {
    /// When the last byte other than a pong arrived.
    pub heard: AtomicU32,
    /// When the last pong arrived.
    pub pong: AtomicU32,
    /// Whether Herald itself has stopped reading, for back-pressure. The silence is then not the peer's.
    pub paused: AtomicBool,
}

/// The number of ticks without a write after which a heart-beat is sent, if one every `every_ms` was promised: two
/// ticks early, and at the latest at 0.8 of the time, since some clients give up at 1.5 times (STOMP rule B3). 0:
/// never.
pub(super) fn send_after_ticks(every_ms: u64) -> u32 {
    if every_ms == 0 {
        return 0;
    }
    let ticks = every_ms / TICK_MS;
    let after = ticks.saturating_sub(2).min(ticks * 4 / 5).max(1);
    u32::try_from(after).unwrap_or(u32::MAX / 4)
}

/// `every_ms` in whole ticks, rounded up. 0: never.
pub(super) fn ticks_of(every_ms: u64) -> u32 {
    u32::try_from(every_ms.div_ceil(TICK_MS))
        .unwrap_or(u32::MAX / 8)
        .min(u32::MAX / 8)
}

/// When the peer was heard, in ticks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard {
    /// The last byte other than a pong.
    pub byte: u32,
    /// The last pong.
    pub pong: u32,
    /// The last ping that was sent.
    pub ping: Option<u32>,
}

/// What to do about a peer's silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing. Look again at this tick.
    Look(u32),
    /// Send a WebSocket ping. Look again at this tick.
    Ping(u32),
    /// Give up.
    Reap,
}

/// Judges the silence at tick `now` of a peer that promised a byte every `period` ticks. After 2.5 periods of silence
/// a ping is sent. A pong within one period keeps the session for another 2.5, at most until `grace` ticks since the
/// last byte other than a pong: browsers throttle a hidden tab's timers to one a minute while the tab is alive and
/// answers pings.
pub(super) fn judge(now: u32, period: u32, grace: u32, heard: Heard) -> Verdict {
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
