//! Faulty versions of single steps, which the model (`session/recovery/tests/model`) must detect.

use std::hash::Hasher;

use super::*;

impl<K: Hash + Ord, T: Hash + Ord, M: Hash> Hash for Holding<K, T, M> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.seen_broadcast, self.seen_user).hash(state);
        let mut held: Vec<_> = self.held.iter().collect();
        held.sort_by_key(|(key, _)| *key);
        for (key, held) in held {
            (key, held.kind, &held.target, held.begins, &held.waiting).hash(state);
            (held.bytes, held.answer_bytes, held.bound).hash(state);
            (held.has_overflowed, held.is_promised).hash(state);
        }
        let mut keys: Vec<_> = self.keys.iter().collect();
        keys.sort();
        keys.hash(state);
    }
}

impl<K: Copy + Eq + Hash, T: Clone + Eq + Hash, M> Holding<K, T, M> {
    /// Sets what the shard has seen, at will; nothing if `position` is the default.
    pub(crate) fn pretend_seen(&mut self, kind: Kind, position: Position) {
        *self.seen_mut(kind) = Some(position).filter(|position| *position != Position::default());
    }

    /// Where a held subscription begins.
    pub(crate) fn begins_at(&self, key: K) -> Option<Position> {
        self.held.get(&key).map(|held| held.begins)
    }

    /// Whether notifications were dropped.
    pub(crate) fn has_overflowed(&self, key: K) -> bool {
        self.held.get(&key).is_some_and(|held| held.has_overflowed)
    }

    /// Forgets that notifications were dropped.
    pub(crate) fn pretend_not_overflowed(&mut self, key: K) {
        if let Some(held) = self.held.get_mut(&key) {
            held.has_overflowed = false;
        }
    }

    /// Sets the position of the answer that was held back last.
    pub(crate) fn pretend_answered_at(&mut self, key: K, at: Position) {
        if let Some(Waiting::Local(position, _)) =
            self.held.get_mut(&key).and_then(|held| held.waiting.last_mut())
        {
            *position = at;
        }
    }

    /// The position of the first answer that is held back.
    pub(crate) fn answered_at(&self, key: K) -> Option<Position> {
        let mut waiting = self.held.get(&key)?.waiting.iter();
        waiting.find_map(|waiting| match waiting {
            Waiting::Local(position, _) => Some(*position),
            Waiting::Notification(_) => None,
        })
    }
}
