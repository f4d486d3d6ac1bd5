//! The promise: a scrape shows everything once, with names as Prometheus requires, in the requested format.

use std::time::Duration;

use super::*;
use crate::telemetry::metrics::names;
use crate::{bus, delivery};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn observed() -> Observed {
    Observed {
        delivery: delivery::counters::Stats {
            sessions: 3,
            written: 7,
            unmatched: 2,
            expired: 1,
            ..Default::default()
        },
        outbox_oldest: Some(Duration::from_millis(1_500)),
        bus: bus::Stats {
            reconnects: 1,
            expired: 1,
            ..Default::default()
        },
        bus_connected: true,
        users_online: 5,
        instances: 2,
        presence_refused: 0,
        audit_lost: 0,
        revocations: 0,
        key_ages: Vec::new(),
        instance: "a \"b\"".into(),
    }
}

#[track_caller]
fn assert_has(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|got| got == *line), "{line} is not in\n{text}");
    }
}

#[test]
fn a_scrape_shows_handles_and_what_others_count() {
    let metrics = Metrics::new().unwrap();
    metrics.published.with_label_values(&["rest"]).inc();
    metrics.offline.inc();
    let text = metrics.render(&observed(), Format::Text).unwrap();
    assert_has(
        &text,
        &[
            "herald_sessions 3",
            "herald_outbox_oldest_age_seconds 1.5",
            "herald_deliveries_total{outcome=\"written\"} 7",
            "herald_deliveries_total{outcome=\"offline\"} 1",
            "herald_deliveries_total{outcome=\"expired\"} 2",
            "herald_notifications_received_total{outcome=\"unmatched\"} 2",
            "herald_bus_connected 1",
            "herald_bus_reconnects_total 1",
            "herald_users_online 5",
            "herald_instances 2",
            "herald_notifications_published_total{source=\"rest\"} 1",
            "herald_session_closes_total{reason=\"silence\"} 0",
            "herald_publish_refused_total{reason=\"too_large\",source=\"stomp\"} 0",
            "herald_publish_duration_seconds_count{source=\"stomp\"} 0",
            "herald_instance_info{name=\"a \\\"b\\\"\"} 1",
        ],
    );
    assert!(text.contains(concat!("version=\"", env!("CARGO_PKG_VERSION"), "\"} 1")));
    assert!(text.contains("\nprocess_resident_memory_bytes "));
}

#[test]
fn every_family_stands_once_is_in_the_table_and_named_as_prometheus_asks() {
    let metrics = Metrics::new().unwrap();
    metrics
        .http_requests
        .with_label_values(&["GET", "/metrics", "200"])
        .observe(0.1);
    // Of issuers, none of which is there by default.
    metrics.tokens.with_label_values(&["id", "ok"]);
    metrics.jwks_fetches.with_label_values(&["id", "ok"]);
    let observed = Observed {
        key_ages: vec![("id".into(), Duration::from_secs(7))],
        ..observed()
    };
    let text = metrics.render(&observed, Format::Text).unwrap();
    assert_has(&text, &["herald_jwks_age_seconds{issuer=\"id\"} 7"]);
    let mut seen = Vec::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        assert_eq!(kind == "histogram", name.ends_with("_duration_seconds"), "{name}");
        seen.push(name);
    }
    let mut named: Vec<&str> = names::ALL.iter().map(|name| name.name).collect();
    named.sort_unstable();
    assert_eq!(seen, named);
}

#[test]
fn openmetrics_has_exemplars_and_an_end() {
    let metrics = Metrics::new().unwrap();
    metrics
        .publish_rest
        .observe(Duration::from_micros(200), Some(TRACE));
    metrics.publish_stomp.observe(Duration::from_micros(200), None);
    let text = metrics.render(&observed(), Format::OpenMetrics).unwrap();
    assert_has(
        &text,
        &[
            "# TYPE herald_bus_reconnects counter",
            "herald_bus_reconnects_total 1",
            "# TYPE herald_sessions gauge",
            "herald_publish_duration_seconds_bucket{source=\"stomp\",le=\"0.00025\"} 1",
            "herald_publish_duration_seconds_bucket{source=\"stomp\",le=\"+Inf\"} 1",
            "herald_publish_duration_seconds_bucket{source=\"stomp\",le=\"1.0\"} 1",
            "herald_instance_info{name=\"a \\\"b\\\"\"} 1",
        ],
    );
    let exemplar = format!(
        "herald_publish_duration_seconds_bucket{{source=\"rest\",le=\"0.00025\"}} 1 # {{trace_id=\"{TRACE}\"}} 0.0002 "
    );
    let found: Vec<&str> = text.lines().filter(|line| line.contains(" # {")).collect();
    assert!(found.len() == 1 && found[0].starts_with(&exemplar), "{found:?}");
    assert!(text.ends_with("\n# EOF\n"));
}

#[test]
fn the_format_is_what_was_asked_for() {
    let check = |accept: &str, expected: Format| assert_eq!(Format::accepted(accept), expected, "{accept}");
    check("", Format::Text);
    check("*/*", Format::Text);
    check("text/plain", Format::Text);
    check("application/openmetrics-text", Format::OpenMetrics);
    // Prometheus 2.42's own.
    check(
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
         text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        Format::OpenMetrics,
    );
    check(
        "application/openmetrics-text;q=0.1, text/plain;q=0.5",
        Format::Text,
    );
    check("application/openmetrics-text;q=0", Format::Text);
    check("application/openmetrics-text;q=x", Format::Text);
}
