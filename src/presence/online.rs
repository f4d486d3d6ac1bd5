//! The users online anywhere: for each, on how many instances. Pure.

use std::collections::BTreeMap;

use crate::principal::UserName;

/// The union of all instances' users. A change costs one step in a tree; nothing is ever copied as a whole but for
/// who asks for the list.
#[derive(Debug, Default)]
pub struct Online {
    holders: BTreeMap<UserName, u32>,
    version: u64,
}

impl Online {
    /// One more instance holds the user; whether the user is new in the cluster.
    pub fn add(&mut self, user: &UserName) -> bool {
        if let Some(holders) = self.holders.get_mut(user) {
            *holders += 1;
            return false;
        }
        self.holders.insert(user.clone(), 1);
        self.version += 1;
        true
    }

    /// One instance less holds the user; whether the user is nowhere now.
    pub fn remove(&mut self, user: &UserName) -> bool {
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

    /// On how many instances the user is.
    pub fn holders(&self, user: &UserName) -> u32 {
        self.holders.get(user).copied().unwrap_or(0)
    }

    /// Whether the user is anywhere.
    pub fn contains(&self, user: &UserName) -> bool {
        self.holders.contains_key(user)
    }

    /// The users, sorted.
    pub fn users(&self) -> Vec<UserName> {
        self.holders.keys().cloned().collect()
    }

    /// How many users.
    pub fn len(&self) -> usize {
        self.holders.len()
    }

    /// Grows with each change of the set.
    pub fn version(&self) -> u64 {
        self.version
    }
}
