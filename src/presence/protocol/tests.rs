//! The promise: messages survive the round trip; a summary depends on the set, not on its order; limits hold.

use bytes::Bytes;

use super::*;
use crate::control::question::{Payload, keeps_the_wire, read};
use crate::instance::InstanceId;

fn names(names: &[&str]) -> Names {
    Names(names.iter().map(|name| UserName::parse(name).unwrap()).collect())
}

fn id() -> InstanceId {
    InstanceId::parse("01ARZ3NDEKTSV4RRFFQ69G5FAV").unwrap()
}

#[test]
fn messages_have_this_form() {
    let check = |made: Bytes, expected: &str| assert_eq!(std::str::from_utf8(&made), Ok(expected));
    let changes = Changes {
        instance: id(),
        name: InstanceName::clean("a"),
        number: 7,
        came: names(&["ä\"b"]),
        joined: Names::default(),
        went: names(&["c"]),
        left: Names::default(),
    };
    check(
        changes.to_payload(),
        r#"{"instance":"01ARZ3NDEKTSV4RRFFQ69G5FAV","name":"a","number":7,"came":["ä\"b"],"went":["c"]}"#,
    );
    let back: Changes = read(&changes.to_payload(), MESSAGE_MAX_BYTES).unwrap();
    assert_eq!(
        (back.instance, back.number, back.came, back.went),
        (id(), 7, changes.came, changes.went)
    );
    let digest = Digest {
        instance: id(),
        name: InstanceName::clean("a"),
        beat: 1,
        number: 7,
        summary: names(&["alice"]).0.iter().collect(),
    };
    // The hash is part of the protocol: instances of different versions compare it.
    check(
        digest.to_payload(),
        r#"{"instance":"01ARZ3NDEKTSV4RRFFQ69G5FAV","name":"a","beat":1,"number":7,"users":1,"hash":"2bd806c97f0e00af"}"#,
    );
    let back: Digest = read(&digest.to_payload(), MESSAGE_MAX_BYTES).unwrap();
    assert_eq!(back.summary, digest.summary);
}

/// As instances said it before this module used the control desk.
#[test]
fn the_other_messages_have_this_form() {
    let changes =
        r#"{"instance":"01ARZ3NDEKTSV4RRFFQ69G5FAV","name":"a","number":7,"joined":["j"],"left":["l"]}"#;
    keeps_the_wire::<Changes>(changes);
    keeps_the_wire::<Departed>(
        r#"{"instance":"01ARZ3NDEKTSV4RRFFQ69G5FAV","of":"01ARZ3NDEKTSV4RRFFQ69G5FAW"}"#,
    );
    keeps_the_wire::<Goodbye>(r#"{"instance":"01ARZ3NDEKTSV4RRFFQ69G5FAV"}"#);
    keeps_the_wire::<SnapshotRequest>(r#"{"at_least":3}"#);
    keeps_the_wire::<SnapshotRequest>(r#"{"at_least":3,"cursor":{"number":4,"offset":5}}"#);
    keeps_the_wire::<SnapshotReply>(r#"{"page":null}"#);
    keeps_the_wire::<SnapshotReply>(
        r#"{"page":{"number":7,"users":1,"hash":"2bd806c97f0e00af","offset":0,"names":["alice"],"more":false}}"#,
    );
    let kinds = [
        Changes::KIND,
        Digest::KIND,
        Departed::KIND,
        Goodbye::KIND,
        Snapshot::KIND,
    ];
    let names = ["changes", "digest", "departed", "goodbye", "snapshot"];
    assert_eq!(kinds, names.map(|name| format!("presence.{name}")));
}

#[test]
fn a_later_version_may_say_more() {
    let text = format!(r#"{{"instance":"{}","of":"{0}","more":[1]}}"#, id());
    assert!(read::<Departed>(text.as_bytes(), MESSAGE_MAX_BYTES).is_ok());
}

#[test]
fn summaries_are_of_the_set() {
    let (ab, ba) = (names(&["a", "b"]), names(&["b", "a"]));
    let mut summary: Summary = ab.0.iter().collect();
    assert_eq!(summary, ba.0.iter().collect());
    assert_ne!(summary, names(&["a", "c"]).0.iter().collect());
    ab.0.iter().for_each(|user| summary.remove(user));
    assert_eq!(summary, Summary::default());
}

#[test]
fn json_bytes_bounds_what_is_written() {
    for name in ["a", "ä", "\"\\", &"\"".repeat(255), "a\u{200d}b"] {
        let user = UserName::parse(name).unwrap();
        let one = serde_json::to_vec(&Names(vec![user.clone()])).unwrap().len();
        assert_eq!(one, json_bytes(&user) + 1, "{name}");
    }
}

#[test]
fn instance_names_are_cleaned_not_refused() {
    assert_eq!(&*InstanceName::clean("a\nb").0, "ab");
    assert_eq!(InstanceName::clean(&"ä".repeat(200)).0.len(), 254);
}
