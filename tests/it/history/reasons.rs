//! The promise: a gap that cannot be closed is named by its reason, nothing of it is sent, and the subscription is
//! live; no text from a client blocks it or moves anybody else.

use herald::setting::ByteSize;
use serde_json::json;

use super::{NEWS, app, app_with, bodies, message, news, publish, quoted, subscribe};
use crate::support::app::App;

/// Subscribes behind `after` in a new session: refused for `reason`, and live.
#[track_caller]
fn refused<'a>(app: &'a App, after: &'a str, reason: &'a str) -> impl Future<Output = ()> + 'a {
    let caller = std::panic::Location::caller();
    async move {
        let mut client = app.session("1.2").await;
        let receipt = subscribe(&mut client, "0", NEWS, Some(after), "").await;
        assert_eq!(
            receipt.outcome(),
            (Some("false"), Some(reason)),
            "{caller}: {after}"
        );
        let next = news(app, "live").await;
        let heard = message(&mut client).await;
        assert_eq!(heard.get("message-id"), next, "{caller}");
        // Live begins where the RECEIPT says.
        let before = |text: &str| {
            text.rsplit_once('-')
                .and_then(|(_, sequence)| sequence.parse::<u64>().ok())
                .unwrap()
        };
        assert_eq!(before(receipt.get("position")) + 1, before(&next), "{caller}");
    }
}

/// The epoch of broadcasts.
async fn epoch(app: &App) -> String {
    let position = news(app, "first").await;
    position.split_once('-').unwrap().0.to_owned()
}

#[tokio::test]
async fn what_is_no_position_is_of_another_epoch() {
    let app = app().await;
    let epoch = epoch(&app).await;
    let huge = "9".repeat(4_000);
    for after in [
        "",
        "-",
        "1",
        "1-",
        "-1",
        "1-1-1",
        "1-1.",
        "1-1.x",
        "01-1",
        "+1-1",
        "1- 1",
        "1-1\\n",
        "18446744073709551616-1",
        "01JDEXAMPLE0000000000000000",
        "order-7",
        "\u{661}-\u{661}",
        &huge,
        "1-1",
        "1-1.7",
        "18446744073709551615-18446744073709551615",
    ] {
        refused(&app, after, "epoch-changed").await;
    }
    // One number too high, and the highest that there is: nobody's position moves by it.
    let ahead = format!("{epoch}-{}", u64::MAX);
    refused(&app, &ahead, "epoch-changed").await;
    let mut client = app.session("1.2").await;
    let from_the_start = format!("{epoch}-0");
    let receipt = subscribe(&mut client, "0", NEWS, Some(&from_the_start), "").await;
    assert_eq!(receipt.get("recovered"), "true");
}

#[tokio::test]
async fn a_restart_is_another_epoch() {
    let position = news(&app().await, "before").await;
    refused(&app().await, &position, "epoch-changed").await;
}

#[tokio::test]
async fn a_position_of_the_other_kind_is_of_another_epoch() {
    let app = app().await;
    let of_user = publish(
        &app,
        "/queue/orders",
        Some(crate::support::app::ANNA),
        "a",
        json!({}),
    )
    .await;
    refused(&app, of_user["position"].as_str().unwrap(), "epoch-changed").await;
}

#[tokio::test]
async fn what_is_evicted_is_expired_and_what_is_left_is_not() {
    let app = app_with(|config| config.history.tail_bytes = Some(ByteSize::kib(64))).await;
    let mut positions = Vec::new();
    for number in 0..40 {
        positions.push(news(&app, &format!("{number} {}", "x".repeat(2_000))).await);
    }
    refused(&app, &positions[0], "position-expired").await;
    let mut client = app.session("1.2").await;
    let receipt = subscribe(&mut client, "0", NEWS, Some(&positions[38]), "").await;
    assert_eq!(receipt.outcome(), (Some("true"), Some("2")));
    assert!(message(&mut client).await.body.starts_with("\"39 "));
    // Users' notifications have memory of their own.
    let messages = app.metric("herald_tail_messages{kind=\"broadcast\"}").await;
    let bytes = app.metric("herald_tail_bytes{kind=\"broadcast\"}").await;
    assert!(messages < 20.0 && bytes <= 32.0 * 1_024.0, "{messages} {bytes}");
}

#[tokio::test]
async fn more_than_may_be_replayed_is_not_replayed_in_part() {
    for (messages, bytes) in [(2, ByteSize::kib(512)), (1_000, ByteSize::kib(2))] {
        let app = app_with(|config| {
            config.history.replay_messages = messages;
            config.history.replay_bytes = Some(bytes);
        })
        .await;
        let epoch = epoch(&app).await;
        for body in ["a", "b"] {
            news(&app, &format!("{body}{}", "x".repeat(500))).await;
        }
        let mut client = app.session("1.2").await;
        let within = format!("{epoch}-2");
        let receipt = subscribe(&mut client, "0", NEWS, Some(&within), "").await;
        assert_eq!(receipt.outcome(), (Some("true"), Some("1")));
        message(&mut client).await;
        refused(&app, &format!("{epoch}-0"), "too-many").await;
    }
}

#[tokio::test]
async fn without_a_receipt_nobody_could_be_told() {
    for app in [app().await, App::start().await] {
        let mut client = app.session("1.2").await;
        client
            .say("SUBSCRIBE\nid:0\ndestination:/queue/news\nlast-message-id:1-1\n\n\0")
            .await;
        client
            .expect_error(
                "message:SUBSCRIBE\\c header last-message-id needs a header receipt\\c the RECEIPT says whether the gap \
                 was closed",
                1002,
            )
            .await;
    }
}

#[tokio::test]
async fn resumes_are_counted_by_their_outcome() {
    let app = app().await;
    let epoch = epoch(&app).await;
    for body in ["a", "b"] {
        news(&app, body).await;
    }
    let mut client = app.session("1.2").await;
    let after = format!("{epoch}-1");
    subscribe(&mut client, "0", NEWS, Some(&after), "").await;
    assert_eq!(bodies(&mut client, 2).await, quoted(["a", "b"]));
    subscribe(&mut client, "1", NEWS, Some("1-1"), "").await;
    for (series, expected) in [
        ("herald_resumes_total{outcome=\"recovered\"}", 1.0),
        ("herald_resumes_total{outcome=\"epoch-changed\"}", 1.0),
        ("herald_resumes_total{outcome=\"too-many\"}", 0.0),
        ("herald_replayed_total{source=\"tail\"}", 2.0),
        ("herald_replayed_total{source=\"stream\"}", 0.0),
        ("herald_tail_messages{kind=\"broadcast\"}", 3.0),
        ("herald_tail_messages{kind=\"user\"}", 0.0),
    ] {
        assert_eq!(app.metric(series).await, expected, "{series}");
    }
}
