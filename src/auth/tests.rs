//! The promise of the authenticator as a whole: who is let in, what an unknown user costs, and what a change of the
//! users file does.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::timeout;

use super::password::Outcome;
use super::phc::StoredHash;
use super::*;
use crate::limit::Limit;
use crate::setting::HumanDuration;
use crate::setting::Secret;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

fn credentials(user: &str, password: &str) -> Credentials {
    Credentials::new(user, password).unwrap()
}

fn entry(name: &str, password: &str) -> UserEntry {
    UserEntry {
        name: name.parse().unwrap(),
        password: Secret::new(phc::cheap(password)),
        roles: vec!["ROLE_USER".parse().unwrap()],
        attributes: Default::default(),
    }
}

fn authenticator(config: &Config) -> Arc<Authenticator> {
    Authenticator::new(config, &LoginConfig::default(), Metrics::new().unwrap()).unwrap()
}

fn opened(config: &Config, login: &LoginConfig) -> Arc<UserStore> {
    Arc::new(KnownUsers::open(config, login, false).unwrap().store)
}

/// An authenticator that checks passwords with `matches` instead of a hash.
fn computing(store: Arc<UserStore>, login: &LoginConfig, matches: password::Matches) -> Authenticator {
    Authenticator {
        session: None,
        anonymous: false,
        callout: None,
        store,
        gates: Gates {
            verifier: Verifier::with(login, matches).unwrap(),
            delays: Delays::new(login),
            inline: Arc::new(Inline::new(0, 2)),
            metrics: Metrics::new().unwrap(),
        },
        bearer: Bearer::new(
            &KnownIssuers::default(),
            Metrics::new().unwrap(),
            Audit::default(),
        ),
        audit: Audit::default(),
        revoked: Revoked::new(1),
        watch: parking_lot::Mutex::default(),
    }
}

/// Users as a file's content, each with a separately created hash.
fn content(users: &[(&str, &str)]) -> String {
    users
        .iter()
        .map(|(name, hash)| format!("[[users]]\nname = {name:?}\npassword = {hash:?}\n"))
        .collect()
}

fn with_file(path: &Path) -> Config {
    Config {
        users_file: Some(path.to_str().unwrap().to_owned()),
        ..Config::default()
    }
}

/// Writes a new file and renames it, as editors do.
fn rename_over(folder: &TempDir, path: &Path, content: &str) {
    let beside = folder.path().join("beside");
    std::fs::write(&beside, content).unwrap();
    std::fs::rename(beside, path).unwrap();
}

async fn next(withdrawn: &mut broadcast::Receiver<UserName>) -> String {
    timeout(PATIENCE, withdrawn.recv())
        .await
        .unwrap()
        .unwrap()
        .to_string()
}

#[tokio::test]
async fn the_right_password_gets_in_and_every_result_is_counted() {
    let config = Config {
        users: vec![entry("alice", "a"), entry("bob", "b")],
        ..Config::default()
    };
    let auth = authenticator(&config);
    let principal = auth.verify(&credentials("alice", "a"), HERE).await.unwrap();
    assert_eq!(principal.user().as_str(), "alice");
    assert!(principal.has_role(crate::principal::ROLE_USER));
    assert!(auth.is_current(&principal));
    for (user, password) in [
        ("alice", "b"),
        ("carol", "a"),
        ("", ""),
        ("Alice", "a"),
        ("alice", ""),
    ] {
        let result = auth.verify(&credentials(user, password), HERE).await;
        assert_eq!(result, Err(AuthError::Failed), "{user} {password}");
    }
    assert_eq!(auth.unusable(HERE), AuthError::Failed);
    let counted = |result| auth.gates.metrics.logins.with_label_values(&[result]).get();
    assert_eq!(
        (counted("ok"), counted("failed"), counted("overloaded")),
        (1, 6, 0)
    );
}

#[tokio::test]
async fn nobody_gets_in_without_users() {
    let auth = authenticator(&Config::default());
    assert!(!auth.has_users());
    let result = auth.verify(&credentials("alice", ""), HERE).await;
    assert_eq!(result, Err(AuthError::Failed));
}

#[tokio::test]
async fn an_unknown_user_costs_exactly_one_hash_like_the_others() {
    let config = Config {
        users: vec![entry("alice", "a")],
        ..Config::default()
    };
    let costs = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&costs);
    let matches: password::Matches = Box::new(move |stored, password| {
        count.fetch_add(1_000 + usize::try_from(stored.cost()).unwrap(), Ordering::SeqCst);
        if stored.matches(password, &mut phc::Memory::default()).unwrap() {
            Outcome::Match
        } else {
            Outcome::Mismatch
        }
    });
    let login = LoginConfig::default();
    let auth = computing(opened(&config, &login), &login, matches);
    for user in ["alice", "carol", "not:a:name", ""] {
        let result = auth.verify(&credentials(user, "wrong"), HERE).await;
        assert_eq!(result, Err(AuthError::Failed));
        assert_eq!(costs.swap(0, Ordering::SeqCst), 1_008, "{user:?}");
    }
}

#[tokio::test]
async fn a_login_that_a_reload_overtakes_does_not_get_in() {
    let login = LoginConfig::default();
    let config = Config {
        users: vec![entry("root", "r")],
        ..Config::default()
    };
    let store = opened(&config, &login);
    let path = users::file::named(&Config {
        users_file: Some("/users.toml".into()),
        ..Config::default()
    })
    .unwrap();
    let hash = phc::cheap("a");
    store
        .replace(&path, content(&[("alice", &hash)]).as_bytes())
        .unwrap();
    // The users change while the password is computed: first others, then alice herself.
    let changes = parking_lot::Mutex::new(vec![
        content(&[("bob", &hash)]),
        content(&[("alice", &hash), ("bob", &hash)]),
    ]);
    let reloaded = Arc::clone(&store);
    let matches: password::Matches = Box::new(move |_, _| {
        let change = changes.lock().pop().unwrap();
        reloaded.replace(&path, change.as_bytes()).unwrap();
        Outcome::Match
    });
    // Nothing remembered: each login computes.
    let forgetful = LoginConfig {
        cache_entries: 0,
        ..login
    };
    let auth = computing(store, &forgetful, matches);
    let alice = credentials("alice", "a");
    let principal = auth.verify(&alice, HERE).await.unwrap();
    assert_eq!(auth.verify(&alice, HERE).await, Err(AuthError::Failed));
    assert!(!auth.is_current(&principal));
}

#[tokio::test]
async fn a_changed_file_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.toml");
    let hashes = [phc::cheap("old"), phc::cheap("new")];
    std::fs::write(&path, content(&[("alice", &hashes[0]), ("bob", &hashes[0])])).unwrap();
    let auth = authenticator(&with_file(&path));
    let mut withdrawn = auth.withdrawn();
    let old = credentials("alice", "old");
    let alice = auth.verify(&old, HERE).await.unwrap();
    let bob = auth.verify(&credentials("bob", "old"), HERE).await.unwrap();

    // A new password: the old one is not remembered.
    rename_over(
        &folder,
        &path,
        &content(&[("alice", &hashes[1]), ("bob", &hashes[0])]),
    );
    assert_eq!(next(&mut withdrawn).await, "alice");
    assert!(!auth.is_current(&alice));
    assert!(auth.is_current(&bob));
    assert_eq!(auth.verify(&old, HERE).await, Err(AuthError::Failed));
    let alice = auth.verify(&credentials("alice", "new"), HERE).await.unwrap();

    // Written in place, without bob.
    std::fs::write(&path, content(&[("alice", &hashes[1])])).unwrap();
    assert_eq!(next(&mut withdrawn).await, "bob");
    assert!(auth.is_current(&alice));
    assert!(!auth.is_current(&bob));
    assert!(withdrawn.try_recv().is_err());
}

#[tokio::test]
async fn a_config_map_is_followed() {
    // Kubernetes: users.toml -> ..data/users.toml, ..data -> a folder; an update renames a new ..data over the old.
    let folder = tempfile::tempdir().unwrap();
    let hash = phc::cheap("x");
    let place = |name: &str, users: &str| {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join(name).join("users.toml"), users).unwrap();
        std::os::unix::fs::symlink(name, folder.path().join("..data_tmp")).unwrap();
        std::fs::rename(folder.path().join("..data_tmp"), folder.path().join("..data")).unwrap();
    };
    place("..1", &content(&[("alice", &hash), ("bob", &hash)]));
    let path = folder.path().join("users.toml");
    std::os::unix::fs::symlink("..data/users.toml", &path).unwrap();
    let auth = authenticator(&with_file(&path));
    let mut withdrawn = auth.withdrawn();
    place("..2", &content(&[("bob", &hash)]));
    assert_eq!(next(&mut withdrawn).await, "alice");
}

#[tokio::test(start_paused = true)]
async fn a_change_without_an_event_is_found_in_time() {
    // A link into another folder, and its target written in place: nothing happens in the folder that is watched.
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let target = elsewhere.path().join("target");
    let path = folder.path().join("users.toml");
    std::fs::write(&target, content(&[("alice", &phc::cheap("x"))])).unwrap();
    std::os::unix::fs::symlink(&target, &path).unwrap();
    let auth = authenticator(&with_file(&path));
    let mut withdrawn = auth.withdrawn();
    // After the first look, so that only polling can find it.
    tokio::time::sleep(Duration::from_secs(1)).await;
    std::fs::write(&target, "").unwrap();
    let name = timeout(Duration::from_secs(60), withdrawn.recv()).await;
    assert_eq!(name.unwrap().unwrap().as_str(), "alice");
}

#[tokio::test]
async fn the_watch_ends_with_the_authenticator() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.toml");
    std::fs::write(&path, "").unwrap();
    let auth = authenticator(&with_file(&path));
    let store = Arc::downgrade(&auth.store);
    drop(auth);
    let gone = async {
        while store.upgrade().is_some() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
}

#[test]
fn setup_errors_are_said() {
    let outside = Authenticator::new(
        &Config::default(),
        &LoginConfig::default(),
        Metrics::new().unwrap(),
    );
    assert!(matches!(outside, Err(AuthSetupError::NoRuntime)));
}

#[tokio::test(start_paused = true)]
async fn failures_delay_their_user_there_alone_and_a_known_password_never() {
    let login = LoginConfig {
        free_failures: 2,
        delay: HumanDuration::secs(1),
        ..LoginConfig::default()
    };
    let config = Config {
        users: vec![entry("alice", "right")],
        ..Config::default()
    };
    let matches = Box::new(|_: &StoredHash, password: &str| match password {
        "right" => Outcome::Match,
        _ => Outcome::Mismatch,
    });
    let auth = computing(opened(&config, &login), &login, matches);
    let took = async |address: u8, password: &str| {
        let address = std::net::Ipv4Addr::new(192, 0, 2, address).into();
        let before = tokio::time::Instant::now();
        let result = auth.verify(&credentials("alice", password), address).await;
        assert_eq!(result.is_ok(), password == "right", "{result:?}");
        before.elapsed().as_secs()
    };
    assert_eq!([took(1, "a").await, took(1, "b").await], [0, 0]);
    assert_eq!([took(1, "c").await, took(1, "d").await], [1, 2]);
    assert_eq!(took(2, "right").await, 0, "from elsewhere");
    assert_eq!(took(1, "right").await, 0, "known to be right");
    // A success clears earlier failures.
    assert_eq!(
        [took(1, "e").await, took(1, "f").await, took(1, "g").await],
        [0, 0, 1]
    );
    assert_eq!(auth.gates.metrics.limit_hits(Limit::LoginDelay), 3);
}
