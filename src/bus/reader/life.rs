//! The life of the stream that is read: what is known about it, and how a new one begins, or how reading continues
//! after a loss.

use std::time::Instant;

use super::{Broken, Mark, Reader, Said};
use crate::bus::history::StreamInfo;

impl Reader {
    /// Whether the stream is known to be the one that was read.
    pub(crate) fn is_proven(&self) -> bool {
        self.is_met && self.next > self.owed && !self.is_in_doubt()
    }

    /// Whether there is reason to believe that the stream was rolled back.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.is_rolled_back || self.short.is_some()
    }

    /// A publish of this instance was stored anew at a sequence that had been read in `epoch` before it was sent, or another
    /// message is where one was acknowledged: the stream was rolled back since, or is another.
    pub(crate) fn contradicted(&mut self, epoch: u64) {
        if epoch == self.epoch {
            self.is_met = false;
            self.is_rolled_back = true;
        }
    }

    /// What is up to `base` and was not read is lost.
    pub(super) fn lose(&mut self, base: u64, now: Instant) -> Said {
        let lost = (base + 1).saturating_sub(self.next);
        self.go_on_behind(base, None, now);
        Said::Broken(Broken {
            base: self.position(),
            lost: Some(lost),
        })
    }

    pub(super) fn begin_epoch(&mut self, info: StreamInfo, now: Instant) -> Said {
        self.epoch = info.epoch;
        self.consumer = None;
        self.poll = None;
        self.fill = info.last;
        self.acked = None;
        (self.stored, self.owed) = (0, 0);
        self.is_rolled_back = false;
        // Nothing of this epoch has been read.
        self.is_met = true;
        let read = match info.last_stamp {
            Some(stamp) if info.first <= info.last => Some(Mark {
                sequence: info.last,
                stamp,
            }),
            _ => None,
        };
        self.go_on_behind(info.last, read, now);
        Said::Broken(Broken {
            base: self.position(),
            lost: None,
        })
    }

    fn go_on_behind(&mut self, base: u64, read: Option<Mark>, now: Instant) {
        self.next = base + 1;
        self.read = read;
        self.hole = None;
        self.lost = None;
        self.short = None;
        if let Some(consumer) = &mut self.consumer {
            consumer.heard = now;
        }
    }
}
