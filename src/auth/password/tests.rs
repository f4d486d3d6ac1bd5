//! The promise of [`Verifier`]: bounded work, one hash for equal logins, successes remembered, everything freed.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::Poll;

use super::*;
use crate::limit::Limit;
use crate::setting::Findings;
use crate::setting::{ByteSize, HumanDuration};

const RIGHT: &str = "right";

/// A verifier whose computations are counted, and each of which waits to be released.
struct Bench {
    verifier: Arc<Verifier>,
    stored: Arc<StoredHash>,
    computed: Arc<AtomicUsize>,
    release: mpsc::Sender<()>,
}

type Login = Pin<Box<dyn Future<Output = Result<bool, NoOutcome>>>>;

const HERE: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn config(permits: usize, queue: usize) -> LoginConfig {
    LoginConfig {
        permits: Some(permits),
        queue,
        cache_ttl: HumanDuration::secs(60),
        ..LoginConfig::default()
    }
}

impl Bench {
    fn new(permits: usize, queue: usize) -> Self {
        let (release, released) = mpsc::channel();
        let (released, computed) = (Mutex::new(released), Arc::new(AtomicUsize::new(0)));
        let counter = Arc::clone(&computed);
        let matches: Matches = Box::new(move |_, password| {
            counter.fetch_add(1, Ordering::SeqCst);
            released.lock().recv().unwrap();
            match password {
                RIGHT => Outcome::Match,
                "unable" => Outcome::Unable,
                "panic" => panic!("as asked"),
                _ => Outcome::Mismatch,
            }
        });
        Self {
            verifier: Verifier::with(&config(permits, queue), matches).unwrap(),
            stored: stored(),
            computed,
            release,
        }
    }

    /// A login that has been polled once: it waits, or it has come back with an error at once.
    async fn login(&self, user: &str, password: &str) -> Result<Login, NoOutcome> {
        let mut login = self.unpolled(user, password, &self.stored);
        match std::future::poll_fn(|cx| Poll::Ready(login.as_mut().poll(cx))).await {
            Poll::Pending => Ok(login),
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(matches)) => Ok(Box::pin(std::future::ready(Ok(matches)))),
        }
    }

    fn unpolled(&self, user: &str, password: &str, stored: &Arc<StoredHash>) -> Login {
        let (verifier, stored) = (Arc::clone(&self.verifier), Arc::clone(stored));
        let (user, password) = (user.to_owned(), Secret::new(password));
        Box::pin(async move { verify(&verifier, &user, &stored, &password).await })
    }

    fn release(&self, computations: usize) {
        for _ in 0..computations {
            self.release.send(()).unwrap();
        }
    }

    fn computed(&self) -> usize {
        self.computed.load(Ordering::SeqCst)
    }

    /// Waits until this many compute, and this many wait.
    async fn taken(&self, computing: usize, waiting: usize) {
        let free = async {
            while self.verifier.queue.taken() != (computing, waiting) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), free).await.unwrap();
    }
}

async fn verify(
    verifier: &Arc<Verifier>,
    user: &str,
    stored: &Arc<StoredHash>,
    password: &Secret,
) -> Result<bool, NoOutcome> {
    let flight = verifier.begin(AddressGroup::of(HERE), user, stored, password);
    flight.map_err(NoOutcome::Full)?.matches().await
}

fn stored() -> Arc<StoredHash> {
    Arc::new(StoredHash::parse(&phc::cheap("any"), ByteSize::mib(1)).unwrap())
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_computes_nothing() {
    let bench = Bench::new(1, 2);
    let mut waiting = Vec::new();
    for user in ["a", "b", "c"] {
        waiting.push(bench.login(user, RIGHT).await.unwrap());
    }
    assert!(matches!(bench.login("d", RIGHT).await, Err(NoOutcome::Full(_))));
    // Equal to one that waits: it shares its place.
    waiting.push(bench.login("c", RIGHT).await.unwrap());
    assert!(bench.computed() <= 1);
    bench.release(3);
    for login in waiting {
        assert_eq!(login.await, Ok(true));
    }
    assert_eq!(bench.computed(), 3);
    bench.taken(0, 0).await;
    assert!(bench.login("d", "wrong").await.is_ok());
}

#[tokio::test]
async fn equal_logins_share_one_computation() {
    let bench = Bench::new(2, 10);
    for (password, expected) in [("wrong", false), (RIGHT, true)] {
        let before = bench.computed();
        let mut logins = Vec::new();
        for _ in 0..20 {
            logins.push(bench.login("alice", password).await.unwrap());
        }
        bench.release(1);
        for login in logins {
            assert_eq!(login.await, Ok(expected));
        }
        assert_eq!(bench.computed(), before + 1);
    }
    assert!(bench.verifier.flights.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn successes_are_remembered_for_a_time_and_failures_never() {
    let bench = Bench::new(1, 1);
    let check = async |user: &str, password: &str, stored: &Arc<StoredHash>, computes: usize| {
        let before = bench.computed();
        bench.release(computes);
        let outcome = bench.unpolled(user, password, stored).await;
        assert_eq!(outcome, Ok(password == RIGHT));
        assert_eq!(bench.computed() - before, computes, "{user} {password}");
    };
    check("alice", "wrong", &bench.stored, 1).await;
    check("alice", "wrong", &bench.stored, 1).await;
    check("alice", RIGHT, &bench.stored, 1).await;
    check("alice", RIGHT, &bench.stored, 0).await;
    check("alice", "wrong", &bench.stored, 1).await;
    // Another user with the same hash, and the same user with a new hash, are different logins.
    check("bob", RIGHT, &bench.stored, 1).await;
    check("alice", RIGHT, &stored(), 1).await;
    tokio::time::advance(Duration::from_secs(59)).await;
    check("alice", RIGHT, &bench.stored, 0).await;
    tokio::time::advance(Duration::from_secs(2)).await;
    check("alice", RIGHT, &bench.stored, 1).await;
    check("alice", RIGHT, &bench.stored, 0).await;
}

#[tokio::test]
async fn who_goes_away_leaves_nothing_taken() {
    let bench = Bench::new(1, 1);
    let computing = bench.login("a", RIGHT).await.unwrap();
    bench.taken(1, 0).await;
    let queued = bench.login("b", RIGHT).await.unwrap();
    bench.taken(1, 1).await;
    // Out of the queue at once, though the permit is still taken ...
    drop(queued);
    bench.taken(1, 0).await;
    // ... and what computes frees its permit when it is done, awaited or not.
    drop(computing);
    bench.release(1);
    bench.taken(0, 0).await;
    assert_eq!(bench.computed(), 1);
    assert!(bench.verifier.flights.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_longer_than_the_time() {
    let bench = Bench::new(1, 10);
    let _computing = bench.login("a", RIGHT).await.unwrap();
    let began = Instant::now();
    let (late, shares) = (bench.login("b", RIGHT).await, bench.login("b", RIGHT).await);
    for login in [late, shares] {
        let Err(NoOutcome::Full(full)) = login.unwrap().await else {
            panic!("it had a turn")
        };
        assert_eq!(full.limit, Limit::LoginQueueTimeout);
    }
    assert_eq!(began.elapsed(), LoginConfig::default().queue_timeout.0);
    assert_eq!(bench.verifier.queue.taken(), (1, 0));
    bench.release(1);
    bench.taken(0, 0).await;
    assert!(bench.verifier.flights.lock().is_empty());
}

#[tokio::test]
async fn who_is_pushed_out_is_told() {
    let bench = Bench::new(1, 1);
    let computing = bench.login("a", RIGHT).await.unwrap();
    let pushed_out = bench.login("b", RIGHT).await.unwrap();
    let there = AddressGroup::of(std::net::Ipv4Addr::new(192, 0, 2, 1).into());
    let mut other = bench
        .verifier
        .begin(there, "c", &bench.stored, &Secret::new(RIGHT))
        .unwrap();
    assert!(matches!(pushed_out.await, Err(NoOutcome::Full(_))));
    bench.release(2);
    assert_eq!((computing.await, other.matches().await), (Ok(true), Ok(true)));
    assert!(bench.verifier.flights.lock().is_empty());
}

#[tokio::test]
async fn one_thread_computes_all_that_wait_though_one_panics() {
    let bench = Bench::new(1, 10);
    let mut logins = Vec::new();
    for (user, password) in [("a", RIGHT), ("b", "panic"), ("c", RIGHT)] {
        logins.push(bench.login(user, password).await.unwrap());
    }
    bench.release(3);
    let mut outcomes = Vec::new();
    for login in logins {
        outcomes.push(login.await);
    }
    assert_eq!(outcomes, [Ok(true), Err(NoOutcome::Unable), Ok(true)]);
    bench.taken(0, 0).await;
}

#[tokio::test]
async fn one_who_stays_keeps_a_shared_login_in_the_queue() {
    let bench = Bench::new(1, 1);
    let computing = bench.login("a", RIGHT).await.unwrap();
    let leaves = bench.login("b", RIGHT).await.unwrap();
    let stays = bench.login("b", RIGHT).await.unwrap();
    drop(leaves);
    bench.release(2);
    assert_eq!(computing.await, Ok(true));
    assert_eq!(stays.await, Ok(true));
}

#[tokio::test]
async fn a_fault_is_no_wrong_password_and_leaves_nothing_taken() {
    let bench = Bench::new(1, 1);
    for fault in ["unable", "panic"] {
        let login = bench.login("alice", fault).await.unwrap();
        bench.release(1);
        assert_eq!(login.await, Err(NoOutcome::Unable), "{fault}");
        bench.taken(0, 0).await;
    }
    assert!(bench.verifier.flights.lock().is_empty());
}

#[tokio::test]
async fn real_hashes_decide() {
    let verifier = Verifier::new(&config(1, 1)).unwrap();
    let stored = Arc::new(StoredHash::parse(&phc::cheap("secret"), ByteSize::mib(1)).unwrap());
    for (password, expected) in [("secret", true), ("secret", true), ("Secret", false), ("", false)] {
        let found = verify(&verifier, "alice", &stored, &Secret::new(password)).await;
        assert_eq!(found, Ok(expected), "{password:?}");
    }
}

#[test]
fn no_two_logins_have_one_key() {
    let verifier = Verifier::new(&config(1, 1)).unwrap();
    let stored = stored();
    let key = |user: &str, password: &str| verifier.key(user, &stored, &Secret::new(password));
    assert_eq!(key("ab", "c"), key("ab", "c"));
    assert_ne!(key("ab", "c"), key("a", "bc"));
    let text = stored.text();
    assert_ne!(key(&format!("a{text}"), "p"), key("a", &format!("{text}p")));
    let other = Verifier::new(&config(1, 1)).unwrap();
    assert_ne!(key("ab", "c"), other.key("ab", &stored, &Secret::new("c")));
}

#[test]
fn settings_out_of_range_are_named() {
    let check = |config: LoginConfig, expected: &str| {
        let mut findings = Findings::default();
        config.check(&mut findings);
        let found = findings.into_result().map_err(|finding| finding.to_string());
        assert!(
            found.as_ref().is_err_and(|error| error.starts_with(expected)),
            "{found:?}"
        );
    };
    check(config(0, 1), "login.permits: expected 1 to 1024, got 0");
    check(config(usize::MAX, 1), "login.permits: ");
    check(config(1, usize::MAX), "login.queue: ");
    let mut large = config(1, 1);
    large.cache_entries = usize::MAX;
    check(large, "login.cache_entries: ");
}

#[test]
fn without_entries_nothing_is_remembered() {
    let mut off = config(1, 1);
    off.cache_entries = 0;
    assert!(Verifier::new(&off).unwrap().cache.is_none());
}
