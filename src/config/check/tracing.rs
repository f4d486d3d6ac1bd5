//! `[tracing]`: a collector that can be reached, as for `[metrics]`; a valid ratio, trust in keys that exist.

use crate::config::Config;
use crate::setting::{Findings, HumanDuration};
use crate::telemetry::otlp::is_endpoint;
use crate::telemetry::trace::decide::Trusted;

pub(super) fn check(config: &Config, findings: &mut Findings) {
    let tracing = &config.tracing;
    if let Some(endpoint) = &tracing.endpoint
        && !is_endpoint(endpoint)
    {
        findings.error(
            "tracing.endpoint",
            "expected a collector's address, such as http://localhost:4317",
        );
    }
    if let Some(endpoint) = &config.metrics.endpoint
        && !is_endpoint(endpoint)
    {
        findings.error(
            "metrics.endpoint",
            "expected a collector's address, such as http://localhost:4317",
        );
    }
    if let Some(ratio) = tracing.ratio
        && !(0.0..=1.0).contains(&ratio)
    {
        findings.error("tracing.ratio", format!("expected 0.0 to 1.0, got {ratio}"));
    }
    for (index, trusted) in tracing.trust.iter().enumerate() {
        if let Trusted::Key(name) = trusted
            // Those of a keys file come and go while Herald runs.
            && config.api.keys_file.is_none()
            && !config.api.keys.iter().any(|key| *key.name == **name)
        {
            let message = format!("expected the name of one of api.keys, got {name:?}");
            findings.error(format!("tracing.trust[{index}]"), message);
        }
    }
    findings.at_least(
        "metrics.interval",
        config.metrics.interval,
        HumanDuration::secs(1),
    );
    findings.positive("metrics.timeout", config.metrics.timeout);
    findings.within("tracing.queue", tracing.queue, 1, 1 << 20);
    findings.positive("tracing.interval", tracing.interval);
    if let Some(timeout) = tracing.timeout {
        findings.positive("tracing.timeout", timeout);
    }
}
