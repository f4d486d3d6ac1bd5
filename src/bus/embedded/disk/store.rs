//! The file's tables: their contents, and what one transaction does. Every call blocks on the disk. Knows no runtime,
//! no publisher and no tail.
//!
//! **One transaction** adds a group of records, records and forgets keys, and removes a bounded number of records that
//! are too old or too many. A commit is synced: what was committed survives a power failure. A kind's sequences have no
//! gaps: they grow by one, and only the oldest are removed.
//!
//! **Failure.** After an error of the disk redb accepts no more writes, and the effects of the failed transaction are
//! there completely or not at all. Only the file, opened again, can tell ([`Store::reopened`]).

use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use super::failure::Failure;
use super::record::{self, TargetId};
use crate::bus::{Content, Key};
use crate::envelope::Kind;

pub(super) const FORMAT: u64 = 1;
/// The most records of a kind that one transaction removes.
const REMOVED_MAX: usize = 4_096;
/// The most keys that one transaction forgets.
pub(super) const FORGOTTEN_MAX: usize = 4_096;
/// What a record takes besides itself: its sequence, and its place in the index.
const ENTRY_BYTES: u64 = 8 + INDEX_KEY_BYTES as u64;
const INDEX_KEY_BYTES: usize = size_of::<TargetId>() + 8;

/// Numbers by name: the file's own, and those of each kind.
pub(super) const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
/// `history.duplicate_window`: key → content, kind, sequence, and when it was noted.
const KEYS: TableDefinition<'_, &[u8; 16], (&[u8; 16], u8, u64, u64)> = TableDefinition::new("keys");

/// The tables and numbers of one kind.
struct Names {
    records: TableDefinition<'static, u64, &'static [u8]>,
    targets: TableDefinition<'static, &'static [u8; INDEX_KEY_BYTES], ()>,
    last: &'static str,
    bytes: &'static str,
}

fn names(kind: Kind) -> Names {
    match kind {
        Kind::Broadcast => Names {
            records: TableDefinition::new("broadcast"),
            targets: TableDefinition::new("broadcast targets"),
            last: "broadcast last",
            bytes: "broadcast bytes",
        },
        Kind::User => Names {
            records: TableDefinition::new("user"),
            targets: TableDefinition::new("user targets"),
            last: "user last",
            bytes: "user bytes",
        },
    }
}

/// How long and how much of one kind is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retention {
    pub(super) age: Duration,
    pub(super) bytes: u64,
}

/// Where one kind is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bounds {
    /// The first sequence that is kept; `last + 1` if nothing is.
    pub(super) first: u64,
    /// The last one that ever was.
    pub(super) last: u64,
    pub(super) bytes: u64,
    /// When the first one was stored.
    oldest_ms: Option<u64>,
}

/// A notification to be stored.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) record: Vec<u8>,
    pub(super) known_by: Option<(Key, Content)>,
}

/// A key as it was noted: what it stands for, where that is stored, and when it was noted.
pub(super) type NotedKey = (Key, Content, Kind, u64, u64);

/// The database, for its writer and its readers. `None` while it cannot be used.
pub(super) type Shared = Arc<RwLock<Option<Database>>>;

/// What writes. There is one.
pub(super) struct Store {
    database: Shared,
    retention: [Retention; 2],
    bounds: [Bounds; 2],
}

impl Store {
    /// Makes what is missing in `database`, which is one of Herald's or empty, and reads where it is.
    pub(super) fn new(database: Shared, retention: [Retention; 2]) -> Result<Self, Failure> {
        let mut store = Self {
            database,
            retention,
            bounds: [Bounds::default(); 2],
        };
        let write = store.begin()?;
        for kind in Kind::ALL {
            let names = names(kind);
            write.open_table(names.records)?;
            write.open_table(names.targets)?;
        }
        write.open_table(KEYS)?;
        write.commit()?;
        store.bounds = store.read_bounds()?;
        Ok(store)
    }

    /// Where each kind is, in the order of [`Kind::ALL`].
    pub(super) fn bounds(&self) -> [Bounds; 2] {
        self.bounds
    }

    /// Takes `entries` in, gives each the next sequence of its kind, and removes what is too old or too much. Returns whether
    /// more has to go than one transaction removes.
    pub(super) fn commit(
        &mut self,
        entries: &mut [Entry],
        forgotten: &[Key],
        now_ms: u64,
    ) -> Result<bool, Failure> {
        let mut bounds = self.bounds;
        let write = self.begin()?;
        let mut has_more = false;
        for (kind, bounds) in Kind::ALL.into_iter().zip(&mut bounds) {
            has_more |= self.commit_kind(&write, kind, bounds, entries, now_ms)?;
        }
        if !forgotten.is_empty() || entries.iter().any(|entry| entry.known_by.is_some()) {
            self.commit_keys(&write, entries, forgotten, now_ms)?;
        }
        write.commit()?;
        self.bounds = bounds;
        Ok(has_more)
    }

    fn commit_kind(
        &self,
        write: &WriteTransaction,
        kind: Kind,
        bounds: &mut Bounds,
        entries: &mut [Entry],
        now_ms: u64,
    ) -> Result<bool, Failure> {
        let names = names(kind);
        let mut own = entries.iter_mut().filter(|entry| entry.kind == kind).peekable();
        if own.peek().is_none() && !self.is_over(kind, bounds, now_ms) {
            return Ok(false);
        }
        let mut records = write.open_table(names.records)?;
        let mut targets = write.open_table(names.targets)?;
        for entry in own {
            record::stamp(&mut entry.record, now_ms);
            let sequence = bounds.last + 1;
            if let Some((_, target)) = record::head(&entry.record) {
                targets.insert(&index_key(target, sequence), ())?;
            }
            records.insert(sequence, &*entry.record)?;
            bounds.last = sequence;
            bounds.bytes += cost(&entry.record);
            bounds.oldest_ms.get_or_insert(now_ms);
        }
        let mut removed = 0;
        while removed < REMOVED_MAX && self.is_over(kind, bounds, now_ms) {
            removed += 1;
            let (sequence, target, bytes) = match records.pop_first()? {
                Some((sequence, gone)) => (
                    sequence.value(),
                    record::head(gone.value()).map(|(_, target)| target),
                    cost(gone.value()),
                ),
                None => break,
            };
            bounds.first = sequence + 1;
            bounds.bytes = bounds.bytes.saturating_sub(bytes);
            if let Some(target) = target {
                targets.remove(&index_key(target, sequence))?;
            }
            bounds.oldest_ms = stored_at(records.first()?.as_ref().map(|(_, record)| record.value()));
        }
        let mut numbers = write.open_table(NUMBERS)?;
        numbers.insert(names.last, bounds.last)?;
        numbers.insert(names.bytes, bounds.bytes)?;
        Ok(self.is_over(kind, bounds, now_ms))
    }

    fn commit_keys(
        &self,
        write: &WriteTransaction,
        entries: &[Entry],
        forgotten: &[Key],
        now_ms: u64,
    ) -> Result<(), Failure> {
        let mut keys = write.open_table(KEYS)?;
        for key in forgotten {
            keys.remove(key.bytes())?;
        }
        let mut sequences = self.bounds.map(|bounds| bounds.last);
        for entry in entries {
            let sequence = &mut sequences[entry.kind as usize];
            *sequence += 1;
            if let Some((key, content)) = &entry.known_by {
                let value = (content.bytes(), entry.kind as u8, *sequence, now_ms);
                keys.insert(key.bytes(), value)?;
            }
        }
        Ok(())
    }

    /// Whether something has to go: what is too old, or the oldest where there is too much, but never the newest.
    pub(super) fn is_over(&self, kind: Kind, bounds: &Bounds, now_ms: u64) -> bool {
        let Retention { age, bytes } = self.retention[kind as usize];
        let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        bounds
            .oldest_ms
            .is_some_and(|oldest| oldest.saturating_add(age_ms) <= now_ms)
            || (bounds.bytes > bytes && bounds.first < bounds.last)
    }

    /// Whether something has to go now.
    pub(super) fn has_to_remove(&self, now_ms: u64) -> bool {
        let kinds = Kind::ALL.into_iter().zip(&self.bounds);
        kinds
            .into_iter()
            .any(|(kind, bounds)| self.is_over(kind, bounds, now_ms))
    }

    /// After a failure, with the file open again: reads where it really is. Returns where it was thought to be.
    pub(super) fn reopened(&mut self) -> Result<[Bounds; 2], Failure> {
        let read = self.read_bounds()?;
        Ok(std::mem::replace(&mut self.bounds, read))
    }

    /// The keys that the file has within the window, the oldest first, with how long ago each was noted.
    pub(super) fn keys(&self) -> Result<Vec<NotedKey>, Failure> {
        let read = begin_read(&self.database)?;
        let mut keys = Vec::new();
        for entry in read.open_table(KEYS)?.iter()? {
            let (key, value) = entry?;
            let (content, kind, sequence, noted_ms) = value.value();
            let kind = Kind::ALL.into_iter().find(|known| *known as u8 == kind);
            if let Some(kind) = kind {
                let key = Key::from_bytes(*key.value());
                keys.push((key, Content::from_bytes(*content), kind, sequence, noted_ms));
            }
        }
        keys.sort_unstable_by_key(|(.., noted_ms)| *noted_ms);
        Ok(keys)
    }

    fn begin(&self) -> Result<WriteTransaction, Failure> {
        let database = self.database.read();
        Ok(database.as_ref().ok_or(Failure::Closed)?.begin_write()?)
    }

    fn read_bounds(&self) -> Result<[Bounds; 2], Failure> {
        let read = begin_read(&self.database)?;
        let mut all = [Bounds::default(); 2];
        for (kind, bounds) in Kind::ALL.into_iter().zip(&mut all) {
            *bounds = bounds_of(&read, kind)?;
        }
        Ok(all)
    }
}

/// Where `kind` is, as `read` sees it.
pub(super) fn bounds_of(read: &ReadTransaction, kind: Kind) -> Result<Bounds, Failure> {
    let names = names(kind);
    let numbers = read.open_table(NUMBERS)?;
    let number = |name| -> Result<u64, Failure> { Ok(numbers.get(name)?.map_or(0, |found| found.value())) };
    let last = number(names.last)?;
    let records = read.open_table(names.records)?;
    let first = records.first()?;
    Ok(Bounds {
        first: first.as_ref().map_or(last + 1, |(sequence, _)| sequence.value()),
        last,
        bytes: number(names.bytes)?,
        oldest_ms: stored_at(first.as_ref().map(|(_, record)| record.value())),
    })
}

/// A look at what is committed.
pub(super) fn begin_read(database: &Shared) -> Result<ReadTransaction, Failure> {
    let database = database.read();
    Ok(database.as_ref().ok_or(Failure::Closed)?.begin_read()?)
}

/// The records of `kind` from the newest one back to the one at `from`, one after the other, until `take` says no.
pub(super) fn newest_first(
    read: &ReadTransaction,
    kind: Kind,
    from: u64,
    mut take: impl FnMut(u64, &[u8]) -> bool,
) -> Result<(), Failure> {
    let records = read.open_table(names(kind).records)?;
    for entry in records.range(from..)?.rev() {
        let (sequence, record) = entry?;
        if !take(sequence.value(), record.value()) {
            break;
        }
    }
    Ok(())
}

/// The records of `kind` for `target` from the sequence `from` on, at most `most` of them.
pub(super) fn of_target(
    read: &ReadTransaction,
    kind: Kind,
    target: TargetId,
    from: u64,
    most: usize,
) -> Result<Vec<(u64, Vec<u8>)>, Failure> {
    let names = names(kind);
    let (targets, records) = (read.open_table(names.targets)?, read.open_table(names.records)?);
    let (first, last) = (index_key(target, from), index_key(target, u64::MAX));
    let mut found = Vec::new();
    for entry in targets
        .range::<&[u8; INDEX_KEY_BYTES]>(&first..=&last)?
        .take(most)
    {
        let (key, _) = entry?;
        let Some(sequence) = key.value().last_chunk().copied().map(u64::from_be_bytes) else {
            continue;
        };
        if let Some(record) = records.get(sequence)? {
            found.push((sequence, record.value().to_vec()));
        }
    }
    Ok(found)
}

/// A target's entries stand together, by sequence.
fn index_key(target: TargetId, sequence: u64) -> [u8; INDEX_KEY_BYTES] {
    let mut key = [0; INDEX_KEY_BYTES];
    key[..size_of::<TargetId>()].copy_from_slice(&target);
    key[size_of::<TargetId>()..].copy_from_slice(&sequence.to_be_bytes());
    key
}

fn cost(record: &[u8]) -> u64 {
    record.len() as u64 + ENTRY_BYTES
}

fn stored_at(record: Option<&[u8]>) -> Option<u64> {
    record.and_then(record::head).map(|(stamp, _)| stamp)
}
