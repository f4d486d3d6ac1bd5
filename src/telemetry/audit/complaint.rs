//! Limits the log lines about the audit, which anybody who fills a disk could provoke, to one a minute. Knows nothing
//! of their content.

use std::time::{Duration, Instant};

/// Tells the log that a line could not be written.
pub(super) fn complainant() -> impl FnMut(&std::io::Error) + Send {
    let mut complaint = Complaint::default();
    move |error| {
        if let Some(left_out) = complaint.pass() {
            tracing::warn!(%error, left_out, "a line of the audit cannot be written and is lost (audit.file)");
        }
    }
}

const PAUSE: Duration = Duration::from_secs(60);

/// Admits one line a minute, and counts the others.
#[derive(Debug, Default)]
pub(super) struct Complaint {
    said: Option<Instant>,
    left_out: u64,
}

impl Complaint {
    /// `Some`: say it. Holds how many were left out since the last one.
    pub(super) fn pass(&mut self) -> Option<u64> {
        self.pass_at(Instant::now())
    }

    fn pass_at(&mut self, now: Instant) -> Option<u64> {
        if self.said.is_some_and(|said| now.duration_since(said) < PAUSE) {
            self.left_out += 1;
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_minute() {
        let mut complaint = Complaint::default();
        let start = Instant::now();
        let said = [0, 1, 59, 60, 150].map(|seconds| complaint.pass_at(start + Duration::from_secs(seconds)));
        assert_eq!(said, [Some(0), None, None, Some(2), Some(0)]);
    }
}
