//! The promise: a client that resumes from before an instance's memory gets all of its own messages, read by sequence
//! and without a search, as far as the index of that instance reaches back; if one of them is gone, the answer is the
//! same as without an index.

use serde_json::{Value, json};

use super::{NEWS, bodies, has_metric, herald, outcome, position, publish, subscribe};
use crate::support::cluster::until;
use crate::support::cluster_client::Browser;
use crate::support::nats::NatsServer;
use crate::support::process::Herald;

/// A destination to which nothing comes.
const QUIET: &str = "/queue/quiet";

/// Publishes to somebody else more than the memory of the instance holds. Where the last of it is.
async fn fill(herald: &Herald) -> String {
    let filler = "x".repeat(100_000);
    let mut last = String::new();
    for _ in 0..8 {
        last = publish(herald, None, "/queue/others", &filler).await;
    }
    last
}

/// Waits until the instance has read all up to `last`. Each look is a session of its own: what arrives after a SUBSCRIBE must not
/// be taken for the answer to the next one.
async fn until_read(herald: &Herald, last: &str) {
    until("everything is read", async || {
        let mut browser = Browser::connect(herald.address, "test1").await;
        position(&subscribe(&mut browser, NEWS, None).await) == last
    })
    .await;
}

/// Resumes behind `after`; the RECEIPT's `recovered`, and `replayed` or `reason`, and the bodies.
async fn resume(herald: &Herald, destination: &str, after: &str) -> (String, String, Vec<String>) {
    let mut browser = Browser::connect(herald.address, "test1").await;
    let receipt = subscribe(&mut browser, destination, Some(after)).await;
    let (recovered, more) = outcome(&receipt);
    let (recovered, more) = (
        recovered.expect("recovered").to_owned(),
        more.expect("more").to_owned(),
    );
    let count = more.parse().unwrap_or(0);
    (recovered, more, bodies(&mut browser, destination, count).await)
}

async fn reads(herald: &Herald, how: &str, count: u32) -> bool {
    let line = format!("herald_history_resume_reads_total{{how=\"{how}\"}} {count}");
    has_metric(herald, &line).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_resumes_from_in_front_of_the_memory_gets_its_own_by_the_index() {
    let nats = NatsServer::start_with_jetstream("");
    let (herald, _folder) = self::herald(&nats, "tail_bytes = \"1MiB\"\n").await;
    herald.until_ready().await;
    let first = publish(&herald, None, NEWS, "first").await;
    publish(&herald, None, NEWS, "second").await;
    fill(&herald).await;
    publish(&herald, None, NEWS, "third").await;
    fill(&herald).await;
    let last = publish(&herald, None, NEWS, "fourth").await;
    until_read(&herald, &last).await;
    let got = resume(&herald, NEWS, &first).await;
    assert_eq!(got.2, ["second", "third", "fourth"], "{got:?}");
    let got = resume(&herald, QUIET, &first).await;
    assert_eq!((&*got.0, &*got.1), ("true", "0"));
    assert!(reads(&herald, "index", 2).await && reads(&herald, "search", 0).await);

    // What was in front of "third" is gone, and with it something that was missed.
    let operator = async_nats::connect(nats.url()).await.expect("a client");
    let purge = "$JS.API.STREAM.PURGE.HERALD_BROADCAST";
    let answer = operator.request(purge, r#"{"seq":4}"#.into()).await;
    let answer: Value = serde_json::from_slice(&answer.expect("an answer").payload).expect("JSON");
    assert_eq!((&answer["success"], &answer["purged"]), (&json!(true), &json!(3)));
    let got = resume(&herald, NEWS, &first).await;
    assert_eq!((&*got.0, &*got.1), ("false", "position-expired"));
    assert!(reads(&herald, "index_in_vain", 1).await);
    // Who has missed nothing of what is gone is told so.
    let got = resume(&herald, QUIET, &first).await;
    assert_eq!((&*got.0, &*got.1), ("true", "0"));
    assert!(reads(&herald, "index", 3).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_index_the_stream_is_searched() {
    let nats = NatsServer::start_with_jetstream("");
    let (herald, _folder) = self::herald(&nats, "tail_bytes = \"1MiB\"\nindex_bytes = \"0B\"\n").await;
    herald.until_ready().await;
    let first = publish(&herald, None, NEWS, "first").await;
    publish(&herald, None, NEWS, "second").await;
    let last = fill(&herald).await;
    until_read(&herald, &last).await;
    let got = resume(&herald, NEWS, &first).await;
    assert_eq!(got.2, ["second"]);
    assert!(reads(&herald, "search", 1).await && reads(&herald, "index", 0).await);
    assert!(has_metric(&herald, "herald_history_index_bytes{kind=\"broadcast\"} 0").await);
}
