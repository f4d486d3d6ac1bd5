//! How a new instance learns the newest bodies from another. Knows the control channel and presence, no session.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{BYTES_MAX, Recent, Told};
use crate::bus::Bus;
use crate::control::ask::{NoAnswer, ask};
use crate::control::desk::Desk;
use crate::control::question::{Payload, Question};
use crate::destination::Path;
use crate::presence::Presence;

/// How often a new instance looks for another before it gives up.
const ATTEMPTS: u32 = 100;
/// An instance hears of the others within a digest's interval. It looks often, since looking costs nothing.
const INTERVAL: Duration = Duration::from_millis(50);
const TIMEOUT: Duration = Duration::from_millis(500);

/// Which bodies of this destination have you kept?
pub(crate) struct ListRecent;

impl Question for ListRecent {
    const KIND: &'static str = "recent.list";
    /// The bodies in base64, with room for what stands beside each.
    const MAX_BYTES: usize = 4 * BYTES_MAX;
    type Ask = Destination;
    type Answer = Vec<Told>;
}

/// The path of a broadcast destination as plain text: the one question that is not JSON.
pub(crate) struct Destination(Path);

impl Payload for Destination {
    fn to_payload(&self) -> Bytes {
        self.0.as_str().to_owned().into()
    }

    fn from_payload(payload: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(payload).ok()?;
        Path::parse(text).ok().map(Self)
    }
}

/// Answers [`ListRecent`].
pub(crate) fn register(desk: &mut Desk, recent: &Arc<Recent>) {
    let recent = Arc::clone(recent);
    desk.answer::<ListRecent, _>(move |Destination(path)| std::future::ready(Ok(recent.tell(&path))));
}

/// Asks one other instance for the newest bodies, once, soon after the start. Where there is none, nothing was missed.
pub(crate) async fn learn(bus: Arc<dyn Bus>, presence: Arc<Presence>, recent: Arc<Recent>) {
    let mut missing: Vec<Path> = recent.paths().cloned().collect();
    for _ in 0..ATTEMPTS {
        if missing.is_empty() {
            return;
        }
        tokio::time::sleep(INTERVAL).await;
        let Some(other) = presence.others().into_iter().next() else {
            continue;
        };
        let mut left = Vec::new();
        for path in missing {
            let question = Destination(path);
            let told = ask::<ListRecent>(&*bus, other.id, &question, TIMEOUT).await;
            let Destination(path) = question;
            match told {
                Ok(told) => recent.learn(&path, told),
                Err(NoAnswer::Unreadable(error)) => {
                    tracing::warn!(instance = %other.name, %error, "another instance's newest bodies are unreadable");
                }
                Err(NoAnswer::Bus(_)) => left.push(path),
            }
        }
        missing = left;
    }
}
