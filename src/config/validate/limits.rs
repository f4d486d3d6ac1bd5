//! `[limits]`, `[heartbeat]`, `[delivery]`, `[presence]` and `[drain]`: bounds that are sane and fit each other.

use super::Findings;
use crate::config::Config;
use crate::setting::{ByteSize, HumanDuration};
use crate::setting::{Limits, SESSIONS_PER_USER_MAX};

/// Beyond this a body is refused whatever the configuration says (docs/nats.md).
const BODY_MAX: ByteSize = ByteSize::kib(1_000);

pub(super) fn check(config: &Config, findings: &mut Findings) {
    limits(&config.limits, findings);

    let heartbeat = &config.heartbeat;
    for (key, value) in [
        ("heartbeat.send", heartbeat.send),
        ("heartbeat.receive", heartbeat.receive),
    ] {
        if !value.0.is_zero() && value < HumanDuration::secs(1) {
            findings.error(key, format!("expected 0s or at least 1s, got {value}"));
        }
    }

    findings.within("delivery.shards", config.delivery.shards, 1, 64);
    findings.within("delivery.mailbox", config.delivery.mailbox, 1, 1 << 20);

    let presence = &config.presence;
    findings.positive("presence.batch", presence.batch);
    findings.positive("presence.digest_interval", presence.digest_interval);
    findings.positive("presence.list_interval", presence.list_interval);
    findings.at_least(
        "presence.list_bytes_per_second",
        presence.list_bytes_per_second,
        ByteSize(1),
    );
    if presence.instance_timeout.0 < presence.digest_interval.0.saturating_mul(2) {
        findings.error(
            "presence.instance_timeout",
            format!(
                "expected at least twice presence.digest_interval ({}), got {}",
                presence.digest_interval, presence.instance_timeout
            ),
        );
    }

    let drain = &config.drain;
    findings.positive("drain.timeout", drain.timeout);
    if drain.balancer_wait.0.saturating_add(drain.spread.0) > drain.timeout.0 {
        findings.error(
            "drain.timeout",
            format!(
                "expected at least drain.balancer_wait ({}) and drain.spread ({}) together, got {}",
                drain.balancer_wait, drain.spread, drain.timeout
            ),
        );
    }
}

fn limits(limits: &Limits, findings: &mut Findings) {
    findings.at_least(
        "limits.frame_bytes_before_login",
        limits.frame_bytes_before_login,
        ByteSize(512),
    );
    findings.at_least("limits.body_bytes", limits.body_bytes, ByteSize(1));
    if limits.body_bytes > BODY_MAX {
        findings.warn(
            "limits.body_bytes",
            format!("{BODY_MAX} is the most that is accepted; more has no effect"),
        );
    }
    // A CONNECT with credentials has six headers, some with two spellings.
    findings.at_least("limits.headers", limits.headers, 8);
    findings.at_least("limits.header_bytes", limits.header_bytes, ByteSize(256));
    findings.at_least("limits.subscriptions", limits.subscriptions, 1);
    findings.at_least("limits.requests_in_flight", limits.requests_in_flight, 1);
    findings.at_least("limits.outbox_bytes", limits.outbox_bytes, ByteSize::kib(64));
    if limits.outbox_total_bytes < limits.outbox_bytes {
        findings.error(
            "limits.outbox_total_bytes",
            format!(
                "expected at least limits.outbox_bytes ({}), got {}",
                limits.outbox_bytes, limits.outbox_total_bytes
            ),
        );
    }
    if limits.delivery_bytes < limits.body_bytes {
        findings.error(
            "limits.delivery_bytes",
            format!(
                "expected at least limits.body_bytes ({}), got {}",
                limits.body_bytes, limits.delivery_bytes
            ),
        );
    }
    findings.within(
        "limits.sessions_per_user",
        limits.sessions_per_user,
        0,
        SESSIONS_PER_USER_MAX,
    );
    if limits.socket_send_bytes != ByteSize(0) {
        findings.within(
            "limits.socket_send_bytes",
            limits.socket_send_bytes,
            ByteSize::kib(4),
            ByteSize::mib(64),
        );
    }
    findings.positive("limits.connect_timeout", limits.connect_timeout);
}
