//! The promise: each login is one question, bounded, delayed after failures, remembered only if so configured, and
//! nobody is let in without a clear acceptance. Time stands still unless a test advances it.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use parking_lot::Mutex;

use super::*;
use crate::auth::credentials::Credentials;
use crate::auth::delay::Delays;
use crate::auth::inline::Inline;
use crate::auth::password::Verifier;
use crate::auth::revoked::entry::{Revocation, RevocationId, Whom};
use crate::limit::Limit;
use crate::principal::{Attributes, UserName};
use crate::setting::{HumanDuration, Secret};

/// What the backend does with a question.
type Does = Box<dyn Fn(&str) -> BoxFuture<'static, Result<Bytes, NoAnswer>> + Send + Sync>;

struct Backend {
    does: Does,
    asked: AtomicUsize,
    at_once: Arc<AtomicUsize>,
    most: AtomicUsize,
    questions: Mutex<Vec<String>>,
}

impl Backend {
    fn new(
        does: impl Fn(&str) -> BoxFuture<'static, Result<Bytes, NoAnswer>> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            does: Box::new(does),
            asked: AtomicUsize::new(0),
            at_once: Arc::default(),
            most: AtomicUsize::new(0),
            questions: Mutex::default(),
        })
    }

    /// A backend that answers each question at once.
    fn answering(answer: &'static str) -> Arc<Self> {
        Self::new(move |_| Box::pin(std::future::ready(Ok(Bytes::from_static(answer.as_bytes())))))
    }

    /// A backend that never answers.
    fn silent() -> Arc<Self> {
        Self::new(|_| Box::pin(std::future::pending()))
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

struct Out(Arc<AtomicUsize>);

impl Drop for Out {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Ask for Backend {
    fn ask(&self, question: Bytes, _within: Duration) -> BoxFuture<'static, Result<Bytes, NoAnswer>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        let text = String::from_utf8(question.to_vec()).unwrap();
        let (answer, out) = ((self.does)(&text), Out(Arc::clone(&self.at_once)));
        self.questions.lock().push(text);
        Box::pin(async move {
            let _out = out;
            answer.await
        })
    }
}

struct Asker {
    callout: Callout,
    gates: Gates,
    revoked: Arc<Revoked>,
}

impl Asker {
    fn new(backend: &Arc<Backend>, set: impl FnOnce(&mut CalloutConfig, &mut LoginConfig)) -> Self {
        let mut config = CalloutConfig {
            user_prefix: Some("app:".into()),
            ..CalloutConfig::default()
        };
        let mut login = LoginConfig::default();
        set(&mut config, &mut login);
        Self {
            callout: Callout::new(&config, &login, "a", backend.clone()).unwrap(),
            gates: Gates {
                verifier: Verifier::new(&login).unwrap(),
                delays: Delays::new(&login),
                inline: Arc::new(Inline::new(0, 2)),
                metrics: Metrics::new().unwrap(),
            },
            revoked: Revoked::new(10),
        }
    }

    async fn ask(&self, presented: &Presented) -> Result<Principal, AuthError> {
        let from = Circumstances::session([192, 0, 2, 1].into());
        self.callout
            .verify(
                &self.gates,
                &Audit::default(),
                &self.revoked,
                presented,
                &from,
                |_| false,
            )
            .await
    }

    fn count(&self, result: &str) -> u64 {
        self.gates.metrics.callouts.with_label_values(&[result]).get()
    }
}

fn password(user: &str) -> Presented {
    Presented::Password(Credentials::new(user, "x").unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_yes_is_a_user_and_a_no_is_a_failure() {
    let asker = Asker::new(
        &Backend::answering(r#"{"user":"ann","expires_in_ms":5000}"#),
        |_, _| {},
    );
    let ann = asker
        .ask(&Presented::Token(Secret::new("opaque"), None))
        .await
        .unwrap();
    assert_eq!(ann.user().as_str(), "app:ann");
    assert!(ann.ends_ms().is_some() && *ann.attributes() == Attributes::default());
    let asker = Asker::new(&Backend::answering(r#"{"refused":true}"#), |_, _| {});
    assert_eq!(asker.ask(&password("ann")).await, Err(AuthError::Failed));
    let asker = Asker::new(&Backend::answering(r#"{"refused":"expired"}"#), |_, _| {});
    assert_eq!(asker.ask(&password("ann")).await, Err(AuthError::Expired));
    assert_eq!((asker.count("expired"), asker.count("refused")), (1, 0));
}

/// Never a failure of the client's, which would tell it not to come back.
#[tokio::test(start_paused = true)]
async fn without_an_answer_the_client_is_to_come_again() {
    let said = |none: NoAnswer| Backend::new(move |_| Box::pin(std::future::ready(Err(none.clone()))));
    for (backend, result) in [
        (Backend::silent(), "timeout"),
        (Backend::answering("rubbish"), "unusable"),
        (said(NoAnswer::Nobody), "nobody"),
        (said(NoAnswer::Unavailable("x".into())), "unavailable"),
        (said(NoAnswer::Unusable("x".into())), "unusable"),
    ] {
        let asker = Asker::new(&backend, |_, login| login.free_failures = 1);
        for _ in 0..5 {
            let Err(AuthError::Unavailable(Some(wait))) = asker.ask(&password("ann")).await else {
                panic!("{result}");
            };
            assert!((RETRY_AFTER[0]..=RETRY_AFTER[1]).contains(&wait), "{wait:?}");
        }
        assert_eq!(asker.count(result), 5);
        // It was nobody's failure: no later login waits.
        assert_eq!(asker.gates.metrics.limit_hits(Limit::LoginDelay), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn so_many_are_asked_at_once_and_those_who_wait_too_long_are_told() {
    let backend = Backend::silent();
    let asker = Asker::new(&backend, |config, login| {
        config.at_once = 8;
        login.queue = 100;
        login.delay = HumanDuration::secs(0);
    });
    let logins = (0..1_000).map(|n| {
        let asker = &asker;
        async move { asker.ask(&password(&format!("u{n}"))).await }
    });
    let outcomes = join_all(logins).await;
    let (mut unavailable, mut overloaded) = (0, 0);
    for outcome in outcomes {
        match outcome {
            Err(AuthError::Unavailable(Some(_))) => unavailable += 1,
            Err(AuthError::Overloaded(Some(_))) => overloaded += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(unavailable + overloaded, 1_000);
    assert_eq!(unavailable, backend.asked());
    assert_eq!(backend.most.load(Ordering::SeqCst), 8);
    // 900 find the line full; the others are asked in turn, 8 a second, or have waited 8 s.
    assert!((64..=100 + 8).contains(&unavailable), "{unavailable}");
    let full = asker.gates.metrics.limit_hits(Limit::LoginQueue);
    assert!(full >= 892, "{full}");
}

/// Clients that disconnect cannot cause more questions at the same time than clients that stay.
#[tokio::test(start_paused = true)]
async fn a_question_that_is_out_keeps_its_turn_when_its_login_is_dropped() {
    let backend = Backend::silent();
    let asker = Asker::new(&backend, |config, login| {
        config.at_once = 2;
        login.delay = HumanDuration::secs(0);
    });
    for n in 0..10 {
        let login = password(&format!("u{n}"));
        let dropped = tokio::time::timeout(Duration::from_millis(10), asker.ask(&login)).await;
        assert!(dropped.is_err());
    }
    assert_eq!(backend.asked(), 2);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let last = asker.ask(&password("last")).await;
    assert!(matches!(last, Err(AuthError::Unavailable(_))));
    assert_eq!(backend.most.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn refusals_delay_the_next_login_of_that_user() {
    let backend = Backend::answering(r#"{"refused":true}"#);
    let asker = Asker::new(&backend, |_, login| login.free_failures = 2);
    let start = Instant::now();
    for _ in 0..2 {
        assert_eq!(asker.ask(&password("ann")).await, Err(AuthError::Failed));
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(asker.ask(&password("ann")).await, Err(AuthError::Failed));
    assert!(start.elapsed() >= Duration::from_millis(250));
    // A login that leaves before its question was sent has tried nothing.
    let asked = backend.asked();
    let ann = password("ann");
    let dropped = tokio::time::timeout(Duration::from_millis(1), asker.ask(&ann)).await;
    assert!(dropped.is_err());
    assert_eq!(backend.asked(), asked);
    let ben = password("ben");
    let before = Instant::now();
    assert_eq!(asker.ask(&ben).await, Err(AuthError::Failed));
    assert_eq!(before.elapsed(), Duration::ZERO, "another user");
}

#[tokio::test(start_paused = true)]
async fn a_yes_is_remembered_for_as_long_as_it_is_said() {
    let backend = Backend::answering(r#"{"user":"ann"}"#);
    let asker = Asker::new(&backend, |_, _| {});
    for _ in 0..2 {
        asker.ask(&password("ann")).await.unwrap();
    }
    assert_eq!(backend.asked(), 2, "not unless it is asked for");
    let backend = Backend::answering(r#"{"user":"ann"}"#);
    let asker = Asker::new(&backend, |config, _| config.cache = HumanDuration::secs(10));
    let first = asker.ask(&password("ann")).await.unwrap();
    let second = asker.ask(&password("ann")).await.unwrap();
    assert!(first.is_clone_of(&second));
    asker.ask(&password("ben")).await.unwrap();
    assert_eq!((backend.asked(), asker.count("remembered")), (2, 1));
    tokio::time::advance(Duration::from_secs(10)).await;
    asker.ask(&password("ann")).await.unwrap();
    assert_eq!(backend.asked(), 3);
    // An acceptance with an end is not remembered beyond it: one millisecond of the wall clock.
    let backend = Backend::answering(r#"{"user":"ann","expires_in_ms":1}"#);
    let asker = Asker::new(&backend, |config, _| config.cache = HumanDuration::secs(10));
    asker.ask(&password("ann")).await.unwrap();
    std::thread::sleep(Duration::from_millis(5));
    asker.ask(&password("ann")).await.unwrap();
    assert_eq!(backend.asked(), 2);
    // Nor is a refusal.
    let backend = Backend::answering(r#"{"refused":true}"#);
    let asker = Asker::new(&backend, |config, _| config.cache = HumanDuration::secs(10));
    for _ in 0..2 {
        assert_eq!(asker.ask(&password("ann")).await, Err(AuthError::Failed));
    }
    assert_eq!(backend.asked(), 2);
}

/// Revokes everything that the user has had until now.
fn revoke(asker: &Asker, user: &str) {
    revoke_up_to(asker, user, unix_ms());
}

fn revoke_up_to(asker: &Asker, user: &str, up_to_ms: u64) {
    let now = unix_ms();
    let revocation = Revocation {
        id: RevocationId::new(),
        whom: Whom::Issued {
            user: Some(UserName::parse(user).unwrap()),
            issuer: None,
            up_to_ms,
        },
        until_ms: now + asker.callout.longest_life_ms(),
        lifted: false,
        since_ms: now,
        by: "key:ops".into(),
        reason: None,
    };
    asker.revoked.add([revocation]);
}

#[tokio::test(start_paused = true)]
async fn a_yes_of_before_its_users_revocation_is_none_any_more() {
    let backend = Backend::answering(r#"{"user":"ann"}"#);
    let asker = Asker::new(&backend, |config, _| config.cache = HumanDuration::secs(600));
    let before = asker.ask(&password("ann")).await.unwrap();
    asker.ask(&password("ben")).await.unwrap();
    revoke(&asker, "app:ann");
    assert_eq!(asker.revoked.refuses(&before), Some(Shut::Revoked));
    let asked = backend.asked();
    asker.ask(&password("ann")).await.unwrap();
    assert_eq!(backend.asked(), asked + 1, "a remembered yes was given again");
    asker.ask(&password("nobody else's")).await.unwrap();
}

/// A login right after the revocation was told never to come back.
#[tokio::test]
async fn a_yes_of_right_after_a_revocation_is_to_be_asked_for_again() {
    let backend = Backend::answering(r#"{"user":"ann"}"#);
    let asker = Asker::new(&backend, |_, _| {});
    let too_soon = |principal: &Principal| Callout::too_soon(&asker.revoked, principal);
    let before = asker.ask(&password("ann")).await.unwrap();
    assert_eq!(too_soon(&before), None);
    std::thread::sleep(Duration::from_millis(2));
    revoke(&asker, "app:ann");
    assert_eq!(too_soon(&before), None, "it is of before");
    std::thread::sleep(Duration::from_millis(2));
    let after = asker.ask(&password("ann")).await.unwrap();
    assert_eq!(asker.revoked.refuses(&after), Some(Shut::Revoked));
    assert_eq!(too_soon(&after), Some(Duration::from_millis(CLOCKS_MS)));
    // By then it is let in.
    let asker = Asker::new(&backend, |_, _| {});
    revoke_up_to(&asker, "app:ann", unix_ms() - CLOCKS_MS - 1);
    let later = asker.ask(&password("ann")).await.unwrap();
    assert_eq!(asker.revoked.refuses(&later), None);
    // A revocation that reaches into the future applies.
    revoke_up_to(&asker, "app:ann", unix_ms() + 60_000);
    assert_eq!(Callout::too_soon(&asker.revoked, &later), None);
    assert_eq!(asker.revoked.refuses(&later), Some(Shut::Revoked));
}
