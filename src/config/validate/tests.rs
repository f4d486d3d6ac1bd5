//! One line a rule: a change to the defaults, and the key that is named.

use super::*;
use crate::auth::UserEntry;
use crate::destination::Path;
use crate::http::access::{Access, Key, Scope};
use crate::http::page::Choice;
use crate::setting::ByteSize;
use crate::setting::Secret;

/// The keys named as errors once `change` is made to a sound configuration.
fn errors(change: impl FnOnce(&mut Config)) -> Vec<String> {
    let mut config = Config::default();
    change(&mut config);
    let findings = config.validate(false);
    findings.errors.into_iter().map(|finding| finding.key).collect()
}

fn check(change: impl FnOnce(&mut Config), expected: &[&str]) {
    assert_eq!(errors(change), expected);
}

fn warnings(demo: bool, change: impl FnOnce(&mut Config)) -> Vec<String> {
    let mut config = Config::default();
    change(&mut config);
    let findings = config.validate(demo);
    assert_eq!(findings.errors, []);
    findings.warnings.into_iter().map(|finding| finding.key).collect()
}

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

fn key(name: &str, sha256: &str) -> Key {
    Key {
        name: name.into(),
        sha256: sha256.into(),
        scopes: vec![Scope::Publish],
    }
}

fn user(name: &str, roles: &[&str]) -> UserEntry {
    UserEntry {
        name: name.into(),
        password: Secret::new("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA"),
        roles: roles.iter().map(|role| role.to_string()).collect(),
    }
}

#[test]
fn the_defaults_are_sound() {
    check(|_| {}, &[]);
}

#[test]
fn the_small_page_is_read_as_the_full_one_with_a_warning() {
    let warned =
        |choice| warnings(false, |config| config.http.page = choice).contains(&"http.page".to_owned());
    assert!(warned(Choice::Small));
    assert!(!warned(Choice::Full) && !warned(Choice::None));
}

#[test]
fn addresses_and_paths() {
    for text in [
        "",
        "8080",
        ":8080",
        "localhost:8080",
        "127.0.0.1",
        "127.0.0.1:99999",
        "::1:80",
    ] {
        check(|c| c.http.listen = text.into(), &["http.listen"]);
        check(
            |c| c.http.admin_listen = Some(text.into()),
            &["http.admin_listen"],
        );
    }
    check(
        |c| c.http.admin_listen = Some(c.http.listen.clone()),
        &["http.admin_listen"],
    );
    let both_free = |c: &mut Config| {
        c.http.listen = "127.0.0.1:0".into();
        c.http.admin_listen = Some("127.0.0.1:0".into());
    };
    check(both_free, &[]);
    check(|c| c.http.listen = "[::]:80".into(), &[]);
    for text in [
        "/", "backend", "/a/", "/a//b", "/..", "/a b", "/a?b", "/{x}", "/ä",
    ] {
        check(|c| c.http.base_path = text.into(), &["http.base_path"]);
        check(|c| c.http.ws_path = text.into(), &["http.ws_path"]);
    }
    check(|c| c.http.base_path = "/a/b-1.2".into(), &[]);
    check(|c| c.http.ws_path = String::new(), &["http.ws_path"]);
    for text in ["/api", "/api/ws", "/metrics"] {
        check(|c| c.http.ws_path = text.into(), &["http.ws_path"]);
    }
    check(|c| c.http.ws_path = "/apis".into(), &[]);
}

#[test]
fn origins() {
    for text in [
        "",
        "example.com",
        "https://",
        "https://a/",
        "https://a*.b",
        "https://*.",
        "**",
    ] {
        check(
            |c| c.http.origins = vec!["*".into(), text.into()],
            &["http.origins[1]"],
        );
        check(
            |c| c.http.cors_origins = vec![text.into()],
            &["http.cors_origins[0]"],
        );
    }
    for text in [
        "*",
        "http://localhost:3000",
        "https://*.example.com",
        "http://[::1]:80",
    ] {
        check(|c| c.http.origins = vec![text.into()], &[]);
    }
}

#[test]
fn keys_have_one_name_and_one_hash() {
    let (a, b) = ("a".repeat(64), "b".repeat(64));
    check(|c| c.api.keys = vec![key("x", &a), key("y", &b)], &[]);
    check(
        |c| c.api.keys = vec![key("x", &a), key("x", &b)],
        &["api.keys[1].name"],
    );
    check(
        |c| c.api.keys = vec![key("x", &a), key("y", &a.to_uppercase())],
        &["api.keys[1].sha256"],
    );
    check(|c| c.api.keys = vec![key("", &a)], &["api.keys[0].name"]);
    check(|c| c.api.keys = vec![key("x", &a[1..])], &["api.keys[0].sha256"]);
    check(
        |c| c.api.keys = vec![key("x", &"g".repeat(64))],
        &["api.keys[0].sha256"],
    );
    let no_scope = Key {
        scopes: Vec::new(),
        ..key("x", &a)
    };
    check(|c| c.api.keys = vec![no_scope], &["api.keys[0].scopes"]);
}

#[test]
fn users_of_the_configuration() {
    check(|c| c.auth.users = vec![user("a", &[]), user("b", &[])], &[]);
    check(
        |c| c.auth.users = vec![user("a", &[]), user("a", &[])],
        &["auth.users[1].name"],
    );
    check(|c| c.auth.users = vec![user("a:b", &[])], &["auth.users[0].name"]);
    let plain = UserEntry {
        password: Secret::new("test"),
        ..user("a", &[])
    };
    check(|c| c.auth.users = vec![plain], &["auth.users[0].password"]);
    check(|c| c.login.permits = Some(0), &["login.permits"]);
}

#[test]
fn what_is_allowed_but_looks_wrong_is_a_warning() {
    assert_eq!(warnings(false, |_| {}), ["auth.users_file", "api.access"]);
    assert_eq!(warnings(true, |c| c.api.access = Access::Open), [""; 0]);
    assert_eq!(
        warnings(false, |c| c.auth.users = vec![user("a", &["ROLE_USER"])]),
        ["api.access"]
    );
    let roles = ["ROLE_USER", "ROLE_PUBLISHER"];
    assert_eq!(
        warnings(false, |c| c.auth.users = vec![user("a", &roles)]),
        [""; 0]
    );
    assert_eq!(warnings(false, |c| c.auth.users_file = Some("x".into())), [""; 0]);
    let open = |c: &mut Config| {
        c.api.access = Access::Open;
        c.http.listen = "0.0.0.0:80".into();
    };
    assert_eq!(warnings(true, open), ["api.access"]);
    let roles = ["USER", "ROLE_PUBLISHER"];
    assert_eq!(
        warnings(false, |c| c.auth.users = vec![user("a", &roles)]),
        ["auth.users[0].roles"]
    );
    let large = |c: &mut Config| {
        c.api.access = Access::Open;
        c.limits.body_bytes = ByteSize::mib(2);
    };
    assert_eq!(warnings(true, large), ["limits.body_bytes"]);
    let token = |c: &mut Config| {
        c.api.access = Access::Open;
        c.bus.token_file = Some("x".into());
    };
    assert_eq!(warnings(true, token), ["bus.token_file"]);
}

#[test]
fn the_way_to_nats() {
    for url in [
        "nats://a",
        "nats://a:4222,nats://b:4222",
        "tls://u:p@a:4222",
        "a:4222",
        "nats://[::1]:4222",
        "a, b",
    ] {
        check(|c| c.bus.url = Some(url.into()), &[]);
    }
    for url in [
        "",
        "http://a",
        "nats://",
        "nats://a:b",
        "nats://a,",
        "nats://a b",
        "nats://a:1/x",
        "nats://u:p/q@a",
        "x://u:p@a, nats://b",
    ] {
        check(|c| c.bus.url = Some(url.into()), &["bus.url"]);
    }
    for prefix in ["", "a.b", "*", ">", "a b", "ä", "$SYS", &"a".repeat(65)] {
        check(|c| c.bus.prefix = prefix.into(), &["bus.prefix"]);
    }
    let secret = || Some(Secret::new("x"));
    let file = || Some("x".to_owned());
    check(
        |c| (c.bus.token, c.bus.token_file) = (secret(), file()),
        &["bus.token"],
    );
    check(
        |c| (c.bus.nkey, c.bus.nkey_file) = (secret(), file()),
        &["bus.nkey"],
    );
    check(
        |c| (c.bus.user, c.bus.password, c.bus.password_file) = (file(), secret(), file()),
        &["bus.password"],
    );
    check(|c| c.bus.user = file(), &["bus.user"]);
    check(|c| c.bus.password_file = file(), &["bus.password_file"]);
    check(|c| c.bus.password = secret(), &["bus.password"]);
    check(
        |c| (c.bus.token, c.bus.credentials_file) = (secret(), file()),
        &["bus.token"],
    );
    check(
        |c| c.bus.subscription_capacity = 0,
        &["bus.subscription_capacity"],
    );
    check(
        |c| c.bus.embedded_capacity = usize::MAX,
        &["bus.embedded_capacity"],
    );
}

#[test]
fn prefixes_do_not_overlap() {
    let broadcast = |texts: &[&str]| {
        let paths: Vec<Path> = texts.iter().map(|text| path(text)).collect();
        errors(|c| c.destinations.broadcast_prefixes = paths)
    };
    assert_eq!(
        broadcast(&["/queue", "/queue/x", "/queues"]),
        ["destinations.broadcast_prefixes[1]"]
    );
    assert_eq!(
        broadcast(&["/queue/x", "/queue"]),
        ["destinations.broadcast_prefixes[1]"]
    );
    let queue = ["/queue", "/topic", "/topic"];
    assert_eq!(broadcast(&queue), ["destinations.broadcast_prefixes[2]"]);
    check(
        |c| c.destinations.application_prefixes.push(path("/topic/app")),
        &["destinations.application_prefixes[2]"],
    );
    check(
        |c| c.destinations.user_prefix = path("/app"),
        &["destinations.user_prefix"],
    );
    check(
        |c| c.presence.list_destination = Some(path("/app/x")),
        &["presence.list_destination"],
    );
    check(|c| c.presence.list_destination = None, &[]);
}

#[test]
fn routes_lead_somewhere() {
    check(
        |c| c.application.time_zone = "Mars/Olympus".into(),
        &["application.time_zone"],
    );
    check(|c| c.application.time_zone = "Europe/Berlin".into(), &[]);
    let route = |text: &str| {
        let config: crate::session::application::Config = toml::from_str(text).unwrap();
        errors(|c| c.application.routes = config.routes)
    };
    let text = "[[routes]]\naction = 'broadcast'\npath = '/m'\ndestination = '/user/x'";
    assert_eq!(route(text), ["application.routes[0].destination"]);
    let text =
        "[[routes]]\naction = 'recent'\npath = '/m'\ndestination = '/queue/x'\ncount = 0\nreply = '/queue/r'";
    assert_eq!(route(text), ["application.routes[0].count"]);
    let text = "[[routes]]\naction = 'users'\npath = '/m'\nreply = '/q'\n".repeat(2);
    assert_eq!(route(&text), ["application.routes[1].path"]);
}

#[test]
fn bounds_fit_each_other() {
    check(
        |c| c.limits.outbox_bytes = ByteSize::kib(63),
        &["limits.outbox_bytes"],
    );
    check(
        |c| c.limits.outbox_total_bytes = ByteSize::mib(1),
        &["limits.outbox_total_bytes"],
    );
    check(
        |c| c.limits.delivery_bytes = ByteSize::kib(64),
        &["limits.delivery_bytes"],
    );
    check(
        |c| c.limits.frame_bytes_before_login = ByteSize(0),
        &["limits.frame_bytes_before_login"],
    );
    check(|c| c.limits.socket_send_bytes = ByteSize(0), &[]);
    check(
        |c| c.limits.socket_send_bytes = ByteSize(1),
        &["limits.socket_send_bytes"],
    );
    check(
        |c| c.limits.connect_timeout = HumanDuration::secs(0),
        &["limits.connect_timeout"],
    );
    check(
        |c| c.heartbeat.send = HumanDuration::millis(999),
        &["heartbeat.send"],
    );
    check(
        |c| c.heartbeat.receive = HumanDuration::millis(1),
        &["heartbeat.receive"],
    );
    check(|c| c.heartbeat.send = HumanDuration::secs(0), &[]);
    for shards in [0, 65] {
        check(|c| c.delivery.shards = shards, &["delivery.shards"]);
    }
    check(|c| c.delivery.mailbox = 0, &["delivery.mailbox"]);
    check(
        |c| c.presence.instance_timeout = HumanDuration::secs(1),
        &["presence.instance_timeout"],
    );
    check(|c| c.drain.timeout = HumanDuration::secs(6), &["drain.timeout"]);
    check(|c| c.instance.name = Some("a\nb".into()), &["instance.name"]);
    check(|c| c.log.level = "inof".into(), &["log.level"]);
    let talkative = |c: &mut Config| c.log.level = "info,async_nats=trace".into();
    assert!(warnings(false, talkative).contains(&"log.level".to_owned()));
}
