//! The audit: what operators did, a line of JSON for each event, to a file or to standard error. A writer of its own, since
//! the log's level may be off and its lines may be lost among others. Which events there are is a closed set
//! ([`event::Event`]). Knows no route and no other instance; whoever does something for an operator tells it here.

use std::fmt;
use std::io::Write;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::lines::{self, Lines};
use crate::deceptive::escaped_json;
use crate::setting::Findings;
use complaint::Complaint;
use event::{Event, Outcome, What};
use file::Appended;
pub use file::Output;

mod complaint;
pub mod event;
mod file;

/// `[audit]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the lines go: a file, to which they are appended, or `-` for standard error.
    pub file: Output,
    /// Lines that may wait for the disk or for a reader. Further ones are dropped and counted.
    pub queue_lines: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            file: Output::Stderr,
            queue_lines: 8_192,
        }
    }
}

impl Config {
    /// Checks that the queue is bounded.
    pub fn check(&self, findings: &mut Findings) {
        findings.within("audit.queue_lines", self.queue_lines, 1, 1_000_000);
    }

    /// Checks that lines can be appended to the file. Leaves none behind. Blocks on the file system.
    pub fn check_file(&self, findings: &mut Findings) {
        if let Output::File(path) = &self.file
            && let Err(error) = file::check(path)
        {
            findings.error("audit.file", error.to_string());
        }
    }
}

/// Tells the log that a line could not be written, once a minute.
fn complainant() -> impl FnMut(&std::io::Error) + Send {
    let mut complaint = Complaint::default();
    move |error| {
        if let Some(left_out) = complaint.pass() {
            tracing::warn!(%error, left_out, "a line of the audit cannot be written and is lost (audit.file)");
        }
    }
}

/// Tells what operators do. Cheap to clone; never waits.
#[derive(Debug, Clone)]
pub struct Audit {
    lines: Lines,
    instance: Arc<str>,
}

/// Keeps the audit's thread. Dropping it writes what is queued, and gives up after about a second.
#[derive(Debug)]
#[must_use = "dropping it ends the audit"]
pub struct AuditGuard(#[expect(dead_code, reason = "held for its drop")] lines::Guard);

/// One event.
#[derive(Debug)]
pub struct Entry<'a> {
    /// What happened.
    pub event: Event,
    /// Who did it: `key:ops`, `user:root`. What another instance says of who asked it is its word.
    pub who: &'a str,
    /// From where; none: from another instance.
    pub address: Option<IpAddr>,
    /// To what.
    pub what: &'a What,
    /// What came of it.
    pub outcome: Outcome,
    /// Why it was refused: the last word of the answer's `type`.
    pub reason: Option<&'static str>,
    /// The trace of the request, if it named one.
    pub trace_id: Option<&'a str>,
}

/// A line. `target` tells it from the log's where both go to standard error.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    event: Event,
    who: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    #[serde(skip_serializing_if = "What::is_empty")]
    what: &'a What,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    instance: &'a str,
    target: &'static str,
}

impl Audit {
    /// Begins the audit of the instance that is called `instance`.
    ///
    /// # Errors
    /// The file cannot be opened or made.
    pub fn start(config: &Config, instance: &Arc<str>) -> Result<(Self, AuditGuard), FileError> {
        const THREAD: &str = "herald-audit";
        let (lines, guard) = match &config.file {
            Output::Stderr => lines::queue(std::io::stderr(), THREAD, config.queue_lines, complainant()),
            Output::File(path) => {
                lines::queue(Appended::open(path)?, THREAD, config.queue_lines, complainant())
            }
        };
        let instance = instance.clone();
        Ok((Self { lines, instance }, AuditGuard(guard)))
    }

    /// Tells of one event.
    pub fn note(&self, entry: &Entry<'_>) {
        let line = Line {
            time: format!("{:.6}", jiff::Timestamp::now()),
            event: entry.event,
            who: entry.who,
            address: entry.address,
            what: entry.what,
            outcome: entry.outcome,
            reason: entry.reason,
            trace_id: entry.trace_id,
            instance: &self.instance,
            target: "herald::audit",
        };
        // Structs of texts and numbers: their conversion cannot fail, although the signature says so.
        let line = serde_json::to_string(&line).unwrap_or_default();
        let mut line = escaped_json(&line).into_owned();
        line.push('\n');
        // It only queues, and counts what finds no room.
        let _ = self.lines.writer.clone().write_all(line.as_bytes());
    }

    /// Tells that this instance did what another one was asked for by `who`.
    pub fn done(&self, event: Event, who: &str, what: &What) {
        self.note(&Entry {
            event,
            who,
            address: None,
            what,
            outcome: Outcome::Done,
            reason: None,
            trace_id: None,
        });
    }

    /// Lines lost since the start: the queue was full, or the write failed.
    pub fn lost(&self) -> u64 {
        self.lines.lost.count()
    }
}

/// Why lines cannot be appended to `audit.file`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError(String);

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FileError {}

/// An audit for tests, and what it wrote.
#[cfg(test)]
pub(crate) mod kept {
    use parking_lot::Mutex;

    use super::*;

    /// Its lines; ask after the drop of the guard, or with [`Kept::lines`], which waits for as many as there must be.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Kept {
        /// The lines so far, as text.
        pub(crate) fn text(&self) -> String {
            String::from_utf8_lossy(&self.0.lock()).into_owned()
        }

        /// All lines, once there are `count`.
        pub(crate) fn lines(&self, count: usize) -> Vec<serde_json::Value> {
            let begun = std::time::Instant::now();
            while self.text().matches('\n').count() < count {
                assert!(begun.elapsed().as_secs() < 10, "{}", self.text());
                std::thread::yield_now();
            }
            let read = |line| serde_json::from_str(line).expect("JSON");
            self.text().lines().map(read).collect()
        }
    }

    impl Audit {
        /// Writes to what it gives.
        pub(crate) fn kept() -> (Self, AuditGuard, Kept) {
            let kept = Kept::default();
            let (lines, guard) = lines::queue(kept.clone(), "audit", 64, |_| {});
            let instance = "test".into();
            (Self { lines, instance }, AuditGuard(guard), kept)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_object_whatever_stands_in_it() {
        const HOSTILE: &str =
            "key:x\",\"outcome\":\"done\n{\"event\":\"tap\"}\r\u{1b}[2K\u{202e}\u{2028}\u{7f}";
        let (audit, guard, kept) = Audit::kept();
        let what = What {
            level: Some(HOSTILE.into()),
            ..What::default()
        };
        audit.done(Event::SetLogLevel, HOSTILE, &what);
        drop(guard);
        let text = kept.text();
        let line = text.strip_suffix('\n').unwrap();
        assert!(!line.chars().any(crate::deceptive::is_deceptive), "{line:?}");
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&line["who"], &line["what"]["level"]),
            (&HOSTILE.into(), &HOSTILE.into())
        );
        assert_eq!(
            (&line["event"], &line["outcome"], &line["target"]),
            (&"set-log-level".into(), &"done".into(), &"herald::audit".into())
        );
        assert_eq!(
            line["time"].as_str().map(str::len),
            Some("2026-11-24T12:22:55.683276Z".len())
        );
    }
}
