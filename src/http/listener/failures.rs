//! Errors of `accept`, and of proxies that send no PROXY protocol header: counted, and logged at most once a second.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::PAUSE;
use crate::telemetry::metrics::Metrics;

const SECOND: Duration = Duration::from_secs(1);

/// Errors of `accept`.
pub(super) struct Failures {
    metrics: Metrics,
    pub(super) logged_at: Option<Instant>,
}

impl Failures {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self {
            metrics,
            logged_at: None,
        }
    }

    /// Whether accepting has to pause after `error`: it would only fail again at once.
    pub(super) fn note(&mut self, error: &io::Error, now: Instant) -> bool {
        if is_of_the_peer(error) {
            debug!(%error, "gone before it was accepted");
            return false;
        }
        self.metrics.accept_pauses.inc();
        if is_due(&mut self.logged_at, now) {
            warn!(%error, "cannot accept connections, pausing for {PAUSE:?} (is the limit of open files too low?)");
        }
        true
    }
}

/// Connections of trusted proxies that did not begin with the PROXY protocol header. The lock is held for a comparison.
#[derive(Default)]
pub(super) struct Strangers(Mutex<Option<Instant>>);

impl Strangers {
    /// What came was no header (a warning, at most once a second), or nothing complete came.
    pub(super) fn note(&self, proxy: IpAddr, error: &io::Error) {
        let wrong = error.kind() == io::ErrorKind::InvalidData;
        if wrong && is_due(&mut self.0.lock(), Instant::now()) {
            warn!(%proxy, %error, "PROXY protocol header refused (http.proxy_protocol); said at most once a second");
        } else {
            debug!(%proxy, %error, "PROXY protocol header refused");
        }
    }
}

fn is_due(logged_at: &mut Option<Instant>, now: Instant) -> bool {
    let due = logged_at.is_none_or(|at| now.duration_since(at) >= SECOND);
    if due {
        *logged_at = Some(now);
    }
    due
}

/// Whether `accept` failed because of the connection that it would have returned, rather than for lack of descriptors
/// (EMFILE, ENFILE) or memory (ENOBUFS, ENOMEM). Linux reports a connection's pending network errors here: accept(2).
fn is_of_the_peer(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    !matches!(
        errno,
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
    )
}
