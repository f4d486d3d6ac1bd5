//! Every metric's name and what it tells, in one table; docs/metrics.md says the same at more length, and a test holds the
//! two together. Knows no value.

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name {
    /// As Prometheus reads it: base units, `_total` behind counters.
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
    ACCEPT_PAUSES = "herald_accept_pauses_total", "Times that accepting paused since no file descriptor was left.";
    PROXY_PROTOCOL_REFUSED = "herald_proxy_protocol_refused_total",
        "Connections of trusted proxies closed for want of a right PROXY protocol header.";
    RENEWALS = "herald_renewals_total", "Renewals of sessions, by result.";
    TLS_HANDSHAKES_REFUSED = "herald_tls_handshakes_refused_total",
        "TLS handshakes that had no turn in time (http.tls.handshakes), or held one for too long while others waited.";
    TLS_CERTIFICATE_EXPIRES = "herald_tls_certificate_expires_seconds",
        "Until when the certificate of a listener holds, since unix epoch in seconds, by setting; 0: no TLS there.";
    LOGINS = "herald_logins_total", "Logins, by result.";
    CALLOUTS = "herald_callouts_total", "Logins that a backend was to decide about, by result.";
    TOKENS = "herald_tokens_total", "Tokens presented, by issuer and by what became of them.";
    TOKEN_VERIFY_SECONDS = "herald_token_verify_duration_seconds",
        "Time that a token took that was not remembered, from its keys to its outcome, waiting included.";
    PERMISSION_REFUSALS = "herald_permission_refusals_total",
        "What permissions refused, by action.";
    JWKS_FETCHES = "herald_jwks_fetches_total", "Fetches of an issuer's keys, by issuer and result.";
    JWKS_AGE = "herald_jwks_age_seconds", "Time since an issuer's keys were fetched.";
    SESSIONS = "herald_sessions", "Logged-in sessions.";
    SUBSCRIPTIONS = "herald_subscriptions", "Subscriptions of all sessions.";
    USERS_ONLINE = "herald_users_online", "Users online in the cluster.";
    CLOSES = "herald_session_closes_total", "Connections that ended, by reason.";
    HEARTBEAT_MISSES = "herald_heartbeat_misses_total",
        "Times that a client's heart-beat was missing and it was pinged.";
    REAPED = "herald_sessions_reaped_total", "Sessions closed for silence.";
    FRAMES_RECEIVED = "herald_frames_received_total", "STOMP frames received from clients.";
    ACKS = "herald_acks_total", "ACK and NACK frames received, by kind.";
    LIMIT_HITS = "herald_limit_hits_total", "Times that a limit was hit, by the name of its setting.";

    // From the publisher to the bus.
    HTTP_REQUESTS = "herald_http_request_duration_seconds",
        "Time from request head to response head, by method, route and status.";
    API_KEY_REQUESTS = "herald_api_key_requests_total",
        "Requests with an API key, by its name (unknown: no such key) and by what became of them.";
    PUBLISHED = "herald_notifications_published_total", "Notifications accepted from publishers, by source.";
    PUBLISH_REFUSED = "herald_publish_refused_total", "Publishes refused, by source and reason.";
    PUBLISH_SECONDS = "herald_publish_duration_seconds",
        "Time from a notification's acceptance until the bus has it, by source.";
    REQUESTS = "herald_application_requests_total", "Application requests to backends, by result.";

    // The bus and the cluster.
    BUS_CONNECTED = "herald_bus_connected", "1 while the bus is connected.";
    BUS_RECONNECTS = "herald_bus_reconnects_total", "Times the bus connection came back.";
    BUS_SLOW_CONSUMER_DROPS = "herald_bus_slow_consumer_drops_total",
        "Messages from the bus dropped since this instance read too slowly.";
    BUS_UNDELIVERABLE = "herald_bus_undeliverable_total",
        "Messages from the bus with an illegal subject, path, header or size.";
    LOG_LINES_LOST = "herald_log_lines_lost_total",
        "Lines of the log dropped since nobody read standard error quickly enough.";
    REVOCATIONS = "herald_revocations", "Revocations that this instance keeps, those that were lifted among them.";
    AUDIT_LOST = "herald_audit_lost_total", "Lines of the audit lost: too many waited, or the write failed.";
    POISON_MESSAGES = "herald_poison_messages_total",
        "Messages from the bus dropped because handling one panicked, by kind.";
    BUS_REFUSED_SUBSCRIPTIONS = "herald_bus_refused_subscriptions",
        "Subscriptions of this instance that the bus refuses; it is not ready while there are any.";
    BUS_REFUSED_PUBLISHES = "herald_bus_refused_publishes_total",
        "Messages that the bus did not permit this instance to publish.";
    CONTROL_UNVERIFIED = "herald_control_unverified_total",
        "Messages from other instances without a good signature, by cause; only bus.control_unsigned = refuse drops them.";
    BUS_ROUND_TRIP_SECONDS = "herald_bus_round_trip_duration_seconds",
        "Time from a question to an instance over the bus to its answer, by whether it was this instance or another.";
    BUS_PROBE_FAILURES = "herald_bus_probe_failures_total",
        "Questions to an instance over the bus without an answer in time, by whether it was this instance or another.";
    INSTANCES = "herald_instances", "Live instances of the cluster.";
    PRESENCE_REFUSED = "herald_presence_refused_total",
        "Presence messages of other instances dropped, for they could not be read.";

    // From the bus to the browser.
    RECEIVED = "herald_notifications_received_total",
        "Notifications from the bus, by whether any session of this instance wanted them.";
    BUS_TO_SHARD_SECONDS = "herald_bus_to_shard_duration_seconds",
        "Time from a notification's arrival at this instance until a shard has it.";
    WALK_SECONDS = "herald_broadcast_walk_duration_seconds",
        "Time that one shard took to write a broadcast, with its neighbours in the mailbox, to all its subscribers.";
    DELIVERIES = "herald_deliveries_total",
        "MESSAGEs by what became of them; offline counts notifications to a user without a session anywhere.";
    RESUMES = "herald_resumes_total",
        "Subscriptions that came with last-message-id, by outcome: recovered, or why not.";
    REPLAYED = "herald_replayed_total", "MESSAGEs replayed to sessions that came back, by where they were read.";
    HISTORY_HEAD = "herald_history_head", "The last sequence read of the stream or stored in history.path, by kind; else 0.";
    HISTORY_LAG = "herald_history_lag_messages", "Stored messages that this instance has yet to read, by kind.";
    HISTORY_RESETS = "herald_history_resets_total", "Consumers given up, by cause.";
    HISTORY_POLLED = "herald_history_polled_total", "Reads of a stream without a consumer.";
    HISTORY_HOLES = "herald_history_holes_total", "Gaps in a stream's sequences that were looked into.";
    HISTORY_BROKEN = "herald_history_broken_total",
        "Losses for good, or streams that became others: sessions were closed.";
    HISTORY_DRIFT = "herald_history_config_drift", "Streams with other limits than the configuration says.";
    HISTORY_STORED = "herald_history_stored_bytes", "Bytes that the stream or history.path holds, by kind.";
    HISTORY_STORED_MAX = "herald_history_stored_bytes_max",
        "The most bytes that the stream may hold, by kind; 0: no bound, or no stream.";
    HISTORY_INDEXED = "herald_history_indexed_messages",
        "Stored messages, in front of those in memory, of which it is known whose they are, by kind.";
    HISTORY_INDEX_BYTES = "herald_history_index_bytes", "Bytes of memory that this takes, by kind.";
    RESUME_READS = "herald_history_resume_reads_total", "Resumes that read a stream, by how.";
    HISTORY_FILE = "herald_history_file_bytes", "Bytes that history.path takes on the disk.";
    PUBLISH_REPEATS = "herald_publish_repeats_total", "Publishes into a stream that were tried again.";
    RESUME_SECONDS = "herald_resume_duration_seconds",
        "Time from a SUBSCRIBE with last-message-id until all that was missed is written and the subscription is live.";
    TAIL_BYTES = "herald_tail_bytes", "Bytes that history holds in memory, by kind of notification.";
    TAIL_MESSAGES = "herald_tail_messages", "Notifications that history holds in memory, by kind.";
    OUTBOX_BYTES = "herald_outbox_bytes", "Bytes that wait in outboxes.";
    OUTBOX_OLDEST_AGE = "herald_outbox_oldest_age_seconds",
        "Age of the oldest MESSAGE that waits in an outbox; 0 if none does.";
    OUTBOX_WAIT_SECONDS = "herald_outbox_wait_duration_seconds",
        "Time that a frame spent in an outbox until the kernel had it; frames written at once are not counted.";
    OUTBOX_OVERFLOWS = "herald_outbox_overflows_total", "Sessions closed as slow consumers.";
    ACK_SECONDS = "herald_ack_duration_seconds",
        "Time from a MESSAGE's write to its ACK, in the ack modes that acknowledge.";

    // Herald itself.
    BUILD_INFO = "herald_build_info", "1, labelled with the version and the revision it was built from.";
    INSTANCE_INFO = "herald_instance_info", "1, labelled with this instance's name.";
    OTLP_FAILURES = "herald_otlp_metrics_failures_total", "Exports of metrics by OTLP that failed.";
    SPANS_EXPORTED = "herald_trace_spans_exported_total", "Spans that the collector has taken.";
    SPANS_LOST = "herald_trace_spans_lost_total", "Spans that were lost, by reason.";
    MEMORY_LIMIT = "herald_memory_limit_bytes",
        "The most memory that the control groups (a container's limit) let this process use; 0: no limit.";
    RESIDENT_MEMORY = "process_resident_memory_bytes", "Resident memory size in bytes.";
    OPEN_FDS = "process_open_fds", "Number of open file descriptors.";
    MAX_FDS = "process_max_fds", "Maximum number of open file descriptors.";
    THREADS = "process_threads", "Number of threads.";
    CPU_SECONDS = "process_cpu_seconds_total", "Total user and system CPU time spent in seconds.";
    START_TIME = "process_start_time_seconds", "Start time of the process since unix epoch in seconds.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_stands_once() {
        let mut names: Vec<&str> = ALL.iter().map(|name| name.name).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
