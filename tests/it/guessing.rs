//! The promise: a client that guesses passwords from many addresses, in one /48 or anywhere, is slowed down, and nobody
//! is locked out by it; wrong signatures of tokens count as guesses, and expired tokens do not. Runs the built program,
//! with the test as the trusted proxy that reports the addresses.

use std::time::{Duration, Instant};

use base64::Engine as _;
use herald::auth::token::mint::SigningKey;
use serde_json::{Value, json};

use crate::support::process::{Herald, Launch};
use crate::support::tokens::{ISSUER, claims, now};

const WAIT: Duration = Duration::from_secs(1);

async fn start(settings: &[(&str, &str)]) -> Herald {
    start_with(settings, Launch::demo()).await
}

async fn start_with(settings: &[(&str, &str)], launch: Launch) -> Herald {
    let launch = launch
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
    present(herald, path, from, &format!("Basic {basic}")).await
}

async fn present(herald: &Herald, path: &str, from: &str, authorization: &str) -> (u16, String) {
    let headers = [("Authorization", authorization), ("X-Forwarded-For", from)];
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

/// A client that comes back with an old token for ever is no guesser, and neither are the others at its address.
#[tokio::test]
async fn wrong_signatures_count_as_guesses_and_expired_tokens_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let secret = "a secret of at least 32 bytes, of the test's own";
    std::fs::write(path("secret"), secret).unwrap();
    let issuer = format!(
        "[[auth.issuers]]\nissuer = \"{ISSUER}\"\naudience = [\"herald\"]\nuser_prefix = \"id:\"\n\
         [[auth.issuers.keys]]\nsecret_file = \"{}\"\n",
        path("secret")
    );
    std::fs::write(path("herald.toml"), issuer).unwrap();
    let settings = [
        ("HERALD_LOGIN__FREE_FAILURES", "1"),
        ("HERALD_LOGIN__FREE_FAILURES_PER_ADDRESS", "2"),
        ("HERALD_LOGIN__UNFAMILIAR_DELAY", "0s"),
        ("HERALD_LOGIN__DELAY", "1s"),
    ];
    let launch = Launch::demo().argument("--config").argument(&path("herald.toml"));
    let herald = start_with(&settings, launch).await;
    let waited = async || waits(&herald, "login.delay").await;
    let present = async |from: &str, key: &SigningKey, user: &str, changes: Value| {
        let claims = claims(user, changes);
        let token = key.sign(None, claims.as_object().unwrap()).unwrap();
        let bearer = format!("Bearer {}", token.expose());
        self::present(&herald, "/api/v1/users", from, &bearer).await.0
    };
    let right = SigningKey::secret(secret.as_bytes()).unwrap();
    let wrong = SigningKey::secret(&[7; 32]).unwrap();
    let old = json!({"iat": now() - 600, "exp": now() - 300});
    let office = "192.0.2.1";
    // The same one again and again, and others.
    for n in 0..12 {
        let user = if n < 6 { "alice" } else { &format!("user{n}") };
        assert_eq!(present(office, &right, user, old.clone()).await, WRONG);
    }
    assert_eq!(waited().await, 0);
    assert_eq!(present(office, &right, "alice", json!({})).await, RIGHT);
    assert_eq!(waited().await, 0);
    for n in 0..2 {
        let user = format!("user{n}");
        assert_eq!(present(office, &wrong, &user, json!({})).await, WRONG);
    }
    assert_eq!(waited().await, 0);
    assert_eq!(present(office, &wrong, "user2", json!({})).await, WRONG);
    assert_eq!(waited().await, 1);
    // One that is old besides is none of the issuer's either.
    assert_eq!(present(office, &wrong, "user3", old).await, WRONG);
    assert_eq!(waited().await, 2);
    assert_eq!(present("192.0.2.2", &right, "bob", json!({})).await, RIGHT);
    assert_eq!(waited().await, 2);
}
