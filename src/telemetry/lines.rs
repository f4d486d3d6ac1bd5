//! Lines written by a separate thread, from a bounded queue: a producer never waits for the reader. Lines are lost, and
//! counted, if the queue is full or the write fails. Used by the log and the audit; knows neither.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

/// Keeps the thread. Dropping it writes what is queued, and gives up after about a second if nobody reads.
#[derive(Debug)]
#[must_use = "dropping it ends the thread"]
pub(super) struct Guard(#[expect(dead_code, reason = "held for its drop")] WorkerGuard);

/// The near end of the queue.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    /// Takes one whole line a call, its end included, and never waits.
    pub writer: NonBlocking,
    /// Counts what did not arrive.
    pub lost: Lost,
}

/// Counts lines that were lost.
#[derive(Debug, Clone)]
pub(super) struct Lost {
    queue_full: ErrorCounter,
    not_written: Arc<AtomicU64>,
}

impl Lost {
    /// How many, since the start.
    pub(super) fn count(&self) -> u64 {
        (self.queue_full.dropped_lines() as u64).saturating_add(self.not_written.load(Ordering::Relaxed))
    }
}

/// Has a thread `name` write lines to `out`, of which at most `most` wait. It tells `refused` of every write that fails: the log's
/// must not end in the log.
pub(super) fn queue(
    out: impl Write + Send + 'static,
    name: &str,
    most: usize,
    refused: impl FnMut(&io::Error) + Send + 'static,
) -> (Lines, Guard) {
    let not_written = Arc::new(AtomicU64::new(0));
    let out = WholeLines {
        out,
        refused,
        not_written: not_written.clone(),
        torn: false,
    };
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(most)
        .lossy(true)
        .thread_name(name)
        .finish(out);
    let queue_full = writer.error_counter();
    let lost = Lost {
        queue_full,
        not_written,
    };
    (Lines { writer, lost }, Guard(guard))
}

/// Counts lines that cannot be written, of which the appender tells nobody.
struct WholeLines<W, R> {
    out: W,
    refused: R,
    not_written: Arc<AtomicU64>,
    /// A part of the last line may be there: the next one must not continue it.
    torn: bool,
}

impl<W: Write, R: FnMut(&io::Error)> Write for WholeLines<W, R> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.write_all(line).map(|()| line.len())
    }

    /// Takes a whole line. Never fails: the appender's thread would not say so.
    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        let ended = match self.torn {
            true => self.out.write_all(b"\n"),
            false => Ok(()),
        };
        match ended.and_then(|()| self.out.write_all(line)) {
            Ok(()) => self.torn = false,
            Err(error) => {
                self.torn = true;
                self.not_written.fetch_add(1, Ordering::Relaxed);
                (self.refused)(&error);
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        // What cannot be flushed was counted, or is the kernel's.
        let _ = self.out.flush();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    /// A disk that is full for a while, in the middle of a line.
    struct Disk {
        written: Arc<Mutex<Vec<u8>>>,
        room: usize,
        refusals: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                self.refusals -= 1;
                self.room = if self.refusals == 0 { usize::MAX } else { 0 };
                return Err(io::ErrorKind::StorageFull.into());
            }
            let taken = bytes.len().min(self.room);
            self.room -= taken;
            self.written.lock().extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_spoils_no_other_line() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let kinds = Arc::new(Mutex::new(Vec::new()));
        let told = kinds.clone();
        let disk = Disk {
            written: written.clone(),
            room: 6,
            refusals: 2,
        };
        let (Lines { mut writer, lost }, guard) =
            queue(disk, "test", 8, move |error| told.lock().push(error.kind()));
        for line in ["one\n", "two\n", "three\n", "four\n"] {
            writer.write_all(line.as_bytes()).unwrap();
        }
        drop(guard);
        assert_eq!(
            (lost.count(), &*String::from_utf8_lossy(&written.lock())),
            (2, "one\ntw\nfour\n")
        );
        assert_eq!(*kinds.lock(), [io::ErrorKind::StorageFull; 2]);
    }
}
