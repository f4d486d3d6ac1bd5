//! Whether this instance hears the others, so that their silence means something, and what follows from it.

use std::time::Duration;

use super::{Moment, Output, View};
use crate::instance::InstanceId;
use crate::presence::protocol::{Departed, MAX_INSTANCES};
use crate::principal::UserName;

/// For how long, in multiples of `instance_timeout`, the end of an instance can still change what is said: its users
/// are kept for the next in line in case the first dies before it has spoken, and a user who appears elsewhere may be
/// one of them.
const MATTERS_TIMEOUTS: u32 = 12;

/// This instance's own link to the others. It *listens* while the bus is connected and its own digests come back: a
/// connection that is dead but not yet known to be dead proves nothing about anybody's silence.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// The number of the connection, while there is one.
    connection: Option<u64>,
    listening: bool,
    has_listened: bool,
    echo_at: Option<Duration>,
    ticked_at: Option<Duration>,
    settles_at: Duration,
}

impl Link {
    pub(super) fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    pub(super) fn is_listening(&self) -> bool {
        self.listening
    }

    /// After an outage the news of the others comes first: a user who went to one of them in the meantime has not
    /// gone.
    pub(super) fn is_settling(&self, now: Duration) -> bool {
        now < self.settles_at
    }
}

/// An instance that was there.
#[derive(Debug)]
pub(super) struct Departure {
    pub(super) at: Duration,
    /// It said goodbye and is no longer listened to. Its id never comes back.
    pub(super) goodbye: bool,
    /// The instance that told backends that its users went, and tells them if they come back.
    pub(super) spoken_by: Option<InstanceId>,
    /// Its users who were nowhere else, until an instance has spoken of them.
    pub(super) orphans: Vec<UserName>,
    name: Box<str>,
}

impl View {
    /// The bus connection came, went, or was replaced. `connection` names its present life. What was said on an old
    /// connection is not proven by anything that comes back on the new one.
    pub(crate) fn connected(&mut self, now: Duration, connection: Option<u64>) {
        if self.link.connection != connection {
            self.link.connection = connection;
            self.link.echo_at = None;
            // At once: an echo of the old connection may arrive before the next tick.
            self.link.listening = false;
            self.digest_at = now;
            self.unacked
                .values_mut()
                .for_each(|proven_by| *proven_by = u64::MAX);
        }
    }

    /// Takes the echo of this instance's own digest.
    pub(super) fn echo(&mut self, now: Duration, beat: u64) {
        self.link.echo_at = Some(now);
        self.unacked.retain(|_, proven_by| *proven_by > beat);
    }

    /// Decides whether this instance listens. When it begins to, everybody's silence starts afresh, and what may have
    /// been lost on its way to backends is checked again.
    pub(super) fn watch_link(&mut self, now: Duration) {
        let timing = self.timing;
        let stalled_after = (timing.instance_timeout / 4).max(timing.digest_interval);
        let last = self.link.ticked_at.replace(now);
        if last.is_some_and(|last| now.saturating_sub(last) > stalled_after) {
            // This process stood still: the others may have spoken all the while.
            self.link.listening = false;
        }
        let echo_window = (timing.digest_interval * 5 / 2).min(timing.instance_timeout / 2);
        let heard = self
            .link
            .echo_at
            .is_some_and(|at| now.saturating_sub(at) < echo_window);
        let listening = self.link.is_connected() && heard;
        let begins = listening && !self.link.listening;
        self.link.listening = listening;
        if !begins {
            return;
        }
        self.peers.values_mut().for_each(|peer| peer.heard = now);
        if std::mem::replace(&mut self.link.has_listened, true) {
            self.link.settles_at = now + timing.digest_interval;
            for user in std::mem::take(&mut self.unacked).into_keys() {
                self.contest(now, user);
            }
        }
    }

    /// Removes instances that have been silent too long, and speaks of their users where that is this instance's
    /// turn.
    pub(super) fn watch_silence(&mut self, at: Moment) {
        let timeout = self.timing.instance_timeout;
        let silent = self
            .peers
            .iter()
            .filter(|(_, peer)| at.now.saturating_sub(peer.heard) >= timeout);
        let silent: Vec<InstanceId> = silent.map(|(id, _)| *id).collect();
        for id in silent {
            self.depart(at.now, id, false);
        }
        let kept = timeout * MATTERS_TIMEOUTS;
        let due = self
            .departed
            .iter()
            .filter(|(_, departure)| !departure.goodbye && departure.spoken_by.is_none());
        let due: Vec<InstanceId> = due.map(|(id, _)| *id).collect();
        for id in due {
            if self.is_lowest_but(id) {
                self.speak_for(at, id);
            } else if let Some(departure) = self.departed.get_mut(&id)
                && at.now.saturating_sub(departure.at) > kept
            {
                departure.orphans = Vec::new();
            }
        }
    }

    /// An instance is gone, by silence or by its own word.
    pub(super) fn depart(&mut self, now: Duration, id: InstanceId, goodbye: bool) {
        let mut departure = Departure {
            at: now,
            goodbye,
            spoken_by: None,
            orphans: Vec::new(),
            name: "".into(),
        };
        if let Some(peer) = self.peers.remove(&id) {
            departure.name = (&*peer.name).into();
            let users = peer.users().len();
            if goodbye {
                // Its last changes were lost if anybody is left: it told backends that they went.
                let here = peer.users().iter().filter(|user| self.local.is_online(user));
                let here: Vec<UserName> = here.cloned().collect();
                here.into_iter().for_each(|user| self.contest(now, user));
            }
            let nowhere = peer.dissolve(&mut self.online);
            tracing::info!(instance = %id, name = &*departure.name, users, goodbye, "an instance is gone");
            for user in &nowhere {
                if goodbye {
                    self.told_elsewhere(now, user, false, &departure.name);
                } else if self.words.get(user).is_some_and(|word| !word.is_own()) {
                    // That word is for the instance that speaks for it; only what this one has said stays its own.
                    self.words.remove(user);
                }
            }
            if !goodbye {
                departure.orphans = nowhere;
            }
        }
        self.departed.insert(id, departure);
        if self.departed.len() > MAX_INSTANCES {
            let oldest = self.departed.iter().min_by_key(|(_, departure)| departure.at);
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                self.departed.remove(&oldest);
            }
        }
    }

    /// Whether this instance has recently spoken for one that is gone.
    pub(super) fn spoke_lately(&self, now: Duration) -> bool {
        let lately = self.timing.instance_timeout * MATTERS_TIMEOUTS;
        self.departed.values().any(|departure| {
            departure.spoken_by == Some(self.me.id) && now.saturating_sub(departure.at) < lately
        })
    }

    fn speak_for(&mut self, at: Moment, id: InstanceId) {
        let Some(departure) = self.departed.get_mut(&id) else {
            return;
        };
        departure.spoken_by = Some(self.me.id);
        let name = departure.name.clone();
        for user in std::mem::take(&mut departure.orphans) {
            if !self.online.contains(&user) {
                self.tell(at, user, false, &name);
            }
        }
        self.statements.push(Output::Departed(Departed {
            instance: self.me.id,
            of: id,
        }));
    }
}
