//! The promise: each client frame means what docs/stomp-rules.md says, in each version; a refusal names the header at
//! fault.

use super::*;
use crate::delivery::wire::AckMode;
use crate::destination::Target;
use crate::interceptor::{ConnectAttempt, Interceptor, Reject};
use crate::principal::UserName;
use crate::session::action::{Send, Step};
use crate::stomp::{Decoder, Limits as DecoderLimits};
use futures_util::future::BoxFuture;

mod acknowledge;
mod refusal;
mod renew;

/// Refuses SUBSCRIBE and SEND of anything that holds `secret`.
struct NoSecrets;

impl Interceptor for NoSecrets {
    fn connect<'a>(
        &'a self,
        _: &'a ConnectAttempt,
        _: &'a mut Option<Principal>,
    ) -> BoxFuture<'a, Result<(), Reject>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn subscribe(&self, _: &Principal, _: &Destination, text: &str) -> Result<(), Reject> {
        match text.contains("secret") {
            true => Err(Reject::new(
                CloseReason::Forbidden,
                format!("SUBSCRIBE: {text}: not permitted"),
            )),
            false => Ok(()),
        }
    }

    fn send(&self, _: &Principal, _: &Destination, text: &str, _: usize) -> Result<(), Reject> {
        match text.contains("secret") {
            true => Err(Reject::new(
                CloseReason::Forbidden,
                format!("SEND: {text}: not permitted"),
            )),
            false => Ok(()),
        }
    }
}

struct Fixture {
    session: Session,
    rules: Rules,
    decoder: Decoder,
}

fn fixture(version: Version) -> Fixture {
    let principal = Principal::new(UserName::parse("alice").unwrap(), ["ROLE_USER"]);
    let limits = Limits {
        id_bytes: 64,
        subscriptions: 3,
        transactions: 2,
        transaction_actions: 2,
        transaction_bytes: 1_500,
        transaction_total: Total::new(usize::MAX),
        body_bytes: 20,
        unacknowledged: 50,
        headers: HeaderLimits { count: 4, bytes: 100 },
    };
    let chain = Chain::new(vec![Box::new(NoSecrets)]);
    let mut decoder = Decoder::new(DecoderLimits {
        frame_bytes: 4_096,
        headers: 16,
        header_bytes: 1_024,
        body_bytes: 4_096,
    });
    decoder.set_version(version);
    Fixture {
        session: Session::new(principal, version),
        rules: Rules {
            prefixes: Prefixes::default(),
            chain,
            limits,
            routes: [(Path::parse("/short").unwrap(), 5)].into(),
        },
        decoder,
    }
}

impl Fixture {
    fn frame(&mut self, text: &str) -> Result<Action, Refusal> {
        let bytes = format!("{text}\0");
        let frame = self.decoder.decode(&mut bytes.as_bytes()).unwrap().unwrap();
        self.session.on_frame(frame, &self.rules)
    }

    fn ok(&mut self, text: &str) -> Action {
        self.frame(text)
            .unwrap_or_else(|refusal| panic!("{text:?}: {refusal:?}"))
    }

    #[track_caller]
    fn refused(&mut self, text: &str, reason: CloseReason, message: &str) {
        match self.frame(text) {
            Ok(_) => panic!("{text:?} was not refused"),
            Err(refusal) => {
                assert_eq!(refusal.reason, reason, "{text:?}: {}", refusal.message);
                assert!(refusal.message.contains(message), "{text:?}: {}", refusal.message);
            }
        }
    }
}

fn sent(action: Action) -> Send {
    match action {
        Action::Send { send, .. } => *send,
        _ => panic!("no Send"),
    }
}

fn committed(action: Action) -> Vec<Step> {
    match action {
        Action::Commit { steps, .. } => steps,
        _ => panic!("no Commit"),
    }
}

#[test]
fn subscribe_needs_destination_and_id_and_a_legal_ack_mode() {
    use CloseReason::{Forbidden, Malformed};
    let mut f = fixture(Version::V1_2);
    f.refused("SUBSCRIBE\nid:1\n\n", Malformed, "header destination is missing");
    f.refused(
        "SUBSCRIBE\ndestination:/queue/x\n\n",
        Malformed,
        "header id is missing",
    );
    f.refused(
        "SUBSCRIBE\nid:1\ndestination:/queue/x\nack:never\n\n",
        Malformed,
        "header ack",
    );
    f.refused(
        "SUBSCRIBE\nid:1\ndestination:/nowhere/x\n\n",
        Forbidden,
        "/nowhere/x: a destination begins with one of",
    );
    f.refused(
        "SUBSCRIBE\nid:1\ndestination:/app/x\n\n",
        Forbidden,
        "application destination",
    );
    f.refused(
        "SUBSCRIBE\nid:1\ndestination:/queue/secret\n\n",
        Forbidden,
        "not permitted",
    );
    f.refused(
        "SUBSCRIBE\nid:1\ndestination:/queue/*\n\n",
        Forbidden,
        "no segment",
    );
    match f.ok("SUBSCRIBE\nid:1\ndestination:/user/queue/x\nack:client\nreceipt:r\n\n") {
        Action::Subscribe {
            subscription,
            receipt,
            after,
        } => {
            assert_eq!((receipt.as_deref(), after), (Some("r"), None));
            assert_eq!(subscription.ack, AckMode::Client);
            let user = UserName::parse("alice").unwrap();
            let path = crate::destination::Path::parse("/queue/x").unwrap();
            assert_eq!(subscription.target, Target::User { user, path });
        }
        _ => panic!("no Subscribe"),
    }
}

#[test]
fn a_subscription_id_is_unique_while_it_lives_and_free_afterwards() {
    let mut f = fixture(Version::V1_2);
    f.ok("SUBSCRIBE\nid:1\ndestination:/queue/x\n\n");
    f.refused(
        "SUBSCRIBE\nid:1\ndestination:/queue/y\n\n",
        CloseReason::Malformed,
        "live subscription",
    );
    f.ok("UNSUBSCRIBE\nid:1\n\n");
    f.ok("SUBSCRIBE\nid:1\ndestination:/queue/y\n\n");
    f.refused(
        "UNSUBSCRIBE\nid:2\n\n",
        CloseReason::Malformed,
        "names no live subscription",
    );
    f.refused("UNSUBSCRIBE\n\n", CloseReason::Malformed, "header id is missing");
}

#[test]
fn subscriptions_are_bounded_and_the_limit_says_its_name() {
    let mut f = fixture(Version::V1_2);
    for id in 0..3 {
        f.ok(&format!("SUBSCRIBE\nid:{id}\ndestination:/queue/x\n\n"));
    }
    f.refused(
        "SUBSCRIBE\nid:9\ndestination:/queue/x\n\n",
        CloseReason::Limit,
        "limits.subscriptions",
    );
}

#[test]
fn version_1_0_subscribes_without_id_and_unsubscribes_by_destination() {
    let mut f = fixture(Version::V1_0);
    f.ok("SUBSCRIBE\ndestination:/queue/x\n\n");
    f.refused(
        "SUBSCRIBE\ndestination:/queue/x\n\n",
        CloseReason::Malformed,
        "live subscription",
    );
    f.ok("UNSUBSCRIBE\ndestination:/queue/x\n\n");
    f.refused(
        "SUBSCRIBE\ndestination:/queue/x\nack:client-individual\n\n",
        CloseReason::Malformed,
        "header ack",
    );
}

#[test]
fn a_send_is_filtered_and_bounded() {
    let mut f = fixture(Version::V1_2);
    f.refused(
        "SEND\n\nx",
        CloseReason::Malformed,
        "header destination is missing",
    );
    f.refused(
        "SEND\ndestination:/app/secret\n\n",
        CloseReason::Forbidden,
        "not permitted",
    );
    f.refused(
        "SEND\ndestination:/app/x\n\n123456789012345678901",
        CloseReason::TooLarge,
        "limits.body_bytes",
    );
    f.refused(
        "SEND\ndestination:/app/x\na:1\nb:1\nc:1\nd:1\ne:1\n\n",
        CloseReason::Limit,
        "limits.headers",
    );
    f.refused(
        "SEND\ndestination:/app/x\nreply-to:/queue/x\n\n",
        CloseReason::Forbidden,
        "reply-to",
    );
    // Between clients it is a header as any other.
    for destination in ["/queue/x", "/topic/x", "/user/queue/x"] {
        let text = format!("SEND\ndestination:{destination}\nreply-to:/queue/anna\n\n");
        let send = sent(f.ok(&text));
        assert_eq!(send.reply_to, None, "{destination}");
        assert_eq!(send.headers.get("reply-to"), Some("/queue/anna"), "{destination}");
    }
    let send =
        sent(f.ok("SEND\ndestination:/chat/message\ncontent-type:text/plain\nauthorization:x\nown:1\n\nhi"));
    assert_eq!(
        send.destination,
        Destination::Application(crate::destination::Path::parse("/message").unwrap())
    );
    assert_eq!(send.headers.iter().collect::<Vec<_>>(), [("own", "1")]);
    assert_eq!(
        (&*send.body, send.content_type.as_deref()),
        (&b"hi"[..], Some("text/plain"))
    );
}

#[test]
fn a_transaction_takes_effect_at_commit_and_never_before() {
    let mut f = fixture(Version::V1_2);
    f.refused(
        "BEGIN\n\n",
        CloseReason::Malformed,
        "header transaction is missing",
    );
    f.ok("BEGIN\ntransaction:t\n\n");
    f.refused(
        "BEGIN\ntransaction:t\n\n",
        CloseReason::Malformed,
        "open transaction",
    );
    assert!(matches!(
        f.ok("SEND\ndestination:/app/x\ntransaction:t\n\n1"),
        Action::Done { .. }
    ));
    assert!(matches!(
        f.ok("SEND\ndestination:/app/x\ntransaction:t\nreceipt:r\n\n2"),
        Action::Done { receipt: Some(_) }
    ));
    f.refused(
        "SEND\ndestination:/app/x\ntransaction:t\n\n3",
        CloseReason::Limit,
        "limits.transaction_actions",
    );
    let bodies: Vec<_> = committed(f.ok("COMMIT\ntransaction:t\n\n"))
        .into_iter()
        .map(|step| match step {
            Step::Send(send) => send.body,
            Step::Acknowledge(_) => panic!("no SEND"),
        })
        .collect();
    assert_eq!(bodies, ["1", "2"]);
    f.refused(
        "COMMIT\ntransaction:t\n\n",
        CloseReason::Malformed,
        "no open transaction",
    );
    f.ok("BEGIN\ntransaction:t\n\n");
    f.ok("SEND\ndestination:/app/x\ntransaction:t\n\n1");
    f.ok("ABORT\ntransaction:t\n\n");
    f.refused(
        "ABORT\ntransaction:t\n\n",
        CloseReason::Malformed,
        "no open transaction",
    );
    f.refused(
        "SEND\ndestination:/app/x\ntransaction:t\n\n1",
        CloseReason::Malformed,
        "no open transaction",
    );
    f.refused(
        "ACK\nid:1\ntransaction:t\n\n",
        CloseReason::Malformed,
        "no open transaction",
    );
}

#[test]
fn transactions_are_bounded_in_number_and_bytes() {
    let mut f = fixture(Version::V1_2);
    f.ok("BEGIN\ntransaction:a\n\n");
    f.ok("BEGIN\ntransaction:b\n\n");
    f.refused(
        "BEGIN\ntransaction:c\n\n",
        CloseReason::Limit,
        "limits.transactions",
    );
    // Each of these weighs more than half of what may be open, though none has a body of note.
    let long = "x".repeat(90);
    for held in [
        format!("a:{long}\nb:{long}\nc:{long}\nd:{long}\n"),
        format!("correlation-id:{}\n", "x".repeat(85)),
        format!(
            "content-type:text/{0}\nherald-collapse:{0}\na:{0}\n",
            "x".repeat(80)
        ),
    ] {
        let send = |transaction| format!("SEND\ndestination:/app/x\n{held}transaction:{transaction}\n\n1");
        f.ok(&send("a"));
        f.refused(&send("b"), CloseReason::Limit, "limits.transaction_bytes");
        f.ok("ABORT\ntransaction:a\n\n");
        f.ok(&send("b"));
        f.ok("COMMIT\ntransaction:b\n\n");
        f.ok("BEGIN\ntransaction:a\n\n");
        f.ok("BEGIN\ntransaction:b\n\n");
    }
}

#[test]
fn ids_that_a_session_keeps_are_bounded() {
    let (longest, long) = ("x".repeat(64), "x".repeat(65));
    for version in Version::ALL {
        let mut f = fixture(version);
        f.ok(&format!("SUBSCRIBE\nid:{longest}\ndestination:/queue/x\n\n"));
        f.ok(&format!("BEGIN\ntransaction:{longest}\n\n"));
        f.refused(
            &format!("SUBSCRIBE\nid:{long}\ndestination:/queue/x\n\n"),
            CloseReason::TooLarge,
            "SUBSCRIBE: header id is over 64 bytes (limits.id_bytes)",
        );
        f.refused(
            &format!("BEGIN\ntransaction:{long}\n\n"),
            CloseReason::TooLarge,
            "BEGIN: header transaction is over 64 bytes (limits.id_bytes)",
        );
        // A receipt is not kept: its length is that of any header.
        f.ok(&format!("ABORT\ntransaction:{longest}\nreceipt:{long}\n\n"));
    }
}

#[test]
fn a_built_in_route_bounds_its_bodies_further() {
    let mut f = fixture(Version::V1_2);
    f.ok("BEGIN\ntransaction:t\n\n");
    for transaction in ["", "transaction:t\n"] {
        f.ok(&format!("SEND\ndestination:/app/short\n{transaction}\n12345"));
        f.refused(
            &format!("SEND\ndestination:/chat/short\n{transaction}\n123456"),
            CloseReason::TooLarge,
            "SEND: the body is over 5 bytes (application.routes.body_bytes)",
        );
        f.ok(&format!("SEND\ndestination:/app/other\n{transaction}\n123456"));
    }
}

#[test]
fn a_second_connect_is_refused_and_a_refusal_carries_the_receipt() {
    let mut f = fixture(Version::V1_2);
    f.refused(
        "CONNECT\naccept-version:1.2\n\n",
        CloseReason::Malformed,
        "connected already",
    );
    let refusal = f.frame("SUBSCRIBE\nreceipt:r7\n\n").err().unwrap();
    assert_eq!(refusal.receipt.as_deref(), Some("r7"));
    assert!(matches!(
        f.ok("DISCONNECT\nreceipt:bye\n\n"),
        Action::Disconnect { receipt: Some(_) }
    ));
}
