//! Who is online, in the whole cluster, over the bus's control channel (DESIGN decision 8). Knows the bus and the
//! registry by their handles, no session and no NATS.

use serde::{Deserialize, Serialize};

use crate::config::units::{ByteSize, HumanDuration};
use crate::destination::Path;

/// `[presence]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Changes are gathered this long before they are published.
    pub batch: HumanDuration,
    /// How often an instance says what it holds.
    pub digest_interval: HumanDuration,
    /// Silence after which an instance counts as gone.
    pub instance_timeout: HumanDuration,
    /// Where the list of online users goes when it changes; none: nowhere.
    pub list_destination: Option<Path>,
    /// The shortest time between two lists.
    pub list_interval: HumanDuration,
    /// Bound on list size × subscribers, a second.
    pub list_bytes_per_second: ByteSize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            batch: HumanDuration::millis(100),
            digest_interval: HumanDuration::secs(1),
            instance_timeout: HumanDuration::secs(5),
            list_destination: Path::parse("/queue/users").ok(),
            list_interval: HumanDuration::secs(1),
            list_bytes_per_second: ByteSize::mib(8),
        }
    }
}

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::bus::{Bus, ControlMessage};
use crate::delivery::registry::Registry;
use crate::instance::{Instance, InstanceId};
use crate::principal::UserName;

/// The view of who is online. Shared as `Arc<Presence>`.
pub struct Presence {}

/// One live instance of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceView {
    /// Its identity.
    pub id: InstanceId,
    /// Its name.
    pub name: Arc<str>,
    /// Users online there.
    pub users: usize,
}

impl Presence {
    /// The view of an instance that has just started: itself, nobody online.
    pub fn new(_instance: Instance, _bus: Arc<dyn Bus>, _registry: Registry, _config: Config) -> Self {
        Self {}
    }

    /// A session of `user` logged in on this instance. Only a user's first session is news.
    pub fn opened(&self, _user: &UserName) {}

    /// A session of `user` ended on this instance. Only a user's last session is news.
    pub fn closed(&self, _user: &UserName) {}

    /// The users online in the whole cluster, sorted, each once.
    pub fn users(&self) -> Vec<UserName> {
        Vec::new()
    }

    /// Whether `user` has a session anywhere.
    pub fn is_online(&self, _user: &UserName) -> bool {
        false
    }

    /// The live instances, this one included, sorted by id.
    pub fn instances(&self) -> Vec<InstanceView> {
        Vec::new()
    }

    /// Changes whenever the set of online users changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }

    /// Takes what another instance says or asks; kinds `presence.…` only.
    pub async fn handle(&self, _message: ControlMessage) {}

    /// Publishes changes and digests, watches the others and the bus, and writes the list to its subscribers; until
    /// `shutdown`, when it says goodbye, so that this instance's users are gone at once.
    pub async fn run(self: Arc<Self>, _shutdown: CancellationToken) {}
}
