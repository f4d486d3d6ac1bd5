//! The promise: over NATS, too, a publisher that repeats a request with its `Idempotency-Key` publishes it once, at any
//! instance, and an array or an atomic batch that was published in part is completed or recognized.

use std::time::Duration;

use serde_json::{Value, json};

use super::{NEWS, ORDERS, bodies, herald, position, publish, subscribe};
use crate::support::cluster::{Cluster, until};
use crate::support::cluster_client::Browser;
use crate::support::nats::NatsServer;
use crate::support::process::{Answer, Herald};

async fn post(herald: &Herald, query: &str, key: &str, body: &Value) -> Answer {
    let path = format!("/api/v1/notifications{query}");
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", key)];
    herald
        .request("POST", &path, &headers, body.to_string().as_bytes())
        .await
}

#[track_caller]
fn taken(answer: &Answer) -> Value {
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.json()
}

/// The statuses of an array's items.
fn statuses(answer: &Answer) -> Vec<u64> {
    let items = answer.json();
    let items = items.as_array().unwrap_or_else(|| panic!("{items}"));
    items
        .iter()
        .map(|item| item["status"].as_u64().unwrap())
        .collect()
}

/// The items, or the one notification, as the first request was answered: without `duplicate`, which must stand in all.
#[track_caller]
fn first(mut repeat: Value) -> Value {
    let strip = |item: &mut Value| {
        let duplicate = item.as_object_mut().unwrap().remove("duplicate");
        assert_eq!(duplicate, Some(Value::Bool(true)), "{item}");
    };
    match repeat.as_array_mut() {
        Some(items) => items.iter_mut().for_each(strip),
        None => strip(&mut repeat),
    }
    repeat
}

fn kind(answer: &Answer) -> String {
    let kind = answer.json()["type"].as_str().unwrap().to_owned();
    kind.rsplit(':').next().unwrap().to_owned()
}

fn news(body: &str) -> Value {
    json!({"destination": NEWS, "payload": body})
}

fn order(body: &str, users: &[&str]) -> Value {
    json!({"destination": "/queue/orders", "users": users, "payload": body})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_at_any_instance_is_answered_as_the_first_one_was() {
    let cluster = Cluster::start_keeping(2, &[]).await;
    let [one, other] = &cluster.instances[..] else {
        panic!()
    };
    let mut browser = Browser::connect(one.address, "test1").await;
    subscribe(&mut browser, NEWS, None).await;
    subscribe(&mut browser, ORDERS, None).await;
    // An array has broadcasts, users and several of them, each in their order.
    let array = json!([
        news("a"),
        order("b", &["test1", "test2"]),
        news("c"),
        order("d", &["test1"])
    ]);
    for (body, query) in [
        (news("single"), ""),
        (array, ""),
        (json!([news("e"), news("f")]), "?atomic=true"),
    ] {
        let key = body.to_string().len().to_string();
        let told = taken(&post(one, query, &key, &body).await);
        for herald in [other, one] {
            let repeat = taken(&post(herald, query, &key, &body).await);
            assert_eq!(first(repeat), told);
        }
    }
    // Another body, another destination, a part, and more of it, are something else.
    for (query, key, body) in [
        ("", "single", news("x")),
        (
            "",
            "single",
            json!({"destination": "/queue/other", "payload": "single"}),
        ),
        ("?atomic=true", "whole", json!([news("e"), news("x")])),
        ("?atomic=true", "whole", json!([news("e"), news("f"), news("g")])),
    ] {
        let original = match key {
            "single" => news("single"),
            _ => json!([news("e"), news("f")]),
        };
        let length = original.to_string().len().to_string();
        let answer = post(other, query, &length, &body).await;
        assert_eq!(
            (answer.status, &*kind(&answer)),
            (422, "idempotency-key-reused"),
            "{body}"
        );
    }
    publish(one, None, NEWS, "end").await;
    publish(one, Some("test1"), "/queue/orders", "end").await;
    let mut seen = [Vec::new(), Vec::new()];
    for (destination, seen) in [NEWS, ORDERS].into_iter().zip(&mut seen) {
        while seen.last().is_none_or(|last| last != "end") {
            seen.extend(bodies(&mut browser, destination, 1).await);
        }
    }
    assert_eq!(seen[0], ["single", "a", "c", "e", "f", "end"]);
    assert_eq!(seen[1], ["b", "d", "end"]);
}

/// Of several repeats of a whole at the same time one is stored, and all are told where.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_wholes_at_the_same_time_one_is_stored() {
    let cluster = Cluster::start_keeping(2, &[]).await;
    let whole = json!([news("a"), news("b"), news("c")]);
    let asked = (0..8).map(|number| post(&cluster.instances[number % 2], "?atomic=true", "k", &whole));
    let answers = futures_util::future::join_all(asked).await;
    let places = |answer: &Answer| -> Vec<Value> {
        taken(answer)
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["position"].clone())
            .collect()
    };
    let all: Vec<_> = answers.iter().map(places).collect();
    assert!(all.iter().all(|places| *places == all[0]), "{all:?}");
    let end = publish(&cluster.instances[0], None, NEWS, "end").await;
    assert!(end.ends_with("-4"), "{end}: stored once");
}

/// Makes the stream of broadcasts hold at most so many messages, and refuse more.
async fn bounded(nats: &NatsServer, messages: i64) {
    let info = super::unfit::ask(nats, "$JS.API.STREAM.INFO.HERALD_BROADCAST", Value::Null).await;
    let mut config = info["config"].clone();
    (config["discard"], config["max_msgs"]) = ("new".into(), messages.into());
    super::unfit::ask(nats, "$JS.API.STREAM.UPDATE.HERALD_BROADCAST", config).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_array_that_went_in_part_is_completed_by_its_repeat() {
    let nats = NatsServer::start_with_jetstream("");
    let (herald, _folder) = herald(&nats, "user = false").await;
    herald.until_ready().await;
    let mut browser = Browser::connect(herald.address, "test1").await;
    subscribe(&mut browser, NEWS, None).await;
    bounded(&nats, 2).await;
    let array = json!([news("a"), news("b"), news("c"), news("d")]);
    let answer = post(&herald, "", "k", &array).await;
    assert_eq!(
        (answer.status, statuses(&answer)),
        (207, vec![202, 202, 507, 507]),
        "{}",
        answer.text()
    );
    // A whole goes not at all, and the key is free for it afterwards.
    let whole = json!([news("e"), news("f")]);
    let answer = post(&herald, "?atomic=true", "whole", &whole).await;
    assert_eq!((answer.status, &*kind(&answer)), (507, "history-full"));
    bounded(&nats, -1).await;
    let completed = taken(&post(&herald, "", "k", &array).await);
    let repeats = [0, 1, 2, 3].map(|item| completed[item]["duplicate"] == true);
    assert_eq!(repeats, [true, true, false, false], "{completed}");
    let places = |items: &Value| [0, 1, 2, 3].map(|item| items[item]["position"].clone());
    let again = taken(&post(&herald, "", "k", &array).await);
    assert_eq!(places(&again), places(&completed));
    first(again);
    taken(&post(&herald, "?atomic=true", "whole", &whole).await);
    assert_eq!(
        bodies(&mut browser, NEWS, 6).await,
        ["a", "b", "c", "d", "e", "f"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_perhaps_went_is_told_from_what_did_not() {
    let mut nats = NatsServer::start_with_jetstream("");
    let (herald, _folder) = herald(&nats, "user = false\npublish_timeout = \"2s\"").await;
    herald.until_ready().await;
    let mut browser = Browser::connect(herald.address, "test1").await;
    let begin = position(&subscribe(&mut browser, NEWS, None).await);
    // A server that hangs takes what it is sent, and answers nothing.
    nats.set_frozen(true);
    let array = json!([news("a"), news("b")]);
    // At once: a publish that begins once the reader has noticed the silence is not sent, and says so.
    let (single, pair) = (news("single"), json!([news("c"), news("d")]));
    let (single, whole, several) = tokio::join!(
        post(&herald, "", "single", &single),
        post(&herald, "?atomic=true", "whole", &pair),
        post(&herald, "", "array", &array),
    );
    let hanging = [single, whole];
    nats.set_frozen(false);
    for answer in &hanging {
        assert_eq!((answer.status, &*kind(answer)), (503, "outcome-unknown"));
        assert_eq!(answer.header("Retry-After"), Some("1"));
    }
    assert_eq!(
        (several.status, statuses(&several)),
        (207, vec![503, 503]),
        "{}",
        several.text()
    );
    // The repeat tells: it is stored once, wherever that was.
    let mut told = Vec::new();
    for (query, key, body) in [
        ("", "single", news("single")),
        ("?atomic=true", "whole", json!([news("c"), news("d")])),
        ("", "array", array),
    ] {
        let first_answer = taken(&post(&herald, query, key, &body).await);
        let again = taken(&post(&herald, query, key, &body).await);
        let positions = |answer: &Value| -> Vec<Value> {
            let items = answer.as_array().cloned().unwrap_or_else(|| vec![answer.clone()]);
            items.iter().map(|item| item["position"].clone()).collect()
        };
        assert_eq!(positions(&again), positions(&first_answer));
        first(again);
        told.extend(positions(&first_answer));
    }
    let mut seen = bodies(&mut browser, NEWS, 5).await;
    assert_eq!(told.len(), 5);
    seen.sort();
    assert_eq!(seen, ["a", "b", "c", "d", "single"]);
    assert_eq!(browser.event_within(Duration::from_millis(200)).await, None);
    // A server that is gone takes nothing.
    nats.kill();
    let gone = async |query, body| post(&herald, query, "gone", &body).await;
    until("the loss is known", async || {
        let answer = gone("", news("x")).await;
        answer.status == 503 && kind(&answer) == "bus-unavailable"
    })
    .await;
    for (query, body) in [
        ("?atomic=true", json!([news("x"), news("y")])),
        ("", json!([news("x"), news("y")])),
    ] {
        let answer = gone(query, body).await;
        assert_eq!((answer.status, &*kind(&answer)), (503, "bus-unavailable"));
    }
    nats.restart();
    herald.until_ready().await;
    let mut late = Browser::connect(herald.address, "test1").await;
    let receipt = subscribe(&mut late, NEWS, Some(&begin)).await;
    assert_eq!(super::outcome(&receipt), (Some("true"), Some("5")));
}
