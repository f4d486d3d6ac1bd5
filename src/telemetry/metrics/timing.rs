//! A histogram of durations that remembers, for each of its buckets, the last trace that fell into it: an exemplar, as
//! OpenMetrics shows it. Knows no name.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use prometheus::{Histogram, HistogramOpts};

/// A trace's id: 32 hex digits.
type TraceId = [u8; 32];

/// One measurement that stands for its bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Exemplar {
    trace: TraceId,
    /// Seconds.
    pub(super) value: f64,
    /// Unix seconds.
    pub(super) at: f64,
}

impl Exemplar {
    pub(super) fn trace_id(&self) -> &str {
        // Made from a `str`.
        std::str::from_utf8(&self.trace).unwrap_or_default()
    }
}

/// The exemplars of one histogram, one a bucket, the last for +Inf.
#[derive(Debug)]
pub(super) struct Exemplars {
    bounds: Vec<f64>,
    held: Mutex<Vec<Option<Exemplar>>>,
}

impl Exemplars {
    /// The exemplar of the bucket up to `bound`.
    pub(super) fn of(&self, bound: f64) -> Option<Exemplar> {
        let held = self.held.lock();
        held.get(self.bucket(bound)).copied().flatten()
    }

    fn bucket(&self, value: f64) -> usize {
        self.bounds.partition_point(|bound| *bound < value)
    }
}

/// A histogram in seconds. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Timing {
    histogram: Histogram,
    exemplars: Arc<Exemplars>,
}

impl Timing {
    pub(super) fn new(options: HistogramOpts) -> Result<Self, prometheus::Error> {
        let bounds = options.buckets.clone();
        let held = Mutex::new(vec![None; bounds.len() + 1]);
        Ok(Self {
            histogram: Histogram::with_opts(options)?,
            exemplars: Arc::new(Exemplars { bounds, held }),
        })
    }

    pub(super) fn histogram(&self) -> Histogram {
        self.histogram.clone()
    }

    pub(super) fn exemplars(&self) -> Arc<Exemplars> {
        Arc::clone(&self.exemplars)
    }

    /// One measurement; `trace` is the id of the trace it belongs to, if that is recorded.
    pub fn observe(&self, took: Duration, trace: Option<&str>) {
        let value = took.as_secs_f64();
        self.histogram.observe(value);
        let Some(trace) = trace.and_then(|trace| TraceId::try_from(trace.as_bytes()).ok()) else {
            return;
        };
        // Any recent one will do: who finds another at it leaves it be.
        let Some(mut held) = self.exemplars.held.try_lock() else {
            return;
        };
        let at = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0.0, |since| since.as_secs_f64());
        if let Some(place) = held.get_mut(self.exemplars.bucket(value)) {
            *place = Some(Exemplar { trace, value, at });
        }
    }

    /// How many measurements there were.
    pub fn count(&self) -> u64 {
        self.histogram.get_sample_count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn a_bucket_remembers_the_last_recorded_trace_that_fell_into_it() {
        let options = HistogramOpts::new("x", "x").buckets(vec![0.1, 1.0]);
        let timing = Timing::new(options).unwrap();
        timing.observe(Duration::from_millis(50), None);
        timing.observe(Duration::from_millis(500), Some("no id"));
        assert!(timing.exemplars.held.lock().iter().all(Option::is_none));
        // A bound belongs to its own bucket, as in Prometheus.
        for (millis, bound) in [(100, 0.1), (101, 1.0), (5_000, f64::INFINITY)] {
            timing.observe(Duration::from_millis(millis), Some(TRACE));
            let found = timing.exemplars.of(bound).unwrap();
            assert_eq!((found.trace_id(), found.value), (TRACE, millis as f64 / 1e3));
        }
        assert_eq!(timing.count(), 5);
    }
}
