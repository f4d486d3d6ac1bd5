//! How an instance ends: not ready → the balancer notices → no new connections → sessions close in paced waves. Knows
//! the registry by its handle, and no socket and no bus.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{info, warn};

use crate::close_reason::CloseReason;
use crate::delivery::registry::Registry;
use crate::setting::{Findings, HumanDuration};

/// The interval between waves of session closes.
const WAVE_INTERVAL: Duration = Duration::from_millis(100);
/// How long an end at once waits for the log to write its last line.
const LAST_LINE: Duration = Duration::from_millis(50);

/// `[drain]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The longest time from SIGTERM to exit.
    pub timeout: HumanDuration,
    /// The time from "not ready" until accepting stops, for the balancer to notice.
    pub balancer_wait: HumanDuration,
    /// The time over which the closes of sessions are spread, so that their reconnects are spread too.
    pub spread: HumanDuration,
}

impl Config {
    /// Checks that the phases fit into the whole.
    pub fn check(&self, findings: &mut Findings) {
        findings.positive("drain.timeout", self.timeout);
        if self.balancer_wait.0.saturating_add(self.spread.0) > self.timeout.0 {
            findings.error(
                "drain.timeout",
                format!(
                    "expected at least drain.balancer_wait ({}) and drain.spread ({}) together, got {}",
                    self.balancer_wait, self.spread, self.timeout
                ),
            );
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            timeout: HumanDuration::secs(25),
            balancer_wait: HumanDuration::secs(2),
            spread: HumanDuration::secs(5),
        }
    }
}

/// The phase of an instance's life. Phases only move forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Bound, not yet serving.
    Starting,
    /// Serving.
    Running,
    /// Asked to end: not ready, but still accepting.
    NotReady,
    /// No longer accepting; sessions are being closed.
    Draining,
}

/// How the instance was asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// SIGTERM: a balancer may still send clients here.
    Terminate,
    /// SIGINT, or a test: there is nobody to wait for.
    Interrupt,
}

/// The signals that ask the process to end, caught from the moment this is made: a signal that arrives before anybody
/// waits is not lost and does not end the process by the system's default.
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user1: Signal,
    user2: Signal,
}

impl StopSignals {
    /// Catches SIGTERM and SIGINT from now on, for the life of the process, and SIGHUP, SIGUSR1 and SIGUSR2, which would end
    /// it without a drain and are ignored. Returns the system's error on failure.
    pub fn catch() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    /// Waits for the next signal. Cancel-safe.
    pub async fn next(&mut self) -> Stop {
        loop {
            let signal = tokio::select! {
                _ = self.terminate.recv() => return Stop::Terminate,
                _ = self.interrupt.recv() => return Stop::Interrupt,
                _ = self.hangup.recv() => "SIGHUP",
                _ = self.user1.recv() => "SIGUSR1",
                _ = self.user2.recv() => "SIGUSR2",
            };
            info!(signal, "a signal without a meaning here is ignored");
        }
    }

    /// Waits for the first signal. A further one, at any later time, ends the process at once with status 1.
    pub async fn first(mut self) -> Stop {
        let stop = self.next().await;
        #[expect(
            clippy::disallowed_methods,
            reason = "lasts as long as the process, which it ends"
        )]
        tokio::spawn(async move {
            self.next().await;
            warn!("second signal: ending at once");
            // The log's own thread writes that line; this one waits for it no longer than people notice.
            tokio::time::sleep(LAST_LINE).await;
            std::process::exit(1);
        });
        stop
    }
}

/// Closes all sessions with 1001, in random order and spread over `drain.spread`, until none is left or `deadline` is
/// near. Clients that reconnect after a fixed delay then come back spread over the same time.
pub async fn close_sessions(registry: &Registry, config: &Config, deadline: Instant) {
    let sessions = registry.stats().sessions as usize;
    let waves = (config.spread.0.as_millis() / WAVE_INTERVAL.as_millis()).max(1) as usize;
    let per_wave = sessions.div_ceil(waves).max(1);
    info!(sessions, per_wave, "closing sessions");
    loop {
        let left = registry.close_some(per_wave, CloseReason::Draining).await;
        if left == 0 {
            return;
        }
        if Instant::now() >= deadline {
            warn!(left, "drain.timeout is near: closing the rest at once");
            registry.close_some(left, CloseReason::Draining).await;
            return;
        }
        sleep(WAVE_INTERVAL).await;
    }
}

/// Waits `drain.balancer_wait` after SIGTERM.
pub async fn wait_for_balancer(stop: Stop, config: &Config, deadline: Instant) {
    if stop == Stop::Terminate {
        sleep_until((Instant::now() + config.balancer_wait.0).min(deadline)).await;
    }
}
