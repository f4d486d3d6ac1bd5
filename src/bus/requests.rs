//! Requests over NATS: one reply inbox for the whole process, and the waiters on it. The client's own multiplexer keeps
//! every request whose time-out expired forever; this one forgets a request when its waiter ends, in whatever way.
//! Knows no headers and no application.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Message, StatusCode};
use parking_lot::Mutex;
use tokio::sync::oneshot::error::TryRecvError;
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
    /// Whether it is forgotten already.
    is_over: bool,
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
            is_over: false,
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
        let mut waiting = self.waiting.lock();
        let Entry::Occupied(waiter) = waiting.entry(token) else {
            return false;
        };
        let of_instance = match waiter.get() {
            Waiter::One { of_instance, .. } => *of_instance,
            Waiter::Many(replies) => {
                if replies.try_send(message).is_err() {
                    waiter.remove();
                }
                return true;
            }
        };
        // What the client could not read says nothing to who waits for one reply alone.
        if message.status == Some(StatusCode::MALFORMED) {
            return false;
        }
        // What the server itself says, that nobody listens, is signed by nobody.
        let is_answer = message.status != Some(StatusCode::NO_RESPONDERS);
        let waiter = if of_instance && is_answer {
            drop(waiting);
            if !admits(&message) {
                return false;
            }
            self.waiting.lock().remove(&token)
        } else {
            let waiter = waiter.remove();
            drop(waiting);
            Some(waiter)
        };
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
            Ok(reply) => self.ended(reply.ok()),
        }
    }

    /// The reply, if it is there already; once. No clock is looked at.
    pub(super) fn at_hand(&mut self) -> Option<Result<Message, RequestError>> {
        match self.reply.try_recv() {
            Ok(message) => Some(self.ended(Some(message))),
            Err(TryRecvError::Closed) => Some(self.ended(None)),
            Err(TryRecvError::Empty) => None,
        }
    }

    fn ended(&mut self, reply: Option<Message>) -> Result<Message, RequestError> {
        self.place.is_over = true;
        match reply {
            None => Err(RequestError::Unavailable),
            Some(message) if message.status == Some(StatusCode::NO_RESPONDERS) => {
                Err(RequestError::NoResponders)
            }
            Some(message) => Ok(message),
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
        let mut buffer = [0; ulid::ULID_LEN];
        // As large as it has to be, since it becomes a subject as it is.
        [inbox, &*self.token.array_to_str(&mut buffer)].concat()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.is_over {
            self.requests.waiting.lock().remove(&self.token);
        }
    }
}

#[cfg(test)]
mod tests;
