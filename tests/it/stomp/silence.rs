//! The promise: a hidden tab, whose timers are throttled while its browser answers pings, stays; a dead peer is closed,
//! even if nothing can be written to it; and the time in which Herald itself reads nothing does not count as the
//! client's silence.

use std::sync::Arc;
use std::time::{Duration, Instant};

use herald::bus::{AppReply, AppRequest};
use herald::envelope::Headers;
use herald::setting::HumanDuration;
use tokio::sync::Semaphore;

use super::heartbeats::{Clock, start};
use super::subscribe;
use crate::support::app::{ANNA, App};
use crate::support::client::{Client, Message, PONG, frame};

/// Answers pings, and sends nothing else, for `time`. Returns how many there were.
async fn answer_pings(client: &mut Client, time: Duration) -> usize {
    let (start, mut pings) = (Instant::now(), 0);
    while start.elapsed() < time {
        match client.next().await {
            Message::Ping(payload) => client.write(frame(PONG, &payload)).await,
            other => panic!("{other:?}"),
        }
        pings += 1;
    }
    pings
}

#[tokio::test]
async fn a_hidden_tab_that_answers_pings_stays() {
    let app = start(|_| {}).await;
    let mut tab = app.session_with(ANNA, "1.2", "heart-beat:1000,0\n").await;
    // Well beyond the 3.5 s after which a dead peer goes.
    let pings = answer_pings(&mut tab, Duration::from_secs(6)).await;
    assert!(pings >= 2, "{pings}");
    tab.expect_nothing().await;
    assert_eq!(app.metric("herald_sessions_reaped_total").await, 0.0);
    assert!(app.metric("herald_heartbeat_misses_total").await >= 2.0);
}

#[tokio::test]
async fn a_hidden_tab_goes_when_its_grace_is_over() {
    let app = start(|config| config.heartbeat.hidden_tab_grace = HumanDuration::secs(4)).await;
    let mut tab = app.session_with(ANNA, "1.2", "heart-beat:1000,0\n").await;
    let start = Instant::now();
    let ended = loop {
        match tab.next().await {
            Message::Ping(payload) => tab.write(frame(PONG, &payload)).await,
            other => break other,
        }
    };
    let after = start.elapsed();
    assert_eq!(
        ended,
        Message::Text(b"ERROR\nmessage:no heart-beat\n\n\0".to_vec())
    );
    tab.expect_end(4408).await;
    // Not earlier, and not only when the next ping would be due.
    assert!(
        after >= Duration::from_millis(3_750) && after < Duration::from_millis(4_900),
        "{after:?}"
    );
    assert_eq!(app.metric("herald_sessions_reaped_total").await, 1.0);
}

#[tokio::test]
async fn a_peer_behind_a_black_hole_goes() {
    let app = start(|_| {}).await;
    let mut clock = Clock::of(&app).await;
    let start = Instant::now();
    // It neither reads nor closes: the network only tells that its buffers are full.
    let mut hole = app.session_with(ANNA, "1.2", "heart-beat:1000,1000\n").await;
    subscribe(&mut hole, "0", "/queue/a").await;
    let mut publisher = app.session("1.2").await;
    let send = format!("SEND\ndestination:/queue/a\n\n{}\0", "x".repeat(256 << 10));
    while app.metric("herald_outbox_bytes").await == 0.0 {
        publisher.say(&send).await;
        publisher.expect_nothing().await;
    }
    while app
        .metric("herald_session_closes_total{reason=\"silence\"}")
        .await
        == 0.0
    {
        clock.beat().await;
        assert!(start.elapsed() < Duration::from_secs(15));
    }
    assert!(
        start.elapsed() >= Duration::from_millis(3_250),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(app.metric("herald_sessions_reaped_total").await, 1.0);
    // What waited for it is freed once its last frames have had their time.
    while app.metric("herald_connections").await > 2.0 {
        clock.beat().await;
        assert!(start.elapsed() < Duration::from_secs(20));
    }
    assert_eq!(app.metric("herald_outbox_bytes").await, 0.0);
    drop(hole);
}

#[tokio::test]
async fn heralds_own_back_pressure_is_no_silence() {
    let app: App = start(|config| {
        config.limits.requests_in_flight = 1;
        config.bus.request_timeout = HumanDuration::secs(60);
    })
    .await;
    let gate = Arc::new(Semaphore::new(0));
    let open = gate.clone();
    app.backends.respond_to_requests(move |request: AppRequest| {
        let gate = gate.clone();
        Box::pin(async move {
            gate.acquire().await.unwrap().forget();
            Ok(AppReply {
                body: request.body,
                content_type: Some("text/plain".into()),
                headers: Headers::default(),
                error: None,
                trace: Default::default(),
            })
        })
    });
    let mut clock = Clock::of(&app).await;
    let mut client = app.session_with(ANNA, "1.2", "heart-beat:1000,0\n").await;
    subscribe(&mut client, "0", "/user/queue/slow").await;
    // The first waits for its backend. There is no room for the second, so nothing more is read, not even pongs.
    let send = "SEND\ndestination:/app/slow\n\none\0SEND\ndestination:/app/slow\n\ntwo\0";
    client.say(send).await;
    clock.pass(Duration::from_secs(6)).await;
    open.add_permits(2);
    for body in ["one", "two"] {
        client
            .expect(format!(
                "MESSAGE\nsubscription:0\ndestination:/user/queue/slow\nmessage-id:*\n\
                 content-type:text/plain\ncontent-length:3\ntimestamp:*\n\n{body}\0"
            ))
            .await;
    }
    client.expect_nothing().await;
    assert_eq!(app.metric("herald_heartbeat_misses_total").await, 0.0);
}
