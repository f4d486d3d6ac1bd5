//! The promise: refusals and changes of rights are in the audit: refused logins by address, renewals, ends, refused
//! permissions with their rule, the first use of a key in an hour. Events that can be provoked are counted, and names
//! may be hashed.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::app::{ANNA, App, connect};
use crate::support::cluster::until;
use crate::support::tokens::{ISSUER, Signer, claims, log_in, now};
use crate::token::Taking;

const RULES: &str = r#"
    [[permissions.subscribe]]
    name = "tenant"
    destination = "/queue/tenant/{claim.tenant}/**"
"#;

/// An instance that takes tokens, and its audit's file.
async fn start(configure: impl FnOnce(&mut herald::config::Config)) -> (TempDir, Taking) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit").to_str().unwrap().parse().unwrap();
    let taking = Taking::with(|config| {
        let read: herald::config::Config = toml::from_str(RULES).unwrap();
        config.permissions = read.permissions;
        config.auth.issuers[0].attributes = vec!["tenant".into()];
        config.auth.issuers[0].leeway = "0s".parse().unwrap();
        config.audit.file = file;
        configure(config);
    })
    .await;
    (folder, taking)
}

/// The lines about `event`, once there are `count`.
async fn lines(folder: &Path, event: &str, count: usize) -> Vec<Value> {
    let read = || {
        let text = std::fs::read_to_string(folder.join("audit")).unwrap_or_default();
        let all = text.lines().map(|line| serde_json::from_str(line).expect("JSON"));
        all.filter(|line: &Value| line["event"] == event)
            .collect::<Vec<_>>()
    };
    until("the lines about an event", async || read().len() >= count).await;
    read()
}

/// Without what differs from run to run.
fn said(mut line: Value) -> Value {
    let members = line.as_object_mut().unwrap();
    for name in ["time", "event", "instance", "target"] {
        assert!(members.remove(name).is_some(), "{name}");
    }
    line
}

async fn refused(app: &App, frame: &str) {
    let mut client = app.open().await;
    client.say(frame).await;
    client.expect_error("message:authentication failed", 4401).await;
}

fn presents(token: &str) -> String {
    format!("CONNECT\naccept-version:1.2\nhost:a\npasscode:{token}\n\n\0")
}

fn renewal(token: &str) -> String {
    format!("SEND\ndestination:/app/herald/auth\nAuthorization:Bearer {token}\nreceipt:renewed\n\n\0")
}

#[tokio::test]
async fn refused_logins_are_told_by_address_and_reason_and_further_ones_counted() {
    let (folder, taking) = start(|_| {}).await;
    let by_password =
        |user: &str| format!("CONNECT\naccept-version:1.2\nhost:a\nlogin:{user}\npasscode:wrong\n\n\0");
    // The third has the password where the name belongs.
    for user in ["test1", "test2", "s3cret"] {
        refused(&taking.app, &by_password(user)).await;
    }
    let forged = Signer::new("k1").token("alice");
    refused(&taking.app, &presents(&forged)).await;
    let told = lines(folder.path(), "login-refused", 2).await;
    let expected = [
        json!({"address": "127.0.0.1", "what": {"user": "test1"}, "outcome": "refused", "reason": "password"}),
        json!({"address": "127.0.0.1", "what": {"issuer": ISSUER}, "outcome": "refused", "reason": "signature"}),
    ];
    assert_eq!(told.into_iter().map(said).collect::<Vec<_>>(), expected);
    // At its end it tells what it has left out.
    taking.app.stop();
    let told = lines(folder.path(), "login-refused", 3).await;
    let left_out = json!({"address": "127.0.0.1", "outcome": "refused", "reason": "password", "left_out": 2});
    assert_eq!(said(told[2].clone()), left_out);
    let text = std::fs::read_to_string(folder.path().join("audit")).unwrap();
    assert!(
        !text.contains("s3cret") && !text.contains("wrong") && !text.contains(&forged),
        "{text}"
    );
    assert_eq!(
        lines(folder.path(), "start", 1).await[0]["what"]["version"],
        env!("CARGO_PKG_VERSION")
    );
    assert!(!text.contains("\"login\""), "{text}");
}

#[tokio::test]
async fn a_sessions_renewals_its_end_and_what_it_may_not_are_told() {
    let (folder, taking) = start(|_| {}).await;
    let token = |user: &str, changes: Value| taking.key.sign(&claims(user, changes));
    let acme = token("alice", json!({"tenant": "acme"}));
    let mut alice = log_in(taking.app.address, &acme, "id:alice").await;
    alice.say(renewal(&acme)).await;
    alice
        .expect("RECEIPT\nreceipt-id:renewed\nexpires-in:*\n\n\0")
        .await;
    alice.say(renewal(&Signer::new("k1").token("alice"))).await;
    alice.say(renewal(&token("bob", json!({})))).await;
    alice
        .expect_error(
            "message:SEND\\c the token is another user's\nreceipt-id:renewed\nherald-reason:token-of-another-user",
            4401,
        )
        .await;
    let told = lines(folder.path(), "renewal", 3).await;
    let session = told[0]["what"]["session"].as_str().unwrap().to_owned();
    let who = |outcome: &str, reason: Option<&str>| {
        let mut line = json!({"who": "user:id:alice", "address": "127.0.0.1", "what": {"session": session},
            "outcome": outcome});
        if let Some(reason) = reason {
            line["reason"] = reason.into();
        }
        line
    };
    let expected = [
        who("done", None),
        who("refused", Some("refused")),
        who("refused", Some("another_user")),
    ];
    assert_eq!(told.into_iter().map(said).collect::<Vec<_>>(), expected);

    let mut alice = log_in(taking.app.address, &acme, "id:alice").await;
    alice
        .say("SUBSCRIBE\nid:1\ndestination:/queue/tenant/other/x\n\n\0")
        .await;
    let told = lines(folder.path(), "permission-refused", 1).await;
    let session = |line: &Value| {
        let session = &line["what"]["session"];
        assert!(
            session.as_str().is_some_and(|session| session.len() == 26),
            "{line}"
        );
        session.clone()
    };
    let what = json!({"action": "SUBSCRIBE", "destination": "/queue/tenant/other/x", "rule": "tenant",
        "session": session(&told[0])});
    let expected = json!({"who": "user:id:alice", "address": "127.0.0.1", "what": what, "outcome": "refused",
        "reason": "rule"});
    assert_eq!(said(told[0].clone()), expected);

    let mut alice = log_in(taking.app.address, &acme, "id:alice").await;
    alice.say("SEND\ndestination:/queue/tenant/acme/x\n\n\0").await;
    let told = lines(folder.path(), "permission-refused", 2).await;
    let what = json!({"action": "SEND", "destination": "/queue/tenant/acme/x", "session": session(&told[1])});
    let expected = json!({"who": "user:id:alice", "address": "127.0.0.1", "what": what, "outcome": "refused",
        "reason": "no-rule"});
    assert_eq!(said(told[1].clone()), expected);

    let short = token("carol", json!({"exp": now() + 2}));
    let mut carol = log_in(taking.app.address, &short, "id:carol").await;
    carol
        .expect_error("message:token expired\nherald-reason:token-expired", 4401)
        .await;
    let told = lines(folder.path(), "session-ended", 1).await;
    let expected = json!({"who": "user:id:carol", "address": "127.0.0.1", "what": {"session": session(&told[0])},
        "outcome": "done", "reason": "token-expired"});
    assert_eq!(said(told[0].clone()), expected);
}

#[tokio::test]
async fn names_are_hashed_and_logins_told_where_that_is_wanted() {
    let (folder, taking) = start(|config| {
        config.audit.logins = true;
        config.audit.names = herald::telemetry::audit::config::Names::Hashed;
        config.audit.names_key = Some(herald::setting::Secret::new("a key of the test's own"));
    })
    .await;
    for _ in 0..3 {
        let mut anna = taking.app.open().await;
        anna.say(connect(ANNA, "1.2", "")).await;
        anna.expect("CONNECTED\n…").await;
    }
    let _alice = log_in(taking.app.address, &taking.key.token("alice"), "id:alice").await;
    let told = lines(folder.path(), "login", 2).await;
    let who = |line: &Value| line["who"].as_str().unwrap().to_owned();
    assert!(
        who(&told[0]).starts_with("user:hashed-") && who(&told[0]) != who(&told[1]),
        "{told:?}"
    );
    taking.app.stop();
    let told = lines(folder.path(), "login", 3).await;
    assert_eq!((who(&told[2]), &told[2]["left_out"]), (who(&told[0]), &json!(2)));
    let text = std::fs::read_to_string(folder.path().join("audit")).unwrap();
    assert!(!text.contains("alice") && !text.contains("test1"), "{text}");
}

#[test]
fn the_documents_name_each_event_and_no_other() {
    let words = |event: herald::telemetry::audit::event::Event| json!(event).as_str().unwrap().to_owned();
    let known: Vec<String> = herald::telemetry::audit::event::Event::ALL.map(words).into();
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/logs.md")).unwrap();
    let table = page
        .split("| Event |")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    let rows = table.lines().skip(2).filter_map(|row| row.split('|').nth(1));
    let mut named: Vec<String> = rows
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .map(ToOwned::to_owned)
        .collect();
    let mut expected = known.clone();
    named.sort_unstable();
    expected.sort_unstable();
    assert_eq!(named, expected);
}
