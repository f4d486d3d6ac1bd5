//! The promise: limits, sizes and times are bounded, and fit each other.

use super::check;

#[test]
fn bounds_fit_each_other() {
    for (text, key) in [
        ("limits.body_bytes = '8001KiB'", "limits.body_bytes"),
        ("limits.body_bytes = '0B'", "limits.body_bytes"),
        ("limits.outbox_bytes = '63KiB'", "limits.outbox_bytes"),
        ("limits.outbox_total_bytes = '1MiB'", "limits.outbox_total_bytes"),
        ("limits.delivery_bytes = '64KiB'", "limits.delivery_bytes"),
        (
            "limits.frame_bytes_before_login = '0B'",
            "limits.frame_bytes_before_login",
        ),
        ("limits.socket_send_bytes = '1B'", "limits.socket_send_bytes"),
        ("limits.connect_timeout = '0s'", "limits.connect_timeout"),
        ("http.head_total_bytes = '15KiB'", "http.head_total_bytes"),
        ("http.unauthenticated = 0", "http.unauthenticated"),
        ("limits.frame_timeout = '0s'", "limits.frame_timeout"),
        ("limits.replay_read_timeout = '0s'", "limits.replay_read_timeout"),
        ("limits.replay_ack_timeout = '0s'", "limits.replay_ack_timeout"),
        (
            "limits.incoming_total_bytes = '7MiB'",
            "limits.incoming_total_bytes",
        ),
        (
            "limits.transaction_total_bytes = '7MiB'",
            "limits.transaction_total_bytes",
        ),
        (
            "limits.send_bytes_per_session = '4MiB'",
            "limits.send_bytes_per_session",
        ),
        (
            "limits.send_bytes_per_user = '1B/s'",
            "limits.send_bytes_per_user",
        ),
        (
            "limits.idle_frames_per_session = '20'",
            "limits.idle_frames_per_session",
        ),
        ("limits.sessions_per_user = 4097", "limits.sessions_per_user"),
        ("heartbeat.send = '999ms'", "heartbeat.send"),
        ("heartbeat.receive = '1ms'", "heartbeat.receive"),
        ("delivery.shards = 0", "delivery.shards"),
        ("delivery.shards = 65", "delivery.shards"),
        ("delivery.mailbox = 0", "delivery.mailbox"),
        ("presence.instance_timeout = '1s'", "presence.instance_timeout"),
        ("drain.timeout = '6s'", "drain.timeout"),
        ("metrics.interval = '0s'", "metrics.interval"),
        ("tracing.ratio = 1.5", "tracing.ratio"),
        ("tracing.queue = 0", "tracing.queue"),
        ("tracing.endpoint = 'localhost:4317'", "tracing.endpoint"),
        ("tracing.trust = ['10.0.0.0/33']", "tracing.trust[0]"),
        ("tracing.trust = ['key:nobody']", "tracing.trust[0]"),
        (
            "tracing.baggage_to_browsers = ['a=1']",
            "tracing.baggage_to_browsers[0]",
        ),
        ("instance.name = \"a\\nb\"", "instance.name"),
        ("log.level = 'inof'", "log.level"),
        ("audit.file = ''", "audit.file"),
        ("audit.groups = 0", "audit.groups"),
        ("audit.names = 'hashed'", "audit.names_key"),
        (
            "[audit]\nnames = 'hashed'\nnames_key = 'short'",
            "audit.names_key",
        ),
        (
            "[audit]\nnames = 'hashed'\nnames_key = '-----BEGIN PUBLIC KEY-----'",
            "audit.names_key",
        ),
    ] {
        check(text, &[key]);
    }
    check("limits.socket_send_bytes = '0B'", &[]);
    check("heartbeat.send = '0s'", &[]);
}
