//! The promise: with replicas, which may lag or have expired more than the leader, a replay proves its back and its front.

use super::*;

#[test]
fn with_replicas_the_back_is_proven_first() {
    let tail = tail(10, &[word('b', 11)]);
    let mut reading = reading(&tail, request(4, 11), REPLICATED);
    let back = Ask::Back {
        target: &'a',
        witness: &'b',
    };
    assert_eq!(reading.ask(), back);
    // A replica that lags proves nothing; the leader still has the gap.
    for witness in [None, Some(10)] {
        reading.back(Some(6), witness);
        assert_eq!(reading.ask(), Ask::Info);
        assert_eq!(reading.info(stream(5, 11)), None);
        assert_eq!(reading.ask(), back);
    }
    reading.back(Some(6), None);
    let expired = reading.clone().info(stream(6, 11));
    assert_eq!(expired, Some(Err(Unrecovered::PositionExpired)));
    assert_eq!(reading.info(stream(5, 11)), None);
    // Nothing of the target is in the gap.
    for target in [None, Some(3), Some(4)] {
        let mut reading = reading.clone();
        reading.back(target, Some(11));
        assert_eq!(reading.ask(), Ask::Info);
        assert_eq!(ids(reading.info(stream(3, 11)).unwrap()), Ok(vec![]));
    }
    // Pages go on until the last one is met.
    reading.back(Some(8), Some(12));
    assert_eq!(
        reading.ask(),
        Ask::Page {
            target: &'a',
            from: 4
        }
    );
    assert_eq!(reading.page(page(&[6], true)), None);
    assert_eq!(reading.ask(), back, "that replica lags");
    reading.back(Some(8), Some(12));
    assert_eq!(
        reading.ask(),
        Ask::Page {
            target: &'a',
            from: 6
        }
    );
    assert_eq!(reading.page(page(&[6, 8], true)), None);
    assert_eq!(ids(reading.info(stream(3, 11)).unwrap()), Ok(vec![6, 8]));
}

#[test]
fn with_replicas_the_front_has_to_come_back_or_be_far_enough_away() {
    let tail = tail(10, &[word('b', 11)]);
    let begin = || {
        let mut reading = reading(&tail, request(4, 11), REPLICATED);
        reading.back(Some(8), Some(11));
        reading
    };
    // `after` is a message of the target.
    let mut reading = begin();
    assert_eq!(reading.page(page(&[4, 6], false)), None);
    assert_eq!(
        reading.ask(),
        Ask::Page {
            target: &'a',
            from: 6
        }
    );
    let expired = reading.clone().page(page(&[8], true));
    assert_eq!(expired, Some(Err(Unrecovered::PositionExpired)));
    assert_eq!(reading.page(page(&[6, 8], true)), None);
    assert_eq!(ids(reading.info(stream(5, 11)).unwrap()), Ok(vec![6, 8]));
    // It is not, or it has expired at that replica.
    let mut reading = begin();
    assert_eq!(reading.page(page(&[6, 8], true)), None);
    let expired = reading.clone().info(stream(4, 11));
    assert_eq!(expired, Some(Err(Unrecovered::PositionExpired)));
    assert_eq!(ids(reading.info(stream(3, 11)).unwrap()), Ok(vec![6, 8]));
}

#[test]
fn with_replicas_an_empty_gap_proves_nothing_once_its_front_has_expired() {
    let tail = tail(10, &[word('b', 11)]);
    let mut reading = reading(&tail, request(4, 11), REPLICATED);
    reading.back(Some(8), Some(11));
    assert_eq!(reading.page(page(&[4], true)), None);
    // What the first replica had is gone by now, and perhaps what was behind it.
    reading.back(None, Some(11));
    assert_eq!(reading.ask(), Ask::Info);
    assert_eq!(
        reading.info(stream(5, 11)),
        Some(Err(Unrecovered::PositionExpired))
    );
}

#[test]
fn with_replicas_an_empty_tail_has_no_witness() {
    let tail = tail(10, &[]);
    let mut reading = reading(&tail, request(4, 10), REPLICATED);
    assert_eq!(reading.ask(), Ask::Info);
    let expired = reading.clone().info(stream(6, 10));
    assert_eq!(expired, Some(Err(Unrecovered::PositionExpired)));
    assert_eq!(reading.info(stream(5, 10)), Some(Err(Unrecovered::Unavailable)));
}
