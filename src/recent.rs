//! The newest bodies of a few broadcast destinations, in this instance's memory: the answer of the `recent` route
//! where the bus keeps no history. Filled by `relay`; [`share`] lets a new instance learn from another. Knows no session.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::value::RawValue;

use crate::destination::{Path, Target};
use crate::envelope::Envelope;

pub(crate) mod share;

/// The most bytes of bodies kept for one destination.
pub(crate) const BYTES_MAX: usize = 512 << 10;

/// One body and when Herald accepted it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    id: Box<str>,
    timestamp_ms: u64,
    body: Bytes,
}

struct Ring {
    path: Path,
    count: usize,
    bodies: Mutex<VecDeque<Kept>>,
}

/// The rings, one per destination that a route asks for.
pub(crate) struct Recent(Vec<Ring>);

/// One body as an instance tells it to another that has just started.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Told {
    id: Box<str>,
    timestamp_ms: u64,
    /// Base64, since a body need not be text.
    body: String,
}

impl Recent {
    /// Keeps `count` bodies for each of these destinations.
    pub(crate) fn new(wanted: impl IntoIterator<Item = (Path, usize)>) -> Self {
        let mut rings: Vec<Ring> = Vec::new();
        for (path, count) in wanted {
            match rings.iter_mut().find(|ring| ring.path == path) {
                Some(ring) => ring.count = ring.count.max(count),
                None => rings.push(Ring {
                    path,
                    count,
                    bodies: Mutex::default(),
                }),
            }
        }
        Self(rings)
    }

    /// The destinations whose bodies are kept.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|ring| &ring.path)
    }

    /// Stores a notification if its destination is one of those kept.
    pub(crate) fn record(&self, envelope: &Envelope) {
        let Target::Broadcast(path) = &envelope.target else {
            return;
        };
        let Some(ring) = self.ring(path) else { return };
        let kept = Kept {
            id: envelope.id.as_str().into(),
            timestamp_ms: envelope.timestamp_ms,
            // A copy: the body may be a slice of a much larger read buffer.
            body: Bytes::copy_from_slice(&envelope.body),
        };
        let mut bodies = ring.bodies.lock();
        bodies.push_back(kept);
        trim(&mut bodies, ring.count);
    }

    /// The newest `count` bodies, oldest first, as a JSON array. A body that is valid JSON stands as it is, any other
    /// as a string.
    pub(crate) fn as_json_array(&self, path: &Path, count: usize) -> Bytes {
        let bodies: Vec<Bytes> = self.ring(path).map_or_else(Vec::new, |ring| {
            let bodies = ring.bodies.lock();
            bodies
                .iter()
                .skip(bodies.len().saturating_sub(count))
                .map(|kept| kept.body.clone())
                .collect()
        });
        let mut out = String::from("[");
        for (index, body) in bodies.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            let text = String::from_utf8_lossy(body);
            match serde_json::from_str::<&RawValue>(&text) {
                Ok(json) => out.push_str(json.get()),
                Err(_) => out.push_str(&serde_json::Value::from(text.as_ref()).to_string()),
            }
        }
        out.push(']');
        out.into()
    }

    /// What is kept for `path`, oldest first, for another instance.
    pub(crate) fn tell(&self, path: &Path) -> Vec<Told> {
        self.ring(path).map_or_else(Vec::new, |ring| {
            let told = |kept: &Kept| Told {
                id: kept.id.clone(),
                timestamp_ms: kept.timestamp_ms,
                body: STANDARD.encode(&kept.body),
            };
            ring.bodies.lock().iter().map(told).collect()
        })
    }

    /// Merges what another instance kept for `path`: only bodies that are older than what arrived here since, and not
    /// here yet. A body that is not base64 is skipped.
    pub(crate) fn learn(&self, path: &Path, told: Vec<Told>) {
        let Some(ring) = self.ring(path) else {
            return;
        };
        let mut bodies = ring.bodies.lock();
        for told in told {
            let Ok(body) = STANDARD.decode(&told.body) else {
                continue;
            };
            if !bodies.iter().any(|kept| kept.id == told.id) {
                bodies.push_back(Kept {
                    id: told.id,
                    timestamp_ms: told.timestamp_ms,
                    body: body.into(),
                });
            }
        }
        bodies.make_contiguous().sort_by_key(|kept| kept.timestamp_ms);
        trim(&mut bodies, ring.count);
    }

    fn ring(&self, path: &Path) -> Option<&Ring> {
        self.0.iter().find(|ring| ring.path == *path)
    }
}

fn trim(bodies: &mut VecDeque<Kept>, count: usize) {
    let mut bytes: usize = bodies.iter().map(|kept| kept.body.len()).sum();
    while bodies.len() > count || (bytes > BYTES_MAX && bodies.len() > 1) {
        bytes -= bodies.pop_front().map_or(0, |kept| kept.body.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(body: &str, timestamp_ms: u64) -> Envelope {
        let mut envelope = Envelope::new(
            Target::Broadcast(Path::parse("/queue/m").unwrap()),
            body.to_owned(),
        );
        envelope.timestamp_ms = timestamp_ms;
        envelope
    }

    #[test]
    fn the_newest_bodies_come_oldest_first_as_json_or_text() {
        let path = Path::parse("/queue/m").unwrap();
        let recent = Recent::new([(path.clone(), 3)]);
        for (n, body) in ["gone", "{\"a\": 1}", "plain \"text\"", "[]"].iter().enumerate() {
            recent.record(&envelope(body, n as u64));
        }
        assert_eq!(
            recent.as_json_array(&path, 10),
            "[{\"a\": 1},\"plain \\\"text\\\"\",[]]"
        );
        assert_eq!(recent.as_json_array(&path, 1), "[[]]");
    }

    #[test]
    fn a_new_instance_learns_what_it_missed() {
        let path = Path::parse("/queue/m").unwrap();
        let (old, new) = (Recent::new([(path.clone(), 3)]), Recent::new([(path.clone(), 3)]));
        let (one, two) = (envelope("1", 1), envelope("2", 2));
        old.record(&one);
        old.record(&two);
        new.record(&two);
        new.record(&envelope("3", 3));
        new.learn(&path, old.tell(&path));
        new.learn(&path, old.tell(&path));
        assert_eq!(new.as_json_array(&path, 10), "[1,2,3]");
    }
}
