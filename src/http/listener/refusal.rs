//! Answers 503 to clients that come when `http.max_connections` is reached, without hyper and at a bounded cost.
//! Knows no request: none is read.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

/// Refusals in progress at the same time. Beyond it, a connection is closed without an answer.
const AT_ONCE: usize = 64;
/// How long a refusal may take, and how much of the request it reads and drops: closing with unread input would
/// destroy the answer.
const TIME: Duration = Duration::from_secs(1);
const READ_MAX_BYTES: usize = 16 << 10;

/// Answers 503 instead of serving.
pub(super) struct Refusals {
    answer: Arc<str>,
    running: Arc<Semaphore>,
}

impl Refusals {
    /// The words for a limit of `max_connections`.
    pub(super) fn new(max_connections: usize) -> Self {
        let body = serde_json::json!({
            "type": "about:blank",
            "title": "Service Unavailable",
            "status": 503,
            "detail": format!("http.max_connections ({max_connections}) is reached"),
        })
        .to_string();
        let answer = format!(
            "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\n\
             Content-Type: application/problem+json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Self {
            answer: answer.into(),
            running: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Answers and closes, as a task of `tasks`.
    pub(super) fn refuse(&self, stream: TcpStream, tasks: &TaskTracker) {
        let Ok(permit) = Arc::clone(&self.running).try_acquire_owned() else {
            return;
        };
        let answer = Arc::clone(&self.answer);
        #[expect(
            clippy::disallowed_methods,
            reason = "one refused connection, bounded in time"
        )]
        tasks.spawn(async move {
            // Whether or not the peer accepted the answer, the connection is dropped.
            let _ = timeout(TIME, say(stream, &answer)).await;
            drop(permit);
        });
    }
}

async fn say(mut stream: TcpStream, answer: &str) -> std::io::Result<()> {
    stream.write_all(answer.as_bytes()).await?;
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
