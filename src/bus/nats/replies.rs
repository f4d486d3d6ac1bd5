//! The replies to this instance's requests: read from its reply inbox, and from the one below `_INBOX` where the server
//! does not permit the other. Knows no request's meaning.

use std::time::Duration;

use async_nats::{StatusCode, Subscriber};
use futures_util::StreamExt;
use futures_util::stream::SelectAll;

use super::link::Connection;
use crate::bus::headers::Undeliverable;
use crate::bus::requests::Inbox;

/// How long the change to the other inbox may take.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(1);

/// Hands replies to their waiters until the bus drains, and subscribes to the inbox below `_INBOX` when it is wanted.
pub(super) async fn receive(inbox: Subscriber, connection: Connection) {
    let link = &connection.link;
    let mut inboxes = SelectAll::new();
    inboxes.push(inbox);
    let mut state = link.requests.inbox();
    let mut has_common = false;
    loop {
        let wanted = tokio::select! {
            message = inboxes.next() => match message {
                Some(message) => {
                    let unreadable = (message.status == Some(StatusCode::MALFORMED))
                        .then(|| message.subject.to_string());
                    let is_for_many = link.requests.deliver(message, |answer| link.seal.admits(answer, "answer"));
                    // Who reads a stream counts what it takes.
                    if let Some(subject) = unreadable.filter(|_| !is_for_many) {
                        link.undeliverable(Undeliverable::Malformed, &subject);
                    }
                    false
                }
                None => return,
            },
            changed = state.wait_for(|inbox| *inbox == Inbox::CommonWanted) => changed.is_ok(),
            () = link.closing.cancelled() => return,
        };
        if !wanted {
            continue;
        }
        if !has_common {
            match super::subscribe_for_streams(&connection.client, link.requests.common_wildcard()).await {
                Ok(inbox) => inboxes.push(inbox),
                Err(error) => {
                    tracing::debug!(%error, "no other inbox");
                    link.requests.use_inbox(Inbox::Own);
                    continue;
                }
            }
            has_common = true;
        }
        link.requests.use_inbox(Inbox::Common);
    }
}

impl Connection {
    /// Takes the inbox below `_INBOX` from now on; whether that worked.
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
