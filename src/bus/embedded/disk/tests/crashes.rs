//! The promise, tested against a naive store: whatever is stored, removed, fails and crashes, everything committed is
//! there, in order, also by its target; and what failed is there completely or not at all.

use std::collections::BTreeMap;
use std::io;

use parking_lot::RwLock;
use proptest::prelude::*;

use super::fake::Disk as FakeDisk;
use super::*;
use crate::bus::embedded::disk::store::{begin_read, newest_first, of_target};

const TARGETS: [&str; 3] = ["anna", "ben", ""];
const RETENTION: Retention = Retention {
    age: Duration::from_millis(1_000),
    bytes: 6_000,
};

#[derive(Debug, Clone)]
enum Step {
    /// A group: for each its target, the bytes of its body, and whether it has a key.
    Store(Vec<(usize, usize, bool)>),
    /// The same, while the disk fails after so many writes.
    Fail(Vec<(usize, usize, bool)>, usize, bool),
    /// Power is lost; the seed says what survives of what was not synced.
    Crash(u64),
    /// Time goes by.
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let group = || proptest::collection::vec((0..TARGETS.len(), 0_usize..900, any::<bool>()), 1..6);
    let step = prop_oneof![
        6 => group().prop_map(Step::Store),
        3 => (group(), 0_usize..40, any::<bool>()).prop_map(|(group, works, full)| Step::Fail(group, works, full)),
        2 => any::<u64>().prop_map(Step::Crash),
        1 => (1_u64..700).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 1..30)
}

/// What should be there: of each kind by sequence when it was stored, and its body's number.
#[derive(Debug, Clone, Default)]
struct Naive {
    records: [BTreeMap<u64, (u64, Envelope)>; 2],
    last: [u64; 2],
    keys: BTreeMap<[u8; 16], (usize, u64)>,
}

impl Naive {
    fn store(&mut self, group: &[(Envelope, Option<Key>)], now_ms: u64) {
        for (envelope, key) in group {
            let kind = Kind::of(&envelope.target) as usize;
            self.last[kind] += 1;
            self.records[kind].insert(self.last[kind], (now_ms, envelope.clone()));
            if let Some(key) = key {
                self.keys.insert(*key.bytes(), (kind, self.last[kind]));
            }
        }
    }

    /// What is not there any more has to be the oldest, and as much as has to go.
    fn remove(&mut self, bounds: [Bounds; 2], now_ms: u64) {
        for (records, bounds) in self.records.iter_mut().zip(bounds) {
            let kept = records.split_off(&bounds.first);
            let cost = |envelope: &Envelope| record::encode(envelope).len() as u64 + 32;
            let bytes: u64 = kept.values().map(|(_, envelope)| cost(envelope)).sum();
            let is_old = |stored: u64| stored + RETENTION.age.as_millis() as u64 <= now_ms;
            assert_eq!(bytes, bounds.bytes);
            assert!(kept.values().all(|(stored, _)| !is_old(*stored)));
            assert!(bytes <= RETENTION.bytes || kept.len() == 1);
            // The newest of those that went: it was old, or there was no room for it.
            if let Some((stored, gone)) = records.values().last() {
                assert!(is_old(*stored) || bytes + cost(gone) > RETENTION.bytes);
            }
            *records = kept;
        }
    }

    fn check(&self, store: &Store, database: &store::Shared) {
        let read = begin_read(database).unwrap();
        for kind in Kind::ALL {
            let (own, bounds) = (&self.records[kind as usize], store.bounds()[kind as usize]);
            assert_eq!(bounds, store::bounds_of(&read, kind).unwrap());
            assert_eq!(bounds.last, self.last[kind as usize]);
            let mut found = Vec::new();
            newest_first(&read, kind, 0, |sequence, bytes| {
                let position = Position { epoch: 1, sequence };
                let mut envelope = record::decode(bytes, position).unwrap();
                envelope.position = None;
                found.push((sequence, envelope));
                true
            })
            .unwrap();
            found.reverse();
            let expected: Vec<_> = own
                .iter()
                .map(|(at, (_, envelope))| (*at, envelope.clone()))
                .collect();
            assert_eq!(found, expected);
            for envelope in [to_user("anna", ""), to_user("ben", ""), broadcast("")] {
                let id = record::target_id(&envelope.target);
                let of_target = of_target(&read, kind, id, 0, usize::MAX).unwrap();
                let of_target: Vec<u64> = of_target.into_iter().map(|(sequence, _)| sequence).collect();
                let expected: Vec<u64> = own
                    .iter()
                    .filter(|(_, (_, kept))| kept.target == envelope.target)
                    .map(|(at, _)| *at)
                    .collect();
                assert_eq!(of_target, expected);
            }
        }
        let keys: BTreeMap<_, _> = store
            .keys()
            .unwrap()
            .into_iter()
            .map(|(key, _, kind, sequence, _)| (*key.bytes(), (kind as usize, sequence)))
            .collect();
        assert_eq!(keys, self.keys);
    }
}

fn open(disk: &FakeDisk) -> (Store, store::Shared) {
    let database = disk.open().unwrap();
    life::begin(&database, disk.identity(), 1).unwrap();
    let database: store::Shared = Arc::new(RwLock::new(Some(database)));
    (Store::new(database.clone(), [RETENTION; 2]).unwrap(), database)
}

fn group(of: &[(usize, usize, bool)], number: &mut u64) -> Vec<(Envelope, Option<Key>)> {
    let one = |(target, bytes, is_keyed): &(usize, usize, bool)| {
        *number += 1;
        let mut body = vec![b'x'; *bytes];
        body.extend(number.to_le_bytes());
        let envelope = match TARGETS[*target] {
            "" => broadcast(body),
            name => to_user(name, body),
        };
        (envelope, is_keyed.then(|| key(&number.to_string())))
    };
    of.iter().map(one).collect()
}

fn entries(group: &[(Envelope, Option<Key>)]) -> Vec<Entry> {
    let entry = |(envelope, key): &(Envelope, Option<Key>)| Entry {
        kind: Kind::of(&envelope.target),
        record: record::encode(envelope),
        known_by: key.map(|key| (key, Content::of(envelope))),
    };
    group.iter().map(entry).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_was_committed_is_there_after_any_crash(steps in steps()) {
        let disk = FakeDisk::default();
        let (mut store, mut database) = open(&disk);
        let (mut naive, mut now_ms, mut number) = (Naive::default(), 1_000_000, 0);
        for step in steps {
            now_ms += 1;
            match step {
                Step::Wait(ms) => now_ms += ms,
                Step::Store(of) => {
                    let group = group(&of, &mut number);
                    let has_more = store.commit(&mut entries(&group), &[], now_ms).unwrap();
                    prop_assert!(!has_more);
                    naive.store(&group, now_ms);
                    naive.remove(store.bounds(), now_ms);
                }
                Step::Fail(of, works, is_full) => {
                    let group = group(&of, &mut number);
                    let kind = if is_full { io::ErrorKind::StorageFull } else { io::ErrorKind::Other };
                    disk.fail(works, kind);
                    let committed = store.commit(&mut entries(&group), &[], now_ms);
                    disk.heal();
                    let mut stored = naive.clone();
                    stored.store(&group, now_ms);
                    if committed.is_err() {
                        *database.write() = None;
                        *database.write() = Some(disk.open().unwrap());
                        let before = store.reopened().unwrap();
                        prop_assert_eq!(before.map(|bounds| bounds.last), naive.last);
                    }
                    if store.bounds().map(|bounds| bounds.last) == stored.last {
                        naive = stored;
                        naive.remove(store.bounds(), now_ms);
                    } else {
                        prop_assert!(committed.is_err());
                    }
                }
                Step::Crash(seed) => {
                    let mut random = fastrand::Rng::with_seed(seed);
                    // Without its end: what it would still write is lost with the rest.
                    disk.fail(0, io::ErrorKind::Other);
                    *database.write() = None;
                    disk.lose_power(|| random.bool());
                    (store, database) = open(&disk);
                }
            }
            naive.check(&store, &database);
        }
    }
}
