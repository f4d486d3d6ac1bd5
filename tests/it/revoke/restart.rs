//! The promise: with `auth.revoked_file` the end of all instances at once, also by `kill -9`, loses no revocation that
//! had its 202; a revocation that cannot be written is refused and changes nothing.

use std::path::Path;

use serde_json::json;

use super::PATH;
use super::cluster::{block, is_revoked};
use crate::support::cluster::{ADMIN, Cluster, admin, admin_key, until};
use crate::support::cluster_client::Browser;
use crate::support::process::{Answer, Herald, Launch};

const JSON: (&str, &str) = ("Content-Type", "application/json");

pub(super) fn launch(folder: &Path) -> Launch {
    let config = folder.join("herald.toml");
    std::fs::write(&config, admin_key()).unwrap();
    Launch::demo()
        .argument("--config")
        .argument(&config.to_string_lossy())
        .set(
            "HERALD_AUTH__REVOKED_FILE",
            &folder.join("kept/revoked").to_string_lossy(),
        )
}

/// A folder for the configuration, and one in it for the file.
pub(super) fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("kept")).unwrap();
    folder
}

async fn is_out(herald: &Herald, user: &str) {
    let refused = Browser::attempt(herald.address, user, "test").await;
    assert!(is_revoked(&refused.err().unwrap()), "{user}");
}

async fn try_block(herald: &Herald, user: &str, lasts: &str) -> Answer {
    let body = json!({"user": user, "block": true, "for": lasts}).to_string();
    herald
        .request("POST", PATH, &[ADMIN, JSON], body.as_bytes())
        .await
}

async fn lift(herald: &Herald, id: &str) -> u16 {
    admin(herald, "DELETE", &format!("{PATH}/{id}")).await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_kill() {
    let folder = folder();
    let launch = launch(folder.path());
    let mut herald = Herald::start("first", &launch).await;
    block(&herald, "test1").await;
    let lifted = block(&herald, "test2").await;
    assert_eq!(lift(&herald, &lifted).await, 202);
    assert_eq!(try_block(&herald, "test3", "1ms").await.status, 202);
    herald.kill();
    // A write of the first was cut off.
    let file = folder.path().join("kept/revoked");
    let whole = std::fs::read_to_string(&file).unwrap();
    let last = whole.lines().last().unwrap();
    std::fs::write(&file, format!("{whole}{}", &last[..last.len() / 2])).unwrap();
    let herald = Herald::start("second", &launch).await;
    assert_eq!(herald.lines_with("is damaged and passed over").len(), 1);
    is_out(&herald, "test1").await;
    for user in ["test2", "test3"] {
        Browser::connect(herald.address, user).await;
    }
    let listed = admin(&herald, "GET", PATH).await.json();
    assert_eq!(listed["revocations"].as_array().unwrap().len(), 1, "{listed}");
    let id = listed["revocations"][0]["id"].as_str().unwrap();
    assert_eq!(lift(&herald, id).await, 202);
    herald.stop().await;
    let herald = Herald::start("third", &launch).await;
    Browser::connect(herald.address, "test1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_written_is_refused_and_changes_nothing() {
    let folder = folder();
    let launch = launch(folder.path());
    let herald = Herald::start("writing", &launch).await;
    let id = block(&herald, "test1").await;
    let mut session = Browser::connect(herald.address, "test2").await;
    // Its folder is gone; a permission would not keep root out.
    let (kept, away) = (folder.path().join("kept"), folder.path().join("away"));
    std::fs::rename(&kept, &away).unwrap();
    let refused = try_block(&herald, "test2", "1h").await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.text().contains("auth.revoked_file"), "{}", refused.text());
    assert!(refused.header("Retry-After").is_some());
    assert_eq!(lift(&herald, &id).await, 503);
    session.subscribe("/queue/still").await;
    Browser::connect(herald.address, "test2").await;
    is_out(&herald, "test1").await;
    let ready = herald.get("/readyz").await;
    assert_eq!(ready.status, 200);
    assert!(ready.text().contains("auth.revoked_file"), "{}", ready.text());
    // It is there again, and has everything with the next one.
    std::fs::rename(&away, &kept).unwrap();
    std::fs::remove_file(kept.join("revoked")).unwrap();
    block(&herald, "test3").await;
    assert!(!herald.get("/readyz").await.text().contains("auth.revoked_file"));
    drop(herald);
    let herald = Herald::start("again", &launch).await;
    is_out(&herald, "test1").await;
    is_out(&herald, "test3").await;
    Browser::connect(herald.address, "test2").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_file_in_a_cluster_is_enough() {
    let folder = folder();
    let file = folder.path().join("kept/revoked");
    let mut cluster = Cluster::start(1).await;
    let keeping = cluster
        .launch()
        .set("HERALD_AUTH__REVOKED_FILE", &file.to_string_lossy());
    let mut keeper = Herald::start("keeper", &keeping).await;
    cluster.until_known(2).await;
    // It is told to the one without a file.
    block(&cluster.instances[0], "test1").await;
    until("the other one has written it", async || {
        std::fs::read_to_string(&file).is_ok_and(|text| text.contains("test1"))
    })
    .await;
    keeper.kill();
    cluster.instances[0].kill();
    cluster.instances.clear();
    let keeper = Herald::start("keeper", &keeping).await;
    is_out(&keeper, "test1").await;
    let other = cluster.add("i1").await;
    is_out(other, "test1").await;
}
