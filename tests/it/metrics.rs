//! The promise: every metric that the documentation, the alert rules and the dashboard name exists after the program
//! was used, and no metric exists that the documentation does not name.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::app::{ANNA, App};
use crate::support::cluster::until;
use crate::support::tokens::{self, Does, KeyServer, Signer};

/// A file of the repository.
fn file(path: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The documented metrics with their kinds: the rows of docs/metrics.md whose first cell is a name with a namespace.
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

/// The families in a scrape, with their kinds.
fn families(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .collect()
}

/// Everything in `text` that is named like a metric of Herald's, without the suffixes of histograms.
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
    let key = Signer::new("k");
    let server = KeyServer::start(Does::Gives(tokens::set(&[&key]))).await;
    let app = App::with(|config| config.auth.issuers = vec![server.issuer()]).await;
    tokens::until("the issuer's keys", async || {
        app.get("/readyz").await.status == 200
    })
    .await;
    let mut anna = app.session_of(ANNA, "1.2").await;
    anna.say("SUBSCRIBE\nid:a\ndestination:/queue/a\nack:client\nreceipt:s\n\n\0")
        .await;
    anna.expect_receipt("s").await;
    anna.say("SEND\ndestination:/queue/a\n\nx\0").await;
    anna.expect("MESSAGE\n…").await;
    // A request is counted once it is answered: the first scrape shows none yet.
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
    // A walk is measured after its last write.
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

#[tokio::test]
async fn an_acknowledgement_and_a_wait_have_their_traces_as_exemplars() {
    // No collector is there: spans are recorded all the same.
    let app = App::with(|config| config.tracing.endpoint = Some("http://127.0.0.1:9".into())).await;
    let mut anna = app.session_of(ANNA, "1.2").await;
    for (name, destination, ack) in [
        ("a", "/queue/a", "client"),
        ("b", "/user/queue/b", "client-individual"),
    ] {
        anna.say(format!(
            "SUBSCRIBE\nid:{name}\ndestination:{destination}\nack:{ack}\nreceipt:s\n\n\0"
        ))
        .await;
        anna.expect_receipt("s").await;
    }
    for (number, body) in [
        r#"{"destination":"/queue/a","payload":1}"#,
        r#"{"destination":"/queue/b","user":"test1","payload":1}"#,
    ]
    .into_iter()
    .enumerate()
    {
        let trace = format!("{number}bf92f3577b34da6a3ce929d0e0e4736");
        let traceparent = format!("00-{trace}-00f067aa0ba902b7-01");
        let headers = [
            ("Content-Type", "application/json"),
            ("traceparent", &*traceparent),
        ];
        let path = "/api/v1/notifications";
        let asked = crate::support::process::request(app.address, "POST", path, &headers, body.as_bytes());
        let answer = crate::support::within("an answer", asked).await.unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
        let crate::support::client::Message::Text(message) = anna.next().await else {
            panic!("no MESSAGE")
        };
        let message = String::from_utf8(message).unwrap();
        let ack = message
            .lines()
            .find_map(|line| line.strip_prefix("ack:"))
            .expect("an id to acknowledge");
        anna.say(format!("ACK\nid:{ack}\n\n\0")).await;
        until("an exemplar", async || {
            let text = app.scrape("application/openmetrics-text").await;
            let exemplar = format!("# {{trace_id=\"{trace}\"}}");
            let is_it = |line: &str| {
                line.starts_with("herald_ack_duration_seconds_bucket{") && line.contains(&exemplar)
            };
            text.lines().any(is_it)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_are_pushed_over_tls_as_well() {
    use crate::support::process::{Herald, Launch};
    use crate::support::tls::{tls_file, tls_proxy};

    let (address, mut pushes) = collector().await;
    let behind = address.strip_prefix("http://").unwrap().parse().unwrap();
    let launch = Launch::demo()
        .set(
            "HERALD_METRICS__ENDPOINT",
            &format!("https://{}", tls_proxy(behind).await),
        )
        .set("HERALD_METRICS__INTERVAL", "1s")
        .set("OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", &tls_file("ca.pem"));
    let _herald = Herald::start("pushes", &launch).await;
    for _ in 0..2 {
        let pushed = crate::support::within("a push", pushes.recv()).await.unwrap();
        assert!(pushed.contains("herald_sessions"), "{pushed:?}");
    }
}

/// A collector over HTTP that reports the names of each push.
async fn collector() -> (String, tokio::sync::mpsc::Receiver<BTreeSet<String>>) {
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use prost::Message as _;

    let (sender, receiver) = tokio::sync::mpsc::channel(64);
    let take = move |body: bytes::Bytes| {
        let sender = sender.clone();
        async move {
            let request = ExportMetricsServiceRequest::decode(body).expect("OTLP");
            let metrics = request
                .resource_metrics
                .into_iter()
                .flat_map(|resource| resource.scope_metrics)
                .flat_map(|scope| scope.metrics);
            sender
                .send(metrics.map(|metric| metric.name).collect())
                .await
                .ok();
        }
    };
    let router = axum::Router::new().route("/v1/metrics", axum::routing::post(take));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, receiver)
}

#[tokio::test]
async fn the_same_metrics_are_pushed_by_otlp() {
    let (address, mut pushes) = collector().await;
    let server = KeyServer::start(Does::Gives(tokens::set(&[&Signer::new("k")]))).await;
    let app = App::with(|config| {
        config.auth.issuers = vec![server.issuer()];
        config.metrics.endpoint = Some(address);
        config.metrics.interval = herald::setting::HumanDuration::secs(1);
    })
    .await;
    app.scrape("text/plain").await;
    let expected: BTreeSet<String> = documented().into_keys().collect();
    crate::support::within("a push with everything", async {
        while pushes.recv().await.expect("a push") != expected {}
    })
    .await;
    assert_eq!(app.metric("herald_otlp_metrics_failures_total").await, 0.0);
}

#[tokio::test]
async fn a_collector_that_is_away_is_counted_and_harms_nobody() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let app = App::with(|config| config.metrics.endpoint = Some(address)).await;
    until("a failure", async || {
        app.metric("herald_otlp_metrics_failures_total").await > 0.0
    })
    .await;
    let mut anna = app.session_of(ANNA, "1.2").await;
    anna.say("SUBSCRIBE\nid:a\ndestination:/queue/a\nreceipt:s\n\n\0")
        .await;
    anna.expect_receipt("s").await;
}
