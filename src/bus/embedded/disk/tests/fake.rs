//! A disk in memory that separates what was synced, and fails, fills up, stops responding and loses power on command.

use std::io;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use redb::{Builder, Database, StorageBackend};

use crate::bus::embedded::disk::life::Identity;
use crate::bus::embedded::disk::medium::Medium;

/// One disk. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    synced: Vec<u8>,
    /// What a reader sees.
    seen: Vec<u8>,
    /// What lies in between, in order.
    unsynced: Vec<Change>,
    /// So many writes and syncs still work, and then fail so.
    fails: Option<(usize, io::ErrorKind)>,
    is_stuck: bool,
    is_closed: bool,
    free: Option<u64>,
    identity: u64,
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Length(length) => bytes.resize(*length, 0),
            Self::Write(at, data) => {
                let end = at + data.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*at..end].copy_from_slice(data);
            }
        }
    }
}

impl Disk {
    fn state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.0.0.lock());
        self.0.1.notify_all();
        changed
    }

    /// After `works` more writes and syncs each one fails.
    pub(super) fn fail(&self, works: usize, kind: io::ErrorKind) {
        self.state(|state| state.fails = Some((works, kind)));
    }

    pub(super) fn heal(&self) {
        self.state(|state| state.fails = None);
    }

    /// Whether it is said of a file that it cannot be opened.
    pub(super) fn close(&self, is_closed: bool) {
        self.state(|state| state.is_closed = is_closed);
    }

    pub(super) fn stick(&self, is_stuck: bool) {
        self.state(|state| state.is_stuck = is_stuck);
    }

    pub(super) fn free(&self, bytes: Option<u64>) {
        self.state(|state| state.free = bytes);
    }

    pub(super) fn copy(&self) {
        self.state(|state| state.identity += 1);
    }

    /// Power is lost: of what was not synced, `survives` says what is there all the same.
    pub(super) fn lose_power(&self, mut survives: impl FnMut() -> bool) {
        self.state(|state| {
            let unsynced = std::mem::take(&mut state.unsynced);
            for change in unsynced.into_iter().filter(|_| survives()) {
                change.apply(&mut state.synced);
            }
            state.seen = state.synced.clone();
            state.fails = None;
        });
    }

    /// What the disk is now, to be put back later.
    pub(super) fn image(&self) -> Vec<u8> {
        self.state(|state| state.seen.clone())
    }

    pub(super) fn put_back(&self, image: &[u8]) {
        self.state(|state| {
            state.seen = image.to_vec();
            state.synced = image.to_vec();
            state.unsynced.clear();
        });
    }
}

impl State {
    fn step(&mut self) -> io::Result<()> {
        match &mut self.fails {
            None => Ok(()),
            Some((0, kind)) => Err(io::Error::from(*kind)),
            Some((works, _)) => {
                *works -= 1;
                Ok(())
            }
        }
    }

    fn change(&mut self, change: Change) -> io::Result<()> {
        self.step()?;
        change.apply(&mut self.seen);
        self.unsynced.push(change);
        Ok(())
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state(|state| state.seen.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let at = offset as usize;
        self.state(|state| match state.seen.get(at..at + out.len()) {
            Some(found) => {
                out.copy_from_slice(found);
                Ok(())
            }
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.state(|state| state.change(Change::Length(len as usize)))
    }

    fn sync_data(&self) -> io::Result<()> {
        let (state, changed) = &*self.0;
        let mut state = state.lock();
        changed.wait_while(&mut state, |state| state.is_stuck);
        state.step()?;
        for change in std::mem::take(&mut state.unsynced) {
            change.apply(&mut state.synced);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.state(|state| state.change(Change::Write(offset as usize, data.to_vec())))
    }
}

impl Medium for Disk {
    fn open(&self) -> Result<Database, String> {
        if self.state(|state| state.is_closed) {
            return Err("closed on purpose".into());
        }
        let database = Builder::new().create_with_backend(self.clone());
        database.map_err(|error| error.to_string())
    }

    fn identity(&self) -> Identity {
        Identity {
            inode: self.state(|state| state.identity),
            born_ns: 0,
        }
    }

    fn free_bytes(&self) -> Option<u64> {
        self.state(|state| state.free)
    }

    fn bytes(&self) -> u64 {
        self.state(|state| state.seen.len() as u64)
    }
}
