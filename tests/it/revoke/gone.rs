//! The promise: an operator who disconnects before the answer changes nothing: a revocation is in `auth.revoked_file`
//! and in force, or neither.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::restart::{folder, launch};
use crate::support::cluster::{ADMIN, admin, until};
use crate::support::process::Herald;

/// Whom the file blocks.
fn in_file(file: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(file).unwrap();
    let lines = text
        .lines()
        .skip(1)
        .filter_map(|line| serde_json::from_str(line).ok());
    lines
        .filter_map(|line: serde_json::Value| Some(line["user"].as_str()?.to_owned()))
        .collect()
}

/// Whom the instance blocks.
async fn in_force(herald: &Herald) -> BTreeSet<String> {
    let listed = admin(herald, "GET", super::PATH).await.json();
    let users = listed["revocations"].as_array().unwrap().iter();
    users
        .map(|one| one["user"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_hangs_up_changes_nothing() {
    let folder = folder();
    let herald = Herald::start("asked", &launch(folder.path())).await;
    for number in 0..100 {
        let body = json!({"user": format!("u{number}"), "block": true, "for": "1h"}).to_string();
        let mut stream = TcpStream::connect(herald.address).await.unwrap();
        let request = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\n{}: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            super::PATH,
            herald.address,
            ADMIN.0,
            ADMIN.1,
            body.len(),
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        // Where it is by now is as it comes: read, being written, in force.
        tokio::time::sleep(Duration::from_micros(100 * (number % 40))).await;
    }
    super::cluster::block(&herald, "last").await;
    let file = folder.path().join("kept/revoked");
    until("the file and the instance have the same", async || {
        let (kept, listed) = (in_file(&file), in_force(&herald).await);
        kept == listed && kept.contains("last")
    })
    .await;
}
