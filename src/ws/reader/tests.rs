//! The promise: the same events come out however the input bytes are cut, and a parked reader holds no buffer.

use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::*;
use crate::close_reason::CloseReason;
use crate::ws::upgrade::register;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame as a client writes it.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..126 => bytes.push(0x80 | short as u8),
        long @ 126..0x1_0000 => {
            bytes.push(0xFE);
            bytes.extend((long as u16).to_be_bytes());
        }
        longer => {
            bytes.push(0xFF);
            bytes.extend((longer as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(b, m)| b ^ m));
    bytes
}

/// Both ends of a loopback connection.
fn pair() -> (TcpStream, AsyncFd<Socket>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_nodelay(true).unwrap();
    let (server, _) = listener.accept().unwrap();
    server.set_nonblocking(true).unwrap();
    (client, register(Socket::plain(server)).unwrap())
}

fn nothing() -> &'static (dyn Fn() + Sync) {
    &|| {}
}

fn data(bytes: &[u8], text: bool, last: bool) -> Event {
    Event::Data(Payload {
        bytes: Bytes::copy_from_slice(bytes),
        text,
        last,
    })
}

/// Polls `next` once.
fn poll(reader: &mut Reader<'_>) -> Poll<Result<Event, ReadError>> {
    match reader.next().now_or_never() {
        Some(outcome) => Poll::Ready(outcome),
        None => Poll::Pending,
    }
}

/// Writes `pieces` one after the other; before the next goes out, the reader has seen all of the one before. Then EOF.
/// Gives every event, the last an EOF, a Close or an error's close code.
async fn read_all(leftover: &[u8], pieces: &[&[u8]], max: usize) -> (Vec<Event>, Option<u16>) {
    let (mut client, socket) = pair();
    let mut reader = Reader::new(&socket, Bytes::copy_from_slice(leftover), max, nothing());
    let mut events = Vec::new();
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        client.write_all(piece).unwrap();
        drop(socket.readable().await.unwrap());
        loop {
            // Only a reader that drained the kernel's buffer is pending.
            match poll(&mut reader) {
                Poll::Ready(Ok(event @ (Event::Close(_) | Event::Eof))) => {
                    events.push(event);
                    return (events, None);
                }
                Poll::Ready(Ok(event)) => events.push(event),
                Poll::Ready(Err(error)) => return (events, Some(error.close_reason().code())),
                Poll::Pending => break,
            }
        }
        // A fresh budget for the next piece.
        tokio::task::yield_now().await;
    }
    client.shutdown(Shutdown::Write).unwrap();
    loop {
        match reader.next().await {
            Ok(event @ (Event::Close(_) | Event::Eof)) => {
                events.push(event);
                return (events, None);
            }
            Ok(event) => events.push(event),
            Err(error) => return (events, Some(error.close_reason().code())),
        }
    }
}

/// A conversation with all kinds of frames, and its events.
fn conversation() -> (Vec<u8>, Vec<Event>) {
    let long = vec![7u8; 200];
    let bytes = [
        frame(0x81, b"\n"),
        frame(0x01, "κ\u{3bf}".as_bytes().split_at(3).0),
        frame(0x89, b"are you there"),
        frame(0x00, b""),
        frame(0x80, "κ\u{3bf}".as_bytes().split_at(3).1),
        frame(0x8A, b""),
        frame(0x82, &long),
        frame(0x82, b""),
        frame(0x88, b"\x03\xe8bye"),
        frame(0x81, b"ignored"),
    ]
    .concat();
    let whole = "κ\u{3bf}".as_bytes();
    let events = vec![
        data(b"\n", true, true),
        data(&whole[..3], true, false),
        Event::Ping(Bytes::from_static(b"are you there")),
        data(b"", true, false),
        data(&whole[3..], true, true),
        Event::Pong,
        data(&long, false, true),
        data(b"", false, true),
        Event::Close(Some(1000)),
    ];
    (bytes, events)
}

#[tokio::test]
async fn several_frames_in_one_read() {
    let (bytes, events) = conversation();
    assert_eq!(read_all(b"", &[&bytes], 1_000).await, (events, None));
}

#[tokio::test]
async fn every_cut_gives_the_same_events() {
    let (bytes, events) = conversation();
    for cut in 0..=bytes.len() {
        let (first, second) = bytes.split_at(cut);
        let outcome = read_all(b"", &[first, second], 1_000).await;
        assert_eq!(outcome, (events_of(&events), None), "cut at {cut}");
        // The first part with the handshake.
        let outcome = read_all(first, &[second], 1_000).await;
        assert_eq!(outcome, (events_of(&events), None), "leftover of {cut}");
    }
}

#[tokio::test]
async fn byte_by_byte() {
    let (bytes, events) = conversation();
    let pieces: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(read_all(b"", &pieces, 1_000).await, (events, None));
}

fn events_of(events: &[Event]) -> Vec<Event> {
    events
        .iter()
        .map(|event| match event {
            Event::Data(payload) => data(payload, payload.text, payload.last),
            Event::Ping(bytes) => Event::Ping(bytes.clone()),
            Event::Pong => Event::Pong,
            Event::Close(code) => Event::Close(*code),
            Event::Eof => Event::Eof,
        })
        .collect()
}

#[tokio::test]
async fn refusals_have_their_close_codes() {
    let mut unmasked = frame(0x81, b"x");
    unmasked[1] &= 0x7F;
    for (bytes, code) in [
        (unmasked, 1002),
        (frame(0xC1, b"x"), 1002),
        (frame(0x83, b"x"), 1002),
        (frame(0x80, b"x"), 1002),
        (frame(0x89, &[0; 126]), 1002),
        (frame(0x81, &[b'x'; 1_001]), 1009),
        (frame(0x81, b"\xc3"), 1007),
        ([frame(0x01, b"\xc3"), frame(0x80, b"")].concat(), 1007),
        ([frame(0x01, b"\xc3"), frame(0x00, b"\xff")].concat(), 1007),
        ([frame(0x01, b"a"), frame(0x81, b"b")].concat(), 1002),
        (
            [frame(0x01, &[b'x'; 600]), frame(0x80, &[b'x'; 401])].concat(),
            1009,
        ),
        (frame(0x88, b"\x03"), 1002),
        (frame(0x88, &1005u16.to_be_bytes()), 1002),
        (frame(0x88, &1006u16.to_be_bytes()), 1002),
        (frame(0x88, &65_535u16.to_be_bytes()), 1002),
        (frame(0x88, b"\x03\xe8\xff"), 1007),
        // EOF inside a frame: nobody is there to be told.
        (frame(0x81, b"xx")[..7].to_vec(), 1006),
    ] {
        let (_, error) = read_all(b"", &[&bytes], 1_000).await;
        assert_eq!(error, Some(code), "{bytes:02x?}");
    }
}

#[tokio::test]
async fn a_claim_of_a_large_frame_is_refused_on_its_head() {
    let (mut client, socket) = pair();
    let mut reader = Reader::new(&socket, Bytes::new(), 1_000, nothing());
    client.write_all(&[0x82, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0]).unwrap();
    let error = reader.next().await.unwrap_err();
    assert_eq!(error.close_reason(), CloseReason::TooLarge);
    assert_eq!(error.to_string(), "WebSocket message over 1000 bytes");
    assert_eq!(reader.next().await.unwrap(), Event::Eof);
}

#[tokio::test]
async fn a_mebibyte_in_one_frame_and_in_a_thousand() {
    let body: Vec<u8> = (0..1u32 << 20).map(|n| b'a' + (n % 26) as u8).collect();
    let chunks: Vec<&[u8]> = body.chunks(body.len().div_ceil(1_000)).collect();
    let mut fragments = Vec::new();
    for (n, chunk) in chunks.iter().enumerate() {
        let first = if n == 0 { 0x01 } else { 0x00 };
        let fin = if n + 1 == chunks.len() { 0x80 } else { 0x00 };
        fragments.extend(frame(first | fin, chunk));
    }
    for sent in [frame(0x81, &body), fragments] {
        let (mut client, socket) = pair();
        let writer = std::thread::spawn(move || client.write_all(&sent).map(|()| client));
        let mut reader = Reader::new(&socket, Bytes::new(), body.len(), nothing());
        let mut received = Vec::new();
        loop {
            let Event::Data(payload) = reader.next().await.unwrap() else {
                panic!("no data")
            };
            received.extend_from_slice(&payload);
            if payload.last {
                break;
            }
        }
        assert!(received == body);
        drop(writer.join().unwrap().unwrap());
        assert_eq!(reader.next().await.unwrap(), Event::Eof);
    }
}

#[tokio::test]
async fn a_parked_reader_is_small_and_holds_no_buffer() {
    let (mut client, socket) = pair();
    let mut reader = Reader::new(&socket, Bytes::new(), 1_000, nothing());
    let parked = size_of::<Reader<'_>>() + size_of_val(&reader.next());
    println!(
        "a parked reader: {} bytes, its future: {} bytes",
        size_of::<Reader<'_>>(),
        size_of_val(&reader.next()),
    );
    assert!(parked <= 250, "{parked}");
    for pieces in [
        vec![frame(0x81, b"\n")],
        vec![frame(0x81, &[b'x'; 500])],
        vec![
            frame(0x81, &[b'x'; 500])[..9].to_vec(),
            frame(0x81, &[b'x'; 500])[9..].to_vec(),
        ],
        vec![[frame(0x81, b"a"), frame(0x8A, b"")].concat()],
        vec![frame(0x01, b"\xc3")],
    ] {
        for piece in &pieces {
            client.write_all(piece).unwrap();
            drop(socket.readable().await.unwrap());
            while let Poll::Ready(outcome) = poll(&mut reader) {
                outcome.unwrap();
            }
            tokio::task::yield_now().await;
        }
        assert_eq!(reader.next().now_or_never().map(Result::unwrap), None);
        assert_eq!(reader.pending.capacity(), 0, "{pieces:02x?}");
    }
}

#[tokio::test]
async fn half_a_frame_does_not_keep_what_came_before_it() {
    let (mut client, socket) = pair();
    let mut reader = Reader::new(&socket, Bytes::new(), 1_000, nothing());
    let half = &frame(0x81, b"hello")[..8];
    let sent = [frame(0x81, b"\n").repeat(100), half.to_vec()].concat();
    client.write_all(&sent).unwrap();
    for _ in 0..100 {
        assert_eq!(reader.next().await.unwrap(), data(b"\n", true, true));
    }
    assert!(poll(&mut reader).is_pending());
    assert_eq!(&reader.pending[..], half);
    // Whether the buffer has room for more; it would if it were still that of the hundred.
    assert!(!reader.pending.try_reclaim(100));
    client.write_all(&frame(0x81, b"hello")[8..]).unwrap();
    assert_eq!(reader.next().await.unwrap(), data(b"hello", true, true));
}

#[tokio::test]
async fn half_a_frame_is_kept_when_next_is_dropped() {
    let (mut client, socket) = pair();
    let mut reader = Reader::new(&socket, Bytes::new(), 1_000, nothing());
    let sent = frame(0x81, b"hello");
    for piece in sent.chunks(1) {
        assert!(poll(&mut reader).is_pending());
        client.write_all(piece).unwrap();
        drop(socket.readable().await.unwrap());
    }
    assert_eq!(reader.next().await.unwrap(), data(b"hello", true, true));
}

#[tokio::test]
async fn bytes_inside_a_frame_are_activity_and_pongs_are_not() {
    let (mut client, socket) = pair();
    let calls = AtomicUsize::new(0);
    let activity = || {
        calls.fetch_add(1, Relaxed);
    };
    let mut reader = Reader::new(&socket, Bytes::new(), 1_000, &activity);
    let mut seen = 0;
    for (piece, counts) in [
        (&frame(0x8A, b"x")[..3], false),
        (&frame(0x8A, b"x")[3..], false),
        (&frame(0x81, b"hello")[..1], true),
        (&frame(0x81, b"hello")[1..8], true),
        (&frame(0x81, b"hello")[8..], true),
        (&[frame(0x8A, b""), frame(0x81, b"\n")].concat(), true),
        (&frame(0x89, b""), true),
    ] {
        client.write_all(piece).unwrap();
        // Until the reader has read the piece: readable, then drained.
        drop(socket.readable().await.unwrap());
        while let Poll::Ready(outcome) = poll(&mut reader) {
            outcome.unwrap();
        }
        assert_eq!(calls.load(Relaxed) > seen, counts, "{piece:02x?}");
        seen = calls.load(Relaxed);
    }
}
