//! The promise: which settings of `[history]` are refused. Knows no file and no bus.

use super::*;

type Change = fn(&mut Config);

fn errors(is_nats: bool, change: impl FnOnce(&mut Config)) -> Vec<String> {
    let mut config = Config::default();
    change(&mut config);
    let mut findings = Findings::default();
    config.check(is_nats, &Prefixes::default(), &mut findings);
    findings.errors.into_iter().map(|finding| finding.key).collect()
}

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

#[test]
fn the_defaults_fit_both_buses() {
    for is_nats in [false, true] {
        assert!(errors(is_nats, |_| {}).is_empty());
    }
    let config = Config::default();
    assert!(config.is_enabled(false) && !config.is_enabled(true));
    assert_eq!(config.tail_bytes(true), ByteSize::mib(64));
    assert_eq!(config.tail_bytes(false), ByteSize::mib(32));
    assert_eq!(config.replay_bytes(ByteSize::mib(1)), ByteSize::mib(4));
    assert_eq!(config.replay_bytes(ByteSize::mib(64)), ByteSize::mib(128));
    assert_eq!(config.kept_prefixes(&Prefixes::default()).len(), 2);
}

#[test]
fn what_means_nothing_for_the_bus_is_an_error() {
    let changes: [(&str, Change); 9] = [
        ("history.storage", |c| c.storage = Storage::Memory),
        ("history.replicas", |c| c.replicas = Replicas(3)),
        ("history.manage", |c| c.manage = false),
        ("history.domain", |c| c.domain = "hub".parse().ok()),
        ("history.index_bytes", |c| c.index_bytes = ByteSize(0)),
        ("history.reads", |c| c.reads = 4),
        ("history.publish_timeout", |c| {
            c.publish_timeout = HumanDuration::secs(5)
        }),
        ("history.user_bytes", |c| c.user_bytes = ByteSize::mib(7)),
        ("history.domain", |c| c.domain = "leaf-1".parse().ok()),
    ];
    for (key, change) in changes {
        assert_eq!(errors(false, change), [key]);
        assert!(errors(true, change).is_empty(), "{key}");
    }
    // A file is a store, and no NATS.
    let in_a_file = |c: &mut Config| c.path = "history".parse().ok();
    for (key, change) in changes {
        let is_of_nats =
            ["storage", "replicas", "manage", "domain", "index_bytes"].map(|name| format!("history.{name}"));
        let expected: &[&str] = if is_of_nats.iter().any(|name| name == key) {
            &[key]
        } else {
            &[]
        };
        assert_eq!(errors(false, |c| (in_a_file(c), change(c)).0), expected, "{key}");
    }
    assert_eq!(errors(true, in_a_file), ["history.path"]);
    assert_eq!(
        errors(false, |c| (in_a_file(c), c.enabled = Some(false)).0),
        ["history.path"]
    );
    let too_short = |c: &mut Config| c.duplicate_window = HumanDuration::secs(19);
    assert_eq!(
        errors(false, |c| (in_a_file(c), too_short(c)).0),
        ["history.duplicate_window"]
    );
}

#[test]
fn bounds_are_checked() {
    let changes: [(&str, Change); 13] = [
        ("history.broadcast[0]", |c| {
            c.broadcast = Some(vec![path("/elsewhere")])
        }),
        ("history.broadcast[1]", |c| {
            c.broadcast = Some(vec![path("/queue"), path("/queue")])
        }),
        ("history.broadcast_age", |c| {
            c.broadcast_age = HumanDuration::secs(0)
        }),
        ("history.user_age", |c| c.user_age = HumanDuration::secs(0)),
        ("history.user_bytes", |c| c.user_bytes = ByteSize::kib(1)),
        ("history.tail_bytes", |c| c.tail_bytes = Some(ByteSize(0))),
        ("history.index_bytes", |c| c.index_bytes = ByteSize::mib(257)),
        ("history.replay_messages", |c| c.replay_messages = 0),
        ("history.replay_bytes", |c| {
            c.replay_bytes = Some(ByteSize::mib(257))
        }),
        ("history.reads", |c| c.reads = 0),
        ("history.publishes", |c| c.publishes = 65_537),
        ("history.publish_timeout", |c| {
            c.publish_timeout = HumanDuration::secs(0)
        }),
        ("history.duplicate_window", |c| {
            c.duplicate_window = HumanDuration::secs(19)
        }),
    ];
    for (key, change) in changes {
        assert_eq!(errors(true, change), [key]);
    }
}

#[test]
fn texts_are_typed() {
    assert!("3".parse::<Storage>().is_err() && "memory".parse() == Ok(Storage::Memory));
    for bad in [0, 2, 4, 6] {
        assert!(Replicas::try_from(bad).is_err());
    }
    assert!("".parse::<FilePath>().is_err());
    for bad in ["", "a.b", "a b", ">", "ä"] {
        assert!(bad.parse::<Domain>().is_err(), "{bad}");
    }
}
