//! The promise: a publisher whose answer was lost may repeat its request with the same `Idempotency-Key`, and every
//! subscriber gets it once; and a request to publish as a whole is carried out as a whole or not at all. On the
//! embedded bus, over real sockets.

use herald::config::Config;
use herald::destination::Path;
use serde_json::{Value, json};

use crate::support::app::{ANNA, App, BEN};
use crate::support::client::{Client, Message};
use crate::support::process::Answer;

const NOTIFICATIONS: &str = "/api/v1/notifications";
const JSON: (&str, &str) = ("Content-Type", "application/json");

/// The answer to a body of `POST /api/v1/notifications` with this key.
async fn post(app: &App, key: &str, body: &Value) -> Answer {
    let headers = [JSON, ("Idempotency-Key", key)];
    app.request("POST", NOTIFICATIONS, &headers, body.to_string().as_bytes())
        .await
}

async fn atomic(app: &App, headers: &[(&str, &str)], body: &Value) -> Answer {
    let path = format!("{NOTIFICATIONS}?atomic=true");
    let headers = [&[JSON], headers].concat();
    app.request("POST", &path, &headers, body.to_string().as_bytes())
        .await
}

#[track_caller]
fn taken(answer: &Answer) -> Value {
    assert_eq!(answer.status, 202, "{}", answer.text());
    serde_json::from_str(&answer.text()).unwrap()
}

/// The last word of a problem's type, and its words.
#[track_caller]
fn refused(answer: &Answer, status: u16) -> (String, String) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let problem: Value = serde_json::from_str(&answer.text()).unwrap();
    let kind = problem["type"].as_str().unwrap().rsplit(':').next().unwrap();
    (kind.to_owned(), problem["detail"].as_str().unwrap().to_owned())
}

/// The answer of the one that was first, and whether this one is its repeat.
fn told(mut answer: Value) -> (Value, bool) {
    let duplicate = answer.as_object_mut().unwrap().remove("duplicate");
    (answer, duplicate == Some(Value::Bool(true)))
}

async fn subscribed(app: &App, user: crate::support::app::User, destination: &str) -> Client {
    let mut client = app.session_of(user, "1.2").await;
    let frame = format!("SUBSCRIBE\nid:0\ndestination:{destination}\nreceipt:r\n\n\0");
    client.say(frame).await;
    client.expect("RECEIPT\n…").await;
    client
}

/// The bodies of what comes next, up to the one that says `end`.
async fn bodies(client: &mut Client) -> Vec<String> {
    let mut bodies = Vec::new();
    loop {
        let Message::Text(text) = client.next().await else {
            panic!("a frame");
        };
        let text = String::from_utf8(text).unwrap();
        let (head, body) = text.split_once("\n\n").unwrap();
        assert!(head.starts_with("MESSAGE\n"), "{text}");
        match body.trim_end_matches('\0') {
            "\"end\"" => return bodies,
            body => bodies.push(body.to_owned()),
        }
    }
}

async fn end(app: &App, destination: &str, user: Option<&str>) {
    let mut body = json!({"destination": destination, "payload": "end"});
    if let Some(user) = user {
        body["user"] = user.into();
    }
    let headers = [JSON];
    let answer = app
        .request("POST", NOTIFICATIONS, &headers, body.to_string().as_bytes())
        .await;
    taken(&answer);
}

#[tokio::test]
async fn a_repeat_is_answered_as_the_first_one_was_and_reaches_nobody_again() {
    let app = App::keeping(|_| {}).await;
    let mut anna = subscribed(&app, ANNA, "/topic/a").await;
    let body = json!({"destination": "/topic/a", "payload": 1, "ttl_ms": 600_000});
    let (first, is_repeat) = told(taken(&post(&app, "order-17", &body).await));
    assert!(!is_repeat && first["position"].is_string(), "{first}");
    for _ in 0..2 {
        assert_eq!(
            told(taken(&post(&app, "order-17", &body).await)),
            (first.clone(), true)
        );
    }
    // Another key, and none, are other notifications.
    let (other, is_repeat) = told(taken(&post(&app, "order-18", &body).await));
    assert!(!is_repeat && other["id"] != first["id"], "{other}");
    // An id of the publisher's own stays.
    let named = json!({"destination": "/topic/a", "payload": 2, "id": "mine"});
    assert_eq!(told(taken(&post(&app, "named", &named).await)).0["id"], "mine");
    assert!(told(taken(&post(&app, "named", &named).await)).1);
    // Raw bodies have the same.
    for (path, key) in [
        ("/api/v1/broadcast/topic/a", "raw"),
        ("/api/v1/users/test1/a", "raw-user"),
    ] {
        let headers = [("Idempotency-Key", key)];
        let send = async || taken(&app.request("POST", path, &headers, b"raw").await);
        let (first, is_repeat) = told(send().await);
        assert!(!is_repeat);
        assert_eq!(told(send().await), (first, true));
    }
    end(&app, "/topic/a", None).await;
    assert_eq!(bodies(&mut anna).await, ["1", "1", "2", "raw"]);
}

#[tokio::test]
async fn of_repeats_at_the_same_time_one_is_published() {
    let app = App::keeping(|_| {}).await;
    let mut anna = subscribed(&app, ANNA, "/topic/a").await;
    let body = json!({"destination": "/topic/a", "payload": 1});
    let repeats = (0..16).map(|_| post(&app, "k", &body));
    let answers = futures_util::future::join_all(repeats).await;
    let answers: Vec<_> = answers.iter().map(|answer| told(taken(answer))).collect();
    assert_eq!(answers.iter().filter(|(_, is_repeat)| !is_repeat).count(), 1);
    assert!(
        answers.iter().all(|(answer, _)| *answer == answers[0].0),
        "{answers:?}"
    );
    end(&app, "/topic/a", None).await;
    assert_eq!(bodies(&mut anna).await, ["1"]);
}

#[tokio::test]
async fn a_key_stands_for_one_notification() {
    let app = App::keeping(|_| {}).await;
    let mut anna = subscribed(&app, ANNA, "/topic/a").await;
    let body = json!({"destination": "/topic/a", "payload": 1});
    taken(&post(&app, "k", &body).await);
    for other in [
        json!({"destination": "/topic/a", "payload": 2}),
        json!({"destination": "/topic/b", "payload": 1}),
        json!({"destination": "/topic/a", "payload": 1, "id": "other"}),
    ] {
        let (kind, _) = refused(&post(&app, "k", &other).await, 422);
        assert_eq!(kind, "idempotency-key-reused", "{other}");
    }
    end(&app, "/topic/a", None).await;
    assert_eq!(bodies(&mut anna).await, ["1"]);
}

#[tokio::test]
async fn a_key_that_is_none_or_of_no_use_is_refused_and_named() {
    let app =
        App::keeping(|config| config.history.broadcast = Some(vec![Path::parse("/queue").unwrap()])).await;
    let body = json!({"destination": "/queue/a", "payload": 1});
    let longest = "x".repeat(255);
    taken(&post(&app, &longest, &body).await);
    let too_long = "x".repeat(256);
    for key in ["", "a b", "a\tb", "grün", &too_long] {
        let (kind, words) = refused(&post(&app, key, &body).await, 400);
        assert_eq!(kind, "bad-request", "{key}");
        assert!(words.contains("Idempotency-Key"), "{words}");
        let headers = [("Idempotency-Key", key)];
        let raw = app.request("POST", "/api/v1/broadcast/queue/a", &headers, b"x");
        refused(&raw.await, 400);
    }
    // Where a repeat could not be known.
    let unkept = json!({"destination": "/topic/a", "payload": 1});
    let (_, words) = refused(&post(&app, "k", &unkept).await, 400);
    assert!(words.contains("history.broadcast"), "{words}");
    let chat = json!({"message": "hi", "user": "x"}).to_string();
    let headers = [JSON, ("Idempotency-Key", "k")];
    let chat = app
        .request("POST", "/api/v1/message", &headers, chat.as_bytes())
        .await;
    assert!(refused(&chat, 400).1.contains("Idempotency-Key"));
    let off = App::with(|_| {}).await;
    let (_, words) = refused(&post(&off, "k", &body).await, 400);
    assert!(words.contains("history.enabled"), "{words}");
}

#[tokio::test]
async fn a_repeat_completes_what_was_published_in_part() {
    let app = App::keeping(|_| {}).await;
    let mut anna = subscribed(&app, ANNA, "/user/queue/a").await;
    let mut ben = subscribed(&app, BEN, "/user/queue/a").await;
    // An array whose second item's second user the bus refused.
    let to = |payload, users: &[&str]| json!({"destination": "/queue/a", "payload": payload, "users": users});
    let array = json!([to(1, &["test1"]), to(2, &["test1", "test2"]), to(3, &["test2"])]);
    app.bus.go_down_after(2);
    let answer = post(&app, "k", &array).await;
    assert_eq!(answer.status, 207, "{}", answer.text());
    let items: Value = serde_json::from_str(&answer.text()).unwrap();
    let statuses = [0, 1, 2].map(|item| items[item]["status"].as_u64().unwrap());
    assert_eq!(
        (statuses, items[1]["published"].as_u64()),
        ([202, 503, 503], Some(1))
    );
    app.bus.go_down_after(usize::MAX);
    app.bus.set_down(false);
    let items = taken(&post(&app, "k", &array).await);
    let repeats = [0, 1, 2].map(|item| items[item]["duplicate"] == true);
    // The second is not, since a part of it is new.
    assert_eq!(repeats, [true, false, false], "{items}");
    assert_eq!(items[1]["positions"].as_array().map(Vec::len), Some(2), "{items}");
    let again = taken(&post(&app, "k", &array).await);
    assert!((0..3).all(|item| again[item]["duplicate"] == true), "{again}");
    assert_eq!(again[1]["positions"], items[1]["positions"]);
    for user in ["test1", "test2"] {
        end(&app, "/queue/a", Some(user)).await;
    }
    assert_eq!(bodies(&mut anna).await, ["1", "2"]);
    assert_eq!(bodies(&mut ben).await, ["2", "3"]);
}

#[tokio::test]
async fn more_keys_than_there_is_room_for_are_refused_by_their_bound() {
    let app = App::keeping(|config| config.history.keys = 2).await;
    let body = json!({"destination": "/topic/a", "payload": 1});
    for key in ["1", "2"] {
        taken(&post(&app, key, &body).await);
    }
    let full = post(&app, "3", &body).await;
    let (kind, words) = refused(&full, 503);
    assert_eq!((&*kind, &*words), ("overloaded", "history.keys"));
    assert!(told(taken(&post(&app, "1", &body).await)).1);
    let hits = app
        .metric("herald_limit_hits_total{limit=\"history.keys\"}")
        .await;
    assert!(hits >= 1.0, "{hits}");
}

fn sequence(position: &Value) -> u64 {
    position
        .as_str()
        .unwrap()
        .split_once('-')
        .unwrap()
        .1
        .parse()
        .unwrap()
}

#[tokio::test]
async fn an_array_goes_as_a_whole_or_not_at_all() {
    let app = App::keeping(|config: &mut Config| {
        config.history.broadcast = Some(vec![Path::parse("/topic").unwrap()]);
    })
    .await;
    let mut anna = subscribed(&app, ANNA, "/topic/a").await;
    let one = |payload: &str| json!({"destination": "/topic/a", "payload": payload});
    let bad = json!({"destination": "/nowhere", "payload": 1});
    let user = json!({"destination": "/queue/a", "user": "test1", "payload": 1});
    let unkept = json!({"destination": "/queue/a", "payload": 1});
    let many = json!({"destination": "/queue/a", "payload": 1,
        "users": (0..1_000).map(|n| format!("u{n}")).collect::<Vec<_>>()});
    let mixed = json!([one("a"), user]);
    for (body, words) in [
        (json!([one("a"), bad]), "/queue/"),
        (mixed, "all of them"),
        (json!([one("a"), unkept]), "history keeps"),
        (json!([many, user]), "1000 targets"),
    ] {
        let (kind, detail) = refused(&atomic(&app, &[], &body).await, 400);
        assert!(kind == "invalid-value" && detail.contains(words), "{detail}");
    }
    app.bus.set_down(true);
    refused(&atomic(&app, &[], &json!([one("a"), one("b")])).await, 503);
    app.bus.set_down(false);

    let key = [("Idempotency-Key", "k")];
    let array = json!([one("a"), one("b"), one("c")]);
    let items = taken(&atomic(&app, &key, &array).await);
    let first = sequence(&items[0]["position"]);
    for item in 0..3 {
        assert_eq!(items[item]["status"], 202);
        assert_eq!(sequence(&items[item]["position"]), first + item as u64, "{items}");
    }
    let again = taken(&atomic(&app, &key, &array).await);
    assert!((0..3).all(|item| again[item]["duplicate"] == true && again[item]["id"] == items[item]["id"]));
    let longer = json!([one("a"), one("b"), one("c"), one("d")]);
    assert_eq!(
        refused(&atomic(&app, &key, &longer).await, 422).0,
        "idempotency-key-reused"
    );
    // Several users of one notification are a whole as well, and so is nothing.
    let users = json!({"destination": "/queue/a", "users": ["test1", "test2"], "payload": 1});
    let answer = taken(&atomic(&app, &[], &users).await);
    assert_eq!(answer["positions"].as_array().map(Vec::len), Some(2), "{answer}");
    assert_eq!(taken(&atomic(&app, &[], &json!([])).await), json!([]));
    end(&app, "/topic/a", None).await;
    assert_eq!(bodies(&mut anna).await, ["\"a\"", "\"b\"", "\"c\""]);
}

#[tokio::test]
async fn a_transaction_is_published_as_a_whole_or_not_at_all() {
    let app = App::keeping(|_| {}).await;
    let mut reader = subscribed(&app, BEN, "/topic/a").await;
    let transaction = async |client: &mut Client, bodies: [&str; 2]| {
        client.say("BEGIN\ntransaction:t\n\n\0").await;
        for body in bodies {
            let frame = format!("SEND\ndestination:/topic/a\ntransaction:t\n\n\"{body}\"\0");
            client.say(frame).await;
        }
        client.say("COMMIT\ntransaction:t\nreceipt:c\n\n\0").await;
    };
    let mut anna = app.session_of(ANNA, "1.2").await;
    transaction(&mut anna, ["a", "b"]).await;
    anna.expect_receipt("c").await;
    // The bus would have taken the first alone.
    app.bus.go_down_after(1);
    transaction(&mut anna, ["c", "d"]).await;
    let Message::Text(error) = anna.next().await else {
        panic!("an ERROR");
    };
    let error = String::from_utf8(error).unwrap();
    assert!(error.contains("COMMIT\\c none of 2 frames went"), "{error}");
    assert!(matches!(anna.next().await, Message::Close(1013, _)));
    app.bus.go_down_after(usize::MAX);
    app.bus.set_down(false);
    end(&app, "/topic/a", None).await;
    assert_eq!(bodies(&mut reader).await, ["\"a\"", "\"b\""]);
}
