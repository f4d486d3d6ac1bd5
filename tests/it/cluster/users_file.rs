//! The promise: a user who is removed from the users file, or changed in it, loses every session, including those that
//! are just logging in, however many users change at once. Nobody else is affected.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use crate::support::cluster::{ADMIN, admin, admin_key, until};
use crate::support::cluster_client::Browser;
use crate::support::process::{Herald, Launch, request};

/// A users file and the instance that watches it.
struct Watched {
    herald: Herald,
    folder: TempDir,
}

/// A file of these users with these roles. Each has the password `test`.
fn write(folder: &Path, users: impl IntoIterator<Item = (String, &'static str)>) {
    let hash = herald::auth::users::demo_users()[0].password.expose().to_owned();
    let text: String = users
        .into_iter()
        .map(|(name, roles)| {
            format!("[[users]]\nname = \"{name}\"\npassword = \"{hash}\"\nroles = [{roles}]\n")
        })
        .collect();
    // As editors and Kubernetes do it: the file is complete at every moment.
    std::fs::write(folder.join("new"), text).unwrap();
    std::fs::rename(folder.join("new"), folder.join("users.toml")).unwrap();
}

const RELOADS: usize = 8;
const HOUR: Duration = Duration::from_secs(3_600);

const USER: &str = "\"ROLE_USER\"";
const PUBLISHER: &str = "\"ROLE_USER\", \"ROLE_PUBLISHER\"";

impl Watched {
    async fn start(users: impl IntoIterator<Item = (String, &'static str)>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), users);
        std::fs::write(folder.path().join("herald.toml"), admin_key()).unwrap();
        let path = |name| folder.path().join(name).to_string_lossy().into_owned();
        let launch = Launch::new(&[
            "serve",
            "--config",
            &path("herald.toml"),
            "--listen",
            "127.0.0.1:0",
        ])
        .set("HERALD_AUTH__USERS_FILE", &path("users.toml"));
        // A full mailbox delays joins, and gives what may go wrong there the time to do so.
        let launch = launch.set("HERALD_DELIVERY__MAILBOX", "1");
        // A user who is withdrawn here tries again at once, and would be delayed for it.
        let launch = launch.set("HERALD_LOGIN__DELAY", "0s");
        let herald = Herald::start("watching", &launch).await;
        Self { herald, folder }
    }

    async fn sessions(&self, user: &str) -> usize {
        let answer = admin(&self.herald, "GET", &format!("/api/v1/users/{user}")).await;
        answer.json()["sessions"].as_array().unwrap().len()
    }
}

async fn is_withdrawn(browser: &mut Browser) {
    let end = browser.end().await;
    assert_eq!((end.code, end.error()), (4401, Some("authentication failed")));
}

#[tokio::test]
async fn who_is_gone_or_changed_is_closed() {
    let named = |users: &[(&str, &'static str)]| {
        users
            .iter()
            .map(|(n, r)| ((*n).to_owned(), *r))
            .collect::<Vec<_>>()
    };
    let watched = Watched::start(named(&[("stays", USER), ("changes", USER), ("goes", USER)])).await;
    let address = watched.herald.address;
    let mut stays = Browser::connect(address, "stays").await;
    stays.subscribe("/user/queue/x").await;
    let mut closed = Vec::new();
    for user in ["changes", "goes", "goes"] {
        closed.push(Browser::connect(address, user).await);
    }
    write(
        watched.folder.path(),
        named(&[("changes", PUBLISHER), ("stays", USER), ("comes", USER)]),
    );
    for browser in &mut closed {
        is_withdrawn(browser).await;
    }
    assert_eq!(
        Browser::attempt(address, "goes", "test")
            .await
            .err()
            .unwrap()
            .code,
        4401
    );
    Browser::connect(address, "comes").await;
    Browser::connect(address, "changes").await;
    stays.subscribe("/queue/still").await;

    // A broken file changes nothing, and is reported.
    std::fs::write(watched.folder.path().join("users.toml"), "[[users]\n").unwrap();
    watched.herald.logged("the users stay as they were").await;
    Browser::connect(address, "comes").await;
    stays.subscribe("/queue/and/still").await;
}

/// Logins in progress while the file changes: each ends refused, or in a session that is closed. None stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_during_the_reload_does_not_slip_through() {
    let all = |user: &str| [("x".to_owned(), USER), (user.to_owned(), USER)];
    let watched = Watched::start(all("goes")).await;
    let address = watched.herald.address;
    let stop = Arc::new(AtomicBool::new(false));
    let mut audience = Vec::new();
    for _ in 0..20 {
        let mut browser = Browser::connect(address, "x").await;
        browser.subscribe("/queue/load").await;
        // Read and discarded.
        audience.push(tokio::spawn(async move {
            while browser.event_within(HOUR).await.is_some() {}
        }));
    }
    let load = (0..4).map(|_| {
        let stop = stop.clone();
        tokio::spawn(async move {
            let (path, body) = ("/api/v1/broadcast/queue/load", vec![b'x'; 64 << 10]);
            while !stop.load(Ordering::Relaxed) {
                let answer = request(address, "POST", path, &[ADMIN], &body).await.unwrap();
                assert_eq!(answer.status, 202);
            }
        })
    });
    let load: Vec<_> = load.collect();
    let logins: Vec<_> = (0..6)
        .map(|_| {
            let stop = stop.clone();
            tokio::spawn(async move {
                let mut let_in = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let_in.extend(Browser::attempt(address, "goes", "test").await.ok());
                }
                let_in
            })
        })
        .collect();
    let mut reloads = 0;
    while reloads < RELOADS {
        let begun = watched.sessions("goes").await;
        until("logins under way", async || {
            watched.sessions("goes").await >= begun + 20
        })
        .await;
        let before = watched.herald.lines_with("users reloaded").len();
        write(watched.folder.path(), all("other"));
        until("the reload", async || {
            watched.herald.lines_with("users reloaded").len() > before
        })
        .await;
        until("no session is left", async || watched.sessions("goes").await == 0).await;
        reloads += 1;
        if reloads < RELOADS {
            write(watched.folder.path(), all("goes"));
        }
    }
    stop.store(true, Ordering::Relaxed);
    let mut count = 0;
    for login in logins {
        for mut browser in login.await.unwrap() {
            is_withdrawn(&mut browser).await;
            count += 1;
        }
    }
    assert!(count >= 10 * RELOADS, "{count} sessions");
    for load in load {
        load.await.unwrap();
    }
    assert_eq!(watched.sessions("goes").await, 0);
}

/// More names than may wait for the task that closes their sessions: the sessions are found nevertheless.
#[tokio::test]
async fn any_number_of_users_is_withdrawn_at_once() {
    let crowd = |roles| (0..8_000).map(move |number| (format!("u{number}"), roles));
    let stays = || [("stays".to_owned(), USER)];
    let watched = Watched::start(crowd(USER).chain(stays())).await;
    let address = watched.herald.address;
    let mut stays_in = Browser::connect(address, "stays").await;
    let mut closed = Vec::new();
    for number in (0..8_000).step_by(500) {
        closed.push(Browser::connect(address, &format!("u{number}")).await);
    }
    write(watched.folder.path(), crowd(PUBLISHER).chain(stays()));
    for browser in &mut closed {
        is_withdrawn(browser).await;
    }
    stays_in.subscribe("/queue/still").await;
}
