//! Publishing, once for REST and for SEND: the `publish` span, the bus, the counts, and the words for what the bus refuses.
//! Knows no HTTP and no session.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::Instrument as _;

use crate::bus::{Bus, Health, Key, PublishError, Published};
use crate::close_reason::CloseReason;
use crate::destination::Target;
use crate::envelope::Envelope;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::trace::{Span, Tracer, Upstream, tracing_span};

/// By which way a notification came in: the metrics' label `source`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// A request.
    Rest,
    /// A client's SEND.
    Stomp,
}

/// Hands notifications to the bus. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Publisher {
    bus: Arc<dyn Bus>,
    tracer: Tracer,
    metrics: Metrics,
    /// `limits.body_bytes`: tells which of two limits a body is over.
    body_bytes: usize,
}

/// One notification on its way to all of its targets, within its `publish` span, which ends when this is dropped.
pub(crate) struct Publishing<'a> {
    publisher: &'a Publisher,
    source: Source,
    span: Option<Span>,
}

/// What the bus refused, in the words that clients and operators know (docs/stomp.md, docs/metrics.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Words {
    /// The metrics' label `reason`, and the span's error type.
    pub reason: &'static str,
    /// `code` of a MESSAGE on the errors destination.
    pub code: &'static str,
    /// How a session ends for it.
    pub close: CloseReason,
}

/// The words for `error`; its [`Display`](std::fmt::Display) has the details.
pub(crate) fn words(error: &PublishError) -> Words {
    match error {
        PublishError::Unavailable => Words {
            reason: "bus_unavailable",
            code: "unavailable",
            close: CloseReason::BusUnavailable,
        },
        PublishError::Unknown => Words {
            reason: "outcome_unknown",
            code: "outcome_unknown",
            close: CloseReason::BusUnavailable,
        },
        PublishError::Full => Words {
            reason: "history_full",
            code: "history_full",
            close: CloseReason::Overloaded,
        },
        PublishError::KeyReused => Words {
            reason: "idempotency_key_reused",
            code: "idempotency_key_reused",
            close: CloseReason::Forbidden,
        },
        PublishError::OrderChanged { .. } => Words {
            reason: "order_changed",
            code: "order_changed",
            close: CloseReason::BusUnavailable,
        },
        PublishError::TooMany { .. } => Words {
            reason: "overloaded",
            code: "overloaded",
            close: CloseReason::Overloaded,
        },
        PublishError::TooLarge { .. } => Words {
            reason: "too_large",
            code: "too_large",
            close: CloseReason::TooLarge,
        },
    }
}

/// The setting that sets the limit which `error` is about, if it is about one.
pub(crate) fn limit_of(error: &PublishError) -> Option<&'static str> {
    match error {
        PublishError::TooLarge { which, .. } => Some(which),
        PublishError::TooMany { limit } => Some(limit.name()),
        _ => None,
    }
}

impl Publisher {
    /// On `bus`; `body_bytes` is `limits.body_bytes`.
    pub(crate) fn new(bus: Arc<dyn Bus>, tracer: Tracer, metrics: Metrics, body_bytes: usize) -> Self {
        Self {
            bus,
            tracer,
            metrics,
            body_bytes,
        }
    }

    /// Refuses at once while the bus is not connected.
    ///
    /// # Errors
    /// [`PublishError::Unavailable`].
    pub(crate) fn check_connected(&self) -> Result<(), PublishError> {
        match *self.bus.health().borrow() {
            Health::Connected => Ok(()),
            Health::Disconnected => Err(PublishError::Unavailable),
        }
    }

    /// The largest body that can be published now, in bytes, and the name of the setting that says so.
    pub(crate) fn body_limit(&self) -> (usize, &'static str) {
        let limit = self.bus.max_body_bytes();
        match limit < self.body_bytes {
            true => (limit, "max_payload of the NATS server"),
            false => (limit, "limits.body_bytes"),
        }
    }

    /// Refuses a body of `size` bytes that the bus would refuse.
    ///
    /// # Errors
    /// [`PublishError::TooLarge`].
    pub(crate) fn check_size(&self, size: usize) -> Result<(), PublishError> {
        let (limit, which) = self.body_limit();
        match size <= limit {
            true => Ok(()),
            false => Err(PublishError::TooLarge { size, limit, which }),
        }
    }

    /// Begins to publish `envelope`, which goes to all of `targets`: gives it the trace that it travels with.
    pub(crate) fn begin(
        &self,
        source: Source,
        upstream: &Upstream,
        targets: &[Target],
        envelope: &mut Envelope,
    ) -> Publishing<'_> {
        Publishing {
            publisher: self,
            source,
            span: self.tracer.publish(upstream, targets, envelope),
        }
    }

    /// Counts one notification by its outcome; `refused` is the reason's label. To be called once, whatever the number of its
    /// targets, also for one that was refused before the bus saw it.
    pub(crate) fn count(&self, source: Source, refused: Option<&str>) {
        let label = source.label();
        match refused {
            None => self.metrics.published.with_label_values(&[label]).inc(),
            Some(reason) => {
                let labels = [label, reason];
                self.metrics.publish_refused.with_label_values(&labels).inc();
            }
        }
    }
}

impl<'a> Publisher {
    /// Hands `batch` to the bus, all or nothing. `publishings` are those of its notifications, each with the number of the
    /// targets that it has there. `None`: the bus cannot publish these as one.
    pub(crate) async fn hand_over_all(
        &self,
        publishings: &mut [(Publishing<'a>, usize)],
        batch: &[(Envelope, Option<Key>)],
    ) -> Option<Result<Vec<Published>, PublishError>> {
        let begun = Instant::now();
        let published = self.bus.publish_atomic(batch)?.await;
        let (lasted, error) = (begun.elapsed(), published.as_ref().err());
        let mut first = 0;
        for (publishing, targets) in publishings {
            if let Some((envelope, _)) = batch.get(first) {
                publishing.note(lasted, envelope, error);
            }
            first += *targets;
        }
        Some(published)
    }

    /// Hands `batch` to the bus in its order, each for itself; an outcome for each, and how long all took, which each is to
    /// be [told](Publishing::note).
    pub(crate) async fn hand_over_each(
        &self,
        batch: &[(Envelope, Option<Key>)],
    ) -> (Vec<Result<Published, PublishError>>, Duration) {
        let begun = Instant::now();
        let outcomes = self.bus.publish_all(batch).await;
        (outcomes, begun.elapsed())
    }
}

impl Publishing<'_> {
    /// The `publish` span, for log lines about this notification; `None` if it is not recorded.
    pub(crate) fn span(&self) -> Option<&Span> {
        self.span.as_ref()
    }

    /// Hands the notification to the bus, for the target that it names now, with the key by which a repeat is known. Returns
    /// where it is kept.
    ///
    /// # Errors
    /// The bus did not take it.
    pub(crate) async fn hand_over(
        &mut self,
        envelope: &Envelope,
        key: Option<Key>,
    ) -> Result<Published, PublishError> {
        let begun = Instant::now();
        let handing_over = self.publisher.bus.publish_once(envelope, key);
        let published = handing_over.instrument(tracing_span(self.span.as_ref())).await;
        self.note(begun.elapsed(), envelope, published.as_ref().err());
        published
    }

    /// Notes what became of `envelope`, and how long that took.
    pub(crate) fn note(&mut self, lasted: Duration, envelope: &Envelope, error: Option<&PublishError>) {
        match error {
            None => {
                let metrics = &self.publisher.metrics;
                let histogram = match self.source {
                    Source::Rest => &metrics.publish_rest,
                    Source::Stomp => &metrics.publish_stomp,
                };
                histogram.observe(lasted, envelope.trace.recorded_id());
            }
            Some(error) => {
                if let Some(span) = &mut self.span {
                    span.fail(words(error).reason, error.to_string());
                }
            }
        }
    }
}

impl Source {
    fn label(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Stomp => "stomp",
        }
    }
}

#[cfg(test)]
mod tests {
    //! Promise: both ways in are counted alike, and clients read the same words for a refusal whichever way they came.

    use super::*;
    use crate::destination::Path;
    use crate::http::tests::{MAX_BODY_BYTES, RecordingBus};

    fn publisher(bus: &Arc<RecordingBus>, body_bytes: usize) -> (Publisher, Metrics) {
        let metrics = Metrics::new().unwrap();
        let bus: Arc<dyn Bus> = bus.clone();
        let publisher = Publisher::new(bus, Tracer::default(), metrics.clone(), body_bytes);
        (publisher, metrics)
    }

    #[tokio::test]
    async fn what_the_bus_takes_or_refuses_is_counted_by_source() {
        let bus = Arc::new(RecordingBus::default());
        let (publisher, metrics) = publisher(&bus, MAX_BODY_BYTES);
        for source in [Source::Rest, Source::Stomp] {
            for (bytes, expected) in [(1, None), (MAX_BODY_BYTES + 1, Some("too_large"))] {
                let target = Target::Broadcast(Path::parse("/queue/x").unwrap());
                let mut envelope = Envelope::new(target.clone(), vec![b'x'; bytes]);
                let mut publishing = publisher.begin(source, &Upstream::default(), &[target], &mut envelope);
                let outcome = publishing.hand_over(&envelope, None).await;
                let refused = outcome.as_ref().err().map(|error| words(error).reason);
                assert_eq!(refused, expected);
                publisher.count(source, refused);
            }
            let label = source.label();
            assert_eq!(metrics.published.with_label_values(&[label]).get(), 1, "{label}");
            let refused = metrics.publish_refused.with_label_values(&[label, "too_large"]);
            assert_eq!(refused.get(), 1, "{label}");
        }
        assert_eq!(bus.published.lock().len(), 2);
    }

    #[test]
    fn the_limit_is_named_after_who_sets_it() {
        let bus = Arc::new(RecordingBus::default());
        let check = |body_bytes, expected: &str| {
            let (publisher, _) = publisher(&bus, body_bytes);
            assert_eq!(publisher.body_limit(), (MAX_BODY_BYTES, expected), "{body_bytes}");
            assert!(publisher.check_size(MAX_BODY_BYTES).is_ok());
            let refused = publisher.check_size(MAX_BODY_BYTES + 1).unwrap_err();
            assert!(refused.to_string().contains(expected), "{refused}");
        };
        check(MAX_BODY_BYTES, "limits.body_bytes");
        check(MAX_BODY_BYTES + 1, "max_payload of the NATS server");
    }

    #[test]
    fn nothing_goes_while_the_bus_is_away() {
        let bus = Arc::new(RecordingBus::default());
        let (publisher, _) = publisher(&bus, MAX_BODY_BYTES);
        assert_eq!(publisher.check_connected(), Ok(()));
        bus.disconnect();
        let error = publisher.check_connected().unwrap_err();
        let words = words(&error);
        assert_eq!((words.reason, words.code), ("bus_unavailable", "unavailable"));
        assert_eq!(words.close, CloseReason::BusUnavailable);
    }
}
