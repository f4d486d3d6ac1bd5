//! The MESSAGEs of a subscription with ack mode `client` or `client-individual` that are sent and not acknowledged, and those
//! that wait because of its limit (SUBSCRIBE's `prefetch`, STOMP rules S7, A1, A3). Pure; knows no socket and no clock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::outbox::Outgoing;
use super::trail::MessageTrail;
use super::wire::AckMode;
use crate::envelope::MessageId;

/// A MESSAGE that was sent and is not acknowledged.
#[derive(Debug)]
struct Unacknowledged {
    id: MessageId,
    sent_at: Instant,
    trail: Option<Arc<dyn MessageTrail>>,
}

/// A MESSAGE behind the window.
#[derive(Debug)]
pub(super) struct Held {
    /// Its id.
    pub id: MessageId,
    /// Its bytes.
    pub frame: Outgoing,
}

/// The window of one subscription.
#[derive(Debug)]
pub(super) struct Window {
    prefetch: usize,
    cumulative: bool,
    unacknowledged: VecDeque<Unacknowledged>,
    held: VecDeque<Held>,
}

impl Window {
    /// An empty window for at most `prefetch` (at least 1) unacknowledged MESSAGEs. `None` for ack mode `auto`.
    pub(super) fn new(ack: AckMode, prefetch: usize) -> Option<Self> {
        let cumulative = match ack {
            AckMode::Auto => return None,
            AckMode::Client => true,
            AckMode::ClientIndividual => false,
        };
        let prefetch = prefetch.max(1);
        Some(Self {
            prefetch,
            cumulative,
            unacknowledged: VecDeque::new(),
            held: VecDeque::new(),
        })
    }

    /// How many MESSAGEs may be sent at the moment: 0 while earlier ones wait.
    pub(super) fn room(&self) -> usize {
        match self.held.is_empty() {
            true => self.prefetch.saturating_sub(self.unacknowledged.len()),
            false => 0,
        }
    }

    /// Records that one MESSAGE was sent, with its `trail` if it is recorded.
    pub(super) fn sent(&mut self, id: MessageId, sent_at: Instant, trail: Option<Arc<dyn MessageTrail>>) {
        self.unacknowledged
            .push_back(Unacknowledged { id, sent_at, trail });
    }

    /// Holds one MESSAGE. It replaces an earlier one with the same collapse key, whose bytes are returned.
    pub(super) fn hold(&mut self, held: Held) -> Option<usize> {
        let key = held.frame.collapse.clone();
        let index = key.and_then(|key| {
            self.held
                .iter()
                .position(|other| other.frame.collapse.as_ref() == Some(&key))
        });
        let replaced = index.and_then(|index| self.held.remove(index));
        self.held.push_back(held);
        replaced.map(|replaced| replaced.frame.len())
    }

    /// The next MESSAGE that the window admits.
    pub(super) fn release(&mut self) -> Option<Held> {
        match self.unacknowledged.len() < self.prefetch {
            true => self.held.pop_front(),
            false => None,
        }
    }

    /// An ACK or NACK of `id`: of all up to it in mode `client`, of it alone otherwise (STOMP rule S7). Calls
    /// `handled` with the time and the trail of each. Returns how many there were: 0 if the id is unknown, or known
    /// no longer.
    pub(super) fn acknowledge(
        &mut self,
        id: &MessageId,
        now: Instant,
        mut handled: impl FnMut(Duration, Option<&dyn MessageTrail>),
    ) -> usize {
        let Some(index) = self.unacknowledged.iter().position(|sent| sent.id == *id) else {
            return 0;
        };
        let from = if self.cumulative { 0 } else { index };
        let mut count = 0;
        for sent in self.unacknowledged.drain(from..=index) {
            handled(now.saturating_duration_since(sent.sent_at), sent.trail.as_deref());
            count += 1;
        }
        count
    }

    /// MESSAGEs that were sent and never acknowledged.
    pub(super) fn unacknowledged(&self) -> usize {
        self.unacknowledged.len()
    }

    /// Tells the trails that nobody will acknowledge their MESSAGEs.
    pub(super) fn end(&self) {
        for trail in self.unacknowledged.iter().filter_map(|sent| sent.trail.as_ref()) {
            trail.unacknowledged();
        }
    }

    /// The bytes that wait, and the number of their MESSAGEs.
    pub(super) fn held(&self) -> (usize, usize) {
        (
            self.held.iter().map(|held| held.frame.len()).sum(),
            self.held.len(),
        )
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn id(text: &str) -> MessageId {
        MessageId::parse(text).unwrap()
    }

    fn window(ack: AckMode, ids: &[&str]) -> Window {
        let mut window = Window::new(ack, 3).unwrap();
        ids.iter()
            .for_each(|text| window.sent(id(text), Instant::now(), None));
        window
    }

    fn check(ack: AckMode, acknowledged: &str, expected: usize, left: usize) {
        let mut window = window(ack, &["a", "b", "c"]);
        let mut handled = 0;
        assert_eq!(
            window.acknowledge(&id(acknowledged), Instant::now(), |_, _| handled += 1),
            expected
        );
        assert_eq!(
            (handled, window.unacknowledged()),
            (expected, left),
            "{acknowledged}"
        );
    }

    #[test]
    fn an_acknowledgement_covers_what_its_mode_says() {
        check(AckMode::Client, "b", 2, 1);
        check(AckMode::ClientIndividual, "b", 1, 2);
        check(AckMode::Client, "unknown", 0, 3);
        assert!(Window::new(AckMode::Auto, 3).is_none());
    }

    #[test]
    fn what_is_behind_the_window_comes_in_order_as_room_is_made() {
        let mut window = window(AckMode::ClientIndividual, &["a", "b"]);
        assert_eq!(window.room(), 1);
        window.sent(id("c"), Instant::now(), None);
        for text in ["d", "e"] {
            window.hold(Held {
                id: id(text),
                frame: Outgoing::plain(Bytes::from_static(b"12")),
            });
        }
        assert!(window.release().is_none());
        assert_eq!(window.held(), (4, 2));
        window.acknowledge(&id("b"), Instant::now(), |_, _| {});
        assert_eq!(window.room(), 0, "held ones come first");
        assert_eq!(window.release().unwrap().id, id("d"));
    }

    #[test]
    fn a_newer_message_takes_the_place_of_a_held_one_with_its_key() {
        let mut window = window(AckMode::Client, &["a", "b", "c"]);
        let frame = |bytes: &'static [u8]| Outgoing {
            collapse: crate::envelope::CollapseKey::of_backend("k"),
            ..Outgoing::plain(Bytes::from_static(bytes))
        };
        assert_eq!(
            window.hold(Held {
                id: id("d"),
                frame: frame(b"old")
            }),
            None
        );
        assert_eq!(
            window.hold(Held {
                id: id("e"),
                frame: frame(b"newer")
            }),
            Some(3)
        );
        assert_eq!(window.held(), (5, 1));
    }
}
