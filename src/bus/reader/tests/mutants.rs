//! Faulty versions of single steps of a reader, which the model (`session/recovery/tests/model`) must detect, and what
//! the model needs to keep the number of its states small.

use super::*;

impl Reader {
    /// Forgets all times and renumbers, so that states that differ in nothing else are one. `asked` is under way.
    pub(crate) fn normalize(&mut self, now: Instant, asked: Option<&mut Asked>) {
        (self.looked, self.retry_create, self.retry_poll) = (now, now, now);
        self.short = self.short.map(|_| now);
        self.acked = None;
        self.stored = 0;
        let polls = self.poll.as_mut().map(|vetting| (vetting, now));
        let mut serials: Vec<&mut u32> = vec![&mut self.serial];
        if let Some(consumer) = &mut self.consumer {
            consumer.expects = 1;
            consumer.idle = 0;
            consumer.heard = now;
            if let Vetting::Since(serial) = &mut consumer.vetting {
                serials.push(serial);
            }
        }
        if let Some((Vetting::Since(serial), _)) = polls {
            serials.push(serial);
        }
        serials.extend(self.hole.as_mut().map(|seen| &mut seen.serial));
        serials.extend(self.lost.as_mut().map(|seen| &mut seen.serial));
        serials.extend(asked.map(|asked| &mut asked.serial));
        let mut known: Vec<u32> = serials.iter().map(|serial| **serial).collect();
        known.sort_unstable();
        known.dedup();
        for serial in serials {
            *serial = known.partition_point(|other| *other < *serial) as u32;
        }
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Whether what was read last is known, so that another message in its place is noticed.
    pub(crate) fn knows_its_last(&self) -> bool {
        self.read.is_some()
    }

    pub(crate) fn hole(&self) -> Option<u64> {
        self.hole.map(|hole| hole.sequence)
    }

    pub(crate) fn is_suspicious(&self) -> bool {
        self.lost.is_some()
    }

    pub(crate) fn is_rolled_back(&self) -> bool {
        self.is_rolled_back
    }

    pub(crate) fn expects(&self) -> Option<u64> {
        self.consumer.as_ref().map(|consumer| consumer.expects)
    }

    /// Trusts the consumer or the poll without an INFO asked after it began.
    pub(crate) fn trust(&mut self) {
        if let Some(consumer) = &mut self.consumer {
            consumer.vetting = Vetting::Done;
        }
        self.poll = self.poll.map(|_| Vetting::Done);
    }

    /// Compares nothing with what was read.
    pub(crate) fn forget_read(&mut self) {
        self.read = None;
        if let Some(consumer) = &mut self.consumer {
            consumer.overlap = None;
        }
    }

    /// Says nothing of what is lost while nothing stands behind it.
    pub(crate) fn forget_lost(&mut self) {
        self.lost = None;
    }

    /// Steps over a hole as if it had been looked into. Returns the first sequence of the hole.
    pub(crate) fn step_over(&mut self) -> Option<u64> {
        let hole = self.hole.take()?;
        self.read = None;
        Some(std::mem::replace(&mut self.next, hole.sequence))
    }

    /// Says that everything up to what was read is lost.
    pub(crate) fn lose_late(&mut self, now: Instant) -> Said {
        let read = self.read;
        let said = self.lose(self.next - 1, now);
        self.read = read;
        said
    }
}

impl Asked {
    /// Counts as asked just now.
    pub(crate) fn late(mut self, reader: &Reader) -> Self {
        self.serial = reader.serial;
        self
    }

    /// Is judged by what was read when the answer came.
    pub(crate) fn read_late(mut self, reader: &Reader) -> Self {
        self.next = reader.next;
        self
    }
}
