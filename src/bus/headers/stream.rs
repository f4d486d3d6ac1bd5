//! The headers by which JetStream recognizes a repeated publish, and those by which it says where a message is stored.
//! Knows no stream by name and no connection.
//!
//! The answer to a direct get has the publisher's own headers first and JetStream's after them, so the last one of a
//! repeated name counts: no publisher can say where its message is stored.

use async_nats::header::{
    HeaderName, NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL, NATS_BATCH_ID, NATS_BATCH_SEQUENCE,
    NATS_EXPECTED_LAST_MESSAGE_ID, NATS_EXPECTED_STREAM, NATS_LAST_CONSUMER, NATS_LAST_SEQUENCE,
    NATS_MESSAGE_ID, NATS_SEQUENCE, NATS_STREAM, NATS_SUBJECT, NATS_TIME_STAMP,
};
use async_nats::{HeaderMap, Message};
use ulid::Ulid;

use super::Writer;

const NUM_PENDING: &str = "Nats-Num-Pending";
const CONSUMER_STALLED: &str = "Nats-Consumer-Stalled";

/// One message of a batch that is stored whole or not at all.
#[derive(Debug, Clone, Copy)]
pub(in crate::bus) struct Batch<'a> {
    /// The batch's own id.
    pub id: &'a str,
    /// The message's place in it, from 1.
    pub number: usize,
    /// Whether it is the last.
    pub is_last: bool,
}

/// Adds that the message is for `stream` alone, and that it is the one with the id `id`.
pub(super) fn for_stream(out: &mut Writer, stream: &str, id: &str) {
    add(out, NATS_EXPECTED_STREAM, stream);
    add(out, NATS_MESSAGE_ID, id);
}

/// The id of a stored message, if it has one.
pub(in crate::bus) fn stored_id(headers: &HeaderMap) -> Option<&str> {
    // Every message that is read is asked for it: no map is made of its lines.
    let wanted: &str = NATS_MESSAGE_ID.as_ref();
    let mut lines = headers.iter_lines();
    lines.find(|(name, _)| *name == wanted).map(|(_, id)| id)
}

/// `headers`, and the message's place in a batch.
pub(in crate::bus) fn in_batch(headers: &HeaderMap, batch: Batch<'_>) -> HeaderMap {
    let mut out = Writer::default();
    for (name, value) in headers.iter_lines() {
        out.plain(name, value);
    }
    add(&mut out, NATS_BATCH_ID, batch.id);
    add(&mut out, NATS_BATCH_SEQUENCE, &batch.number.to_string());
    if batch.is_last {
        add(&mut out, NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL);
    }
    out.finish()
}

/// The headers of a message that is never stored: it asks only whether one with the id `id` is.
pub(in crate::bus) fn asking_for(stream: &str, id: &str) -> HeaderMap {
    let mut out = Writer::default();
    for_stream(&mut out, stream, id);
    // No stream has that id. JetStream looks for the other one first.
    add(&mut out, NATS_EXPECTED_LAST_MESSAGE_ID, &Ulid::new().to_string());
    out.finish()
}

fn add(out: &mut Writer, name: HeaderName, value: &str) {
    out.plain(name.as_ref(), value);
}

/// The last value of each of these names.
fn last<const N: usize>(headers: &HeaderMap, names: [HeaderName; N]) -> [Option<&str>; N] {
    let mut found = [None; N];
    for (name, value) in headers.iter_lines() {
        for (wanted, found) in names.iter().zip(&mut found) {
            if AsRef::<str>::as_ref(wanted) == name {
                *found = Some(value);
            }
        }
    }
    found
}

/// Where a message that a direct get answers is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::bus) struct StoredAt {
    /// Its sequence.
    pub sequence: u64,
    /// The sequence of the one before it in the same answer, or 0.
    pub previous: u64,
    /// Its time stamp, as RFC 3339.
    pub time: String,
    /// Its subject.
    pub subject: String,
    /// Whether the publisher's header block does not end as it has to.
    pub is_cut_off: bool,
}

/// Where the message is stored. `None`: it is no stored message, but a word of JetStream's own.
///
/// JetStream's first line continues the publisher's last one where the publisher's block does not end as it has to.
pub(in crate::bus) fn stored_at(message: &Message) -> Option<StoredAt> {
    let names = [
        NATS_SEQUENCE,
        NATS_LAST_SEQUENCE,
        NATS_TIME_STAMP,
        NATS_SUBJECT,
        NATS_STREAM,
    ];
    let [sequence, previous, time, subject, stream] = last(message.headers.as_ref()?, names);
    Some(StoredAt {
        sequence: sequence?.parse().ok()?,
        previous: previous.and_then(|text| text.parse().ok()).unwrap_or(0),
        time: time?.to_owned(),
        subject: subject?.to_owned(),
        is_cut_off: stream.is_none(),
    })
}

/// What JetStream says at the end of a batch: how many messages would follow, and the last sequence that it sent.
pub(in crate::bus) fn end_of_batch(message: &Message) -> Option<(u64, u64)> {
    let names = [HeaderName::from_static(NUM_PENDING), NATS_LAST_SEQUENCE];
    let [pending, sent] = last(message.headers.as_ref()?, names);
    let number = |text: Option<&str>| text?.parse::<u64>().ok();
    Some((number(pending)?, number(sent).unwrap_or(0)))
}

/// The last number of the consumer's own sequence, as its heartbeat says; and the subject to answer on where it waits for
/// flow control.
pub(in crate::bus) fn heartbeat(message: &Message) -> Option<(u64, Option<String>)> {
    let names = [NATS_LAST_CONSUMER, HeaderName::from_static(CONSUMER_STALLED)];
    let [last, stalled] = last(message.headers.as_ref()?, names);
    Some((last?.parse().ok()?, stalled.map(str::to_owned)))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn message(headers: &[(&'static str, &str)]) -> Message {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            #[expect(clippy::disallowed_methods, reason = "the texts are the test's own")]
            map.append(*name, *value);
        }
        Message {
            subject: "inbox".into(),
            reply: None,
            payload: Bytes::new(),
            headers: Some(map),
            status: None,
            description: None,
            length: 0,
        }
    }

    #[test]
    fn no_publisher_says_where_its_message_is_stored() {
        let stored = message(&[
            ("Nats-Sequence", "999"),
            ("Nats-Subject", "herald.user.mallory.x"),
            ("Nats-Subject", "herald.user.anna.x"),
            ("Nats-Sequence", "7"),
            ("Nats-Time-Stamp", "2025-11-28T15:38:13Z"),
            ("Nats-Last-Sequence", "5"),
        ]);
        let at = stored_at(&stored).unwrap();
        assert_eq!(
            (at.sequence, at.previous, &*at.subject),
            (7, 5, "herald.user.anna.x")
        );
        assert!(at.is_cut_off);
        assert_eq!(stored_at(&message(&[("Nats-Num-Pending", "0")])), None);
        assert_eq!(
            end_of_batch(&message(&[
                ("Nats-Num-Pending", "3"),
                ("Nats-Last-Sequence", "9")
            ])),
            Some((3, 9))
        );
        assert_eq!(end_of_batch(&message(&[("Nats-Num-Pending", "-1")])), None);
    }

    #[test]
    fn a_heartbeat_says_how_far_the_consumer_is() {
        let beat = message(&[
            ("Nats-Last-Consumer", "12"),
            ("Nats-Consumer-Stalled", "$JS.FC.X"),
        ]);
        assert_eq!(heartbeat(&beat), Some((12, Some("$JS.FC.X".into()))));
        assert_eq!(
            heartbeat(&message(&[("Nats-Last-Consumer", "12")])),
            Some((12, None))
        );
        assert_eq!(heartbeat(&message(&[])), None);
    }

    #[test]
    fn a_publish_is_known_again() {
        let mut out = Writer::default();
        for_stream(&mut out, "S", "id");
        let headers = in_batch(
            &out.finish(),
            Batch {
                id: "b",
                number: 2,
                is_last: true,
            },
        );
        for (name, value) in [
            ("Nats-Expected-Stream", "S"),
            ("Nats-Msg-Id", "id"),
            ("Nats-Batch-Id", "b"),
            ("Nats-Batch-Sequence", "2"),
            ("Nats-Batch-Commit", "1"),
        ] {
            assert_eq!(headers.get(name).unwrap().as_str(), value);
        }
        assert!(asking_for("S", "id").get("Nats-Expected-Last-Msg-Id").is_some());
    }
}
