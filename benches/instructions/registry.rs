//! A registry and its sessions without a socket: what is delivered is counted and discarded. For the guards that
//! count what a delivery costs (this benchmark, and `tests/allocations.rs`).

use std::error::Error;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use herald::delivery::Config;
use herald::delivery::command::{Join, Subscription};
use herald::delivery::outbox::{TryWrite, Written};
use herald::delivery::registry::{Registry, Settings};
use herald::delivery::wire::AckMode;
use herald::destination::{Path, Target};
use herald::envelope::{Envelope, Kept, Position};
use herald::principal::{Principal, UserName};
use herald::stomp::Version;

/// A socket that accepts everything.
struct Taking;

impl TryWrite for Taking {
    fn try_write(&self, chunks: &[IoSlice<'_>]) -> io::Result<Written> {
        Ok(Written::taken(chunks.iter().map(|chunk| chunk.len()).sum()))
    }
}

/// A registry with one shard and no session; whether the bus keeps everything that it is handed, with a position.
///
/// # Errors
/// No thread could be started for the shard.
pub fn empty(is_kept: bool) -> Result<Registry, Box<dyn Error>> {
    let kept = match is_kept {
        true => Kept::new(&[Path::parse("/queue")?], true),
        false => Kept::default(),
    };
    let settings = Settings {
        outbox_bytes: 1 << 20,
        outbox_total_bytes: 1 << 20,
        delivery_bytes: 1 << 20,
        hidden_tab_grace: Duration::from_secs(300),
        remind: Duration::from_secs(60),
        user_prefix: Path::parse("/user")?,
        kept,
    };
    Ok(Registry::start(&Config::default(), settings, Arc::new(()))?)
}

/// Logs in a session of `user` that is subscribed to `target`. It has joined when `registry.stats()` counts it.
pub async fn subscribe(registry: &Registry, user: UserName, target: &Target) {
    let session = registry.session();
    let join = Join {
        outbox: registry.outbox(Arc::new(Taking)),
        session: "session".into(),
        principal: Principal::new(user, ["ROLE_USER"]),
        version: Version::V1_2,
        send_every_ms: 0,
        receive_every_ms: 0,
        address: [127, 0, 0, 1].into(),
        since_ms: 0,
        connected: Bytes::from_static(b"CONNECTED"),
    };
    let subscription = Subscription {
        number: 0,
        id: Some("0".into()),
        target: target.clone(),
        ack: AckMode::Auto,
        prefetch: 1,
    };
    session.join(Box::new(join)).await;
    session.subscribe(Box::new(subscription), None).await;
}

/// A notification of 128 bytes to `target`, stored at `sequence` if it is kept.
#[must_use]
pub fn notification(target: &Target, sequence: Option<u64>) -> Envelope {
    let mut envelope = Envelope::new(target.clone(), vec![b'x'; 128]);
    envelope.position = sequence.map(|sequence| Position {
        epoch: 1_764_344_293_261_000,
        sequence,
    });
    envelope
}
