//! The promise: a SEND to `/app/herald/auth` requests a renewal and nothing else, and subscriptions that a renewal
//! ended can still be ended and subscribed anew; Herald's own destinations accept no other SEND.

use super::*;

#[test]
fn a_renewal_is_read_and_not_sent() {
    let mut f = fixture(Version::V1_2);
    // The chain refuses what holds `secret`, and is asked by the destination alone.
    for destination in ["/app/herald/auth", "/chat/herald/auth"] {
        let text = format!("SEND\ndestination:{destination}\nauthorization:secret\nreceipt:r\n\n");
        let Action::Renew { frame, receipt } = f.ok(&text) else {
            panic!("no renewal");
        };
        assert_eq!(frame.headers.get("authorization"), Some("secret"));
        assert_eq!(receipt.as_deref(), Some("r"));
    }
    f.ok("BEGIN\ntransaction:t\n\n");
    f.refused(
        "SEND\ndestination:/app/herald/auth\ntransaction:t\n\n",
        CloseReason::Malformed,
        "is not part of a transaction",
    );
}

#[test]
fn heralds_own_destinations_take_nothing_else() {
    let mut f = fixture(Version::V1_2);
    for destination in ["/app/herald/x", "/app/herald/auth/x", "/user/queue/herald/auth"] {
        let text = format!("SEND\ndestination:{destination}\n\n");
        f.refused(&text, CloseReason::Forbidden, "is Herald's own");
    }
    f.refused(
        "SEND\ndestination:/app/x\nreply-to:/user/queue/herald/auth\n\n",
        CloseReason::Forbidden,
        "header reply-to",
    );
    for destination in [
        "/app/heralds",
        "/app/herald",
        "/user/queue/herald",
        "/queue/herald/auth",
    ] {
        sent(f.ok(&format!("SEND\ndestination:{destination}\n\n")));
    }
    f.ok("SUBSCRIBE\nid:1\ndestination:/user/queue/herald/auth\n\n");
}

#[test]
fn a_subscription_that_was_lost_may_be_ended_or_taken_anew() {
    for version in [Version::V1_0, Version::V1_2] {
        let mut f = fixture(version);
        let id = match version {
            Version::V1_0 => "",
            _ => "id:1\n",
        };
        let subscribe = format!("SUBSCRIBE\n{id}destination:/queue/x\n\n");
        let unsubscribe = format!("UNSUBSCRIBE\n{id}destination:/queue/x\n\n");
        f.ok(&subscribe);
        let renewed = f.session.principal().clone().ending(Some(7));
        f.session.renewed(renewed, [0].into_iter());
        assert_eq!(f.session.principal().ends_ms(), Some(7));
        let Action::Unsubscribe { number: 0, .. } = f.ok(&unsubscribe) else {
            panic!("no UNSUBSCRIBE");
        };
        for _ in 0..10 {
            let Action::Subscribe { subscription, .. } = f.ok(&subscribe) else {
                panic!("no SUBSCRIBE");
            };
            let renewed = f.session.principal().clone();
            f.session.renewed(renewed, [subscription.number].into_iter());
        }
        f.ok(&subscribe);
        f.refused(&subscribe, CloseReason::Malformed, "a live subscription");
    }
}
