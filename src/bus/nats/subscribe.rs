//! Subscriptions, as the client takes them. Knows no subject and no message.

use std::time::Duration;

use async_nats::{Client, Subscriber};

use super::options::ConnectError;

/// The time until the client, which cannot be full yet, has accepted a subscription.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Asks for a subscription, which the client repeats after each reconnect.
pub(super) async fn subscribe(client: &Client, subject: String) -> Result<Subscriber, ConnectError> {
    match tokio::time::timeout(SUBSCRIBE_TIMEOUT, client.subscribe(subject)).await {
        Ok(Ok(subscriber)) => Ok(subscriber),
        _ => Err(ConnectError::Stopped),
    }
}

/// The same for what streams answer: a message that the client cannot read must be known to be there.
pub(super) async fn subscribe_for_streams(
    client: &Client,
    subject: String,
) -> Result<Subscriber, ConnectError> {
    let asked = client.subscribe_with_malformed(subject);
    match tokio::time::timeout(SUBSCRIBE_TIMEOUT, asked).await {
        Ok(Ok(subscriber)) => Ok(subscriber),
        _ => Err(ConnectError::Stopped),
    }
}
