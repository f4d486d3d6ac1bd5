//! The promise of `herald check --production`: what it finds, and that README.md has the same list.

use std::collections::BTreeSet;
use std::io::Write as _;

use super::*;
use crate::config::{Arguments, load};

fn walked(text: &str, demo: bool) -> (String, bool) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let flags = Arguments {
        config: Some(file.path().into()),
        listen: None,
        demo,
    };
    let lines = walk(&load(&flags, []).unwrap(), demo);
    (as_text(&lines), passes(&lines))
}

/// The keys that are named.
fn named(text: &str, demo: bool) -> Vec<String> {
    let (list, _) = walked(text, demo);
    let lines = list.lines().filter_map(|line| line.strip_prefix("change  "));
    lines
        .map(|line| {
            let (item_and_key, _) = line.split_once(": ").unwrap();
            item_and_key.split_whitespace().last().unwrap().to_owned()
        })
        .collect()
}

#[test]
fn programs_read_the_same_list() {
    let lines = [
        Line {
            item: "page",
            status: Status::Ok,
            keys: vec!["http.page"],
            advice: None,
        },
        Line {
            item: "demo",
            status: Status::Change,
            keys: vec!["--demo"],
            advice: Some("why"),
        },
    ];
    assert_eq!(
        as_json(&lines).unwrap(),
        "{\"item\":\"page\",\"status\":\"ok\",\"keys\":[\"http.page\"]}\n\
         {\"item\":\"demo\",\"status\":\"change\",\"keys\":[\"--demo\"],\"advice\":\"why\"}\n"
    );
    assert!(passes(&lines[..1]) && !passes(&lines));
    assert_eq!(
        as_text(&lines),
        "ok      page     http.page\nchange  demo     --demo: why\n\n1 setting to change or to decide.\n"
    );
}

/// Decides everything, with NATS.
const DECIDED: &str = r#"
http = { listen = "0.0.0.0:8080", page = "none", origins = ["https://app.example.com"], trusted_proxies = ["10.0.0.0/8"] }
application.routes = []
permissions.default = "closed"
auth.users_file = "/etc/herald/users.toml"
api = { keys_file = "/etc/herald/keys.toml", targets_per_caller = "off" }
history.enabled = true
[bus]
url = "tls://nats:4222"
user = "herald"
password_file = "/etc/herald/nats"
control_key_file = "/etc/herald/control"
control_unsigned = "refuse"
[limits]
sessions_per_user = 20
sessions_per_address = 0
connects_per_address = "off"
"#;

#[test]
fn what_is_decided_passes() {
    let (list, passed) = walked(DECIDED, false);
    assert!(passed, "{list}");
    assert_eq!(
        list.lines().filter(|line| line.starts_with("ok")).count(),
        ITEMS.len()
    );
}

#[test]
fn each_decision_that_is_taken_back_is_named() {
    let check = |was: &str, becomes: &str, key: &str| {
        assert!(DECIDED.contains(was), "{was}");
        let text = DECIDED.replace(was, becomes);
        assert_eq!(named(&text, false), [key], "{becomes}");
        assert!(!walked(&text, false).1);
    };
    check(", page = \"none\"", "", "http.page");
    check("application.routes = []", "", "application.routes");
    check("\"https://app.example.com\"", "\"*\"", "http.origins");
    check(
        "\npermissions.default = \"closed\"",
        "\ndemo.exposed = true\npermissions.default = \"closed\"",
        "demo.exposed",
    );
    check("api = { ", "api = { access = \"open\", ", "api.access");
    check("permissions.default = \"closed\"", "", "permissions.default");
    check("[\"10.0.0.0/8\"]", "[]", "http.tls.cert_file");
    for everything in [
        "0.0.0.0/0",
        "::/0",
        "::ffff:0.0.0.0/96",
        "0.0.0.0/1\", \"128.0.0.0/1",
    ] {
        let proxies = format!("[\"10.0.0.0/8\", \"{everything}\"]");
        check("[\"10.0.0.0/8\"]", &proxies, "http.trusted_proxies");
    }
    check("tls://", "nats://", "bus.ca_file");
    check(
        "user = \"herald\"\npassword_file = \"/etc/herald/nats\"",
        "",
        "bus.user",
    );
    check(
        "control_key_file = \"/etc/herald/control\"\ncontrol_unsigned = \"refuse\"",
        "",
        "bus.control_key_file",
    );
    check("control_unsigned = \"refuse\"", "", "bus.control_unsigned");
    check("history.enabled = true", "", "history.enabled");
    check("sessions_per_user = 20", "", "limits.sessions_per_user");
    check("sessions_per_address = 0", "", "limits.sessions_per_address");
    check(
        "connects_per_address = \"off\"",
        "",
        "limits.connects_per_address",
    );
    check(", targets_per_caller = \"off\"", "", "api.targets_per_caller");
    let near = DECIDED.replace("0.0.0.0:", "127.0.0.1:");
    // The flag opens api.access as well.
    assert_eq!(named(&near, true), ["--demo", "api.access"]);
}

#[test]
fn without_any_configuration_it_names_all_that_is_undecided() {
    let mut expected = vec![
        "http.page",
        "application.routes",
        "http.origins",
        "permissions.default",
        "http.trusted_proxies",
    ];
    expected.extend(LIMITS);
    expected.push("history.path");
    assert_eq!(named("", false), expected);
    assert_eq!(
        named("http.page = 'full'\nhistory.enabled = false", false)[0],
        "application.routes"
    );
}

/// Each item and key of the table in README.md, "Before production".
fn readme() -> Vec<(String, BTreeSet<String>)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, list) = text.split_once("\n## Before production\n").unwrap();
    let (list, _) = list.split_once("\n## ").unwrap();
    let rows = list.lines().filter(|line| line.starts_with("| **"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let keys = cells[2].split('`').skip(1).step_by(2).map(str::to_owned);
        (cells[0].trim().trim_matches('*').to_owned(), keys.collect())
    })
    .collect()
}

#[test]
fn readme_has_the_same_list() {
    let own: Vec<_> = ITEMS
        .iter()
        .map(|item| {
            let keys = item.keys.iter().map(|key| (*key).to_owned());
            (item.name.to_owned(), keys.collect::<BTreeSet<_>>())
        })
        .collect();
    assert_eq!(readme(), own);
}
