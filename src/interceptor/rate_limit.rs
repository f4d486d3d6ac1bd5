//! The link that limits how often and how much one user may SEND, over all of the user's sessions on this instance.
//! Knows users, not sessions: `session/rates` limits one session.

use std::fmt::Display;

use super::{Interceptor, Reject};
use crate::close_reason::CloseReason;
use crate::destination::Destination;
use crate::limit::{KeyedRate, Limit};
use crate::principal::Principal;
use crate::setting::{ByteRate, Limits, Rate};

/// `limits.sends_per_user` and `limits.send_bytes_per_user`
pub(crate) struct RateLimit {
    rate: Rate,
    byte_rate: ByteRate,
    users: Limiters,
    /// By themselves: anybody makes as many of these names as they like, and the names that are remembered are bounded.
    anonymous: Limiters,
}

struct Limiters {
    sends: Option<KeyedRate>,
    bytes: Option<KeyedRate>,
}

impl Limiters {
    fn new(limits: &Limits) -> Self {
        Self {
            sends: limits.sends_per_user.quota().map(KeyedRate::new),
            bytes: limits.send_bytes_per_user.quota().map(KeyedRate::new),
        }
    }
}

impl RateLimit {
    /// A link that lets each user SEND at the rates of `limits`.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            rate: limits.sends_per_user,
            byte_rate: limits.send_bytes_per_user,
            users: Limiters::new(limits),
            anonymous: Limiters::new(limits),
        }
    }
}

impl Interceptor for RateLimit {
    fn send(
        &self,
        who: &Principal,
        _destination: &Destination,
        _text: &str,
        bytes: usize,
    ) -> Result<(), Reject> {
        let user = who.user().as_str();
        let limiters = match who.is_anonymous() {
            true => &self.anonymous,
            false => &self.users,
        };
        if let Some(sends) = &limiters.sends {
            let passes = sends.check(user);
            passes.map_err(|_| refusal(Limit::SendsPerUser, &self.rate))?;
        }
        if let Some(rate) = &limiters.bytes {
            let passes = rate.check_many(user, ByteRate::units(bytes));
            passes
                .map(|_| ())
                .map_err(|_| refusal(Limit::SendBytesPerUser, &self.byte_rate))?;
        }
        Ok(())
    }
}

fn refusal(limit: Limit, rate: &dyn Display) -> Reject {
    let message = format!("SEND: more than {rate} by this user ({})", limit.name());
    Reject::new(CloseReason::RateLimited, message).at(limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::{Path, Target};
    use crate::principal::UserName;

    #[test]
    fn users_have_their_rate_each_over_all_their_sessions() {
        let limits = |sends, bytes| Limits {
            sends_per_user: sends,
            send_bytes_per_user: bytes,
            ..Limits::default()
        };
        let link = RateLimit::new(&limits(Rate::per_second(1, 3), ByteRate::OFF));
        let who = |name: &str| Principal::new(UserName::parse(name).unwrap(), Vec::<String>::new());
        let path = Path::parse("/queue/x").unwrap();
        let destination = Destination::Target(Target::Broadcast(path));
        let (alice, again, bob) = (who("alice"), who("alice"), who("bob"));
        for session in [&alice, &again, &alice] {
            link.send(session, &destination, "/queue/x", 1_000).unwrap();
        }
        let reject = link.send(&again, &destination, "/queue/x", 1_000).unwrap_err();
        assert_eq!(reject.reason.code(), 1008);
        assert_eq!(reject.limit, Some(Limit::SendsPerUser));
        assert_eq!(
            reject.message,
            "SEND: more than 1/s burst 3 by this user (limits.sends_per_user)"
        );
        assert!(link.send(&bob, &destination, "/queue/x", 1_000).is_ok());
        let link = RateLimit::new(&limits(Rate::OFF, "1KiB/m burst 4KiB".parse().unwrap()));
        for session in [&alice, &again, &alice, &again] {
            link.send(session, &destination, "/queue/x", 1_000).unwrap();
        }
        let reject = link.send(&again, &destination, "/queue/x", 1_000).unwrap_err();
        assert_eq!(reject.limit, Some(Limit::SendBytesPerUser));
        assert_eq!(
            reject.message,
            "SEND: more than 1KiB/m burst 4KiB by this user (limits.send_bytes_per_user)"
        );
        let large = link.send(&bob, &destination, "/queue/x", 1 << 30);
        assert!(large.is_ok(), "the burst is there");
        let off = RateLimit::new(&limits(Rate::OFF, ByteRate::OFF));
        assert!((0..10_000).all(|_| off.send(&alice, &destination, "/queue/x", 1_000).is_ok()));
    }
}
