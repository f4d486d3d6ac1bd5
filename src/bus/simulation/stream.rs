//! The stream as JetStream keeps it, with its past lives: the truth, regardless of what anybody knows.

use std::collections::HashSet;

use crate::bus::history::{Stored, StreamInfo};

/// Sessions subscribe to one of so many.
pub(super) const TARGETS: u16 = 24;
/// Servers that keep the stream, where it is replicated.
const REPLICAS: usize = 3;

/// A message; its `id` is an index into [`Stream::notes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Note {
    pub id: usize,
    pub target: u16,
    pub key: Option<u8>,
    /// When it is stale, in virtual ms.
    pub stale_at: Option<u64>,
    pub bytes: usize,
    /// Where it was stored.
    pub place: Place,
}

impl Stored for Note {
    type Key = u8;
    type Target = u16;

    fn target(&self) -> &u16 {
        &self.target
    }

    fn weight(&self) -> usize {
        self.bytes
    }

    fn is_stale(&self, now_ms: u64) -> bool {
        self.stale_at.is_some_and(|stale_at| stale_at <= now_ms)
    }

    /// Three targets share one.
    fn mark(target: &u16) -> u32 {
        u32::from(target % 8)
    }

    fn collapse(&self) -> Option<&u8> {
        self.key.as_ref()
    }
}

/// A place in truth: a sequence in one life of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Place {
    pub life: usize,
    pub sequence: u64,
}

/// One life: from a creation or a rollback on.
#[derive(Debug, Clone, Default)]
struct Life {
    /// The life that was rolled back, and the last sequence that is the same there.
    before: Option<(usize, u64)>,
    /// What was ever stored at each sequence, from 1.
    log: Vec<usize>,
}

/// One server's part of the stream.
#[derive(Debug, Clone, Copy)]
struct Replica {
    /// It has applied everything up to here.
    last: u64,
    /// It has expired so many more than the leader.
    ahead: u64,
}

/// The stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub notes: Vec<Note>,
    lives: Vec<Life>,
    incarnation: u64,
    generation: u64,
    first: u64,
    /// Sequences that were purged by themselves.
    holes: Vec<u64>,
    removed: HashSet<usize>,
    replicas: Vec<Replica>,
    /// The stream was rolled back, and its generation is that of the life before.
    pub is_rolled_back: bool,
    /// How often it was recreated or rolled back.
    pub breaks: u32,
    keeps: u64,
}

impl Stream {
    pub(super) fn new(is_replicated: bool, keeps: u64) -> Self {
        let replica = Replica { last: 0, ahead: 0 };
        Self {
            notes: Vec::new(),
            lives: vec![Life::default()],
            incarnation: 1,
            generation: 0,
            first: 1,
            holes: Vec::new(),
            removed: HashSet::new(),
            replicas: vec![replica; if is_replicated { REPLICAS } else { 1 }],
            is_rolled_back: false,
            breaks: 0,
            keeps,
        }
    }

    pub(super) fn life(&self) -> usize {
        self.lives.len() - 1
    }

    pub(super) fn first(&self) -> u64 {
        self.first
    }

    pub(super) fn last(&self) -> u64 {
        self.lives[self.life()].log.len() as u64
    }

    pub(super) fn epoch(&self) -> u64 {
        self.incarnation * 1_000 + self.generation
    }

    pub(super) fn info(&self) -> StreamInfo {
        let last = self.last();
        let last_id = (self.first <= last).then(|| self.lives[self.life()].log[last as usize - 1]);
        StreamInfo {
            epoch: self.epoch(),
            first: self.first,
            last,
            last_stamp: last_id.map(stamp),
            is_leaders: true,
        }
    }

    /// Stores a message. Old ones go where the stream is at its size.
    pub(super) fn publish(&mut self, note: impl FnOnce(usize, Place) -> Note) -> u64 {
        let id = self.notes.len();
        let place = Place {
            life: self.life(),
            sequence: self.last() + 1,
        };
        self.notes.push(note(id, place));
        let life = self.life();
        self.lives[life].log.push(id);
        self.replicas[0].last = place.sequence;
        // While nobody has noticed a rollback, what was read last stays: docs/reliability.md says what happens else.
        if !self.is_rolled_back {
            self.expire((place.sequence + 1).saturating_sub(self.keeps));
        }
        place.sequence
    }

    /// Everything in front of `first` is gone.
    pub(super) fn expire(&mut self, first: u64) {
        self.first = self.first.max(first.min(self.last() + 1));
        let first = self.first;
        self.holes.retain(|hole| *hole >= first);
    }

    /// The message at `sequence` is gone, and those around it are not.
    pub(super) fn remove(&mut self, sequence: u64) {
        if (self.first..self.last()).contains(&sequence) && !self.holes.contains(&sequence) {
            self.holes.push(sequence);
            self.removed
                .insert(self.lives[self.life()].log[sequence as usize - 1]);
        }
        while self.holes.contains(&self.first) {
            self.expire(self.first + 1);
        }
    }

    pub(super) fn recreate(&mut self) {
        self.incarnation += 1;
        self.generation = 0;
        self.begin_life(Life::default());
        self.first = 1;
        self.is_rolled_back = false;
    }

    /// Everything behind `last` was never stored.
    pub(super) fn roll_back(&mut self, last: u64) {
        let before = self.life();
        let log = self.lives[before].log[..last as usize].to_vec();
        self.begin_life(Life {
            before: Some((before, last)),
            log,
        });
        self.first = self.first.min(last + 1);
        self.is_rolled_back = true;
    }

    fn begin_life(&mut self, life: Life) {
        self.lives.push(life);
        self.breaks += 1;
        self.holes.clear();
        let last = self.last();
        for replica in &mut self.replicas {
            *replica = Replica { last, ahead: 0 };
        }
    }

    /// Raises the generation unless somebody has.
    pub(super) fn raise(&mut self, epoch: u64) {
        if self.epoch() == epoch {
            self.generation += 1;
            self.is_rolled_back = false;
        }
    }

    /// Followers apply what the leader has; one of them begins to lag or to expire earlier, or ends doing so.
    pub(super) fn replicate(&mut self, random: &mut fastrand::Rng) {
        let last = self.last();
        for replica in self.replicas.iter_mut().skip(1) {
            if random.u8(..4) > 0 {
                replica.last = last;
            }
            replica.ahead = if random.u8(..3) == 0 { random.u64(..4) } else { 0 };
        }
    }

    /// All followers have everything.
    pub(super) fn heal(&mut self) {
        let last = self.last();
        for replica in &mut self.replicas {
            *replica = Replica { last, ahead: 0 };
        }
    }

    /// What the leader has from `from` on.
    pub(super) fn from(&self, from: u64, most: usize) -> Vec<(u64, usize)> {
        self.stored(from, self.first, self.last()).take(most).collect()
    }

    /// Some server: the bounds of what it has.
    pub(super) fn some_server(&self, random: &mut fastrand::Rng) -> (u64, u64) {
        let replica = self.replicas[random.usize(..self.replicas.len())];
        let first = (self.first + replica.ahead).min(replica.last + 1);
        (first.max(self.first), replica.last)
    }

    /// The most sequences that one server's first may be ahead of another's.
    pub(super) fn slack(&self) -> u64 {
        4
    }

    /// What a server with these bounds has from `from` on, by sequence.
    pub(super) fn stored(&self, from: u64, first: u64, last: u64) -> impl Iterator<Item = (u64, usize)> {
        let log = &self.lives[self.life()].log;
        (from.max(first).max(1)..=last.min(log.len() as u64))
            .filter(|sequence| !self.holes.contains(sequence))
            .map(|sequence| (sequence, log[sequence as usize - 1]))
    }

    /// Whether the place `there` was taken over, or is the same, in `life`.
    fn holds_in(&self, there: Place, life: usize) -> bool {
        let (mut life, mut least) = (life, u64::MAX);
        loop {
            if life == there.life {
                return there.sequence <= least;
            }
            match self.lives[life].before {
                Some((before, last)) => (life, least) = (before, least.min(last)),
                None => return false,
            }
        }
    }

    /// What was stored for `target` behind `after` and in front of `before`; `None` if these are not of one history.
    pub(super) fn between(&self, target: u16, after: Place, before: Place) -> Option<Vec<Note>> {
        let life = after.life.max(before.life);
        if before.sequence <= after.sequence || !self.holds_in(after, life) || !self.holds_in(before, life) {
            return None;
        }
        let log = &self.lives[life].log;
        let between = log[after.sequence as usize..before.sequence as usize - 1].iter();
        let notes = between.map(|id| self.notes[*id]);
        let is_there = |note: &Note| note.target == target && !self.removed.contains(&note.id);
        Some(notes.filter(is_there).collect())
    }
}

/// NATS's time stamp of a message.
pub(super) fn stamp(id: usize) -> u64 {
    id as u64 + 1
}
