//! The users online anywhere, and for each of them on how many instances. Pure.

use std::collections::BTreeMap;

use crate::principal::UserName;

/// The union of all instances' users. A change costs one step in a tree; the set is copied as a whole only when
/// somebody asks for the list.
#[derive(Debug, Default)]
pub(super) struct Online {
    holders: BTreeMap<UserName, u32>,
    version: u64,
}

impl Online {
    /// Another instance holds the user. Returns whether the user is new in the cluster.
    pub(super) fn add(&mut self, user: &UserName) -> bool {
        if let Some(holders) = self.holders.get_mut(user) {
            *holders += 1;
            return false;
        }
        self.holders.insert(user.clone(), 1);
        self.version += 1;
        true
    }

    /// One instance no longer holds the user. Returns whether the user is now nowhere.
    pub(super) fn remove(&mut self, user: &UserName) -> bool {
        match self.holders.get_mut(user) {
            None => false,
            Some(1) => {
                self.holders.remove(user);
                self.version += 1;
                true
            }
            Some(holders) => {
                *holders -= 1;
                false
            }
        }
    }

    /// On how many instances the user is online.
    pub(super) fn holders(&self, user: &UserName) -> u32 {
        self.holders.get(user).copied().unwrap_or(0)
    }

    /// Whether the user is online anywhere.
    pub(super) fn contains(&self, user: &UserName) -> bool {
        self.holders.contains_key(user)
    }

    /// The users, sorted.
    pub(super) fn users(&self) -> Vec<UserName> {
        self.holders.keys().cloned().collect()
    }

    /// The number of users.
    pub(super) fn len(&self) -> usize {
        self.holders.len()
    }

    /// Grows with each change of the set.
    pub(super) fn version(&self) -> u64 {
        self.version
    }
}
