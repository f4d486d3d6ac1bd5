//! The keys of what was published lately, by which a repeat is known: bounded by number, and by time. Pure; time is a
//! parameter, and its owner locks it.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::bus::{Content, Key, PublishError, Published};
use crate::envelope::Position;
use crate::limit::Limit;

/// What is known of a key.
#[derive(Debug, Clone, Copy)]
struct Known {
    position: Position,
    content: Content,
}

/// The keys within the window. One takes about 150 bytes.
pub(super) struct Keys {
    window: Duration,
    max: usize,
    known: HashMap<Key, Known>,
    /// The same, oldest first.
    ages: VecDeque<(Instant, Key)>,
}

impl Keys {
    /// Keys are known for `window`; more than `max` within it are refused, since to forget one is to break its promise.
    pub(super) fn new(window: Duration, max: usize) -> Self {
        Self {
            window,
            max,
            known: HashMap::new(),
            ages: VecDeque::new(),
        }
    }

    /// What was published with `key`, if anything was.
    ///
    /// # Errors
    /// [`PublishError::KeyReused`]: it was something else.
    pub(super) fn find(
        &mut self,
        key: Key,
        content: Content,
        now: Instant,
    ) -> Result<Option<Published>, PublishError> {
        self.forget(now);
        match self.known.get(&key) {
            None => Ok(None),
            Some(known) if known.content == content => Ok(Some(Published {
                position: Some(known.position),
                duplicate: true,
            })),
            Some(_) => Err(PublishError::KeyReused),
        }
    }

    /// Whether there is room for so many more.
    ///
    /// # Errors
    /// [`PublishError::TooMany`].
    pub(super) fn room(&self, more: usize) -> Result<(), PublishError> {
        match self.known.len().saturating_add(more) <= self.max {
            true => Ok(()),
            false => Err(PublishError::TooMany {
                limit: Limit::HistoryKeys,
            }),
        }
    }

    /// Notes that `key` stands for what is stored at `position` from now on. There is room.
    pub(super) fn note(&mut self, key: Key, content: Content, position: Position, now: Instant) {
        if self.known.insert(key, Known { position, content }).is_none() {
            self.ages.push_back((now, key));
        }
    }

    fn forget(&mut self, now: Instant) {
        while let Some((noted, key)) = self.ages.front()
            && now.saturating_duration_since(*noted) >= self.window
        {
            self.known.remove(key);
            self.ages.pop_front();
        }
        if self.ages.is_empty() {
            self.known.shrink_to_fit();
            self.ages.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::{Path, Target};
    use crate::envelope::{Envelope, MessageId};

    const WINDOW: Duration = Duration::from_secs(120);

    fn key(number: usize) -> Key {
        Key::of([&number.to_le_bytes()[..]])
    }

    fn content(body: &'static str) -> Content {
        let mut envelope = Envelope::new(Target::Broadcast(Path::parse("/queue/x").unwrap()), body);
        envelope.id = MessageId::parse("id").unwrap();
        Content::of(&envelope)
    }

    fn at(sequence: u64) -> Position {
        Position { epoch: 1, sequence }
    }

    #[test]
    fn a_repeat_is_known_within_the_window_and_no_longer() {
        let start = Instant::now();
        let mut keys = Keys::new(WINDOW, 9);
        keys.note(key(1), content("a"), at(7), start);
        let last = start + WINDOW - Duration::from_millis(1);
        let first = Published {
            position: Some(at(7)),
            duplicate: true,
        };
        assert_eq!(keys.find(key(1), content("a"), last), Ok(Some(first)));
        assert_eq!(
            keys.find(key(1), content("b"), last),
            Err(PublishError::KeyReused)
        );
        assert_eq!(keys.find(key(2), content("a"), last), Ok(None));
        assert_eq!(keys.find(key(1), content("b"), start + WINDOW), Ok(None));
    }

    #[test]
    fn what_is_known_is_bounded_and_never_forgotten_early() {
        let start = Instant::now();
        let mut keys = Keys::new(WINDOW, 3);
        for number in 0..3 {
            keys.room(1).unwrap();
            keys.note(key(number), content("a"), at(1), start);
        }
        let limit = Limit::HistoryKeys;
        assert_eq!(keys.room(1), Err(PublishError::TooMany { limit }));
        assert!(keys.find(key(0), content("a"), start).unwrap().is_some());
        // A repeat of what was noted takes no room of its own.
        keys.note(key(0), content("a"), at(1), start);
        assert_eq!(keys.ages.len(), 3);
        keys.find(key(0), content("a"), start + WINDOW).unwrap();
        assert_eq!(keys.room(3), Ok(()));
        assert_eq!(keys.room(4), Err(PublishError::TooMany { limit }));
    }
}
