//! The promise for any bytes: no panic, the same frames however the bytes are cut, the same result as the naive
//! decoder, and frames that a client encodes are decoded unchanged.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::stomp::escape::{can_carry, header_into};

fn versions() -> impl Strategy<Value = Option<Version>> {
    select(vec![None, Some(V1_0), Some(V1_1), Some(V1_2)])
}

/// Pieces of frames, whole and broken, in any order.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: [&[u8]; 35] = [
        b"SEND\n",
        b"SEND\n",
        b"SEND\r\n",
        b"SUBSCRIBE\n",
        b"CONNECT\n",
        b"STOMP\n",
        b"ACK\n",
        b"MESSAGE\n",
        b"\n",
        b"\n",
        b"\n\0",
        b"\n\0",
        b"\n\0",
        b"\nhello\0",
        b"\nhello\0",
        b"\r\n",
        b"\r",
        b"\0",
        b"a:b\n",
        b"a:c\r\n",
        b"b: c:d\n",
        b"\\c:\\n\\\\\n",
        b"c:\\r\n",
        b"d:\\t\n",
        b"e:\\\n",
        b"content-length:0\n",
        b"content-length:3\n",
        b"content-length: 3\n",
        b"content-length:x\n",
        b"content-length:3\n\na\0b\0",
        b"accept-version:1.2\n",
        b":\n",
        b"x\n",
        b"\xc3\xa4:\xe2\x82\xac\n",
        b"\xff",
    ];
    let piece = prop_oneof![
        12 => select(PIECES.as_slice()).prop_map(<[u8]>::to_vec),
        1 => vec(any::<u8>(), 0..40),
    ];
    vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

/// A client's encoder.
fn encode(
    command: Command,
    headers: &[(String, String)],
    body: &[u8],
    version: Version,
    eol: &str,
) -> Vec<u8> {
    let mut out = format!("{command}{eol}").into_bytes();
    let escapes = if command.is_connect() { V1_0 } else { version };
    for (name, value) in headers {
        assert!(header_into(&mut out, name, value, escapes));
        if eol == "\r\n" {
            out.pop();
            out.extend_from_slice(b"\r\n");
        }
    }
    out.extend_from_slice(eol.as_bytes());
    out.extend_from_slice(body);
    out.push(0);
    out
}

fn text() -> impl Strategy<Value = String> {
    "[ab:\\\\\n\r ä]{0,6}"
}

fn roomy() -> Limits {
    Limits::after_login(100, 1_000, 1_000)
}

/// `input` in chunks of these sizes, over and over.
fn cut<'a>(mut input: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut chunks = Vec::new();
    for size in sizes.iter().cycle() {
        if input.is_empty() {
            break;
        }
        let (chunk, rest) = input.split_at((*size).min(input.len()));
        chunks.push(chunk);
        input = rest;
    }
    chunks
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_naive_decoder_agrees(version in versions(), input in stream()) {
        let found = decode_chunks(decoder(version, roomy()), std::iter::once(input.as_slice()));
        prop_assert_eq!((found.frames, found.end.ok()), naive::decode(version, &input));
    }

    #[test]
    fn how_bytes_are_cut_changes_nothing(version in versions(), input in stream(), sizes in vec(1_usize..9, 1..5)) {
        for limits in [roomy(), LIMITS] {
            let whole = decode_chunks(decoder(version, limits), std::iter::once(input.as_slice()));
            let pieces = decode_chunks(decoder(version, limits), cut(&input, &sizes).into_iter());
            prop_assert_eq!(&whole, &pieces);
            let bytes = decode_chunks(decoder(version, limits), input.chunks(1));
            prop_assert_eq!(&whole, &bytes);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_bytes_are_borne(version in versions(), input in vec(any::<u8>(), 0..300), sizes in vec(1_usize..60, 1..4)) {
        let small = Limits { frame_bytes: 0, headers: 0, header_bytes: 0, body_bytes: 0 };
        for limits in [roomy(), LIMITS, small] {
            decode_chunks(decoder(version, limits), cut(&input, &sizes).into_iter());
        }
    }

    #[test]
    fn what_a_client_encodes_comes_out_again(
        command in select(Command::ALL.as_slice()),
        version in select(Version::ALL.as_slice()),
        headers in vec((text(), text()), 0..5),
        body in vec(any::<u8>(), 0..30),
        announce in any::<bool>(),
        crlf in any::<bool>(),
        sizes in vec(1_usize..20, 1..4),
    ) {
        let escapes = if command.is_connect() { V1_0 } else { version };
        let crlf_counts = version == V1_2;
        let mut headers: Vec<_> = headers
            .into_iter()
            .filter(|(name, value)| can_carry(name, value, escapes))
            // Dropped by a reader of 1.0; and where CR is not escaped it would be an end of line.
            .filter(|(_, value)| escapes != V1_0 || !value.starts_with(' '))
            .filter(|(_, value)| !(crlf_counts && escapes == V1_0 && value.contains('\r')))
            .collect();
        let body = if command == Command::Send { body } else { Vec::new() };
        if announce || body.contains(&0) {
            headers.push(("content-length".to_owned(), body.len().to_string()));
        }
        let eol = if crlf && crlf_counts { "\r\n" } else { "\n" };
        let bytes = encode(command, &headers, &body, version, eol);
        let expected: Headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let stream = [bytes.as_slice(), b"\n", &bytes].concat();
        let found = decode_chunks(decoder(Some(version), roomy()), cut(&stream, &sizes).into_iter());
        let frame = plain(&Frame { command, headers: expected, body: body.into() });
        prop_assert_eq!(found, Outcome { frames: vec![frame.clone(), frame], end: Ok(End::Idle) });
    }
}
