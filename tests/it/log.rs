//! The promise: a reader of the log, or a missing one, never holds up serving; and a signal that asks for nothing ends
//! nothing. Runs the built program as a real process, without NATS.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::cluster::until;
use crate::support::cluster_client::Browser;
use crate::support::ports;
use crate::support::process::{Answer, Herald, Launch, request};
use crate::support::within;

/// base64 of admin:test.
const ADMIN: (&str, &str) = ("Authorization", "Basic YWRtaW46dGVzdA==");
/// A line of about 200 bytes for each request: a pipe of 64 KiB is full after some 300.
const REQUESTS: usize = 1_500;

/// The program, whose standard error is a pipe that nobody reads.
struct Unread(Child);

impl Drop for Unread {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn unread(settings: &[(&str, &str)]) -> (Unread, SocketAddr) {
    let address = SocketAddr::from(([127, 0, 0, 1], ports::free()));
    let child = Command::new(env!("CARGO_BIN_EXE_herald"))
        .args(["serve", "--demo"])
        .env_clear()
        .env("HERALD_HTTP__LISTEN", address.to_string())
        .env("HERALD_LOG__LEVEL", "debug")
        .env("HERALD_DRAIN__BALANCER_WAIT", "0s")
        .env("HERALD_DRAIN__SPREAD", "0s")
        .envs(settings.iter().copied())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let child = Unread(child);
    until("it listens", async || {
        tokio::net::TcpStream::connect(address).await.is_ok()
    })
    .await;
    (child, address)
}

async fn ask(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    within("an answer", request(address, method, path, headers, body))
        .await
        .expect("an answer")
}

async fn lost(address: SocketAddr) -> f64 {
    let metrics = ask(address, "GET", "/metrics", &[ADMIN], b"").await;
    assert_eq!(metrics.status, 200, "{}", metrics.text());
    metrics
        .text()
        .lines()
        .find_map(|line| line.strip_prefix("herald_log_lines_lost_total "))
        .and_then(|value| value.parse().ok())
        .expect("the metric")
}

#[tokio::test]
async fn a_reader_that_stalls_costs_lines_and_nothing_else() {
    let (mut herald, address) = unread(&[("HERALD_LOG__QUEUE_LINES", "100")]).await;
    let mut listener = Browser::connect(address, "test1").await;
    listener.subscribe("/queue/x").await;
    for number in 0..REQUESTS {
        let path = format!("/nothing/{number}/{}", "x".repeat(100));
        assert_eq!(ask(address, "GET", &path, &[], b"").await.status, 404);
    }
    assert!(lost(address).await > 0.0);
    // Logins, deliveries and health go on.
    let _late = Browser::connect(address, "test2").await;
    let sent = ask(
        address,
        "POST",
        "/api/v1/broadcast/queue/x",
        &[("Content-Type", "text/plain")],
        b"hi",
    )
    .await;
    assert_eq!(sent.status, 202);
    assert_eq!(listener.next_on("/queue/x").await.body, b"hi");
    assert_eq!(ask(address, "GET", "/livez", &[], b"").await.status, 200);
    // And so does an end in good order.
    let begun = Instant::now();
    let pid = herald.0.id().to_string();
    let killed = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(killed.is_ok_and(|status| status.success()));
    let mut code = None;
    until("its end", async || {
        code = herald.0.try_wait().expect("a child");
        code.is_some()
    })
    .await;
    assert_eq!(code.and_then(|code| code.code()), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn what_waits_is_written_once_somebody_reads() {
    let (mut herald, address) = unread(&[]).await;
    for number in 0..500 {
        let path = format!("/nothing/{number}/{}", "x".repeat(100));
        assert_eq!(ask(address, "GET", &path, &[], b"").await.status, 404);
    }
    assert!(lost(address).await < 1.0);
    let pid = herald.0.id().to_string();
    let killed = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(killed.is_ok_and(|status| status.success()));
    let mut pipe = herald.0.stderr.take().expect("piped");
    let said = tokio::task::spawn_blocking(move || std::io::read_to_string(&mut pipe))
        .await
        .unwrap()
        .unwrap();
    assert!(said.contains("\"message\":\"drained\""), "the last line is there");
    assert!(said.matches("request answered").count() >= 500);
}

#[tokio::test]
async fn a_request_refused_for_who_sends_it_is_logged_with_caller_and_address() {
    const PATH: &str = "/api/v1/users/test1/sessions";
    let herald = Herald::start("log-refused", &Launch::demo()).await;
    let basic = |credentials: &str| {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(credentials);
        format!("Basic {text}")
    };
    let origin = ("Origin", "http://evil.example");
    // Known once the credentials are good, and nothing of them stands there before.
    for (credentials, more, reason, caller) in [
        ("test1:test", None, "forbidden", Some("user:test1")),
        ("test1:s3cret", None, "unauthenticated", None),
        ("nobody:s3cret", None, "unauthenticated", None),
        ("admin:test", Some(origin), "cross-site", None),
    ] {
        let credentials = basic(credentials);
        let mut headers = vec![("Authorization", credentials.as_str())];
        headers.extend(more);
        let seen = herald.lines_with("a request was refused").len();
        assert!(herald.request("DELETE", PATH, &headers, b"").await.status >= 400);
        until("its line", async || {
            herald.lines_with("a request was refused").len() > seen
        })
        .await;
        let text = herald.lines_with("a request was refused").remove(seen);
        let line: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(
            (
                line["reason"].as_str(),
                line["caller"].as_str(),
                line["address"].as_str()
            ),
            (Some(reason), caller, Some("127.0.0.1")),
            "{text}"
        );
        assert!(!text.contains("s3cret") && !text.contains(&credentials), "{text}");
    }
    // A dry run asks for more than its route does.
    let headers = [
        ("Authorization", &*basic("test2:test")),
        ("Content-Type", "application/json"),
    ];
    let path = "/api/v1/notifications?dry_run=true";
    assert_eq!(herald.request("POST", path, &headers, b"{}").await.status, 403);
    until("its line", async || {
        herald
            .lines_with("a request was refused")
            .iter()
            .any(|line| line.contains(r#""caller":"user:test2""#))
    })
    .await;
}

#[tokio::test]
async fn signals_that_ask_for_nothing_are_ignored_with_a_line() {
    let herald = Herald::start("signals", &Launch::demo()).await;
    let mut listener = Browser::connect(herald.address, "test1").await;
    listener.subscribe("/queue/x").await;
    for signal in ["HUP", "USR1", "USR2"] {
        herald.signal(signal);
        until("the line", async || {
            !herald.lines_with(&format!("SIG{signal}")).is_empty()
        })
        .await;
    }
    let sent = herald
        .post("/api/v1/broadcast/queue/x", "text/plain", b"hi")
        .await;
    assert_eq!(sent.status, 202);
    assert_eq!(listener.next_on("/queue/x").await.body, b"hi");
}
