//! The outcome of one walk: counted separately and added to the shared counters once.

use std::sync::atomic::Ordering;

use super::windowed::Windowed;
use super::write::Sent;
use crate::close_reason::CloseReason;
use crate::delivery::counters::Counters;
use crate::delivery::frames::Encoded;
use crate::delivery::roster::Slot;
use crate::delivery::trail::Counts;

/// The counts of one walk.
#[derive(Default)]
pub(super) struct Tally {
    /// In ack mode auto, every notification of a walk fares alike.
    auto: Counts,
    windowed: Counts,
}

impl Tally {
    /// Adds all of it to the shared counters.
    pub(super) fn add_to(&self, counters: &Counters) {
        for counts in [&self.auto, &self.windowed] {
            counters.written.fetch_add(counts.written, Ordering::Relaxed);
            counters.queued.fetch_add(counts.queued, Ordering::Relaxed);
            counters.dropped.fetch_add(counts.dropped, Ordering::Relaxed);
        }
    }

    /// Counts a write to a subscription that acknowledges. A session that it ended is `doomed`.
    pub(super) fn count_windowed(
        &mut self,
        sent: Windowed,
        together: &[Encoded<'_>],
        slot: Slot,
        doomed: &mut Vec<(Slot, CloseReason)>,
    ) {
        self.windowed.written += sent.written;
        self.windowed.queued += sent.queued;
        // In order: the first were written, the next had to wait, the rest was dropped.
        for (at, encoded) in (0..).zip(together) {
            if let Some(trail) = encoded.trail {
                let (written, waits) = (at < sent.written, at < sent.written + sent.queued);
                let dropped = !waits && sent.failed.is_some();
                trail.add(Counts {
                    written: u64::from(written),
                    queued: u64::from(!written && waits),
                    dropped: u64::from(dropped),
                });
            }
        }
        if let Some(reason) = sent.failed {
            self.windowed.dropped += together.len() as u64 - sent.written - sent.queued;
            doomed.push((slot, reason));
        }
    }

    /// Tells the deliveries, which all went to the same sessions, what became of them.
    pub(super) fn share(&self, together: &[Encoded<'_>]) {
        let frames = together.len().max(1) as u64;
        for trail in together.iter().filter_map(|encoded| encoded.trail) {
            trail.add(Counts {
                written: self.auto.written / frames,
                queued: self.auto.queued / frames,
                dropped: self.auto.dropped / frames,
            });
        }
    }

    /// Counts a write of this many `frames` to a subscription in ack mode auto. A session that it ended is `doomed`.
    #[inline]
    pub(super) fn count(
        &mut self,
        sent: Sent,
        frames: usize,
        slot: Slot,
        doomed: &mut Vec<(Slot, CloseReason)>,
    ) {
        match sent {
            Sent::Written => self.auto.written += frames as u64,
            Sent::Queued => self.auto.queued += frames as u64,
            Sent::Failed(reason) => {
                self.auto.dropped += frames as u64;
                doomed.push((slot, reason));
            }
        }
    }
}
