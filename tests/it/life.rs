//! The promise: an instance starts, or says why not with an exit code and in words; and it survives what a network and
//! its limits do to it. Runs the built program as a real process, without NATS.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::cluster::{admin, admin_key, until};
use crate::support::cluster_client::Browser;
use crate::support::process::{Herald, Launch, read_answer};
use crate::support::within;

const EXIT_FAILURE: i32 = 1;
const EXIT_USAGE: i32 = 64;
const EXIT_CONFIG: i32 = 78;

/// A folder with a configuration that contains the operators' key, and the launch with it.
fn with_key(more: &str) -> (tempfile::TempDir, Launch) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("herald.toml");
    std::fs::write(&path, format!("{more}\n{}", admin_key())).unwrap();
    let launch = Launch::demo()
        .argument("--config")
        .argument(path.to_str().unwrap());
    (folder, launch)
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let check = async |launch: &Launch, code: i32, words: &[&str]| {
        let (found, said) = launch.run().await;
        assert_eq!(found, Some(code), "{launch:?}: {said}");
        assert!(
            words.iter().all(|words| said.contains(words)),
            "{words:?} not in {said}"
        );
    };
    check(&Launch::new(&[]), EXIT_USAGE, &["Usage"]).await;
    check(&Launch::new(&["serve", "--lisen", "x"]), EXIT_USAGE, &["--lisen"]).await;
    check(&Launch::new(&["--version"]), 0, &[]).await;

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let launch = Launch::demo().argument("--listen").argument(&address);
    check(&launch, EXIT_FAILURE, &["http.listen", &address]).await;

    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let unknown = file("unknown.toml", "[limits]\nbody_byte = \"1KiB\"\n");
    let launch = Launch::demo().argument("--config").argument(&unknown);
    check(&launch, EXIT_CONFIG, &["limits.body_byte", "limits.body_bytes"]).await;
    let launch = Launch::demo().argument("--config").argument("/nowhere.toml");
    check(&launch, EXIT_CONFIG, &["/nowhere.toml"]).await;
    let check_set = async |name: &str, value: &str, words: &[&str]| {
        check(&Launch::demo().set(name, value), EXIT_CONFIG, words).await;
    };
    check_set("HERALD_HTTP__LISTEN", "nonsense", &["HERALD_HTTP__LISTEN"]).await;
    check_set("HERALD_BUS__URL", "http://x", &["bus.url"]).await;
    check_set("HERALD_AUTH__USERS_FILE", "/nowhere.toml", &["/nowhere.toml"]).await;
    check_set(
        "HERALD_APPLICATION__TIME_ZONE",
        "Mars/Base",
        &["application.time_zone"],
    )
    .await;
    let broken = file("users.toml", "[[users]]\nname = \"a\"\npassword = \"secret\"\n");
    let (code, said) = Launch::demo().set("HERALD_AUTH__USERS_FILE", &broken).run().await;
    assert_eq!(code, Some(EXIT_CONFIG), "{said}");
    assert!(said.contains(&broken) && !said.contains("secret"), "{said}");
}

/// An orchestrator may change its mind at once: the line `serving` promises that a signal drains.
#[tokio::test]
async fn a_signal_right_behind_the_start_ends_it_in_good_order() {
    let launch = Launch::demo().set("HERALD_DRAIN__BALANCER_WAIT", "0s");
    for _ in 0..8 {
        let (code, said) = launch.terminate_at_once().await;
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("\"drained\""), "{said}");
    }
}

#[tokio::test]
async fn users_come_from_the_configuration() {
    let hash = herald::auth::users::demo_users()[0].password.expose().to_owned();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("herald.toml");
    let user = |name, role| {
        format!(
            "[[auth.users]]\nname = \"{name}\"\npassword = \"{hash}\"\nroles = [\"ROLE_USER\", \"{role}\"]\n"
        )
    };
    std::fs::write(&path, user("alice", "ROLE_X") + &user("root", "ROLE_ADMIN")).unwrap();
    let launch = Launch::new(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--config",
        path.to_str().unwrap(),
    ]);
    let herald = Herald::start("configured", &launch).await;
    let mut alice = Browser::connect(herald.address, "alice").await;
    assert_eq!(alice.connected.header("user-name"), Some("alice"));
    for (user, password) in [("alice", "wrong"), ("nobody", "test"), ("test1", "test")] {
        let end = Browser::attempt(herald.address, user, password)
            .await
            .err()
            .unwrap();
        assert_eq!(
            (end.code, end.error()),
            (4401, Some("authentication failed")),
            "{user}"
        );
    }
    // Without `--demo` a publisher has to authenticate.
    alice.subscribe("/queue/x").await;
    let publish = async |headers: &[(&str, &str)]| {
        let path = "/api/v1/broadcast/queue/x";
        herald.request("POST", path, headers, b"hello").await.status
    };
    assert_eq!(publish(&[]).await, 401);
    // base64 of alice:test and root:test.
    assert_eq!(publish(&[("Authorization", "Basic YWxpY2U6dGVzdA==")]).await, 403);
    assert_eq!(publish(&[("Authorization", "Basic cm9vdDp0ZXN0")]).await, 202);
    assert_eq!(alice.next().await.text(), "hello");
    assert_eq!(herald.lines_with("nobody can log in"), [""; 0]);
}

#[tokio::test]
async fn a_start_without_users_says_so() {
    let herald = Herald::start("empty", &Launch::new(&["serve", "--listen", "127.0.0.1:0"])).await;
    let line = herald.logged("nobody can log in").await;
    assert!(
        line.contains("auth.users_file") && line.contains("WARN"),
        "{line}"
    );
    let end = Browser::attempt(herald.address, "test1", "test")
        .await
        .err()
        .unwrap();
    assert_eq!(end.code, 4401);
}

#[tokio::test]
async fn connections_over_the_limit_get_503() {
    let (_folder, launch) = with_key("[http]\nmax_connections = 3");
    let herald = Herald::start("full", &launch).await;
    // Sessions keep their places.
    let mut browser = Browser::connect(herald.address, "test1").await;
    let others = [
        Browser::connect(herald.address, "test2").await,
        Browser::connect(herald.address, "test2").await,
    ];
    let refused = async {
        loop {
            let answer = herald.get("/livez").await;
            if answer.status == 503 {
                return answer;
            }
        }
    };
    let answer = within("a refusal", refused).await;
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert!(answer.text().contains("http.max_connections (3)"), "{answer:?}");
    browser.subscribe("/queue/x").await;
    drop(others);
    until("a free place", async || herald.get("/livez").await.status == 200).await;
    let metrics = admin(&herald, "GET", "/metrics").await.text();
    assert!(
        metrics.contains("\nherald_connections_refused_total "),
        "{metrics}"
    );
    assert!(
        !metrics.contains("\nherald_connections_refused_total 0\n"),
        "{metrics}"
    );
}

#[tokio::test]
async fn who_dawdles_is_cut_off() {
    let launch = Launch::demo()
        .set("HERALD_HTTP__HEADER_TIMEOUT", "500ms")
        .set("HERALD_LIMITS__CONNECT_TIMEOUT", "500ms");
    let herald = Herald::start("impatient", &launch).await;
    let mut browser = Browser::connect(herald.address, "test1").await;
    for sent in ["", "GET /livez HTTP/1.1\r\nHost: a\r\n", "GET /li"] {
        let begun = Instant::now();
        let mut stream = TcpStream::connect(herald.address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        within("the end", stream.read_to_end(&mut answer)).await.unwrap();
        let after = begun.elapsed();
        let status = read_answer(&answer).map_or(0, |answer| answer.status);
        assert!(matches!(status, 0 | 408), "{sent:?}: {status}");
        assert!(
            after > Duration::from_millis(400) && after < Duration::from_secs(3),
            "{after:?}"
        );
    }
    // A WebSocket without CONNECT.
    let begun = Instant::now();
    let mut stream = TcpStream::connect(herald.address).await.unwrap();
    stream
        .write_all(crate::support::client::UPGRADE.as_bytes())
        .await
        .unwrap();
    let mut answer = Vec::new();
    within("the end", stream.read_to_end(&mut answer)).await.unwrap();
    let text = String::from_utf8_lossy(&answer);
    assert!(
        text.contains("ERROR\n") && text.contains("limits.connect_timeout"),
        "{text:?}"
    );
    assert!(
        answer
            .windows(4)
            .any(|four| four[0] == 0x88 && four[2..] == 1008_u16.to_be_bytes())
    );
    assert!(
        begun.elapsed() > Duration::from_millis(400),
        "{:?}",
        begun.elapsed()
    );
    // Neither time-out applies to a session.
    browser.subscribe("/queue/x").await;
}

#[tokio::test]
async fn health_asks_the_instance_that_the_same_configuration_starts() {
    let herald =
        Herald::start_unready("one", &Launch::demo().set("HERALD_HTTP__BASE_PATH", "/backend")).await;
    let health = |argument: &str| {
        Launch::new(&["health", argument, "--listen", &herald.address.to_string()])
            .set("HERALD_HTTP__BASE_PATH", "/backend")
            // Half of a login is an error for `serve`, and no matter for a question about health.
            .set("HERALD_BUS__PASSWORD_FILE", "/nowhere")
    };
    until("health says ready", async || {
        health("--timeout=5s").run().await.0 == Some(0)
    })
    .await;
    let (code, said) = health("--live").run().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("/backend/livez: ok"), "{said}");
    let gone = health("--live");
    herald.stop().await;
    let (code, said) = gone.run().await;
    assert_eq!(code, Some(EXIT_FAILURE), "{said}");
    assert!(said.contains("no answer"), "{said}");
}
