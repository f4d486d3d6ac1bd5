//! The promise: a key counts as unknown only after an answer that was requested after its token arrived, and as removed
//! only after a complete set. Time stands still except while it is awaited.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;

use super::*;

/// The key of RFC 8037, appendix A, under this name.
fn set(kid: &str) -> String {
    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"{kid}","x":"{x}"}}]}}"#)
}

/// A server that answers one second later with what was true when it was asked.
struct Slow {
    says: Mutex<&'static str>,
    asked: AtomicUsize,
}

impl Fetch for Slow {
    fn get<'a>(&'a self, _: &'a str, _: usize, _: Duration) -> BoxFuture<'a, Result<Fetched, String>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let body = set(*self.says.lock()).into();
        Box::pin(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(Fetched {
                body,
                max_age: None,
                date: None,
            })
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_newer_than_the_question_is_not_unknown() {
    let mut config = IssuerConfig::new("https://id.example", "herald", "id:");
    config.jwks_uri = Some("https://id.example/keys".into());
    let metrics = Metrics::new().unwrap();
    let source = Source::new(&config, Arc::new(Semaphore::new(10)), metrics);
    let server = Arc::new(Slow {
        says: Mutex::new("old"),
        asked: AtomicUsize::new(0),
    });
    let fetch: Arc<dyn Fetch> = server.clone();
    #[expect(clippy::disallowed_methods, reason = "ends with its test")]
    tokio::spawn(Arc::clone(&source).run(fetch, Audit::default()));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(source.current().is_some());
    // An unknown name begins a fetch; the key is replaced while it is in progress.
    let stranger = source.newer(Some("junk"));
    let holder = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        *server.says.lock() = "new";
        source.newer(Some("new")).await
    };
    let twin = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        source.newer(Some("junk")).await
    };
    let (stranger, holder, twin) = tokio::join!(stranger, holder, twin);
    let (stranger, holder, twin) = (stranger.unwrap(), holder.unwrap(), twin.unwrap());
    assert_eq!([stranger.asked, holder.asked, twin.asked], [true, false, true]);
    assert_eq!(server.asked.load(Ordering::SeqCst), 2);
    assert!((Duration::from_secs(28)..Duration::from_secs(30)).contains(&holder.again));
    assert_eq!(source.newer(Some("junk")).await.unwrap_err(), NoKeys::Unknown);
    // Until then the client is told to try again, and then the key is known.
    assert!(matches!(
        source.newer(Some("new")).await.unwrap_err(),
        NoKeys::Unavailable(Some(_))
    ));
    tokio::time::sleep(holder.again).await;
    let found = source.newer(Some("new")).await.unwrap();
    assert!(found.asked && found.set.keys().any(|key| key.kid() == Some("new")));
}

/// A server that answers at once.
struct Says(Mutex<String>);

impl Fetch for Says {
    fn get<'a>(&'a self, _: &'a str, _: usize, _: Duration) -> BoxFuture<'a, Result<Fetched, String>> {
        let body = self.0.lock().clone().into();
        Box::pin(std::future::ready(Ok(Fetched {
            body,
            max_age: None,
            date: None,
        })))
    }
}

/// What is logged on this thread from now on.
fn log() -> (tracing::subscriber::DefaultGuard, Arc<Mutex<Vec<u8>>>) {
    struct Lines(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let lines = Arc::<Mutex<Vec<u8>>>::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || Lines(writer.clone()))
        .finish();
    (tracing::subscriber::set_default(subscriber), lines)
}

#[tokio::test]
async fn a_damaged_set_takes_no_key_away_and_the_next_whole_one_does() {
    let mut config = IssuerConfig::new("https://id.example", "herald", "id:");
    config.jwks_uri = Some("https://id.example/keys".into());
    config.close_on_key_removal = true;
    let source = Source::new(&config, Arc::new(Semaphore::new(1)), Metrics::new().unwrap());
    let entry = |kid: &str| set(kid)[9..].trim_end_matches("]}").to_owned();
    let damaged = entry("b").replace("11q", "!1q");
    let server = Says(Mutex::default());
    let fetched = async |entries: &[&str]| {
        *server.0.lock() = format!("{{\"keys\":[{}]}}", entries.join(","));
        source.fetch(&server, &Audit::default()).await;
        source.gone().now_or_never().is_some()
    };
    let (a, b, c) = (entry("a"), entry("b"), entry("c"));
    assert!(!fetched(&[&a, &b]).await);
    let of_b = source.current().unwrap().keys().nth(1).unwrap().id();
    for entries in [&[&*a, &damaged][..], &[&a, &c, &damaged]] {
        assert!(!fetched(entries).await && source.has(&of_b), "{entries:?}");
    }
    // It is back, and it is removed.
    let (logged, lines) = log();
    assert!(fetched(&[&a, &b]).await, "c is gone");
    drop(logged);
    let lines = String::from_utf8(lines.lock().clone()).unwrap();
    let words = "keys are gone: the sessions of their tokens end";
    assert!(
        lines.contains(words) && lines.contains("gone=1 kids=\"c\""),
        "{lines}"
    );
    assert!(source.has(&of_b));
    assert!(!fetched(&[&a, &damaged]).await && source.has(&of_b));
    assert!(fetched(&[&a]).await && !source.has(&of_b));
    assert!(!fetched(&[&a]).await);
}
