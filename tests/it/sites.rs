//! The promise: no page of another site changes anything, whatever its browser omits and wherever DNS points its name;
//! and a page of a drop-in deployment works as before, with only its address changed. Runs the built program as a real
//! process; `tests/browser/cross-site.test.mjs` asks a real browser.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::process::{Answer, Herald, Launch, read_answer};
use crate::support::within;

const RAW: &str = "/api/v1/broadcast/queue/message";
/// base64 of admin:test.
const ADMIN: &str = "Basic YWRtaW46dGVzdA==";

/// A request as a browser sends it for a page, with `Host` and the headers `more`.
async fn sent(herald: &Herald, method: &str, path: &str, host: &str, more: &[(&str, &str)]) -> Answer {
    let mut stream = TcpStream::connect(herald.address).await.unwrap();
    let mut head =
        format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 2\r\n");
    for (name, value) in [("Content-Type", "text/plain")].iter().chain(more) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream
        .write_all(format!("{head}\r\nhi").as_bytes())
        .await
        .unwrap();
    let mut answer = Vec::new();
    within("an answer", stream.read_to_end(&mut answer))
        .await
        .unwrap();
    read_answer(&answer).expect("an answer")
}

/// The status of a publish, and what a refusal says.
async fn published(herald: &Herald, host: &str, more: &[(&str, &str)]) -> (u16, String) {
    let answer = sent(herald, "POST", RAW, host, more).await;
    (answer.status, answer.text())
}

#[tokio::test]
async fn what_a_browser_leaves_unsaid_admits_no_other_site() {
    let herald = Herald::start("sites-unsaid", &Launch::demo()).await;
    let host = herald.address.to_string();
    let own = format!("http://{host}");
    // A browser with stored credentials, over plain HTTP, where it says nothing of sites.
    for (method, path) in [("POST", RAW), ("DELETE", "/api/v1/users/test1/sessions")] {
        for origin in [
            "http://evil.example",
            "null",
            "http://127.0.0.1",
            &own.replace("127", "128"),
        ] {
            let headers = [("Origin", origin), ("Authorization", ADMIN)];
            let answer = sent(&herald, method, path, &host, &headers).await;
            assert_eq!(answer.status, 403, "{method} {origin}");
            assert_eq!(answer.json()["type"], "urn:herald:problem:cross-site");
        }
        let answer = sent(
            &herald,
            method,
            path,
            &host,
            &[("Origin", &own), ("Authorization", ADMIN)],
        )
        .await;
        assert_eq!(answer.status, 202, "{method}");
        // No browser.
        assert_eq!(
            sent(&herald, method, path, "anything", &[("Authorization", ADMIN)])
                .await
                .status,
            202
        );
    }
    assert_eq!(
        published(
            &herald,
            &host,
            &[("Origin", "null"), ("Sec-Fetch-Site", "same-site")]
        )
        .await
        .0,
        403
    );
}

#[tokio::test]
async fn a_name_that_dns_may_have_brought_here_publishes_nothing() {
    let herald = Herald::start("sites-rebound", &Launch::demo()).await;
    let port = herald.address.port();
    for name in ["evil.example", "EVIL.example", "evil.example."] {
        let (host, origin) = (format!("{name}:{port}"), format!("http://{name}:{port}"));
        let (status, words) = published(&herald, &host, &[("Origin", &origin)]).await;
        assert_eq!(status, 421, "{host}: {words}");
        assert!(
            words.contains("urn:herald:problem:misdirected") && words.contains("http.hosts"),
            "{words}"
        );
    }
    // A drop-in's pages come by TLS, or from the port of what serves them; and no DNS makes anything of these.
    for (host, origin, site) in [
        (
            "chat.example.com",
            "https://chat.example.com",
            Some("same-origin"),
        ),
        ("chat.example.com", "https://chat.example.com", None),
        ("chat.corp", "http://chat.corp", None),
        ("chat.corp:81", "http://chat.corp:81", None),
        (
            &*format!("localhost:{port}"),
            &*format!("http://localhost:{port}"),
            None,
        ),
        (
            &*format!("127.0.0.1:{port}"),
            &*format!("http://127.0.0.1:{port}"),
            None,
        ),
        (&*format!("[::1]:{port}"), &*format!("http://[::1]:{port}"), None),
    ] {
        let mut headers = vec![("Origin", origin)];
        headers.extend(site.map(|site| ("Sec-Fetch-Site", site)));
        let (status, words) = published(&herald, host, &headers).await;
        assert_eq!(status, 202, "{origin}: {words}");
    }
    let set = |name, value| Launch::demo().set(name, value);
    let proxied = set("HERALD_HTTP__TRUSTED_PROXIES", "[\"127.0.0.1\"]");
    let listed = set("HERALD_HTTP__HOSTS", "[\"*.example\"]");
    let proxied = Herald::start("sites-proxied", &proxied).await;
    let listed = Herald::start("sites-listed", &listed).await;
    for herald in [&proxied, &listed] {
        let host = format!("chat.example:{}", herald.address.port());
        let origin = format!("http://{host}");
        assert_eq!(
            published(herald, &host, &[("Origin", &origin)]).await.0,
            202,
            "{}",
            herald.name
        );
    }
}

#[tokio::test]
async fn hosts_are_the_only_ones_for_pages() {
    let launch = Launch::demo().set("HERALD_HTTP__HOSTS", "[\"chat.example\", \"[::1]\"]");
    let herald = Herald::start("sites-hosts", &launch).await;
    let browser = ("Sec-Fetch-Site", "same-origin");
    for host in ["chat.example", "CHAT.example.:8080", "[::1]:8080"] {
        assert_eq!(published(&herald, host, &[browser]).await.0, 202, "{host}");
    }
    for (host, more) in [
        ("evil.example", ("Origin", "http://evil.example")),
        ("localhost", browser),
        ("127.0.0.1", ("Origin", "http://127.0.0.1")),
    ] {
        let (status, words) = published(&herald, host, &[more]).await;
        assert!(
            status == 421 && words.contains("http.hosts"),
            "{host}: {status} {words}"
        );
        let answer = sent(
            &herald,
            "DELETE",
            "/api/v1/users/a/sessions",
            host,
            &[more, ("Authorization", ADMIN)],
        )
        .await;
        assert_eq!(answer.status, 421, "{host}");
        // Backends, and whoever only reads.
        assert_eq!(published(&herald, host, &[]).await.0, 202, "{host}");
        assert_eq!(sent(&herald, "GET", "/livez", host, &[more]).await.status, 200);
    }
}

#[tokio::test]
async fn a_browser_is_never_asked_for_a_password() {
    let herald = Herald::start("sites-challenge", &Launch::demo()).await;
    let host = herald.address.to_string();
    let own = format!("http://{host}");
    let challenges = async |more: &[(&str, &str)]| {
        let answer = sent(&herald, "GET", "/api/v1/users", &host, more).await;
        assert_eq!(answer.status, 401);
        let head = answer.head.to_ascii_lowercase();
        (
            head.matches("www-authenticate: bearer").count(),
            head.matches("www-authenticate: basic").count(),
        )
    };
    assert_eq!(challenges(&[]).await, (1, 1));
    for from_page in [
        ("Origin", own.as_str()),
        ("Origin", "null"),
        ("Sec-Fetch-Site", "none"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
    ] {
        assert_eq!(challenges(&[from_page]).await, (1, 0), "{from_page:?}");
        assert_eq!(
            challenges(&[from_page, ("Authorization", "Basic eDp5")]).await,
            (1, 0)
        );
    }
}
