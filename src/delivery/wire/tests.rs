//! The promise: MESSAGE frames as in docs/stomp.md and STOMP rules G1 to G3, whatever the version.

use super::*;
use crate::envelope::{HeaderLimits, Headers, MessageId, Position, TraceContext};
use crate::principal::UserName;

fn envelope() -> Envelope {
    let mut envelope = Envelope::new(Target::Broadcast(Path::parse("/queue/x").unwrap()), "hi");
    envelope.id = MessageId::parse("id-1").unwrap();
    envelope.timestamp_ms = 7;
    envelope
}

fn key(version: Version, ack: AckMode) -> GroupKey {
    GroupKey {
        subscription: Some("s:1".into()),
        version,
        ack,
    }
}

/// The STOMP frame of a MESSAGE, and its WebSocket opcode.
fn message(envelope: &Envelope, key: &GroupKey) -> (u8, String) {
    let rest = rest(envelope, key.version, &Path::parse("/user").unwrap(), false);
    let mut bytes = Vec::new();
    head_into(&mut bytes, envelope, key, &rest, None);
    bytes.extend_from_slice(&rest.bytes);
    let (head, length) = match bytes[1] {
        126 => (4, usize::from(u16::from_be_bytes([bytes[2], bytes[3]]))),
        127 => (10, u64::from_be_bytes(bytes[2..10].try_into().unwrap()) as usize),
        short => (2, usize::from(short)),
    };
    assert_eq!(bytes.len(), head + length, "the WebSocket head says the length");
    (bytes[0], String::from_utf8_lossy(&bytes[head..]).into_owned())
}

#[test]
fn a_message_has_the_contracts_headers_in_its_order() {
    let mut envelope = envelope();
    envelope.content_type = Some("application/json".into());
    envelope.trace = TraceContext::from_headers(
        Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        None,
    );
    let limits = HeaderLimits { count: 9, bytes: 99 };
    envelope.headers = Headers::from_publisher([("z", "1"), ("a:b", "x\ny")], limits).unwrap();
    let (opcode, text) = message(&envelope, &key(Version::V1_2, AckMode::Client));
    assert_eq!(opcode, 0x81);
    assert_eq!(
        text,
        "MESSAGE\nsubscription:s\\c1\nack:id-1;s\\c1\ndestination:/queue/x\nmessage-id:id-1\n\
         content-type:application/json\ncontent-length:2\ntimestamp:7\n\
         traceparent:00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\na\\cb:x\\ny\nz:1\n\nhi\0"
    );
}

#[test]
fn versions_differ_in_escapes_and_ack() {
    let mut envelope = envelope();
    let limits = HeaderLimits { count: 9, bytes: 99 };
    envelope.headers = Headers::from_publisher([("n", "x\ny"), ("ok", "a:b")], limits).unwrap();
    let check = |version, expected: &str| {
        let (_, text) = message(&envelope, &key(version, AckMode::ClientIndividual));
        assert_eq!(text, expected, "{version}");
    };
    let common = "destination:/queue/x\nmessage-id:id-1\ncontent-type:text/plain;charset=UTF-8\n\
                  content-length:2\ntimestamp:7\n";
    check(
        Version::V1_2,
        &format!("MESSAGE\nsubscription:s\\c1\nack:id-1;s\\c1\n{common}n:x\\ny\nok:a\\cb\n\nhi\0")
            .replace("text/plain;", "text/plain;"),
    );
    check(
        Version::V1_1,
        &format!("MESSAGE\nsubscription:s\\c1\n{common}n:x\\ny\nok:a\\cb\n\nhi\0"),
    );
    // 1.0 cannot escape: a value with a line break would be a header of its own, so it is left out.
    check(
        Version::V1_0,
        &format!("MESSAGE\nsubscription:s:1\n{common}ok:a:b\n\nhi\0"),
    );
}

#[test]
fn a_users_message_shows_the_destination_as_subscribed_never_the_name() {
    let mut envelope = envelope();
    let user = UserName::parse("alice").unwrap();
    envelope.target = Target::User {
        user,
        path: Path::parse("/queue/x").unwrap(),
    };
    let (_, text) = message(&envelope, &key(Version::V1_2, AckMode::Auto));
    assert!(text.contains("\ndestination:/user/queue/x\n"));
    assert!(!text.contains("alice"));
}

#[test]
fn a_body_that_is_no_text_makes_a_binary_message() {
    let mut envelope = envelope();
    envelope.body = Bytes::from_static(b"\xff\0");
    let (opcode, text) = message(&envelope, &key(Version::V1_2, AckMode::Auto));
    assert_eq!(opcode, 0x82);
    assert!(text.contains("\ncontent-type:application/octet-stream\ncontent-length:2\n"));
}

#[test]
fn a_position_stands_as_message_id() {
    let mut envelope = envelope();
    envelope.position = Some(Position {
        epoch: 3,
        sequence: 9,
    });
    let (_, text) = message(&envelope, &key(Version::V1_2, AckMode::Client));
    assert!(text.contains(&format!("\nmessage-id:3-9\nherald-id:{}\n", envelope.id)));
    assert!(text.contains("\nack:3-9;s\\c1\n"));
    // What an instance makes itself has a number behind it.
    envelope.local = std::num::NonZeroU64::new(4);
    let (_, text) = message(&envelope, &key(Version::V1_2, AckMode::Client));
    assert!(text.contains("\nmessage-id:3-9.4\n") && text.contains("\nack:3-9.4;s\\c1\n"));
    assert_eq!(envelope.message_id().as_str(), "3-9.4");
}

#[test]
fn long_messages_have_long_heads() {
    for bytes in [10, 200, 70_000] {
        let mut envelope = envelope();
        envelope.body = vec![b'x'; bytes].into();
        message(&envelope, &key(Version::V1_2, AckMode::Auto));
    }
}

#[test]
fn a_close_frame_cuts_its_words_at_a_character() {
    let frame = close_frame(1001, &"ä".repeat(100));
    assert_eq!(&frame[..4], [0x88, 124, 0x03, 0xe9]);
    assert!(std::str::from_utf8(&frame[4..]).is_ok());
}

#[test]
fn an_error_names_the_reason_that_its_close_code_does_not_tell() {
    let words = |reason: CloseReason| {
        let [error, close] = &last_words(reason, reason.words(), None, Version::V1_2)[..] else {
            panic!("ERROR and Close");
        };
        assert_eq!(&close[2..4], 4401_u16.to_be_bytes());
        String::from_utf8(error[2..].to_vec()).unwrap()
    };
    let expired = words(CloseReason::TokenExpired);
    assert!(
        expired.contains("\nmessage:token expired\nherald-reason:token-expired\n"),
        "{expired}"
    );
    assert!(!words(CloseReason::NotAuthenticated).contains("herald-reason"));
}
