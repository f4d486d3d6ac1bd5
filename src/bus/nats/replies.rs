//! The replies to this instance's requests: they arrive at its reply inbox, or at the one below `_INBOX` if the server
//! does not permit the first. Knows no request's meaning.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, Message, StatusCode};

use super::link::{Connection, Link};
use super::options::ConnectError;
use super::subscribe::SUBSCRIBE_TIMEOUT;
use crate::bus::headers::Undeliverable;
use crate::bus::requests::Inbox;
use crate::task;

/// How long the change to the other inbox may take.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(1);

/// Subscribes to the replies at `subject`, which go directly to their waiters: the client's own task passes them on, so
/// that no other task has to be woken.
pub(super) async fn subscribe(
    client: &Client,
    link: &Arc<Link>,
    subject: String,
) -> Result<(), ConnectError> {
    let link = link.clone();
    let asked = client.subscribe_with(subject, move |message| deliver(&link, message));
    match tokio::time::timeout(SUBSCRIBE_TIMEOUT, asked).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(ConnectError::Stopped),
    }
}

fn deliver(link: &Link, message: Message) {
    let subject = message.subject.clone();
    let is_malformed = message.status == Some(StatusCode::MALFORMED);
    let admits = |answer: &Message| link.seal.admits(answer, "answer");
    // The client must survive a reply that is wrong in any way.
    match task::caught_now(|| link.requests.deliver(message, admits)) {
        // The reader of a stream limits what it accepts.
        Ok(is_for_many) if is_malformed && !is_for_many => {
            link.undeliverable(Undeliverable::Malformed, &subject);
        }
        Ok(_) => {}
        Err(_panic) => link.poisoned(&subject),
    }
}

/// Subscribes to the inbox below `_INBOX` when it is needed, until the bus drains.
pub(super) async fn change(connection: Connection) {
    let link = &connection.link;
    let mut state = link.requests.inbox();
    let mut has_common = false;
    loop {
        tokio::select! {
            changed = state.wait_for(|inbox| *inbox == Inbox::CommonWanted) => if changed.is_err() { return },
            () = link.closing.cancelled() => return,
        }
        if !has_common {
            if let Err(error) = subscribe(&connection.client, link, link.requests.common_wildcard()).await {
                tracing::debug!(%error, "no other inbox");
                link.requests.use_inbox(Inbox::Own);
                continue;
            }
            has_common = true;
        }
        link.requests.use_inbox(Inbox::Common);
    }
}

impl Connection {
    /// Uses the inbox below `_INBOX` from now on; returns whether that worked.
    pub(super) async fn use_common_inbox(&self) -> bool {
        let mut state = self.link.requests.inbox();
        self.link.requests.use_inbox(Inbox::CommonWanted);
        let used = state.wait_for(|inbox| *inbox != Inbox::CommonWanted);
        match tokio::time::timeout(CHANGE_TIMEOUT, used).await {
            Ok(Ok(inbox)) => *inbox == Inbox::Common,
            _ => false,
        }
    }
}
