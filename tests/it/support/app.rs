//! A whole instance in the test's own process: an embedded bus, port 0, ten users. A test adjusts the configuration
//! where it needs to.

use std::net::SocketAddr;
use std::sync::Arc;

use herald::bus::Limits;
use herald::bus::embedded::{EmbeddedBus, Keeping};
use herald::config::Config;
use herald::drain::Stop;
use herald::envelope::HeaderLimits;
use herald::instance::{Instance, InstanceId};
use herald::permissions::Rule;
use herald::setting::HumanDuration;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::client::{Client, Socket};
use super::faulty_bus::FaultyBus;
use super::process::{self, Answer};
use super::within;

/// Somebody whose password is `test`.
#[derive(Debug, Clone, Copy)]
pub struct User(pub &'static str);

/// A user without further roles.
pub const ANNA: User = User("test1");
/// Another.
pub const BEN: User = User("test2");
/// Another demo user, who may do everything over REST.
pub const ADMIN: User = User("admin");

/// An instance that serves until it is dropped.
pub struct App {
    pub address: SocketAddr,
    /// The instance's identity.
    pub id: InstanceId,
    /// Its bus, which can be made to refuse.
    pub bus: Arc<FaultyBus>,
    /// Where backends answer application requests.
    pub backends: Arc<EmbeddedBus>,
    stop: CancellationToken,
}

impl App {
    /// With the defaults, except that any user may SEND everywhere.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// The same, with a configuration adjusted by `configure`. Without history, so that frames can be told byte by byte.
    pub async fn with(configure: impl FnOnce(&mut Config)) -> Self {
        Self::make(configure, false, true).await
    }

    /// The same, where publishing over REST wants a key or a role.
    pub async fn guarded(configure: impl FnOnce(&mut Config)) -> Self {
        let users = herald::auth::users::demo_users();
        let configure = |config: &mut Config| {
            config.auth.users.extend(users);
            configure(config);
        };
        Self::make(configure, false, false).await
    }

    /// The same, with the history that `[history]` asks for, as in the program.
    pub async fn keeping(configure: impl FnOnce(&mut Config)) -> Self {
        Self::make(configure, true, true).await
    }

    async fn make(configure: impl FnOnce(&mut Config), keeps: bool, demo: bool) -> Self {
        // As `telemetry::start` does in the program; once for all instances of this process.
        static LISTENING: std::sync::Once = std::sync::Once::new();
        LISTENING.call_once(|| {
            let subscriber = tracing_subscriber::registry().with(herald::telemetry::trace::layer());
            subscriber.try_init().expect("the first subscriber");
        });
        let mut config = Config::default();
        config.http.listen = "127.0.0.1:0".parse().unwrap();
        config.drain.spread = HumanDuration::secs(0);
        config.permissions.send = ["/queue/**", "/topic/**", "/user/**"]
            .map(|destination| {
                Rule::new(destination.parse().unwrap()).for_roles(vec!["ROLE_USER".parse().unwrap()])
            })
            .into();
        if super::tls::is_on() {
            config.http.tls = super::tls::tls_config();
        }
        if demo {
            // As `--demo` sets it in the program.
            config.api.access = serde_json::from_str("\"open\"").unwrap();
        }
        configure(&mut config);
        let has_tls = config.http.tls.cert_file.is_some();

        let instance = Instance::new(&config.instance);
        let id = instance.id;
        let limits = Limits {
            body_bytes: config.limits.body_bytes,
            headers: HeaderLimits {
                count: config.limits.headers,
                bytes: config.limits.header_bytes.0,
            },
        };
        let keeping = Keeping::of(&config.history, &config.destinations, config.limits.outbox_bytes);
        let backends = match keeping.filter(|_| keeps) {
            Some(keeping) => EmbeddedBus::with_history(&config.bus, limits, instance.id, keeping),
            None => EmbeddedBus::new(&config.bus, limits, instance.id),
        };
        let bus = FaultyBus::new(backends.clone());
        let app = herald::app::App::bind_on(config, demo, instance, bus.clone())
            .await
            .unwrap();
        let address = app.address().unwrap();
        if has_tls {
            super::tls::spoken_at(address);
        }
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(app.run(async move {
            stopped.cancelled().await;
            Stop::Interrupt
        }));
        Self {
            address,
            id,
            bus,
            backends,
            stop,
        }
    }

    /// Begins to drain.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// A WebSocket without sub-protocol that has said nothing yet.
    pub async fn open(&self) -> Client {
        let (client, head) = Socket::at(self.address).open().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        client
    }

    /// A session of Anna's.
    pub async fn session(&self, version: &str) -> Client {
        self.session_of(ANNA, version).await
    }

    /// A session of `user` in STOMP `version`, without heart-beats; CONNECTED has been read.
    pub async fn session_of(&self, user: User, version: &str) -> Client {
        self.session_with(user, version, "").await
    }

    /// The same with more headers, each with its end of line.
    pub async fn session_with(&self, user: User, version: &str, headers: &str) -> Client {
        let mut client = self.open().await;
        client.say(connect(user, version, headers)).await;
        client.expect("CONNECTED\n…").await;
        client
    }

    /// An administrator's answer to GET `path`.
    pub async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[], b"").await
    }

    /// The answer to an administrator's request.
    pub async fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        use base64::Engine as _;
        let credentials = base64::engine::general_purpose::STANDARD.encode(format!("{}:test", ADMIN.0));
        let credentials = format!("Basic {credentials}");
        let headers = [&[("Authorization", &*credentials)], headers].concat();
        let asked = process::request(self.address, method, path, &headers, body);
        within("an answer", asked).await.unwrap()
    }

    /// `/metrics` in the format that `accept` asks for.
    pub async fn scrape(&self, accept: &str) -> String {
        let answer = self.request("GET", "/metrics", &[("Accept", accept)], b"").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text()
    }

    /// The value of a metric, by its name and labels as in `/metrics`.
    pub async fn metric(&self, series: &str) -> f64 {
        let answer = self.get("/metrics").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let text = answer.text();
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value
            .unwrap_or_else(|| panic!("no {series} in {text}"))
            .parse()
            .unwrap()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A CONNECT of `user` that offers only `version`.
pub fn connect(user: User, version: &str, headers: &str) -> String {
    let accept = match version {
        "1.0" => String::new(),
        version => format!("accept-version:{version}\nhost:herald\n"),
    };
    format!("CONNECT\n{accept}login:{}\npasscode:test\n{headers}\n\0", user.0)
}
