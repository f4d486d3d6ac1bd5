//! The audit: who was refused, who did what, and which rights changed, one line of JSON for each event, to a file or to
//! standard error. It has a separate writer, since the log's level may be off and its lines may be lost among others.
//! The events are a closed set ([`event::Event`]); [`groups`] limits those that others can provoke. Knows no route and
//! no other instance; the actors report here, through the methods of [`tell`].

use std::fmt;
use std::hash::Hash;
use std::io::Write;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;

use super::lines::{self, Lines};
use crate::deceptive::escaped_json;
use complaint::complainant;
pub use config::Config;
use event::{Event, Outcome, What};
use file::Appended;
pub use file::Output;
use groups::Groups;
use names::Names;
pub use tell::{Claims, Refused};

mod complaint;
pub mod config;
pub mod event;
mod file;
mod groups;
#[cfg(test)]
pub(crate) mod kept;
mod names;
mod tell;

/// How often it is looked whether a group's minute is over.
const LOOK: Duration = Duration::from_secs(5);

/// Takes down what happens. Cheap to clone; never waits. The default one tells nobody.
#[derive(Debug, Clone, Default)]
pub struct Audit(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    lines: Lines,
    instance: Arc<str>,
    names: Names,
    /// `audit.logins`
    logins: bool,
    groups: Mutex<Groups>,
}

/// Keeps the audit's thread. Dropping it writes what is queued, and gives up after about a second.
#[derive(Debug)]
#[must_use = "dropping it ends the audit"]
pub struct AuditGuard {
    audit: Audit,
    _lines: lines::Guard,
}

impl Drop for AuditGuard {
    fn drop(&mut self) {
        self.audit.tell_left_out(true);
    }
}

/// One event.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// What happened.
    pub event: Event,
    /// Who did it: `key:ops`, `user:root`, `herald` itself. What another instance says of who asked it is its word. Empty: that
    /// is not known.
    pub who: &'a str,
    /// From where; none: from another instance, or from none.
    pub address: Option<IpAddr>,
    /// To what.
    pub what: &'a What,
    /// What came of it.
    pub outcome: Outcome,
    /// Why it was refused or failed: a word of a closed set.
    pub reason: Option<&'static str>,
    /// The trace of the request, if it named one.
    pub trace_id: Option<&'a str>,
}

impl<'a> Entry<'a> {
    /// An event that says no more.
    pub fn of(event: Event, what: &'a What, outcome: Outcome) -> Self {
        Self {
            event,
            who: "",
            address: None,
            what,
            outcome,
            reason: None,
            trace_id: None,
        }
    }
}

/// A line. `target` tells it from the log's where both go to standard error.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    event: Event,
    #[serde(skip_serializing_if = "str::is_empty")]
    who: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    #[serde(skip_serializing_if = "What::is_empty")]
    what: &'a What,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    instance: &'a str,
    target: &'static str,
}

impl Inner {
    fn new(config: &Config, lines: Lines, instance: Arc<str>) -> Arc<Self> {
        Arc::new(Self {
            lines,
            instance,
            names: Names::new(config.names, config.names_key.as_ref()),
            logins: config.logins,
            groups: Mutex::new(Groups::new(config.groups)),
        })
    }

    fn write(&self, entry: &Entry<'_>, left_out: Option<u64>) {
        let hashed;
        let what = match (&self.names, &entry.what.user) {
            (Names::Hashed(_), Some(user)) => {
                let user = Some(self.names.user(user).into());
                hashed = What {
                    user,
                    ..entry.what.clone()
                };
                &hashed
            }
            _ => entry.what,
        };
        let line = Line {
            time: format!("{:.6}", jiff::Timestamp::now()),
            event: entry.event,
            who: &self.names.who(entry.who),
            address: entry.address,
            what,
            outcome: entry.outcome,
            reason: entry.reason,
            left_out,
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
        Ok(Self::with(Inner::new(config, lines, instance.clone()), guard))
    }

    fn with(inner: Arc<Inner>, guard: lines::Guard) -> (Self, AuditGuard) {
        let audit = Self(Some(inner));
        let guard = AuditGuard {
            audit: audit.clone(),
            _lines: guard,
        };
        (audit, guard)
    }

    /// Tells of one event, whatever else happens: of what needs an operator's or the instance's own doing.
    pub fn note(&self, entry: &Entry<'_>) {
        if let Some(inner) = &self.0 {
            inner.write(entry, None);
        }
    }

    /// Tells of one event that may come as often as others want: the first of its `group` in a minute has a line, and at the
    /// minute's end the further ones are a number.
    fn grouped(&self, entry: &Entry<'_>, group: &impl Hash) {
        if let Some(inner) = &self.0
            && inner.groups.lock().admits(entry, group, Instant::now())
        {
            inner.write(entry, None);
        }
    }

    /// Tells how many events had no line of their own, of the groups whose minute is over, or of all.
    fn tell_left_out(&self, all: bool) {
        let Some(inner) = &self.0 else {
            return;
        };
        let due = inner.groups.lock().due(Instant::now(), all);
        let nothing = What::default();
        for left_out in due {
            let what = left_out.what.as_deref().unwrap_or(&nothing);
            let entry = Entry {
                who: &left_out.who,
                address: left_out.address,
                reason: left_out.reason,
                ..Entry::of(left_out.event, what, left_out.outcome)
            };
            inner.write(&entry, Some(left_out.count));
        }
    }

    /// Tells of what had no line of its own, a minute after the first that had. Never ends.
    pub async fn run(self) {
        let mut ticks = tokio::time::interval(LOOK);
        loop {
            ticks.tick().await;
            self.tell_left_out(false);
        }
    }

    /// Tells that this instance did what another one was asked for by `who`.
    pub fn done(&self, event: Event, who: &str, what: &What) {
        let outcome = Outcome::Done;
        self.note(&Entry {
            who,
            ..Entry::of(event, what, outcome)
        });
    }

    /// Lines lost since the start: the queue was full, or the write failed.
    pub fn lost(&self) -> u64 {
        self.0.as_ref().map_or(0, |inner| inner.lines.lost.count())
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
