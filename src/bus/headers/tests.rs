//! The promise: what a publisher's headers become on NATS and back, and what hostile ones cannot do.

use std::str::FromStr;

use async_nats::header::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::destination::Path;
use crate::envelope::HeaderLimits;
use crate::principal::UserName;
use crate::setting::ByteSize;

const LIMITS: Limits = Limits {
    body_bytes: ByteSize(64),
    headers: HeaderLimits { count: 4, bytes: 128 },
};

fn target() -> Target {
    Target::Broadcast(Path::parse("/queue/x").unwrap())
}

fn own(headers: &[(&str, &str)]) -> Headers {
    Headers::from_publisher(headers.iter().copied(), LIMITS.headers).unwrap()
}

/// As another client may write them: any case, repeated, in any order.
fn map(headers: &[(&str, &str)]) -> HeaderMap {
    let mut writer = Writer::default();
    for (name, value) in headers {
        assert!(writer.plain(name, value));
    }
    writer.finish()
}

/// What the receiving client makes of the bytes that the sending client writes: name, colon, value, trimmed.
fn over_the_wire(sent: &HeaderMap) -> HeaderMap {
    let mut received = Writer::default();
    for (name, values) in sent.iter() {
        for value in values {
            let line = format!("{name}: {value}");
            assert_eq!(line.lines().count(), 1, "{line:?}");
            let (name, value) = line.split_once(':').unwrap();
            assert!(received.plain(name, value.trim()));
        }
    }
    received.finish()
}

/// The client is patched so: headers stay lines until one is asked for by its name.
#[test]
fn lines_and_the_map_made_of_them_say_the_same() {
    let text = "b: 2 \r\nA:1\r\nb:\t3: \r\nNats-Stream: S\r\n\r\n";
    let lines = HeaderMap::from_lines(text).unwrap();
    let all: Vec<_> = lines.iter_lines().collect();
    assert_eq!(all, [("b", "2"), ("A", "1"), ("b", "3:"), ("Nats-Stream", "S")]);
    assert_eq!(lines.wire_len(), "NATS/1.0\r\n".len() + text.len());
    let text_of = |value: Option<&HeaderValue>| value.map(|value| value.as_str().to_owned());
    assert_eq!(text_of(lines.get("b")).as_deref(), Some("2"));
    assert_eq!(text_of(lines.get_last("b")).as_deref(), Some("3:"));
    assert_eq!(text_of(lines.get("Nats-Stream")).as_deref(), Some("S"));
    assert_eq!((lines.len(), lines.is_empty()), (3, false));
    let mut map = HeaderMap::new();
    for (name, values) in lines.iter() {
        for value in values {
            #[expect(clippy::disallowed_methods, reason = "names and values that were parsed")]
            map.append(name.clone(), value.clone());
        }
    }
    assert_eq!(map, lines);
    let mut of_map: Vec<_> = map.iter_lines().collect();
    of_map.sort_by_key(|(name, _)| *name);
    assert_eq!(
        of_map,
        [("A", "1"), ("Nats-Stream", "S"), ("b", "2"), ("b", "3:")]
    );
    let none = HeaderMap::from_lines("\r\n").unwrap();
    assert!(none.is_empty() && none == HeaderMap::new());
    for other in [
        &b""[..],
        b"a: b",
        b"a: b\r\n",
        b"\r\na: b\r\n\r\n",
        b"a: b\r\n c\r\n\r\n",
        b"a: b\nc: d\r\n\r\n",
        b"a: b\rc\r\n\r\n",
        b"no colon\r\n\r\n",
        b": no name\r\n\r\n",
        b"a b: c\r\n\r\n",
        b"a: \xE4\r\n\r\n",
    ] {
        assert!(HeaderMap::from_lines(other).is_none(), "{other:?}");
    }
}

fn decode(headers: &HeaderMap) -> Result<Envelope, Undeliverable> {
    decode_envelope(target(), Some(headers), Bytes::from_static(b"b"), &LIMITS)
}

#[test]
fn an_envelope_comes_back_whole() {
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut sent = Envelope::new(target(), "body").with_content_type("text/plain;x=ä");
    sent.expires_at_ms = Some(17);
    sent.collapse = envelope::CollapseKey::of_backend("k ä");
    sent.trace = TraceContext {
        decided: true,
        mark: Some(crate::envelope::Mark::random()),
        ..TraceContext::from_headers(Some(parent), Some("a=b"))
    };
    sent.headers = own(&[
        ("näme", "v"),
        ("lines", "a\nb\r"),
        ("plain", "wört"),
        ("out", " x "),
    ]);
    let wire = encode_envelope(&sent);
    assert_eq!(wire.get("traceparent").map(HeaderValue::as_str), Some(parent));
    assert_eq!(wire.get("plain").map(HeaderValue::as_str), Some("wört"));
    assert!(wire.get("out").is_none() && wire.get("lines").is_none());
    let received = decode_envelope(target(), Some(&over_the_wire(&wire)), sent.body.clone(), &LIMITS);
    assert_eq!(received, Ok(sent));
}

/// The key is where older versions look for it, and whose it is stands beside it.
#[test]
fn a_clients_collapse_key_is_told_from_a_backends() {
    let key = |kind| envelope::CollapseKey::parse("k", kind);
    for (kind, told) in [
        (PublisherKind::Client, Some("client")),
        (PublisherKind::Backend, None),
    ] {
        let mut sent = Envelope::new(target(), "b");
        sent.collapse = key(kind);
        let wire = encode_envelope(&sent);
        assert_eq!(wire.get("Herald-Collapse").map(HeaderValue::as_str), Some("k"));
        assert_eq!(wire.get("Herald-Publisher").map(HeaderValue::as_str), told);
        assert_eq!(decode(&over_the_wire(&wire)).unwrap().collapse, key(kind));
    }
    // A client's own header of that name is none of Herald's.
    let mut sent = Envelope::new(target(), "b");
    sent.headers = own(&[("Herald-Publisher", "backend"), ("herald-collapse", "x")]);
    sent.collapse = key(PublisherKind::Client);
    assert_eq!(
        decode(&encode_envelope(&sent)).unwrap().collapse,
        key(PublisherKind::Client)
    );
}

#[test]
fn a_plain_publisher_gets_an_id_and_a_time() {
    let before = envelope::unix_ms();
    let [a, b] = [None, Some(&HeaderMap::new())]
        .map(|headers| decode_envelope(target(), headers, Bytes::new(), &LIMITS).unwrap());
    assert_ne!(a.id, b.id);
    assert!(a.timestamp_ms >= before && b.timestamp_ms >= before);
    assert!(a.expires_at_ms.is_none() && a.headers.is_empty() && a.content_type.is_none());
}

#[test]
fn lookup_ignores_case_and_order() {
    for _ in 0..20 {
        let headers = map(&[
            ("HERALD-ID", "upper"),
            ("herald-id", "lower"),
            ("CONTENT-TYPE", "a/b"),
            ("Traceparent", "nonsense"),
            ("NATS-Anything", "n"),
            ("Cookie", "secret"),
            ("x", "1"),
            ("X", "2"),
        ]);
        let envelope = decode(&headers).unwrap();
        assert_eq!(envelope.id.as_str(), "upper");
        assert_eq!(envelope.content_type.as_deref(), Some("a/b"));
        assert_eq!(envelope.trace, TraceContext::default());
        assert_eq!(
            envelope.headers.iter().collect::<Vec<_>>(),
            [("X", "2"), ("x", "1")]
        );
    }
    let both = map(&[
        ("herald-id", "lower"),
        ("Herald-Id", "own"),
        ("HERALD-ID", "upper"),
    ]);
    assert_eq!(decode(&both).unwrap().id.as_str(), "own");
}

#[test]
fn what_can_be_forgiven_is() {
    let envelope = decode(&map(&[
        ("Herald-Id", "not an id"),
        ("Herald-Timestamp", "soon"),
        ("Herald-Expires", "-1"),
        ("Content-Type", &"x".repeat(300)),
    ]))
    .unwrap();
    assert_eq!(envelope.id.as_str().len(), 26);
    assert!(envelope.timestamp_ms > 0);
    assert_eq!((envelope.expires_at_ms, envelope.content_type), (None, None));
}

#[test]
fn a_time_far_ahead_is_now() {
    let now = envelope::unix_ms();
    let check = |told: u64, is_believed: bool| {
        let envelope = decode(&map(&[("Herald-Timestamp", &told.to_string())])).unwrap();
        let believed = envelope.timestamp_ms == told;
        assert_eq!(believed, is_believed, "{told}");
        assert!(believed || envelope.timestamp_ms.abs_diff(now) < 30_000, "{told}");
    };
    check(0, true);
    check(now - 3_600_000, true);
    check(now + 30_000, true);
    check(now + 3_600_000, false);
    check(u64::MAX, false);
}

#[test]
fn what_passes_the_limits_is_undeliverable() {
    let check = |headers: &[(&str, &str)], expected: Option<Undeliverable>| {
        assert_eq!(decode(&map(headers)).err(), expected, "{headers:?}");
    };
    let long = "x".repeat(128);
    let refused = Some(Undeliverable::Headers);
    check(&[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")], None);
    check(
        &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4"), ("e", "5")],
        refused,
    );
    check(&[("a", &long)], refused);
    check(&[("Herald-Headers", r#"{"a":"\n"}"#)], None);
    check(&[("Herald-Headers", r#"{"a":1}"#)], refused);
    check(&[("Herald-Headers", r#"{"a":"1"} x"#)], refused);
    check(&[("Herald-Headers", "[]")], refused);
    check(&[("Herald-Headers", "")], refused);
    check(&[("Herald-Headers", r#"{"":"x"}"#)], refused);
    check(&[("Herald-Headers", r#"{"a":"\u0000"}"#)], refused);
    check(
        &[("Herald-Headers", r#"{"a":"","b":"","c":"","d":"","e":""}"#)],
        refused,
    );
    check(&[("Herald-Headers", &format!(r#"{{"a":"{long}"}}"#))], refused);
    let many: Vec<String> = (0..100).map(|n| format!("herald-{n}")).collect();
    let many: Vec<_> = many.iter().map(|name| (&**name, "")).collect();
    check(&many, refused);
    let body = Bytes::from(vec![0; 65]);
    assert_eq!(
        decode_envelope(target(), None, body, &LIMITS),
        Err(Undeliverable::Body)
    );
}

#[test]
fn secrets_do_not_hide_in_herald_headers() {
    let headers = map(&[
        (
            "Herald-Headers",
            r#"{"authorization":"s","Message-Id":"m","x":"inner","y":"\n"}"#,
        ),
        ("x", "outer"),
    ]);
    let own = decode(&headers).unwrap().headers;
    assert_eq!(own.iter().collect::<Vec<_>>(), [("x", "outer"), ("y", "\n")]);
}

#[test]
fn a_requests_names_are_escaped_where_needed() {
    let check = |user: &str, expected: &str| {
        let request = AppRequest {
            path: Path::parse("/x").unwrap(),
            user: UserName::parse(user).unwrap(),
            session: "s-1".into(),
            instance: "höst".into(),
            content_type: Some("a/b".into()),
            headers: own(&[("k", "a\nb")]),
            trace: TraceContext::default(),
            body: Bytes::new(),
        };
        let headers = encode_request(&request);
        let get = |name: &str| {
            headers
                .get(HeaderName::from_str(name).unwrap())
                .map(HeaderValue::as_str)
        };
        assert_eq!(get(USER), Some(expected));
        assert_eq!(get(SESSION), Some("s-1"));
        assert_eq!(get(INSTANCE), Some("h%C3%B6st"));
        assert_eq!(get(EXTRA), Some(r#"{"k":"a\nb"}"#));
    };
    check("a.b@example.com", "a.b@example.com");
    check("Ann Lee", "Ann Lee");
    check(" ann ", "%20ann%20");
    check("100%", "100%25");
    check("ä", "%C3%A4");
}

fn reply(headers: &[(&str, &str)], body: &'static [u8]) -> AppReply {
    let message = Message {
        subject: "x".into(),
        reply: None,
        payload: Bytes::from_static(body),
        headers: Some(map(headers)),
        status: None,
        description: None,
        length: 0,
    };
    decode_reply(message, &LIMITS)
}

#[test]
fn replies_are_filtered_and_bounded() {
    let good = reply(&[("content-type", "a/b"), ("Cookie", "s"), ("k", "v")], b"body");
    assert_eq!(good.content_type.as_deref(), Some("a/b"));
    assert_eq!(good.headers, own(&[("k", "v")]));
    assert_eq!((&good.body[..], good.error), (&b"body"[..], None));
    assert_eq!(reply(&[("herald-error", "no")], b"").error.as_deref(), Some("no"));
    let long = reply(&[("Herald-Error", &"ä".repeat(1_000))], b"").error.unwrap();
    assert_eq!(long.len(), 1_024);
    let too_large = reply(&[], &[0; 65]);
    assert!(too_large.body.is_empty());
    assert!(too_large.error.unwrap().contains("limits.body_bytes"));
    assert!(
        reply(&[("Herald-Headers", "x")], b"")
            .error
            .unwrap()
            .contains("limits.headers")
    );
}

proptest! {
    #[test]
    fn every_legal_header_survives(pairs in prop::collection::vec((".{1,12}", "(?s:.{0,12})"), 0..4)) {
        let limits = Limits { headers: HeaderLimits { count: 8, bytes: 1_024 }, ..LIMITS };
        let pairs = pairs.iter().map(|(name, value)| (&**name, &**value));
        let Ok(headers) = Headers::from_publisher(pairs, limits.headers) else { return Ok(()) };
        let mut sent = Envelope::new(target(), "");
        sent.headers = headers;
        sent.trace.decided = true;
        let wire = over_the_wire(&encode_envelope(&sent));
        prop_assert_eq!(decode_envelope(target(), Some(&wire), Bytes::new(), &limits), Ok(sent));
    }
}
