//! The promise: a client that reads slowly, or not at all, affects only itself. What waits for it is bounded, in order,
//! and gone with it; nobody else waits. Tested by counts, not times: socket buffers are so small that a hundred KiB
//! fill them.

use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use herald::config::Config;
use herald::setting::ByteSize;

use crate::support::app::{ADMIN, ANNA, App, BEN};
use crate::support::process;
use crate::support::within;

pub mod client;

use client::{Found, SlowClient};

const WAITING: &str = "herald_outbox_bytes";
const OVERFLOWS: &str = "herald_outbox_overflows_total";
const QUEUED: &str = "herald_deliveries_total{outcome=\"queued\"}";
const DROPPED: &str = "herald_deliveries_total{outcome=\"dropped\"}";
const EXPIRED: &str = "herald_deliveries_total{outcome=\"expired\"}";
const WRITTEN: &str = "herald_deliveries_total{outcome=\"written\"}";
const SLOW_CONSUMER: &str =
    "ERROR\nmessage:slow consumer\\c over 65536 bytes (limits.outbox_bytes)\nretry-after-ms:";

const DESTINATION: &str = "/queue/news";
const BODY_BYTES: usize = 4 * 1024;

/// The last words of a session that was too slow: ERROR, which says when to come again, and Close.
#[track_caller]
fn assert_told(last: &[Found]) {
    let [Found::Frame(error), Found::Close(1013), Found::Eof(false)] = last else {
        panic!("{last:?}");
    };
    let ms = error
        .strip_prefix(SLOW_CONSUMER)
        .and_then(|rest| rest.strip_suffix("\n\n\0"));
    let ms: u32 = ms.unwrap_or_else(|| panic!("{error:?}")).parse().unwrap();
    assert!((500..=4_500).contains(&ms), "{ms}");
}

/// An instance with small buffers.
async fn app(configure: impl FnOnce(&mut Config)) -> App {
    App::with(|config| {
        config.limits.socket_send_bytes = ByteSize::kib(16);
        configure(config);
    })
    .await
}

async fn until(app: &App, series: &'static str, wanted: impl Fn(f64) -> bool) {
    let seen = async {
        while !wanted(app.metric(series).await) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(series, seen).await;
}

/// A body that contains its number and is `bytes` long, with different contents for each number.
fn text(number: usize, bytes: usize) -> String {
    let mut text = format!("{number} ");
    while text.len() < bytes {
        let _ = write!(text, "{}", number * 7 + text.len());
    }
    text.truncate(bytes.max(8));
    text
}

/// One notification for an array of them.
fn notification(destination: &str, body: &str, more: &str) -> String {
    format!("{{\"destination\":\"{destination}\",\"payload\":\"{body}\"{more}}}")
}

/// Publishes them in one request, in order.
async fn publish(app: &App, notifications: &[String]) {
    let credentials = base64::engine::general_purpose::STANDARD.encode(format!("{}:test", ADMIN.0));
    let headers = [
        ("Authorization", &*format!("Basic {credentials}")),
        ("Content-Type", "application/json"),
    ];
    let body = format!("[{}]", notifications.join(","));
    let path = "/api/v1/notifications";
    let asked = process::request(app.address, "POST", path, &headers, body.as_bytes());
    let answer = within("the publish", asked).await.unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
}

/// `numbers` on [`DESTINATION`], with a body of [`BODY_BYTES`] each.
async fn publish_numbers(app: &App, numbers: std::ops::Range<usize>) {
    let all: Vec<String> = numbers
        .map(|number| notification(DESTINATION, &text(number, BODY_BYTES), ""))
        .collect();
    for some in all.chunks(100) {
        publish(app, some).await;
    }
}

/// A payload is JSON, so a text has quotes.
fn is_number(body: &str, number: usize) -> bool {
    body == format!("\"{}\"", text(number, BODY_BYTES))
}

#[track_caller]
fn assert_numbers(bodies: &[String], first: usize) {
    for (number, body) in bodies.iter().enumerate() {
        let begin = body.get(..20).unwrap_or(body);
        assert!(
            is_number(body, first + number),
            "{number} expected, found {begin}"
        );
    }
}

#[tokio::test]
async fn who_never_reads_is_closed_alone() {
    let app = app(|config| config.limits.outbox_bytes = ByteSize::kib(64)).await;
    let mut deaf = SlowClient::log_in(app.address, ANNA).await;
    deaf.subscribe("0", DESTINATION).await;
    let mut readers = tokio::task::JoinSet::new();
    let (have, mut has) = tokio::sync::mpsc::channel(20);
    for number in 0..20 {
        let mut reader = SlowClient::log_in(app.address, BEN).await;
        // Half of them share the frames of the one that does not read, half have their own.
        reader.subscribe(&(number % 2).to_string(), DESTINATION).await;
        let have = have.clone();
        readers.spawn(async move {
            for number in 0..200 {
                assert!(is_number(&reader.body().await, number), "{number}");
                if number % 5 == 4 {
                    have.send(number).await.unwrap();
                }
            }
            reader
        });
    }
    for first in (0..200).step_by(5) {
        publish_numbers(&app, first..first + 5).await;
        // No faster than they read: their bound is as small as that of the one that does not read.
        for _ in 0..20 {
            assert_eq!(within("a reader", has.recv()).await, Some(first + 4));
        }
    }
    let readers = readers.join_all().await;
    assert_eq!(app.metric(OVERFLOWS).await, 1.0);
    let (bodies, last) = deaf.rest().await;
    assert_numbers(&bodies, 0);
    assert!(bodies.len() < 200, "{}", bodies.len());
    assert_told(&last);
    until(&app, WAITING, |bytes| bytes == 0.0).await;
    until(&app, "herald_sessions", |sessions| {
        sessions == readers.len() as f64
    })
    .await;
}

/// However many sessions a user has: all that wait for them together leave most of the room to others.
#[tokio::test]
async fn many_deaf_sessions_of_a_user_close_none_of_others() {
    let app = app(|config| {
        config.limits.outbox_bytes = ByteSize::kib(256);
        config.limits.outbox_total_bytes = ByteSize::mib(1);
        config.delivery.shards = 1;
    })
    .await;
    let mut deaf = Vec::new();
    for _ in 0..40 {
        let mut one = SlowClient::log_in(app.address, ANNA).await;
        one.subscribe("0", "/user/queue/own").await;
        deaf.push(one);
    }
    let mut other = SlowClient::log_in(app.address, BEN).await;
    other.subscribe("0", DESTINATION).await;
    let own = notification("/queue/own", &text(0, BODY_BYTES), ",\"user\":\"test1\"");
    let filling = async {
        while app.metric(OVERFLOWS).await == 0.0 {
            publish(&app, std::slice::from_ref(&own)).await;
        }
    };
    within("one of them to be closed", filling).await;
    // One shard: what was published before has come.
    publish_numbers(&app, 0..1).await;
    assert!(is_number(&other.body().await, 0));
    let before = app.metric(QUEUED).await;
    // The other falls behind for a moment: about half of what it may have waits for it. Not by the bytes that wait, since the
    // kernel may take some of the deaf ones' meanwhile.
    let mut number = 0;
    while app.metric(QUEUED).await < before + 11.0 {
        number += 1;
        assert!(number < 1_000, "nothing waits");
        let delivered = deliveries(&app).await;
        publish_numbers(&app, number..number + 1).await;
        let seen = async { while deliveries(&app).await == delivered {} };
        within("the delivery", seen).await;
    }
    // It was not closed: everything comes.
    for number in 1..=number {
        assert!(is_number(&other.body().await, number), "{number}");
    }
}

async fn deliveries(app: &App) -> f64 {
    app.metric(QUEUED).await + app.metric(WRITTEN).await + app.metric(DROPPED).await
}

#[tokio::test]
async fn who_reads_too_late_is_told_all_the_same() {
    let app = app(|config| config.limits.outbox_bytes = ByteSize::kib(64)).await;
    let mut deaf = SlowClient::log_in(app.address, ANNA).await;
    deaf.subscribe("0", DESTINATION).await;
    publish_numbers(&app, 0..200).await;
    until(&app, OVERFLOWS, |overflows| overflows == 1.0).await;
    // Herald has let go of the connection.
    until(&app, "herald_connections", |connections| connections == 0.0).await;
    let (bodies, last) = deaf.rest().await;
    assert_numbers(&bodies, 0);
    assert_told(&last);
}

#[tokio::test]
async fn who_resumes_within_the_bound_gets_every_byte() {
    let app = app(|_| {}).await;
    let mut slow = SlowClient::log_in(app.address, ANNA).await;
    slow.subscribe("0", DESTINATION).await;
    publish_numbers(&app, 0..200).await;
    until(&app, WAITING, |bytes| bytes > (100 * BODY_BYTES) as f64).await;
    assert_eq!(app.metric(OVERFLOWS).await, 0.0);
    for number in 0..200 {
        assert!(is_number(&slow.body().await, number), "{number}");
    }
    until(&app, WAITING, |bytes| bytes == 0.0).await;
    // The shard gets the socket back, once the session's task has said so.
    let regained = async {
        while app.metric(WRITTEN).await == 0.0 {
            publish(&app, &[notification(DESTINATION, "small", "")]).await;
            assert_eq!(slow.body().await, "\"small\"");
        }
    };
    within("a direct write", regained).await;
}

#[tokio::test]
async fn what_goes_stale_while_it_waits_is_dropped() {
    const TTL: Duration = Duration::from_millis(300);
    let app = app(|_| {}).await;
    let mut slow = SlowClient::log_in(app.address, ANNA).await;
    slow.subscribe("0", DESTINATION).await;
    publish_numbers(&app, 0..50).await;
    until(&app, QUEUED, |queued| queued > 0.0).await;
    let queued = app.metric(QUEUED).await;
    let stale = vec![notification(DESTINATION, "stale", &format!(",\"ttl_ms\":{}", TTL.as_millis())); 20];
    publish(&app, &stale).await;
    publish(&app, &[notification(DESTINATION, "fresh", ",\"ttl_ms\":600000")]).await;
    until(&app, QUEUED, |now| now == queued + 21.0).await;
    // This awaits time itself.
    tokio::time::sleep(TTL + Duration::from_millis(20)).await;
    for number in 0..50 {
        assert!(is_number(&slow.body().await, number), "{number}");
    }
    assert_eq!(slow.body().await, "\"fresh\"");
    assert_eq!(app.metric(EXPIRED).await, 20.0);
    until(&app, WAITING, |bytes| bytes == 0.0).await;
}

#[tokio::test]
async fn unsubscribe_drops_what_waits() {
    let app = app(|_| {}).await;
    let mut slow = SlowClient::log_in(app.address, ANNA).await;
    slow.subscribe("0", DESTINATION).await;
    slow.subscribe("1", "/queue/other").await;
    publish_numbers(&app, 0..100).await;
    publish(&app, &[notification("/queue/other", "other", "")]).await;
    until(&app, WAITING, |bytes| bytes > (50 * BODY_BYTES) as f64).await;
    slow.say("UNSUBSCRIBE\nid:0\nreceipt:u\n\n\0").await;
    until(&app, "herald_subscriptions", |subscriptions| subscriptions == 1.0).await;
    let mut bodies = Vec::new();
    let other = loop {
        match slow.body().await {
            body if body == "\"other\"" => break body,
            body => bodies.push(body),
        }
    };
    assert_eq!(other, "\"other\"");
    assert_numbers(&bodies, 0);
    assert!(bodies.len() < 50, "{}", bodies.len());
    assert_eq!(slow.frame().await, "RECEIPT\nreceipt-id:u\n\n\0");
    assert_eq!(app.metric(DROPPED).await, (100 - bodies.len()) as f64);
    until(&app, WAITING, |bytes| bytes == 0.0).await;
}

#[tokio::test]
async fn the_last_words_are_the_last_frames_of_a_blocked_session() {
    let app = app(|_| {}).await;
    let mut slow = SlowClient::log_in(app.address, ANNA).await;
    slow.subscribe("0", DESTINATION).await;
    publish_numbers(&app, 0..50).await;
    until(&app, WAITING, |bytes| bytes > 0.0).await;
    slow.say("SEND\ndestination:/nowhere\n\nx\0").await;
    let (bodies, last) = slow.rest().await;
    assert_eq!(bodies.len(), 50);
    assert_numbers(&bodies, 0);
    let Some(Found::Frame(error)) = last.first() else {
        panic!("{last:?}");
    };
    assert!(
        error.starts_with("ERROR\n") && error.contains("/nowhere"),
        "{error}"
    );
    assert_eq!(last.get(1..), Some(&[Found::Close(1008), Found::Eof(false)][..]));
    until(&app, WAITING, |bytes| bytes == 0.0).await;
}

/// `delivery/outbox` says which lock and mailbox keep the order. Here the writer changes hundreds of times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_holds_while_the_writer_changes() {
    const EACH: usize = 1_500;
    const DESTINATIONS: [&str; 2] = ["/queue/a", "/topic/b"];
    let app = app(|config| config.limits.outbox_bytes = ByteSize::mib(64)).await;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut pace = fastrand::Rng::with_seed(seed);
    let mut stalls = pace.fork();
    let mut slow = SlowClient::log_in(app.address, ANNA).await;
    for destination in DESTINATIONS {
        slow.subscribe(destination, destination).await;
    }
    let (progress, mut read) = tokio::sync::watch::channel(0);
    let reading = tokio::spawn(async move {
        let mut next = [0; 2];
        while next != [EACH; 2] {
            if stalls.u8(..) < 8 {
                tokio::time::sleep(Duration::from_millis(stalls.u64(1..6))).await;
            }
            let frame = slow.frame().await;
            let of = usize::from(frame.contains("\ndestination:/topic/b\n"));
            let body = client::body(&frame).unwrap_or_else(|| panic!("{frame}"));
            let number = body.trim_start_matches('"').split(' ').next().unwrap();
            assert_eq!(number.parse(), Ok(next[of]), "{} of {next:?}", DESTINATIONS[of]);
            next[of] += 1;
            progress.send_replace(next[0] + next[1]);
        }
    });
    for first in (0..EACH).step_by(10) {
        let numbers = (first..first + 10).flat_map(|number| {
            DESTINATIONS.map(|destination| {
                let bytes = pace.usize(8..3_000);
                notification(destination, &text(number, bytes), "")
            })
        });
        publish(&app, &numbers.collect::<Vec<_>>()).await;
        // Lets it catch up now and then, completely or almost: that is when the writer changes.
        if pace.bool() {
            let sent = (first + 10) * 2;
            let behind = pace.usize(0..3);
            let caught_up = read.wait_for(|read| read + behind >= sent);
            within("the reader", caught_up).await.unwrap();
        }
    }
    tokio::time::timeout(Duration::from_secs(60), reading)
        .await
        .expect("all of them")
        .unwrap();
    let (written, queued) = (app.metric(WRITTEN).await, app.metric(QUEUED).await);
    assert!(
        written > 100.0 && queued > 100.0,
        "{written} written, {queued} queued"
    );
    until(&app, WAITING, |bytes| bytes == 0.0).await;
}
