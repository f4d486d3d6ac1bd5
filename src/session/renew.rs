//! The result of a renewal, when a session presents a credential again. Pure; knows no credential, no socket and no shard. The
//! driver carries it out (`driver/renew`).

use crate::close_reason::CloseReason;
use crate::delivery::wire::HERALD_REASON;
use crate::interceptor::Reject;
use crate::principal::Principal;
use crate::session::action::{Note, Refusal};

/// What a renewal comes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The session belongs to this principal from now on, and ends when that does.
    Renewed(Principal),
    /// It stays as it is, and its client is told why.
    Stays(Note),
    /// It ends: it would belong to somebody else.
    Ends(Refusal),
}

/// What the renewal of a session of `old` comes to, whose credential the interceptors have judged; and the metric's label.
pub(crate) fn outcome(old: &Principal, judged: Result<Principal, Reject>) -> (Outcome, &'static str) {
    match judged {
        Ok(new) if old.is_same_user(&new) => (Outcome::Renewed(new), "ok"),
        Ok(_) => (Outcome::Ends(another_user()), "another_user"),
        Err(reject) => match reject.reason {
            CloseReason::TokenExpired => (stays("token_refused", "expired".into()), "expired"),
            CloseReason::Overloaded | CloseReason::IdentityUnavailable => {
                (stays("overloaded", overloaded(&reject)), "overloaded")
            }
            _ => (stays("token_refused", "refused".into()), "refused"),
        },
    }
}

fn stays(code: &'static str, message: String) -> Outcome {
    Outcome::Stays(Note {
        code,
        message,
        destination: None,
    })
}

fn another_user() -> Refusal {
    let mut refusal = Refusal::new(CloseReason::NotAuthenticated, "SEND: the token is another user's");
    refusal
        .headers
        .push((HERALD_REASON, "token-of-another-user".to_owned()));
    refusal
}

fn overloaded(reject: &Reject) -> String {
    match reject.retry_after {
        Some(after) => format!("{}, try again in {} ms", reject.message, after.as_millis()),
        None => format!("{}, try again later", reject.message),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::principal::{Attributes, Origin, UserName};

    fn of(user: &str, origin: Origin) -> Principal {
        Principal::of(
            origin,
            UserName::parse(user).unwrap(),
            [""; 0],
            Attributes::default(),
        )
    }

    #[test]
    fn only_the_same_user_of_the_same_origin_renews() {
        let issuer = |name: &str| Origin::Issuer(name.into());
        let old = of("alice", issuer("a"));
        let renewed = |new: Principal| outcome(&old, Ok(new));
        let same = of("alice", issuer("a")).ending(Some(1));
        assert_eq!(renewed(same.clone()), (Outcome::Renewed(same), "ok"));
        for other in [
            of("bob", issuer("a")),
            of("alice", issuer("b")),
            of("alice", Origin::Password),
        ] {
            let (Outcome::Ends(refusal), "another_user") = renewed(other) else {
                panic!("another user's");
            };
            assert_eq!(refusal.reason.code(), 4401);
            let reason = ("herald-reason", "token-of-another-user".to_owned());
            assert_eq!(refusal.headers, [reason]);
        }
    }

    #[test]
    fn a_refused_credential_changes_nothing_and_is_named() {
        let old = of("alice", Origin::Password);
        let said = |reason, retry_after| {
            let reject = Reject {
                retry_after,
                ..Reject::new(reason, "words of the refusal")
            };
            match outcome(&old, Err(reject)) {
                (Outcome::Stays(note), label) => (note.code, note.message, label),
                other => panic!("{other:?}"),
            }
        };
        let check = |reason, retry_after, code, message: &str, label| {
            assert_eq!(said(reason, retry_after), (code, message.to_owned(), label));
        };
        check(
            CloseReason::TokenExpired,
            None,
            "token_refused",
            "expired",
            "expired",
        );
        check(
            CloseReason::NotAuthenticated,
            None,
            "token_refused",
            "refused",
            "refused",
        );
        check(
            CloseReason::Forbidden,
            None,
            "token_refused",
            "refused",
            "refused",
        );
        let after = Some(Duration::from_millis(700));
        let words = "words of the refusal, try again in 700 ms";
        for reason in [CloseReason::Overloaded, CloseReason::IdentityUnavailable] {
            check(reason, after, "overloaded", words, "overloaded");
        }
        for label in ["ok", "expired", "refused", "overloaded", "another_user"] {
            assert!(crate::telemetry::metrics::RENEWAL_RESULTS.contains(&label));
        }
    }
}
