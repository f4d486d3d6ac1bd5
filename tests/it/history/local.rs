//! The promise: a MESSAGE that an instance itself creates on a kept destination has a `message-id` that can be sent
//! back as well, and leads nobody past what was not delivered yet.

use serde_json::json;

use super::{app, frame, message, publish, subscribe};
use crate::support::app::ANNA;

#[tokio::test]
async fn an_answer_has_a_position_with_a_number_behind_it() {
    let app = app().await;
    let mut client = app.session("1.2").await;
    subscribe(&mut client, "0", "/user/queue/errors", None, "").await;
    let stored = publish(&app, "/queue/errors", Some(ANNA), "stored", json!({})).await;
    let stored = stored["position"].as_str().unwrap().to_owned();
    assert_eq!(message(&mut client).await.get("message-id"), stored);
    // No backend: the answer says so on the errors destination.
    let mut ids = Vec::new();
    for _ in 0..2 {
        client.say("SEND\ndestination:/app/nobody\n\nx\0").await;
        ids.push(message(&mut client).await.get("message-id").to_owned());
    }
    let dotted = |id: &String| {
        id.strip_prefix(&*stored)
            .is_some_and(|rest| rest.starts_with('.'))
    };
    assert!(ids.iter().all(dotted) && ids[0] != ids[1], "{ids:?}");
    drop(client);
    let missed = publish(&app, "/queue/errors", Some(ANNA), "missed", json!({})).await;
    for after in [&ids[0], &ids[1], &stored] {
        let mut client = app.session("1.2").await;
        let receipt = subscribe(&mut client, "0", "/user/queue/errors", Some(after), "").await;
        assert_eq!(receipt.outcome(), (Some("true"), Some("1")), "{after}");
        assert_eq!(message(&mut client).await.get("message-id"), missed["position"]);
        client.expect_nothing().await;
    }
}

/// An answer can be acknowledged like any MESSAGE.
#[tokio::test]
async fn an_answer_is_acknowledged_by_its_own_id() {
    let app = app().await;
    let mut client = app.session("1.2").await;
    let mode = "ack:client-individual\nprefetch:1\n";
    subscribe(&mut client, "0", "/user/queue/errors", None, mode).await;
    for _ in 0..2 {
        client.say("SEND\ndestination:/app/nobody\n\nx\0").await;
    }
    let first = message(&mut client).await;
    client.expect_nothing().await;
    client.say(format!("ACK\nid:{}\n\n\0", first.get("ack"))).await;
    assert_eq!(message(&mut client).await.command, "MESSAGE");
}

#[tokio::test]
async fn the_list_of_users_has_a_position_too() {
    let app = app().await;
    let mut client = app.session("1.2").await;
    let begin = subscribe(&mut client, "0", "/queue/users", None, "").await;
    let _other = app.session_of(crate::support::app::BEN, "1.2").await;
    let list = frame(&mut client).await;
    let id = list.get("message-id");
    let (position, _) = id.split_once('.').expect("a number behind the position");
    assert_eq!(position, begin.get("position"));
    assert!(list.find("herald-id").is_some());
    let mut again = app.session("1.2").await;
    let receipt = subscribe(&mut again, "0", "/queue/users", Some(id), "").await;
    assert_eq!(receipt.outcome(), (Some("true"), Some("0")));
}
