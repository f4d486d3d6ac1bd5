//! What a session's shard tells its task about acknowledgements: whether a MESSAGE waits for one, and how many ACKs and
//! NACKs had no effect. Knows no window and no frame.

use std::sync::atomic::{AtomicU32, Ordering};

/// One session's counts. The shard writes the first under its lock; both write the second.
#[derive(Debug, Default)]
pub struct Acks {
    awaited: AtomicU32,
    missed: AtomicU32,
}

impl Acks {
    /// Whether an ACK can settle anything. `false` is certain: a MESSAGE counts before its first byte is written.
    pub fn can_settle(&self) -> bool {
        self.awaited.load(Ordering::Acquire) > 0
    }

    /// Counts ACKs and NACKs that have settled nothing.
    pub fn miss(&self, frames: u32) {
        self.missed.fetch_add(frames, Ordering::Relaxed);
    }

    /// How many have settled nothing since the last call.
    pub fn take_missed(&self) -> u32 {
        match self.missed.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.missed.swap(0, Ordering::Relaxed),
        }
    }

    /// A MESSAGE is about to be sent that its client will acknowledge. The shard alone calls this.
    pub(super) fn awaits(&self) {
        self.set(|awaited| awaited.saturating_add(1));
    }

    /// So many MESSAGEs do not wait any more. The shard alone calls this.
    pub(super) fn settled(&self, messages: usize) {
        let messages = u32::try_from(messages).unwrap_or(u32::MAX);
        self.set(|awaited| awaited.saturating_sub(messages));
    }

    /// One writer: no locked instruction.
    fn set(&self, change: impl FnOnce(u32) -> u32) {
        let awaited = change(self.awaited.load(Ordering::Relaxed));
        self.awaited.store(awaited, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ack_can_settle_something_while_a_message_waits() {
        let acks = Acks::default();
        assert!(!acks.can_settle());
        acks.awaits();
        acks.awaits();
        acks.settled(1);
        assert!(acks.can_settle());
        acks.settled(5);
        assert!(!acks.can_settle());
        acks.miss(2);
        acks.miss(1);
        assert_eq!((acks.take_missed(), acks.take_missed()), (3, 0));
    }
}
