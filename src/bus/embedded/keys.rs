//! The keys of recent publishes, by which a repeat is recognized: bounded by number, and by time. Pure; time is a
//! parameter, and its owner locks it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use crate::bus::{Content, Key, PublishError, Published};
use crate::envelope::Position;
use crate::limit::Limit;

/// What a repeat is known by: its key, and what it has to have in common with the first one.
pub(super) type KnownBy = Option<(Key, Content)>;

/// What is known of a key.
#[derive(Debug, Clone, Copy)]
struct Known {
    position: Position,
    content: Content,
    noted: Instant,
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

    /// What a batch comes to that is stored whole or not at all: `Some` where all of it was stored before, and is answered as
    /// it was then; `None` where it is to be stored, with room for its keys beside `others` that are about to be noted.
    ///
    /// # Errors
    /// [`PublishError::KeyReused`]: a key stands for something else, or a part of the batch alone is known, or two of it have
    /// the same key. [`PublishError::TooMany`]: there is no room.
    pub(super) fn admit(
        &self,
        batch: &[KnownBy],
        others: usize,
        now: Instant,
    ) -> Result<Option<Vec<Published>>, PublishError> {
        let keyed = || batch.iter().flatten();
        let found: Vec<Published> = keyed()
            .filter_map(|(key, content)| self.find(*key, *content, now).transpose())
            .collect::<Result<_, _>>()?;
        if !batch.is_empty() && found.len() == batch.len() {
            return Ok(Some(found));
        }
        let distinct: HashSet<Key> = keyed().map(|(key, _)| *key).collect();
        if !found.is_empty() || distinct.len() < keyed().count() {
            return Err(PublishError::KeyReused);
        }
        match self
            .known
            .len()
            .saturating_add(others)
            .saturating_add(distinct.len())
            <= self.max
        {
            _ if distinct.is_empty() => Ok(None),
            true => Ok(None),
            false => Err(PublishError::TooMany {
                limit: Limit::HistoryKeys,
            }),
        }
    }

    fn find(&self, key: Key, content: Content, now: Instant) -> Result<Option<Published>, PublishError> {
        match self.known.get(&key) {
            Some(known) if self.is_over(known.noted, now) => Ok(None),
            None => Ok(None),
            Some(known) if known.content == content => Ok(Some(Published {
                position: Some(known.position),
                duplicate: true,
            })),
            Some(_) => Err(PublishError::KeyReused),
        }
    }

    /// Notes that `key` stands for what is stored at `position` from now on. There is room.
    pub(super) fn note(&mut self, (key, content): (Key, Content), position: Position, noted: Instant) {
        let known = Known {
            position,
            content,
            noted,
        };
        self.known.insert(key, known);
        self.ages.push_back((noted, key));
    }

    /// Forgets keys whose time is over, at most `most` of them, and says which.
    pub(super) fn forget(&mut self, most: usize, now: Instant) -> Vec<Key> {
        let mut forgotten = Vec::new();
        while forgotten.len() < most
            && let Some((noted, key)) = self.ages.front().copied()
            && self.is_over(noted, now)
        {
            self.ages.pop_front();
            // It may have been noted again since.
            if self.known.get(&key).is_some_and(|known| known.noted == noted) {
                self.known.remove(&key);
                forgotten.push(key);
            }
        }
        if self.ages.is_empty() {
            self.known.shrink_to_fit();
            self.ages.shrink_to_fit();
        }
        forgotten
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.ages.clear();
    }

    fn is_over(&self, noted: Instant, now: Instant) -> bool {
        now.saturating_duration_since(noted) >= self.window
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
        keys.note((key(1), content("a")), at(7), start);
        let last = start + WINDOW - Duration::from_millis(1);
        let first = Published {
            position: Some(at(7)),
            duplicate: true,
        };
        let admit = |number, body, now| keys.admit(&[Some((key(number), content(body)))], 0, now);
        assert_eq!(admit(1, "a", last), Ok(Some(vec![first])));
        assert_eq!(admit(1, "b", last), Err(PublishError::KeyReused));
        assert_eq!(admit(2, "a", last), Ok(None));
        assert_eq!(admit(1, "b", start + WINDOW), Ok(None));
    }

    #[test]
    fn what_is_known_is_bounded_and_never_forgotten_early() {
        let start = Instant::now();
        let mut keys = Keys::new(WINDOW, 3);
        let one = |number| [Some((key(number), content("a")))];
        for number in 0..3 {
            assert_eq!(keys.admit(&one(number), 0, start), Ok(None));
            keys.note((key(number), content("a")), at(1), start);
        }
        let limit = Limit::HistoryKeys;
        assert_eq!(
            keys.admit(&one(3), 0, start),
            Err(PublishError::TooMany { limit })
        );
        assert_eq!(keys.admit(&[None], 0, start), Ok(None));
        assert!(keys.admit(&one(0), 0, start).unwrap().is_some());
        assert!(keys.forget(9, start).is_empty());
        // Forgotten in pieces; what is noted again meanwhile stays.
        let over = start + WINDOW;
        keys.note((key(2), content("a")), at(2), over);
        assert_eq!(keys.forget(1, over), [key(0)]);
        assert_eq!(keys.forget(9, over), [key(1)]);
        assert_eq!(keys.admit(&one(7), 1, over), Ok(None));
        assert_eq!(keys.admit(&one(7), 2, over), Err(PublishError::TooMany { limit }));
        assert!(keys.admit(&one(2), 0, over).unwrap().is_some());
    }
}
