//! An operator at any instance sees and ends a user's sessions on all of them, and is told which instances did not
//! answer.

use std::time::{Duration, Instant};

use crate::support::cluster::{Cluster, admin, until};
use crate::support::cluster_client::Browser;

#[tokio::test]
async fn a_user_is_disconnected_everywhere() {
    let cluster = Cluster::start(2).await;
    let mut ended = Vec::new();
    let mut others = Vec::new();
    for herald in &cluster.instances {
        ended.push(Browser::connect(herald.address, "test1").await);
        ended.push(Browser::connect(herald.address, "test1").await);
        others.push(Browser::connect(herald.address, "test2").await);
    }
    let answer = admin(&cluster.instances[1], "DELETE", "/api/v1/users/test1/sessions").await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    for mut browser in ended {
        let end = browser.end().await;
        assert_eq!(
            (end.code, end.error()),
            (4403, Some("disconnected by an operator"))
        );
    }
    for mut browser in others {
        browser.subscribe("/queue/x").await;
    }
    let unauthorized = cluster.instances[0]
        .request("DELETE", "/api/v1/users/test2/sessions", &[], b"")
        .await;
    assert_eq!(unauthorized.status, 401);
}

#[tokio::test]
async fn a_users_sessions_are_listed_and_a_silent_instance_is_named() {
    let cluster = Cluster::start(2).await;
    let mut browsers = Vec::new();
    for herald in &cluster.instances {
        let mut browser = Browser::connect(herald.address, "test1").await;
        browser.subscribe("/queue/x").await;
        browser.subscribe("/user/queue/y").await;
        browsers.push(browser);
    }
    let asked = &cluster.instances[0];
    let listed = async || admin(asked, "GET", "/api/v1/users/test1").await.json();
    let all = listed().await;
    let mut expected: Vec<_> = browsers
        .iter()
        .map(|browser| {
            (
                browser.connected.header("instance"),
                browser.connected.header("session"),
            )
        })
        .collect();
    let sessions = all["sessions"].as_array().unwrap();
    let mut found: Vec<_> = sessions
        .iter()
        .map(|session| (session["instance"].as_str(), session["session"].as_str()))
        .collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    for session in sessions {
        assert_eq!(
            session["subscriptions"],
            serde_json::json!(["/queue/x", "/user/queue/y"])
        );
        assert_eq!(session["address"], "127.0.0.1");
    }
    assert_eq!(all["silent"], serde_json::json!([]));

    cluster.instances[1].pause().await;
    let begun = Instant::now();
    let some = listed().await;
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(some["silent"], serde_json::json!(["i1"]));
    assert_eq!(some["sessions"].as_array().unwrap().len(), 1);
    assert_eq!(some["online"], true);

    cluster.instances[1].signal("CONT");
    until("the instance answers again", async || listed().await == all).await;
}
