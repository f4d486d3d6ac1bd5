//! What the NATS server refuses this instance: a text for subscriptions, and the kinds of messages whose publishes it
//! refused recently. No text for people contains the whole subject of a publish, which may name a user.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use async_nats::{RefusedSubscriptions, ServerError};
use parking_lot::Mutex;

use crate::bus::subject::{INBOX, Prefix};

/// How long a refused publish is shown. The server does not confirm a publish that it accepts, so the end of the
/// problem cannot be seen.
const SHOWN: Duration = Duration::from_secs(60);
/// How many of the last refused subjects are kept.
const SUBJECTS_MAX: usize = 64;
/// The subjects below its prefix to which an instance publishes.
const KINDS: [&str; 7] = ["broadcast", "user", "app", "control", "event", "auth", REPLY];
const REPLY: &str = "reply";
/// The subjects with which history sends requests to JetStream, and answers its flow control.
const JETSTREAM: &str = "$JS.";

/// How many subscriptions are refused; those over the server's limit, which it does not name, count as 1.
pub(super) fn count(refused: &RefusedSubscriptions) -> u64 {
    refused.subjects.len() as u64 + u64::from(refused.over_limit)
}

/// One line for each refused subscription.
pub(super) fn words(refused: &RefusedSubscriptions) -> Vec<String> {
    let mut words: Vec<String> = refused
        .subjects
        .iter()
        .map(|subject| {
            format!(
                "NATS does not permit this user to subscribe to {}",
                permission(subject)
            )
        })
        .collect();
    if refused.over_limit {
        words.push("NATS allows this user fewer subscriptions than an instance needs, which are six".into());
    }
    words
}

/// A permission that would allow `subject`. An inbox stays secret: it ends in a random token and `*`.
pub(super) fn permission(subject: &str) -> Cow<'_, str> {
    let inbox = subject
        .strip_suffix(".*")
        .and_then(|inbox| inbox.rsplit_once('.'));
    inbox.map_or(subject.into(), |(above, _)| format!("{above}.>").into())
}

/// Whether the error is one that the client keeps as [`RefusedSubscriptions`].
pub(super) fn is_refused_subscription(error: &ServerError) -> bool {
    let ServerError::Other(text) = error else {
        return false;
    };
    let text = text.to_ascii_lowercase();
    text.starts_with("permissions violation for subscription to ") || text == "maximum subscriptions exceeded"
}

/// When the server last refused a publish of each kind.
pub(super) struct RefusedPublishes {
    prefix: Box<str>,
    last: Mutex<[Option<Instant>; KINDS.len() + 1]>,
    jetstream: Mutex<Option<Instant>>,
    /// The last subjects, newest first.
    subjects: Mutex<VecDeque<(Instant, Box<str>)>>,
}

impl RefusedPublishes {
    /// An empty record.
    pub(super) fn new(prefix: &Prefix) -> Self {
        Self {
            prefix: format!("{prefix}.").into(),
            last: Mutex::default(),
            jetstream: Mutex::default(),
            subjects: Mutex::default(),
        }
    }

    /// Remembers `error`, if it is the refusal of a publish.
    pub(super) fn note(&self, error: &ServerError) {
        if let ServerError::Other(text) = error {
            self.note_at(text, Instant::now());
        }
    }

    fn note_at(&self, text: &str, now: Instant) {
        const BEGINNING: &str = "permissions violation for publish to \"";
        let Some((beginning, subject)) = text.split_at_checked(BEGINNING.len()) else {
            return;
        };
        if !beginning.eq_ignore_ascii_case(BEGINNING) {
            return;
        }
        let exact = subject.split('"').next().unwrap_or_default();
        let mut subjects = self.subjects.lock();
        subjects.retain(|(_, held)| **held != *exact);
        subjects.push_front((now, exact.into()));
        subjects.truncate(SUBJECTS_MAX);
        drop(subjects);
        if subject.starts_with(JETSTREAM) {
            *self.jetstream.lock() = Some(now);
        }
        let kind = match subject.strip_prefix(&*self.prefix) {
            Some(below) => KINDS
                .iter()
                .position(|kind| below.strip_prefix(kind).is_some_and(|rest| rest.starts_with('.'))),
            None => subject.starts_with(INBOX).then_some(KINDS.len()),
        };
        if let Some(kind) = kind {
            self.last.lock()[kind] = Some(now);
        }
    }

    /// Whether a publish to exactly this subject was refused since then. The server reports it separately from the
    /// answers.
    pub(super) fn is_refused_since(&self, subject: &str, since: Instant) -> bool {
        let subjects = self.subjects.lock();
        let mut lately = subjects.iter().take_while(|(at, _)| *at >= since);
        lately.any(|(_, refused)| **refused == *subject)
    }

    /// Whether a message to this instance's own inbox was refused recently.
    pub(super) fn is_reply_refused(&self) -> bool {
        let last = *self.last.lock();
        let replies = KINDS.iter().zip(last).filter(|(kind, _)| **kind == REPLY);
        let mut times = replies.filter_map(|(_, at)| at);
        times.any(|at| at.elapsed() < SHOWN)
    }

    /// One line for each kind of publish that was refused within the last minute.
    pub(super) fn recent(&self) -> Vec<String> {
        self.recent_at(Instant::now())
    }

    fn recent_at(&self, now: Instant) -> Vec<String> {
        let last = *self.last.lock();
        let is_recent = |at: &Option<Instant>| at.is_some_and(|at| now.saturating_duration_since(at) < SHOWN);
        let subjects = KINDS
            .iter()
            .map(|kind| format!("{}{kind}.>", self.prefix))
            .chain([format!("{INBOX}>")]);
        // An instance that may use the reply subject needs no inbox.
        let is_reply_refused = KINDS
            .iter()
            .zip(&last)
            .any(|(kind, at)| *kind == REPLY && is_recent(at));
        let needed = if is_reply_refused { KINDS.len() } else { last.len() };
        let jetstream = (*self.jetstream.lock(), format!("{JETSTREAM}>"));
        let last = last.into_iter().take(needed).zip(subjects);
        last.chain([jetstream])
            .filter(|(at, _)| is_recent(at))
            .map(|(_, subject)| {
                format!("NATS did not permit this user to publish to {subject} within the last minute")
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_publishes_are_named_by_kind_for_a_minute() {
        let refused = RefusedPublishes::new(&"ab".parse().unwrap());
        let start = Instant::now();
        for subject in [
            "ab.user.alice.queue.x",
            "_INBOX.01.02",
            "$JS.API.STREAM.INFO.AB_USER",
            "ab.users.x",
            "a.c.broadcast.x",
            "elsewhere",
        ] {
            refused.note_at(
                &format!("Permissions Violation for Publish to \"{subject}\""),
                start,
            );
        }
        let is_refused = |subject| refused.is_refused_since(subject, start);
        assert!(is_refused("ab.user.alice.queue.x") && !is_refused("ab.user.alice.queue"));
        assert!(!refused.is_refused_since("elsewhere", start + Duration::from_millis(1)));
        refused.note_at("Permissions Violation for Subscription to \"ab.app.x\"", start);
        refused.note_at("ä", start);
        let shown = refused.recent_at(start + Duration::from_secs(59));
        assert_eq!(shown.len(), 3, "{shown:?}");
        assert!(
            shown[0].contains(" ab.user.> ")
                && shown[1].contains(" _INBOX.> ")
                && shown[2].contains(" $JS.> "),
            "{shown:?}"
        );
        assert!(refused.recent_at(start + SHOWN).is_empty());
        refused.note_at("Permissions Violation for Publish to \"ab.reply.01.02\"", start);
        let shown = refused.recent_at(start);
        assert!(shown.len() == 3 && shown[1].contains(" ab.reply.> "), "{shown:?}");
    }

    #[test]
    fn refused_subscriptions_are_the_clients_to_keep() {
        for (text, expected) in [
            ("Permissions Violation for Subscription to \"a.>\"", true),
            (
                "permissions violation for subscription to \"a.>\" (sid \"3\")",
                true,
            ),
            ("maximum subscriptions exceeded", true),
            ("Permissions Violation for Publish to \"a\"", false),
            ("", false),
        ] {
            assert_eq!(
                is_refused_subscription(&ServerError::Other(text.into())),
                expected,
                "{text}"
            );
        }
    }
}
