//! Limits the sessions of one user (`limits.sessions_per_user`): which sessions are on this instance, and which have to end.
//! Knows sessions only through their handles. [`cluster`] handles sessions on other instances.
//!
//! **Order**: one lock protects the table. A session is in it from before its CONNECTED until its task ends, so that
//! concurrent logins count each other. If a session is superseded before it has joined its shard, the shard does not know
//! it yet, so the session checks again after it has joined.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::action::Refusal;
use super::end::error_end;
use crate::close_reason::CloseReason;
use crate::delivery::registry::{Sending, SessionHandle};
use crate::envelope::unix_ms;
use crate::limit::Limit;
use crate::principal::UserName;
use crate::setting::{Limits, SessionsPerUserPolicy};
use crate::stomp::Version;
use crate::telemetry::metrics::Metrics;

pub(crate) mod cluster;
mod excess;
mod protocol;

/// The table, empty and unused without a limit. Cheap to clone.
#[derive(Clone)]
pub(crate) struct PerUser(Arc<Shared>);

struct Shared {
    most: usize,
    policy: SessionsPerUserPolicy,
    table: Mutex<Table>,
    /// Woken when a user is in doubt.
    due: Notify,
}

#[derive(Default)]
struct Table {
    /// Each user's sessions, oldest first.
    seated: HashMap<UserName, VecDeque<Arc<Seated>>>,
    /// Users whose sessions elsewhere have to be counted now; only users with a session here.
    doubted: HashSet<UserName>,
    /// The same after a count that could not be finished: due at the next look.
    doubted_later: HashSet<UserName>,
    last_since: u64,
}

struct Seated {
    user: UserName,
    version: Version,
    handle: SessionHandle,
    /// When the session's password was found right, in Unix ms. Advanced where needed, so that no two sessions of an
    /// instance have the same value and a clock that is set back does not change the order.
    since: u64,
    superseded: AtomicBool,
}

/// One session's place among its user's, freed when dropped.
pub(crate) struct Seat {
    shared: Arc<Shared>,
    seated: Arc<Seated>,
}

/// A session that gives way to another one of the same user.
pub(crate) struct Superseded {
    shared: Arc<Shared>,
    seated: Arc<Seated>,
    /// Whether it is told for the second time: it has been counted then.
    again: bool,
}

impl PerUser {
    /// From `[limits]`: `sessions_per_user` and its policy.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self(Arc::new(Shared {
            most: limits.sessions_per_user,
            policy: limits.sessions_per_user_policy,
            table: Mutex::default(),
            due: Notify::new(),
        }))
    }

    /// A place for another session of `user`, and the sessions here that give way to it, which the caller closes.
    /// Without a limit no place is needed.
    ///
    /// # Errors
    /// With the policy `refuse`: ERROR, 1008.
    pub(crate) fn admit(
        &self,
        user: &UserName,
        version: Version,
        handle: &SessionHandle,
    ) -> Result<(Option<Box<Seat>>, Vec<Superseded>), Refusal> {
        let Shared { most, policy, .. } = *self.0;
        if most == 0 {
            return Ok((None, Vec::new()));
        }
        let mut table = self.0.table.lock();
        let here = table.seated.get(user).map_or(0, VecDeque::len);
        if here >= most && policy == SessionsPerUserPolicy::Refuse {
            return Err(self.0.refusal());
        }
        let since = unix_ms().max(table.last_since.saturating_add(1));
        table.last_since = since;
        let seated = Arc::new(Seated {
            user: user.clone(),
            version,
            handle: handle.clone(),
            since,
            superseded: AtomicBool::new(false),
        });
        let of_user = table.seated.entry(user.clone()).or_default();
        let mut superseded = Vec::new();
        while of_user.len() >= most
            && let Some(seated) = of_user.pop_front()
        {
            superseded.push(self.supersede(seated));
        }
        of_user.push_back(Arc::clone(&seated));
        if policy == SessionsPerUserPolicy::Newest {
            table.doubted.insert(user.clone());
            self.0.due.notify_one();
        }
        let seat = Seat {
            shared: Arc::clone(&self.0),
            seated,
        };
        // Boxed: a session without a limit has room for nothing but the pointer.
        Ok((Some(Box::new(seat)), superseded))
    }

    fn supersede(&self, seated: Arc<Seated>) -> Superseded {
        seated.superseded.store(true, Ordering::Release);
        Superseded {
            shared: Arc::clone(&self.0),
            seated,
            again: false,
        }
    }

    /// What distinguishes a user's sessions here and orders them, oldest first.
    fn seats(&self, user: &UserName) -> Vec<u64> {
        let table = self.0.table.lock();
        let of_user = table.seated.get(user);
        of_user.map_or_else(Vec::new, |of_user| {
            of_user.iter().map(|seated| seated.since).collect()
        })
    }

    /// Takes these sessions of `user` out. Those that have ended in the meantime are skipped.
    fn take(&self, user: &UserName, seats: &[u64]) -> Vec<Superseded> {
        let mut table = self.0.table.lock();
        let Some(of_user) = table.seated.get_mut(user) else {
            return Vec::new();
        };
        let (taken, kept) = of_user
            .drain(..)
            .partition(|seated| seats.contains(&seated.since));
        *of_user = kept;
        let taken: VecDeque<Arc<Seated>> = taken;
        taken.into_iter().map(|seated| self.supersede(seated)).collect()
    }

    /// At most `most` users in doubt, who are then no longer in doubt.
    fn take_doubted(&self, most: usize) -> Vec<UserName> {
        let table = &mut *self.0.table.lock();
        let users: Vec<UserName> = table.doubted.iter().take(most).cloned().collect();
        for user in &users {
            table.doubted.remove(user);
        }
        users
    }

    /// A count could not be finished: [`PerUser::look_again`] starts it again.
    fn doubt_later(&self, user: &UserName) {
        let table = &mut *self.0.table.lock();
        if table.seated.contains_key(user) {
            table.doubted_later.insert(user.clone());
        }
    }

    /// Puts those users in doubt for whom that is due now; with `all`, every user who has a session here.
    fn look_again(&self, all: bool) {
        let table = &mut *self.0.table.lock();
        table.doubted.extend(table.doubted_later.drain());
        if all {
            table.doubted.extend(table.seated.keys().cloned());
        }
    }
}

impl Shared {
    fn refusal(&self) -> Refusal {
        let limit = Limit::SessionsPerUser;
        let bound = format!("at most {} sessions a user ({})", self.most, limit.name());
        let refusal = match self.policy {
            SessionsPerUserPolicy::Refuse => Refusal::new(CloseReason::Limit, bound),
            SessionsPerUserPolicy::Newest => {
                let reason = CloseReason::Superseded;
                Refusal::new(reason, format!("{}: {bound}", reason.words()))
            }
        };
        refusal.at(limit)
    }
}

impl Seat {
    /// This session, if it has given way in the meantime. Ask once, after joining.
    pub(crate) fn superseded(&self) -> Option<Superseded> {
        let superseded = self.seated.superseded.load(Ordering::Acquire);
        superseded.then(|| Superseded {
            shared: Arc::clone(&self.shared),
            seated: Arc::clone(&self.seated),
            again: true,
        })
    }
}

impl Superseded {
    /// Closes it: ERROR, 4409; with the policy `refuse` 1008.
    pub(crate) fn close(self, metrics: &Metrics) -> Sending {
        let mut refusal = self.shared.refusal();
        refusal.limit.take_if(|_| self.again);
        let end = error_end(refusal, self.seated.version, metrics);
        self.seated.handle.close(end.reason, end.messages)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let table = &mut *self.shared.table.lock();
        let user = &self.seated.user;
        let Some(of_user) = table.seated.get_mut(user) else {
            return;
        };
        of_user.retain(|seated| !Arc::ptr_eq(seated, &self.seated));
        if of_user.is_empty() {
            table.seated.remove(user);
            table.doubted.remove(user);
            table.doubted_later.remove(user);
        }
    }
}
