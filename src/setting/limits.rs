//! `[limits]`: what one client, one user and one instance may cost. Knows nothing of who enforces a limit.

use serde::{Deserialize, Serialize};

use super::{ByteSize, HumanDuration, Rate};

/// `[limits]`: every bound on what a client or publisher may cost. docs/limits.md says what happens at each.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Largest STOMP frame before login.
    pub frame_bytes_before_login: ByteSize,
    /// Largest body of a SEND, of a REST publish and of a message from NATS.
    pub body_bytes: ByteSize,
    /// Most headers of a frame, and of a publisher's own.
    pub headers: usize,
    /// Longest header, name plus value.
    pub header_bytes: ByteSize,
    /// Subscriptions a session.
    pub subscriptions: usize,
    /// Open transactions a session.
    pub transactions: usize,
    /// Actions in one transaction.
    pub transaction_actions: usize,
    /// Bytes of all bodies in a session's open transactions.
    pub transaction_bytes: ByteSize,
    /// MESSAGEs a subscription that wait for their ACK; SUBSCRIBE's `prefetch` may ask for fewer.
    pub unacknowledged: usize,
    /// Application requests of one session that wait for their reply.
    pub requests_in_flight: usize,
    /// Bytes that wait for one session in its outbox.
    pub outbox_bytes: ByteSize,
    /// Bytes that wait in all outboxes together.
    pub outbox_total_bytes: ByteSize,
    /// Bytes of notifications between the bus and the shards.
    pub delivery_bytes: ByteSize,
    /// `SO_SNDBUF` of each connection; 0B leaves it to the kernel.
    pub socket_send_bytes: ByteSize,
    /// From TCP accept to CONNECTED, the client's part only.
    pub connect_timeout: HumanDuration,
    /// WebSocket connections of one address at once; 0: no limit.
    pub sessions_per_address: usize,
    /// WebSocket connections that one address may open in a time.
    pub connects_per_address: Rate,
    /// Sessions of one user at once in the whole cluster; 0: no limit.
    pub sessions_per_user: usize,
    /// What gives way at `sessions_per_user`.
    pub sessions_per_user_policy: SessionsPerUserPolicy,
    /// SENDs of one session in a time.
    pub sends_per_session: Rate,
    /// SENDs of one user in a time, all sessions on this instance together.
    pub sends_per_user: Rate,
    /// SUBSCRIBEs and UNSUBSCRIBEs of one session in a time.
    pub subscribes_per_session: Rate,
    /// Pings, pongs and empty frames of one connection in a time.
    pub control_frames_per_session: Rate,
}

/// Most that `limits.sessions_per_user` may be: so many sessions of one user fit into one message between instances.
pub const SESSIONS_PER_USER_MAX: usize = 4_096;

/// `limits.sessions_per_user_policy`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionsPerUserPolicy {
    /// The oldest session is closed with 4409.
    #[default]
    Newest,
    /// The new one is refused.
    Refuse,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes_before_login: ByteSize::kib(8),
            body_bytes: ByteSize::kib(1_000),
            headers: 64,
            header_bytes: ByteSize::kib(8),
            subscriptions: 128,
            transactions: 16,
            transaction_actions: 1_024,
            transaction_bytes: ByteSize::mib(4),
            unacknowledged: 1_000,
            requests_in_flight: 8,
            outbox_bytes: ByteSize::mib(2),
            outbox_total_bytes: ByteSize::mib(256),
            delivery_bytes: ByteSize::mib(64),
            socket_send_bytes: ByteSize::kib(128),
            connect_timeout: HumanDuration::secs(10),
            sessions_per_address: 0,
            connects_per_address: Rate::OFF,
            sessions_per_user: 0,
            sessions_per_user_policy: SessionsPerUserPolicy::Newest,
            sends_per_session: Rate::per_second(200, 2_000),
            sends_per_user: Rate::per_second(1_000, 10_000),
            subscribes_per_session: Rate::per_second(50, 500),
            control_frames_per_session: Rate::per_second(50, 500),
        }
    }
}
