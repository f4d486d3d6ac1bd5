//! The total of bytes that many holders use, each holder belonging to a user or an address. Knows no value of a limit,
//! and nothing of what is held.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The part of what all others leave that one owner's holders may have together, so that no owner takes it all.
const SHARE_OF_OWNER: usize = 4;

/// The part of what its owner has left that one holder may have: many that each hold much are refused while there is
/// room for one that holds little, instead of whoever comes first once everything is taken.
const SHARE_OF_HOLDER: usize = 2;

/// Owners are counted by a keyed hash, which takes neither a lock nor memory for each of them. Two that meet in one count
/// share a share; nobody can choose whom to meet.
const COUNTS: u16 = 1 << 15;

/// Where an owner is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Account(u16);

/// What all holders together have, and may have.
#[derive(Debug)]
pub(crate) struct Total {
    limit: usize,
    held: AtomicUsize,
    by_owner: Box<[AtomicUsize]>,
    hasher: RandomState,
}

impl Total {
    /// Nothing is held yet, and at most `limit` bytes may be.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            held: AtomicUsize::new(0),
            by_owner: (0..COUNTS).map(|_| AtomicUsize::new(0)).collect(),
            hasher: RandomState::new(),
        })
    }

    /// The share of another holder, which holds nothing yet and belongs to `owner`.
    pub(crate) fn share(self: &Arc<Self>, owner: &impl Hash) -> Share {
        Share {
            total: Some(Arc::clone(self)),
            account: self.account(owner),
            bytes: 0,
        }
    }

    /// Where `owner` is counted.
    pub(crate) fn account(&self, owner: &impl Hash) -> Account {
        // The remainder is below `COUNTS`.
        Account((self.hasher.hash_one(owner) % u64::from(COUNTS)) as u16)
    }

    fn of(&self, account: Account) -> Option<&AtomicUsize> {
        self.by_owner.get(usize::from(account.0))
    }

    /// The bytes that are held now.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// The bytes that may be held.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// For holders that count for themselves: the owner of `account` has `bytes` more, however many it may have.
    pub(crate) fn add(&self, account: Account, bytes: usize) {
        // To the owner's first, so that nobody takes it for somebody else's meanwhile.
        if let Some(owner) = self.of(account) {
            owner.fetch_add(bytes, Ordering::Relaxed);
        }
        self.held.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The owner of `account` has `bytes` fewer, which it had.
    pub(crate) fn remove(&self, account: Account, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(owner) = self.of(account) {
            owner.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// How many bytes more the holders of one owner may have together: a quarter of what all others leave, less what
    /// they have.
    pub(crate) fn left(&self, account: Account) -> usize {
        let of_owner = self.of(account).map_or(0, |owner| owner.load(Ordering::Relaxed));
        self.owners_part(of_owner, self.held()).saturating_sub(of_owner)
    }

    fn owners_part(&self, of_owner: usize, held: usize) -> usize {
        let of_others = held.saturating_sub(of_owner);
        self.limit.saturating_sub(of_others) / SHARE_OF_OWNER
    }
}

/// Whether a holder may come to have `bytes`, `left` being what its owner has left when this one has nothing.
pub(crate) fn is_within_share(bytes: usize, left: usize) -> bool {
    bytes <= left / SHARE_OF_HOLDER
}

/// What one holder has of a [`Total`], given back when dropped. The default is bounded by nothing and counts nothing.
#[derive(Debug, Default)]
pub(crate) struct Share {
    total: Option<Arc<Total>>,
    account: Account,
    bytes: u32,
}

impl Share {
    /// Holds `bytes` from now on, more or fewer than before. Call it before the memory is taken. Returns `false`, and
    /// changes nothing, if that is too much: the holders of one owner may have a quarter of what all others leave, and
    /// each holder half of what its owner has left, so that the only one may have an eighth.
    #[must_use = "where it is refused, the memory must not be taken"]
    pub(crate) fn hold(&mut self, bytes: usize) -> bool {
        let Some((total, owner)) = self.counts() else {
            return true;
        };
        let Ok(wanted) = u32::try_from(bytes) else {
            return false;
        };
        if wanted <= self.bytes {
            self.give_back(self.bytes - wanted);
            return true;
        }
        let (before, more) = (self.bytes as usize, (wanted - self.bytes) as usize);
        // Added first, so that two holders cannot both take the last of it; to the owner's first, so that what another
        // holder adds meanwhile is not taken for somebody else's.
        let of_owner = owner.fetch_add(more, Ordering::Relaxed);
        let held = total.held.fetch_add(more, Ordering::Relaxed);
        let may_have = total.owners_part(of_owner, held);
        let left = may_have.saturating_sub(of_owner.saturating_sub(before));
        let taken = is_within_share(bytes, left);
        match taken {
            true => self.bytes = wanted,
            false => {
                total.held.fetch_sub(more, Ordering::Relaxed);
                owner.fetch_sub(more, Ordering::Relaxed);
            }
        }
        taken
    }

    /// Belongs to `owner` from now on, with what it holds, even if the owner has more than a quarter then.
    pub(crate) fn belong_to(&mut self, owner: &impl Hash) {
        let Some(total) = self.total.clone() else { return };
        let bytes = self.bytes;
        self.give_back(bytes);
        self.account = total.account(owner);
        total.add(self.account, bytes as usize);
        self.bytes = bytes;
    }

    /// All that is held, and what its owner holds of it. `None`: nothing is counted.
    fn counts(&self) -> Option<(&Total, &AtomicUsize)> {
        let total = self.total.as_deref()?;
        Some((total, total.of(self.account)?))
    }

    fn give_back(&mut self, bytes: u32) {
        if bytes == 0 {
            return;
        }
        if let Some(total) = &self.total {
            total.remove(self.account, bytes as usize);
        }
        self.bytes -= bytes;
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

    /// Two owners that are counted apart.
    fn owners(total: &Total) -> (u32, u32) {
        let other = (2..).find(|other| total.account(other) != total.account(&1));
        (1, other.unwrap())
    }

    #[test]
    fn the_only_holder_of_an_owner_has_an_eighth_of_what_is_left() {
        let total = Total::new(800);
        let (one, other) = owners(&total);
        let mut one = total.share(&one);
        assert!(one.hold(60) && one.hold(100));
        assert!(!one.hold(101));
        assert_eq!(total.held(), 100, "a refusal changes nothing");
        let mut other = total.share(&other);
        assert!(!other.hold(88) && other.hold(87));
        assert!(one.hold(10));
        assert_eq!(total.held(), 97);
        drop((one, other));
        assert_eq!(total.held(), 0);
        assert!(
            total
                .by_owner
                .iter()
                .all(|count| count.load(Ordering::Relaxed) == 0)
        );
    }

    /// Whatever sizes they try.
    #[test]
    fn all_holders_of_an_owner_have_a_quarter_of_what_is_left() {
        let total = Total::new(1 << 20);
        let (one, other) = owners(&total);
        let mut shares: Vec<Share> = (0..10_000).map(|_| total.share(&one)).collect();
        let mut size = 200_000;
        for share in &mut shares {
            while size > 1 && !share.hold(size) {
                size -= size.div_ceil(10);
            }
        }
        let most = (1 << 20) / 4;
        assert!((most - 8..=most).contains(&total.held()), "{}", total.held());
        let mut newcomer = total.share(&other);
        let eighth = ((1 << 20) - total.held()) / 8;
        assert!(!newcomer.hold(eighth + 1) && newcomer.hold(eighth));
        // The owner has less now, and the newcomer has room for more.
        shares.clear();
        assert_eq!(total.held(), eighth);
        assert!(newcomer.hold(1 << 17));
    }

    #[test]
    fn a_holder_may_come_to_belong_to_another_owner() {
        let total = Total::new(800);
        let (one, other) = owners(&total);
        let mut share = total.share(&one);
        assert!(share.hold(80));
        share.belong_to(&other);
        assert_eq!(total.held(), 80);
        assert!(!share.hold(101) && share.hold(100));
        // (800 - 0) / 4 - 100, and half of it.
        let mut second = total.share(&other);
        assert!(!second.hold(51) && second.hold(50));
        // (800 - 150) / 4, and half of it.
        let mut third = total.share(&one);
        assert!(!third.hold(82) && third.hold(81));
    }

    #[test]
    fn many_that_hold_much_leave_room_for_one_that_holds_little() {
        let total = Total::new(1 << 20);
        let mut much: Vec<Share> = (0..1_000).map(|_| total.share(&1)).collect();
        let taken = much
            .iter_mut()
            .filter_map(|share| share.hold(16 << 10).then_some(()));
        assert!((13..16).contains(&taken.count()));
        assert!(total.share(&1).hold(1 << 10));
    }

    #[test]
    fn without_a_total_nothing_is_refused() {
        let mut share = Share::default();
        assert!(share.hold(usize::MAX));
        share.belong_to(&1);
        assert!(share.hold(usize::MAX));
    }
}
