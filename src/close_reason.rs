//! Every end of a session's life: its WebSocket close code, its words and its metric label, all by total matches.
//! Knows nothing of how a close is written (`ws/close`) or who decides on it.

/// Why a session ends. Codes are those of docs/stomp.md ("Close codes"): 1001, 1013 and 4408
/// invite the client back, the others do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// DISCONNECT, or the client's own Close frame.
    Normal,
    /// The instance drains.
    Draining,
    /// Bytes that are no STOMP or no WebSocket, or a STOMP rule broken.
    Malformed,
    /// Text that is not UTF-8.
    NotUtf8,
    /// A destination or an action that this principal may not use.
    Forbidden,
    /// A limit of the configuration, other than a size.
    Limit,
    /// Too many frames or attempts in a time.
    RateLimited,
    /// A frame, body or message over its size limit.
    TooLarge,
    /// This instance cannot take more work now.
    Overloaded,
    /// The client reads more slowly than it is written to, and its outbox is full.
    SlowConsumer,
    /// A SEND that the bus could not take.
    BusUnavailable,
    /// Neither heart-beats nor pongs.
    Silence,
    /// CONNECT took longer than allowed.
    HandshakeTimeout,
    /// Wrong, missing or withdrawn credentials.
    NotAuthenticated,
    /// An operator disconnected the user.
    Disconnected,
    /// A newer session of the same user took its place.
    Superseded,
    /// The peer went without a Close frame (EOF or reset).
    PeerGone,
    /// A fault of Herald's own.
    Internal,
}

impl CloseReason {
    /// All of them, for metrics that want every label present from the start.
    pub const ALL: [Self; 18] = [
        Self::Normal,
        Self::Draining,
        Self::Malformed,
        Self::NotUtf8,
        Self::Forbidden,
        Self::Limit,
        Self::RateLimited,
        Self::TooLarge,
        Self::Overloaded,
        Self::SlowConsumer,
        Self::BusUnavailable,
        Self::Silence,
        Self::HandshakeTimeout,
        Self::NotAuthenticated,
        Self::Disconnected,
        Self::Superseded,
        Self::PeerGone,
        Self::Internal,
    ];

    /// The WebSocket close code (RFC 6455 section 7.4; 4000 to 4999 are Herald's own). [`Self::PeerGone`] is never
    /// written; its code is what RFC 6455 reserves for "no Close frame".
    pub fn code(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::Draining => 1001,
            Self::Malformed => 1002,
            Self::PeerGone => 1006,
            Self::NotUtf8 => 1007,
            Self::Forbidden | Self::Limit | Self::RateLimited | Self::HandshakeTimeout => 1008,
            Self::TooLarge => 1009,
            Self::Internal => 1011,
            Self::Overloaded | Self::SlowConsumer | Self::BusUnavailable => 1013,
            Self::NotAuthenticated => 4401,
            Self::Disconnected => 4403,
            Self::Silence => 4408,
            Self::Superseded => 4409,
        }
    }

    /// Short words for the ERROR's `message` header and the Close frame's reason, where nothing more exact is known.
    pub fn words(self) -> &'static str {
        match self {
            Self::Normal => "bye",
            Self::Draining => "instance is draining, reconnect",
            Self::Malformed => "malformed frame",
            Self::NotUtf8 => "text is not UTF-8",
            Self::Forbidden => "forbidden",
            Self::Limit => "limit reached",
            Self::RateLimited => "rate limit reached",
            Self::TooLarge => "too large",
            Self::Overloaded => "overloaded",
            Self::SlowConsumer => "slow consumer",
            Self::BusUnavailable => "bus unavailable",
            Self::Silence => "no heart-beat",
            Self::HandshakeTimeout => "CONNECT took too long",
            Self::NotAuthenticated => "authentication failed",
            Self::Disconnected => "disconnected by an operator",
            Self::Superseded => "superseded by a newer session",
            Self::PeerGone => "connection lost",
            Self::Internal => "internal error",
        }
    }

    /// The value of the metric label `reason`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Draining => "draining",
            Self::Malformed => "malformed",
            Self::NotUtf8 => "not_utf8",
            Self::Forbidden => "forbidden",
            Self::Limit => "limit",
            Self::RateLimited => "rate_limited",
            Self::TooLarge => "too_large",
            Self::Overloaded => "overloaded",
            Self::SlowConsumer => "slow_consumer",
            Self::BusUnavailable => "bus_unavailable",
            Self::Silence => "silence",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::NotAuthenticated => "not_authenticated",
            Self::Disconnected => "disconnected",
            Self::Superseded => "superseded",
            Self::PeerGone => "peer_gone",
            Self::Internal => "internal",
        }
    }

    /// Whether a client does well to reconnect unchanged.
    pub fn may_reconnect(self) -> bool {
        matches!(
            self,
            Self::Draining
                | Self::Overloaded
                | Self::SlowConsumer
                | Self::BusUnavailable
                | Self::Silence
                | Self::PeerGone
                | Self::Internal
        )
    }
}
