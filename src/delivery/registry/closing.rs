//! Closing some of one user's sessions. Knows the shards by their mailboxes alone.

use super::Registry;
use crate::close_reason::CloseReason;
use crate::delivery::command::{Command, Which, Whom};
use crate::principal::UserName;

impl Registry {
    /// Closes the sessions of `user` on this instance whose principal `which` selects.
    pub async fn close_of_user(&self, user: &UserName, which: Which, reason: CloseReason) {
        for shard in self.shards() {
            let whom = Whom::OfUser(user.clone(), which.clone());
            self.send(shard, Command::End(whom, reason)).await;
        }
    }
}
