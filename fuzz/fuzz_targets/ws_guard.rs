//! Promise: for the head of a frame the guard decides as RFC 6455 section 5 does, which is written here a second
//! time; it decides as soon as the bytes show it and never changes its mind; and no message passes that exceeds its
//! bound.
//!
//! Input: a character whose double is the bound, then frames one after the other. If a payload is incomplete, the
//! rest of the input is all of it.

#![no_main]

use herald::ws::guard::{Guard, Head, Opcode, only_pongs};
use herald_fuzz::assert_words;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [max, stream @ ..] = data else {
        return;
    };
    let mut stream = stream;
    // It only must not panic.
    only_pongs(stream);
    let max = usize::from(*max) * 2;
    let mut guard = Guard::new(max);
    // Bytes of the unfinished message.
    let mut unfinished: Option<usize> = None;
    loop {
        let found = grown(&guard, stream);
        let expected = expected(stream, unfinished, max);
        assert_eq!(found.map(|head| head.map(facts)), expected);
        let Ok(Some(head)) = found else { return };
        let before = unfinished.unwrap_or(0);
        guard.advance(&head);
        if !head.opcode.is_control() {
            let total = before + head.payload_bytes;
            assert!(total <= max, "a message of {total} bytes, at most {max}");
            unfinished = (!head.fin).then_some(total);
        }
        stream = stream.get(head.frame_bytes()..).unwrap_or_default();
    }
});

/// The guard's decision for ever more of the bytes, with the close code in place of the refusal.
fn grown(guard: &Guard, stream: &[u8]) -> Result<Option<Head>, u16> {
    let mut said = None;
    for length in 0..=stream.len().min(16) {
        let now = guard.inspect(&stream[..length]);
        if let Err(refusal) = &now {
            assert_words(&refusal.to_string());
        }
        match said {
            None if !matches!(now, Ok(None)) => said = Some(now),
            None => {}
            Some(before) => assert_eq!(before, now, "another verdict after {length} bytes"),
        }
    }
    match said {
        None => Ok(None),
        Some(said) => said.map_err(|refusal| refusal.close_reason().code()),
    }
}

/// Whether it is the last frame of its message, the opcode, the bytes of the head, the bytes of the payload.
type Facts = (bool, u8, usize, usize);

fn facts(head: Head) -> Facts {
    let opcode = match head.opcode {
        Opcode::Continuation => 0,
        Opcode::Text => 1,
        Opcode::Binary => 2,
        Opcode::Close => 8,
        Opcode::Ping => 9,
        Opcode::Pong => 10,
    };
    (head.fin, opcode, head.head_bytes, head.payload_bytes)
}

/// RFC 6455 section 5.2, read from its picture: one byte after the other.
fn expected(bytes: &[u8], unfinished: Option<usize>, max: usize) -> Result<Option<Facts>, u16> {
    let mut bytes = bytes.iter().copied();
    let Some(first) = bytes.next() else {
        return Ok(None);
    };
    let (fin, reserved, opcode) = (first >> 7 == 1, first >> 4 & 7, first & 15);
    let control = opcode >= 8;
    let known = [0, 1, 2, 8, 9, 10].contains(&opcode);
    let out_of_order = !control && (opcode == 0) != unfinished.is_some();
    if reserved != 0 || !known || (control && !fin) || out_of_order {
        return Err(1002);
    }
    let Some(second) = bytes.next() else {
        return Ok(None);
    };
    if second >> 7 == 0 || (control && second & 127 > 125) {
        return Err(1002);
    }
    let (more, least) = match second & 127 {
        126 => (2, 126),
        127 => (8, 65_536),
        _ => (0, 0),
    };
    let mut length = u128::from(second & 127);
    if more > 0 {
        length = 0;
        for _ in 0..more {
            let Some(byte) = bytes.next() else {
                return Ok(None);
            };
            length = length << 8 | u128::from(byte);
        }
    }
    if length < least || length >= 1 << 63 {
        return Err(1002);
    }
    if !control && length + unfinished.unwrap_or(0) as u128 > max as u128 {
        return Err(1009);
    }
    if bytes.count() < 4 {
        return Ok(None);
    }
    Ok(Some((fin, opcode, 2 + more + 4, length as usize)))
}
