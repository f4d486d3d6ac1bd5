//! The counts of other modules, and the kernel's data about the process, as metrics that exist for one scrape.

use std::sync::Arc;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{Counter, Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::names::{self, Name};
use super::process::Process;
use crate::envelope::Kind;
use crate::{bus, delivery};

/// What others count themselves, read for one scrape.
#[derive(Debug, Clone)]
pub struct Observed {
    /// The registry's counters.
    pub delivery: delivery::counters::Stats,
    /// How long the oldest frame in an outbox has waited; none: a shard did not say in time.
    pub outbox_oldest: Option<Duration>,
    /// The bus's counters.
    pub bus: bus::Stats,
    /// Whether the bus is connected.
    pub bus_connected: bool,
    /// Users online in the cluster.
    pub users_online: usize,
    /// Live instances, this one included.
    pub instances: usize,
    /// Presence messages that could not be read.
    pub presence_refused: u64,
    /// Lines of the audit that were lost.
    pub audit_lost: u64,
    /// Revocations that are kept.
    pub revocations: usize,
    /// How old the keys of each issuer are that come from its server.
    pub key_ages: Vec<(Arc<str>, Duration)>,
    /// This instance's name.
    pub instance: Arc<str>,
}

/// What the relay counted of metrics of which others count a part.
pub(super) struct Relayed {
    pub offline: u64,
    pub poison_notifications: u64,
    pub poison_control: u64,
}

/// Metrics that live for one scrape.
struct Snapshot(Registry);

impl Snapshot {
    fn add(&self, collector: impl Collector + 'static) -> Result<(), prometheus::Error> {
        self.0.register(Box::new(collector))
    }

    fn gauge(&self, name: Name, value: u64) -> Result<(), prometheus::Error> {
        let gauge = IntGauge::new(name.name, name.help)?;
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        self.add(gauge)
    }

    fn counter(&self, name: Name, value: u64) -> Result<(), prometheus::Error> {
        let counter = IntCounter::new(name.name, name.help)?;
        counter.inc_by(value);
        self.add(counter)
    }

    fn gauges(&self, name: Name, label: &str, values: &[(&str, u64)]) -> Result<(), prometheus::Error> {
        let gauges = IntGaugeVec::new(Opts::new(name.name, name.help), &[label])?;
        for (labelled, value) in values {
            let gauge = gauges.with_label_values(&[*labelled]);
            gauge.set(i64::try_from(*value).unwrap_or(i64::MAX));
        }
        self.add(gauges)
    }

    fn seconds(&self, name: Name, value: f64) -> Result<(), prometheus::Error> {
        let gauge = Gauge::new(name.name, name.help)?;
        gauge.set(value);
        self.add(gauge)
    }

    fn counters(&self, name: Name, label: &str, values: &[(&str, u64)]) -> Result<(), prometheus::Error> {
        let counters = IntCounterVec::new(Opts::new(name.name, name.help), &[label])?;
        for (labelled, value) in values {
            counters.with_label_values(&[*labelled]).inc_by(*value);
        }
        self.add(counters)
    }

    fn info(&self, name: Name, labels: &[(&str, &str)]) -> Result<(), prometheus::Error> {
        let (keys, values): (Vec<&str>, Vec<&str>) = labels.iter().copied().unzip();
        let gauge = IntGaugeVec::new(Opts::new(name.name, name.help), &keys)?;
        gauge.with_label_values(&values).set(1);
        self.add(gauge)
    }
}

/// `observed`, what the relay counted and the process, as a registry of their own. Reads `/proc`: not for the runtime's
/// threads.
pub(super) fn snapshot(observed: &Observed, relayed: Relayed) -> Result<Registry, prometheus::Error> {
    let Observed { delivery, bus, .. } = observed;
    let snapshot = Snapshot(Registry::new());
    snapshot.gauge(names::SESSIONS, delivery.sessions)?;
    snapshot.gauge(names::SUBSCRIPTIONS, delivery.subscriptions)?;
    snapshot.gauge(names::OUTBOX_BYTES, delivery.outbox_bytes)?;
    if let Some(age) = observed.outbox_oldest {
        snapshot.seconds(names::OUTBOX_OLDEST_AGE, age.as_secs_f64())?;
    }
    snapshot.counter(names::OUTBOX_OVERFLOWS, delivery.overflows)?;
    snapshot.counters(
        names::DELIVERIES,
        "outcome",
        &[
            ("written", delivery.written),
            ("queued", delivery.queued),
            ("acked", delivery.acknowledged),
            ("nacked", delivery.refused),
            ("unacknowledged", delivery.unacknowledged),
            ("offline", relayed.offline),
            ("dropped", delivery.dropped),
            ("expired", delivery.expired + bus.expired),
            ("collapsed", delivery.collapsed),
        ],
    )?;
    snapshot.counters(
        names::RECEIVED,
        "outcome",
        &[("matched", delivery.matched), ("unmatched", delivery.unmatched)],
    )?;
    snapshot.counters(
        names::POISON_MESSAGES,
        "kind",
        &[
            ("notification", relayed.poison_notifications + bus.poisoned),
            ("control", relayed.poison_control),
        ],
    )?;
    let by_kind = |value: fn(&bus::TailStats) -> u64| -> Vec<(&str, u64)> {
        let kinds = Kind::ALL.iter().zip(&bus.tails);
        kinds.map(|(kind, tail)| (kind.as_str(), value(tail))).collect()
    };
    snapshot.gauges(names::TAIL_BYTES, "kind", &by_kind(|tail| tail.bytes))?;
    snapshot.gauges(names::TAIL_MESSAGES, "kind", &by_kind(|tail| tail.messages))?;
    let streams = |value: fn(&bus::StreamStats) -> u64| -> Vec<(&str, u64)> {
        let kinds = Kind::ALL.iter().zip(&bus.streams);
        kinds
            .map(|(kind, stream)| (kind.as_str(), value(stream)))
            .collect()
    };
    let total = |value: fn(&bus::StreamStats) -> u64| bus.streams.iter().map(value).sum::<u64>();
    snapshot.gauges(names::HISTORY_HEAD, "kind", &streams(|stream| stream.head))?;
    snapshot.gauges(names::HISTORY_LAG, "kind", &streams(|stream| stream.lag))?;
    snapshot.counters(
        names::HISTORY_RESETS,
        "cause",
        &[
            ("gap", total(|stream| stream.resets[0])),
            ("silence", total(|stream| stream.resets[1])),
            ("connection", total(|stream| stream.resets[2])),
        ],
    )?;
    snapshot.counter(names::HISTORY_POLLED, total(|stream| stream.polled))?;
    snapshot.counter(names::HISTORY_HOLES, total(|stream| stream.holes))?;
    snapshot.counter(names::HISTORY_BROKEN, total(|stream| stream.broken))?;
    snapshot.gauge(names::HISTORY_DRIFT, total(|stream| stream.has_drift.into()))?;
    snapshot.gauges(
        names::HISTORY_STORED,
        "kind",
        &streams(|stream| stream.stored_bytes),
    )?;
    snapshot.gauges(
        names::HISTORY_STORED_MAX,
        "kind",
        &streams(|stream| stream.stored_bytes_max),
    )?;
    snapshot.gauges(names::HISTORY_INDEXED, "kind", &streams(|stream| stream.indexed))?;
    snapshot.gauges(
        names::HISTORY_INDEX_BYTES,
        "kind",
        &streams(|stream| stream.index_bytes),
    )?;
    let [index, vain, search] = bus.resume_reads;
    let reads = [("index", index), ("index_in_vain", vain), ("search", search)];
    snapshot.counters(names::RESUME_READS, "how", &reads)?;
    snapshot.gauge(names::HISTORY_FILE, bus.history_file_bytes)?;
    snapshot.counter(names::PUBLISH_REPEATS, bus.publish_repeats)?;
    snapshot.counter(names::LOG_LINES_LOST, crate::telemetry::logs::lost())?;
    snapshot.counter(names::AUDIT_LOST, observed.audit_lost)?;
    snapshot.gauge(names::REVOCATIONS, observed.revocations as u64)?;
    let ages = observed.key_ages.iter();
    let ages: Vec<_> = ages.map(|(issuer, age)| (&**issuer, age.as_secs())).collect();
    snapshot.gauges(names::JWKS_AGE, "issuer", &ages)?;
    snapshot.counter(names::HEARTBEAT_MISSES, delivery.pings)?;
    snapshot.counter(names::REAPED, delivery.reaped)?;
    snapshot.gauge(names::BUS_CONNECTED, observed.bus_connected.into())?;
    snapshot.counter(names::BUS_RECONNECTS, bus.reconnects)?;
    snapshot.counter(names::BUS_SLOW_CONSUMER_DROPS, bus.slow_consumer_drops)?;
    snapshot.counter(names::BUS_UNDELIVERABLE, bus.undeliverable)?;
    snapshot.gauge(names::BUS_REFUSED_SUBSCRIPTIONS, bus.refused_subscriptions)?;
    snapshot.counter(names::BUS_REFUSED_PUBLISHES, bus.refused_publishes)?;
    snapshot.counters(
        names::CONTROL_UNVERIFIED,
        "cause",
        &[
            ("unsigned", bus.unverified.unsigned),
            ("signature", bus.unverified.signature),
            ("clock", bus.unverified.clock),
            ("replayed", bus.unverified.replayed),
        ],
    )?;
    snapshot.gauge(names::USERS_ONLINE, observed.users_online as u64)?;
    snapshot.gauge(names::INSTANCES, observed.instances as u64)?;
    snapshot.counter(names::PRESENCE_REFUSED, observed.presence_refused)?;
    let revision = option_env!("HERALD_REVISION").unwrap_or("unknown");
    snapshot.info(
        names::BUILD_INFO,
        &[("version", env!("CARGO_PKG_VERSION")), ("revision", revision)],
    )?;
    // Not `instance`: that label is Prometheus's own name for what it scrapes.
    snapshot.info(names::INSTANCE_INFO, &[("name", &observed.instance)])?;
    process(&snapshot, Process::read())?;
    Ok(snapshot.0)
}

/// The names are those that every Prometheus client uses, where these have one.
fn process(snapshot: &Snapshot, process: Process) -> Result<(), prometheus::Error> {
    snapshot.gauge(names::MEMORY_LIMIT, process.memory_limit_bytes.unwrap_or(0))?;
    for (name, value) in [
        (names::RESIDENT_MEMORY, process.resident_bytes),
        (names::OPEN_FDS, process.open_fds),
        (names::MAX_FDS, process.max_fds),
        (names::THREADS, process.threads),
    ] {
        if let Some(value) = value {
            snapshot.gauge(name, value)?;
        }
    }
    let cpu = Counter::new(names::CPU_SECONDS.name, names::CPU_SECONDS.help)?;
    cpu.inc_by(process.cpu_seconds);
    snapshot.add(cpu)?;
    snapshot.seconds(names::START_TIME, process.start_seconds)
}
