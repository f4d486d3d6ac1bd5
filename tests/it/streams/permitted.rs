//! The promise: the permissions in docs/nats.md are enough for all of history, with `history.manage` and without; and they are
//! those of `scripts/cluster`, compose and the chart.

use std::collections::BTreeSet;

use serde_json::json;

use super::{NEWS, ORDERS, bodies, has_metric, outcome, position, publish, subscribe};
use crate::support::cluster::{Cluster, until};
use crate::support::cluster_client::Browser;
use crate::support::nats::NatsServer;
use crate::support::process::Herald;

/// Half of it is each kind's: less than what is published here.
const SMALL_TAIL: [(&str, &str); 1] = [("HERALD_HISTORY__TAIL_BYTES", "1MiB")];

/// Publishes, reads, and resumes out of the tail and out of the stream; and nothing was refused.
async fn use_it_whole(herald: &Herald, key: &str) {
    let mut browser = Browser::connect(herald.address, "test1").await;
    let begin = position(&subscribe(&mut browser, NEWS, None).await);
    let begin_user = position(&subscribe(&mut browser, ORDERS, None).await);
    publish(herald, None, NEWS, "one").await;
    publish(herald, Some("test1"), "/queue/orders", "two").await;
    assert_eq!(bodies(&mut browser, NEWS, 1).await, ["one"]);
    assert_eq!(bodies(&mut browser, ORDERS, 1).await, ["two"]);
    // As a whole, and again under the same key, for which the first is read.
    let all = json!([{"destination": NEWS, "payload": "three"}, {"destination": NEWS, "payload": "four"}]);
    let answer = herald
        .post(
            "/api/v1/notifications?atomic=true",
            "application/json",
            all.to_string(),
        )
        .await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let one = json!({"destination": NEWS, "payload": "five"}).to_string();
    for expected in [None, Some(true)] {
        let headers = [("Content-Type", "application/json"), ("Idempotency-Key", key)];
        let answer = herald
            .request("POST", "/api/v1/notifications", &headers, one.as_bytes())
            .await;
        assert_eq!(
            (answer.status, answer.json()["duplicate"].as_bool()),
            (202, expected)
        );
    }
    assert_eq!(bodies(&mut browser, NEWS, 3).await, ["three", "four", "five"]);
    // More than the tail holds, and more than JetStream sends without an answer to its flow control.
    let filler = "x".repeat(60_000);
    for _ in 0..40 {
        publish(herald, None, "/queue/other", &filler).await;
        publish(herald, Some("test2"), "/queue/other", &filler).await;
    }
    let mut late = Browser::connect(herald.address, "test1").await;
    let receipt = subscribe(&mut late, NEWS, Some(&begin)).await;
    assert_eq!(outcome(&receipt), (Some("true"), Some("4")));
    assert_eq!(bodies(&mut late, NEWS, 4).await, ["one", "three", "four", "five"]);
    let receipt = subscribe(&mut late, ORDERS, Some(&begin_user)).await;
    assert_eq!(outcome(&receipt), (Some("true"), Some("1")));
    assert!(has_metric(herald, "herald_bus_refused_publishes_total 0").await);
    assert!(has_metric(herald, "herald_bus_refused_subscriptions 0").await);
    let ready = herald.get("/readyz").await;
    assert_eq!(
        (ready.status, &ready.json()["components"]["trouble"]),
        (200, &json!(null))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_documents_permit_is_enough() {
    let mut cluster = Cluster::start_keeping(1, &SMALL_TAIL).await;
    use_it_whole(&cluster.instances[0], "first").await;
    // A stream that is changed, by the next one that starts: then it is the first that is configured otherwise.
    let launch = cluster.launch().set("HERALD_HISTORY__USER_AGE", "2h");
    let changing = Herald::start("changing", &launch).await;
    assert!(has_metric(&changing, "herald_history_config_drift 0").await);
    until("the first sees it", async || {
        has_metric(&cluster.instances[0], "herald_history_config_drift 1").await
    })
    .await;
    assert!(has_metric(&changing, "herald_bus_refused_publishes_total 0").await);
    drop(changing);

    // The streams are there; nobody may make or change one any more.
    drop(cluster.instances.remove(0));
    let mut reduced = NatsServer::documented();
    for verb in ["CREATE", "UPDATE"] {
        for kind in ["BROADCAST", "USER"] {
            let subject = format!("\"$JS.API.STREAM.{verb}.HERALD_{kind}\"");
            assert!(reduced.contains(&subject), "{subject}");
            reduced = reduced.replace(&subject, "\"elsewhere\"");
        }
    }
    cluster.nats.grant(&reduced);
    let launch = cluster
        .launch()
        .set("HERALD_HISTORY__MANAGE", "false")
        .set("HERALD_HISTORY__USER_AGE", "2h");
    let herald = Herald::start("without", &launch).await;
    use_it_whole(&herald, "second").await;
}

/// What Herald's user may publish and subscribe to, as the text of a configuration has it.
fn rights(text: &str) -> [BTreeSet<String>; 2] {
    let (publish, subscribe) = text.split_once("subscribe:").expect("subscribe:");
    [subjects(publish), subjects(subscribe)]
}

/// The subjects in quotes, or bare in brackets.
fn subjects(text: &str) -> BTreeSet<String> {
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default());
    let words = lines.flat_map(|line| line.split(|c: char| c.is_whitespace() || "[]\",".contains(c)));
    words
        .filter(|word| word.starts_with("herald.") || word.starts_with('$'))
        .map(str::to_owned)
        .collect()
}

/// What stands in the file between the two.
fn between(file: &str, begin: &str, end: &str) -> String {
    let text = std::fs::read_to_string(format!("{}/{file}", env!("CARGO_MANIFEST_DIR"))).expect(file);
    let (_, rest) = text.split_once(begin).expect(begin);
    rest.split_once(end).expect(end).0.to_owned()
}

#[test]
fn every_configuration_of_nats_has_the_permissions_of_the_documents() {
    let wanted = rights(&between("docs/nats.md", "HERALD = {", "BACKEND = {"));
    let has = |at: usize, subject: &str| wanted[at].contains(subject);
    assert!(
        wanted[0].len() == 20 && wanted[1].len() == 4 && has(0, "$JS.FC.>") && has(1, "herald.reply.>"),
        "{wanted:?}"
    );
    let compose = rights(&between("compose/nats.conf", "HERALD = {", "BACKEND = {"));
    assert_eq!(compose, wanted);
    let chart = between(
        "charts/herald-with-nats/values.yaml",
        "permissions:",
        "- user: backend",
    );
    assert_eq!(rights(&chart), wanted);
}
