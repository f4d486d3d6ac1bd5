//! Requests over NATS: one reply inbox for the whole process, and the waiters on it. The client's own multiplexer
//! keeps every request whose time-out expired forever; this one forgets a request when its waiter ends, however it
//! ends. Knows no headers and no application.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Message, StatusCode};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use ulid::Ulid;

use crate::bus::RequestError;
use crate::bus::subject::{INBOX, Subjects};

/// The most requests of one process that may wait at the same time: far above what sessions may have in flight, so
/// that a fault there cannot grow without bound here.
const IN_FLIGHT_MAX: usize = 65_536;

/// The waiters by reply.
pub(super) struct Requests {
    /// Each ends in a dot. Random, so that nobody else's guess matches it.
    own: String,
    common: String,
    inbox: watch::Sender<Inbox>,
    waiting: Mutex<HashMap<Ulid, Waiter>>,
}

/// Where replies are to come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inbox {
    /// Below `<prefix>.reply`, which is for instances alone.
    Own,
    /// The next one is wanted, but not subscribed to yet.
    CommonWanted,
    /// Below `_INBOX`, which other NATS clients may be permitted to read. Only where the server refuses the first: for
    /// servers whose permissions are still those of the release before it.
    Common,
}

/// Who waits for a reply.
enum Waiter {
    /// For one reply, which ends the wait.
    One {
        reply: oneshot::Sender<Message>,
        /// Whether an instance was asked: its answer is a control message.
        of_instance: bool,
    },
    /// For several. Who waits knows which is the last.
    Many(mpsc::Sender<Message>),
}

/// A request's place among those that wait. Dropping it forgets the request.
struct Place {
    requests: Arc<Requests>,
    token: Ulid,
}

/// A waiting request. Dropping it forgets it.
pub(super) struct Waiting {
    place: Place,
    reply: oneshot::Receiver<Message>,
}

/// A request that gets several replies. Dropping it forgets it.
pub(super) struct WaitingForMany {
    place: Place,
    replies: mpsc::Receiver<Message>,
}

impl Requests {
    /// New inboxes, `<prefix>.reply.<random>.` and `_INBOX.<random>.`; the first is used.
    pub(super) fn new(subjects: &Subjects) -> Arc<Self> {
        Arc::new(Self {
            own: format!("{}{}.", subjects.reply(), Ulid::new()),
            common: format!("{INBOX}{}.", Ulid::new()),
            inbox: watch::Sender::new(Inbox::Own),
            waiting: Mutex::new(HashMap::new()),
        })
    }

    /// The subject to subscribe to, once.
    pub(super) fn wildcard(&self) -> String {
        format!("{}*", self.own)
    }

    /// The subject of [`Inbox::Common`].
    pub(super) fn common_wildcard(&self) -> String {
        format!("{}*", self.common)
    }

    /// Which inbox later requests name, and its changes.
    pub(super) fn inbox(&self) -> watch::Receiver<Inbox> {
        self.inbox.subscribe()
    }

    /// Changes the inbox of later requests. Replies to earlier ones are still taken.
    pub(super) fn use_inbox(&self, inbox: Inbox) {
        self.inbox.send_replace(inbox);
    }

    /// Registers a request to a backend before it is sent. `None`: too many wait.
    pub(super) fn open(self: &Arc<Self>) -> Option<Waiting> {
        self.register(false)
    }

    /// The same for a question to an instance.
    pub(super) fn open_to_instance(self: &Arc<Self>) -> Option<Waiting> {
        self.register(true)
    }

    fn register(self: &Arc<Self>, of_instance: bool) -> Option<Waiting> {
        let (sender, reply) = oneshot::channel();
        let place = self.enter(Waiter::One {
            reply: sender,
            of_instance,
        })?;
        Some(Waiting { place, reply })
    }

    /// Registers a request that gets several replies, of which at most `capacity` may wait to be read. `None`: too many
    /// requests wait.
    pub(super) fn open_for_many(self: &Arc<Self>, capacity: usize) -> Option<WaitingForMany> {
        let (sender, replies) = mpsc::channel(capacity.max(1));
        let place = self.enter(Waiter::Many(sender))?;
        Some(WaitingForMany { place, replies })
    }

    fn enter(self: &Arc<Self>, waiter: Waiter) -> Option<Place> {
        let token = Ulid::new();
        let mut waiting = self.waiting.lock();
        if waiting.len() >= IN_FLIGHT_MAX {
            return None;
        }
        waiting.insert(token, waiter);
        drop(waiting);
        Some(Place {
            requests: self.clone(),
            token,
        })
    }

    /// A new subject of this instance's own, in the inbox in use, to subscribe to by itself.
    pub(super) fn own_subject(&self, name: &str) -> String {
        let inbox = match *self.inbox.borrow() {
            Inbox::Own | Inbox::CommonWanted => &self.own,
            Inbox::Common => &self.common,
        };
        // One token deeper than a reply's, so that the inbox's own subscription does not get it as well.
        format!("{inbox}{}.{name}", Ulid::new())
    }

    /// Hands a message of the inbox to its waiter. A late or unsolicited message is dropped; so is an answer to an instance's
    /// question that `admits` refuses, and the waiter goes on waiting for the true one. Who waits for many and does not read
    /// them is given up, as the reader can tell.
    /// Whether it was for one who waits for many.
    pub(super) fn deliver(&self, message: Message, admits: impl FnOnce(&Message) -> bool) -> bool {
        let token = message
            .subject
            .strip_prefix(&*self.own)
            .or_else(|| message.subject.strip_prefix(&*self.common))
            .and_then(|token| Ulid::from_string(token).ok());
        let Some(token) = token else { return false };
        let of_instance = {
            let waiting = self.waiting.lock();
            match waiting.get(&token) {
                Some(Waiter::One { of_instance, .. }) => *of_instance,
                Some(Waiter::Many(replies)) => {
                    if replies.try_send(message).is_err() {
                        drop(waiting);
                        self.waiting.lock().remove(&token);
                    }
                    return true;
                }
                None => return false,
            }
        };
        // What the client could not read says nothing to who waits for one reply alone.
        if message.status == Some(StatusCode::MALFORMED) {
            return false;
        }
        // What the server itself says, that nobody listens, is signed by nobody.
        let is_answer = message.status != Some(StatusCode::NO_RESPONDERS);
        if of_instance && is_answer && !admits(&message) {
            return false;
        }
        let waiter = self.waiting.lock().remove(&token);
        if let Some(Waiter::One { reply, .. }) = waiter {
            // An error means that the waiter has just given up.
            let _ = reply.send(message);
        }
        false
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
        self.place.subject()
    }

    /// Waits for the reply, at most `timeout`. The server itself answers for a subject without listeners.
    pub(super) async fn wait(mut self, timeout: Duration) -> Result<Message, RequestError> {
        self.wait_on(timeout).await
    }

    /// The same; after [`RequestError::Timeout`], and only then, it may be waited for again.
    pub(super) async fn wait_on(&mut self, timeout: Duration) -> Result<Message, RequestError> {
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

impl WaitingForMany {
    /// The reply subject.
    pub(super) fn subject(&self) -> String {
        self.place.subject()
    }

    /// The next reply, or the server's own word that there is none, as it comes. The caller bounds the time.
    ///
    /// # Cancel safety
    /// If dropped before it is ready, no reply is lost.
    pub(super) async fn next(&mut self) -> Result<Message, RequestError> {
        self.replies.recv().await.ok_or(RequestError::Unavailable)
    }
}

impl Place {
    fn subject(&self) -> String {
        let inbox = match *self.requests.inbox.borrow() {
            Inbox::Own | Inbox::CommonWanted => &self.requests.own,
            Inbox::Common => &self.requests.common,
        };
        format!("{inbox}{}", self.token)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.requests.waiting.lock().remove(&self.token);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn requests() -> Arc<Requests> {
        Requests::new(&Subjects::new(&"herald".parse().unwrap()))
    }

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
        let requests = requests();
        let (first, second) = (requests.open().unwrap(), requests.open().unwrap());
        requests.deliver(
            message(second.subject(), Some(StatusCode::NO_RESPONDERS)),
            |_| unreachable!(),
        );
        requests.deliver(message(first.subject(), None), |_| unreachable!());
        assert_eq!(second.wait(LONG).await.unwrap_err(), RequestError::NoResponders);
        assert_eq!(first.wait(LONG).await.unwrap().payload, "answer");
    }

    #[tokio::test]
    async fn a_refused_answer_does_not_end_the_wait_for_the_true_one() {
        let requests = requests();
        let asked = requests.open_to_instance().unwrap();
        let answer = |payload| Message {
            payload: Bytes::from_static(payload),
            ..message(asked.subject(), None)
        };
        requests.deliver(answer(b"forged"), |_| false);
        requests.deliver(answer(b"true"), |_| true);
        assert_eq!(asked.wait(LONG).await.unwrap().payload, "true");
        let unheard = requests.open_to_instance().unwrap();
        requests.deliver(
            message(unheard.subject(), Some(StatusCode::NO_RESPONDERS)),
            |_| false,
        );
        assert_eq!(unheard.wait(LONG).await.unwrap_err(), RequestError::NoResponders);
    }

    #[tokio::test]
    async fn a_change_of_inbox_loses_no_reply() {
        let requests = requests();
        let first = requests.open().unwrap();
        let before = first.subject();
        requests.use_inbox(Inbox::Common);
        let second = requests.open().unwrap();
        assert!(before.starts_with("herald.reply.") && second.subject().starts_with("_INBOX."));
        requests.deliver(message(before, None), |_| unreachable!());
        requests.deliver(message(second.subject(), None), |_| unreachable!());
        assert!(first.wait(LONG).await.is_ok() && second.wait(LONG).await.is_ok());
    }

    #[tokio::test]
    async fn a_lost_connection_ends_every_wait() {
        let requests = requests();
        let waiting = requests.open().unwrap();
        requests.fail_all();
        assert_eq!(waiting.wait(LONG).await.unwrap_err(), RequestError::Unavailable);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_left_behind() {
        let requests = requests();
        let late = requests.open().unwrap();
        let subject = late.subject();
        assert_eq!(late.wait(LONG).await.unwrap_err(), RequestError::Timeout);
        drop(requests.open());
        assert!(requests.waiting.lock().is_empty());
        requests.deliver(message(subject, None), |_| unreachable!());
        requests.deliver(message("elsewhere".into(), None), |_| unreachable!());
        requests.deliver(message(format!("{}x", requests.own), None), |_| unreachable!());
    }

    #[tokio::test]
    async fn many_replies_come_in_order_until_the_request_is_dropped() {
        let requests = requests();
        let mut many = requests.open_for_many(3).unwrap();
        let subject = many.subject();
        for status in [None, Some(StatusCode::TIMEOUT), Some(StatusCode::NO_RESPONDERS)] {
            requests.deliver(message(subject.clone(), status), |_| unreachable!());
        }
        assert_eq!(many.next().await.unwrap().status, None);
        assert_eq!(many.next().await.unwrap().status, Some(StatusCode::TIMEOUT));
        assert_eq!(many.next().await.unwrap().status, Some(StatusCode::NO_RESPONDERS));
        drop(many);
        assert!(requests.waiting.lock().is_empty());
        requests.deliver(message(subject, None), |_| unreachable!());
    }

    #[tokio::test]
    async fn replies_that_nobody_reads_end_the_request() {
        let requests = requests();
        let mut many = requests.open_for_many(2).unwrap();
        for _ in 0..3 {
            requests.deliver(message(many.subject(), None), |_| unreachable!());
        }
        assert!(requests.waiting.lock().is_empty());
        assert!(many.next().await.is_ok() && many.next().await.is_ok());
        assert_eq!(many.next().await.unwrap_err(), RequestError::Unavailable);
        let mut lost = requests.open_for_many(2).unwrap();
        requests.fail_all();
        assert_eq!(lost.next().await.unwrap_err(), RequestError::Unavailable);
    }

    #[test]
    fn a_subject_of_its_own_is_no_reply() {
        let requests = requests();
        let live = requests.own_subject("live");
        assert!(live.starts_with(&requests.own) && live.ends_with(".live"));
        assert_eq!(
            live.split('.').count(),
            requests.wildcard().split('.').count() + 1
        );
        requests.use_inbox(Inbox::Common);
        assert!(requests.own_subject("live").starts_with(&requests.common));
    }

    #[test]
    fn requests_in_flight_are_bounded() {
        let requests = requests();
        let held: Vec<_> = (0..IN_FLIGHT_MAX).map(|_| requests.open().unwrap()).collect();
        assert!(requests.open().is_none());
        drop(held);
        assert!(requests.open().is_some());
    }
}
