//! Application requests of the embedded bus: the handler that stands in for backends. Knows no session.

use std::sync::Arc;

use super::EmbeddedBus;
use crate::bus::{AppReply, AppRequest, BoxFuture, PendingReply, PublishError, RequestError};

pub(super) type Handler =
    Arc<dyn Fn(AppRequest) -> BoxFuture<'static, Result<AppReply, RequestError>> + Send + Sync>;

impl EmbeddedBus {
    /// Answers application requests by `handler`, which replaces an earlier one and returns
    /// [`RequestError::NoResponders`] for a path that it does not know. Without a handler, every request ends so. For
    /// programs that embed Herald, and for tests.
    pub fn respond_to_requests(
        &self,
        handler: impl Fn(AppRequest) -> BoxFuture<'static, Result<AppReply, RequestError>> + Send + Sync + 'static,
    ) {
        *self.handler.write() = Some(Arc::new(handler));
    }

    /// [`Bus::request`](crate::bus::Bus::request): starts the handler; its answer is awaited separately.
    pub(super) async fn answer(&self, request: &AppRequest) -> Result<PendingReply, PublishError> {
        self.accept(request.body.len())?;
        let Some(handler) = self.handler.read().clone() else {
            return Ok(PendingReply::new(async { Err(RequestError::NoResponders) }));
        };
        // The backend works whether or not anybody waits for its answer.
        #[expect(
            clippy::disallowed_methods,
            reason = "one request, whose answer is awaited below"
        )]
        let answer = tokio::spawn(handler(request.clone()));
        let timeout = self.request_timeout;
        Ok(PendingReply::new(async move {
            match tokio::time::timeout(timeout, answer).await {
                Ok(Ok(reply)) => reply,
                Ok(Err(_)) => Err(RequestError::Unavailable),
                Err(_) => Err(RequestError::Timeout),
            }
        }))
    }
}
