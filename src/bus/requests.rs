//! Requests over NATS: one reply inbox for the whole process, and the waiters on it. The client's own multiplexer
//! keeps every request whose time-out expired forever; this one forgets a request when its waiter ends, however it
//! ends. Knows no headers and no application.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Message, StatusCode};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use ulid::Ulid;

use crate::bus::RequestError;

/// The most requests of one process that may wait at the same time: far above what sessions may have in flight, so
/// that a fault there cannot grow without bound here.
const IN_FLIGHT_MAX: usize = 65_536;

/// The waiters by reply.
pub(super) struct Requests {
    /// Ends in a dot. Random, so that nobody else's permission or guess matches it.
    inbox: String,
    waiting: Mutex<HashMap<Ulid, oneshot::Sender<Message>>>,
}

/// A waiting request. Dropping it forgets it.
pub(super) struct Waiting {
    requests: Arc<Requests>,
    token: Ulid,
    reply: oneshot::Receiver<Message>,
}

impl Requests {
    /// A new inbox, `_INBOX.<random>.`.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            inbox: format!("_INBOX.{}.", Ulid::new()),
            waiting: Mutex::new(HashMap::new()),
        })
    }

    /// The subject to subscribe to, once.
    pub(super) fn wildcard(&self) -> String {
        format!("{}*", self.inbox)
    }

    /// Registers a request before it is sent. `None`: too many wait.
    pub(super) fn open(self: &Arc<Self>) -> Option<Waiting> {
        let (sender, reply) = oneshot::channel();
        let token = Ulid::new();
        let mut waiting = self.waiting.lock();
        if waiting.len() >= IN_FLIGHT_MAX {
            return None;
        }
        waiting.insert(token, sender);
        drop(waiting);
        Some(Waiting {
            requests: self.clone(),
            token,
            reply,
        })
    }

    /// Hands a message of the inbox to its waiter. A late or unsolicited message is dropped.
    pub(super) fn deliver(&self, message: Message) {
        let token = message
            .subject
            .strip_prefix(&*self.inbox)
            .and_then(|token| Ulid::from_string(token).ok());
        let waiter = token.and_then(|token| self.waiting.lock().remove(&token));
        if let Some(waiter) = waiter {
            // An error means that the waiter has just given up.
            let _ = waiter.send(message);
        }
    }

    /// Ends every wait with [`RequestError::Unavailable`]: the connection on which the replies would come is lost.
    pub(super) fn fail_all(&self) {
        let lost = std::mem::take(&mut *self.waiting.lock());
        drop(lost);
    }
}

impl Waiting {
    /// The reply subject.
    pub(super) fn subject(&self) -> String {
        format!("{}{}", self.requests.inbox, self.token)
    }

    /// Waits for the reply, at most `timeout`. The server itself answers for a subject without listeners.
    pub(super) async fn wait(mut self, timeout: Duration) -> Result<Message, RequestError> {
        match tokio::time::timeout(timeout, &mut self.reply).await {
            Err(_) => Err(RequestError::Timeout),
            Ok(Err(_)) => Err(RequestError::Unavailable),
            Ok(Ok(message)) if message.status == Some(StatusCode::NO_RESPONDERS) => {
                Err(RequestError::NoResponders)
            }
            Ok(Ok(message)) => Ok(message),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.requests.waiting.lock().remove(&self.token);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const LONG: Duration = Duration::from_secs(5);

    fn message(subject: String, status: Option<StatusCode>) -> Message {
        Message {
            subject: subject.into(),
            reply: None,
            payload: Bytes::from_static(b"answer"),
            headers: None,
            status,
            description: None,
            length: 0,
        }
    }

    #[tokio::test]
    async fn a_reply_finds_its_request() {
        let requests = Requests::new();
        let (first, second) = (requests.open().unwrap(), requests.open().unwrap());
        requests.deliver(message(second.subject(), Some(StatusCode::NO_RESPONDERS)));
        requests.deliver(message(first.subject(), None));
        assert_eq!(second.wait(LONG).await.unwrap_err(), RequestError::NoResponders);
        assert_eq!(first.wait(LONG).await.unwrap().payload, "answer");
    }

    #[tokio::test]
    async fn a_lost_connection_ends_every_wait() {
        let requests = Requests::new();
        let waiting = requests.open().unwrap();
        requests.fail_all();
        assert_eq!(waiting.wait(LONG).await.unwrap_err(), RequestError::Unavailable);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_left_behind() {
        let requests = Requests::new();
        let late = requests.open().unwrap();
        let subject = late.subject();
        assert_eq!(late.wait(LONG).await.unwrap_err(), RequestError::Timeout);
        drop(requests.open());
        assert!(requests.waiting.lock().is_empty());
        requests.deliver(message(subject, None));
        requests.deliver(message("elsewhere".into(), None));
        requests.deliver(message(format!("{}x", requests.inbox), None));
    }

    #[test]
    fn requests_in_flight_are_bounded() {
        let requests = Requests::new();
        let held: Vec<_> = (0..IN_FLIGHT_MAX).map(|_| requests.open().unwrap()).collect();
        assert!(requests.open().is_none());
        drop(held);
        assert!(requests.open().is_some());
    }
}
