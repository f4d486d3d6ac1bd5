//! The headers by which JetStream knows a publish again, and those by which it says where a message is stored. Knows no
//! stream by name and no connection.
//!
//! What a direct get answers has the publisher's own headers first and JetStream's behind them, so of a name that stands
//! there twice the last counts: no publisher can say where its message is stored.

use async_nats::header::{
    HeaderName, HeaderValue, NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL, NATS_BATCH_ID, NATS_BATCH_SEQUENCE,
    NATS_EXPECTED_LAST_MESSAGE_ID, NATS_EXPECTED_STREAM, NATS_LAST_CONSUMER, NATS_LAST_SEQUENCE,
    NATS_MESSAGE_ID, NATS_SEQUENCE, NATS_STREAM, NATS_SUBJECT, NATS_TIME_STAMP,
};
use async_nats::{HeaderMap, Message};
use ulid::Ulid;

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

/// Adds to `headers` that the message is for `stream` alone, and that it is the one with the id `id`, however often it comes.
/// `id` is of ASCII graphic characters.
pub(in crate::bus) fn for_stream(headers: &mut HeaderMap, stream: &str, id: &str) {
    add(headers, NATS_EXPECTED_STREAM, stream);
    add(headers, NATS_MESSAGE_ID, id);
}

/// Adds the message's place in a batch.
pub(in crate::bus) fn in_batch(headers: &mut HeaderMap, batch: Batch<'_>) {
    add(headers, NATS_BATCH_ID, batch.id);
    add(headers, NATS_BATCH_SEQUENCE, &batch.number.to_string());
    if batch.is_last {
        add(headers, NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL);
    }
}

/// The headers of a message that is never stored: it asks only whether one with the id `id` is.
pub(in crate::bus) fn asking_for(stream: &str, id: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for_stream(&mut headers, stream, id);
    // No stream has that id. JetStream looks for the other one first.
    add(
        &mut headers,
        NATS_EXPECTED_LAST_MESSAGE_ID,
        &Ulid::new().to_string(),
    );
    headers
}

fn add(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = value.parse::<HeaderValue>() {
        #[expect(
            clippy::disallowed_methods,
            reason = "a name of NATS's own and a value that was parsed"
        )]
        headers.insert(name, value);
    }
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
    let headers = message.headers.as_ref()?;
    let text = |name: HeaderName| headers.get_last(name).map(HeaderValue::as_str);
    Some(StoredAt {
        sequence: text(NATS_SEQUENCE)?.parse().ok()?,
        previous: text(NATS_LAST_SEQUENCE)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0),
        time: text(NATS_TIME_STAMP)?.to_owned(),
        subject: text(NATS_SUBJECT)?.to_owned(),
        is_cut_off: headers.get(NATS_STREAM).is_none(),
    })
}

/// What JetStream says at the end of a batch: how many messages would follow, and the last sequence that it sent.
pub(in crate::bus) fn end_of_batch(message: &Message) -> Option<(u64, u64)> {
    let headers = message.headers.as_ref()?;
    let number = |name: HeaderName| headers.get_last(name)?.as_str().parse::<u64>().ok();
    Some((
        number(HeaderName::from_static(NUM_PENDING))?,
        number(NATS_LAST_SEQUENCE).unwrap_or(0),
    ))
}

/// The last number of the consumer's own sequence, as its heartbeat says; and the subject to answer on where it waits for
/// flow control.
pub(in crate::bus) fn heartbeat(message: &Message) -> Option<(u64, Option<String>)> {
    let headers = message.headers.as_ref()?;
    let last = headers.get_last(NATS_LAST_CONSUMER)?.as_str().parse().ok()?;
    let stalled = headers.get_last(HeaderName::from_static(CONSUMER_STALLED));
    Some((last, stalled.map(|subject| subject.as_str().to_owned())))
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
        let mut headers = HeaderMap::new();
        for_stream(&mut headers, "S", "id");
        in_batch(
            &mut headers,
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
