//! Bytes that many holders take together. Knows no value of a limit, and nothing of what is held.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The part of what is left that one holder may have: many that each hold much are refused while there is room for one
/// that holds little, instead of whoever comes first once everything is taken.
const SHARE_OF_FREE: usize = 8;

/// What all holders together have, and may have.
#[derive(Debug)]
pub(crate) struct Total {
    limit: usize,
    held: AtomicUsize,
}

impl Total {
    /// Nothing is held yet, and at most `limit` bytes may be.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        let held = AtomicUsize::new(0);
        Arc::new(Self { limit, held })
    }

    /// The share of another holder, which holds nothing yet.
    pub(crate) fn share(self: &Arc<Self>) -> Share {
        Share {
            total: Some(Arc::clone(self)),
            bytes: 0,
        }
    }

    /// The bytes that are held now.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

/// What one holder has of a [`Total`], given back when dropped. The default is bounded by nothing and counts nothing.
#[derive(Debug, Default)]
pub(crate) struct Share {
    total: Option<Arc<Total>>,
    bytes: usize,
}

impl Share {
    /// Holds `bytes` from now on, more or fewer than before. Call it before the memory is taken. Returns `false`, and
    /// changes nothing, if that is more than an eighth of what the others leave.
    #[must_use = "where it is refused, the memory must not be taken"]
    pub(crate) fn hold(&mut self, bytes: usize) -> bool {
        let Some(total) = &self.total else { return true };
        if bytes <= self.bytes {
            self.give_back(self.bytes - bytes);
            return true;
        }
        let more = bytes - self.bytes;
        // Added first, so that two holders cannot both take the last of it.
        let others = total.held.fetch_add(more, Ordering::Relaxed) - self.bytes;
        let free = total.limit.saturating_sub(others);
        let taken = bytes <= free / SHARE_OF_FREE;
        match taken {
            true => self.bytes = bytes,
            false => drop(total.held.fetch_sub(more, Ordering::Relaxed)),
        }
        taken
    }

    fn give_back(&mut self, bytes: usize) {
        if let Some(total) = &self.total
            && bytes > 0
        {
            total.held.fetch_sub(bytes, Ordering::Relaxed);
            self.bytes -= bytes;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_has_an_eighth_of_what_is_left() {
        let total = Total::new(800);
        let mut one = total.share();
        assert!(one.hold(60) && one.hold(100));
        assert!(!one.hold(101));
        assert_eq!(total.held(), 100, "a refusal changes nothing");
        let mut other = total.share();
        assert!(!other.hold(88) && other.hold(87));
        assert!(one.hold(10));
        assert_eq!(total.held(), 97);
        drop((one, other));
        assert_eq!(total.held(), 0);
    }

    #[test]
    fn many_that_hold_much_leave_room_for_one_that_holds_little() {
        let total = Total::new(1 << 20);
        let mut much: Vec<Share> = (0..1_000).map(|_| total.share()).collect();
        let taken = much
            .iter_mut()
            .filter_map(|share| share.hold(16 << 10).then_some(()));
        assert!((50..64).contains(&taken.count()));
        assert!(total.share().hold(1 << 10));
    }

    #[test]
    fn without_a_total_nothing_is_refused() {
        assert!(Share::default().hold(usize::MAX));
    }
}
