//! The promise: before an instance starts, `herald doctor` says what JetStream lacks for history and which right is
//! missing, and leaves nothing behind. If nothing is wrong, it finds nothing.

use serde_json::{Value, json};

use super::unfit::ask;
use crate::support::nats::NatsServer;
use crate::support::process::Launch;
use crate::support::within;

/// What it says of `nats` with these settings: each line's check, status and detail, and the exit code.
async fn doctor(nats: &NatsServer, settings: &[(&str, &str)]) -> (Option<i32>, Vec<Value>) {
    let mut launch = Launch::new(&["doctor", "--demo", "--json", "--listen", "127.0.0.1:0"])
        .set("HERALD_BUS__URL", &nats.url())
        .set("HERALD_HISTORY__ENABLED", "true");
    for (name, value) in settings {
        launch = launch.set(name, value);
    }
    let (code, said) = within("the doctor's end", launch.run()).await;
    let lines = said.lines().filter_map(|line| serde_json::from_str(line).ok());
    (code, lines.collect())
}

/// With the user of docs/nats.md.
const HERALD: [(&str, &str); 2] = [("HERALD_BUS__USER", "herald"), ("HERALD_BUS__PASSWORD", "h")];

#[track_caller]
fn says(lines: &[Value], check: &str, status: &str, words: &str) {
    let is_it = |line: &&Value| {
        line["check"] == check
            && line["status"] == status
            && line["detail"]
                .as_str()
                .is_some_and(|detail| detail.contains(words))
    };
    assert!(
        lines.iter().any(|line| is_it(&line)),
        "{check} {status} {words:?} is not in {lines:#?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_what_the_documents_say_it_finds_no_fault_and_changes_nothing() {
    let nats = NatsServer::start_documented();
    for _ in 0..2 {
        let (code, lines) = doctor(&nats, &HERALD).await;
        assert_eq!(code, Some(0), "{lines:#?}");
        says(&lines, "JetStream", "ok", "on");
        says(&lines, "stream", "ok", "HERALD_BROADCAST is not there yet");
        says(&lines, "stream", "ok", "HERALD_USER is not there yet");
        says(&lines, "replicas", "ok", "stands alone");
        says(&lines, "storage", "ok", "1280MiB more");
        says(&lines, "sync_interval", "unseen", "not seen");
        says(&lines, "history rights", "ok", "all that history needs");
        says(&lines, "clock", "ok", "ms off");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_right_that_is_missing_is_named() {
    let permissions = NatsServer::documented();
    let server = NatsServer::start_with_jetstream(&permissions);
    let mut needed: Vec<&str> = permissions
        .split('"')
        .filter(|text| text.starts_with("$JS."))
        .collect();
    needed.sort_unstable();
    needed.dedup();
    // The account's own is for the doctor alone.
    needed.retain(|subject| *subject != "$JS.API.INFO");
    assert_eq!(needed.len(), 11, "{needed:?}");
    let mut nats = server;
    for subject in needed {
        nats.grant(&permissions.replace(&format!("\"{subject}\""), "\"elsewhere\""));
        let (code, lines) = doctor(&nats, &HERALD).await;
        assert_eq!(code, Some(1), "{subject}: {lines:#?}");
        says(&lines, "history rights", "fail", subject);
        // Where Herald does not manage streams, it may not have to change them.
        if subject.contains("STREAM.UPDATE") || subject.contains("STREAM.CREATE") {
            let manages = [&HERALD[..], &[("HERALD_HISTORY__MANAGE", "false")]].concat();
            let (_, lines) = doctor(&nats, &manages).await;
            match subject.contains("UPDATE") {
                true => says(&lines, "history rights", "warn", subject),
                false => says(&lines, "history rights", "ok", ""),
            }
        }
    }
    nats.grant(&permissions.replace("\"$JS.API.INFO\"", "\"elsewhere\""));
    let (code, lines) = doctor(&nats, &HERALD).await;
    assert_eq!(code, Some(0), "{lines:#?}");
    says(&lines, "storage", "unseen", "not seen");
    nats.grant(&permissions.replace("\"$SYS.REQ.USER.INFO\"", "\"elsewhere\""));
    let (_, lines) = doctor(&nats, &HERALD).await;
    says(&lines, "clock", "unseen", "not seen");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_jetstream_lacks_is_named() {
    let nats = NatsServer::start();
    let (code, lines) = doctor(&nats, &[]).await;
    assert_eq!(code, Some(1), "{lines:#?}");
    says(&lines, "JetStream", "fail", "off");

    let nats = NatsServer::start_with_jetstream("");
    // Nobody makes the streams; a server that stands alone keeps nothing on three.
    let (code, lines) = doctor(
        &nats,
        &[
            ("HERALD_HISTORY__MANAGE", "false"),
            ("HERALD_HISTORY__REPLICAS", "3"),
        ],
    )
    .await;
    assert_eq!(code, Some(1), "{lines:#?}");
    says(
        &lines,
        "stream",
        "fail",
        "HERALD_USER is not there, and history.manage",
    );
    says(&lines, "replicas", "fail", "3");
    // One with other limits, one that cannot become what it has to be.
    let stream = json!({
        "name": "HERALD_BROADCAST", "subjects": ["herald.broadcast.queue.>", "herald.broadcast.topic.>"], "storage": "file",
        "allow_direct": true, "deny_delete": true, "max_age": 60_000_000_000_u64, "duplicate_window": 60_000_000_000_u64,
    });
    ask(&nats, "$JS.API.STREAM.CREATE.HERALD_BROADCAST", stream).await;
    let stream = json!({"name": "HERALD_USER", "subjects": ["herald.user.>"], "storage": "memory", "allow_direct": true});
    ask(&nats, "$JS.API.STREAM.CREATE.HERALD_USER", stream).await;
    let (code, lines) = doctor(&nats, &[]).await;
    assert_eq!(code, Some(1), "{lines:#?}");
    says(&lines, "stream", "warn", "HERALD_BROADCAST has max_age");
    says(&lines, "stream", "fail", "HERALD_USER has storage");

    // An account with less room than the streams are to have.
    let account = "accounts { A { jetstream { max_file: 100MB }, users: [{ user: herald, password: h }] } }";
    let nats = NatsServer::start_with_jetstream(account);
    let (code, lines) = doctor(&nats, &HERALD).await;
    assert_eq!(code, Some(1), "{lines:#?}");
    says(&lines, "storage", "fail", "of the account's");
    // And one without JetStream.
    let account = "accounts { A { users: [{ user: herald, password: h }] } }";
    let nats = NatsServer::start_with_jetstream(account);
    let (_, lines) = doctor(&nats, &HERALD).await;
    says(&lines, "JetStream", "fail", "off for this user's account");
}
