//! What this instance's sessions want, by shard. It is checked before any shard is woken, because most messages on the bus
//! are for other instances. Shards write it, senders read it. Knows no session.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::destination::{Path, Target};
use crate::principal::UserName;

/// The most shards that a bit set can hold.
pub(super) const SHARDS_MAX: usize = 64;

/// A set of shards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ShardSet(u64);

impl ShardSet {
    /// The shards in the set, lowest first.
    pub(super) fn iter(self) -> impl Iterator<Item = usize> {
        (0..SHARDS_MAX).filter(move |shard| self.0 & (1 << shard) != 0)
    }

    /// Whether the set is empty.
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

#[derive(Debug, Default)]
struct Wanted {
    shards: u64,
    subscriptions: usize,
    /// The shards with a SUBSCRIBE in their mailbox, one entry each; usually none.
    coming: Vec<u8>,
}

impl Wanted {
    fn all_shards(&self) -> u64 {
        self.coming
            .iter()
            .fold(self.shards, |all, shard| all | 1 << shard)
    }
}

/// Which users have sessions on which shards.
#[derive(Debug, Default)]
struct Users {
    here: HashMap<UserName, u64>,
    /// The shards with a login in their mailbox, one entry each; usually nobody is in it.
    coming: HashMap<UserName, Vec<u8>>,
}

impl Users {
    fn shards(&self, user: &UserName) -> ShardSet {
        let here = self.here.get(user).copied().unwrap_or(0);
        let coming = self.coming.get(user).into_iter().flatten();
        ShardSet(coming.fold(here, |all, shard| all | 1 << shard))
    }
}

/// A SUBSCRIBE or a login on its way through a mailbox. While it lives, its shard already receives the notifications
/// of that destination or user, which queue behind it in the same mailbox: what a client sends right after it must
/// not find nobody interested.
#[derive(Debug)]
pub(super) struct Coming {
    interest: Arc<Interest>,
    shard: u8,
    what: What,
}

#[derive(Debug)]
enum What {
    Subscription(Path),
    Login(UserName),
}

impl Drop for Coming {
    fn drop(&mut self) {
        let path = match &self.what {
            What::Subscription(path) => path,
            What::Login(user) => {
                let coming = &mut self.interest.users.write().coming;
                if let Some(shards) = coming.get_mut(user) {
                    if let Some(index) = shards.iter().position(|shard| *shard == self.shard) {
                        shards.swap_remove(index);
                    }
                    if shards.is_empty() {
                        coming.remove(user);
                    }
                }
                return;
            }
        };
        let mut broadcast = self.interest.broadcast.write();
        let Some(wanted) = broadcast.get_mut(path) else {
            return;
        };
        if let Some(index) = wanted.coming.iter().position(|shard| *shard == self.shard) {
            wanted.coming.swap_remove(index);
        }
        if wanted.all_shards() == 0 {
            broadcast.remove(path);
        }
    }
}

/// Which shards have subscribers of a broadcast destination, and which have sessions of a user.
#[derive(Debug, Default)]
pub(super) struct Interest {
    broadcast: RwLock<HashMap<Path, Wanted>>,
    users: RwLock<Users>,
}

impl Interest {
    /// The shards that may have a session for `target`.
    pub(super) fn shards(&self, target: &Target) -> ShardSet {
        match target {
            Target::Broadcast(path) => {
                ShardSet(self.broadcast.read().get(path).map_or(0, Wanted::all_shards))
            }
            Target::User { user, .. } => self.shards_of_user(user),
        }
    }

    /// The shards that may have sessions of `user`.
    pub(super) fn shards_of_user(&self, user: &UserName) -> ShardSet {
        self.users.read().shards(user)
    }

    /// Subscriptions to a broadcast destination, over all shards.
    pub(super) fn subscriptions(&self, path: &Path) -> usize {
        self.broadcast
            .read()
            .get(path)
            .map_or(0, |wanted| wanted.subscriptions)
    }

    /// Announces that a subscription to `path` is about to be sent to `shard`, which is below [`SHARDS_MAX`]. Drop
    /// the result once [`Interest::subscribed`] was called, or never will be.
    pub(super) fn announce(self: &Arc<Self>, shard: usize, path: &Path) -> Coming {
        let coming = Coming {
            interest: self.clone(),
            shard: shard as u8,
            what: What::Subscription(path.clone()),
        };
        let mut broadcast = self.broadcast.write();
        broadcast
            .entry(path.clone())
            .or_default()
            .coming
            .push(coming.shard);
        coming
    }

    /// Announces that a session of `user` is about to be sent to `shard`, as with [`Interest::announce`].
    pub(super) fn announce_login(self: &Arc<Self>, shard: usize, user: &UserName) -> Coming {
        let coming = Coming {
            interest: self.clone(),
            shard: shard as u8,
            what: What::Login(user.clone()),
        };
        let coming_users = &mut self.users.write().coming;
        coming_users.entry(user.clone()).or_default().push(coming.shard);
        coming
    }

    /// `shard` has one more subscription to `path`.
    pub(super) fn subscribed(&self, shard: usize, path: &Path) {
        let mut broadcast = self.broadcast.write();
        let wanted = broadcast.entry(path.clone()).or_default();
        wanted.shards |= 1 << shard;
        wanted.subscriptions += 1;
    }

    /// `shard` has one subscription less to `path`. `last`: none is left there.
    pub(super) fn unsubscribed(&self, shard: usize, path: &Path, last: bool) {
        let mut broadcast = self.broadcast.write();
        let Some(wanted) = broadcast.get_mut(path) else {
            return;
        };
        wanted.subscriptions = wanted.subscriptions.saturating_sub(1);
        if last {
            wanted.shards &= !(1 << shard);
        }
        if wanted.all_shards() == 0 {
            broadcast.remove(path);
        }
    }

    /// `shard` has its first session of `user`.
    pub(super) fn user_came(&self, shard: usize, user: &UserName) {
        *self.users.write().here.entry(user.clone()).or_default() |= 1 << shard;
    }

    /// `shard` has no session of `user` any more.
    pub(super) fn user_went(&self, shard: usize, user: &UserName) {
        let users = &mut self.users.write().here;
        let Some(shards) = users.get_mut(user) else { return };
        *shards &= !(1 << shard);
        if *shards == 0 {
            users.remove(user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_asked_as_soon_as_a_subscription_is_on_its_way() {
        let interest = Arc::new(Interest::default());
        let path = Path::parse("/queue/a").unwrap();
        let shards = || {
            let target = Target::Broadcast(path.clone());
            interest.shards(&target).iter().collect::<Vec<_>>()
        };
        assert!(shards().is_empty());
        let coming = [3, 3, 5].map(|shard| interest.announce(shard, &path));
        assert_eq!(shards(), [3, 5]);
        let [first, second, third] = coming;
        interest.subscribed(3, &path);
        drop(first);
        // The last one leaves while another is on its way.
        interest.unsubscribed(3, &path, true);
        assert_eq!(shards(), [3, 5]);
        assert_eq!(interest.subscriptions(&path), 0);
        drop(second);
        assert_eq!(shards(), [5]);
        drop(third);
        assert!(shards().is_empty());
        assert!(interest.broadcast.read().is_empty());
    }
}
