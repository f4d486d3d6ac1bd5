//! The newest bodies of a few broadcast destinations, in this instance's memory: the answer of the `recent` route if
//! the bus keeps no history. Filled by `relay`; [`share`] lets a new instance learn from another. Knows no session.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

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
/// A larger body is kept alone, and is not told to other instances: it would not fit into a message between them.
const TOLD_MAX: usize = 1 << 20;

/// One body and when Herald accepted it.
#[derive(Debug, Clone)]
struct Kept {
    id: Box<str>,
    timestamp_ms: u64,
    body: Bytes,
    /// The body as JSON, made when the first answer needs it, outside of the ring's lock.
    json: Arc<OnceLock<Bytes>>,
}

impl Kept {
    fn new(id: Box<str>, timestamp_ms: u64, body: Bytes) -> Self {
        let json = Arc::default();
        Self {
            id,
            timestamp_ms,
            body,
            json,
        }
    }

    /// A body that is valid JSON as it is, any other as a string.
    fn json(&self) -> &Bytes {
        self.json.get_or_init(|| {
            #[cfg(test)]
            tests::rendered();
            match serde_json::from_slice::<&RawValue>(&self.body) {
                Ok(json) => self.body.slice_ref(json.get().as_bytes()),
                Err(_) => {
                    let text = String::from_utf8_lossy(&self.body);
                    serde_json::Value::from(text).to_string().into()
                }
            }
        })
    }
}

struct Ring {
    path: Path,
    count: usize,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    bodies: VecDeque<Kept>,
    /// The answers of this instant, by their count: one for each route that has asked, and none once `bodies` changed.
    answers: Vec<(usize, Bytes)>,
    /// How often `bodies` changed: an answer that was made meanwhile is not kept.
    changes: u64,
}

impl Held {
    /// The bodies, to be changed.
    fn bodies_mut(&mut self) -> &mut VecDeque<Kept> {
        self.answers.clear();
        self.changes += 1;
        &mut self.bodies
    }
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
                    held: Mutex::default(),
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
        // A copy: the body may be a slice of a much larger read buffer.
        let body = Bytes::copy_from_slice(&envelope.body);
        let kept = Kept::new(envelope.id.as_str().into(), envelope.timestamp_ms, body);
        let mut held = ring.held.lock();
        let bodies = held.bodies_mut();
        bodies.push_back(kept);
        trim(bodies, ring.count);
    }

    /// The newest `count` bodies, oldest first, as a JSON array. A body that is valid JSON stands as it is, any other
    /// as a string. The answer is kept until the next body comes, and each body's JSON as long as the body, so that
    /// asking costs next to nothing.
    pub(crate) fn as_json_array(&self, path: &Path, count: usize) -> Bytes {
        let Some(ring) = self.ring(path) else {
            return Bytes::from_static(b"[]");
        };
        let (kept, changes): (Vec<Kept>, u64) = {
            let held = ring.held.lock();
            if let Some((_, answer)) = held.answers.iter().find(|(of, _)| *of == count) {
                return answer.clone();
            }
            let skipped = held.bodies.len().saturating_sub(count);
            (held.bodies.iter().skip(skipped).cloned().collect(), held.changes)
        };
        let bytes: usize = kept.iter().map(|kept| kept.json().len() + 1).sum();
        let mut answer = Vec::with_capacity(bytes + 2);
        answer.push(b'[');
        for (index, kept) in kept.iter().enumerate() {
            if index > 0 {
                answer.push(b',');
            }
            answer.extend_from_slice(kept.json());
        }
        answer.push(b']');
        let answer = Bytes::from(answer);
        let held = &mut *ring.held.lock();
        // Unless another body has come, or another session has answered meanwhile.
        if held.changes == changes && held.answers.iter().all(|(of, _)| *of != count) {
            held.answers.push((count, answer.clone()));
        }
        answer
    }

    /// What is kept for `path`, oldest first, for another instance.
    pub(crate) fn tell(&self, path: &Path) -> Vec<Told> {
        self.ring(path).map_or_else(Vec::new, |ring| {
            let told = |kept: &Kept| Told {
                id: kept.id.clone(),
                timestamp_ms: kept.timestamp_ms,
                body: STANDARD.encode(&kept.body),
            };
            let held = ring.held.lock();
            held.bodies
                .iter()
                .filter(|kept| kept.body.len() <= TOLD_MAX)
                .map(told)
                .collect()
        })
    }

    /// Merges what another instance kept for `path`: only bodies that are older than what arrived here since, and not
    /// here yet. A body that is not base64 is skipped.
    pub(crate) fn learn(&self, path: &Path, told: Vec<Told>) {
        let Some(ring) = self.ring(path) else {
            return;
        };
        let mut held = ring.held.lock();
        let bodies = held.bodies_mut();
        for told in told {
            let Ok(body) = STANDARD.decode(&told.body) else {
                continue;
            };
            if !bodies.iter().any(|kept| kept.id == told.id) {
                bodies.push_back(Kept::new(told.id, told.timestamp_ms, body.into()));
            }
        }
        bodies.make_contiguous().sort_by_key(|kept| kept.timestamp_ms);
        trim(bodies, ring.count);
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
    use std::cell::{Cell, RefCell};

    use super::*;

    thread_local! {
        /// How many bodies were made JSON.
        static RENDERED: Cell<usize> = const { Cell::new(0) };
        /// What happens while the next one is.
        static MEANWHILE: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
    }

    /// Called whenever a body is made JSON.
    pub(super) fn rendered() {
        RENDERED.set(RENDERED.get() + 1);
        if let Some(meanwhile) = MEANWHILE.take() {
            meanwhile();
        }
    }

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
    fn an_answer_is_kept_until_a_body_comes_and_each_body_is_rendered_once() {
        let path = Path::parse("/queue/m").unwrap();
        let recent = Recent::new([(path.clone(), 3)]);
        let ask = |count| recent.as_json_array(&path, count);
        assert_eq!(ask(3), "[]");
        recent.record(&envelope("1", 1));
        recent.record(&envelope("a", 2));
        let first = ask(3);
        assert_eq!(first, "[1,\"a\"]");
        assert_eq!(ask(3).as_ptr(), first.as_ptr(), "the same bytes");
        assert_eq!(ask(1), "[\"a\"]");
        recent.record(&envelope("3", 3));
        assert_eq!((ask(3), ask(1)), ("[1,\"a\",3]".into(), "[3]".into()));
        recent.record(&envelope("4", 4));
        assert_eq!(ask(3), "[\"a\",3,4]");
        assert_eq!(RENDERED.get(), 4);
        let other = Recent::new([(path.clone(), 3)]);
        other.record(&envelope("0", 0));
        recent.learn(&path, other.tell(&path));
        assert_eq!(ask(3), "[\"a\",3,4]");
    }

    #[test]
    fn an_answer_from_before_a_change_is_not_kept() {
        let path = Path::parse("/queue/m").unwrap();
        let recent = Arc::new(Recent::new([(path.clone(), 5)]));
        recent.record(&envelope("2", 2));
        let learner = Recent::new([(path.clone(), 5)]);
        learner.record(&envelope("1", 1));
        let told = learner.tell(&path);
        let (learning, of) = (recent.clone(), path.clone());
        MEANWHILE.set(Some(Box::new(move || learning.learn(&of, told))));
        assert_eq!(recent.as_json_array(&path, 5), "[2]");
        assert_eq!(recent.as_json_array(&path, 5), "[1,2]");
    }

    #[test]
    fn what_is_told_fits_into_a_message() {
        let path = Path::parse("/queue/m").unwrap();
        let recent = Recent::new([(path.clone(), 3)]);
        recent.record(&envelope(&"x".repeat(TOLD_MAX + 1), 1));
        assert_eq!(recent.as_json_array(&path, 3).len(), TOLD_MAX + 5);
        assert!(recent.tell(&path).is_empty());
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
