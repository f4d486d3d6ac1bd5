//! A bus that records what it was given and fails on command.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::bus::{
    AppRequest, BoxFuture, BoxStream, Bus, ControlMessage, Health, Incoming, Key, PendingReply, PublishError,
    Published, RequestError, Stats, UserEvent,
};
use crate::envelope::Envelope;
use crate::instance::InstanceId;

/// Largest body it takes.
pub(crate) const MAX_BODY_BYTES: usize = 1_000;

pub(crate) struct RecordingBus {
    pub published: Mutex<Vec<Envelope>>,
    pub said: Mutex<Vec<(String, Bytes)>>,
    /// After so many publishes the bus is gone.
    pub fails_after: Mutex<Option<usize>>,
    /// How it refuses then.
    pub fails_with: Mutex<PublishError>,
    /// What it complains of.
    pub trouble: Mutex<Vec<String>>,
    /// Whether what it is given goes nowhere.
    pub swallows: Mutex<bool>,
    /// If set, every answer comes so late, and `NEXT` in it is the number of the question, as 26 digits.
    pub drips: Mutex<Option<Duration>>,
    health: watch::Sender<Health>,
    answers: Mutex<HashMap<InstanceId, Vec<u8>>>,
    asked: Mutex<usize>,
}

impl Default for RecordingBus {
    fn default() -> Self {
        Self {
            published: Mutex::default(),
            said: Mutex::default(),
            fails_after: Mutex::default(),
            fails_with: Mutex::new(PublishError::Unavailable),
            trouble: Mutex::default(),
            swallows: Mutex::default(),
            drips: Mutex::default(),
            health: watch::Sender::new(Health::Connected),
            answers: Mutex::default(),
            asked: Mutex::default(),
        }
    }
}

impl RecordingBus {
    /// Loses the connection.
    pub(crate) fn disconnect(&self) {
        self.health.send_replace(Health::Disconnected);
    }

    /// Has it again.
    pub(crate) fn connect(&self) {
        self.health.send_replace(Health::Connected);
    }

    /// What `instance` answers to any question; others are silent.
    pub(crate) fn answer(&self, instance: InstanceId, payload: Vec<u8>) {
        self.answers.lock().insert(instance, payload);
    }

    /// How many questions were asked.
    pub(crate) fn asked(&self) -> usize {
        *self.asked.lock()
    }

    fn take(&self, envelope: &Envelope) -> Result<(), PublishError> {
        let mut published = self.published.lock();
        if self
            .fails_after
            .lock()
            .is_some_and(|after| published.len() >= after)
        {
            return Err(self.fails_with.lock().clone());
        }
        if envelope.body.len() > MAX_BODY_BYTES {
            return Err(PublishError::TooLarge {
                size: envelope.body.len(),
                limit: MAX_BODY_BYTES,
                which: "limits.body_bytes",
            });
        }
        published.push(envelope.clone());
        Ok(())
    }
}

impl Bus for RecordingBus {
    fn publish_once<'a>(
        &'a self,
        envelope: &'a Envelope,
        _: Option<Key>,
    ) -> BoxFuture<'a, Result<Published, PublishError>> {
        Box::pin(async { self.take(envelope).map(|()| Published::default()) })
    }

    fn incoming(&self) -> Option<BoxStream<Incoming>> {
        None
    }

    fn request<'a>(&'a self, _: &'a AppRequest) -> BoxFuture<'a, Result<PendingReply, PublishError>> {
        Box::pin(async { Err(PublishError::Unavailable) })
    }

    fn control_publish<'a>(
        &'a self,
        kind: &'a str,
        payload: Bytes,
    ) -> BoxFuture<'a, Result<(), PublishError>> {
        if *self.health.borrow() == Health::Disconnected {
            return Box::pin(async { Err(PublishError::Unavailable) });
        }
        self.said.lock().push((kind.into(), payload));
        Box::pin(async { Ok(()) })
    }

    fn flush(&self, within: Duration) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            let swallows = *self.swallows.lock();
            if swallows {
                tokio::time::sleep(within).await;
            }
            !swallows
        })
    }

    fn control_request<'a>(
        &'a self,
        instance: InstanceId,
        _: &'a str,
        _: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Bytes, RequestError>> {
        *self.asked.lock() += 1;
        let mut answer = self.answers.lock().get(&instance).cloned();
        let drips = *self.drips.lock();
        if drips.is_some() {
            let number = format!("{:026}", self.asked());
            let text = answer.map(|answer| String::from_utf8_lossy(&answer).replace("NEXT", &number));
            answer = text.map(String::into_bytes);
        }
        Box::pin(async move {
            if let Some(late) = drips {
                tokio::time::sleep(late).await;
            }
            match answer {
                Some(answer) => Ok(answer.into()),
                None => {
                    tokio::time::sleep(timeout).await;
                    Err(RequestError::Timeout)
                }
            }
        })
    }

    fn control_incoming(&self) -> Option<BoxStream<ControlMessage>> {
        None
    }

    fn publish_user_event<'a>(&'a self, _: &'a UserEvent) -> BoxFuture<'a, Result<(), PublishError>> {
        Box::pin(async { Ok(()) })
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    fn max_body_bytes(&self) -> usize {
        MAX_BODY_BYTES
    }

    fn trouble(&self) -> Vec<String> {
        self.trouble.lock().clone()
    }

    fn stats(&self) -> Stats {
        Stats::default()
    }

    fn tasks(&self) -> Vec<crate::task::Task> {
        Vec::new()
    }

    fn drain(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}
