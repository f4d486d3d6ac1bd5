//! The link that bounds how often one user may SEND, over all of the user's sessions on this instance. Knows users,
//! not sessions: `session/rates` bounds what one session may do.

use super::{Interceptor, Reject};
use crate::close_reason::CloseReason;
use crate::destination::Destination;
use crate::limit::{KeyedRate, Limit};
use crate::principal::Principal;
use crate::setting::Rate;

/// `limits.sends_per_user`
pub(crate) struct RateLimit {
    rate: Rate,
    sends: Option<KeyedRate>,
}

impl RateLimit {
    /// A link that lets each user SEND at the rate `sends`.
    pub(crate) fn new(sends: Rate) -> Self {
        Self {
            rate: sends,
            sends: sends.quota().map(KeyedRate::new),
        }
    }
}

impl Interceptor for RateLimit {
    fn send(&self, who: &Principal, _destination: &Destination, _text: &str) -> Result<(), Reject> {
        let Some(sends) = &self.sends else {
            return Ok(());
        };
        sends.check(who.user().as_str()).map_err(|_| {
            let limit = Limit::SendsPerUser;
            let message = format!("SEND: more than {} by this user ({})", self.rate, limit.name());
            Reject::new(CloseReason::RateLimited, message).at(limit)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::{Path, Target};
    use crate::principal::UserName;

    #[test]
    fn users_have_their_rate_each_over_all_their_sessions() {
        let link = RateLimit::new(Rate::per_second(1, 3));
        let who = |name: &str| Principal::new(UserName::parse(name).unwrap(), Vec::<String>::new());
        let path = Path::parse("/queue/x").unwrap();
        let destination = Destination::Target(Target::Broadcast(path));
        let (alice, again, bob) = (who("alice"), who("alice"), who("bob"));
        for session in [&alice, &again, &alice] {
            link.send(session, &destination, "/queue/x").unwrap();
        }
        let reject = link.send(&again, &destination, "/queue/x").unwrap_err();
        assert_eq!(reject.reason.code(), 1008);
        assert_eq!(reject.limit, Some(Limit::SendsPerUser));
        assert_eq!(
            reject.message,
            "SEND: more than 1/s burst 3 by this user (limits.sends_per_user)"
        );
        assert!(link.send(&bob, &destination, "/queue/x").is_ok());
        let off = RateLimit::new(Rate::OFF);
        assert!((0..10_000).all(|_| off.send(&alice, &destination, "/queue/x").is_ok()));
    }
}
