//! Rules B1 to B7: heart-beats while nothing else is sent. Periods are the shortest that Herald offers, one second;
//! another session's heart-beats are the clock.

use std::time::{Duration, Instant};

use herald::setting::HumanDuration;

use super::subscribe;
use crate::support::app::{ANNA, App, BEN, connect};
use crate::support::client::{BINARY_START, Client, LAST, MORE, Message, PING, TEXT_START, frame};

/// An instance that offers and wants one heart-beat per second.
pub async fn start(configure: impl FnOnce(&mut herald::config::Config)) -> App {
    App::with(|config| {
        config.heartbeat.send = HumanDuration::secs(1);
        config.heartbeat.receive = HumanDuration::secs(1);
        configure(config);
    })
    .await
}

/// A session that only receives the server's heart-beats, at least one a second.
pub struct Clock(Client);

impl Clock {
    pub async fn of(app: &App) -> Self {
        Self(app.session_with(BEN, "1.2", "heart-beat:0,1000\n").await)
    }

    /// Waits for the next heart-beat.
    pub async fn beat(&mut self) {
        self.0.expect("\n").await;
    }

    /// Waits until this time has passed.
    pub async fn pass(&mut self, time: Duration) {
        let start = Instant::now();
        while start.elapsed() < time {
            self.beat().await;
        }
    }
}

#[tokio::test]
async fn b1_a_direction_has_the_greater_period_or_none() {
    let app = start(|_| {}).await;
    let mut clock = Clock::of(&app).await;
    // Offers nothing and wants nothing: it is sent nothing, and its silence does not matter.
    let mut none = app.session("1.2").await;
    let mut zero = app.session_with(ANNA, "1.1", "heart-beat:0,0\n").await;
    // The server can do one second, this client wants three: the greater counts.
    let mut slow = app.session_with(ANNA, "1.2", "heart-beat:0,3000\n").await;
    let start = Instant::now();
    slow.expect("\n").await;
    let first = start.elapsed();
    assert!(first >= Duration::from_millis(1_500), "{first:?}");
    // It promises one every three seconds: silence is tolerated beyond 2.5 times one second.
    let mut promised = app.session_with(ANNA, "1.2", "heart-beat:3000,0\n").await;
    clock.pass(Duration::from_secs(4)).await;
    none.expect_nothing().await;
    zero.expect_nothing().await;
    promised.expect_nothing().await;
}

#[tokio::test]
async fn b2_the_server_sends_lf_within_its_period() {
    let app = start(|_| {}).await;
    for version in ["1.1", "1.2"] {
        let mut client = app.session_with(ANNA, version, "heart-beat:0,1000\n").await;
        let (mut longest, first) = (Duration::ZERO, Instant::now());
        for _ in 0..4 {
            let start = Instant::now();
            client.expect("\n").await;
            longest = longest.max(start.elapsed());
        }
        // One second is promised. A busy machine may be late once, but not four times.
        assert!(longest < Duration::from_millis(1_500), "{longest:?}");
        let all = first.elapsed();
        assert!(all < Duration::from_secs(4), "{all:?}");
    }
}

#[tokio::test]
async fn b3_any_byte_is_a_sign_of_life() {
    let app = start(|_| {}).await;
    let mut clock = Clock::of(&app).await;
    let mut by_lf = app.session_with(ANNA, "1.2", "heart-beat:1000,0\n").await;
    let mut by_ping = app.session_with(ANNA, "1.2", "heart-beat:1000,0\n").await;
    let mut by_part = app.session_with(ANNA, "1.2", "heart-beat:1000,0\n").await;
    by_part.write(frame(TEXT_START, b"BEGIN\ntransaction:")).await;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        clock.beat().await;
        by_lf.write(frame(BINARY_START, b"")).await;
        by_lf.write(frame(LAST, b"\n")).await;
        by_ping.write(frame(PING, b"")).await;
        assert_eq!(by_ping.next().await, Message::Pong(Vec::new()));
        // Half a header is a sign of life.
        by_part.write(frame(MORE, b"t")).await;
    }
    // The server sent no ping in all that time.
    by_lf.expect_nothing().await;
    by_ping.expect_nothing().await;
    by_part.write(frame(LAST, b"\nreceipt:r\n\n\0")).await;
    by_part.expect_receipt("r").await;
}

#[tokio::test]
async fn b4_heart_beats_begin_with_connected() {
    let app = start(|config| config.limits.connect_timeout = HumanDuration::secs(2)).await;
    // Long enough for several, if there were any.
    let mut silent = app.open().await;
    let error = "message:no CONNECT within 2s (limits.connect_timeout)";
    silent.expect_error(error, 1008).await;
    let mut client = app.session_with(ANNA, "1.2", "heart-beat:1000,1000\n").await;
    client.expect("\n").await;
}

#[tokio::test]
async fn b5_1_0_has_no_heart_beats() {
    let app = start(|_| {}).await;
    let mut clock = Clock::of(&app).await;
    let mut client = app.open().await;
    client
        .say("CONNECT\nlogin:test1\npasscode:test\nheart-beat:1000,1000\n\n\0")
        .await;
    client
        .expect(
            "CONNECTED\nversion:1.0\nsession:*\nserver:*\nheart-beat:0,0\nuser-name:test1\ninstance:*\n\n\0",
        )
        .await;
    clock.pass(Duration::from_secs(4)).await;
    client.expect_nothing().await;
}

#[tokio::test]
async fn b6_a_floor_is_advertised() {
    let app = App::with(|config| {
        config.heartbeat.send = HumanDuration::millis(500);
        config.heartbeat.receive = HumanDuration::millis(700);
    })
    .await;
    let mut client = app.open().await;
    client.say(connect(ANNA, "1.2", "heart-beat:1,1\n")).await;
    client
        .expect(
            "CONNECTED\nversion:1.2\nsession:*\nserver:*\nheart-beat:1000,1000\nuser-name:test1\n\
             instance:*\n\n\0",
        )
        .await;
}

#[tokio::test]
async fn b7_a_dead_peer_is_dropped_with_all_it_had() {
    let app = start(|_| {}).await;
    let mut clock = Clock::of(&app).await;
    let mut client = app.session_with(ANNA, "1.2", "heart-beat:1000,0\n").await;
    let start = Instant::now();
    subscribe(&mut client, "0", "/queue/a").await;
    client
        .say("BEGIN\ntransaction:t\n\n\0SEND\ndestination:/queue/b\ntransaction:t\n\nnever\0")
        .await;
    let mut other = super::subscribed(&app, "1.2", "0", "/queue/b").await;
    // Pinged after 2.5 periods, given up after 3.5.
    assert_eq!(client.next().await, Message::Ping(Vec::new()));
    let asked = start.elapsed();
    client.expect_error("message:no heart-beat", 4408).await;
    let ended = start.elapsed();
    assert!(asked >= Duration::from_millis(2_250), "{asked:?}");
    assert!(ended >= Duration::from_millis(3_250), "{ended:?}");
    // The time of one ping and no more, with room for a busy machine.
    assert!(ended < Duration::from_millis(4_900), "{ended:?}");
    assert_eq!(app.metric("herald_sessions_reaped_total").await, 1.0);
    assert_eq!(
        app.metric("herald_session_closes_total{reason=\"silence\"}")
            .await,
        1.0
    );
    clock.beat().await;
    assert_eq!(app.metric("herald_subscriptions").await, 1.0);
    other.expect_nothing().await;
}
