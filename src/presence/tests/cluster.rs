//! A bus in memory for several instances of presence in one test: control messages and user events only. Its
//! connections can be cut, and it can refuse messages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::bus::{
    AppRequest, BoxFuture, BoxStream, Bus, ControlMessage, Health, Incoming, Key, PendingReply, PublishError,
    Published, RequestError, Responder, Stats, UserEvent,
};
use crate::destination::Path;
use crate::envelope::Envelope;
use crate::instance::{Instance, InstanceId};
use crate::presence::announce::Subscribers;
use crate::presence::{Config, Presence};

/// The bus that all instances of a test share.
#[derive(Default)]
pub(super) struct TestCluster {
    members: Mutex<BTreeMap<InstanceId, Member>>,
    pub events: Mutex<Vec<UserEvent>>,
    pub messages: AtomicUsize,
}

struct Member {
    mailbox: mpsc::Sender<ControlMessage>,
    health: watch::Receiver<Health>,
}

impl Member {
    fn is_connected(&self) -> bool {
        *self.health.borrow() == Health::Connected
    }
}

/// One instance's connection.
pub(super) struct TestBus {
    cluster: Arc<TestCluster>,
    incoming: Mutex<Option<mpsc::Receiver<ControlMessage>>>,
    health: watch::Sender<Health>,
    reconnects: AtomicU64,
    pub refuses: AtomicBool,
}

/// One instance: presence, its bus, and those who subscribe to the list.
pub(super) struct Node {
    pub presence: Arc<Presence>,
    pub bus: Arc<TestBus>,
    pub listeners: Arc<Listeners>,
    pub shutdown: CancellationToken,
    pub run: tokio::task::JoinHandle<()>,
}

/// Stands for the registry.
#[derive(Default)]
pub(super) struct Listeners {
    pub count: AtomicUsize,
    pub got: Mutex<Vec<(tokio::time::Instant, Envelope)>>,
}

impl Subscribers for Listeners {
    fn count(&self, _path: &Path) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    fn deliver(&self, envelope: Envelope) -> BoxFuture<'_, ()> {
        self.got.lock().push((tokio::time::Instant::now(), envelope));
        Box::pin(std::future::ready(()))
    }
}

impl TestCluster {
    /// Starts an instance as the app does: presence runs, and the relay hands it what comes in.
    pub(super) fn start(self: &Arc<Self>, name: &str, config: Config) -> Node {
        let instance = Instance {
            id: InstanceId::random(),
            name: name.into(),
        };
        let (mailbox, incoming) = mpsc::channel(1_024);
        let (health, seen) = watch::channel(Health::Connected);
        let member = Member {
            mailbox,
            health: seen,
        };
        self.members.lock().insert(instance.id, member);
        let bus = Arc::new(TestBus {
            cluster: self.clone(),
            incoming: Mutex::new(Some(incoming)),
            health,
            reconnects: AtomicU64::new(0),
            refuses: AtomicBool::new(false),
        });
        let listeners = Arc::new(Listeners::default());
        let presence = Arc::new(Presence::with_subscribers(
            instance,
            bus.clone(),
            listeners.clone(),
            config,
        ));
        let mut control = bus.control_incoming().unwrap();
        let relay = presence.clone();
        tokio::spawn(async move {
            while let Some(message) = futures_util::StreamExt::next(&mut control).await {
                relay.handle(message);
            }
        });
        let shutdown = CancellationToken::new();
        let run = tokio::spawn(presence.clone().run(shutdown.clone()));
        Node {
            presence,
            bus,
            listeners,
            shutdown,
            run,
        }
    }

    /// The events so far, as `+alice@a`.
    pub(super) fn told(&self) -> Vec<String> {
        let events = self.events.lock();
        let told = events.iter().map(|event| {
            let sign = if event.connected { '+' } else { '-' };
            format!("{sign}{}@{}", event.user, event.instance)
        });
        told.collect()
    }
}

impl TestBus {
    pub(super) fn cut(&self) {
        self.health.send_replace(Health::Disconnected);
    }

    pub(super) fn mend(&self) {
        self.reconnects.fetch_add(1, Ordering::Relaxed);
        self.health.send_replace(Health::Connected);
    }

    fn check(&self) -> Result<(), PublishError> {
        let connected = *self.health.borrow() == Health::Connected;
        if connected && !self.refuses.load(Ordering::Relaxed) {
            Ok(())
        } else {
            Err(PublishError::Unavailable)
        }
    }
}

impl Bus for TestBus {
    fn publish_once<'a>(
        &'a self,
        _envelope: &'a Envelope,
        _: Option<Key>,
    ) -> BoxFuture<'a, Result<Published, PublishError>> {
        panic!("presence publishes no notification");
    }

    fn incoming(&self) -> Option<BoxStream<Incoming>> {
        None
    }

    fn request<'a>(&'a self, _request: &'a AppRequest) -> BoxFuture<'a, Result<PendingReply, PublishError>> {
        panic!("presence asks no backend");
    }

    fn control_publish<'a>(
        &'a self,
        kind: &'a str,
        payload: Bytes,
    ) -> BoxFuture<'a, Result<(), PublishError>> {
        Box::pin(async move {
            self.check()?;
            self.cluster.messages.fetch_add(1, Ordering::Relaxed);
            for member in self
                .cluster
                .members
                .lock()
                .values()
                .filter(|member| member.is_connected())
            {
                let message = ControlMessage {
                    kind: kind.into(),
                    payload: payload.clone(),
                    responder: None,
                };
                let _ = member.mailbox.try_send(message);
            }
            Ok(())
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
            let (answer, answered) = oneshot::channel();
            {
                let members = self.cluster.members.lock();
                let member = members.get(&instance).filter(|member| member.is_connected());
                let message = ControlMessage {
                    kind: kind.into(),
                    payload,
                    responder: Some(Responder(answer)),
                };
                let member = member.ok_or(RequestError::NoResponders)?;
                let _ = member.mailbox.try_send(message);
            }
            let answer = tokio::time::timeout(timeout, answered).await;
            answer.ok().and_then(Result::ok).ok_or(RequestError::Timeout)
        })
    }

    fn control_incoming(&self) -> Option<BoxStream<ControlMessage>> {
        let incoming = self.incoming.lock().take()?;
        Some(Box::pin(stream::unfold(incoming, |mut incoming| async {
            Some((incoming.recv().await?, incoming))
        })))
    }

    fn publish_user_event<'a>(&'a self, event: &'a UserEvent) -> BoxFuture<'a, Result<(), PublishError>> {
        Box::pin(async move {
            self.check()?;
            self.cluster.events.lock().push(event.clone());
            Ok(())
        })
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    fn max_body_bytes(&self) -> usize {
        1_000 << 10
    }

    fn stats(&self) -> Stats {
        Stats {
            reconnects: self.reconnects.load(Ordering::Relaxed),
            ..Stats::default()
        }
    }

    fn tasks(&self) -> Vec<crate::task::Task> {
        Vec::new()
    }

    fn drain(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
