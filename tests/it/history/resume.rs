//! The promise: a client that returns with a position gets what followed on the destination, once, in order, and
//! nothing of others; stale notifications are left out, and of one collapse key only the newest comes.

use serde_json::json;

use super::{NEWS, ORDERS, app, bodies, message, news, publish, quoted, subscribe};
use crate::support::app::{ANNA, BEN};

#[tokio::test]
async fn what_was_missed_comes_in_order_and_live_behind_it() {
    let app = app().await;
    let mut client = app.session("1.2").await;
    let begin = subscribe(&mut client, "0", NEWS, None, "").await;
    news(&app, "heard").await;
    let at = message(&mut client).await.get("message-id").to_owned();
    drop(client);
    for body in ["a", "b", "c"] {
        news(&app, body).await;
        publish(&app, "/queue/others", None, "not mine", json!({})).await;
        publish(&app, "/queue/news", Some(BEN), "not mine", json!({})).await;
    }
    for version in ["1.0", "1.1", "1.2"] {
        let mut client = app.session(version).await;
        let receipt = subscribe(&mut client, "0", NEWS, Some(&at), "").await;
        assert_eq!(receipt.outcome(), (Some("true"), Some("3")));
        assert_eq!(receipt.get("position"), at);
        assert_eq!(bodies(&mut client, 3).await, quoted(["a", "b", "c"]));
        client.expect_nothing().await;
    }
    let mut client = app.session("1.2").await;
    subscribe(&mut client, "0", NEWS, Some(begin.get("position")), "").await;
    news(&app, "live").await;
    assert_eq!(
        bodies(&mut client, 5).await,
        quoted(["heard", "a", "b", "c", "live"])
    );
}

#[tokio::test]
async fn stale_ones_are_left_out_and_the_newest_of_a_key_stands_for_all() {
    let app = app().await;
    let mut client = app.session("1.2").await;
    let begin = subscribe(&mut client, "0", ORDERS, None, "").await;
    drop(client);
    for (body, more) in [
        ("stale", json!({"ttl_ms": 1})),
        ("old", json!({"collapse": "k"})),
        ("plain", json!({})),
        ("new", json!({"collapse": "k"})),
        ("fresh", json!({"ttl_ms": 600_000})),
    ] {
        publish(&app, "/queue/orders", Some(ANNA), body, more).await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    let mut client = app.session("1.2").await;
    let receipt = subscribe(&mut client, "0", ORDERS, Some(begin.get("position")), "").await;
    assert_eq!(receipt.outcome(), (Some("true"), Some("3")));
    assert_eq!(bodies(&mut client, 3).await, quoted(["plain", "new", "fresh"]));
    client.expect_nothing().await;
}

/// Nobody waits for a notification that was stale before it could be delivered.
#[tokio::test]
async fn a_stale_one_moves_the_head() {
    let app = app().await;
    let stale = publish(&app, NEWS, None, "stale", json!({"ttl_ms": 1})).await;
    let mut client = app.session("1.2").await;
    let receipt = subscribe(&mut client, "0", NEWS, stale["position"].as_str(), "").await;
    assert_eq!(receipt.outcome(), (Some("true"), Some("0")));
}

#[tokio::test]
async fn two_subscriptions_resume_each_from_its_own_position() {
    let app = app().await;
    let mut client = app.session("1.2").await;
    let one = subscribe(&mut client, "0", NEWS, None, "").await;
    news(&app, "a").await;
    message(&mut client).await;
    let two = subscribe(&mut client, "1", "/queue/other", None, "").await;
    publish(&app, "/queue/other", None, "b", json!({})).await;
    drop(client);
    let mut client = app.session("1.2").await;
    let receipt = subscribe(&mut client, "0", NEWS, Some(one.get("position")), "").await;
    assert_eq!(receipt.outcome(), (Some("true"), Some("1")));
    let first = message(&mut client).await;
    assert_eq!((first.get("subscription"), &*first.body), ("0", "\"a\""));
    // Twice the same destination: one resumes, the other is live.
    let receipt = subscribe(&mut client, "1", "/queue/other", Some(two.get("position")), "").await;
    assert_eq!(receipt.outcome(), (Some("true"), Some("1")));
    let second = message(&mut client).await;
    assert_eq!((second.get("subscription"), &*second.body), ("1", "\"b\""));
    let receipt = subscribe(&mut client, "2", NEWS, Some(one.get("position")), "").await;
    assert_eq!(receipt.outcome(), (Some("true"), Some("1")));
    assert_eq!(message(&mut client).await.get("subscription"), "2");
    client.expect_nothing().await;
}

/// Nothing is redelivered within a session; who resumes gets again what it had not acknowledged.
#[tokio::test]
async fn what_was_not_acknowledged_comes_again_behind_its_window() {
    let app = app().await;
    let mode = "ack:client-individual\nprefetch:2\n";
    let mut client = app.session("1.2").await;
    subscribe(&mut client, "0", NEWS, None, mode).await;
    for body in ["a", "b", "c", "d"] {
        news(&app, body).await;
    }
    let handled = message(&mut client).await;
    assert_eq!(message(&mut client).await.body, "\"b\"");
    client.expect_nothing().await;
    drop(client);
    let mut client = app.session("1.2").await;
    let receipt = subscribe(&mut client, "0", NEWS, Some(handled.get("message-id")), mode).await;
    assert_eq!(receipt.outcome(), (Some("true"), Some("3")));
    let again = message(&mut client).await;
    assert_eq!(again.body, "\"b\"");
    assert_eq!(message(&mut client).await.body, "\"c\"");
    client.expect_nothing().await;
    client.say(format!("ACK\nid:{}\n\n\0", again.get("ack"))).await;
    assert_eq!(message(&mut client).await.body, "\"d\"");
}
