//! Closes sessions from outside their shards: those of a user, a selection, or a number of them. Knows the shards only
//! by their mailboxes.

use tokio::sync::oneshot;

use super::Registry;
use crate::close_reason::CloseReason;
use crate::delivery::command::{Command, Which, Whom};
use crate::principal::UserName;

impl Registry {
    /// Closes all sessions of `user` on this instance. Every shard is told: a session whose Join is still in a
    /// mailbox is not in any index yet.
    pub async fn close_user(&self, user: &UserName, reason: CloseReason) {
        for shard in self.shards() {
            let whom = Whom::User(user.clone());
            self.send(shard, Command::End(whom, reason)).await;
        }
    }

    /// Closes all sessions on this instance whose principal `which` selects. Walks every session: for rare needs.
    pub async fn close_where(&self, which: Which, reason: CloseReason) {
        for shard in self.shards() {
            let whom = Whom::Where(which.clone());
            self.send(shard, Command::End(whom, reason)).await;
        }
    }

    /// Closes about `count` sessions, picked at random, with `reason`. Returns how many are left.
    pub async fn close_some(&self, count: usize, reason: CloseReason) -> usize {
        let each = count.div_ceil(self.inner.shards.len());
        let mut left = 0;
        for shard in self.shards() {
            let (sender, receiver) = oneshot::channel();
            let whom = Whom::Some(each, sender);
            self.send(shard, Command::End(whom, reason)).await;
            left += receiver.await.unwrap_or(0);
        }
        left
    }

    /// Closes `count` sessions, or all if there are fewer, picked at random over all shards. Returns how many.
    pub async fn close_exactly(&self, count: usize, reason: CloseReason) -> usize {
        let shards = self.inner.shards.len();
        let first = fastrand::usize(..shards);
        let mut closed = 0;
        for asked in 0..shards {
            // The shards that are left share what is left: they make up for those that have too few.
            let part = count.saturating_sub(closed).div_ceil(shards - asked);
            let (sender, receiver) = oneshot::channel();
            let whom = Whom::Exactly(part, sender);
            self.send((first + asked) % shards, Command::End(whom, reason))
                .await;
            closed += receiver.await.unwrap_or(0);
        }
        closed
    }

    /// Closes the sessions of `user` on this instance that began at `since_ms` or before it, in Unix ms.
    pub async fn close_user_since(&self, user: &UserName, since_ms: u64, reason: CloseReason) {
        for shard in self.shards() {
            let whom = Whom::Since(user.clone(), since_ms);
            self.send(shard, Command::End(whom, reason)).await;
        }
    }

    /// Closes the sessions of `user` on this instance whose principal `which` selects.
    pub async fn close_of_user(&self, user: &UserName, which: Which, reason: CloseReason) {
        for shard in self.shards() {
            let whom = Whom::OfUser(user.clone(), which.clone());
            self.send(shard, Command::End(whom, reason)).await;
        }
    }
}
