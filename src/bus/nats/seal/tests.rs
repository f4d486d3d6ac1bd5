//! The promise: which messages an instance accepts, and what it reports about the others. With files and messages made
//! here; no server.

use bytes::Bytes;

use super::*;

const SUBJECT: &str = "herald.control.all.sessions.disconnect";

fn keys(folder: &Path, text: &str) -> ControlKeys {
    let path = folder.join("control-keys");
    std::fs::write(&path, text).unwrap();
    let config = Config {
        control_key_file: Some(path.to_str().unwrap().into()),
        ..Config::default()
    };
    ControlKeys::read(&config).unwrap().unwrap()
}

fn seal(text: &str, unsigned: Unsigned) -> Seal {
    let folder = tempfile::tempdir().unwrap();
    Seal::new(Some(keys(folder.path(), text)), unsigned)
}

fn key(letter: &str) -> String {
    letter.repeat(32)
}

fn message(headers: Option<HeaderMap>, payload: &'static str) -> Message {
    Message {
        subject: SUBJECT.into(),
        reply: None,
        payload: Bytes::from_static(payload.as_bytes()),
        headers,
        status: None,
        description: None,
        length: 0,
    }
}

/// Signed by `seal` at `time_ms`.
fn signed(seal: &Seal, time_ms: u64) -> Message {
    let keys = seal.keys.as_ref().unwrap().now.read().clone();
    let content = Signed {
        subject: SUBJECT,
        reply: "",
        payload: b"{}",
    };
    let signature = keys.signing().unwrap().sign(content, time_ms);
    message(headers::single(HEADER, &signature.write()), "{}")
}

#[test]
fn a_message_is_judged_by_signature_then_time_then_novelty() {
    let (a, b) = (key("a"), key("b"));
    let ours = seal(&format!("{a}\n{b}"), Unsigned::Refuse);
    let (newer, stranger) = (seal(&b, Unsigned::Refuse), seal(&key("c"), Unsigned::Refuse));
    let now = unix_ms();
    let judged = |message: &Message| {
        let keys = ours.keys.as_ref().unwrap().now.read().clone();
        ours.judge(&keys, message, now)
    };
    assert_eq!(judged(&message(None, "{}")), Err(Cause::Unsigned));
    assert_eq!(judged(&signed(&stranger, now)), Err(Cause::Signature));
    assert_eq!(judged(&signed(&newer, now)), Ok(()));
    for (time, expected) in [
        (now - WINDOW_MS - 1, Err(Cause::Clock)),
        (now - WINDOW_MS, Ok(())),
        (now + WINDOW_MS, Ok(())),
        (now + WINDOW_MS + 1, Err(Cause::Clock)),
        (0, Err(Cause::Clock)),
        (u64::MAX, Err(Cause::Clock)),
    ] {
        assert_eq!(judged(&signed(&ours, time)), expected, "{time}");
    }
    // A wrong signature with a wrong time says nothing about any clock.
    assert_eq!(judged(&signed(&stranger, 0)), Err(Cause::Signature));
    let once = signed(&ours, now);
    assert_eq!((judged(&once), judged(&once)), (Ok(()), Err(Cause::Replayed)));
    // Not even with another payload or another reply subject.
    let changed = Message {
        payload: "[]".into(),
        ..once.clone()
    };
    let elsewhere = Message {
        reply: Some("herald.reply.x.y".into()),
        ..once
    };
    assert_eq!(judged(&changed), Err(Cause::Signature));
    assert_eq!(judged(&elsewhere), Err(Cause::Signature));
}

#[test]
fn what_is_wrong_is_counted_and_told_and_refused_if_that_is_asked_for() {
    for (unsigned, is_admitted, word) in [
        (Unsigned::Accept, true, "accepted"),
        (Unsigned::Refuse, false, "refused"),
    ] {
        let (ours, stranger) = (seal(&key("a"), unsigned), seal(&key("c"), unsigned));
        let now = unix_ms();
        assert!(ours.admits(&signed(&ours, now), "x"));
        assert!(ours.trouble().is_empty());
        let once = signed(&ours, now);
        assert!(ours.admits(&once, "x"));
        for wrong in [
            message(None, ""),
            signed(&stranger, now),
            signed(&ours, now - 95_000),
            once,
        ] {
            assert_eq!(ours.admits(&wrong, "x"), is_admitted);
        }
        let expected = Unverified {
            unsigned: 1,
            signature: 1,
            clock: 1,
            replayed: 1,
        };
        assert_eq!(ours.unverified(), expected);
        let trouble = ours.trouble();
        assert_eq!(trouble.len(), 5, "{trouble:?}");
        assert!(
            trouble[..4].iter().all(|line| line.ends_with(word)),
            "{trouble:?}"
        );
        assert!(trouble[4].contains(" 95 s behind "), "{trouble:?}");
    }
}

#[test]
fn a_clock_that_goes_wrong_is_named_before_anything_is_lost() {
    let ours = seal(&key("a"), Unsigned::Refuse);
    assert!(ours.admits(&signed(&ours, unix_ms() + 45_000), "x"));
    let trouble = ours.trouble();
    assert!(
        trouble.len() == 1 && trouble[0].contains(" ahead of "),
        "{trouble:?}"
    );
    assert_eq!(ours.unverified(), Unverified::default());
}

#[test]
fn without_a_key_nothing_is_signed_or_asked_for() {
    let ours = Seal::new(None, Unsigned::Accept);
    assert!(ours.sign(SUBJECT, None, b"").is_none());
    assert!(ours.admits(&message(None, ""), "x"));
    assert_eq!(ours.unverified(), Unverified::default());
}

#[test]
fn only_others_without_a_key_here_are_worth_a_warning() {
    let open = Seal::new(None, Unsigned::Accept);
    assert!(!open.warned.load(Ordering::Relaxed));
    open.others(1);
    assert!(open.warned.load(Ordering::Relaxed));
    // Once, in the log.
    assert_eq!(open.trouble(), Vec::<String>::new());
    let keyed = seal(&key("a"), Unsigned::Accept);
    keyed.others(2);
    assert!(!keyed.warned.load(Ordering::Relaxed));
}
