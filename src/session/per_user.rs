//! How many sessions one user may have on this instance (`limits.sessions_per_user`). Knows sessions by their handles.
//!
//! **Order**: one lock, around the table. A session is in it from before its CONNECTED until its task ends, so that logins
//! at the same time count each other. One that is superseded before it has joined its shard is told twice: its shard does
//! not know it yet, so it looks itself once it has joined.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::action::Refusal;
use super::end::error_end;
use crate::close_reason::CloseReason;
use crate::config::{Limits, SessionsPerUserPolicy};
use crate::delivery::registry::{Sending, SessionHandle};
use crate::limit::Limit;
use crate::principal::UserName;
use crate::stomp::Version;
use crate::telemetry::metrics::Metrics;

/// The table; empty and untouched without a limit.
pub struct PerUser {
    most: usize,
    policy: SessionsPerUserPolicy,
    table: Arc<Table>,
}

/// Each user's sessions, the oldest first.
type Table = Mutex<HashMap<UserName, VecDeque<Arc<Seated>>>>;

struct Seated {
    user: UserName,
    version: Version,
    handle: SessionHandle,
    superseded: AtomicBool,
}

/// One session's place among its user's, free again when dropped.
pub struct Seat {
    most: usize,
    seated: Arc<Seated>,
    table: Arc<Table>,
}

/// A session that a newer one took the place of.
pub struct Superseded {
    seated: Arc<Seated>,
    most: usize,
}

impl PerUser {
    /// Out of `[limits]`: `sessions_per_user` and its policy.
    pub fn new(limits: &Limits) -> Self {
        Self {
            most: limits.sessions_per_user,
            policy: limits.sessions_per_user_policy,
            table: Arc::default(),
        }
    }

    /// A place for one more session of `user`, and the sessions that give way for it, which the caller closes. No place
    /// is needed without a limit.
    ///
    /// # Errors
    /// With the policy `refuse`: ERROR, 1008.
    pub fn admit(
        &self,
        user: &UserName,
        version: Version,
        handle: &SessionHandle,
    ) -> Result<(Option<Box<Seat>>, Vec<Superseded>), Refusal> {
        if self.most == 0 {
            return Ok((None, Vec::new()));
        }
        let seated = Arc::new(Seated {
            user: user.clone(),
            version,
            handle: handle.clone(),
            superseded: AtomicBool::new(false),
        });
        let mut table = self.table.lock();
        let of_user = table.entry(user.clone()).or_default();
        let mut superseded = Vec::new();
        if of_user.len() >= self.most {
            if self.policy == SessionsPerUserPolicy::Refuse {
                let limit = Limit::SessionsPerUser;
                let message = format!("at most {} sessions a user ({})", self.most, limit.name());
                return Err(Refusal::new(CloseReason::Limit, message).at(limit));
            }
            while of_user.len() >= self.most
                && let Some(seated) = of_user.pop_front()
            {
                seated.superseded.store(true, Ordering::Release);
                superseded.push(Superseded {
                    seated,
                    most: self.most,
                });
            }
        }
        of_user.push_back(Arc::clone(&seated));
        let seat = Seat {
            most: self.most,
            seated,
            table: Arc::clone(&self.table),
        };
        // Boxed: a session without a limit has room for nothing but the pointer.
        Ok((Some(Box::new(seat)), superseded))
    }
}

impl Seat {
    /// This session, if a newer one has taken its place: to be asked once, after joining.
    pub fn superseded(&self) -> Option<Superseded> {
        let superseded = self.seated.superseded.load(Ordering::Acquire);
        superseded.then(|| Superseded {
            seated: Arc::clone(&self.seated),
            most: self.most,
        })
    }
}

impl Superseded {
    /// Closes it: ERROR, 4409.
    pub fn close(self, metrics: &Metrics) -> Sending {
        let limit = Limit::SessionsPerUser;
        let message = format!(
            "{}: at most {} sessions a user ({})",
            CloseReason::Superseded.words(),
            self.most,
            limit.name()
        );
        let refusal = Refusal::new(CloseReason::Superseded, message).at(limit);
        let end = error_end(refusal, self.seated.version, metrics);
        self.seated.handle.close(end.reason, end.messages)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut table = self.table.lock();
        let Some(of_user) = table.get_mut(&self.seated.user) else {
            return;
        };
        of_user.retain(|seated| !Arc::ptr_eq(seated, &self.seated));
        if of_user.is_empty() {
            table.remove(&self.seated.user);
        }
    }
}
