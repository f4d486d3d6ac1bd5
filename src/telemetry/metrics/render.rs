//! One scrape: the handles' values and a snapshot of what others count, in the format that the scraper asks for.

use prometheus::proto::MetricFamily;
use prometheus::{Encoder, TextEncoder};

use super::snapshot::{Observed, snapshot};
use super::{Metrics, openmetrics};

/// How a scrape is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus's own text.
    Text,
    /// OpenMetrics 1.0, with exemplars.
    OpenMetrics,
}

impl Format {
    /// What `accept` (a request's `Accept`) asks for: OpenMetrics where it is named with no lower weight than plain text.
    pub fn accepted(accept: &str) -> Self {
        let (mut open, mut text) = (0.0_f32, 0.0_f32);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default();
            let weight = parts
                .find_map(|part| part.strip_prefix("q="))
                .map_or(Some(1.0), |q| q.parse().ok())
                .unwrap_or(0.0_f32);
            if kind.eq_ignore_ascii_case("application/openmetrics-text") {
                open = open.max(weight);
            } else if kind.eq_ignore_ascii_case("text/plain") {
                text = text.max(weight);
            }
        }
        if open > 0.0 && open >= text {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    /// The `Content-Type` of the answer.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => prometheus::TEXT_FORMAT,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

impl Metrics {
    /// Every family, sorted by name. Reads `/proc`: not for the runtime's threads.
    pub fn gather(&self, observed: &Observed) -> Result<Vec<MetricFamily>, prometheus::Error> {
        let mut families = self.registry().gather();
        families.extend(snapshot(observed, self.relayed())?.gather());
        families.sort_by(|a, b| a.name().cmp(b.name()));
        Ok(families)
    }

    /// The text of one scrape. Reads `/proc`: not for the runtime's threads.
    pub fn render(&self, observed: &Observed, format: Format) -> Result<String, prometheus::Error> {
        let families = self.gather(observed)?;
        match format {
            Format::Text => {
                let mut text = Vec::new();
                TextEncoder::new().encode(&families, &mut text)?;
                Ok(String::from_utf8_lossy(&text).into_owned())
            }
            Format::OpenMetrics => Ok(openmetrics::encode(&families, &self.exemplars)),
        }
    }
}

#[cfg(test)]
mod tests;
