//! The promise: an expired session is told so, and closed with 4401 and `herald-reason:token-expired`; CONNECTED says
//! how long it lives, and a reminder comes before the end, to that session alone.

use std::time::{Duration, Instant};

use herald::setting::HumanDuration;

use crate::support::app::{ANNA, App, BEN, connect};
use crate::support::client::Message;

async fn living(life: HumanDuration) -> App {
    App::with(|config| config.auth.password_session = Some(life)).await
}

#[tokio::test]
async fn a_session_lives_as_long_as_connected_says() {
    let app = living(HumanDuration::secs(2)).await;
    let mut anna = app.open().await;
    let begun = Instant::now();
    anna.say(connect(ANNA, "1.2", "")).await;
    let connected = anna.text().await;
    let expires_in = header(&connected, "expires-in").parse::<u64>().unwrap();
    assert!((1_000..=2_000).contains(&expires_in), "{connected}");
    anna.say("SUBSCRIBE\nid:1\ndestination:/queue/x\nreceipt:1\n\n\0")
        .await;
    anna.expect_receipt("1").await;
    anna.expect_error("message:token expired\nherald-reason:token-expired", 4401)
        .await;
    assert!(begun.elapsed() >= Duration::from_millis(1_900), "too early");
    assert_eq!(
        app.metric("herald_session_closes_total{reason=\"token_expired\"}")
            .await,
        1.0
    );
}

#[tokio::test]
async fn a_session_without_an_end_says_nothing_of_it() {
    let app = App::start().await;
    let mut anna = app.open().await;
    anna.say(connect(ANNA, "1.2", "")).await;
    let connected = anna.text().await;
    assert!(!connected.contains("expires-in"), "{connected}");
}

#[tokio::test]
async fn a_reminder_comes_before_the_end_and_to_that_session_alone() {
    let app = living(HumanDuration::secs(6)).await;
    let subscribe = "SUBSCRIBE\nid:1\ndestination:/user/queue/herald/auth\nreceipt:1\n\n\0";
    let mut first = app.session_of(ANNA, "1.2").await;
    first.say(subscribe).await;
    first.expect_receipt("1").await;
    let reminder = first.text().await;
    assert!(
        reminder.starts_with("MESSAGE\nsubscription:1\ndestination:/user/queue/herald/auth\n"),
        "{reminder}"
    );
    assert!(
        reminder.contains("\ncontent-type:application/json\n"),
        "{reminder}"
    );
    let body = reminder.split("\n\n").nth(1).unwrap().trim_end_matches('\0');
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["event"], "expiring");
    assert!(
        body["expires_in_ms"].as_u64().is_some_and(|ms| ms <= 2_250),
        "{body}"
    );
    // Hers that began later is not due yet: nothing but its own end is ahead.
    let mut second = app.session_of(ANNA, "1.2").await;
    second.say(subscribe).await;
    second.expect_receipt("1").await;
    first
        .expect_error("message:token expired\nherald-reason:token-expired", 4401)
        .await;
    second.expect_nothing().await;
}

#[tokio::test]
async fn who_subscribes_late_is_reminded_at_once() {
    let app = living(HumanDuration::secs(6)).await;
    let mut ben = app.session_of(BEN, "1.2").await;
    // Five seconds later the reminder is past, whatever the machine is busy with; or the session has ended, which the next
    // frame would show.
    tokio::time::sleep(Duration::from_millis(4_500)).await;
    ben.say("SUBSCRIBE\nid:1\ndestination:/user/queue/herald/auth\nreceipt:1\n\n\0")
        .await;
    match ben.next().await {
        Message::Text(text) if text.starts_with(b"RECEIPT\n") => {
            let reminder = ben.text().await;
            assert!(
                reminder.contains("{\"event\":\"expiring\",\"expires_in_ms\":"),
                "{reminder}"
            );
        }
        Message::Text(text) => assert!(text.starts_with(b"ERROR\nmessage:token expired\n"), "{text:?}"),
        other => panic!("{other:?}"),
    }
}

fn header<'a>(frame: &'a str, name: &str) -> &'a str {
    let mut lines = frame.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("no {name} in {frame}"))
}
