//! The users and sessions whose notifications are traced whatever the ratio says, for some minutes, and the control
//! messages that tell every instance of one. Knows no HTTP and no bus: bytes in, bytes out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::principal::UserName;

/// To every instance: trace this user's notifications for some minutes.
pub const DEBUG_USER: &str = "tracing.user";
/// To every instance: trace this session's. A kind of its own, since an older instance would take it for a whole user's.
pub const DEBUG_SESSION: &str = "tracing.session";

/// Most users and sessions at once; a further one takes the place of the one that would end first.
pub const DEBUG_MAX: usize = 64;

/// Longest time, in minutes.
pub const DEBUG_MINUTES_MAX: u32 = 60;

/// Who is under debug sampling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Debugged {
    /// All that a user sends, and all that is sent on the user's own destinations.
    User(UserName),
    /// What this session sends, and all that is sent on its user's own destinations.
    Session {
        /// CONNECTED's `session`.
        id: Box<str>,
        /// Whose it is; who only ends it need not know.
        user: Option<UserName>,
    },
}

impl Debugged {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::User(user), Self::User(other)) => user == other,
            (Self::Session { id, .. }, Self::Session { id: other, .. }) => id == other,
            _ => false,
        }
    }

    fn receives(&self, recipient: &UserName) -> bool {
        match self {
            Self::User(user) => user == recipient,
            Self::Session { user, .. } => user.as_ref() == Some(recipient),
        }
    }

    fn sends(&self, sender: &UserName, session: &str) -> bool {
        match self {
            Self::User(user) => user == sender,
            Self::Session { id, .. } => **id == *session,
        }
    }
}

/// Users and sessions under debug sampling. Asked for every notification, so the usual answer costs one load.
#[derive(Debug, Default)]
pub struct DebugSampling {
    any: AtomicBool,
    /// A few: walked. With the end of each.
    held: Mutex<Vec<(Debugged, Instant)>>,
}

impl DebugSampling {
    /// Traces `who` for `lasting` from `now` on; zero ends it.
    pub fn set(&self, who: Debugged, lasting: Duration, now: Instant) {
        let mut held = self.held.lock();
        held.retain(|(other, end)| *end > now && !other.is_same(&who));
        if !lasting.is_zero() {
            if held.len() >= DEBUG_MAX {
                let ends = held.iter().enumerate().min_by_key(|(_, (_, end))| *end);
                if let Some((first, _)) = ends {
                    held.swap_remove(first);
                }
            }
            held.push((who, now + lasting));
        }
        self.any.store(!held.is_empty(), Ordering::Release);
    }

    /// Whether what is sent on `user`'s own destinations is traced.
    pub fn receives(&self, user: &UserName) -> bool {
        self.any.load(Ordering::Acquire) && self.look(Instant::now(), |who| who.receives(user))
    }

    /// Whether what `user` sends by `session` is traced.
    pub fn sends(&self, user: &UserName, session: &str) -> bool {
        self.any.load(Ordering::Acquire) && self.look(Instant::now(), |who| who.sends(user, session))
    }

    fn look(&self, now: Instant, is_meant: impl Fn(&Debugged) -> bool) -> bool {
        let mut held = self.held.lock();
        if held.iter().any(|(_, end)| *end <= now) {
            held.retain(|(_, end)| *end > now);
            self.any.store(!held.is_empty(), Ordering::Release);
        }
        held.iter().any(|(who, _)| is_meant(who))
    }
}

/// A session's id as Herald makes them (`session` of CONNECTED), or none: what a path or another instance says.
pub fn session_id(text: &str) -> Option<Box<str>> {
    let id = ulid::Ulid::from_string(text).ok()?.to_string();
    (id == text).then(|| id.into())
}

/// [`DEBUG_USER`], [`DEBUG_SESSION`]. A time to go, not a point in time: clocks of instances are not compared.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    #[serde(default)]
    user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    minutes: u32,
    by: String,
}

/// The kind and the payload of the order to trace `who`; `by` names the operator.
pub fn write_order(who: &Debugged, minutes: u32, by: &str) -> (&'static str, Bytes) {
    let (kind, user, session) = match who {
        Debugged::User(user) => (DEBUG_USER, Some(user), None),
        Debugged::Session { id, user } => (DEBUG_SESSION, user.as_ref(), Some(id.to_string())),
    };
    let order = Order {
        user: user.map(ToString::to_string),
        session,
        minutes,
        by: by.into(),
    };
    // Texts and a number: writing them to memory does not fail.
    (kind, serde_json::to_vec(&order).unwrap_or_default().into())
}

/// What a payload of `kind` says: who, how long, and who asked. None if it cannot be read; longer than an hour is an hour.
pub fn read_order(kind: &str, payload: &[u8]) -> Option<(Debugged, Duration, String)> {
    let order: Order = serde_json::from_slice(payload).ok()?;
    let user = match &order.user {
        Some(user) => Some(UserName::parse(user).ok()?),
        None => None,
    };
    let who = match kind {
        DEBUG_SESSION => Debugged::Session {
            id: session_id(&order.session?)?,
            user,
        },
        _ => Debugged::User(user?),
    };
    let minutes = order.minutes.min(DEBUG_MINUTES_MAX);
    Some((who, Duration::from_secs(u64::from(minutes) * 60), order.by))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "01JDEXAMPRE0000000000000AA";
    const OTHER: &str = "01JDEXAMPRE0000000000000BB";

    fn user(name: &str) -> UserName {
        UserName::parse(name).unwrap()
    }

    fn session(id: &str) -> Debugged {
        Debugged::Session {
            id: id.into(),
            user: Some(user("anna")),
        }
    }

    #[test]
    fn a_user_is_traced_until_the_time_is_over() {
        let (debug, start) = (DebugSampling::default(), Instant::now());
        let (minute, anna) = (Duration::from_secs(60), user("anna"));
        debug.set(Debugged::User(anna.clone()), minute, start);
        assert!(debug.receives(&anna) && !debug.receives(&user("ben")));
        assert!(debug.sends(&anna, ONE) && !debug.sends(&user("ben"), ONE));
        assert!(debug.look(start + minute / 2, |who| who.receives(&anna)));
        assert!(!debug.look(start + minute, |who| who.receives(&anna)));
        assert!(!debug.any.load(Ordering::Acquire), "back to one load");
        debug.set(Debugged::User(anna.clone()), minute, start);
        debug.set(Debugged::User(anna.clone()), Duration::ZERO, start);
        assert!(!debug.receives(&anna));
    }

    #[test]
    fn a_session_is_traced_in_what_it_sends_and_its_user_in_what_comes() {
        let (debug, start) = (DebugSampling::default(), Instant::now());
        let (minute, anna) = (Duration::from_secs(60), user("anna"));
        debug.set(session(ONE), minute, start);
        assert!(debug.sends(&anna, ONE) && !debug.sends(&anna, OTHER));
        assert!(debug.receives(&anna) && !debug.receives(&user("ben")));
        // Who ends it need not know whose it is; the user's own order stays.
        debug.set(Debugged::User(anna.clone()), minute, start);
        let ended = Debugged::Session {
            id: ONE.into(),
            user: None,
        };
        debug.set(ended, Duration::ZERO, start);
        assert_eq!(debug.held.lock().len(), 1);
        debug.set(Debugged::User(anna.clone()), Duration::ZERO, start);
        assert!(!debug.sends(&anna, ONE) && !debug.receives(&anna));
    }

    #[test]
    fn the_set_is_bounded_and_the_one_that_ends_first_goes() {
        let (debug, start) = (DebugSampling::default(), Instant::now());
        for index in 0..=DEBUG_MAX {
            let lasting = Duration::from_secs(1_000 + index as u64);
            debug.set(Debugged::User(user(&format!("u{index}"))), lasting, start);
        }
        assert_eq!(debug.held.lock().len(), DEBUG_MAX);
        assert!(!debug.receives(&user("u0")) && debug.receives(&user("u1")));
    }

    #[test]
    fn orders_are_read_back_and_checked() {
        let check = |(kind, payload): (&str, &[u8]), expected: Option<(&Debugged, u64)>| {
            let read = read_order(kind, payload).map(|(who, lasting, _)| (who, lasting.as_secs()));
            let expected = expected.map(|(who, seconds)| (who.clone(), seconds));
            assert_eq!(read, expected, "{}", String::from_utf8_lossy(payload));
        };
        let nobodys = Debugged::Session {
            id: OTHER.into(),
            user: None,
        };
        for who in [Debugged::User(user("älice")), session(ONE), nobodys] {
            for (minutes, seconds) in [(0, 0), (5, 300), (u32::MAX, 3_600)] {
                let (kind, payload) = write_order(&who, minutes, "key:ops");
                check((kind, &payload), Some((&who, seconds)));
            }
        }
        for hostile in [
            &b""[..],
            b"[]",
            b"{}",
            b"\xff",
            br#"{"user":"a:b","minutes":1,"by":""}"#,
            br#"{"user":"a:b","session":"01JDEXAMPRE0000000000000AA","minutes":1,"by":""}"#,
            br#"{"user":"a","session":"01JDEXAMPRE0000000000000AA","minutes":-1,"by":""}"#,
        ] {
            check((DEBUG_USER, hostile), None);
            check((DEBUG_SESSION, hostile), None);
        }
        check((DEBUG_USER, br#"{"minutes":1,"by":""}"#), None);
        check((DEBUG_SESSION, br#"{"user":"a","minutes":1,"by":""}"#), None);
        check((DEBUG_SESSION, br#"{"session":"x","minutes":1,"by":""}"#), None);
    }

    #[test]
    fn a_sessions_id_is_as_herald_writes_it() {
        let check = |text: &str, expected: bool| assert_eq!(session_id(text).is_some(), expected, "{text}");
        check(&ulid::Ulid::new().to_string(), true);
        check(&ulid::Ulid::new().to_string().to_lowercase(), false);
        check("", false);
        check(&"0".repeat(27), false);
        check("../../../../etc/passwd0000", false);
    }
}
