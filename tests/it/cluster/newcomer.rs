//! The promise: a new instance serves as if it had always been there: it learns the newest messages and who is online.

use crate::support::cluster::{Cluster, until, until_online};
use crate::support::cluster_client::Browser;

#[tokio::test]
async fn a_new_instance_knows_what_the_others_know() {
    let mut cluster = Cluster::start(1).await;
    let first = &cluster.instances[0];
    let _resident = Browser::connect(first.address, "test1").await;
    for number in 0..12 {
        let body = format!(r#"{{"message":"m{number}","user":"x"}}"#);
        let answer = first.post("/api/v1/message", "application/json", body).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    let newcomer = cluster.add("i1").await;
    until_online(newcomer, &["test1"]).await;
    let mut browser = Browser::connect(newcomer.address, "test2").await;
    browser.subscribe("/user/queue/init/messages").await;
    let mut bodies = Vec::new();
    // It asks a moment after its start.
    until("the newest messages", async || {
        browser.send("/chat/init/messages", &[], "").await;
        bodies = browser.next().await.json().as_array().unwrap().clone();
        !bodies.is_empty()
    })
    .await;
    let messages: Vec<&str> = bodies
        .iter()
        .map(|body| body["message"].as_str().unwrap())
        .collect();
    assert_eq!(
        messages,
        ["m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9", "m10", "m11"]
    );
}
