//! Promises: messages come back as they went; a summary is of the set, whatever the order; bounds hold.

use super::*;

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
        encode(&changes).unwrap(),
        r#"{"instance":"01ARZ3NDEKTSV4RRFFQ69G5FAV","name":"a","number":7,"came":["ä\"b"],"went":["c"]}"#,
    );
    let back: Changes = decode(&encode(&changes).unwrap()).unwrap();
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
        encode(&digest).unwrap(),
        r#"{"instance":"01ARZ3NDEKTSV4RRFFQ69G5FAV","name":"a","beat":1,"number":7,"users":1,"hash":"2bd806c97f0e00af"}"#,
    );
    let back: Digest = decode(&encode(&digest).unwrap()).unwrap();
    assert_eq!(back.summary, digest.summary);
}

#[test]
fn a_later_version_may_say_more() {
    let text = format!(r#"{{"instance":"{}","of":"{0}","more":[1]}}"#, id());
    assert!(decode::<Departed>(text.as_bytes()).is_ok());
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
    for name in ["a", "ä", "\"\\", &"\"".repeat(128), "a\u{2028}b"] {
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
