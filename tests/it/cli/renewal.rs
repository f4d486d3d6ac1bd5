//! The promise: a subscription with a token continues after the token expires, if its file contains another one by
//! then, and ends otherwise.

use std::path::Path;
use std::time::Duration;

use super::command::{Cli, Started};
use super::{REFUSED, demo, url};
use crate::support::process::Herald;

/// The demo's issuer lets a token live 30 s longer than it says; one is presented again 10 s before that.
const LIFE: Duration = Duration::from_secs(31);

async fn token(lasts: &str) -> String {
    let line = format!("token mint --demo --user test1 --for {lasts}");
    let minted = Cli::new(&line).run().await;
    assert_eq!(minted.code, Some(0), "{minted:?}");
    minted.out
}

fn subscribe(herald: &Herald, file: &Path) -> Started {
    let cli = Cli::new("subscribe /topic/news -n 1 --json --token-file");
    let subscribed = cli
        .argument(file.to_str().unwrap())
        .set("HERALD_URL", &url(herald))
        .start();
    let said = subscribed.error();
    assert!(said.contains("subscribed to /topic/news"), "{said}");
    subscribed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_lives_over_the_end_of_its_token() {
    let (folder, herald) = demo().await;
    let (renewed, left) = (folder.path().join("renewed"), folder.path().join("left"));
    let first = token("1s").await;
    let began = tokio::time::Instant::now();
    for file in [&renewed, &left] {
        std::fs::write(file, &first).unwrap();
    }
    let (lives, ends) = (subscribe(&herald, &renewed), subscribe(&herald, &left));
    std::fs::write(&renewed, token("1h").await).unwrap();
    // Behind the position.
    lives.error();
    let said = lives.error_within(LIFE);
    assert!(said.contains("renewed for 36"), "{said}");

    ends.error();
    let said = ends.error_within(LIFE * 2);
    assert!(said.contains("token expired") && said.contains("4401"), "{said}");
    assert_eq!(ends.code(), REFUSED);
    // Its time is over, and not that of the other.
    tokio::time::sleep_until(began + LIFE).await;
    let answer = herald
        .post("/api/v1/broadcast/topic/news", "text/plain", "still there")
        .await;
    assert_eq!(answer.status, 202);
    lives.out();
    assert!(lives.out().contains("still there"));
    assert_eq!(lives.more_errors(), Vec::<String>::new());
    assert_eq!(lives.code(), Some(0));
}
