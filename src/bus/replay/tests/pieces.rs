//! The promise: a replay may be read in pieces, and each later piece reads itself and no more than its proof needs.

use super::*;

#[test]
fn a_replay_comes_in_pieces_each_from_where_the_last_one_ended() {
    let mut words: Vec<Word> = (1..=6).map(|id| word('a', id)).collect();
    // Replaced by one of another piece.
    (words[1].key, words[5].key) = (Some("x"), Some("x"));
    // Larger than a piece.
    words[3].bytes = 500;
    let tail = tail(0, &words);
    let piece = |after| {
        let request = Request {
            caps: Caps {
                messages: 5,
                bytes: 540,
            },
            piece: 20,
            ..request(after, 6)
        };
        let Replay::Done(Ok(missed)) = begin(&tail, request, Storage::Single) else {
            panic!("in the tail");
        };
        let reaches = missed.reaches(at(6), |word| Some(at(word.id)));
        let ids: Vec<u64> = missed.messages.iter().map(|word| word.id).collect();
        (missed.count(), missed.behind, ids, reaches)
    };
    assert_eq!(piece(0), (5, 3, vec![1, 3], Some(at(3))));
    assert_eq!(piece(3), (3, 2, vec![4], Some(at(4))));
    assert_eq!(piece(4), (2, 0, vec![5, 6], Some(at(6))));
    assert_eq!(piece(6), (0, 0, vec![], Some(at(6))));
}

#[test]
fn a_later_piece_reads_itself_and_no_more() {
    let tail = tail(10, &[word('a', 11)]);
    let begun = reading(&tail, rest(4), Storage::Single);
    let page_from = |from| Ask::Page { target: &'a', from };
    assert_eq!(begun.ask(), page_from(5));
    // Two words are a piece; the third one says that it is not the last.
    let mut reading = begun.clone();
    assert_eq!(reading.page(page(&[5, 6], false)), None);
    assert_eq!(reading.ask(), page_from(7));
    assert_eq!(reading.page(page(&[7, 8, 9], false)), None);
    assert_eq!(reading.ask(), Ask::Info);
    assert_eq!(of_piece(reading.clone().info(stream(5, 11))), (vec![5, 6], 1, 2));
    let ends = |info| reading.clone().info(info).unwrap().unwrap_err();
    assert_eq!(ends(stream(6, 11)), Unrecovered::PositionExpired);
    assert_eq!(ends(stream(5, 10)), Unrecovered::EpochChanged);
    // The gap ends before.
    let mut reading = begun.clone();
    assert_eq!(reading.page(page(&[5], true)), None);
    assert_eq!(of_piece(reading.info(stream(5, 11))), (vec![5, 11], 0, 1));
    let mut reading = begun.clone();
    assert_eq!(reading.page(page(&[5, 6, 11], false)), None);
    assert_eq!(of_piece(reading.info(stream(5, 11))), (vec![5, 6], 1, 2));
    // What is stale fills nothing, and one word always fits.
    let mut reading = begun;
    let mut some = page(&[5, 6, 7, 8], false);
    for (at, expires, bytes) in [(0, 100, 500), (1, 101, 500), (2, 100, 10), (3, 101, 10)] {
        let word = some.messages[at].1.as_mut().unwrap();
        (word.expires, word.bytes) = (expires, bytes);
    }
    assert_eq!(reading.page(some), None);
    assert_eq!(reading.ask(), Ask::Info);
    assert_eq!(of_piece(reading.info(stream(5, 11))), (vec![6], 1, 1));
}

#[test]
fn a_later_piece_with_a_collapse_key_reads_the_whole_gap() {
    let tail = tail(10, &[word('b', 11)]);
    let mut reading = reading(&tail, rest(4), Storage::Single);
    let mut some = page(&[5, 6, 7, 8], false);
    some.messages[0].1.as_mut().unwrap().key = Some("x");
    assert_eq!(reading.page(some), None);
    assert_eq!(
        reading.ask(),
        Ask::Page {
            target: &'a',
            from: 9
        }
    );
    let mut last = page(&[9], true);
    last.messages[0].1.as_mut().unwrap().key = Some("x");
    assert_eq!(reading.page(last), None);
    let mut whole = reading.clone();
    whole.request.caps.messages = 4;
    assert_eq!(of_piece(whole.info(stream(5, 11))), (vec![6, 7], 2, 2));
    assert_eq!(reading.info(stream(5, 11)), Some(Err(Unrecovered::TooMany)));
}

#[test]
fn with_replicas_a_later_piece_proves_its_front_alone() {
    let tail = tail(10, &[word('b', 11)]);
    let begun = reading(&tail, rest(4), REPLICATED);
    let page_from = |from| Ask::Page { target: &'a', from };
    assert_eq!(
        begun.ask(),
        page_from(4),
        "what the client had last has to come back"
    );
    let mut reading = begun.clone();
    assert_eq!(reading.page(page(&[4, 6], false)), None);
    assert_eq!(reading.ask(), page_from(6));
    let expired = reading.clone().page(page(&[7, 8], false));
    assert_eq!(expired, Some(Err(Unrecovered::PositionExpired)));
    assert_eq!(reading.page(page(&[6, 7, 8], true)), None);
    assert_eq!(of_piece(reading.info(stream(5, 11))), (vec![6, 7], 1, 2));
    // It does not come back.
    let mut reading = begun.clone();
    assert_eq!(reading.page(page(&[6, 7, 8], false)), None);
    let expired = reading.clone().info(stream(4, 11));
    assert_eq!(expired, Some(Err(Unrecovered::PositionExpired)));
    assert_eq!(of_piece(reading.info(stream(3, 11))), (vec![6, 7], 1, 2));
    // A replica that has no more has not proven that there is no more.
    let mut reading = begun.clone();
    assert_eq!(reading.page(page(&[4, 6], true)), None);
    let back = Ask::Back {
        target: &'a',
        witness: &'b',
    };
    assert_eq!(reading.ask(), back);
    reading.back(Some(8), Some(11));
    assert_eq!(reading.ask(), page_from(6));
    assert_eq!(reading.page(page(&[6, 7, 8], true)), None);
    assert_eq!(of_piece(reading.info(stream(5, 11))), (vec![6, 7], 1, 2));
    // Unless it has what is behind the gap.
    let mut reading = begun;
    assert_eq!(reading.page(page(&[4, 6, 11], true)), None);
    assert_eq!(of_piece(reading.info(stream(5, 11))), (vec![6], 0, 1));
    let tail = self::tail(10, &[]);
    let mut reading = self::reading(&tail, rest(4), REPLICATED);
    assert_eq!(reading.page(page(&[4, 6], true)), None);
    assert_eq!(reading.info(stream(5, 11)), Some(Err(Unrecovered::Unavailable)));
}
