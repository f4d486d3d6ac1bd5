//! The promise: every head that RFC 6455 section 5 forbids is refused with the right code, at the first byte that shows
//! it, and every head that it allows passes.

use super::*;

const TEXT: u8 = 0x81;
const TEXT_START: u8 = 0x01;
const BINARY_START: u8 = 0x02;
const MORE: u8 = 0x00;
const LAST: u8 = 0x80;
const PING: u8 = 0x89;

/// A head as a client writes it, in the shortest form.
fn head(first: u8, payload: u64) -> Vec<u8> {
    let mut head = vec![first];
    match payload {
        0..126 => head.push(0x80 | payload as u8),
        126..0x1_0000 => {
            head.push(0xFE);
            head.extend((payload as u16).to_be_bytes());
        }
        _ => {
            head.push(0xFF);
            head.extend(payload.to_be_bytes());
        }
    }
    head.extend([1, 2, 3, 4]);
    head
}

/// Feeds whole heads one after the other; gives the outcome of the last.
fn run(max: usize, heads: &[Vec<u8>]) -> Result<Option<Head>, Refusal> {
    let mut guard = Guard::new(max);
    let mut last = Ok(None);
    for bytes in heads {
        last = guard.inspect(bytes);
        match last {
            Ok(Some(head)) => guard.advance(&head),
            _ => return last,
        };
    }
    last
}

fn check(heads: &[Vec<u8>], expected: Result<(), Refusal>) {
    let outcome = run(1_000, heads).map(|head| assert!(head.is_some(), "{heads:02x?}"));
    assert_eq!(outcome, expected, "{heads:02x?}");
}

#[test]
fn single_frames() {
    for first in [TEXT, 0x82, 0x88, PING, 0x8A, TEXT_START, BINARY_START] {
        check(&[head(first, 0)], Ok(()));
        check(&[head(first, 1)], Ok(()));
    }
    check(&[head(TEXT, 125)], Ok(()));
    check(&[head(TEXT, 126)], Ok(()));
    check(&[head(TEXT, 1_000)], Ok(()));
    check(&[head(TEXT, 1_001)], Err(Refusal::TooLarge(1_000)));
    check(&[head(TEXT, 0x1_0000)], Err(Refusal::TooLarge(1_000)));
    check(&[head(TEXT, u64::MAX >> 1)], Err(Refusal::TooLarge(1_000)));
    check(&[head(TEXT, 1 << 63)], Err(Refusal::LengthTopBit));
    check(&[head(TEXT, u64::MAX)], Err(Refusal::LengthTopBit));
}

#[test]
fn reserved_bits_and_opcodes() {
    for bits in 1..8u8 {
        check(&[head(TEXT | bits << 4, 0)], Err(Refusal::ReservedBits));
    }
    for opcode in (0x3..0x8).chain(0xB..0x10) {
        check(&[head(0x80 | opcode, 0)], Err(Refusal::UnknownOpcode(opcode)));
        check(&[head(opcode, 0)], Err(Refusal::UnknownOpcode(opcode)));
    }
}

#[test]
fn unmasked_frames_and_lengths_not_minimal() {
    check(&[vec![TEXT, 0x05]], Err(Refusal::Unmasked));
    check(&[vec![PING, 0x00]], Err(Refusal::Unmasked));
    for (length, expected) in [(0u16, false), (125, false), (126, true)] {
        let mut bytes = vec![TEXT, 0xFE];
        bytes.extend(length.to_be_bytes());
        bytes.extend([0; 4]);
        check(&[bytes], expected.then_some(()).ok_or(Refusal::LengthNotMinimal));
    }
    for length in [0u64, 125, 126, 0xFFFF] {
        let mut bytes = vec![TEXT, 0xFF];
        bytes.extend(length.to_be_bytes());
        bytes.extend([0; 4]);
        check(&[bytes], Err(Refusal::LengthNotMinimal));
    }
}

#[test]
fn control_frames() {
    for opcode in [0x8, 0x9, 0xA] {
        check(&[head(0x80 | opcode, 125)], Ok(()));
        check(&[head(0x80 | opcode, 126)], Err(Refusal::LongControl));
        check(&[head(0x80 | opcode, 0x1_0000)], Err(Refusal::LongControl));
        check(&[head(opcode, 0)], Err(Refusal::FragmentedControl));
    }
}

#[test]
fn fragments() {
    check(&[head(MORE, 0)], Err(Refusal::NothingToContinue));
    check(&[head(LAST, 0)], Err(Refusal::NothingToContinue));
    check(&[head(TEXT, 1), head(LAST, 1)], Err(Refusal::NothingToContinue));
    check(&[head(TEXT_START, 1), head(LAST, 1)], Ok(()));
    check(
        &[head(TEXT_START, 1), head(MORE, 1), head(PING, 5), head(LAST, 1)],
        Ok(()),
    );
    check(
        &[head(TEXT_START, 1), head(LAST, 1), head(LAST, 1)],
        Err(Refusal::NothingToContinue),
    );
    for second in [TEXT, TEXT_START, BINARY_START, 0x82] {
        check(
            &[head(BINARY_START, 1), head(second, 1)],
            Err(Refusal::MessageInMessage),
        );
    }
}

#[test]
fn the_bound_is_on_the_whole_message() {
    check(&[head(TEXT_START, 600), head(LAST, 400)], Ok(()));
    check(
        &[head(TEXT_START, 600), head(LAST, 401)],
        Err(Refusal::TooLarge(1_000)),
    );
    check(
        &[
            head(TEXT_START, 600),
            head(PING, 125),
            head(MORE, 400),
            head(LAST, 1),
        ],
        Err(Refusal::TooLarge(1_000)),
    );
    // Anew with each message.
    check(
        &[head(TEXT_START, 600), head(LAST, 400), head(TEXT, 1_000)],
        Ok(()),
    );
    assert_eq!(run(0, &[head(TEXT, 1)]), Err(Refusal::TooLarge(0)));
    assert!(run(usize::MAX, &[head(TEXT_START, 1 << 40), head(LAST, 1 << 40)]).is_ok());
}

#[test]
fn a_lower_bound_holds_inside_a_message() {
    let mut guard = Guard::new(1_000);
    let start = guard.inspect(&head(TEXT_START, 600)).unwrap().unwrap();
    guard.advance(&start);
    guard.set_max_message_bytes(500);
    assert_eq!(guard.inspect(&head(LAST, 0)).map(|h| h.is_some()), Ok(true));
    assert_eq!(guard.inspect(&head(LAST, 1)), Err(Refusal::TooLarge(500)));
}

#[test]
fn a_cut_head_is_incomplete_and_a_bad_one_is_refused_early() {
    for payload in [0, 125, 126, 1_000] {
        let whole = head(TEXT, payload);
        for cut in 0..whole.len() {
            assert_eq!(
                Guard::new(1_000).inspect(&whole[..cut]),
                Ok(None),
                "{payload} {cut}"
            );
        }
        let taken = Guard::new(1_000).inspect(&whole).unwrap().unwrap();
        assert_eq!(taken.frame_bytes(), whole.len() + payload as usize);
    }
    assert_eq!(Guard::new(9).inspect(&[0xF1]), Err(Refusal::ReservedBits));
    assert_eq!(Guard::new(9).inspect(&[0x00]), Err(Refusal::NothingToContinue));
    assert_eq!(Guard::new(9).inspect(&[TEXT, 10]), Err(Refusal::Unmasked));
    assert_eq!(Guard::new(9).inspect(&[PING, 0xFE]), Err(Refusal::LongControl));
    assert_eq!(Guard::new(9).inspect(&[TEXT, 0x8A]), Err(Refusal::TooLarge(9)));
}

#[test]
fn fragments_know_whether_their_message_is_text() {
    let mut guard = Guard::new(9);
    let mut text = |first| {
        let taken = guard.inspect(&head(first, 1)).unwrap().unwrap();
        guard.advance(&taken)
    };
    assert!(text(TEXT));
    assert!(!text(0x82));
    assert!(text(TEXT_START));
    assert!(!text(PING));
    assert!(text(MORE));
    assert!(text(LAST));
    assert!(!text(BINARY_START));
    assert!(!text(LAST));
}

#[test]
fn codes() {
    assert_eq!(Refusal::TooLarge(1).close_reason().code(), 1009);
    assert_eq!(Refusal::Unmasked.close_reason().code(), 1002);
    assert_eq!(Refusal::LengthTopBit.close_reason().code(), 1002);
}

#[test]
fn pongs_are_no_activity() {
    let pong = [0x8A, 0x82, 1, 2, 3, 4, 9, 9];
    let text = [0x81, 0x80, 1, 2, 3, 4];
    for cut in 0..=pong.len() {
        assert!(only_pongs(&pong[..cut]), "{cut}");
        assert!(only_pongs(&[&pong[..], &pong[..cut]].concat()), "{cut}");
        assert!(!only_pongs(&[&text[..], &pong[..cut]].concat()), "{cut}");
    }
    assert!(!only_pongs(&[&pong[..], &text[..1]].concat()));
    assert!(!only_pongs(&text));
}
