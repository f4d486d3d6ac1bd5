//! The promise: a client that leaves before its password was tried has not failed, a delay ends even if its client has
//! left, and a cheap signature is verified where its token arrived, under the same delays.

use std::sync::{LazyLock, mpsc};
use std::time::Duration;

use super::*;
use crate::auth::LoginConfig;
use crate::auth::password::Outcome;
use crate::auth::phc;
use crate::setting::{ByteSize, HumanDuration};

/// One hash for all tests: successes are remembered for this hash only.
static HASH: LazyLock<String> = LazyLock::new(|| phc::cheap("any"));

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// Gates with one permit, whose computations wait to be released; the password `right` is right.
fn gates(login: &LoginConfig) -> (Gates, mpsc::Sender<()>) {
    let (release, released) = mpsc::channel();
    let released = parking_lot::Mutex::new(released);
    let matches = Box::new(move |_: &StoredHash, password: &str| {
        released.lock().recv().unwrap();
        match password {
            "right" => Outcome::Match,
            _ => Outcome::Mismatch,
        }
    });
    let gates = Gates {
        verifier: Verifier::with(login, matches).unwrap(),
        delays: Delays::new(login),
        inline: Arc::new(Inline::new(0, 2)),
        metrics: Metrics::new().unwrap(),
    };
    (gates, release)
}

fn config() -> LoginConfig {
    LoginConfig {
        permits: Some(1),
        free_failures: 1,
        delay: HumanDuration::secs(1),
        ..LoginConfig::default()
    }
}

async fn login(gates: &Gates, user: &str, password: &str) -> Result<bool, AuthError> {
    let credentials = Credentials::new(user, password).unwrap();
    let stored = Arc::new(StoredHash::parse(&HASH, ByteSize::mib(1)).unwrap());
    gates.matches(&credentials, &stored, HERE).await
}

/// The delay that a login of this user, or by this token, has now.
fn delay<'a>(gates: &Gates, who: impl Into<Who<'a>>) -> Duration {
    let attempt = gates.delays.begin(HERE, who).unwrap();
    let delay = attempt.delay();
    attempt.not_tried();
    delay
}

#[tokio::test]
async fn who_leaves_the_queue_has_not_failed_and_who_leaves_the_computation_has() {
    let (gates, release) = gates(&config());
    let mut computing = Box::pin(login(&gates, "alice", "a"));
    let mut queued = Box::pin(login(&gates, "bob", "a"));
    assert!(futures_util::poll!(&mut computing).is_pending());
    assert!(futures_util::poll!(&mut queued).is_pending());
    for _ in 0..3 {
        drop(queued);
        queued = Box::pin(login(&gates, "bob", "b"));
        assert!(futures_util::poll!(&mut queued).is_pending());
    }
    drop((queued, computing));
    assert_eq!(delay(&gates, "bob"), Duration::ZERO);
    assert_eq!(delay(&gates, "alice"), Duration::from_secs(1));
    release.send(()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_delay_ends_though_its_client_has_left() {
    let (gates, release) = gates(&config());
    release.send(()).unwrap();
    assert_eq!(login(&gates, "alice", "wrong").await, Ok(false));
    let mut delayed = Box::pin(login(&gates, "alice", "right"));
    assert!(futures_util::poll!(&mut delayed).is_pending());
    drop(delayed);
    release.send(()).unwrap();
    // Computed without its client: it is known to be right, and not delayed.
    let began = tokio::time::Instant::now();
    tokio::time::sleep(Duration::from_secs(1)).await;
    while delay(&gates, "alice") > Duration::ZERO {
        tokio::task::yield_now().await;
    }
    assert_eq!(login(&gates, "alice", "right").await, Ok(true));
    assert_eq!(began.elapsed().as_secs(), 1);
}

/// Gates that verify cheap signatures at once.
fn inline_gates() -> Gates {
    let (gates, _) = gates(&config());
    Gates {
        inline: Arc::new(Inline::new(50, 2)),
        ..gates
    }
}

const CHEAP: Option<Duration> = Some(Duration::from_micros(50));

/// Reports through `outcome` on which thread it runs: [`Refusal::Issuer`] here, [`Refusal::Audience`] elsewhere.
fn where_it_runs() -> Prove {
    let here = std::thread::current().id();
    Box::new(move || {
        Outcome::Token(Err(match std::thread::current().id() == here {
            true => Refusal::Issuer,
            false => Refusal::Audience,
        }))
    })
}

#[tokio::test]
async fn a_cheap_signature_is_verified_where_its_token_arrived() {
    let gates = inline_gates();
    let ran = async |digest: u8, cost| gates.proves([digest; 32], cost, where_it_runs(), HERE).await;
    assert_eq!(ran(1, CHEAP).await, Ok(Outcome::Token(Err(Refusal::Issuer))));
    assert_eq!(ran(2, None).await, Ok(Outcome::Token(Err(Refusal::Audience))));
    let dear = Some(Duration::from_secs(1));
    assert_eq!(ran(3, dear).await, Ok(Outcome::Token(Err(Refusal::Audience))));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_signature_delays_the_token_and_then_it_takes_its_turn() {
    let gates = inline_gates();
    let wrong: Prove = Box::new(|| Outcome::Token(Err(Refusal::Signature)));
    let refused = Ok(Outcome::Token(Err(Refusal::Signature)));
    assert_eq!(gates.proves([1; 32], CHEAP, wrong, HERE).await, refused);
    let began = tokio::time::Instant::now();
    let ran = gates.proves([1; 32], CHEAP, where_it_runs(), HERE).await;
    assert_eq!(ran, Ok(Outcome::Token(Err(Refusal::Audience))));
    assert_eq!(began.elapsed().as_secs(), 1);
}

#[tokio::test]
async fn a_verification_that_panics_is_nobodys_failure() {
    let gates = inline_gates();
    let panics: Prove = Box::new(|| panic!("as a test wants it"));
    let ran = gates.proves([1; 32], CHEAP, panics, HERE).await;
    assert_eq!(ran, Err(AuthError::Overloaded(None)));
    assert_eq!(delay(&gates, Who::Token(&[1; 32])), Duration::ZERO);
}
