//! The interceptors between a client's request and its effect: one trait with a method per phase, and the chain that
//! asks each interceptor in turn. Interceptors see who and what, never a socket. There is no outbound hook per session:
//! it would prevent sessions from sharing bytes.

use std::net::IpAddr;
use std::time::Duration;

use crate::close_reason::CloseReason;
use crate::destination::Destination;
use crate::limit::Limit;
use crate::principal::Principal;
use crate::setting::Secret;
use futures_util::future::BoxFuture;

pub(crate) mod authenticate;
pub mod authorize;
pub(crate) mod rate_limit;

/// A CONNECT that asks for a session.
#[derive(Debug)]
pub struct ConnectAttempt {
    /// The `X-Authorization` header of CONNECT.
    pub x_authorization: Option<Secret>,
    /// The `Authorization` header of CONNECT.
    pub authorization: Option<Secret>,
    /// The `login` header of CONNECT.
    pub login: Option<String>,
    /// The `passcode` header of CONNECT.
    pub passcode: Option<Secret>,
    /// What the upgrade request shows. Nothing at a renewal, when it is long gone.
    pub upgrade: Upgrade,
    /// The client's address.
    pub address: IpAddr,
}

/// What the request shows by which a WebSocket is opened. Held until CONNECT.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Upgrade {
    /// What it presents, in the form of an `Authorization` header (docs/auth.md).
    pub authorization: Option<Secret>,
    /// The page's origin, if a browser said one.
    pub origin: Option<Box<str>>,
    /// The headers that a backend may be told of (`auth.callout.headers`).
    pub headers: Box<[(Box<str>, Secret)]>,
}

/// A refusal: what the ERROR says and how the connection closes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Determines the close code.
    pub reason: CloseReason,
    /// The limit that was hit, if one was.
    pub limit: Option<Limit>,
    /// The ERROR's `message`.
    pub message: String,
    /// When the client should come again, if it should and the time is known: the ERROR's `retry-after-ms`.
    pub retry_after: Option<Duration>,
    /// What the permissions refused, if they did: whoever knows the session tells the audit.
    pub denied: Option<Box<Denied>>,
}

/// A destination that a session may not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// `SUBSCRIBE` or `SEND`.
    pub action: &'static str,
    /// As the client wrote it.
    pub destination: Box<str>,
    /// The rule that refused. `None`: no rule permits it.
    pub rule: Option<Box<str>>,
}

impl Reject {
    /// A refusal for `reason` with the words `message`.
    pub fn new(reason: CloseReason, message: impl Into<String>) -> Self {
        Self {
            reason,
            limit: None,
            message: message.into(),
            retry_after: None,
            denied: None,
        }
    }

    /// The same refusal, because `limit` was hit.
    pub fn at(mut self, limit: Limit) -> Self {
        self.limit = Some(limit);
        self
    }
}

/// One link of the chain. Every method permits unless overridden; the first [`Reject`] ends the chain.
pub trait Interceptor: Send + Sync + 'static {
    /// At CONNECT. `principal` is what an earlier link has determined; a link that authenticates sets it.
    fn connect<'a>(
        &'a self,
        _attempt: &'a ConnectAttempt,
        _principal: &'a mut Option<Principal>,
    ) -> BoxFuture<'a, Result<(), Reject>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// At a renewal of a session of `old`: `attempt` presents a credential again. As [`connect`](Self::connect), but what is refused
    /// leaves the session as it is. Whether both are the same user is asked afterwards.
    fn renew<'a>(
        &'a self,
        _old: &'a Principal,
        _attempt: &'a ConnectAttempt,
        _principal: &'a mut Option<Principal>,
    ) -> BoxFuture<'a, Result<(), Reject>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Right after the session has joined the registry, where a withdrawal finds it. Refuses what has become untrue
    /// since [`connect`](Self::connect), when no withdrawal could find the session.
    fn joined(&self, _who: &Principal) -> Result<(), Reject> {
        Ok(())
    }

    /// At SUBSCRIBE. `text` is the destination as the client wrote it. Must not allocate unless it refuses.
    fn subscribe(&self, _who: &Principal, _destination: &Destination, _text: &str) -> Result<(), Reject> {
        Ok(())
    }

    /// At SEND. `bytes`: of its headers and its body. Must not allocate unless it refuses.
    fn send(
        &self,
        _who: &Principal,
        _destination: &Destination,
        _text: &str,
        _bytes: usize,
    ) -> Result<(), Reject> {
        Ok(())
    }

    /// After the session has ended.
    fn disconnect(&self, _who: &Principal, _reason: CloseReason) {}
}

/// No link has said who it is.
fn nobody() -> Reject {
    let reason = CloseReason::NotAuthenticated;
    Reject::new(reason, reason.words())
}

/// The interceptors in order.
pub struct Chain(Vec<Box<dyn Interceptor>>);

impl Chain {
    /// A chain of `links`, asked in this order.
    pub fn new(links: Vec<Box<dyn Interceptor>>) -> Self {
        Self(links)
    }

    /// Asks every link at CONNECT. If no link objects but none authenticates, the chain refuses.
    pub async fn connect(&self, attempt: &ConnectAttempt) -> Result<Principal, Reject> {
        let mut principal = None;
        for link in &self.0 {
            link.connect(attempt, &mut principal).await?;
        }
        principal.ok_or_else(nobody)
    }

    /// Asks every link at a renewal of a session of `old`. If no link objects but none authenticates, the chain refuses.
    pub async fn renew(&self, old: &Principal, attempt: &ConnectAttempt) -> Result<Principal, Reject> {
        let mut principal = None;
        for link in &self.0 {
            link.renew(old, attempt, &mut principal).await?;
        }
        principal.ok_or_else(nobody)
    }

    /// Asks every link again when the session has joined the registry.
    pub fn joined(&self, who: &Principal) -> Result<(), Reject> {
        self.0.iter().try_for_each(|link| link.joined(who))
    }

    /// Asks every link at SUBSCRIBE.
    pub fn subscribe(&self, who: &Principal, destination: &Destination, text: &str) -> Result<(), Reject> {
        self.0
            .iter()
            .try_for_each(|link| link.subscribe(who, destination, text))
    }

    /// Asks every link at SEND.
    pub fn send(
        &self,
        who: &Principal,
        destination: &Destination,
        text: &str,
        bytes: usize,
    ) -> Result<(), Reject> {
        self.0
            .iter()
            .try_for_each(|link| link.send(who, destination, text, bytes))
    }

    /// Tells every link that a session has ended.
    pub fn disconnect(&self, who: &Principal, reason: CloseReason) {
        self.0.iter().for_each(|link| link.disconnect(who, reason));
    }
}
