//! The names of all limits, for the metric that counts how often each is hit, and the limiters that enforce rates, counts by address,
//! sums over all holders and lines of the log.
//! Knows no value of a limit, and nothing of who enforces it.

mod address;
mod crowd;
mod keyed;
mod once_per_second;
mod places;
mod shared;
mod total;

pub(crate) use address::AddressGroup;
pub(crate) use crowd::{Crowd, Member};
pub(crate) use keyed::KeyedRate;
pub(crate) use once_per_second::{OncePerSecond, SomePerSecond};
pub(crate) use places::{AddressPlace, AddressPlaces};
pub(crate) use shared::{Memory, SharedRate};
pub(crate) use total::{Account, Share, Total, is_within_share};

macro_rules! limits {
    ($($variant:ident = $name:literal,)*) => {
        /// A setting that bounds what somebody may cost, by its name in the configuration.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Limit {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl Limit {
            /// All limits, for a metric that wants every label present from the start.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The setting, and the value of the metric label `limit`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

limits! {
    MaxConnections = "http.max_connections",
    HeaderTimeout = "http.header_timeout",
    WriteTimeout = "http.write_timeout",
    HeadBytes = "http.head_bytes",
    HeadTotalBytes = "http.head_total_bytes",
    Unauthenticated = "http.unauthenticated",
    UnauthenticatedPerAddress = "http.unauthenticated_per_address",
    TlsHandshakes = "http.tls.handshakes",
    BodyTimeout = "http.body_timeout",
    MaxRequestBytes = "http.max_request_bytes",
    BufferedRequestBytes = "http.buffered_request_bytes",
    Taps = "api.taps",
    TargetsPerRequest = "api.targets_per_request",
    TargetsPerCaller = "api.targets_per_caller",
    KeyRate = "api.keys.rate",
    KeyBytes = "api.keys.bytes",
    HistoryKeys = "history.keys",
    HistoryPublishes = "history.publishes",
    TokenWaiting = "auth.token.waiting",
    Revocations = "auth.revocations",
    LoginQueue = "login.queue",
    LoginQueueTimeout = "login.queue_timeout",
    LoginDelay = "login.delay",
    LoginDelayed = "login.delayed",
    LoginUnfamiliarDelay = "login.unfamiliar_delay",
    LoginDelayedPerAddress = "login.delayed_per_address",
    ConnectTimeout = "limits.connect_timeout",
    HttpConnectionsPerAddress = "limits.http_connections_per_address",
    ConnectsPerAddress = "limits.connects_per_address",
    SessionsPerAddress = "limits.sessions_per_address",
    SessionsPerUser = "limits.sessions_per_user",
    AnonymousSessions = "limits.anonymous_sessions",
    FrameBytesBeforeLogin = "limits.frame_bytes_before_login",
    BodyBytes = "limits.body_bytes",
    RouteBodyBytes = "application.routes.body_bytes",
    Headers = "limits.headers",
    HeaderBytes = "limits.header_bytes",
    FrameTimeout = "limits.frame_timeout",
    ReplayReadTimeout = "limits.replay_read_timeout",
    ReplayAckTimeout = "limits.replay_ack_timeout",
    IncomingTotalBytes = "limits.incoming_total_bytes",
    IdBytes = "limits.id_bytes",
    Subscriptions = "limits.subscriptions",
    Transactions = "limits.transactions",
    TransactionActions = "limits.transaction_actions",
    TransactionBytes = "limits.transaction_bytes",
    TransactionTotalBytes = "limits.transaction_total_bytes",
    RequestsInFlight = "limits.requests_in_flight",
    OutboxBytes = "limits.outbox_bytes",
    OutboxTotalBytes = "limits.outbox_total_bytes",
    DeliveryBytes = "limits.delivery_bytes",
    SendsPerSession = "limits.sends_per_session",
    SendsPerUser = "limits.sends_per_user",
    SendBytesPerSession = "limits.send_bytes_per_session",
    SendBytesPerUser = "limits.send_bytes_per_user",
    SubscribesPerSession = "limits.subscribes_per_session",
    ControlFramesPerSession = "limits.control_frames_per_session",
    IdleFramesPerSession = "limits.idle_frames_per_session",
    RenewalsPerSession = "limits.renewals_per_session",
}
