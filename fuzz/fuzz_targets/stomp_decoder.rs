//! Promise: whatever bytes a client sends and however they are cut, the decoder returns the same frames and the same
//! fault as a second decoder written from the grammar alone; and it holds no more than its limits allow.
//!
//! Input: a character for version and limits (`0` to `;`), one for the cuts, then the stream.

#![no_main]

use herald::stomp::decoder::{Decoder, Limits};
use herald::stomp::error::Fault;
use herald::stomp::{self, Version};
use herald_fuzz::{Memory, assert_words, cut};
use libfuzzer_sys::fuzz_target;

// It names `crate::stomp` and these two, which stand beside it in Herald's own tests.
#[path = "../../src/stomp/decoder/tests/naive.rs"]
mod naive;

/// Command, headers and body.
type Plain = (String, Vec<(String, String)>, Vec<u8>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Idle,
    HalfRead,
}

/// No input reaches these limits. A `content-length` may, and is then refused instead of awaited.
const ROOMY: Limits = Limits {
    frame_bytes: usize::MAX,
    headers: usize::MAX,
    header_bytes: usize::MAX,
    body_bytes: u32::MAX as usize,
};
const SMALL: Limits = Limits {
    frame_bytes: 200,
    headers: 3,
    header_bytes: 40,
    body_bytes: 50,
};
const TINY: Limits = Limits {
    frame_bytes: 20,
    headers: 1,
    header_bytes: 4,
    body_bytes: 3,
};

/// The most bytes that a decoder within [`SMALL`] limits holds: the head and its doubling, the parsed headers, the
/// body.
const SMALL_HOLDS_BYTES: usize = 1_024;

fuzz_target!(|data: &[u8]| {
    let [mode, sizes, stream @ ..] = data else {
        return;
    };
    let version = match mode & 3 {
        0 => None,
        1 => Some(Version::V1_0),
        2 => Some(Version::V1_1),
        _ => Some(Version::V1_2),
    };
    let limits = match mode >> 2 & 3 {
        0 => ROOMY,
        1 => SMALL,
        _ => TINY,
    };
    let whole = decode(version, limits, std::iter::once(stream));
    assert_eq!(whole, decode(version, limits, cut(stream, *sizes).into_iter()));
    assert_eq!(whole, decode(version, limits, stream.chunks(1)));
    if limits == ROOMY {
        let (frames, end) = whole;
        assert_eq!((frames, end.ok()), naive::decode(version, stream));
    } else {
        assert_bounded(version, limits, &cut(stream, *sizes));
    }
});

fn decoder(version: Option<Version>, limits: Limits) -> Decoder {
    let mut decoder = Decoder::new(limits);
    if let Some(version) = version {
        decoder.set_version(version);
    }
    decoder
}

fn decode<'a>(
    version: Option<Version>,
    limits: Limits,
    chunks: impl Iterator<Item = &'a [u8]>,
) -> (Vec<Plain>, Result<End, Fault>) {
    let mut decoder = decoder(version, limits);
    let mut frames = Vec::new();
    for mut chunk in chunks {
        loop {
            match decoder.decode(&mut chunk) {
                Ok(Some(frame)) => frames.push(plain(&frame)),
                Ok(None) => break,
                Err(error) => {
                    assert_words(&error.to_string());
                    assert!(decoder.decode(&mut &b"\n"[..]).is_err(), "goes on behind a fault");
                    return (frames, Err(error.fault));
                }
            }
        }
        assert!(chunk.is_empty(), "Ok(None) means that all is used up");
    }
    let end = match decoder.is_idle() {
        true => End::Idle,
        false => End::HalfRead,
    };
    (frames, Ok(end))
}

fn plain(frame: &stomp::Frame) -> Plain {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    (
        frame.command.to_string(),
        frame.headers.iter().map(owned).collect(),
        frame.body.to_vec(),
    )
}

/// Frames are dropped as they come; what is left belongs to the decoder.
fn assert_bounded(version: Option<Version>, limits: Limits, chunks: &[&[u8]]) {
    let memory = Memory::begin();
    let mut decoder = decoder(version, limits);
    'stream: for chunk in chunks {
        let mut chunk = *chunk;
        loop {
            match decoder.decode(&mut chunk) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => break 'stream,
            }
        }
        if decoder.is_idle() {
            assert_eq!(memory.held(), 0, "held while idle");
        }
    }
    assert!(memory.peak() <= SMALL_HOLDS_BYTES, "{} bytes", memory.peak());
}
