//! The promise between the handle and the shards' mailboxes, whatever a shard is busy with.

use std::io::{self, IoSlice};
use std::sync::mpsc as blocking;

use bytes::Bytes;
use parking_lot::Mutex;

use super::*;
use crate::delivery::command::{Join, Subscription};
use crate::delivery::outbox::Written;
use crate::principal::Principal;
use crate::stomp::Version;

mod in_place;

/// A socket that takes everything, once it is let.
struct Gate(Mutex<blocking::Receiver<()>>);

impl TryWrite for Gate {
    fn try_write(&self, chunks: &[IoSlice<'_>]) -> io::Result<Written> {
        // Whoever lets it is gone: it is open.
        let _ = self.0.lock().recv();
        Ok(Written::taken(chunks.iter().map(|chunk| chunk.len()).sum()))
    }
}

fn registry() -> Registry {
    registry_with(1 << 20, Arc::new(()))
}

fn registry_with(delivery_bytes: usize, trail: Arc<dyn Trail>) -> Registry {
    registry_of(&Default::default(), delivery_bytes, trail)
}

fn registry_of(config: &crate::delivery::Config, delivery_bytes: usize, trail: Arc<dyn Trail>) -> Registry {
    let settings = Settings {
        outbox_bytes: 1 << 20,
        outbox_total_bytes: 1 << 20,
        delivery_bytes,
        hidden_tab_grace: Duration::from_secs(300),
        remind: Duration::from_secs(60),
        user_prefix: Path::parse("/user").unwrap(),
        kept: Default::default(),
    };
    Registry::start(config, settings, trail).unwrap()
}

async fn join(registry: &Registry, user: &str, socket: Arc<dyn TryWrite>) -> Arc<Outbox> {
    let outbox = registry.outbox(socket);
    let join = join_of(user, outbox.clone());
    registry.session().join(Box::new(join)).await;
    outbox
}

fn join_of(user: &str, outbox: Arc<Outbox>) -> Join {
    Join {
        outbox,
        session: user.into(),
        principal: Principal::new(UserName::parse(user).unwrap(), ["ROLE_USER"]),
        version: Version::V1_2,
        send_every_ms: 0,
        receive_every_ms: 0,
        address: [127, 0, 0, 1].into(),
        since_ms: 0,
        connected: Bytes::from_static(b"CONNECTED"),
    }
}

/// The shard stands at another session's socket while the SUBSCRIBE waits: what is published behind it is not unwanted.
#[tokio::test]
async fn what_is_published_behind_a_subscribe_reaches_it() {
    let registry = registry();
    let (opens, wait) = blocking::channel();
    let _first = join(&registry, "first", Arc::new(Gate(Mutex::new(wait)))).await;
    let path = Path::parse("/queue/a").unwrap();
    let subscription = Subscription {
        number: 0,
        id: Some("0".into()),
        target: Target::Broadcast(path.clone()),
        ack: crate::delivery::wire::AckMode::Auto,
        prefetch: 1,
    };
    registry.session().subscribe(Box::new(subscription), None).await;
    registry
        .deliver(Envelope::new(Target::Broadcast(path.clone()), "hi"))
        .await;
    assert_eq!(registry.stats().matched, 1);
    // The session was never there: nobody is interested any more.
    drop(opens);
    while !registry
        .inner
        .interest
        .shards(&Target::Broadcast(path.clone()))
        .is_empty()
    {
        tokio::task::yield_now().await;
    }
}

/// The same of a client that reads nothing before it sends: CONNECT, SUBSCRIBE and SEND to its user stand behind each
/// other in the mailbox.
#[tokio::test]
async fn what_is_published_behind_a_login_reaches_its_user() {
    let registry = registry();
    let (opens, wait) = blocking::channel();
    let _first = join(&registry, "first", Arc::new(Gate(Mutex::new(wait)))).await;
    let _alice = join(
        &registry,
        "alice",
        Arc::new(Gate(Mutex::new(blocking::channel().1))),
    )
    .await;
    let user = UserName::parse("alice").unwrap();
    let target = Target::User {
        user: user.clone(),
        path: Path::parse("/queue/a").unwrap(),
    };
    registry.deliver(Envelope::new(target.clone(), "hi")).await;
    assert_eq!((registry.stats().matched, registry.stats().unmatched), (1, 0));
    drop(opens);
    // Nothing of it is left when its user has gone.
    registry.close_user(&user, CloseReason::Disconnected).await;
    while !registry.inner.interest.shards(&target).is_empty() {
        tokio::task::yield_now().await;
    }
}

/// Counts who waited for room.
struct Waits(AtomicU64);

impl Trail for Waits {
    fn bound_reached(&self, limit: crate::limit::Limit) {
        assert_eq!(limit, crate::limit::Limit::DeliveryBytes);
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The shard stands at a socket: what comes meanwhile fills the bound, and who would pass it waits and is counted.
#[tokio::test]
async fn who_waits_for_the_bound_on_what_is_under_way_is_counted() {
    waits_behind(4, |target| Envelope::new(target, "1234")).await;
    // Not by its body alone.
    let long = "x".repeat(1_000);
    waits_behind(2_000, |target| {
        let limits = crate::envelope::HeaderLimits {
            count: 9,
            bytes: 9_000,
        };
        let mut envelope = Envelope::new(target, "");
        envelope.headers = crate::envelope::Headers::from_publisher([("a", &*long)], limits).unwrap();
        envelope
    })
    .await;
    waits_behind(2_000, |target| Envelope::new(target, "").with_content_type(&long)).await;
}

/// Whether a second notification waits while the one that `first` makes fills `bound` bytes.
async fn waits_behind(bound: usize, first: impl Fn(Target) -> Envelope) {
    let counted = Arc::new(Waits(AtomicU64::new(0)));
    let waits = || counted.0.load(Ordering::Relaxed);
    let registry = registry_with(bound, counted.clone());
    let (opens, wait) = blocking::channel();
    let _alice = join(&registry, "alice", Arc::new(Gate(Mutex::new(wait)))).await;
    let target = Target::User {
        user: UserName::parse("alice").unwrap(),
        path: Path::parse("/queue/a").unwrap(),
    };
    registry.deliver(first(target.clone())).await;
    assert_eq!(waits(), 0);
    let mut waiting = Box::pin(registry.deliver(Envelope::new(target, "1")));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    assert_eq!(waits(), 1);
    drop(opens);
    waiting.await;
}

/// The shard stands at another session's socket while this one's Join waits: no index knows it yet.
#[tokio::test]
async fn a_session_whose_join_is_under_way_is_closed_too() {
    let registry = registry();
    let gate = || {
        let (open, wait) = blocking::channel();
        (open, Arc::new(Gate(Mutex::new(wait))))
    };
    let (opens, closed_gate) = gate();
    let _first = join(&registry, "first", closed_gate).await;
    let alice = join(&registry, "alice", gate().1).await;
    let bob = join(&registry, "bob", gate().1).await;
    let name = UserName::parse("alice").unwrap();
    registry.close_user(&name, CloseReason::NotAuthenticated).await;
    drop(opens);
    // An answer from behind all of it.
    let name = UserName::parse("bob").unwrap();
    while registry.sessions_of(&name).await.is_empty() {
        tokio::task::yield_now().await;
    }
    registry.sessions_of(&name).await;
    assert_eq!(alice.closing(), Some(CloseReason::NotAuthenticated));
    assert_eq!(bob.closing(), None);
}
