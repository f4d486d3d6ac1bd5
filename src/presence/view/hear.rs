//! Handles the messages of other instances.

use std::time::Duration;

use super::{Changes, Departed, Digest, Goodbye, InstanceId, InstanceName, Peer, View};
use crate::control::question::Refused;
use crate::presence::peer::Installed;
use crate::presence::protocol::MAX_INSTANCES;

impl View {
    /// Users came to or went from another instance.
    ///
    /// # Errors
    /// [`Refused::Bound`]: too many instances speak.
    pub(crate) fn on_changes(&mut self, now: Duration, changes: Changes) -> Result<(), Refused> {
        if !self.heard(now, changes.instance, &changes.name)? {
            return Ok(());
        }
        let name = changes.name.0.clone();
        for user in &changes.came.0 {
            self.told_elsewhere(now, user, true, &name);
        }
        for user in &changes.went.0 {
            self.told_elsewhere(now, user, false, &name);
        }
        if self.spoke_lately(now) {
            // The sender saw them elsewhere, this instance sees them nowhere: perhaps it has just said so.
            for user in &changes.joined.0 {
                if !self.online.contains(user) {
                    self.contest(now, user.clone());
                }
            }
        }
        if let Some(peer) = self.peers.get_mut(&changes.instance) {
            peer.changed(now, changes, &mut self.online);
        }
        Ok(())
    }

    /// Another instance says what it holds, or this instance's own words come back.
    ///
    /// # Errors
    /// [`Refused::Bound`]: too many instances speak.
    pub(crate) fn on_digest(&mut self, now: Duration, digest: &Digest) -> Result<(), Refused> {
        if digest.instance == self.me.id {
            self.echo(now, digest.beat);
            return Ok(());
        }
        if self.heard(now, digest.instance, &digest.name)?
            && let Some(peer) = self.peers.get_mut(&digest.instance)
            && peer.compare(now, digest)
        {
            self.departed.remove(&digest.instance);
        }
        Ok(())
    }

    /// Another instance has told backends who went with an instance that is gone.
    pub(crate) fn on_departed(&mut self, departed: &Departed) {
        if departed.instance == self.me.id {
            return;
        }
        if let Some(departure) = self.departed.get_mut(&departed.of) {
            departure.spoken_by = Some(departed.instance);
            departure.orphans = Vec::new();
        }
    }

    /// Another instance is ending.
    pub(crate) fn on_goodbye(&mut self, now: Duration, goodbye: &Goodbye) {
        if goodbye.instance != self.me.id && self.peers.contains_key(&goodbye.instance) {
            self.depart(now, goodbye.instance, true);
        }
    }

    /// Records that an instance is alive, and returns whether to listen to it.
    fn heard(&mut self, now: Duration, id: InstanceId, name: &InstanceName) -> Result<bool, Refused> {
        if id == self.me.id || self.departed.get(&id).is_some_and(|departure| departure.goodbye) {
            return Ok(false);
        }
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.heard = now;
            return Ok(true);
        }
        if self.peers.len() >= MAX_INSTANCES {
            return Err(Refused::Bound("more than 1024 instances"));
        }
        tracing::info!(instance = %id, name = &*name.0, "an instance has come");
        self.peers.insert(id, Peer::new(name.0.clone(), now));
        // The newcomer learns of this instance now, not at the end of the interval.
        self.digest_at = now;
        Ok(true)
    }

    /// A snapshot was installed. Whether backends were told of what it changed, nobody can say. If this instance
    /// holds a user who vanished elsewhere, or has said that users went who are back, it speaks again.
    pub(super) fn installed(&mut self, now: Duration, id: InstanceId, installed: Installed) {
        for user in installed.vanished {
            if self.local.is_online(&user) {
                self.contest(now, user);
            }
        }
        let doubtful = match self.departed.remove(&id) {
            None if self.spoke_lately(now) => installed.appeared,
            None => return,
            // The instance that announced the end announces the return, and so does one that announced another's end:
            // the users may have been on both. If the announcer is dead, everyone who saw the end speaks: better
            // twice than never.
            Some(departure) => {
                let spoken_by = departure
                    .spoken_by
                    .filter(|speaker| self.peers.contains_key(speaker));
                let spoke = self
                    .departed
                    .values()
                    .any(|other| other.spoken_by == Some(self.me.id));
                match self.peers.get(&id) {
                    Some(peer) if spoken_by.is_none() || spoke => peer.users().iter().cloned().collect(),
                    _ => return,
                }
            }
        };
        for user in doubtful {
            self.contest(now, user);
        }
    }
}
