//! What users have SENT, as an operator sees it: in all their sessions together. Knows no shard and no instance.

use std::collections::HashMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{By, SentView, keep_first};
use crate::principal::UserName;

/// What a user has sent in the sessions that are open and in those that ended within the last minutes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserSent {
    /// The user.
    pub user: UserName,
    /// The address of one of the sessions.
    pub address: IpAddr,
    /// How many of the user's open sessions have sent something.
    pub sessions: u64,
    /// How many sessions that have sent something ended.
    pub ended: u64,
    /// What they have sent together.
    pub sent: SentView,
}

impl UserSent {
    /// Adds what the user has sent elsewhere. The address of whichever has sent more by `by` stays.
    pub fn add(&mut self, other: &Self, by: By) {
        if by.key(&other.sent) > by.key(&self.sent) {
            self.address = other.address;
        }
        self.sessions = self.sessions.saturating_add(other.sessions);
        self.ended = self.ended.saturating_add(other.ended);
        self.sent = self.sent.plus(other.sent);
    }
}

/// One entry for each user, at most `most` of them: those that come first by `by`.
pub fn sum(parts: impl IntoIterator<Item = UserSent>, by: By, most: usize) -> Vec<UserSent> {
    let mut sums: HashMap<UserName, UserSent> = HashMap::new();
    for part in parts {
        match sums.get_mut(&part.user) {
            Some(sum) => sum.add(&part, by),
            None => {
                sums.insert(part.user.clone(), part);
            }
        }
    }
    let mut sums: Vec<_> = sums.into_values().collect();
    sums.sort_unstable_by(|a, b| a.user.cmp(&b.user));
    keep_first(&mut sums, by, most, |sum| sum.sent);
    sums
}
