//! The text that Prometheus scrapes: the handles' values, and those read at the moment of the scrape.

use std::sync::Arc;

use prometheus::core::Collector;
use prometheus::{
    Encoder, Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use super::Metrics;
use super::process::Process;
use crate::{bus, delivery};

/// The content type of [`Metrics::render`]'s text.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// What others count themselves, read for one scrape.
#[derive(Debug, Clone)]
pub struct Observed {
    /// The registry's counters.
    pub delivery: delivery::registry::Stats,
    /// The bus's counters.
    pub bus: bus::Stats,
    /// Whether the bus is connected.
    pub bus_connected: bool,
    /// Users online in the cluster.
    pub users_online: usize,
    /// Live instances, this one included.
    pub instances: usize,
    /// This instance's name.
    pub instance: Arc<str>,
}

/// Metrics that live for one scrape.
struct Snapshot(Registry);

impl Snapshot {
    fn add(&self, collector: impl Collector + 'static) -> Result<(), prometheus::Error> {
        self.0.register(Box::new(collector))
    }

    fn gauge(&self, name: &str, help: &str, value: u64) -> Result<(), prometheus::Error> {
        let gauge = IntGauge::new(name, help)?;
        gauge.set(signed(value));
        self.add(gauge)
    }

    fn counter(&self, name: &str, help: &str, value: u64) -> Result<(), prometheus::Error> {
        let counter = IntCounter::new(name, help)?;
        counter.inc_by(value);
        self.add(counter)
    }

    fn seconds(&self, name: &str, help: &str, value: f64) -> Result<(), prometheus::Error> {
        let gauge = Gauge::new(name, help)?;
        gauge.set(value);
        self.add(gauge)
    }

    fn outcomes(&self, name: &str, help: &str, values: &[(&str, u64)]) -> Result<(), prometheus::Error> {
        let counters = IntCounterVec::new(Opts::new(name, help), &["outcome"])?;
        for (outcome, value) in values {
            counters.with_label_values(&[*outcome]).inc_by(*value);
        }
        self.add(counters)
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl Metrics {
    /// The text of one scrape. Reads `/proc`: not for the runtime's threads.
    pub fn render(&self, observed: &Observed) -> Result<String, prometheus::Error> {
        let mut families = self.registry().gather();
        families.extend(snapshot(observed)?.gather());
        families.sort_by(|a, b| a.name().cmp(b.name()));
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

fn snapshot(observed: &Observed) -> Result<Registry, prometheus::Error> {
    let Observed { delivery, bus, .. } = observed;
    let snapshot = Snapshot(Registry::new());
    snapshot.gauge("herald_sessions", "Logged-in sessions.", delivery.sessions)?;
    snapshot.gauge(
        "herald_subscriptions",
        "Subscriptions of all sessions.",
        delivery.subscriptions,
    )?;
    snapshot.gauge(
        "herald_outbox_bytes",
        "Bytes that wait in outboxes.",
        delivery.outbox_bytes,
    )?;
    snapshot.counter(
        "herald_outbox_overflows_total",
        "Sessions closed as slow consumers.",
        delivery.overflows,
    )?;
    snapshot.outcomes(
        "herald_deliveries_total",
        "MESSAGEs for sessions: written at once or queued first, and of those waiting: dropped, expired, collapsed.",
        &[
            ("written", delivery.written),
            ("queued", delivery.queued),
            ("dropped", delivery.dropped),
            ("expired", delivery.expired),
            ("collapsed", delivery.collapsed),
        ],
    )?;
    snapshot.outcomes(
        "herald_acknowledgements_total",
        "MESSAGEs of the ack modes that acknowledge, by their end.",
        &[
            ("acked", delivery.acknowledged),
            ("nacked", delivery.refused),
            ("unacknowledged", delivery.unacknowledged),
        ],
    )?;
    snapshot.outcomes(
        "herald_notifications_received_total",
        "Notifications from the bus, by whether any session of this instance wanted them.",
        &[("matched", delivery.matched), ("unmatched", delivery.unmatched)],
    )?;
    snapshot.counter(
        "herald_pings_total",
        "WebSocket pings sent to silent clients.",
        delivery.pings,
    )?;
    snapshot.counter(
        "herald_sessions_reaped_total",
        "Sessions closed for silence.",
        delivery.reaped,
    )?;
    snapshot.gauge(
        "herald_bus_connected",
        "1 while the bus is connected.",
        observed.bus_connected.into(),
    )?;
    snapshot.counter(
        "herald_bus_reconnects_total",
        "Times the bus connection came back.",
        bus.reconnects,
    )?;
    snapshot.counter(
        "herald_bus_slow_consumer_drops_total",
        "Messages from the bus dropped since this instance read too slowly.",
        bus.slow_consumer_drops,
    )?;
    snapshot.counter(
        "herald_bus_undeliverable_total",
        "Messages from the bus with an illegal subject, path, header or size.",
        bus.undeliverable,
    )?;
    snapshot.gauge(
        "herald_users_online",
        "Users online in the cluster.",
        observed.users_online as u64,
    )?;
    snapshot.gauge(
        "herald_instances",
        "Live instances of the cluster.",
        observed.instances as u64,
    )?;
    let build = IntGaugeVec::new(
        Opts::new(
            "herald_build_info",
            "1, labelled with the version and this instance's name.",
        ),
        &["version", "instance"],
    )?;
    build
        .with_label_values(&[env!("CARGO_PKG_VERSION"), &*observed.instance])
        .set(1);
    snapshot.add(build)?;
    process(&snapshot, Process::read())?;
    Ok(snapshot.0)
}

/// The names are those that every Prometheus client uses.
fn process(snapshot: &Snapshot, process: Process) -> Result<(), prometheus::Error> {
    if let Some(value) = process.resident_bytes {
        snapshot.gauge(
            "process_resident_memory_bytes",
            "Resident memory size in bytes.",
            value,
        )?;
    }
    if let Some(value) = process.open_fds {
        snapshot.gauge("process_open_fds", "Number of open file descriptors.", value)?;
    }
    if let Some(value) = process.max_fds {
        snapshot.gauge(
            "process_max_fds",
            "Maximum number of open file descriptors.",
            value,
        )?;
    }
    if let Some(value) = process.threads {
        snapshot.gauge("process_threads", "Number of threads.", value)?;
    }
    let cpu = prometheus::Counter::new(
        "process_cpu_seconds_total",
        "Total user and system CPU time spent in seconds.",
    )?;
    cpu.inc_by(process.cpu_seconds);
    snapshot.add(cpu)?;
    snapshot.seconds(
        "process_start_time_seconds",
        "Start time of the process since unix epoch in seconds.",
        process.start_seconds,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed() -> Observed {
        Observed {
            delivery: delivery::registry::Stats {
                sessions: 3,
                written: 7,
                unmatched: 2,
                ..Default::default()
            },
            bus: bus::Stats {
                reconnects: 1,
                ..Default::default()
            },
            bus_connected: true,
            users_online: 5,
            instances: 2,
            instance: "a \"b\"".into(),
        }
    }

    #[test]
    fn a_scrape_shows_handles_and_what_others_count() {
        let metrics = Metrics::new().unwrap();
        metrics.published.with_label_values(&["rest"]).inc();
        let text = metrics.render(&observed()).unwrap();
        for line in [
            "herald_sessions 3",
            "herald_deliveries_total{outcome=\"written\"} 7",
            "herald_notifications_received_total{outcome=\"unmatched\"} 2",
            "herald_bus_connected 1",
            "herald_bus_reconnects_total 1",
            "herald_users_online 5",
            "herald_instances 2",
            "herald_notifications_published_total{source=\"rest\"} 1",
            "herald_session_closes_total{reason=\"silence\"} 0",
            concat!(
                "herald_build_info{instance=\"a \\\"b\\\"\",version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"} 1"
            ),
        ] {
            assert!(text.lines().any(|got| got == line), "{line} is not in\n{text}");
        }
        assert!(text.contains("\nprocess_resident_memory_bytes "));
        assert!(text.contains("\nprocess_open_fds "));
    }

    #[test]
    fn every_family_stands_once_and_is_named_as_prometheus_asks() {
        let text = Metrics::new().unwrap().render(&observed()).unwrap();
        let mut seen = std::collections::HashSet::new();
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let (name, kind) = line.split_once(' ').unwrap();
            assert!(seen.insert(name.to_owned()), "{name} stands twice");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        }
    }
}
