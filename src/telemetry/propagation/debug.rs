//! The users whose notifications are traced whatever the ratio says, for some minutes, and the control message that
//! tells every instance of one. Knows no HTTP and no bus: bytes in, bytes out.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::principal::UserName;

/// To every instance: trace this user's notifications for some minutes.
pub const DEBUG_USER: &str = "tracing.user";

/// Most users at once; a further one takes the place of the one that would end first.
pub const DEBUG_USERS_MAX: usize = 64;

/// Longest time, in minutes.
pub const DEBUG_MINUTES_MAX: u32 = 60;

/// Users under debug sampling. Asked for every notification, so the usual answer costs one load.
#[derive(Debug, Default)]
pub struct DebugUsers {
    any: AtomicBool,
    until: Mutex<HashMap<UserName, Instant>>,
}

impl DebugUsers {
    /// Traces `user` for `lasting` from `now` on; zero ends it.
    pub fn set(&self, user: UserName, lasting: Duration, now: Instant) {
        let mut until = self.until.lock();
        until.retain(|_, end| *end > now);
        if lasting.is_zero() {
            until.remove(&user);
        } else {
            if until.len() >= DEBUG_USERS_MAX && !until.contains_key(&user) {
                let first = until.iter().min_by_key(|(_, end)| **end);
                if let Some(first) = first.map(|(user, _)| user.clone()) {
                    until.remove(&first);
                }
            }
            until.insert(user, now + lasting);
        }
        self.any.store(!until.is_empty(), Ordering::Release);
    }

    /// Whether `user` is traced.
    pub fn contains(&self, user: &UserName) -> bool {
        self.any.load(Ordering::Acquire) && self.look(user, Instant::now())
    }

    fn look(&self, user: &UserName, now: Instant) -> bool {
        let mut until = self.until.lock();
        match until.get(user) {
            Some(end) if *end > now => true,
            Some(_) => {
                until.remove(user);
                self.any.store(!until.is_empty(), Ordering::Release);
                false
            }
            None => false,
        }
    }
}

/// [`DEBUG_USER`]. A time to go, not a point in time: clocks of instances are not compared.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    user: String,
    minutes: u32,
    by: String,
}

/// The payload of [`DEBUG_USER`]; `by` names the operator.
pub fn write_order(user: &UserName, minutes: u32, by: &str) -> Bytes {
    let order = Order {
        user: user.to_string(),
        minutes,
        by: by.into(),
    };
    // Two texts and a number: writing them to memory does not fail.
    serde_json::to_vec(&order).unwrap_or_default().into()
}

/// What a payload of [`DEBUG_USER`] says: who, how long, and who asked. None if it cannot be read; longer than an hour is
/// an hour.
pub fn read_order(payload: &[u8]) -> Option<(UserName, Duration, String)> {
    let order: Order = serde_json::from_slice(payload).ok()?;
    let user = UserName::parse(&order.user).ok()?;
    let minutes = order.minutes.min(DEBUG_MINUTES_MAX);
    Some((user, Duration::from_secs(u64::from(minutes) * 60), order.by))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserName {
        UserName::parse(name).unwrap()
    }

    #[test]
    fn a_user_is_traced_until_the_time_is_over() {
        let (users, start) = (DebugUsers::default(), Instant::now());
        let minute = Duration::from_secs(60);
        users.set(user("anna"), minute, start);
        assert!(users.contains(&user("anna")) && !users.contains(&user("ben")));
        assert!(users.look(&user("anna"), start + minute / 2));
        assert!(!users.look(&user("anna"), start + minute));
        assert!(!users.any.load(Ordering::Acquire), "back to one load");
        users.set(user("anna"), minute, start);
        users.set(user("anna"), Duration::ZERO, start);
        assert!(!users.contains(&user("anna")));
    }

    #[test]
    fn the_set_is_bounded_and_the_one_that_ends_first_goes() {
        let (users, start) = (DebugUsers::default(), Instant::now());
        for index in 0..=DEBUG_USERS_MAX {
            let lasting = Duration::from_secs(1_000 + index as u64);
            users.set(user(&format!("u{index}")), lasting, start);
        }
        assert_eq!(users.until.lock().len(), DEBUG_USERS_MAX);
        assert!(!users.contains(&user("u0")) && users.contains(&user("u1")));
    }

    #[test]
    fn orders_are_read_back_and_checked() {
        let check = |payload: &[u8], expected: Option<u64>| {
            let read = read_order(payload).map(|(_, lasting, _)| lasting.as_secs());
            assert_eq!(read, expected, "{}", String::from_utf8_lossy(payload));
        };
        check(&write_order(&user("älice"), 5, "key:ops"), Some(300));
        check(&write_order(&user("a"), u32::MAX, ""), Some(3_600));
        for hostile in [
            &b""[..],
            b"[]",
            b"{}",
            b"\xff",
            br#"{"user":"a:b","minutes":1,"by":""}"#,
            br#"{"user":"a","minutes":-1,"by":""}"#,
        ] {
            check(hostile, None);
        }
    }
}
