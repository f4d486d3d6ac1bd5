//! The users and sessions whose notifications are traced regardless of the ratio, for some minutes. Knows no HTTP and
//! no bus.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::principal::UserName;

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
    fn a_sessions_id_is_as_herald_writes_it() {
        let check = |text: &str, expected: bool| assert_eq!(session_id(text).is_some(), expected, "{text}");
        check(&ulid::Ulid::new().to_string(), true);
        check(&ulid::Ulid::new().to_string().to_lowercase(), false);
        check("", false);
        check(&"0".repeat(27), false);
        check("../../../../etc/passwd0000", false);
    }
}
