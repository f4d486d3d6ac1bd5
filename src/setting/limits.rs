//! `[limits]`: what one client, one user and one instance may use. Knows nothing of who enforces a limit.

use serde::{Deserialize, Serialize};

use super::{ByteRate, ByteSize, Findings, HumanDuration, Rate};

/// `[limits]`: every bound on what a client or a publisher may cost. docs/limits.md says what happens at each bound.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The largest STOMP frame before login.
    pub frame_bytes_before_login: ByteSize,
    /// The largest body of a SEND, of a REST publish and of a message from NATS.
    pub body_bytes: ByteSize,
    /// The most headers in a frame, and the most headers of a publisher's own.
    pub headers: usize,
    /// The longest header: name plus value.
    pub header_bytes: ByteSize,
    /// The time from the first byte of a STOMP frame, or of a WebSocket message, to its last: this long, and a second
    /// for each 16 KiB of it.
    pub frame_timeout: HumanDuration,
    /// How long a client may read nothing while more of a replay waits for it.
    pub replay_read_timeout: HumanDuration,
    /// How long a client that has read everything may acknowledge nothing while more of a replay waits for it.
    pub replay_ack_timeout: HumanDuration,
    /// Bytes that all unfinished frames and messages together may hold.
    pub incoming_total_bytes: ByteSize,
    /// The longest id of a subscription or a transaction.
    pub id_bytes: ByteSize,
    /// Subscriptions per session.
    pub subscriptions: usize,
    /// Open transactions per session.
    pub transactions: usize,
    /// Actions per transaction.
    pub transaction_actions: usize,
    /// Bytes of all that waits in the open transactions of one session: bodies, headers, ids.
    pub transaction_bytes: ByteSize,
    /// The same of all sessions together.
    pub transaction_total_bytes: ByteSize,
    /// MESSAGEs per subscription that may wait for their ACK. A SUBSCRIBE's `prefetch` may ask for fewer.
    pub unacknowledged: usize,
    /// Application requests of one session that wait for their reply.
    pub requests_in_flight: usize,
    /// Bytes that may wait in the outbox of one session.
    pub outbox_bytes: ByteSize,
    /// Bytes that may wait in all outboxes together.
    pub outbox_total_bytes: ByteSize,
    /// Bytes of notifications on their way from the bus to the shards.
    pub delivery_bytes: ByteSize,
    /// `SO_SNDBUF` of each connection; 0B leaves it to the kernel.
    pub socket_send_bytes: ByteSize,
    /// The time from TCP accept to CONNECTED. Only the client's part counts.
    pub connect_timeout: HumanDuration,
    /// Connections of one address that are not WebSockets, at the same time. 0 means no limit.
    pub http_connections_per_address: usize,
    /// WebSocket connections of one address at the same time. 0 means no limit.
    pub sessions_per_address: usize,
    /// The rate at which one address may open WebSocket connections.
    pub connects_per_address: Rate,
    /// Sessions of one user at the same time in the whole cluster. 0 means no limit.
    pub sessions_per_user: usize,
    /// What happens when `sessions_per_user` is reached.
    pub sessions_per_user_policy: SessionsPerUserPolicy,
    /// Anonymous sessions of one instance at the same time.
    pub anonymous_sessions: usize,
    /// The rate of SENDs of one session.
    pub sends_per_session: Rate,
    /// The rate of SENDs of one user, over all of the user's sessions on this instance.
    pub sends_per_user: Rate,
    /// The rate of bytes that one session sends.
    pub send_bytes_per_session: ByteRate,
    /// The rate of bytes in the SENDs of one user, over all of the user's sessions on this instance.
    pub send_bytes_per_user: ByteRate,
    /// The rate of SUBSCRIBEs and UNSUBSCRIBEs of one session.
    pub subscribes_per_session: Rate,
    /// The rate of pings, pongs and empty frames of one connection.
    pub control_frames_per_session: Rate,
    /// The rate of one session's frames that settle nothing.
    pub idle_frames_per_session: Rate,
    /// The rate of renewals of one session.
    pub renewals_per_session: Rate,
}

/// What a session may send, and a user: thousands of small notifications a second, or some large ones in a row. A burst
/// of 32 MiB through the chat held up everybody's notifications for 0.1 s (docs/performance.md).
const SEND_BYTES: ByteRate = ByteRate::per_second(ByteSize::mib(4), ByteSize::mib(8));

/// The largest value of `limits.sessions_per_user`: the sessions of one user must fit into one message between
/// instances.
pub const SESSIONS_PER_USER_MAX: usize = 4_096;

/// The largest count that makes sense as a bound of one session.
const COUNT_MAX: usize = 1_000_000;
/// The largest `limits.body_bytes`: with a NATS server's `max_payload` of 8 MiB it leaves room for the headers.
const BODY_MAX: ByteSize = ByteSize::kib(8_000);

impl Limits {
    /// Checks that the bounds are sane and fit each other.
    pub fn check(&self, findings: &mut Findings) {
        findings.at_least(
            "limits.frame_bytes_before_login",
            self.frame_bytes_before_login,
            ByteSize(512),
        );
        findings.within("limits.body_bytes", self.body_bytes, ByteSize(1), BODY_MAX);
        self.check_room_for_bodies(findings);
        // A CONNECT with credentials has six headers, some with two spellings.
        findings.within("limits.headers", self.headers, 8, 10_000);
        findings.within(
            "limits.header_bytes",
            self.header_bytes,
            ByteSize(256),
            ByteSize::mib(1),
        );
        findings.at_least("limits.id_bytes", self.id_bytes, ByteSize(64));
        findings.within("limits.subscriptions", self.subscriptions, 1, COUNT_MAX);
        findings.within("limits.requests_in_flight", self.requests_in_flight, 1, COUNT_MAX);
        findings.at_least("limits.outbox_bytes", self.outbox_bytes, ByteSize::kib(64));
        if self.outbox_total_bytes < self.outbox_bytes {
            findings.error(
                "limits.outbox_total_bytes",
                format!(
                    "expected at least limits.outbox_bytes ({}), got {}",
                    self.outbox_bytes, self.outbox_total_bytes
                ),
            );
        }
        if self.delivery_bytes < self.body_bytes {
            findings.error(
                "limits.delivery_bytes",
                format!(
                    "expected at least limits.body_bytes ({}), got {}",
                    self.body_bytes, self.delivery_bytes
                ),
            );
        }
        findings.within(
            "limits.sessions_per_user",
            self.sessions_per_user,
            0,
            SESSIONS_PER_USER_MAX,
        );
        findings.within("limits.anonymous_sessions", self.anonymous_sessions, 1, COUNT_MAX);
        if self.socket_send_bytes != ByteSize(0) {
            findings.within(
                "limits.socket_send_bytes",
                self.socket_send_bytes,
                ByteSize::kib(4),
                ByteSize::mib(64),
            );
        }
        findings.positive("limits.connect_timeout", self.connect_timeout);
        findings.positive("limits.frame_timeout", self.frame_timeout);
        findings.positive("limits.replay_read_timeout", self.replay_read_timeout);
        findings.positive("limits.replay_ack_timeout", self.replay_ack_timeout);
        // Of each one holder may have an eighth.
        for (key, total) in [
            ("limits.incoming_total_bytes", self.incoming_total_bytes),
            ("limits.transaction_total_bytes", self.transaction_total_bytes),
        ] {
            if total.0 / 8 < self.body_bytes.0 {
                let body = self.body_bytes;
                findings.error(
                    key,
                    format!("expected at least eight times limits.body_bytes ({body}), got {total}"),
                );
            }
        }
    }

    /// What is smaller than `limits.body_bytes` bounds a body, too, where it holds one.
    fn check_room_for_bodies(&self, findings: &mut Findings) {
        let room = [
            (
                "limits.transaction_bytes",
                self.transaction_bytes,
                "a SEND of such a body does not fit into a transaction",
            ),
            (
                "limits.outbox_bytes",
                self.outbox_bytes,
                "such a body closes each session that has not taken what came before it",
            ),
        ];
        for (key, bytes, what) in room {
            if bytes < self.body_bytes {
                let body = self.body_bytes;
                findings.warn(
                    key,
                    format!("{bytes} is less than limits.body_bytes ({body}): {what}"),
                );
            }
        }
    }
}

/// `limits.sessions_per_user_policy`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionsPerUserPolicy {
    /// The oldest session is closed with 4409.
    #[default]
    Newest,
    /// The new session is refused.
    Refuse,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes_before_login: ByteSize::kib(8),
            body_bytes: ByteSize::kib(1_000),
            headers: 64,
            header_bytes: ByteSize::kib(8),
            frame_timeout: HumanDuration::secs(30),
            replay_read_timeout: HumanDuration::secs(10),
            replay_ack_timeout: HumanDuration::secs(120),
            incoming_total_bytes: ByteSize::mib(256),
            id_bytes: ByteSize(255),
            subscriptions: 128,
            transactions: 16,
            transaction_actions: 1_024,
            transaction_bytes: ByteSize::mib(4),
            transaction_total_bytes: ByteSize::mib(256),
            unacknowledged: 1_000,
            requests_in_flight: 8,
            outbox_bytes: ByteSize::mib(2),
            outbox_total_bytes: ByteSize::mib(256),
            delivery_bytes: ByteSize::mib(64),
            socket_send_bytes: ByteSize::kib(128),
            connect_timeout: HumanDuration::secs(10),
            http_connections_per_address: 0,
            sessions_per_address: 0,
            connects_per_address: Rate::OFF,
            sessions_per_user: 0,
            sessions_per_user_policy: SessionsPerUserPolicy::Newest,
            anonymous_sessions: 10_000,
            sends_per_session: Rate::per_second(200, 2_000),
            sends_per_user: Rate::per_second(1_000, 10_000),
            send_bytes_per_session: SEND_BYTES,
            send_bytes_per_user: SEND_BYTES,
            subscribes_per_session: Rate::per_second(50, 500),
            control_frames_per_session: Rate::per_second(50, 500),
            idle_frames_per_session: Rate::per_second(1_000, 10_000),
            renewals_per_session: Rate::per_minute(6, 6),
        }
    }
}
