//! The promise: with `auth.anonymous.enabled`, a client without a credential gets a session with a unique name: it may
//! do what rules with `anonymous = true` permit, is in no list of users, and takes one of `limits.anonymous_sessions`
//! places. A client with a credential that is refused is refused. REST is never anonymous.

use std::io::Write as _;

use herald::config::Config;
use herald::setting::HumanDuration;
use serde_json::json;

use crate::support::app::{ANNA, App};
use crate::support::client::{Client, Socket};
use crate::support::process::{self, Launch};
use crate::support::tokens::until;

const NOTHING: &str = "CONNECT\naccept-version:1.2\nhost:herald\n\n\0";
const RULES: &str = r#"
    [auth.anonymous]
    enabled = true
    [[permissions.subscribe]]
    destination = "/topic/news/**"
    anonymous = true
    [[permissions.send]]
    destination = "/queue/wall"
    anonymous = true
    [[permissions.send]]
    destination = "/app/ping"
    anonymous = true
"#;

fn set(config: &mut Config) {
    let read: Config = toml::from_str(RULES).unwrap();
    config.auth.anonymous = read.auth.anonymous;
    config.permissions = read.permissions;
}

/// A session of nobody's, and its name.
async fn nobody(app: &App) -> (Client, String) {
    let mut client = app.open().await;
    client.say(NOTHING).await;
    let connected = client.text().await;
    let name = connected.lines().find_map(|line| line.strip_prefix("user-name:"));
    // `:` is escaped on every frame but CONNECTED.
    let name = name.unwrap_or_else(|| panic!("{connected}")).to_owned();
    (client, name.replace("\\c", ":"))
}

async fn refused(app: &App, frame: String) {
    let mut client = app.open().await;
    client.say(frame).await;
    client.expect_error("message:authentication failed", 4401).await;
}

#[tokio::test]
async fn who_presents_nothing_is_nobody_and_stands_in_no_list() {
    let app = App::with(set).await;
    let (mut one, name) = nobody(&app).await;
    let (_two, other) = nobody(&app).await;
    for name in [&name, &other] {
        let id = name.strip_prefix("anonymous:").unwrap();
        assert_eq!(id.len(), 26, "{name}");
    }
    assert_ne!(name, other);
    let mut anna = app.session_of(ANNA, "1.2").await;
    anna.say("SUBSCRIBE\nid:0\ndestination:/queue/users\nreceipt:0\n\n\0")
        .await;
    anna.expect_receipt("0").await;
    until("Anna to be online", async || {
        app.get("/api/v1/users").await.json() == json!({"users": ["test1"], "count": 1})
    })
    .await;
    assert_eq!(app.metric("herald_users_online").await, 1.0);
    assert_eq!(app.metric("herald_sessions").await, 3.0);
    assert_eq!(app.metric("herald_logins_total{result=\"anonymous\"}").await, 2.0);
    // What is its own is no other's, and reaches it.
    for client in [&mut one, &mut anna] {
        client
            .say("SUBSCRIBE\nid:1\ndestination:/user/queue/own\nreceipt:1\n\n\0")
            .await;
        client.expect_receipt("1").await;
    }
    let body = json!({"destination": "/queue/own", "user": name, "payload": "x"}).to_string();
    let headers = [("Content-Type", "application/json")];
    let posted = app.request("POST", "/api/v1/notifications", &headers, body.as_bytes());
    let posted = posted.await;
    assert_eq!(posted.status, 202, "{}", posted.text());
    let message = one.text().await;
    assert!(
        message.starts_with("MESSAGE\nsubscription:1\n") && message.contains("/user/queue/own"),
        "{message}"
    );
    anna.expect_nothing().await;
}

#[tokio::test]
async fn who_presents_something_that_is_refused_is_not_let_in_as_nobody() {
    let app = App::with(set).await;
    for headers in [
        "login:test1\npasscode:wrong\n",
        "login:nobody\npasscode:test\n",
        "login:test1\n",
        "passcode:x.y.z\n",
        "Authorization:Bearer\n",
        "Authorization:Digest x\n",
        "X-Authorization:Basic ???\n",
        "Authorization:Bearer eyJhbGciOiJub25lIn0.e30.\n",
    ] {
        let frame = format!("CONNECT\naccept-version:1.2\nhost:herald\n{headers}\n\0");
        refused(&app, frame).await;
    }
    // In the upgrade as well.
    for (name, value) in [
        ("Authorization", "Basic dGVzdDE6d3Jvbmc="),
        ("Sec-WebSocket-Protocol", "v12.stomp, herald.bearer.x.y.z"),
    ] {
        let (mut client, head) = Socket::at(app.address).header(name, value).open().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        client.say(NOTHING).await;
        client.expect_error("message:authentication failed", 4401).await;
    }
    assert_eq!(app.metric("herald_logins_total{result=\"anonymous\"}").await, 0.0);
    // Without the setting, nothing is not enough.
    let app = App::start().await;
    refused(&app, NOTHING.to_owned()).await;
}

#[tokio::test]
async fn it_may_do_what_its_rules_permit() {
    let app = App::with(set).await;
    let (mut client, _) = nobody(&app).await;
    client
        .say("SUBSCRIBE\nid:0\ndestination:/topic/news/sport\nreceipt:0\n\n\0")
        .await;
    client.expect_receipt("0").await;
    client
        .say("SEND\ndestination:/queue/wall\nreceipt:1\n\nhello\0")
        .await;
    client.expect_receipt("1").await;
    let refused = |what: &str| {
        format!(
            "message:{what} is not permitted\\c an anonymous session may do what a rule with anonymous = true permits, and \
             nothing else"
        )
    };
    // What every user may, without a rule.
    for (frame, words) in [
        ("SUBSCRIBE\nid:1\ndestination:/queue/x", "SUBSCRIBE to /queue/x"),
        (
            "SUBSCRIBE\nid:1\ndestination:/queue/users",
            "SUBSCRIBE to /queue/users",
        ),
        ("SEND\ndestination:/app/order", "SEND to /app/order"),
        ("SEND\ndestination:/chat/message", "SEND to /chat/message"),
        ("SEND\ndestination:/user/queue/x", "SEND to /user/queue/x"),
    ] {
        let (mut client, _) = nobody(&app).await;
        client.say(format!("{frame}\n\n\0")).await;
        client.expect_error(&refused(words), 1008).await;
    }
}

#[tokio::test]
async fn there_are_so_many_places() {
    let app = App::with(|config| {
        set(config);
        config.limits.anonymous_sessions = 2;
    })
    .await;
    let (one, _) = nobody(&app).await;
    let (_two, _) = nobody(&app).await;
    let mut third = app.open().await;
    third.say(NOTHING).await;
    let full = "message:overloaded: at most 2 anonymous sessions (limits.anonymous_sessions)";
    third.expect_error(full, 1013).await;
    let hits = "herald_limit_hits_total{limit=\"limits.anonymous_sessions\"}";
    assert_eq!(app.metric(hits).await, 1.0);
    // Users have places of their own.
    let _anna = app.session_of(ANNA, "1.2").await;
    drop(one);
    until("a place to be free", async || {
        let mut client = app.open().await;
        client.say(NOTHING).await;
        client.text().await.starts_with("CONNECTED\n")
    })
    .await;
}

#[tokio::test]
async fn it_does_not_become_a_user_and_needs_no_end() {
    let app = App::with(|config| {
        set(config);
        config.auth.password_session = Some(HumanDuration::secs(60));
    })
    .await;
    let (mut client, _) = nobody(&app).await;
    client
        .say("SUBSCRIBE\nid:errors\ndestination:/user/queue/errors\nreceipt:0\n\n\0")
        .await;
    client.expect_receipt("0").await;
    // Nothing is no credential.
    client
        .say("SEND\ndestination:/app/herald/auth\nreceipt:1\n\n\0")
        .await;
    let note = client.text().await;
    assert!(
        note.contains("\"code\":\"token_refused\"") && note.contains("\"message\":\"refused\""),
        "{note}"
    );
    client.expect_nothing().await;
    client
        .say("SEND\ndestination:/app/herald/auth\nlogin:test1\npasscode:test\nreceipt:2\n\n\0")
        .await;
    let words =
        "message:SEND\\c the token is another user's\nreceipt-id:2\nherald-reason:token-of-another-user";
    client.expect_error(words, 4401).await;
}

#[tokio::test]
async fn nothing_is_not_enough_for_rest() {
    let app = App::guarded(set).await;
    for path in ["/api/v1/users", "/metrics"] {
        let answer = process::request(app.address, "GET", path, &[], b"")
            .await
            .unwrap();
        assert_eq!(answer.status, 401, "{path}");
    }
    let headers = [("Content-Type", "application/json")];
    let body = br#"{"destination":"/queue/wall","payload":"x"}"#;
    let answer = process::request(app.address, "POST", "/api/v1/notifications", &headers, body).await;
    assert_eq!(answer.unwrap().status, 401);
}

#[tokio::test]
async fn the_command_line_says_what_it_may() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(RULES.as_bytes()).unwrap();
    let config = file.path().to_str().unwrap();
    for (what, expected, words) in [
        (
            "--subscribe /topic/news/x",
            0,
            "SUBSCRIBE /topic/news/x: permitted (permissions.subscribe[0])",
        ),
        ("--subscribe /user/queue/x", 0, "permitted (it is the user's own)"),
        (
            "--subscribe /topic/x",
            1,
            "refused (an anonymous session may do what",
        ),
        (
            "--publish /topic/news/x",
            1,
            "refused (nobody is anonymous over REST)",
        ),
    ] {
        let line = format!("explain permission --anonymous --config {config} {what}");
        let (code, text) = Launch::new(&line.split(' ').collect::<Vec<_>>()).run().await;
        assert_eq!(code, Some(expected), "{text}");
        assert!(text.contains(words), "{text}");
    }
}
