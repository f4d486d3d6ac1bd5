//! Over HTTP: what a backend is told, what its acceptance and refusal mean, and that no other answer lets anybody in.

use herald::setting::HumanDuration;
use serde_json::json;

use super::{Backend, Does, callouts, is_postponed, log_in};
use crate::support::app::App;
use crate::support::client::Socket;
use crate::support::process;
use crate::support::tokens::{attempt, is};

const YES: &str = r#"{"user":"ann","attributes":{"tenant":"acme"}}"#;

#[tokio::test]
async fn a_backend_decides_and_is_told_by_whom_and_whence() {
    let backend = Backend::saying(YES).await;
    let app = App::with(|config| {
        backend.set(config);
        config.auth.callout.headers = vec!["x-tenant".parse().unwrap(), "cookie".parse().unwrap()];
        config.auth.cookie.name = Some("sid".parse().unwrap());
    })
    .await;
    let mut client = log_in(&app, "ann@example.com").await;
    is(&mut client, "app:ann").await;
    let asked = backend.last_question();
    assert_eq!(asked["form"], "password");
    assert_eq!(asked["user"], "ann@example.com");
    assert_eq!(asked["credential"], "secret");
    assert_eq!(asked["address"], "127.0.0.1");
    assert_eq!(asked["protocol"], "stomp");
    assert_eq!(asked["origin"], json!(null));
    assert!(
        asked["instance"].is_string() && asked.get("headers").is_none(),
        "{asked}"
    );
    // A token that is none of an issuer's, in each of its places.
    for headers in [
        "Authorization:Bearer opaque\n",
        "passcode:opaque\n",
        "X-Authorization:Bearer opaque\n",
    ] {
        let mut client = attempt(app.address, headers).await;
        is(&mut client, "app:ann").await;
        let asked = backend.last_question();
        assert_eq!(
            (&asked["form"], &asked["credential"]),
            (&json!("token"), &json!("opaque"))
        );
        assert!(asked.get("user").is_none(), "{asked}");
    }
    // The cookie of a session of one's own, from one's own page.
    let own = format!("http://{}", app.address);
    let socket = Socket::at(app.address)
        .header("Origin", &own)
        .header("Cookie", "a=b; sid=s3ssion")
        .header("X-Tenant", "acme");
    let (mut client, _) = socket.open().await;
    client.say("CONNECT\naccept-version:1.2\nhost:herald\n\n\0").await;
    is(&mut client, "app:ann").await;
    let asked = backend.last_question();
    assert_eq!(asked["credential"], "s3ssion");
    assert_eq!(asked["origin"], json!(own));
    assert_eq!(
        asked["headers"],
        json!({"x-tenant": "acme", "cookie": "a=b; sid=s3ssion"})
    );
    // Nothing is nobody's to decide about.
    let before = backend.asked();
    let mut client = attempt(app.address, "").await;
    client.expect_error("message:authentication failed", 4401).await;
    assert_eq!((backend.asked(), before), (before, 5));
    assert_eq!(callouts(&app, "ok").await, 5.0);
}

#[tokio::test]
async fn a_no_is_the_clients_fault() {
    let backend = Backend::saying(r#"{"refused":"no such user"}"#).await;
    let app = App::with(|config| backend.set(config)).await;
    let mut client = log_in(&app, "ann").await;
    client.expect_error("message:authentication failed", 4401).await;
    backend.now_says(r#"{"refused":"expired"}"#);
    let mut client = log_in(&app, "ann").await;
    client
        .expect_error("message:token expired\nherald-reason:token-expired", 4401)
        .await;
    // A yes without the role that a session takes.
    backend.now_says(YES);
    let app = App::with(|config| {
        backend.set(config);
        config.auth.callout.roles = Vec::new();
    })
    .await;
    let mut client = log_in(&app, "ann").await;
    client.expect_error("message:authentication failed", 4401).await;
}

/// What is neither a yes nor a no, each by itself: the client is to come again.
#[tokio::test]
async fn no_other_answer_lets_anybody_in_or_blames_anybody() {
    let backend = Backend::saying("").await;
    let app = App::with(|config| {
        backend.set(config);
        config.auth.callout.timeout = HumanDuration::secs(2);
        config.login.delay = HumanDuration::secs(0);
    })
    .await;
    let large = format!(r#"{{"user":"ann","x":"{}"}}"#, "a".repeat(1 << 20));
    let deep = format!(r#"{{"user":"ann","x":{}"#, "[".repeat(10_000));
    let says = |text: &str| Does::Says(text.into());
    let cases = [
        ("rubbish", says("rubbish"), "unusable"),
        ("nothing", says(""), "unusable"),
        ("an array", says(r#"[{"user":"ann"}]"#), "unusable"),
        ("1 MiB", says(&large), "unusable"),
        ("depth", says(&deep), "unusable"),
        (
            "a control character",
            says("{\"user\":\"ann\\u0007\"}"),
            "unusable",
        ),
        (
            "a bidirectional one",
            says("{\"user\":\"ann\\u202e\"}"),
            "unusable",
        ),
        ("two users", says(r#"{"user":"ann","user":"ben"}"#), "unusable"),
        ("yes and no", says(r#"{"user":"ann","refused":true}"#), "unusable"),
        ("a redirect", Does::Answers(302, "/yes", YES), "unusable"),
        ("another redirect", Does::Answers(307, "/yes", YES), "unusable"),
        ("401", Does::Answers(401, "", YES), "unusable"),
        ("404", Does::Answers(404, "", YES), "unusable"),
        ("500", Does::Answers(500, "", YES), "unavailable"),
        ("503", Does::Answers(503, "", YES), "unavailable"),
        ("the end", Does::Leaves, "unavailable"),
        ("silence", Does::Hangs, "timeout"),
    ];
    for (what, does, result) in cases {
        backend.now_does(does);
        let (asked, before) = (backend.asked(), callouts(&app, result).await);
        is_postponed(&mut log_in(&app, "ann").await, what).await;
        assert_eq!(callouts(&app, result).await, before + 1.0, "{what}");
        assert_eq!(
            backend.asked(),
            asked + 1,
            "{what}: asked once, and no redirect followed"
        );
    }
    // Nobody there at all.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let app = App::with(|config| {
        backend.set(config);
        config.auth.callout.target = Some(format!("http://{free}/").parse().unwrap());
    })
    .await;
    is_postponed(&mut log_in(&app, "ann").await, "nobody").await;
    assert_eq!(callouts(&app, "unavailable").await, 1.0);
}

#[tokio::test]
async fn only_the_configuration_makes_words_to_roles() {
    let backend = Backend::saying(r#"{"user":"ann","roles":["ROLE_ADMIN","ROLE_PUBLISHER","chief"]}"#).await;
    let ask = async |app: &App, method: &str, path: &str, body: &[u8]| {
        let credentials = base64(b"ann:secret");
        let credentials = format!("Basic {credentials}");
        let headers = [
            ("Authorization", &*credentials),
            ("Content-Type", "application/json"),
        ];
        let answer = process::request(app.address, method, path, &headers, body).await;
        answer.unwrap()
    };
    let body = br#"{"destination":"/queue/x","payload":"x"}"#;
    let app = App::guarded(|config| backend.set(config)).await;
    assert_eq!(ask(&app, "GET", "/api/v1/users", b"").await.status, 403);
    assert_eq!(ask(&app, "POST", "/api/v1/notifications", body).await.status, 403);
    let app = App::guarded(|config| {
        backend.set(config);
        let role = "ROLE_ADMIN".parse().unwrap();
        config.auth.callout.role_map.insert("chief".into(), role);
    })
    .await;
    assert_eq!(ask(&app, "GET", "/api/v1/users", b"").await.status, 200);
    assert_eq!(backend.last_question()["protocol"], "rest");
    assert_eq!(ask(&app, "POST", "/api/v1/notifications", body).await.status, 202);
    // A bearer that is no key.
    let bearer = async |token: &str| {
        let token = format!("Bearer {token}");
        let headers = [("Authorization", &*token)];
        let answer = process::request(app.address, "GET", "/api/v1/users", &headers, b"").await;
        answer.unwrap()
    };
    assert_eq!(bearer("opaque").await.status, 200);
    assert_eq!(backend.last_question()["form"], "token");
    backend.now_says(r#"{"refused":true}"#);
    assert_eq!(bearer("opaque").await.status, 401);
    backend.now_does(Does::Answers(500, "", ""));
    let answer = bearer("opaque").await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
    assert_eq!(
        answer.json()["type"],
        "urn:herald:problem:identity-unavailable",
        "{}",
        answer.text()
    );
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
