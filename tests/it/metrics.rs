//! The promise: every metric that the documentation, the alert rules and the dashboard name exists after the program was
//! used, and none exists that the documentation does not name.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::app::{ANNA, App};
use crate::support::cluster::until;

/// A file of the repository.
fn file(path: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The documented metrics with their kinds: rows of docs/metrics.md whose first cell is a name with a namespace.
fn documented() -> BTreeMap<String, String> {
    let mut metrics = BTreeMap::new();
    for line in file("docs/metrics.md").lines() {
        let cells: Vec<&str> = line.split(" | ").collect();
        let name = cells[0]
            .strip_prefix("| `")
            .and_then(|rest| rest.strip_suffix('`'))
            .filter(|name| name.starts_with("herald_") || name.starts_with("process_"));
        if let Some(name) = name {
            let kind = cells[1].trim_end_matches(", E").to_owned();
            assert_eq!(metrics.insert(name.to_owned(), kind), None, "{name} stands twice");
        }
    }
    metrics
}

/// The families of a scrape with their kinds.
fn families(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .collect()
}

/// Everything in `text` that is named like a metric of Herald's, without what histograms add.
fn named(text: &str) -> BTreeSet<String> {
    text.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_'))
        .filter(|word| word.starts_with("herald_") || word.starts_with("process_"))
        .map(|word| {
            let bare = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| word.strip_suffix(suffix));
            bare.unwrap_or(word).to_owned()
        })
        .collect()
}

#[tokio::test]
async fn every_metric_is_documented_and_every_documented_one_exists() {
    let app = App::start().await;
    let mut anna = app.session_of(ANNA, "1.2").await;
    anna.say("SUBSCRIBE\nid:a\ndestination:/queue/a\nack:client\nreceipt:s\n\n\0")
        .await;
    anna.expect_receipt("s").await;
    anna.say("SEND\ndestination:/queue/a\n\nx\0").await;
    anna.expect("MESSAGE\n…").await;
    // A request is counted once it is answered: the first scrape has none to show.
    app.scrape("text/plain").await;
    assert_eq!(families(&app.scrape("text/plain").await), documented());
}

#[test]
fn rules_and_dashboard_name_documented_metrics_only() {
    let documented: BTreeSet<String> = documented().into_keys().collect();
    for path in ["otel/rules.yaml", "otel/rules.test.yaml", "otel/dashboard.json"] {
        let unknown: Vec<String> = named(&file(path)).difference(&documented).cloned().collect();
        assert!(unknown.is_empty(), "{path} names {unknown:?}");
    }
}

#[tokio::test]
async fn a_recorded_notification_is_the_exemplar_of_its_bucket() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let app = App::start().await;
    let mut anna = app.session_of(ANNA, "1.2").await;
    anna.say("SUBSCRIBE\nid:a\ndestination:/queue/a\nreceipt:s\n\n\0")
        .await;
    anna.expect_receipt("s").await;
    anna.say(format!(
        "SEND\ndestination:/queue/a\ntraceparent:00-{TRACE}-00f067aa0ba902b7-01\n\nx\0"
    ))
    .await;
    anna.expect("MESSAGE\n…").await;
    // A walk is measured behind its last write.
    for name in [
        "herald_publish_duration_seconds_bucket{source=\"stomp\"",
        "herald_bus_to_shard_duration_seconds_bucket{",
        "herald_broadcast_walk_duration_seconds_bucket{",
    ] {
        until("an exemplar", async || {
            let text = app.scrape("application/openmetrics-text").await;
            let exemplar = format!("# {{trace_id=\"{TRACE}\"}}");
            let is_it = |line: &str| line.starts_with(name) && line.contains(&exemplar);
            text.lines().any(is_it)
        })
        .await;
    }
}
