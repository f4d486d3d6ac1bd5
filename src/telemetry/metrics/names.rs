//! The names and help texts of all metrics, in one table. docs/metrics.md describes them at more length; a test compares
//! the names of both. Knows no values.

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name {
    /// The name for Prometheus: base units, and `_total` at the end of counters.
    pub name: &'static str,
    /// The `# HELP` line.
    pub help: &'static str,
}

macro_rules! names {
    ($($constant:ident = $name:literal, $help:literal;)*) => {
        $(#[doc = $help] pub const $constant: Name = Name { name: $name, help: $help };)*
        /// All of them.
        pub const ALL: &[Name] = &[$($constant),*];
    };
}

names! {
    // Connections and sessions.
    CONNECTIONS = "herald_connections", "Open WebSocket connections, before and after login.";
    CONNECTIONS_REFUSED = "herald_connections_refused_total", "Connections refused with 503 at http.max_connections.";
    ACCEPT_PAUSES = "herald_accept_pauses_total", "Times that Herald paused accepting because no file descriptor was left.";
    PROXY_PROTOCOL_REFUSED = "herald_proxy_protocol_refused_total",
        "Connections of trusted proxies closed because of a missing or invalid PROXY protocol header.";
    RENEWALS = "herald_renewals_total", "Renewals of sessions, by result.";
    TLS_HANDSHAKES_REFUSED = "herald_tls_handshakes_refused_total",
        "TLS handshakes that waited too long for their turn (http.tls.handshakes), or took too long while others waited.";
    TLS_CERTIFICATE_EXPIRES = "herald_tls_certificate_expires_seconds",
        "When the certificate of a listener expires, in seconds since the Unix epoch, by setting; 0: no TLS there.";
    LOGINS = "herald_logins_total", "Logins, by result.";
    CALLOUTS = "herald_callouts_total", "Logins for a backend to decide, by result.";
    TOKENS = "herald_tokens_total", "Tokens presented, by issuer and result.";
    TOKEN_VERIFY_SECONDS = "herald_token_verify_duration_seconds",
        "Time to verify a token that Herald did not remember, from finding its key to the result, including waiting.";
    PERMISSION_REFUSALS = "herald_permission_refusals_total",
        "Actions that permissions refused, by action.";
    JWKS_FETCHES = "herald_jwks_fetches_total", "Fetches of an issuer's keys, by issuer and result.";
    JWKS_AGE = "herald_jwks_age_seconds", "Time since an issuer's keys were fetched.";
    SESSIONS = "herald_sessions", "Logged-in sessions.";
    SUBSCRIPTIONS = "herald_subscriptions", "Subscriptions of all sessions.";
    USERS_ONLINE = "herald_users_online", "Users online in the cluster.";
    CLOSES = "herald_session_closes_total", "Connections that ended, by reason.";
    HEARTBEAT_MISSES = "herald_heartbeat_misses_total",
        "Times that Herald pinged a client because its heart-beat was missing.";
    REAPED = "herald_sessions_reaped_total", "Sessions closed for silence.";
    FRAMES_RECEIVED = "herald_frames_received_total", "STOMP frames received from clients.";
    ACKS = "herald_acks_total", "ACK and NACK frames received, by kind.";
    LIMIT_HITS = "herald_limit_hits_total", "Times that a limit was reached, by the name of its setting.";

    // From the publisher to the bus.
    HTTP_REQUESTS = "herald_http_request_duration_seconds",
        "Time from the request head to the response head, by method, route and status.";
    API_KEY_REQUESTS = "herald_api_key_requests_total",
        "Requests with an API key, by the key's name (unknown: no such key) and result.";
    PUBLISHED = "herald_notifications_published_total", "Notifications accepted from publishers, by source.";
    PUBLISH_REFUSED = "herald_publish_refused_total", "Publishes refused, by source and reason.";
    PUBLISH_SECONDS = "herald_publish_duration_seconds",
        "Time from the acceptance of a notification until the bus has it, by source.";
    REQUESTS = "herald_application_requests_total", "Requests to backends, by result.";

    // The bus and the cluster.
    BUS_CONNECTED = "herald_bus_connected", "1 while the bus is connected.";
    BUS_RECONNECTS = "herald_bus_reconnects_total", "Times that the connection to the bus was re-established.";
    BUS_SLOW_CONSUMER_DROPS = "herald_bus_slow_consumer_drops_total",
        "Messages from the bus dropped because this instance read too slowly.";
    BUS_UNDELIVERABLE = "herald_bus_undeliverable_total",
        "Messages from the bus with an illegal subject, path, header or size.";
    LOG_LINES_LOST = "herald_log_lines_lost_total",
        "Log lines dropped because standard error was not read fast enough.";
    REVOCATIONS = "herald_revocations", "Revocations that this instance keeps, including lifted ones.";
    AUDIT_LOST = "herald_audit_lost_total", "Audit lines lost: too many waited, or the write failed.";
    POISON_MESSAGES = "herald_poison_messages_total",
        "Messages from the bus dropped because processing them panicked, by kind.";
    BUS_REFUSED_SUBSCRIPTIONS = "herald_bus_refused_subscriptions",
        "Subscriptions of this instance that the bus refuses; while there are any, the instance is not ready.";
    BUS_REFUSED_PUBLISHES = "herald_bus_refused_publishes_total",
        "Messages that the bus did not permit this instance to publish.";
    CONTROL_UNVERIFIED = "herald_control_unverified_total",
        "Messages from other instances without a valid signature, by cause; dropped only if bus.control_unsigned = refuse.";
    BUS_ROUND_TRIP_SECONDS = "herald_bus_round_trip_duration_seconds",
        "Time from a question over the bus to its answer, by whether this instance or another answered.";
    BUS_PROBE_FAILURES = "herald_bus_probe_failures_total",
        "Questions over the bus that were not answered in time, by whether they went to this instance or another.";
    INSTANCES = "herald_instances", "Live instances of the cluster.";
    PRESENCE_REFUSED = "herald_presence_refused_total",
        "Presence messages from other instances dropped because they could not be read.";

    // From the bus to the browser.
    RECEIVED = "herald_notifications_received_total",
        "Notifications from the bus, by whether a session of this instance may want them.";
    BUS_TO_SHARD_SECONDS = "herald_bus_to_shard_duration_seconds",
        "Time from the arrival of a notification at this instance until a shard has it.";
    WALK_SECONDS = "herald_broadcast_walk_duration_seconds",
        "Time in which one shard writes a broadcast, with consecutive ones in its mailbox, to all its subscribers.";
    DELIVERIES = "herald_deliveries_total",
        "MESSAGEs, by outcome; offline counts notifications to users without a session anywhere.";
    RESUMES = "herald_resumes_total",
        "Subscriptions with last-message-id, by outcome: recovered, or the reason why not.";
    REPLAYED = "herald_replayed_total", "MESSAGEs replayed to resuming clients, by source.";
    HISTORY_HEAD = "herald_history_head", "The last sequence read from the stream or stored in history.path, by kind; otherwise 0.";
    HISTORY_LAG = "herald_history_lag_messages", "Stored messages that this instance has not read yet, by kind.";
    HISTORY_RESETS = "herald_history_resets_total", "Consumers of a stream that Herald abandoned, by cause.";
    HISTORY_POLLED = "herald_history_polled_total", "Reads of a stream while it had no consumer.";
    HISTORY_HOLES = "herald_history_holes_total", "Gaps in the sequences of a stream that Herald checked.";
    HISTORY_BROKEN = "herald_history_broken_total",
        "Permanent losses, or streams replaced by others: sessions were closed.";
    HISTORY_DRIFT = "herald_history_config_drift", "Streams whose limits differ from the configuration.";
    HISTORY_STORED = "herald_history_stored_bytes", "Bytes in the stream or in history.path, by kind.";
    HISTORY_STORED_MAX = "herald_history_stored_bytes_max",
        "The most bytes that the stream may hold, by kind; 0: no limit, or no stream.";
    HISTORY_INDEXED = "herald_history_indexed_messages",
        "Stored messages in the index of this instance, older than those in memory, by kind.";
    HISTORY_INDEX_BYTES = "herald_history_index_bytes", "Bytes of memory that the index uses, by kind.";
    RESUME_READS = "herald_history_resume_reads_total", "Resumes that read from a stream, by how they read.";
    HISTORY_FILE = "herald_history_file_bytes", "Size of history.path on disk.";
    PUBLISH_REPEATS = "herald_publish_repeats_total", "Publishes into a stream that Herald repeated.";
    RESUME_SECONDS = "herald_resume_duration_seconds",
        "Time from a SUBSCRIBE with last-message-id until everything missed is written and the subscription is live.";
    TAIL_BYTES = "herald_tail_bytes", "Bytes of notifications that history holds in memory, by kind.";
    TAIL_MESSAGES = "herald_tail_messages", "Notifications that history holds in memory, by kind.";
    OUTBOX_BYTES = "herald_outbox_bytes", "Bytes that wait in outboxes.";
    OUTBOX_OLDEST_AGE = "herald_outbox_oldest_age_seconds",
        "Age of the oldest frame that waits in an outbox; 0 if none does.";
    OUTBOX_WAIT_SECONDS = "herald_outbox_wait_duration_seconds",
        "Time that a frame waited in an outbox until the kernel accepted it; frames written at once are not counted.";
    OUTBOX_OVERFLOWS = "herald_outbox_overflows_total", "Sessions closed as slow consumers.";
    ACK_SECONDS = "herald_ack_duration_seconds",
        "Time from writing a MESSAGE to its ACK, in the ack modes with acknowledgements.";

    // Herald itself.
    BUILD_INFO = "herald_build_info", "1, labelled with the version and the revision of the source.";
    INSTANCE_INFO = "herald_instance_info", "1, labelled with this instance's name.";
    OTLP_FAILURES = "herald_otlp_metrics_failures_total", "Failed exports of metrics over OTLP.";
    SPANS_EXPORTED = "herald_trace_spans_exported_total", "Spans that the collector has accepted.";
    SPANS_LOST = "herald_trace_spans_lost_total", "Spans lost, by reason.";
    MEMORY_LIMIT = "herald_memory_limit_bytes",
        "The most memory that this process may use according to its control groups (a container's limit); 0: no limit.";
    RESIDENT_MEMORY = "process_resident_memory_bytes", "Resident memory size in bytes.";
    OPEN_FDS = "process_open_fds", "Number of open file descriptors.";
    MAX_FDS = "process_max_fds", "Maximum number of open file descriptors.";
    THREADS = "process_threads", "Number of threads.";
    CPU_SECONDS = "process_cpu_seconds_total", "Total user and system CPU time spent in seconds.";
    START_TIME = "process_start_time_seconds", "Start time of the process, in seconds since the Unix epoch.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_occurs_once() {
        let mut names: Vec<&str> = ALL.iter().map(|name| name.name).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
