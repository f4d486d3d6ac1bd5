//! The latest lines of the log, kept in memory for requests (`log.recent_bytes`). The log's own thread puts them here
//! before it writes them, so that callers that log pay nothing for it. Knows no line's meaning.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Arc;

use parking_lot::Mutex;

/// Lines up to a number of bytes; the oldest go first. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Recent(Arc<Mutex<Ring>>);

#[derive(Debug)]
struct Ring {
    lines: VecDeque<Box<[u8]>>,
    bytes: usize,
    most: usize,
}

impl Recent {
    /// At most so many bytes; 0: nothing is kept.
    pub(super) fn new(most: usize) -> Self {
        Self(Arc::new(Mutex::new(Ring {
            lines: VecDeque::new(),
            bytes: 0,
            most,
        })))
    }

    /// The lines that are kept, the oldest first, without their ends. `None`: none are ever kept.
    pub(super) fn lines(&self) -> Option<Vec<String>> {
        let ring = self.0.lock();
        let lines = ring
            .lines
            .iter()
            .map(|line| String::from_utf8_lossy(line).into_owned());
        (ring.most > 0).then(|| lines.collect())
    }

    fn push(&self, line: &[u8]) {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let mut ring = self.0.lock();
        // A line that is larger than all the room is cut: its beginning says what it is about.
        let line = line.get(..ring.most).unwrap_or(line);
        // The end of a line that could not be written whole is no line.
        if line.is_empty() {
            return;
        }
        ring.bytes += line.len();
        ring.lines.push_back(line.into());
        while ring.bytes > ring.most
            && let Some(oldest) = ring.lines.pop_front()
        {
            ring.bytes -= oldest.len();
        }
    }
}

/// Writes to `out` what is put into `recent` as well. Each call of `write_all` is one line.
pub(super) struct Tee<W> {
    pub(super) out: W,
    pub(super) recent: Recent,
}

impl<W: Write> Write for Tee<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        self.recent.push(line);
        self.out.write_all(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_are_kept_and_all_are_written() {
        let recent = Recent::new(10);
        let mut tee = Tee {
            out: Vec::new(),
            recent: recent.clone(),
        };
        for line in ["one\n", "two\n", "\n", "three\n", "four\n"] {
            tee.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(recent.lines().unwrap(), ["three", "four"]);
        tee.write_all(b"a line that is too long\n").unwrap();
        assert_eq!(recent.lines().unwrap(), ["a line tha"]);
        let written = String::from_utf8(tee.out).unwrap();
        assert_eq!(written, "one\ntwo\n\nthree\nfour\na line that is too long\n");
        let nothing = Recent::new(0);
        nothing.push(b"x\n");
        assert_eq!(nothing.lines(), None);
    }
}
