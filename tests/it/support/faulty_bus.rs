//! A bus that refuses when told to, so that a test need not kill a server, and on which a test can play another
//! instance and decide when that answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use herald::bus::{
    AppRequest, BoxFuture, BoxStream, Bus, ControlMessage, Health, History, Incoming, Key, PendingReply,
    PublishError, Published, RequestError, Stats, UserEvent,
};
use herald::envelope::Envelope;
use herald::instance::InstanceId;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};

/// A question to the other instance about a user's sessions.
#[derive(Debug)]
pub struct Asked {
    pub kind: String,
    pub payload: Bytes,
    answer: oneshot::Sender<Bytes>,
}

impl Asked {
    /// Answers it. If it is dropped instead, it is never answered.
    pub fn answer(self, payload: impl Into<Bytes>) {
        self.answer.send(payload.into()).expect("somebody who waits");
    }
}

/// Another bus, with a switch.
pub struct FaultyBus {
    inner: Arc<dyn Bus>,
    health: watch::Sender<Health>,
    /// How many publishes are accepted before it goes down by itself.
    left: AtomicUsize,
    neighbour: Mutex<Option<(InstanceId, mpsc::Sender<Asked>)>>,
}

/// How often the neighbour announces itself.
const DIGEST_INTERVAL: Duration = Duration::from_millis(500);

impl FaultyBus {
    /// Works as `inner` does until told otherwise.
    pub fn new(inner: Arc<dyn Bus>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            health: watch::Sender::new(Health::Connected),
            left: AtomicUsize::new(usize::MAX),
            neighbour: Mutex::default(),
        })
    }

    /// From now on refuses everything as unavailable (`true`), or works again (`false`). What others publish arrives
    /// either way.
    pub fn set_down(&self, down: bool) {
        self.health.send_replace(if down {
            Health::Disconnected
        } else {
            Health::Connected
        });
    }

    /// Accepts this many more publishes, then refuses everything until [`FaultyBus::set_down`] says otherwise.
    pub fn go_down_after(&self, publishes: usize) {
        self.left.store(publishes, Ordering::SeqCst);
    }

    /// Counts so many publishes.
    fn take(&self, publishes: usize) {
        let left = self.left.load(Ordering::SeqCst);
        if left < publishes {
            self.set_down(true);
        } else if left < usize::MAX {
            self.left.store(left - publishes, Ordering::SeqCst);
        }
    }

    /// Adds another instance to the cluster. Questions to it about sessions come here, and wait for as long as the
    /// test lets them; it answers nothing else.
    pub fn with_neighbour(&self) -> mpsc::Receiver<Asked> {
        let (id, (asks, asked)) = (InstanceId::random(), mpsc::channel(64));
        *self.neighbour.lock() = Some((id, asks));
        let bus = self.inner.clone();
        tokio::spawn(async move {
            for beat in 1.. {
                let digest = format!(
                    r#"{{"instance":"{id}","name":"neighbour","beat":{beat},"number":0,"users":0,"hash":"0"}}"#
                );
                let _ = bus.control_publish("presence.digest", digest.into()).await;
                tokio::time::sleep(DIGEST_INTERVAL).await;
            }
        });
        asked
    }

    async fn ask_neighbour(
        asks: mpsc::Sender<Asked>,
        kind: &str,
        payload: Bytes,
    ) -> Result<Bytes, RequestError> {
        let (answer, answered) = oneshot::channel();
        let kind = kind.to_owned();
        let asked = asks
            .send(Asked {
                kind,
                payload,
                answer,
            })
            .await;
        asked.map_err(|_| RequestError::Timeout)?;
        answered.await.map_err(|_| RequestError::Timeout)
    }

    fn check(&self) -> Result<(), PublishError> {
        match *self.health.borrow() {
            Health::Connected => Ok(()),
            Health::Disconnected => Err(PublishError::Unavailable),
        }
    }
}

impl Bus for FaultyBus {
    fn publish_once<'a>(
        &'a self,
        envelope: &'a Envelope,
        key: Option<Key>,
    ) -> BoxFuture<'a, Result<Published, PublishError>> {
        Box::pin(async move {
            self.take(1);
            self.check()?;
            self.inner.publish_once(envelope, key).await
        })
    }

    fn publish_atomic<'a>(
        &'a self,
        batch: &'a [(Envelope, Option<Key>)],
    ) -> Option<BoxFuture<'a, Result<Vec<Published>, PublishError>>> {
        let publish = self.inner.publish_atomic(batch)?;
        Some(Box::pin(async move {
            self.take(batch.len());
            self.check()?;
            publish.await
        }))
    }

    fn incoming(&self) -> Option<BoxStream<Incoming>> {
        self.inner.incoming()
    }

    fn history(&self) -> Option<&dyn History> {
        self.inner.history()
    }

    fn request<'a>(&'a self, request: &'a AppRequest) -> BoxFuture<'a, Result<PendingReply, PublishError>> {
        Box::pin(async move {
            self.check()?;
            self.inner.request(request).await
        })
    }

    fn control_publish<'a>(
        &'a self,
        kind: &'a str,
        payload: Bytes,
    ) -> BoxFuture<'a, Result<(), PublishError>> {
        Box::pin(async move {
            self.check()?;
            self.inner.control_publish(kind, payload).await
        })
    }

    fn control_request<'a>(
        &'a self,
        instance: InstanceId,
        kind: &'a str,
        payload: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Bytes, RequestError>> {
        Box::pin(async move {
            self.check().map_err(|_| RequestError::Unavailable)?;
            let neighbour = self.neighbour.lock().clone();
            if let Some((_, asks)) = neighbour.filter(|(id, _)| *id == instance) {
                return match kind.starts_with("sessions.") {
                    true => Self::ask_neighbour(asks, kind, payload).await,
                    false => Err(RequestError::NoResponders),
                };
            }
            self.inner.control_request(instance, kind, payload, timeout).await
        })
    }

    fn control_incoming(&self) -> Option<BoxStream<ControlMessage>> {
        self.inner.control_incoming()
    }

    fn publish_user_event<'a>(&'a self, event: &'a UserEvent) -> BoxFuture<'a, Result<(), PublishError>> {
        Box::pin(async move {
            self.check()?;
            self.inner.publish_user_event(event).await
        })
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    fn max_body_bytes(&self) -> usize {
        self.inner.max_body_bytes()
    }

    fn trouble(&self) -> Vec<String> {
        self.inner.trouble()
    }

    fn stats(&self) -> Stats {
        self.inner.stats()
    }

    fn tasks(&self) -> Vec<herald::task::Task> {
        self.inner.tasks()
    }

    fn drain(&self) -> BoxFuture<'_, ()> {
        self.set_down(true);
        self.inner.drain()
    }
}
