//! Every way a session can end: its WebSocket close code, its words and its metric label, all in exhaustive matches.
//! Does not know how a close is written (`ws/close`) or who decides on it.

/// Why a session ends. The codes are documented in docs/stomp.md ("Close codes"): after 1001, 1013 and 4408 the
/// client should reconnect, after [`CloseReason::TokenExpired`] with a new credential, after the others it should not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// DISCONNECT, or the client's own Close frame.
    Normal,
    /// The instance is draining.
    Draining,
    /// An operator moves a share of the sessions to other instances.
    Shed,
    /// Bytes that are not valid STOMP or WebSocket, or a broken STOMP rule.
    Malformed,
    /// Text that is not UTF-8.
    NotUtf8,
    /// A destination or an action that this principal may not use.
    Forbidden,
    /// A limit of the configuration other than a size.
    Limit,
    /// Too many frames or attempts within a time.
    RateLimited,
    /// A frame, body or message that exceeds its size limit.
    TooLarge,
    /// This instance cannot accept more work at the moment.
    Overloaded,
    /// The client reads more slowly than Herald writes, and its outbox is full.
    SlowConsumer,
    /// This instance missed notifications for good: whoever comes back is told so.
    HistoryGap,
    /// A SEND that the bus could not accept, or a SUBSCRIBE that it could not begin.
    BusUnavailable,
    /// Neither heart-beats nor pongs.
    Silence,
    /// CONNECT did not complete in time.
    HandshakeTimeout,
    /// Wrong or missing credentials.
    NotAuthenticated,
    /// Credentials that were right and count no more: revoked, or withdrawn with their user.
    Revoked,
    /// The credential was right and its time is over: the client should come back with a new one.
    TokenExpired,
    /// The keys of the token's issuer are not there now.
    IdentityUnavailable,
    /// An operator disconnected the user.
    Disconnected,
    /// A newer session of the same user took its place.
    Superseded,
    /// The peer left without a Close frame (EOF or reset).
    PeerGone,
    /// An internal error of Herald.
    Internal,
}

impl CloseReason {
    /// All reasons, for metrics that want every label present from the start.
    pub const ALL: [Self; 23] = [
        Self::Normal,
        Self::Draining,
        Self::Shed,
        Self::Malformed,
        Self::NotUtf8,
        Self::Forbidden,
        Self::Limit,
        Self::RateLimited,
        Self::TooLarge,
        Self::Overloaded,
        Self::SlowConsumer,
        Self::HistoryGap,
        Self::BusUnavailable,
        Self::Silence,
        Self::HandshakeTimeout,
        Self::NotAuthenticated,
        Self::Revoked,
        Self::TokenExpired,
        Self::IdentityUnavailable,
        Self::Disconnected,
        Self::Superseded,
        Self::PeerGone,
        Self::Internal,
    ];

    /// The WebSocket close code (RFC 6455 section 7.4; 4000 to 4999 are private). [`Self::PeerGone`] is never
    /// written; its code is the one that RFC 6455 reserves for a connection without a Close frame.
    pub fn code(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::Draining | Self::Shed => 1001,
            Self::Malformed => 1002,
            Self::PeerGone => 1006,
            Self::NotUtf8 => 1007,
            Self::Forbidden | Self::Limit | Self::RateLimited | Self::HandshakeTimeout => 1008,
            Self::TooLarge => 1009,
            Self::Internal => 1011,
            Self::Overloaded
            | Self::SlowConsumer
            | Self::HistoryGap
            | Self::BusUnavailable
            | Self::IdentityUnavailable => 1013,
            Self::NotAuthenticated | Self::Revoked | Self::TokenExpired => 4401,
            Self::Disconnected => 4403,
            Self::Silence => 4408,
            Self::Superseded => 4409,
        }
    }

    /// Short words for the ERROR's `message` header and the Close frame's reason, used where nothing more exact is
    /// known.
    pub fn words(self) -> &'static str {
        match self {
            Self::Normal => "bye",
            Self::Draining => "instance is draining, reconnect",
            Self::Shed => "moved to another instance, reconnect",
            Self::Malformed => "malformed frame",
            Self::NotUtf8 => "text is not UTF-8",
            Self::Forbidden => "forbidden",
            Self::Limit => "limit reached",
            Self::RateLimited => "rate limit reached",
            Self::TooLarge => "too large",
            Self::Overloaded => "overloaded",
            Self::SlowConsumer => "slow consumer",
            Self::HistoryGap => "history gap, reconnect",
            Self::BusUnavailable => "bus unavailable",
            Self::Silence => "no heart-beat",
            Self::HandshakeTimeout => "CONNECT took too long",
            Self::NotAuthenticated | Self::Revoked => "authentication failed",
            Self::TokenExpired => "token expired",
            Self::IdentityUnavailable => "overloaded",
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
            Self::Shed => "shed",
            Self::Malformed => "malformed",
            Self::NotUtf8 => "not_utf8",
            Self::Forbidden => "forbidden",
            Self::Limit => "limit",
            Self::RateLimited => "rate_limited",
            Self::TooLarge => "too_large",
            Self::Overloaded => "overloaded",
            Self::SlowConsumer => "slow_consumer",
            Self::HistoryGap => "history_gap",
            Self::BusUnavailable => "bus_unavailable",
            Self::Silence => "silence",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::NotAuthenticated => "not_authenticated",
            Self::Revoked => "revoked",
            Self::TokenExpired => "token_expired",
            Self::IdentityUnavailable => "identity_unavailable",
            Self::Disconnected => "disconnected",
            Self::Superseded => "superseded",
            Self::PeerGone => "peer_gone",
            Self::Internal => "internal",
        }
    }

    /// The value of the ERROR's `herald-reason` header. It tells programs apart what has one close code.
    pub fn herald_reason(self) -> Option<&'static str> {
        match self {
            Self::Revoked => Some("revoked"),
            Self::TokenExpired => Some("token-expired"),
            Self::IdentityUnavailable => Some("identity-unavailable"),
            _ => None,
        }
    }

    /// Whether a client should reconnect without changing anything.
    pub fn may_reconnect(self) -> bool {
        matches!(
            self,
            Self::Draining
                | Self::Overloaded
                | Self::SlowConsumer
                | Self::HistoryGap
                | Self::BusUnavailable
                | Self::IdentityUnavailable
                | Self::Silence
                | Self::PeerGone
                | Self::Internal
        )
    }
}
