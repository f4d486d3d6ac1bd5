//! The promise: a client that guesses passwords from many addresses, in one /48 or anywhere, is slowed down, and nobody
//! is locked out by it. Runs the built program, with the test as the trusted proxy that reports the addresses.

use std::time::{Duration, Instant};

use base64::Engine as _;

use crate::support::process::{Herald, Launch};

const WAIT: Duration = Duration::from_secs(1);

async fn start(settings: &[(&str, &str)]) -> Herald {
    let launch = Launch::demo()
        .set("HERALD_HTTP__TRUSTED_PROXIES", "127.0.0.1")
        // A password that was right a moment ago is not looked at again.
        .set("HERALD_LOGIN__CACHE_TTL", "0s");
    let launch = settings
        .iter()
        .fold(launch, |launch, (name, value)| launch.set(name, value));
    Herald::start("guessed", &launch).await
}

async fn ask(herald: &Herald, path: &str, from: &str, login: &str) -> (u16, String) {
    let basic = base64::engine::general_purpose::STANDARD.encode(login);
    let basic = format!("Basic {basic}");
    let headers = [("Authorization", &*basic), ("X-Forwarded-For", from)];
    let answer = herald.request("GET", path, &headers, b"").await;
    (answer.status, answer.text())
}

/// How often a login had to wait because of `limit`.
async fn waits(herald: &Herald, limit: &str) -> u64 {
    let (_, metrics) = ask(herald, "/metrics", "192.0.2.200", "admin:test").await;
    let name = format!("herald_limit_hits_total{{limit=\"{limit}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.unwrap_or_else(|| panic!("no {name} in {metrics}"))
        .parse()
        .unwrap()
}

/// The status of a login from an address, and whether it took as long as a delay.
async fn login(herald: &Herald, from: &str, login: &str) -> (u16, bool) {
    let started = Instant::now();
    let (status, _) = ask(herald, "/api/v1/users", from, login).await;
    (status, started.elapsed() >= WAIT)
}

/// Who has no right to the list is known all the same.
const RIGHT: u16 = 403;
const WRONG: u16 = 401;

#[tokio::test]
async fn a_user_guessed_from_everywhere_waits_only_where_it_has_never_been() {
    let herald = start(&[
        ("HERALD_LOGIN__FREE_FAILURES_PER_USER", "4"),
        ("HERALD_LOGIN__UNFAMILIAR_DELAY", "1s"),
    ])
    .await;
    let waited = async || waits(&herald, "login.unfamiliar_delay").await;
    let home = "2001:db8:99::1";
    assert_eq!(login(&herald, home, "test1:test").await.0, RIGHT);
    for from in ["192.0.2.1", "192.0.2.2", "2001:db8:1::1", "2001:db8:2::1"] {
        assert_eq!(login(&herald, from, "test1:guess").await.0, WRONG);
    }
    assert_eq!(waited().await, 0);
    assert_eq!(login(&herald, "192.0.2.3", "test1:guess").await, (WRONG, true));
    assert_eq!(waited().await, 1);
    // At home, and to other users, nothing happens.
    assert_eq!(login(&herald, home, "test1:typo").await.0, WRONG);
    assert_eq!(login(&herald, home, "test1:test").await.0, RIGHT);
    assert_eq!(login(&herald, "192.0.2.3", "test2:test").await.0, RIGHT);
    assert_eq!(waited().await, 1);
    // Elsewhere the right password waits once.
    assert_eq!(login(&herald, "198.51.100.7", "test1:test").await, (RIGHT, true));
    assert_eq!(waited().await, 2);
    assert_eq!(login(&herald, "198.51.100.7", "test1:test").await.0, RIGHT);
    assert_eq!(waited().await, 2);
}

#[tokio::test]
async fn the_addresses_of_a_48_count_together_at_a_tenth() {
    let herald = start(&[
        ("HERALD_LOGIN__FREE_FAILURES_PER_ADDRESS", "1"),
        ("HERALD_LOGIN__UNFAMILIAR_DELAY", "0s"),
        ("HERALD_LOGIN__DELAY", "1s"),
    ])
    .await;
    let waited = async || waits(&herald, "login.delay").await;
    for n in 0..10 {
        let from = format!("2001:db8:1:{n:x}::1");
        assert_eq!(login(&herald, &from, &format!("nobody{n}:guess")).await.0, WRONG);
    }
    assert_eq!(waited().await, 0);
    assert_eq!(
        login(&herald, "2001:db8:1:ff::1", "test1:guess").await,
        (WRONG, true)
    );
    assert_eq!(waited().await, 1);
    assert_eq!(login(&herald, "2001:db8:2:ff::1", "test1:test").await.0, RIGHT);
    assert_eq!(waited().await, 1);
    // Nobody in it is locked out.
    assert_eq!(
        login(&herald, "2001:db8:1:fe::1", "test2:test").await,
        (RIGHT, true)
    );
}
