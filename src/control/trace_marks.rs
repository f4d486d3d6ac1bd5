//! Each instance sends the others the mark by which they recognize its decisions to record a trace. Knows the tracer,
//! no notification.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::ask::tell;
use super::desk::Desk;
use super::question::Statement;
use crate::bus::Bus;
use crate::envelope::Mark;
use crate::telemetry::trace::Tracer;

/// To every instance: what bears this mark was decided by an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OwnMark {
    mark: Mark,
}

impl Statement for OwnMark {
    const KIND: &'static str = "tracing.mark";
    const MAX_BYTES: usize = 1_024;
}

/// How often it is told: who missed it knows it soon.
const INTERVAL: Duration = Duration::from_secs(10);
/// The shortest time between two, however many instances are new.
const PAUSE: Duration = Duration::from_millis(200);

/// Believes what instances tell.
pub(crate) fn register(desk: &mut Desk, tracer: &Tracer) {
    let tracer = tracer.clone();
    desk.listen(move |OwnMark { mark }| {
        tracer.heard_mark(mark);
        std::future::ready(Ok(()))
    });
}

/// Tells this instance's mark until `shutdown`: at the start, every ten seconds, and as soon as a new instance is heard.
/// Where nothing is traced, nothing is told.
pub(crate) async fn tell_own(bus: Arc<dyn Bus>, tracer: Tracer, shutdown: CancellationToken) {
    let Some(mark) = tracer.own_mark() else {
        return shutdown.cancelled().await;
    };
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {}
            () = tracer.new_mark() => {}
        }
        if let Err(error) = tell(&*bus, &OwnMark { mark }).await {
            // It is told again with the next tick.
            tracing::debug!(%error, "the mark of recorded traces was not told");
        }
        sleep(PAUSE).await;
    }
}
