//! Over NATS: a request on `herald.auth.connect`, which any client with the right to listen there may answer. The first
//! answer in time counts. With the permissions of docs/nats.md.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::support::alone;
use crate::support::cluster::ADMIN;
use crate::support::nats::NatsServer;
use crate::support::process::Herald;
use crate::support::tokens::{attempt, is};

const SETTINGS: &str = r#"
    [auth]
    order = ["token", "password", "callout"]
    [auth.callout]
    target = "nats"
    user_prefix = "app:"
    timeout = "5s"
"#;

async fn herald(nats: &NatsServer) -> (tempfile::TempDir, Herald) {
    let settings = [
        ("HERALD_BUS__URL", &*nats.url()),
        ("HERALD_BUS__USER", "herald"),
        ("HERALD_BUS__PASSWORD", "h"),
    ];
    alone::herald("asking", &settings, SETTINGS).await
}

async fn client(nats: &NatsServer, user: &str, password: &str) -> async_nats::Client {
    let options = async_nats::ConnectOptions::with_user_and_password(user.into(), password.into());
    options.connect(nats.url()).await.unwrap()
}

/// Answers as the password of each question demands.
async fn backend(nats: &NatsServer) -> async_nats::Client {
    let client = client(nats, "logins", "l").await;
    let mut questions = client.subscribe("herald.auth.connect").await.unwrap();
    client.flush().await.unwrap();
    let answering = client.clone();
    tokio::spawn(async move {
        while let Some(question) = questions.next().await {
            let asked: Value = serde_json::from_slice(&question.payload).unwrap();
            let reply = question.reply.unwrap();
            let yes = |user: &str| json!({"user": user}).to_string();
            let answers: Vec<(u64, String)> = match asked["credential"].as_str().unwrap() {
                "yes" => vec![(0, yes(asked["user"].as_str().unwrap()))],
                "twice" => vec![(0, yes("first")), (0, yes("second"))],
                "late" => vec![(6_000, yes("late"))],
                "rubbish" => vec![(0, "rubbish".into())],
                "large" => vec![(0, format!(r#"{{"user":"ann","x":"{}"}}"#, "x".repeat(512 << 10)))],
                "silence" => vec![],
                _ => vec![(0, r#"{"refused":true}"#.into())],
            };
            let client = answering.clone();
            tokio::spawn(async move {
                for (wait, answer) in answers {
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                    let _ = client.publish(reply.clone(), answer.into()).await;
                }
            });
        }
    });
    client
}

async fn postponed(herald: &Herald, password: &str) {
    let headers = format!("login:ann\npasscode:{password}\n");
    let mut client = attempt(herald.address, &headers).await;
    super::is_postponed(&mut client, password).await;
}

async fn count(herald: &Herald, result: &str) -> f64 {
    let answer = herald.request("GET", "/metrics", &[ADMIN], b"").await;
    let series = format!("herald_callouts_total{{result=\"{result}\"}} ");
    let text = answer.text();
    let value = text.lines().find_map(|line| line.strip_prefix(&series));
    value.unwrap_or_else(|| panic!("{text}")).parse().unwrap()
}

#[tokio::test]
async fn the_first_answer_in_time_counts() {
    let nats = NatsServer::start_documented();
    let (_folder, herald) = herald(&nats).await;
    // Nobody listens: the server says so at once.
    postponed(&herald, "yes").await;
    assert_eq!(count(&herald, "nobody").await, 1.0);
    let _backend = backend(&nats).await;
    let log_in = async |password: &str| {
        let headers = format!("login:ann\npasscode:{password}\n");
        attempt(herald.address, &headers).await
    };
    is(&mut log_in("yes").await, "app:ann").await;
    is(&mut log_in("twice").await, "app:first").await;
    let mut refused = log_in("no").await;
    refused.expect_error("message:authentication failed", 4401).await;
    for password in ["rubbish", "large", "silence", "late"] {
        postponed(&herald, password).await;
    }
    assert_eq!(count(&herald, "timeout").await, 2.0);
    assert_eq!(count(&herald, "unusable").await, 2.0);
    // The late answer was nobody's.
    is(&mut log_in("yes").await, "app:ann").await;
    // Herald's own users do not need it.
    is(
        &mut attempt(herald.address, "login:test1\npasscode:test\n").await,
        "test1",
    )
    .await;
    let log = herald.stop().await;
    for secret in ["twice", "silence", "rubbish"] {
        assert!(!log.contains(secret), "{log}");
    }
}

/// Who may listen there reads passwords: no other backend may.
#[tokio::test]
async fn only_whoever_decides_may_listen() {
    let nats = NatsServer::start_documented();
    let (_folder, herald) = herald(&nats).await;
    let _backend = backend(&nats).await;
    let orders = client(&nats, "orders", "o").await;
    let mut overheard = orders.subscribe("herald.auth.>").await.unwrap();
    orders.flush().await.unwrap();
    let mut client = attempt(herald.address, "login:ann\npasscode:yes\n").await;
    is(&mut client, "app:ann").await;
    let heard = tokio::time::timeout(Duration::from_millis(300), overheard.next()).await;
    assert!(!matches!(heard, Ok(Some(_))), "{heard:?}");
}
