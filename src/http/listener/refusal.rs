//! Answers clients that are not served, without hyper and at a bounded cost: their requests are not read. Knows no
//! reason for a refusal.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::problem::Problem;

/// How long a refusal may take, and how much of the request it reads and drops: closing with unread input would
/// destroy the answer.
const TIME: Duration = Duration::from_secs(1);
const READ_MAX_BYTES: usize = 16 << 10;

/// The whole answer that closes a connection, with an RFC 9457 body. Whoever is refused for want of a place may come again.
pub(super) fn answer(status: StatusCode, detail: impl Into<String>) -> Vec<u8> {
    let problem = Problem::of_status(status, detail);
    let title = problem.title;
    let body = serde_json::to_string(&problem).unwrap_or_default();
    let retry = match status {
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => "Retry-After: 5\r\n",
        _ => "",
    };
    format!(
        "HTTP/1.1 {} {title}\r\n{retry}Connection: close\r\nContent-Type: application/problem+json\r\n\
         Cache-Control: no-store\r\nContent-Length: {}\r\n\r\n{body}",
        status.as_u16(),
        body.len()
    )
    .into_bytes()
}

/// Sends `answer` and closes. Whether or not the peer takes it, the connection is dropped.
pub(super) async fn say(stream: impl AsyncRead + AsyncWrite + Unpin, answer: &[u8]) {
    let _ = timeout(TIME, send(stream, answer)).await;
}

/// How long a client may still send the body of a request that was answered.
const LINGER: Duration = Duration::from_secs(5);

/// Reads and drops what the client of `stream` still sends, up to `bytes` of it, so that it gets to read its answer: many
/// clients send all before they read anything.
pub(super) async fn linger(mut stream: impl AsyncRead + Unpin, bytes: usize) {
    let discarding = async {
        let mut left = bytes;
        let mut dropped = vec![0; READ_MAX_BYTES];
        while left > 0 {
            match stream.read(&mut dropped).await {
                Ok(0) | Err(_) => return,
                Ok(read) => left = left.saturating_sub(read),
            }
        }
    };
    let _ = timeout(LINGER, discarding).await;
}

/// Refuses clients, a bounded number at the same time; beyond it a connection is closed without an answer.
pub(super) struct Refusals {
    running: Arc<Semaphore>,
}

impl Refusals {
    /// With room for so many at the same time.
    pub(super) fn new(at_once: usize) -> Self {
        Self {
            running: Arc::new(Semaphore::new(at_once)),
        }
    }

    /// Answers and closes.
    pub(super) async fn say(&self, stream: impl AsyncRead + AsyncWrite + Unpin, answer: &[u8]) {
        if let Ok(_permit) = self.running.try_acquire() {
            say(stream, answer).await;
        }
    }

    /// The right to keep one client that has no place yet, if not too many are being kept or refused.
    pub(super) fn permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.running).try_acquire_owned().ok()
    }

    /// Answers and closes, as a task of `tasks`.
    pub(super) fn refuse(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        answer: &Arc<[u8]>,
        tasks: &TaskTracker,
    ) {
        let Some(permit) = self.permit() else {
            return;
        };
        let answer = Arc::clone(answer);
        #[expect(
            clippy::disallowed_methods,
            reason = "one refused connection, bounded in time"
        )]
        tasks.spawn(async move {
            say(stream, &answer).await;
            drop(permit);
        });
    }
}

async fn send(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &[u8]) -> std::io::Result<()> {
    stream.write_all(answer).await?;
    stream.shutdown().await?;
    let mut left = READ_MAX_BYTES;
    let mut dropped = [0; 512];
    while left > 0 {
        match stream.read(&mut dropped).await? {
            0 => return Ok(()),
            read => left = left.saturating_sub(read),
        }
    }
    Ok(())
}
