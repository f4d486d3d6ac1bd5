//! The promise: what operators do is recorded whatever the log's level is and whoever reads the log or the audit, and
//! the audit's file can be rotated. Runs the built program as a real process, without NATS.

use std::path::Path;

use serde_json::Value;

use crate::support::cluster::until;
use crate::support::process::{Answer, Herald, Launch};

mod identity;

/// base64 of admin:test.
const ADMIN: (&str, &str) = ("Authorization", "Basic YWRtaW46dGVzdA==");
const JSON: (&str, &str) = ("Content-Type", "application/json");

async fn disconnect(herald: &Herald, user: &str) -> Answer {
    let path = format!("/api/v1/users/{user}/sessions");
    herald.request("DELETE", &path, &[ADMIN], b"").await
}

async fn silence(herald: &Herald) {
    let off = br#"{"level":"off"}"#;
    let answer = herald
        .request("PUT", "/api/v1/debug/log", &[ADMIN, JSON], off)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// The lines of the audit in `text`, but for the one of the start.
fn audited(text: &str) -> Vec<Value> {
    text.lines()
        .filter(|line| line.contains("herald::audit"))
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .filter(|line: &Value| line["event"] != "start")
        .collect()
}

/// Of the file at `path`, once there are `count`.
async fn file_lines(path: &Path, count: usize) -> Vec<Value> {
    let read = || audited(&std::fs::read_to_string(path).unwrap_or_default());
    until("the lines of the audit", async || read().len() >= count).await;
    read()
}

/// That `line` says so.
#[track_caller]
fn assert_says(line: &Value, event: &str, user: &str, outcome: &str) {
    assert_eq!(
        (
            line["event"].as_str(),
            line["what"]["user"].as_str(),
            line["outcome"].as_str()
        ),
        (Some(event), Some(user), Some(outcome)),
        "{line}"
    );
}

#[tokio::test]
async fn a_silent_log_silences_no_audit() {
    let herald = Herald::start("audit-stderr", &Launch::demo()).await;
    silence(&herald).await;
    assert_eq!(disconnect(&herald, "test1").await.status, 202);
    until("both lines", async || {
        herald.lines_with("disconnect-user").len() == 2
    })
    .await;
    let lines = audited(&herald.lines_with("herald::audit").join("\n"));
    assert_eq!(lines[0]["event"], "set-log-level");
    assert_eq!(
        (&lines[0]["what"]["level"], &lines[0]["who"]),
        (&"off".into(), &"user:admin".into())
    );
    // Whom it refuses, too.
    let wrong = [("Authorization", "Basic dGVzdDE6d3Jvbmc=")];
    let answer = herald.request("GET", "/api/v1/users", &wrong, b"").await;
    assert_eq!(answer.status, 401, "{}", answer.text());
    until("the refused login", async || {
        herald.lines_with("login-refused").len() == 1
    })
    .await;
    // What was asked for here, and what this instance did as all others.
    let mut outcomes: Vec<&str> = lines[1..]
        .iter()
        .filter_map(|line| line["outcome"].as_str())
        .collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["accepted", "done"]);
    let asked = lines
        .iter()
        .find(|line| line["address"] == "127.0.0.1" && line["event"] == "disconnect-user");
    assert_says(
        asked.expect("from an address"),
        "disconnect-user",
        "test1",
        "accepted",
    );
}

#[tokio::test]
async fn a_file_is_appended_to_and_followed_when_it_is_rotated() {
    let folder = tempfile::tempdir().unwrap();
    let (path, moved) = (folder.path().join("audit.log"), folder.path().join("audit.log.1"));
    std::fs::write(&path, "from before\n").unwrap();
    let launch = Launch::demo().set("HERALD_AUDIT__FILE", path.to_str().unwrap());
    let herald = Herald::start("audit-file", &launch).await;
    assert_eq!(disconnect(&herald, "test1").await.status, 202);
    file_lines(&path, 2).await;
    assert!(
        std::fs::read_to_string(&path)
            .unwrap()
            .starts_with("from before\n")
    );
    assert!(herald.lines_with("herald::audit").is_empty());
    std::fs::rename(&path, &moved).unwrap();
    assert_eq!(disconnect(&herald, "test2").await.status, 202);
    for line in file_lines(&path, 2).await {
        assert_says(
            &line,
            "disconnect-user",
            "test2",
            line["outcome"].as_str().unwrap(),
        );
    }
    assert_eq!(file_lines(&moved, 2).await.len(), 2);
    std::fs::File::create(&path).unwrap();
    assert_eq!(disconnect(&herald, "test3").await.status, 202);
    assert_eq!(file_lines(&path, 2).await.len(), 2);
    // What was queued when it ends is written.
    assert_eq!(disconnect(&herald, "test4").await.status, 202);
    herald.stop().await;
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.ends_with('\n') && audited(&text).iter().any(|line| line["what"]["user"] == "test4"));
}

#[tokio::test]
async fn a_full_disk_costs_lines_which_are_counted_and_nothing_else() {
    let launch = Launch::demo().set("HERALD_AUDIT__FILE", "/dev/full");
    let herald = Herald::start("audit-full", &launch).await;
    silence(&herald).await;
    assert_eq!(disconnect(&herald, "test1").await.status, 202);
    until("the count", async || {
        let metrics = herald.request("GET", "/metrics", &[ADMIN], b"").await;
        metrics
            .text()
            .lines()
            .any(|line| line == "herald_audit_lost_total 4")
    })
    .await;
}

#[tokio::test]
async fn a_write_that_fails_is_said_once_in_a_while_with_its_cause() {
    let launch = Launch::demo().set("HERALD_AUDIT__FILE", "/dev/full");
    let herald = Herald::start("audit-full-said", &launch).await;
    for user in ["test1", "test2", "test3"] {
        assert_eq!(disconnect(&herald, user).await.status, 202);
    }
    let line = herald.logged("a line of the audit cannot be written").await;
    assert!(line.contains("No space left") && line.contains("WARN"), "{line}");
    until("all are lost", async || {
        let metrics = herald.request("GET", "/metrics", &[ADMIN], b"").await;
        let text = metrics.text();
        text.lines().any(|line| line == "herald_audit_lost_total 7")
    })
    .await;
    assert_eq!(
        herald.lines_with("a line of the audit cannot be written").len(),
        1
    );
}

#[tokio::test]
async fn a_rotation_that_leaves_no_place_for_a_new_file_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let (path, moved) = (folder.path().join("audit.log"), folder.path().join("audit.log.1"));
    let launch = Launch::demo().set("HERALD_AUDIT__FILE", path.to_str().unwrap());
    let herald = Herald::start("audit-stuck", &launch).await;
    std::fs::rename(&path, &moved).unwrap();
    // Root may write to every folder, but a folder is no file.
    std::fs::create_dir(&path).unwrap();
    for user in ["test1", "test2"] {
        assert_eq!(disconnect(&herald, user).await.status, 202);
    }
    let line = herald.logged("audit.file was moved").await;
    assert!(line.contains("expected a file"), "{line}");
    // Nothing is lost.
    assert_eq!(file_lines(&moved, 4).await.len(), 4);
    assert_eq!(herald.lines_with("audit.file was moved").len(), 1);
}
