//! Subscribing through the client, and the list of an instance's subscriptions. Knows no message.

use std::time::Duration;

use async_nats::{Client, Subscriber};
use tokio::sync::mpsc;

use super::NatsBus;
use super::control::Control;
use super::incoming::Incoming;
use super::options::ConnectError;
use super::replies;
use crate::bus::ControlMessage;
use crate::bus::queue::QueueSender;
use crate::instance::InstanceId;

/// The time until the client, which cannot be full yet, has accepted a subscription.
pub(super) const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Requests a subscription, which the client repeats after each reconnect.
pub(super) async fn subscribe(client: &Client, subject: String) -> Result<Subscriber, ConnectError> {
    match tokio::time::timeout(SUBSCRIBE_TIMEOUT, client.subscribe(subject)).await {
        Ok(Ok(subscriber)) => Ok(subscriber),
        _ => Err(ConnectError::Stopped),
    }
}

/// The same for answers of streams: a message that the client cannot read must not go unnoticed.
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

impl NatsBus {
    /// Requests every subscription, those to notifications on `core`. The client repeats them after each reconnect.
    pub(super) async fn subscribe(
        &self,
        instance: InstanceId,
        core: &[String],
        queue: &QueueSender,
        control: &mpsc::Sender<ControlMessage>,
    ) -> Result<(), ConnectError> {
        let client = &self.connection.client;
        let link = &self.connection.link;
        replies::subscribe(client, link, link.requests.wildcard()).await?;
        self.start("bus replies", replies::change(self.connection.clone()));
        let control_names = ["bus control to all", "bus control to this instance"];
        for (name, subject) in control_names.into_iter().zip(self.subjects.control(instance)) {
            let control = Control {
                subjects: self.subjects.clone(),
                instance,
                connection: self.connection.clone(),
                queue: control.clone(),
                tasks: self.running.clone(),
                history: self.history.clone(),
            };
            self.start(name, control.run(subscribe(client, subject).await?));
        }
        let [_, to_users] = self.subjects.notifications();
        let (to_users, to_all): (Vec<&String>, Vec<&String>) =
            core.iter().partition(|core| **core == to_users);
        let names = ["bus notifications to all", "bus notifications to users"];
        for (name, subjects) in names.into_iter().zip([to_all, to_users]) {
            let mut subscriptions = Vec::new();
            for subject in subjects {
                subscriptions.push(subscribe(client, subject.clone()).await?);
            }
            if subscriptions.is_empty() {
                continue;
            }
            let incoming = Incoming {
                subjects: self.subjects.clone(),
                limits: self.limits,
                queue: queue.clone(),
                link: link.clone(),
            };
            self.start(name, incoming.run(subscriptions));
        }
        if core.is_empty() {
            // If everything is kept, its reader's stream still must not end before the drain.
            let (queue, closing) = (queue.clone(), link.closing.clone());
            self.start("bus notifications", async move {
                closing.cancelled().await;
                drop(queue);
            });
        }
        Ok(())
    }
}
