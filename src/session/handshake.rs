//! From a CONNECT frame to a session: the version, the heart-beats, the presented credentials, and CONNECTED.
//! Pure: in between, the driver asks the chain of interceptors, which decides who the caller is.

use std::net::IpAddr;

use super::HeartbeatConfig;
use super::action::Refusal;
use super::state::Session;
use crate::close_reason::CloseReason;
use crate::instance::Instance;
use crate::interceptor::{ConnectAttempt, Upgrade};
use crate::principal::Principal;
use crate::setting::Secret;
use crate::stomp::encoder::{ServerFrame, encode};
use crate::stomp::heartbeat::{ClientOffer, Negotiated, ServerOffer, negotiate};
use crate::stomp::{Command, Frame, Version};

/// The header of CONNECTED, and of a renewal's RECEIPT, that says in how many ms the session ends.
pub(crate) const EXPIRES_IN: &str = "expires-in";

/// The value of [`EXPIRES_IN`]: a time to go, so that nobody compares clocks. `None` if the session has no end.
pub(crate) fn expires_in(principal: &Principal, now_ms: u64) -> Option<String> {
    let ends_ms = principal.ends_ms()?;
    Some(ends_ms.saturating_sub(now_ms).to_string())
}

/// What a CONNECT, or a SEND that renews its session, presents.
pub(crate) fn presented(frame: &Frame, address: IpAddr, upgrade: Upgrade) -> ConnectAttempt {
    let secret = |name: &str| frame.headers.get(name).map(Secret::new);
    ConnectAttempt {
        x_authorization: secret("X-Authorization"),
        authorization: secret("Authorization"),
        login: frame.headers.get("login").map(Into::into),
        passcode: secret("passcode"),
        upgrade,
        address,
    }
}

/// A connection before CONNECTED. [`Handshake::accept`] consumes it into a [`Session`], so that a session without a
/// principal cannot be expressed.
#[derive(Debug)]
pub struct Handshake {
    version: Version,
    heartbeat: Negotiated,
    offer: ServerOffer,
}

/// The first frame of a connection.
pub enum First {
    /// A CONNECT that can be answered once its credentials have been checked.
    Connect(Handshake, Box<ConnectAttempt>),
    /// DISCONNECT, the only other frame allowed before CONNECT, with its `receipt`.
    Disconnect(Option<Box<str>>),
}

/// A finished handshake.
pub struct Accepted {
    /// The session's state from here on.
    pub session: Session,
    /// CONNECTED, a whole STOMP frame.
    pub connected: Vec<u8>,
    /// What was agreed.
    pub heartbeat: Negotiated,
}

impl Handshake {
    /// Takes the first frame of a connection.
    pub fn on_first_frame(
        frame: &Frame,
        config: &HeartbeatConfig,
        address: IpAddr,
        upgrade: Upgrade,
    ) -> Result<First, Refusal> {
        match frame.command {
            Command::Connect | Command::Stomp => {}
            Command::Disconnect => {
                return Ok(First::Disconnect(frame.headers.get("receipt").map(Into::into)));
            }
            other => {
                let message = format!("{}: not connected, CONNECT comes first", other.as_str());
                return Err(
                    Refusal::new(CloseReason::Malformed, message).with_receipt(frame.headers.get("receipt"))
                );
            }
        }
        let Some(version) = Version::negotiate(frame.headers.get("accept-version")) else {
            let mut refusal = Refusal::new(
                CloseReason::Malformed,
                "CONNECT: no common version in accept-version",
            );
            refusal.headers.push(("version", Version::SUPPORTED.to_owned()));
            refusal.body = Version::SUPPORTED_WORDS;
            return Err(refusal);
        };
        let client = ClientOffer::parse(frame.headers.get("heart-beat")).map_err(|_| {
            let message = "CONNECT: header heart-beat must be two non-negative integers with a comma between";
            Refusal::new(CloseReason::Malformed, message)
        })?;
        let offer = ServerOffer::new(
            config.send.0.as_millis() as u64,
            config.receive.0.as_millis() as u64,
        );
        // A 1.0 client knows no heart-beats (STOMP rule B5).
        let heartbeat = match version {
            Version::V1_0 => Negotiated::default(),
            _ => negotiate(client, offer),
        };
        let attempt = presented(frame, address, upgrade);
        Ok(First::Connect(
            Self {
                version,
                heartbeat,
                offer,
            },
            Box::new(attempt),
        ))
    }

    /// The negotiated version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Ends the handshake: `principal` has a session with the id `session`. `now_ms`: the time of day, in Unix ms.
    pub fn accept(self, principal: Principal, session: &str, instance: &Instance, now_ms: u64) -> Accepted {
        let heart_beat = match self.version {
            Version::V1_0 => "0,0".to_owned(),
            _ => format!("{},{}", self.offer.can_send_ms, self.offer.wants_ms),
        };
        let (version, expires_in) = (self.version.to_string(), expires_in(&principal, now_ms));
        let mut headers = vec![
            ("version", &*version),
            ("session", session),
            ("server", concat!("herald/", env!("CARGO_PKG_VERSION"))),
            ("heart-beat", &*heart_beat),
            ("user-name", principal.user().as_str()),
            ("instance", &*instance.name),
        ];
        headers.extend(expires_in.as_deref().map(|ms| (EXPIRES_IN, ms)));
        let connected = encode(&ServerFrame::Connected { headers: &headers }, self.version);
        Accepted {
            session: Session::new(principal, self.version),
            connected,
            heartbeat: self.heartbeat,
        }
    }
}
