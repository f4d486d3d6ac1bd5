//! The presence messages on the control channel, as JSON, and their limits. Every received byte is hostile: sizes are
//! checked before parsing, names as they are read. Knows no state.

use serde::{Deserialize, Serialize};

use crate::control::question::{Question, Statement};
use crate::instance::InstanceId;
use crate::principal::UserName;

mod text;

use text::hex;
pub(super) use text::{InstanceName, Names, json_bytes};

/// The most bytes of names in one message (docs/architecture.md, decision 8).
pub(super) const PAGE_MAX_BYTES: usize = 256 << 10;
/// Room for everything in a message except the names.
pub(super) const HEAD_MAX_BYTES: usize = 2 << 10;
/// The largest message that is read.
const MESSAGE_MAX_BYTES: usize = PAGE_MAX_BYTES + HEAD_MAX_BYTES;
/// The most users that one instance can report; far above the sessions that fit into one process.
pub(super) const INSTANCE_MAX_USERS: usize = 1 << 20;
/// The most instances that a view holds.
pub(super) const MAX_INSTANCES: usize = 1_024;

/// The users who came to and went from one instance since its last message of this kind.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Changes {
    /// The sender.
    pub instance: InstanceId,
    /// Its name.
    pub name: InstanceName,
    /// The running number: one more than the last.
    pub number: u64,
    /// Users who came, and of whom backends were told `connected`.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub came: Names,
    /// Users who came, and of whom backends were told nothing: the sender already saw them elsewhere.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub joined: Names,
    /// Users who went, and of whom backends were told `disconnected`.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub went: Names,
    /// Users who went, and of whom backends were told nothing: the sender still saw them elsewhere.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub left: Names,
}

impl Statement for Changes {
    const KIND: &'static str = "presence.changes";
    const MAX_BYTES: usize = MESSAGE_MAX_BYTES;
}

/// What an instance holds after the change that it names.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Digest {
    /// The sender.
    pub instance: InstanceId,
    /// Its name.
    pub name: InstanceName,
    /// Counts the digests. The echo of a digest tells its sender that everything said before has reached the bus.
    pub beat: u64,
    /// The number of the last change.
    pub number: u64,
    /// What it holds after that change.
    #[serde(flatten)]
    pub summary: Summary,
}

impl Statement for Digest {
    const KIND: &'static str = "presence.digest";
    const MAX_BYTES: usize = MESSAGE_MAX_BYTES;
}

/// "I have told backends who went with that instance", sent by the surviving instance with the lowest id.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Departed {
    /// The sender.
    pub instance: InstanceId,
    /// The instance that is gone.
    pub of: InstanceId,
}

impl Statement for Departed {
    const KIND: &'static str = "presence.departed";
    const MAX_BYTES: usize = MESSAGE_MAX_BYTES;
}

/// The last message of an instance that ends in order: it now holds nobody.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Goodbye {
    /// The sender.
    pub instance: InstanceId,
}

impl Statement for Goodbye {
    const KIND: &'static str = "presence.goodbye";
    const MAX_BYTES: usize = MESSAGE_MAX_BYTES;
}

/// Which users do you hold? Answered page by page.
pub(super) struct Snapshot;

impl Question for Snapshot {
    const KIND: &'static str = "presence.snapshot";
    const MAX_BYTES: usize = MESSAGE_MAX_BYTES;
    type Ask = SnapshotRequest;
    type Answer = SnapshotReply;
}

/// Asks for one page of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SnapshotRequest {
    /// The asker has no use for a snapshot of an older change.
    pub at_least: u64,
    /// Where to continue. `None` asks for the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
}

/// A position in one snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// The change that the snapshot was taken at.
    pub number: u64,
    /// The number of users before this page.
    pub offset: usize,
}

/// The answer to [`SnapshotRequest`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SnapshotReply {
    /// `None`: the snapshot that the cursor names is no longer kept; begin again.
    pub page: Option<Page>,
}

/// One page. All pages of one snapshot are of the same moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Page {
    /// The change that the snapshot was taken at.
    pub number: u64,
    /// The summary of the whole snapshot.
    #[serde(flatten)]
    pub summary: Summary,
    /// The number of users before this page.
    pub offset: usize,
    /// Sorted, without duplicates, after all names of the previous page.
    pub names: Names,
    /// Whether another page follows.
    pub more: bool,
}

/// A set of users in a few bytes: their number and the sum of their hashes, which depends on no order and costs one
/// addition per change. The hash is the head of SHA-256: the same in every build, and hard to collide on purpose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Summary {
    /// The number of users.
    pub users: usize,
    /// The sum of their hashes, as text, since JSON numbers in other languages end at 53 bits.
    #[serde(with = "hex")]
    pub hash: u64,
}

impl Summary {
    /// Adds a user who was not in the set.
    pub(super) fn insert(&mut self, user: &UserName) {
        self.users += 1;
        self.hash = self.hash.wrapping_add(hash(user));
    }

    /// Removes a user who was in the set.
    pub(super) fn remove(&mut self, user: &UserName) {
        self.users = self.users.saturating_sub(1);
        self.hash = self.hash.wrapping_sub(hash(user));
    }
}

impl<'a> FromIterator<&'a UserName> for Summary {
    fn from_iter<T: IntoIterator<Item = &'a UserName>>(users: T) -> Self {
        let mut summary = Self::default();
        users.into_iter().for_each(|user| summary.insert(user));
        summary
    }
}

fn hash(user: &UserName) -> u64 {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(user.as_str())
        .iter()
        .take(8)
        .fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests;
