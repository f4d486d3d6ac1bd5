//! From gathered families to OTLP's metrics: the same names, the same labels, cumulative from the program's start. Knows no
//! metric by name and no collector.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prometheus::proto::{self, MetricFamily, MetricType};

/// When the values begin and when they were read, in Unix nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub start: u64,
    pub end: u64,
}

/// A text attribute.
pub(super) fn attribute(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(value.into())),
        }),
        ..Default::default()
    }
}

/// One request with everything.
pub(super) fn request(
    families: &[MetricFamily],
    resource: Vec<KeyValue>,
    span: Span,
) -> ExportMetricsServiceRequest {
    let scope = InstrumentationScope {
        name: "herald".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        ..Default::default()
    };
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource {
                attributes: resource,
                ..Default::default()
            }),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(scope),
                metrics: families.iter().map(|family| converted(family, span)).collect(),
                ..Default::default()
            }],
            ..Default::default()
        }],
    }
}

fn converted(family: &MetricFamily, span: Span) -> Metric {
    let metrics = family.get_metric();
    let numbers = |value: fn(&proto::Metric) -> f64| {
        let point = |metric: &proto::Metric| NumberDataPoint {
            attributes: attributes(metric),
            start_time_unix_nano: span.start,
            time_unix_nano: span.end,
            value: Some(number_data_point::Value::AsDouble(value(metric))),
            ..Default::default()
        };
        metrics.iter().map(point).collect()
    };
    let data = match family.get_field_type() {
        MetricType::COUNTER => metric::Data::Sum(Sum {
            data_points: numbers(|metric| metric.get_counter().get_value()),
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
            is_monotonic: true,
        }),
        MetricType::HISTOGRAM => metric::Data::Histogram(Histogram {
            data_points: metrics.iter().map(|metric| histogram(metric, span)).collect(),
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
        }),
        _ => metric::Data::Gauge(Gauge {
            data_points: numbers(|metric| metric.get_gauge().get_value()),
        }),
    };
    Metric {
        name: family.name().into(),
        description: family.help().into(),
        unit: unit(family.name()).into(),
        data: Some(data),
        ..Default::default()
    }
}

/// As the name says it: a collector that writes Prometheus's names adds it only where it is missing.
fn unit(name: &str) -> &'static str {
    match name.trim_end_matches("_total") {
        name if name.ends_with("_seconds") => "s",
        name if name.ends_with("_bytes") => "By",
        _ => "",
    }
}

fn attributes(metric: &proto::Metric) -> Vec<KeyValue> {
    let pairs = metric.get_label().iter();
    pairs.map(|pair| attribute(pair.name(), pair.value())).collect()
}

/// Prometheus's buckets hold what is below them as well; OTLP's do not.
fn histogram(metric: &proto::Metric, span: Span) -> HistogramDataPoint {
    let histogram = metric.get_histogram();
    let count = histogram.get_sample_count();
    let (mut bounds, mut counts, mut below) = (Vec::new(), Vec::new(), 0);
    for bucket in histogram.get_bucket() {
        bounds.push(bucket.upper_bound());
        counts.push(bucket.cumulative_count().saturating_sub(below));
        below = bucket.cumulative_count();
    }
    counts.push(count.saturating_sub(below));
    HistogramDataPoint {
        attributes: attributes(metric),
        start_time_unix_nano: span.start,
        time_unix_nano: span.end,
        count,
        sum: Some(histogram.get_sample_sum()),
        bucket_counts: counts,
        explicit_bounds: bounds,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntGauge, Registry};

    use super::*;

    #[test]
    fn names_labels_and_values_are_the_same() {
        let registry = Registry::new();
        let counter = IntCounter::new("x_total", "help").unwrap();
        counter.inc_by(7);
        let gauge = IntGauge::new("x_bytes", "help").unwrap();
        gauge.set(-2);
        let options = HistogramOpts::new("x_seconds", "help").buckets(vec![0.1, 1.0]);
        let histogram = HistogramVec::new(options, &["peer"]).unwrap();
        for value in [0.1, 0.2, 0.3, 5.0] {
            histogram.with_label_values(&["own"]).observe(value);
        }
        registry.register(Box::new(counter)).unwrap();
        registry.register(Box::new(gauge)).unwrap();
        registry.register(Box::new(histogram)).unwrap();
        let span = Span { start: 1, end: 2 };
        let request = request(
            &registry.gather(),
            vec![attribute("service.name", "herald")],
            span,
        );
        let [resource] = &request.resource_metrics[..] else {
            panic!("one resource")
        };
        let metrics = &resource.scope_metrics[0].metrics;
        let find = |name: &str| metrics.iter().find(|metric| metric.name == name).unwrap();
        let value = |points: &[NumberDataPoint]| points[0].value;
        match &find("x_total").data {
            Some(metric::Data::Sum(sum)) => {
                assert!(sum.is_monotonic);
                assert_eq!(
                    value(&sum.data_points),
                    Some(number_data_point::Value::AsDouble(7.0))
                );
                assert_eq!(
                    (
                        sum.data_points[0].start_time_unix_nano,
                        sum.data_points[0].time_unix_nano
                    ),
                    (1, 2)
                );
            }
            other => panic!("{other:?}"),
        }
        match &find("x_bytes").data {
            Some(metric::Data::Gauge(gauge)) => assert_eq!(
                value(&gauge.data_points),
                Some(number_data_point::Value::AsDouble(-2.0))
            ),
            other => panic!("{other:?}"),
        }
        match &find("x_seconds").data {
            Some(metric::Data::Histogram(histogram)) => {
                let point = &histogram.data_points[0];
                assert_eq!(point.bucket_counts, [1, 2, 1]);
                assert_eq!((point.count, &point.explicit_bounds[..]), (4, &[0.1, 1.0][..]));
                assert_eq!(point.attributes, [attribute("peer", "own")]);
            }
            other => panic!("{other:?}"),
        }
        let units = ["x_total", "x_bytes", "x_seconds"].map(|name| find(name).unit.clone());
        assert_eq!(units, ["", "By", "s"]);
    }
}
