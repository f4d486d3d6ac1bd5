//! An application request to a backend, and its reply (docs/nats.md). Pure data; knows no bus and no session.

use std::fmt;
use std::future::Future;

use bytes::Bytes;

use super::{BoxFuture, RequestError};
use crate::destination::Path;
use crate::envelope::{Headers, TraceContext};
use crate::principal::UserName;

/// A SEND to an application destination, on its way to a backend (docs/nats.md).
#[derive(Debug, Clone)]
pub struct AppRequest {
    /// The path without its prefix.
    pub path: Path,
    /// `Herald-User`.
    pub user: UserName,
    /// `Herald-Session`.
    pub session: Box<str>,
    /// `Herald-Instance`: the instance's name.
    pub instance: Box<str>,
    /// The `content-type` of the SEND.
    pub content_type: Option<Box<str>>,
    /// The headers of the SEND, filtered.
    pub headers: Headers,
    /// The trace context of the SEND.
    pub trace: TraceContext,
    /// The body of the SEND.
    pub body: Bytes,
}

/// A backend's answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppReply {
    /// The body.
    pub body: Bytes,
    /// `Content-Type`.
    pub content_type: Option<Box<str>>,
    /// Other headers, filtered.
    pub headers: Headers,
    /// `Herald-Error`: the backend's message if it refuses.
    pub error: Option<Box<str>>,
    /// The backend's trace context.
    pub trace: TraceContext,
}

/// A request that the bus has accepted. [`PendingReply::reply`] waits for the outcome.
pub struct PendingReply(BoxFuture<'static, Result<AppReply, RequestError>>);

impl PendingReply {
    /// Wraps the waiting half.
    pub fn new(reply: impl Future<Output = Result<AppReply, RequestError>> + Send + 'static) -> Self {
        Self(Box::pin(reply))
    }

    /// Waits for the reply or its failure; bounded by `bus.request_timeout`.
    pub async fn reply(self) -> Result<AppReply, RequestError> {
        self.0.await
    }
}

impl fmt::Debug for PendingReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PendingReply")
    }
}
