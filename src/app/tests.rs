//! The promise: an instance does not keep serving without a task that it needs, and a message or a session that makes
//! its handler panic affects no others. The tests hit tasks by name, in a whole instance.

#![allow(
    clippy::large_futures,
    reason = "a test's futures hold a whole configuration and live once"
)]

use std::future::{pending, ready};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::*;
use crate::bus::embedded::EmbeddedBus;
use crate::control::question::Question;
use crate::destination::{Path, Target};
use crate::envelope::Envelope;
use crate::http::health;
use crate::probe::Probe;
use crate::setting::HumanDuration;
use crate::task::faults::{Fault, POISON, strike};
use crate::telemetry::metrics::Format;

const SOON: Duration = Duration::from_secs(20);

/// Everything that an instance can run, on a NATS bus whose server is not there.
async fn all_that_runs(users: &tempfile::NamedTempFile) -> App {
    let mut config = Config::default();
    config.http.listen = ([127, 0, 0, 1], 0).into();
    config.http.admin_listen = Some(([127, 0, 0, 1], 0).into());
    config.bus.url = Some("nats://127.0.0.1:1".parse().unwrap());
    config.auth.users_file = Some(users.path().to_str().unwrap().into());
    config.metrics.endpoint = Some("http://127.0.0.1:1".into());
    config.delivery.shards = 1;
    Box::pin(App::bind(config, false)).await.unwrap()
}

#[tokio::test]
async fn an_instance_ends_with_each_task_that_it_needs_and_names_it() {
    let users = tempfile::NamedTempFile::new().unwrap();
    let App { listening, core } = all_that_runs(&users).await;
    let background = CancellationToken::new();
    let mut tasks = core.start_tasks(&background).unwrap();
    for task in listening.start(&core.metrics, &core.audit, &background, &background) {
        tasks.watch(task);
    }
    let names = tasks.essential_names();
    drop((tasks, core));
    assert_eq!(
        names,
        [
            "admin listener",
            "audit",
            "bus connection",
            "bus control to all",
            "bus control to this instance",
            "bus notifications to all",
            "bus notifications to users",
            "bus replies",
            "listener",
            "metrics push",
            "presence",
            "probe",
            "relay of control messages",
            "relay of notifications",
            "revocations",
            "revoked sessions",
            "sessions of gone keys",
            "sessions per user",
            "shed sessions",
            "trace marks",
            "unconfirmed disconnects",
            "users file",
            "withdrawals",
        ]
    );
    for name in names {
        for (fault, how) in [(Fault::Panic, "panicked"), (Fault::Return, "ended")] {
            let run = strike(name, fault, async {
                all_that_runs(&users).await.run(pending()).await
            });
            let ended = tokio::time::timeout(SOON, Box::pin(run)).await;
            let error = ended
                .unwrap_or_else(|_| panic!("`{name}` is not missed"))
                .unwrap_err();
            assert_eq!(error.to_string(), format!("the task `{name}` has {how}"));
            assert!(matches!(error, Error::Failure(_)));
        }
    }
}

#[tokio::test]
async fn a_drain_that_panics_is_a_failure() {
    let app = bind(|_| {}).await.0;
    let run = strike("drain", Fault::Panic, app.run(ready(Stop::Interrupt)));
    let error = Box::pin(run).await.unwrap_err();
    assert_eq!(error.to_string(), "the drain has panicked");
}

/// An instance with the demo's users on an embedded bus.
async fn bind(configure: impl FnOnce(&mut Config)) -> (App, Arc<EmbeddedBus>) {
    let mut config = Config::default();
    config.http.listen = ([127, 0, 0, 1], 0).into();
    config.delivery.shards = 1;
    config.drain.spread = HumanDuration::secs(0);
    // As `--demo` sets it in the program.
    config.api.access = crate::http::access::Access::Open;
    configure(&mut config);
    let instance = Instance::new(&config.instance);
    let limits = crate::bus::Limits {
        body_bytes: config.limits.body_bytes,
        headers: header_limits(&config),
    };
    let bus = EmbeddedBus::new(&config.bus, limits, instance.id);
    let app = Box::pin(App::bind_on(config, true, instance, bus.clone()))
        .await
        .unwrap();
    (app, bus)
}

/// What a test sees of an instance that serves.
struct Serving {
    address: SocketAddr,
    id: crate::instance::InstanceId,
    bus: Arc<EmbeddedBus>,
    registry: Registry,
    presence: Arc<Presence>,
    audit: Audit,
    authenticator: Arc<Authenticator>,
    instance: Instance,
    metrics: Metrics,
    _run: JoinHandle<Result<(), Error>>,
}

impl Serving {
    async fn start(configure: impl FnOnce(&mut Config)) -> Self {
        let (app, bus) = bind(configure).await;
        let core = &app.core;
        Self {
            address: app.address().unwrap(),
            id: core.instance.id,
            bus,
            registry: core.registry.clone(),
            presence: core.presence.clone(),
            audit: core.audit.clone(),
            authenticator: core.authenticator.clone(),
            instance: core.instance.clone(),
            metrics: core.metrics.clone(),
            _run: tokio::spawn(app.run(pending())),
        }
    }

    /// The value of a series of `/metrics`.
    async fn metric(&self, series: &str) -> f64 {
        let observed = health::observe(
            &self.registry,
            &*self.bus,
            &self.presence,
            &self.audit,
            &self.authenticator,
            &self.instance,
        )
        .await;
        let text = self.metrics.render(&observed, Format::Text).unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in {text}"))
            .parse()
            .unwrap()
    }

    async fn until(&self, series: &str, value: f64) {
        let reached = async {
            while (self.metric(series).await - value).abs() > f64::EPSILON {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let reached = tokio::time::timeout(SOON, reached).await;
        reached.unwrap_or_else(|_| panic!("{series} is not {value}"));
    }

    /// A connection that has sent CONNECT.
    async fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let local = stream.local_addr().unwrap();
        let request = format!("ws://{}/ws", self.address).into_client_request().unwrap();
        let (socket, _) = client_async(request, stream).await.unwrap();
        let mut client = Client { socket, local };
        client
            .say("CONNECT\naccept-version:1.2\nhost:h\nlogin:test1\npasscode:test\n\n\0")
            .await;
        client
    }

    async fn session(&self) -> Client {
        let mut client = self.connect().await;
        client.hear("CONNECTED\n").await;
        client
    }
}

struct Client {
    socket: WebSocketStream<TcpStream>,
    local: SocketAddr,
}

impl Client {
    async fn say(&mut self, frame: &str) {
        self.socket.send(Message::text(frame)).await.unwrap();
    }

    async fn next(&mut self) -> Option<Message> {
        let next = tokio::time::timeout(SOON, self.socket.next()).await;
        next.expect("an answer")?.ok()
    }

    /// The next frame, which begins with `start`.
    async fn hear(&mut self, start: &str) -> String {
        loop {
            let message = self.next().await.expect("a frame");
            let text = String::from_utf8(message.into_data().to_vec()).unwrap();
            if text.trim().is_empty() {
                continue;
            }
            assert!(text.starts_with(start), "{text}");
            return text;
        }
    }
}

#[tokio::test]
async fn a_poison_notification_is_dropped_and_the_next_are_delivered() {
    let app = Serving::start(|_| {}).await;
    let mut client = app.session().await;
    client
        .say("SUBSCRIBE\nid:0\ndestination:/topic/a\nreceipt:r\n\n\0")
        .await;
    client.hear("RECEIPT\n").await;
    let target = || Target::Broadcast(Path::parse("/topic/a").unwrap());
    for body in ["one", POISON, "two", POISON, "three"] {
        app.bus
            .publish(&Envelope::new(target(), body.to_owned()))
            .await
            .unwrap();
    }
    for body in ["one", "two", "three"] {
        let message = client.hear("MESSAGE\n").await;
        assert!(message.ends_with(&format!("\n\n{body}\0")), "{message}");
    }
    app.until("herald_poison_messages_total{kind=\"notification\"}", 2.0)
        .await;
}

#[tokio::test]
async fn a_poison_control_message_is_dropped_and_the_next_are_answered() {
    let app = Serving::start(|_| {}).await;
    let poisoned = app
        .bus
        .control_request(app.id, POISON, "".into(), Duration::from_millis(200));
    assert!(poisoned.await.is_err());
    app.bus.control_publish(POISON, "".into()).await.unwrap();
    let asked = app.bus.control_request(app.id, Probe::KIND, "".into(), SOON);
    asked.await.unwrap();
    app.until("herald_poison_messages_total{kind=\"control\"}", 2.0)
        .await;
}

/// Presence, the registry, the user's count, the descriptor and the metrics.
#[tokio::test]
async fn a_session_that_panics_gives_back_all_that_it_has_taken() {
    let app = Serving::start(|config| {
        config.limits.sessions_per_user = 1;
        config.limits.sessions_per_user_policy = crate::setting::SessionsPerUserPolicy::Refuse;
    })
    .await;
    let mut client = app.session().await;
    assert_eq!((app.presence.online(), app.registry.stats().sessions), (1, 1));
    assert!(has_socket(app.address, client.local));
    client
        .say(&format!("SEND\ndestination:/topic/a\n\n{POISON}\0"))
        .await;
    client.hear("ERROR\nmessage:internal error\n").await;
    match client.next().await {
        Some(Message::Close(Some(close))) => assert_eq!(u16::from(close.code), 1011),
        other => panic!("{other:?} instead of a close"),
    }
    assert!(client.next().await.is_none());
    app.until("herald_connections", 0.0).await;
    app.until("herald_session_closes_total{reason=\"internal\"}", 1.0)
        .await;
    app.until("herald_sessions", 0.0).await;
    assert_eq!(app.presence.online(), 0);
    let gone = async {
        while has_socket(app.address, client.local) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, gone)
        .await
        .expect("the descriptor to be closed");
    // Refused while the first one counts.
    app.session().await;
}

/// Whether this process has the server's end of the connection between these two open. `/proc/net/tcp` lists it with the
/// inode of its descriptor, and with 0 once that is closed.
fn has_socket(server: SocketAddr, client: SocketAddr) -> bool {
    let hex = |address: SocketAddr| format!("0100007F:{:04X}", address.port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields[1] == hex(server) && fields[2] == hex(client) && fields[9] != "0"
    })
}
