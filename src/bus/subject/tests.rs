//! The promise: one target, one subject. Tables for the rules of docs/nats.md, properties for everything between them.

use proptest::prelude::*;

use super::*;

fn subjects() -> Subjects {
    Subjects::new(&Prefix::default())
}

fn broadcast(path: &str) -> Target {
    Target::Broadcast(Path::parse(path).unwrap())
}

fn user(name: &str, path: &str) -> Target {
    Target::User {
        user: UserName::parse(name).unwrap(),
        path: Path::parse(path).unwrap(),
    }
}

#[test]
fn targets_have_one_subject_each() {
    let check = |target: Target, expected: &str| {
        assert_eq!(subjects().target(&target), expected);
        assert_eq!(subjects().parse(expected), Ok(target), "{expected}");
    };
    check(broadcast("/queue/message"), "herald.broadcast.queue.message");
    check(broadcast("/queue/a.b"), "herald.broadcast.queue.a%2Eb");
    check(broadcast("/queue/100%"), "herald.broadcast.queue.100%25");
    check(
        broadcast("/queue/a*b>c d"),
        "herald.broadcast.queue.a%2Ab%3Ec%20d",
    );
    check(broadcast("/queue/ä"), "herald.broadcast.queue.%C3%A4");
    check(broadcast("/queue/~!$&'(){}"), "herald.broadcast.queue.~!$&'(){}");
    check(user("alice", "/queue/orders"), "herald.user.alice.queue.orders");
    check(user("id:alice", "/queue/x"), "herald.user.id:alice.queue.x");
    check(
        user("a@example.com", "/queue/x"),
        "herald.user.a@example%2Ecom.queue.x",
    );
    check(user("a/b", "/x"), "herald.user.a/b.x");
    check(user(" *", "/x"), "herald.user.%20%2A.x");
    check(user("€", "/x"), "herald.user.%E2%82%AC.x");
}

#[test]
fn only_the_canonical_form_is_accepted() {
    let check = |subject: &str, expected: SubjectError| {
        assert_eq!(subjects().parse(subject), Err(expected), "{subject}");
    };
    use SubjectError as E;
    check("herald.broadcast.queue.%41", E::NotCanonical);
    check("herald.broadcast.queue.%c3%a4", E::NotCanonical);
    check("herald.broadcast.queue.%2e", E::NotCanonical);
    check("herald.broadcast.queue.%C3", E::NotCanonical);
    check("herald.broadcast.queue.%", E::NotCanonical);
    check("herald.broadcast.queue.%2", E::NotCanonical);
    check("herald.broadcast.queue.%2G", E::NotCanonical);
    check("herald.broadcast.queue.ä", E::NotCanonical);
    check("herald.broadcast.queue.a b", E::NotCanonical);
    check("herald.broadcast.queue.*", E::NotCanonical);
    check("herald.broadcast.queue.a/b", E::NotCanonical);
    check("herald.broadcast.queue.%2F", E::NotCanonical);
    check("herald.broadcast.queue.%2A", E::Path(DestinationError::Pattern));
    check("herald.broadcast.queue.%0A", E::Path(DestinationError::Control));
    check(
        "herald.broadcast.queue..x",
        E::Path(DestinationError::EmptySegment),
    );
    check("herald.broadcast.", E::Path(DestinationError::EmptySegment));
    check(
        &format!("herald.broadcast.{}x", "x.".repeat(16)),
        E::Path(DestinationError::TooManySegments),
    );
    check("herald.user.alice", E::Unknown);
    check("herald.user.a%0Ab.queue.x", E::User);
    check("herald.user..queue", E::User);
    check("herald.user.a%0Ab.queue", E::User);
    // What Herald itself tells a session comes from nobody else, and other names only look like it.
    check("herald.user.alice.queue.herald.auth", E::Reserved);
    for subject in [
        "herald.user.alice.queue.herald",
        "herald.user.alice.queue.heralds.x",
        "herald.broadcast.queue.herald.auth",
    ] {
        assert!(subjects().parse(subject).is_ok(), "{subject}");
    }
    check("herald.live.broadcast.queue", E::Unknown);
    check("other.broadcast.queue", E::Unknown);
    check("herald.broadcast", E::Unknown);
    check("", E::Unknown);
}

/// A protocol line of NATS has at most 4,096 bytes: the subject, its verb, a reply subject, and two lengths.
#[test]
fn the_longest_target_fits_into_a_line() {
    let prefix = "p".repeat(PREFIX_MAX_BYTES).parse().unwrap();
    let segments = ["é".repeat(64), "é".repeat(64)];
    let path = (0..7)
        .map(|n| segments[n % 2].as_str())
        .collect::<Vec<_>>()
        .join("/");
    let path = format!("/{path}/{}", "é".repeat(60));
    assert!((1_022..=1_024).contains(&path.len()), "{}", path.len());
    let name = "é".repeat(127) + "e";
    let subject = Subjects::new(&prefix).target(&user(&name, &path));
    let reply = "p".repeat(PREFIX_MAX_BYTES) + ".reply." + &"x".repeat(48);
    let line = format!("HPUB {subject} {reply} 1048576 8388608\r\n");
    assert!(line.len() <= 4_096, "{}", line.len());
}

#[test]
fn other_subjects() {
    let subjects = Subjects::new(&"acme".parse().unwrap());
    let id = InstanceId::random();
    assert_eq!(
        subjects.app(&Path::parse("/orders/ä").unwrap()),
        "acme.app.orders.%C3%A4"
    );
    assert_eq!(subjects.user_event(true), "acme.event.user.connected");
    assert_eq!(subjects.user_event(false), "acme.event.user.disconnected");
    let kind = "presence.digest";
    assert_eq!(subjects.control_kind(&subjects.control_all(kind), id), Some(kind));
    assert_eq!(
        subjects.control_kind(&subjects.control_instance(id, kind), id),
        Some(kind)
    );
    assert_eq!(
        subjects.control_kind(&subjects.control_instance(InstanceId::random(), kind), id),
        None
    );
}

#[test]
fn a_prefix_is_one_plain_token() {
    for good in ["herald", "a", "acme-2_x", &"a".repeat(64)] {
        assert!(good.parse::<Prefix>().is_ok(), "{good}");
    }
    for bad in ["", ".", "a.b", "a b", "a*", ">", "ä", "$SYS", &"a".repeat(65)] {
        assert!(bad.parse::<Prefix>().is_err(), "{bad}");
    }
}

#[test]
fn the_longest_subject_fits_a_protocol_line() {
    let subjects = Subjects::new(&"p".repeat(PREFIX_MAX_BYTES).parse().unwrap());
    let segment = "ä".repeat(63);
    let path = format!("/{segment}").repeat(8);
    let subject = subjects.target(&user(&"€".repeat(42), &path));
    assert!(subject.len() < 4_000, "{}", subject.len());
}

proptest! {
    #[test]
    fn every_target_comes_back(
        name in "[^:\\p{Cc}]{1,20}",
        segments in prop::collection::vec("[^/\\p{Cc}]{1,20}", 1..8),
    ) {
        let path = Path::parse(&format!("/{}", segments.join("/")));
        let (Ok(user), Ok(path)) = (UserName::parse(&name), path) else { return Ok(()) };
        for target in [Target::Broadcast(path.clone()), Target::User { user, path }] {
            let subject = subjects().target(&target);
            prop_assert!(subject.bytes().all(|b| b.is_ascii_graphic() && b != b'*' && b != b'>'));
            prop_assert_eq!(subjects().parse(&subject), Ok(target));
        }
    }

    #[test]
    fn what_is_accepted_is_what_is_written(tail in "(%[0-9A-Fa-f]{2}|[a-c.*>/ %ä~:]){1,12}", to_user: bool) {
        let kind = if to_user { "user" } else { "broadcast" };
        let subject = format!("herald.{kind}.{tail}");
        if let Ok(target) = subjects().parse(&subject) {
            prop_assert_eq!(subjects().target(&target), subject);
        }
    }
}
