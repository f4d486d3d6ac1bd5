//! The promise: an ACK or NACK names its MESSAGE as its version requires, and waits in its transaction.

use super::*;

#[test]
fn an_ack_names_its_subscription_and_waits_in_its_transaction() {
    let ack = |action| match action {
        Action::Acknowledge { ack, .. } => Some((ack.subscription, ack.message_id.to_string(), ack.positive)),
        Action::Done { .. } | Action::Idle { .. } | Action::Noted { .. } => None,
        _ => panic!("neither"),
    };
    let mut f = fixture(Version::V1_2);
    f.ok("SUBSCRIBE\nid:s;1\ndestination:/queue/x\nack:client\n\n");
    assert_eq!(
        ack(f.ok("ACK\nid:m-1;s;1\n\n")),
        Some((Some(0), "m-1".into(), true))
    );
    assert_eq!(
        ack(f.ok("NACK\nid:m-1;s;1\n\n")),
        Some((Some(0), "m-1".into(), false))
    );
    for unknown in ["m-1", "m-1;other", ";s;1", "m 1;s;1"] {
        assert_eq!(ack(f.ok(&format!("ACK\nid:{unknown}\n\n"))), None, "{unknown}");
    }
    f.ok("BEGIN\ntransaction:t\n\n");
    assert_eq!(
        ack(f.ok("ACK\nid:m-1;s;1\ntransaction:t\n\n")),
        None,
        "not before COMMIT"
    );
    assert!(matches!(
        &committed(f.ok("COMMIT\ntransaction:t\n\n"))[..],
        [Step::Acknowledge(_)]
    ));

    let mut f = fixture(Version::V1_1);
    f.ok("SUBSCRIBE\nid:7\ndestination:/queue/x\nack:client\n\n");
    assert_eq!(
        ack(f.ok("ACK\nmessage-id:m\nsubscription:7\n\n")),
        Some((Some(0), "m".into(), true))
    );

    let mut f = fixture(Version::V1_0);
    f.ok("SUBSCRIBE\ndestination:/queue/x\nack:client\n\n");
    assert_eq!(ack(f.ok("ACK\nmessage-id:m\n\n")), Some((None, "m".into(), true)));
}

#[test]
fn acknowledgements_need_the_headers_of_their_version() {
    let check = |version, text: &str, missing: Option<&str>| {
        let mut f = fixture(version);
        match missing {
            None => drop(f.ok(text)),
            Some(words) => f.refused(text, CloseReason::Malformed, words),
        }
    };
    check(Version::V1_2, "ACK\nid:never-sent\nsubscription:1\n\n", None);
    check(Version::V1_2, "NACK\n\n", Some("header id is missing"));
    check(
        Version::V1_1,
        "ACK\nmessage-id:1\n\n",
        Some("header subscription is missing"),
    );
    check(Version::V1_1, "NACK\nmessage-id:1\nsubscription:1\n\n", None);
    check(Version::V1_0, "ACK\nmessage-id:1\n\n", None);
    check(
        Version::V1_0,
        "NACK\nmessage-id:1\n\n",
        Some("no command of STOMP 1.0"),
    );
}

#[test]
fn prefetch_is_capped_by_the_limit() {
    let prefetch = |header: &str| {
        let mut f = fixture(Version::V1_2);
        match f.frame(&format!(
            "SUBSCRIBE\nid:1\ndestination:/queue/x\nack:client\n{header}\n"
        )) {
            Ok(Action::Subscribe { subscription, .. }) => Some(subscription.prefetch),
            _ => None,
        }
    };
    assert_eq!(prefetch(""), Some(50));
    assert_eq!(prefetch("prefetch:3\n"), Some(3));
    assert_eq!(prefetch("prefetch:1000\n"), Some(50));
    assert_eq!(prefetch("prefetch:0\n"), None);
    assert_eq!(prefetch("prefetch:many\n"), None);
}
