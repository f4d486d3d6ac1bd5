//! The revocations in force, behind a lock, and the users whose sessions have to be checked because of a new one.
//! Logins and renewals ask it; deliveries never do. Knows no bus and no session.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use crate::envelope::unix_ms;
use crate::principal::{Origin, Principal, UserName};
use entry::{Revocation, RevocationId};
use set::{Asked, AskedToken, Digest, Joined, Set, Shut, comparable_from_ms};

pub(crate) mod entry;
pub(crate) mod set;

/// The longest that a revocation may last, in ms: 8,760 hours, which is a year.
pub(crate) const LASTS_MAX_MS: u64 = 8_760 * 3_600_000;
/// How far another instance's clock may be ahead.
pub(crate) const CLOCKS_MAX_MS: u64 = 3_600_000;
/// How many revocations are added before the next login may look: this takes less than a millisecond.
const AT_ONCE: usize = 128;
/// How many users may wait for their sessions to be checked individually; with more, every session is checked.
const DUE_MAX: usize = 1_024;

/// The revocations in force. Shared as `Arc<Revoked>`.
#[derive(Debug)]
pub(crate) struct Revoked {
    set: RwLock<Set>,
    /// `auth.revocations`
    most: usize,
    due: Mutex<Due>,
    woken: Notify,
}

/// Whose sessions have to be checked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Due {
    /// The sessions of these users.
    pub users: Vec<UserName>,
    /// All sessions.
    pub everyone: bool,
}

impl Due {
    fn add(&mut self, user: Option<&UserName>) {
        match user {
            Some(user) if self.users.len() < DUE_MAX => {
                if !self.everyone && !self.users.contains(user) {
                    self.users.push(user.clone());
                }
            }
            _ => {
                self.everyone = true;
                self.users = Vec::new();
            }
        }
    }
}

/// The room for revocations from other instances, if operators may make `most`: two instances may have taken the last
/// place at the same moment.
pub(crate) fn room(most: usize) -> usize {
    most.saturating_add(most / 10).saturating_add(1_000)
}

/// The latest end that a revocation may have now, in Unix ms.
pub(crate) fn latest_end_ms() -> u64 {
    unix_ms().saturating_add(LASTS_MAX_MS + CLOCKS_MAX_MS)
}

/// The result of adding revocations from others.
#[derive(Debug, Default)]
pub(crate) struct Accepted {
    /// Those that were new.
    pub new: Vec<Revocation>,
    /// How many found no room.
    pub refused: usize,
}

impl Revoked {
    /// An empty set; operators may make `most`.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            set: RwLock::default(),
            most,
            due: Mutex::default(),
            woken: Notify::new(),
        })
    }

    /// Why `who` is refused. Costs a few hash lookups.
    pub(crate) fn refuses(&self, who: &Principal) -> Option<Shut> {
        let issuer = match who.origin() {
            Origin::Issuer(issuer) => Some(&**issuer),
            // Without an issuer: a revocation of the user applies to earlier acceptances by a backend.
            Origin::Callout => Some(""),
            Origin::Password | Origin::Anonymous => None,
        };
        let token = issuer.zip(who.token()).map(|(issuer, token)| AskedToken {
            issuer,
            id: token.id.as_deref(),
            earliest_ms: token.earliest_ms,
        });
        let user = who.user().as_str();
        self.set.read().refuses(Asked { user, token }, unix_ms())
    }

    /// Whether an operator may add a revocation with this id.
    pub(crate) fn has_room(&self, id: RevocationId) -> bool {
        let has_room = |set: &Set| set.len() < self.most || set.get(id).is_some();
        if has_room(&self.set.read()) {
            return true;
        }
        let mut set = self.set.write();
        set.expire(unix_ms());
        has_room(&set)
    }

    /// Adds operators' revocations, for which there [was room](Self::has_room).
    pub(crate) fn add(&self, revocations: impl IntoIterator<Item = Revocation>) {
        self.put(revocations, usize::MAX);
    }

    /// The maximum number, including those from other instances.
    pub(crate) fn room(&self) -> usize {
        room(self.most)
    }

    /// Adds revocations from other instances or from a file.
    pub(crate) fn accept(&self, told: impl IntoIterator<Item = Revocation>) -> Accepted {
        self.put(told, self.room())
    }

    fn put(&self, told: impl IntoIterator<Item = Revocation>, most: usize) -> Accepted {
        let (now, latest) = (unix_ms(), latest_end_ms());
        let mut accepted = Accepted::default();
        let mut told = told.into_iter().peekable();
        while told.peek().is_some() {
            let mut set = self.set.write();
            for mut revocation in told.by_ref().take(AT_ONCE) {
                if revocation.until_ms > latest {
                    // The other instance's clock is ahead of this one: the end is limited once, to the latest end
                    // possible here.
                    let known = set.get(revocation.id);
                    if known.is_some_and(|known| known.lifted >= revocation.lifted) {
                        continue;
                    }
                    revocation.until_ms = latest;
                }
                match set.put(revocation.clone(), now, most) {
                    Joined::New => accepted.new.push(revocation),
                    Joined::Known => {}
                    Joined::Full => accepted.refused += 1,
                }
            }
            set.settle();
            // Tasks that wait for the lock go first.
            parking_lot::RwLockWriteGuard::unlock_fair(set);
        }
        self.look_at(&accepted.new);
        accepted
    }

    /// Waits until sessions have to be checked because of new revocations, and returns whose.
    pub(crate) async fn due(&self) -> Due {
        loop {
            let woken = self.woken.notified();
            let due = std::mem::take(&mut *self.due.lock());
            if due != Due::default() {
                return due;
            }
            woken.await;
        }
    }

    /// Removes those that have ended.
    pub(crate) fn expire(&self) {
        self.set.write().expire(unix_ms());
    }

    /// How many end at `from_ms` or later, and a digest of them.
    pub(crate) fn digest(&self, from_ms: u64) -> Digest {
        self.set.read().digest(from_ms)
    }

    /// The end from which on other instances are to compare now.
    pub(crate) fn comparable_from_ms() -> u64 {
        comparable_from_ms(unix_ms())
    }

    /// How many there are, including those that were lifted or have just ended.
    pub(crate) fn len(&self) -> usize {
        self.set.read().len()
    }

    /// The revocation with this id, unless it has ended.
    pub(crate) fn get(&self, id: RevocationId) -> Option<Revocation> {
        let found = self.set.read().get(id).cloned();
        found.filter(|revocation| revocation.until_ms > unix_ms())
    }

    /// At most `count` revocations after `after`, by id, that have not ended and that `which` selects; and whether
    /// these are all.
    pub(crate) fn page(
        &self,
        after: Option<RevocationId>,
        count: usize,
        which: impl Fn(&Revocation) -> bool,
    ) -> (Vec<Revocation>, bool) {
        let (now, set) = (unix_ms(), self.set.read());
        let mut meant = set
            .behind(after)
            .filter(|one| one.until_ms > now && which(one))
            .peekable();
        let page = meant.by_ref().take(count).cloned().collect();
        (page, meant.peek().is_none())
    }

    fn look_at(&self, new: &[Revocation]) {
        let mut due = self.due.lock();
        for revocation in new.iter().filter(|revocation| !revocation.lifted) {
            due.add(revocation.whom.user());
        }
        drop(due);
        self.woken.notify_one();
    }
}

#[cfg(test)]
mod tests;
