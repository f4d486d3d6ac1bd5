//! The promise: an operator moves a share of one instance's sessions through any instance; that many close with 1001 in
//! waves, the others stay, and the audit records it.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::support::cluster::{Cluster, admin, until};
use crate::support::cluster_client::Browser;
use crate::support::process::{Herald, Launch};

const SESSIONS: usize = 20;

/// The id of `of`, as `herald` knows it.
async fn id_of(herald: &Herald, of: &str) -> String {
    let answer = admin(herald, "GET", "/api/v1/instances").await.json();
    let instances = answer["instances"].as_array().expect("instances");
    let found = instances.iter().find(|instance| instance["name"] == of);
    found.expect("known")["id"].as_str().expect("an id").to_owned()
}

async fn shed(herald: &Herald, id: &str, share: u8) -> (u16, serde_json::Value) {
    let path = format!("/api/v1/instances/{id}/shed?share={share}");
    let answer = admin(herald, "POST", &path).await;
    (answer.status, answer.json())
}

#[tokio::test]
async fn a_share_of_the_sessions_of_another_instance_is_moved() {
    let cluster = Cluster::start_with(2, &[("HERALD_DRAIN__SPREAD", "500ms")]).await;
    let [crowded, idle] = &cluster.instances[..] else {
        panic!("two instances");
    };
    let mut browsers = Vec::new();
    for number in 0..SESSIONS {
        let user = format!("test{}", number % 10 + 1);
        browsers.push(Browser::connect(crowded.address, &user).await);
    }
    let mut elsewhere = Browser::connect(idle.address, "test1").await;
    elsewhere.subscribe("/queue/x").await;
    let id = id_of(idle, "i0").await;
    let (status, answer) = shed(idle, &id, 25).await;
    assert_eq!(status, 202, "{answer}");
    assert_eq!(
        answer,
        serde_json::json!({"instance": "i0", "id": id, "sessions": 5, "over_ms": 500})
    );
    let ends: FuturesUnordered<_> = browsers.iter_mut().map(Browser::end).collect();
    for end in ends.take(5).collect::<Vec<_>>().await {
        assert_eq!((end.code, end.error()), (1001, None));
    }
    let metrics = admin(crowded, "GET", "/metrics").await.text();
    for line in [
        "\nherald_sessions 15\n",
        "\nherald_session_closes_total{reason=\"shed\"} 5\n",
    ] {
        assert!(metrics.contains(line), "{line:?}");
    }
    let published = idle
        .post("/api/v1/broadcast/queue/x", "text/plain", "still here")
        .await;
    assert_eq!(published.status, 202, "{}", published.text());
    assert_eq!(elsewhere.next_on("/queue/x").await.text(), "still here");
    // Who asked, at the instance that was asked, and what was done, at the other.
    until("both lines of the audit", async || {
        [crowded, idle]
            .iter()
            .all(|herald| herald.lines_with("shed-sessions").len() == 1)
    })
    .await;
    let asked = idle.lines_with("shed-sessions").remove(0);
    assert!(
        asked.contains(&id) && asked.contains(r#""outcome":"accepted""#),
        "{asked}"
    );
    let done = crowded.lines_with("shed-sessions").remove(0);
    for words in [
        r#""who":"key:ops""#,
        r#""count":5"#,
        r#""share":25"#,
        r#""outcome":"done""#,
    ] {
        assert!(done.contains(words), "{words}: {done}");
    }

    let (status, answer) = shed(crowded, "01JDEXAMPRE0000000000000AA", 25).await;
    assert_eq!(
        (status, &answer["type"]),
        (404, &"urn:herald:problem:not-found".into())
    );
    for share in [0, 101] {
        assert_eq!(shed(crowded, &id, share).await.0, 400, "{share}");
    }
}

#[tokio::test]
async fn one_share_at_a_time_and_all_of_them_at_most() {
    let cluster = Cluster::start_with(1, &[("HERALD_DRAIN__SPREAD", "10s")]).await;
    let herald = &cluster.instances[0];
    let mut browsers = Vec::new();
    for _ in 0..3 {
        browsers.push(Browser::connect(herald.address, "test1").await);
    }
    let id = id_of(herald, "i0").await;
    let (status, answer) = shed(herald, &id, 100).await;
    assert_eq!((status, &answer["sessions"]), (202, &3.into()), "{answer}");
    for browser in &mut browsers {
        assert_eq!(browser.end().await.code, 1001);
    }
    // The turn is given back once all are closed.
    until("a second share is taken", async || {
        let (status, answer) = shed(herald, &id, 1).await;
        assert!(
            status == 202 || answer["type"] == "urn:herald:problem:overloaded",
            "{answer}"
        );
        status == 202
    })
    .await;
}

#[tokio::test]
async fn the_command_names_the_instance_and_says_what_it_does() {
    let cluster = Cluster::start(1).await;
    let herald = &cluster.instances[0];
    let run = async |instance: &str| {
        let url = format!("http://{}", herald.address);
        let arguments = ["shed", instance, "--share", "50", "--json", "--url", &url];
        let launch = Launch::new(&arguments).set("HERALD_KEY", "the-clusters-own-key");
        launch.run().await
    };
    let mut browser = Browser::connect(herald.address, "test1").await;
    let (code, said) = run("i0").await;
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains(r#""instance":"i0""#) && said.contains(r#""sessions":1"#),
        "{said}"
    );
    assert_eq!(browser.end().await.code, 1001);
    let (code, said) = run("nobody").await;
    assert_ne!(code, Some(0), "{said}");
    assert!(said.contains("no live instance"), "{said}");
}
