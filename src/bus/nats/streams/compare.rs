//! Describes in words where a stream's configuration differs from what is required. Pure.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use super::{Plan, nanoseconds};

/// A NATS server's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::bus::nats) struct Version(u32, u32, u32);

impl Version {
    /// The first version with batches of direct gets.
    pub(in crate::bus::nats) const LEAST: Self = Self(2, 11, 0);
    /// The first version whose atomic batches recognize duplicates.
    pub(in crate::bus::nats) const ATOMIC: Self = Self(2, 12, 1);

    /// The version in `text`, such as `2.12.8` or `2.14.0-RC.1`. A text that cannot be read counts as older than all
    /// others.
    pub(in crate::bus::nats) fn parse(text: &str) -> Self {
        let release = text.split(['-', '+']).next().unwrap_or_default();
        let mut numbers = release
            .trim_start_matches('v')
            .split('.')
            .map(|number| number.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        Self(next(), next(), next())
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// The differences, a line each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::bus::nats) struct Report {
    /// Those that would break a promise: the instance is not ready.
    pub(in crate::bus::nats) not_ready: Vec<String>,
    /// Limits that differ from the configuration.
    pub(in crate::bus::nats) drift: Vec<String>,
}

impl Report {
    /// Whether nothing differs.
    pub(in crate::bus::nats) fn is_empty(&self) -> bool {
        self.not_ready.is_empty() && self.drift.is_empty()
    }
}

/// What a difference means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weight {
    NotReady,
    Drift,
}

/// Fields that are compared unchanged, with the value of a field that JetStream leaves out, and what a difference
/// means. Differences that create gaps inside a stream, or prevent reading it, break promises.
const FIELDS: [(&str, Absent, Weight); 14] = [
    ("storage", Absent::Null, Weight::NotReady),
    ("retention", Absent::Null, Weight::NotReady),
    ("allow_direct", Absent::False, Weight::NotReady),
    ("max_msgs_per_subject", Absent::Unlimited, Weight::NotReady),
    ("allow_rollup_hdrs", Absent::False, Weight::NotReady),
    ("allow_msg_ttl", Absent::False, Weight::NotReady),
    ("allow_atomic", Absent::False, Weight::Drift),
    ("discard", Absent::Null, Weight::Drift),
    ("deny_delete", Absent::False, Weight::Drift),
    ("num_replicas", Absent::Null, Weight::Drift),
    ("max_age", Absent::Zero, Weight::Drift),
    ("max_bytes", Absent::Unlimited, Weight::Drift),
    ("max_msgs", Absent::Unlimited, Weight::Drift),
    ("max_msg_size", Absent::Unlimited, Weight::Drift),
];
/// Fields that must be absent: they take messages from elsewhere, or prevent publishes from being stored and
/// acknowledged.
const FORBIDDEN: [&str; 5] = ["mirror", "sources", "subject_transform", "sealed", "no_ack"];

#[derive(Clone, Copy)]
enum Absent {
    Null,
    False,
    Zero,
    Unlimited,
}

impl Absent {
    /// The value that a missing or equivalent one stands for.
    fn fill(self, value: Option<&Value>) -> Value {
        match (self, value) {
            (Self::False, None) => json!(false),
            (Self::Zero, None) => json!(0),
            // JetStream writes "unlimited" as −1, and accepts 0 for it.
            (Self::Unlimited, None) => json!(-1),
            (Self::Unlimited, Some(value)) if value.as_i64() == Some(0) => json!(-1),
            (_, value) => value.cloned().unwrap_or(Value::Null),
        }
    }
}

impl Plan {
    /// What `found`, the stream's configuration according to JetStream, has but must not have, or lacks.
    pub(in crate::bus::nats) fn compare(&self, found: &Map<String, Value>, version: Version) -> Report {
        let wanted = self.wanted(version);
        let mut report = Report::default();
        let name = &self.name;
        for (field, absent, weight) in FIELDS {
            // Fields that this server does not know are not required.
            let Some(wanted) = wanted.get(field) else { continue };
            let has = absent.fill(found.get(field));
            if has != absent.fill(Some(wanted)) {
                report.note(
                    weight,
                    format!("the stream {name} has {field} {has}, expected {wanted}"),
                );
            }
        }
        for field in FORBIDDEN {
            if found.get(field).is_some_and(is_set) {
                report.note(
                    Weight::NotReady,
                    format!("the stream {name} has {field}, which it must not have"),
                );
            }
        }
        self.compare_window(found, &mut report);
        self.compare_subjects(found, &mut report);
        report
    }

    fn compare_window(&self, found: &Map<String, Value>, report: &mut Report) {
        let name = &self.name;
        let has = found.get("duplicate_window").and_then(Value::as_u64).unwrap_or(0);
        let wanted = nanoseconds(self.duplicate_window.min(self.age));
        let least = nanoseconds(self.duplicate_window_min);
        let weight = match has.cmp(&wanted) {
            Ordering::Equal if has >= least => return,
            _ if has < least => Weight::NotReady,
            _ => Weight::Drift,
        };
        report.note(
            weight,
            format!("the stream {name} has duplicate_window {has} ns, expected {wanted} ns, and {least} ns at least"),
        );
    }

    fn compare_subjects(&self, found: &Map<String, Value>, report: &mut Report) {
        let name = &self.name;
        let has: Vec<&str> = found
            .get("subjects")
            .and_then(Value::as_array)
            .map(|all| all.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        for wanted in &self.subjects {
            if !has.iter().any(|has| covers(has, wanted)) {
                report.note(
                    Weight::NotReady,
                    format!("the stream {name} does not have the subjects {wanted}"),
                );
            }
        }
        for has in has {
            if !self.subjects.iter().any(|wanted| wanted == has) {
                let has: String = has.escape_debug().take(200).collect();
                report.note(
                    Weight::Drift,
                    format!("the stream {name} has the subjects {has} too"),
                );
            }
        }
    }
}

impl Report {
    fn note(&mut self, weight: Weight, words: String) {
        match weight {
            Weight::NotReady => self.not_ready.push(words),
            Weight::Drift => self.drift.push(words),
        }
    }
}

fn is_set(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(all) => !all.is_empty(),
        _ => true,
    }
}

/// Whether `pattern` matches every subject that `wanted` matches.
fn covers(pattern: &str, wanted: &str) -> bool {
    let (mut pattern, mut wanted) = (pattern.split('.'), wanted.split('.'));
    loop {
        match (pattern.next(), wanted.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some("*"), Some(token)) if token != ">" => {}
            (Some(token), Some(other)) if token == other => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_ordered() {
        let version = Version::parse;
        assert!(version("2.12.8") >= Version::ATOMIC && version("2.12.0") < Version::ATOMIC);
        assert!(version("2.11.0-RC.1") >= Version::LEAST && version("v3.0") > Version::ATOMIC);
        for old in ["2.10.29", "", "x", "2", "-1.2"] {
            assert!(version(old) < Version::LEAST, "{old}");
        }
        assert_eq!(version("2.14.6").to_string(), "2.14.6");
    }

    #[test]
    fn a_pattern_covers_what_it_matches() {
        for (pattern, wanted) in [
            ("h.user.>", "h.user.>"),
            ("h.>", "h.user.>"),
            (">", "h.user.>"),
            ("h.*.>", "h.user.>"),
            ("h.broadcast.>", "h.broadcast.topic.>"),
        ] {
            assert!(covers(pattern, wanted), "{pattern} {wanted}");
        }
        for (pattern, wanted) in [
            ("h.user.*", "h.user.>"),
            ("h.broadcast.topic.>", "h.broadcast.>"),
            ("h.user", "h.user.>"),
            ("h.user.>", "h.user"),
            ("other.>", "h.user.>"),
            ("h.user.x.>", "h.user.>"),
        ] {
            assert!(!covers(pattern, wanted), "{pattern} {wanted}");
        }
    }
}
