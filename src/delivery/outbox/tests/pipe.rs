//! A socket for the tests of delivery: its kernel buffer takes as many bytes as a test allows. Knows no frame.

use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::delivery::outbox::{TryWrite, Written};

#[derive(Default)]
pub(in crate::delivery) struct Pipe {
    pub(in crate::delivery) taken: Mutex<Vec<u8>>,
    /// How many more bytes the kernel takes.
    pub(in crate::delivery) room: AtomicUsize,
    pub(in crate::delivery) calls: AtomicUsize,
}

impl TryWrite for Pipe {
    fn try_write(&self, chunks: &[IoSlice<'_>]) -> io::Result<Written> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let bytes: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.iter().copied()).collect();
        let taken = bytes.len().min(self.room.load(Ordering::Relaxed));
        if taken == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.room.fetch_sub(taken, Ordering::Relaxed);
        self.taken.lock().extend_from_slice(&bytes[..taken]);
        Ok(Written::taken(taken))
    }
}
