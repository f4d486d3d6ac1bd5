//! The clock of the shards: one thread that sends all of them the time. Does not know what they do then.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::delivery::heartbeat::TICK_MS;
use crate::delivery::mailbox::TickSender;

/// One thread tells all shards the time. A mailbox that is full misses a tick and catches up with the next.
pub(super) fn start_clock(clock: Arc<AtomicU32>, shards: Vec<TickSender>) -> std::io::Result<()> {
    let tick = move || {
        let start = Instant::now();
        loop {
            let now = clock.load(Ordering::Relaxed) + 1;
            let due = Duration::from_millis(TICK_MS * u64::from(now - 1));
            std::thread::sleep(due.saturating_sub(start.elapsed()));
            clock.store(now, Ordering::Relaxed);
            for shard in &shards {
                if !shard.tick(now) {
                    return;
                }
            }
        }
    };
    std::thread::Builder::new()
        .name("herald-clock".into())
        .spawn(tick)
        .map(drop)
}
