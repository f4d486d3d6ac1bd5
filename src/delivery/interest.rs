//! What this instance's sessions want, by shard: asked before any shard is woken, since most of what the bus carries
//! is for other instances. Written by the shards, read by whoever delivers. Knows no session.

use std::collections::HashMap;

use parking_lot::RwLock;

use crate::destination::{Path, Target};
use crate::principal::UserName;

/// Most shards that the bit sets hold.
pub const SHARDS_MAX: usize = 64;

/// A set of shards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShardSet(u64);

impl ShardSet {
    /// The shards in the set, lowest first.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..SHARDS_MAX).filter(move |shard| self.0 & (1 << shard) != 0)
    }

    /// Whether no shard is in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

#[derive(Debug, Default)]
struct Wanted {
    shards: u64,
    subscriptions: usize,
}

/// Which shards have subscribers of a broadcast destination, and which have sessions of a user.
#[derive(Debug, Default)]
pub struct Interest {
    broadcast: RwLock<HashMap<Path, Wanted>>,
    users: RwLock<HashMap<UserName, u64>>,
}

impl Interest {
    /// The shards that may have a session for `target`.
    pub fn shards(&self, target: &Target) -> ShardSet {
        ShardSet(match target {
            Target::Broadcast(path) => self.broadcast.read().get(path).map_or(0, |wanted| wanted.shards),
            Target::User { user, .. } => self.users.read().get(user).copied().unwrap_or(0),
        })
    }

    /// The shards that have sessions of `user`.
    pub fn shards_of_user(&self, user: &UserName) -> ShardSet {
        ShardSet(self.users.read().get(user).copied().unwrap_or(0))
    }

    /// Subscriptions to a broadcast destination, over all shards.
    pub fn subscriptions(&self, path: &Path) -> usize {
        self.broadcast
            .read()
            .get(path)
            .map_or(0, |wanted| wanted.subscriptions)
    }

    /// `shard` has one more subscription to `path`.
    pub(super) fn subscribed(&self, shard: usize, path: &Path) {
        let mut broadcast = self.broadcast.write();
        let wanted = broadcast.entry(path.clone()).or_default();
        wanted.shards |= 1 << shard;
        wanted.subscriptions += 1;
    }

    /// `shard` has one subscription to `path` less; `last`: none is left there.
    pub(super) fn unsubscribed(&self, shard: usize, path: &Path, last: bool) {
        let mut broadcast = self.broadcast.write();
        let Some(wanted) = broadcast.get_mut(path) else {
            return;
        };
        wanted.subscriptions = wanted.subscriptions.saturating_sub(1);
        if last {
            wanted.shards &= !(1 << shard);
        }
        if wanted.shards == 0 {
            broadcast.remove(path);
        }
    }

    /// `shard` has its first session of `user`.
    pub(super) fn user_came(&self, shard: usize, user: &UserName) {
        *self.users.write().entry(user.clone()).or_default() |= 1 << shard;
    }

    /// `shard` has no session of `user` any more.
    pub(super) fn user_went(&self, shard: usize, user: &UserName) {
        let mut users = self.users.write();
        let Some(shards) = users.get_mut(user) else { return };
        *shards &= !(1 << shard);
        if *shards == 0 {
            users.remove(user);
        }
    }
}
