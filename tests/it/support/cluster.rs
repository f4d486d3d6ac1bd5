//! A cluster: one `nats-server` and several instances of the built program, each a process of its own.

use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::nats::NatsServer;
use super::process::{Answer, Herald, Launch};

/// The bearer of a key with every scope.
pub const ADMIN: (&str, &str) = ("Authorization", "Bearer the-clusters-own-key");
/// SHA-256 of the key.
const ADMIN_SHA256: &str = "33c2b8f5de9286c9821c34918aa98a5396d034073c1822c53fb0d813de9ecbe7";
/// How often something without an event is polled.
const LOOK: Duration = Duration::from_millis(20);

/// The server and the instances; dropping it kills all.
pub struct Cluster {
    pub nats: NatsServer,
    pub instances: Vec<Herald>,
    settings: Vec<(String, String)>,
    folder: TempDir,
}

impl Cluster {
    /// `count` instances named `i0`, `i1`, …: ready and known to each other.
    pub async fn start(count: usize) -> Self {
        Self::start_with(count, &[]).await
    }

    /// The same with these variables.
    pub async fn start_with(count: usize, settings: &[(&str, &str)]) -> Self {
        Self::start_on(NatsServer::start(), count, settings).await
    }

    /// The same on this server.
    pub async fn start_over(nats: NatsServer, count: usize) -> Self {
        Self::start_on(nats, count, &[]).await
    }

    /// The same with history, on a server with JetStream and the permissions of docs/nats.md.
    pub async fn start_keeping(count: usize, settings: &[(&str, &str)]) -> Self {
        let keeping = [
            ("HERALD_HISTORY__ENABLED", "true"),
            ("HERALD_BUS__USER", "herald"),
            ("HERALD_BUS__PASSWORD", "h"),
        ];
        Self::start_on(
            NatsServer::start_documented(),
            count,
            &[&keeping, settings].concat(),
        )
        .await
    }

    async fn start_on(nats: NatsServer, count: usize, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("herald.toml"), admin_key()).expect("the configuration");
        let settings = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let mut cluster = Self {
            nats,
            instances: Vec::new(),
            settings,
            folder,
        };
        let names: Vec<String> = (0..count).map(|number| format!("i{number}")).collect();
        let launch = cluster.launch();
        let starts = names.iter().map(|name| Herald::start(name, &launch));
        cluster.instances = futures_util::future::join_all(starts).await;
        cluster.until_known(count).await;
        cluster
    }

    /// How an instance of this cluster is started.
    pub fn launch(&self) -> Launch {
        let config = self.folder.path().join("herald.toml");
        let mut launch = Launch::demo()
            .argument("--config")
            .argument(&config.to_string_lossy())
            .set("HERALD_BUS__URL", &self.nats.url());
        for (name, value) in &self.settings {
            launch = launch.set(name, value);
        }
        launch
    }

    /// Adds an instance.
    pub async fn add(&mut self, name: &str) -> &Herald {
        let launch = self.launch();
        self.instances.push(Herald::start(name, &launch).await);
        self.instances.last().expect("the one just started")
    }

    /// Waits until every instance sees `count` instances.
    pub async fn until_known(&self, count: usize) {
        for herald in &self.instances {
            let known = format!("\nherald_instances {count}\n");
            until("the instances know each other", async || {
                let metrics = admin(herald, "GET", "/metrics").await;
                metrics.text().contains(&known)
            })
            .await;
        }
    }
}

/// The configuration of the key of [`ADMIN`].
pub fn admin_key() -> String {
    format!("[[api.keys]]\nname = \"ops\"\nsha256 = \"{ADMIN_SHA256}\"\nscopes = [\"admin\"]\n")
}

/// A request with every right.
pub async fn admin(herald: &Herald, method: &str, path: &str) -> Answer {
    herald.request(method, path, &[ADMIN], b"").await
}

/// The users online, as `herald` sees them.
pub async fn online(herald: &Herald) -> Vec<String> {
    let answer = admin(herald, "GET", "/api/v1/users").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let users = answer.json()["users"].clone();
    serde_json::from_value(users).expect("names")
}

/// Waits until `herald` sees exactly these users online. Returns how long that took.
pub async fn until_online(herald: &Herald, users: &[&str]) -> Duration {
    let begun = Instant::now();
    until("these users online", async || online(herald).await == users).await;
    begun.elapsed()
}

/// Asks repeatedly until the answer is yes.
#[track_caller]
pub fn until(what: &'static str, mut is_so: impl AsyncFnMut() -> bool) -> impl Future<Output = ()> {
    super::within(what, async move {
        while !is_so().await {
            tokio::time::sleep(LOOK).await;
        }
    })
}
