//! The OpenMetrics text of gathered families, version 1.0, with exemplars: the prometheus crate writes neither. Knows no
//! metric by name.

use std::fmt::Write;

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

use super::Series;

/// The whole text, its end mark included.
pub(super) fn encode(families: &[MetricFamily], series: &[Series]) -> String {
    let mut text = String::new();
    for family in families {
        let kind = family.get_field_type();
        // A counter's family is named without what its samples end with.
        let name = match kind {
            MetricType::COUNTER => family.name().strip_suffix("_total").unwrap_or(family.name()),
            _ => family.name(),
        };
        // Writing to a `String` does not fail.
        let _ = writeln!(text, "# TYPE {name} {}", word(kind));
        let _ = writeln!(text, "# HELP {name} {}", escaped(family.help()));
        for metric in family.get_metric() {
            match kind {
                MetricType::COUNTER => {
                    let value = number(metric.get_counter().get_value());
                    let _ = writeln!(text, "{name}_total{} {value}", labels(metric, None));
                }
                MetricType::HISTOGRAM => histogram(&mut text, name, metric, of(series, family, metric)),
                _ => {
                    let value = number(metric.get_gauge().get_value());
                    let _ = writeln!(text, "{name}{} {value}", labels(metric, None));
                }
            }
        }
    }
    text.push_str("# EOF\n");
    text
}

fn word(kind: MetricType) -> &'static str {
    match kind {
        MetricType::COUNTER => "counter",
        MetricType::HISTOGRAM => "histogram",
        _ => "gauge",
    }
}

fn histogram(text: &mut String, name: &str, metric: &Metric, series: Option<&Series>) {
    let histogram = metric.get_histogram();
    let count = histogram.get_sample_count();
    let bounded = histogram
        .get_bucket()
        .iter()
        .map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()));
    for (bound, cumulative) in bounded.chain([(f64::INFINITY, count)]) {
        let bound_text = match bound.is_infinite() {
            true => "+Inf".into(),
            false => number_with_point(bound),
        };
        let _ = write!(
            text,
            "{name}_bucket{} {cumulative}",
            labels(metric, Some(&bound_text))
        );
        if let Some(exemplar) = series.and_then(|series| series.exemplars.of(bound)) {
            let _ = write!(
                text,
                " # {{trace_id=\"{}\"}} {} {:.3}",
                exemplar.trace_id(),
                exemplar.value,
                exemplar.at
            );
        }
        text.push('\n');
    }
    let labels = labels(metric, None);
    let sum = number(histogram.get_sample_sum());
    let _ = writeln!(text, "{name}_sum{labels} {sum}\n{name}_count{labels} {count}");
}

/// The exemplars of one histogram.
fn of<'a>(series: &'a [Series], family: &MetricFamily, metric: &Metric) -> Option<&'a Series> {
    series.iter().find(|series| {
        let is_this = |pair: &LabelPair| Some((pair.name(), pair.value())) == series.label;
        series.name == family.name() && (series.label.is_none() || metric.get_label().iter().any(is_this))
    })
}

fn labels(metric: &Metric, bound: Option<&str>) -> String {
    let own = metric.get_label().iter().map(|pair| (pair.name(), pair.value()));
    let pairs: Vec<String> = own
        .chain(bound.map(|bound| ("le", bound)))
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
        .collect();
    match pairs.is_empty() {
        true => String::new(),
        false => format!("{{{}}}", pairs.join(",")),
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// Whole numbers without a point, which both kinds of sample may have.
fn number(value: f64) -> String {
    value.to_string()
}

/// A bucket's bound: always with a point, so that one bound has one text.
fn number_with_point(value: f64) -> String {
    format!("{value:?}")
}
