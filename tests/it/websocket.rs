//! The promise: RFC 6455 sections 5 to 8 from a client's point of view, case by case, in the order of Autobahn's groups
//! 1 to 7. Runs against the echo of `examples/echo.rs`, which consists of Herald's upgrade, guard and reader.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::support::client::{
    BINARY, BINARY_START, CLOSE, LAST, MASK, MORE, PING, PONG, TEXT, TEXT_START, frame,
};

#[allow(dead_code, reason = "its main is not called here")]
#[path = "../../examples/echo.rs"]
mod echo;

const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// A server for one test, which ends with it.
struct Server {
    address: SocketAddr,
    _runtime: Runtime,
}

impl Server {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime
            .block_on(async { herald::http::listener::bind(([127, 0, 0, 1], 0).into()) })
            .unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(echo::serve(listener, MAX_MESSAGE_BYTES, CancellationToken::new()));
        Self {
            address,
            _runtime: runtime,
        }
    }

    fn connect(&self) -> TcpStream {
        let mut client = TcpStream::connect(self.address).unwrap();
        client.set_nodelay(true).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        client
            .write_all(
                b"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                  Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            )
            .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "));
        client
    }
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(CLOSE, &[&code.to_be_bytes()[..], reason].concat())
}

/// What the server sent: its frames, the last a Close (`None` without a code), then EOF and not a reset.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    frames: Vec<(u8, Vec<u8>)>,
    close: Option<u16>,
}

fn read_outcome(client: &mut TcpStream) -> Outcome {
    let mut frames = Vec::new();
    loop {
        let mut head = [0; 2];
        client.read_exact(&mut head).unwrap();
        assert_eq!(head[1] & 0x80, 0, "a server's frame is not masked");
        let mut field = [0; 8];
        let field = match head[1] {
            127 => &mut field[..],
            126 => &mut field[6..],
            _ => &mut field[..0],
        };
        client.read_exact(field).unwrap();
        let length = match head[1] {
            126 | 127 => field
                .iter()
                .fold(0, |length, byte| length << 8 | usize::from(*byte)),
            short => short.into(),
        };
        let mut payload = vec![0; length];
        client.read_exact(&mut payload).unwrap();
        if head[0] == CLOSE {
            let code = payload
                .split_first_chunk::<2>()
                .map(|(code, _)| u16::from_be_bytes(*code));
            let mut rest = Vec::new();
            client.read_to_end(&mut rest).expect("EOF, not a reset");
            assert!(rest.is_empty(), "frames after the Close");
            return Outcome { frames, close: code };
        }
        frames.push((head[0], payload));
    }
}

/// One case: what the client sends, what is echoed before the Close, and the code of the Close.
struct Case {
    name: String,
    sent: Vec<Vec<u8>>,
    echoed: Vec<(u8, Vec<u8>)>,
    code: Option<u16>,
}

/// Ends with the client's Close 1000, which the server echoes.
fn passes(name: &str, sent: &[Vec<u8>], echoed: &[(u8, &[u8])]) -> Case {
    let mut sent = sent.to_vec();
    sent.push(close(1000, b""));
    Case {
        name: name.into(),
        sent,
        echoed: echoed
            .iter()
            .map(|(first, bytes)| (*first, bytes.to_vec()))
            .collect(),
        code: Some(1000),
    }
}

/// Ends with the server's Close.
fn fails(name: &str, sent: &[Vec<u8>], echoed: &[(u8, &[u8])], code: u16) -> Case {
    Case {
        code: Some(code),
        sent: sent.to_vec(),
        ..passes(name, &[], echoed)
    }
}

/// Runs each case with its bytes in one write, frame by frame, and (if short) byte by byte.
fn check(cases: Vec<Case>) {
    let server = Server::start();
    for case in cases {
        let whole = case.sent.concat();
        let mut cuts: Vec<Vec<&[u8]>> = vec![vec![&whole], case.sent.iter().map(Vec::as_slice).collect()];
        if whole.len() < 300 {
            cuts.push(whole.chunks(1).collect());
        }
        for pieces in cuts {
            let mut client = server.connect();
            let mut writer = client.try_clone().unwrap();
            let outcome = std::thread::scope(|scope| {
                scope.spawn(move || {
                    for piece in pieces {
                        // The server may have closed already.
                        if writer.write_all(piece).is_err() {
                            return;
                        }
                    }
                    let _ = writer.shutdown(std::net::Shutdown::Write);
                });
                read_outcome(&mut client)
            });
            let expected = Outcome {
                frames: case.echoed.clone(),
                close: case.code,
            };
            assert!(
                outcome == expected,
                "{}: close {:?}, expected {:?}; {} frames, expected {}",
                case.name,
                outcome.close,
                expected.close,
                outcome.frames.len(),
                expected.frames.len(),
            );
        }
    }
}

#[test]
fn framing() {
    let mut cases = Vec::new();
    for length in [0, 125, 126, 127, 128, 65_535, 65_536] {
        for first in [TEXT, BINARY] {
            let payload = if first == TEXT {
                vec![b'*'; length]
            } else {
                vec![0xFE; length]
            };
            cases.push(passes(
                &format!("1: {length} bytes as {first:#x}"),
                &[frame(first, &payload)],
                &[(first, &payload)],
            ));
        }
    }
    check(cases);
}

#[test]
fn pings_and_pongs() {
    let payload = [0xFE; 125];
    let ten: Vec<_> = (0..10u8).map(|n| frame(PING, &[n])).collect();
    let digits: Vec<_> = (0..10u8).map(|n| [n]).collect();
    let pongs: Vec<_> = digits.iter().map(|n| (PONG, &n[..])).collect();
    check(vec![
        passes("2.1: empty", &[frame(PING, b"")], &[(PONG, b"")]),
        passes("2.2: text", &[frame(PING, b"Hello")], &[(PONG, b"Hello")]),
        passes(
            "2.3: binary",
            &[frame(PING, b"\0\xff\xfe")],
            &[(PONG, b"\0\xff\xfe")],
        ),
        passes("2.4: 125", &[frame(PING, &payload)], &[(PONG, &payload)]),
        fails("2.5: 126", &[frame(PING, &[0xFE; 126])], &[], 1002),
        passes("2.7: pong unasked", &[frame(PONG, b"")], &[]),
        passes(
            "2.9: pong, then ping",
            &[frame(PONG, b"no"), frame(PING, b"yes")],
            &[(PONG, b"yes")],
        ),
        passes("2.10: ten", &ten, &pongs),
        fails("pong over 125", &[frame(PONG, &[0; 126])], &[], 1002),
        fails("close over 125", &[close(1000, &[b'a'; 124])], &[], 1002),
    ]);
}

#[test]
fn reserved_bits_and_opcodes() {
    let mut cases = Vec::new();
    let hello = frame(TEXT, b"Hello");
    let echoed: &[(u8, &[u8])] = &[(TEXT, b"Hello")];
    for bits in 1..8u8 {
        for first in [TEXT, BINARY, PING, PONG, CLOSE] {
            let bad = frame(first | bits << 4, b"");
            let name = format!("3: bits {bits} of {first:#x}");
            cases.push(fails(
                &name,
                &[hello.clone(), bad, frame(PING, b"")],
                echoed,
                1002,
            ));
        }
    }
    for opcode in (3..8).chain(11..16) {
        for payload in [&b""[..], b"x"] {
            let bad = frame(0x80 | opcode, payload);
            let name = format!("4: opcode {opcode}");
            cases.push(fails(
                &name,
                &[hello.clone(), bad, frame(PING, b"")],
                echoed,
                1002,
            ));
        }
    }
    check(cases);
}

#[test]
fn heads() {
    let unmasked = |first: u8| vec![first, 0x02, b'h', b'i'];
    let with_length = |bytes: &[u8]| vec![[&[BINARY][..], bytes, &MASK].concat()];
    check(vec![
        fails("unmasked text", &[unmasked(TEXT)], &[], 1002),
        fails("unmasked ping", &[unmasked(PING)], &[], 1002),
        fails("unmasked close", &[unmasked(CLOSE)], &[], 1002),
        fails("5 bytes in 16 bits", &with_length(&[0xFE, 0, 5]), &[], 1002),
        fails(
            "200 bytes in 64 bits",
            &with_length(&[0xFF, 0, 0, 0, 0, 0, 0, 0, 200]),
            &[],
            1002,
        ),
        fails(
            "top bit",
            &with_length(&[0xFF, 0x80, 0, 0, 0, 0, 1, 0, 0]),
            &[],
            1002,
        ),
        fails(
            "an exbibyte",
            &with_length(&[0xFF, 0x10, 0, 0, 0, 0, 0, 0, 0]),
            &[],
            1009,
        ),
    ]);
}

#[test]
fn fragmentation() {
    let one = || frame(TEXT_START, b"frag1");
    let two = || frame(LAST, b"frag2");
    let both: (u8, &[u8]) = (TEXT, b"frag1frag2");
    check(vec![
        fails(
            "5.1: ping in two",
            &[frame(0x09, b"a"), frame(LAST, b"b")],
            &[],
            1002,
        ),
        fails(
            "5.2: pong in two",
            &[frame(0x0A, b"a"), frame(LAST, b"b")],
            &[],
            1002,
        ),
        fails("close in two", &[frame(0x08, b""), frame(LAST, b"")], &[], 1002),
        passes("5.3: two", &[one(), two()], &[both]),
        passes(
            "5.6: ping between",
            &[one(), frame(PING, b"x"), two()],
            &[(PONG, b"x"), both],
        ),
        passes("pong between", &[one(), frame(PONG, b"x"), two()], &[both]),
        fails(
            "5.9: nothing to continue",
            &[frame(LAST, b"x"), frame(TEXT, b"y")],
            &[],
            1002,
        ),
        fails(
            "5.10: nothing to continue, more to come",
            &[frame(MORE, b"x"), frame(TEXT, b"y")],
            &[],
            1002,
        ),
        fails(
            "5.15: continued after the end",
            &[one(), two(), frame(MORE, b"frag3"), frame(TEXT, b"y")],
            &[both],
            1002,
        ),
        fails("5.18: two beginnings", &[one(), frame(TEXT, b"frag2")], &[], 1002),
        fails(
            "two beginnings, binary",
            &[one(), frame(BINARY_START, b"frag2"), two()],
            &[],
            1002,
        ),
        passes(
            "5.19: five with pings between",
            &[
                one(),
                frame(MORE, b"frag2"),
                frame(PING, b"1"),
                frame(MORE, b""),
                frame(MORE, b"frag4"),
                frame(PING, b"2"),
                frame(LAST, b"frag5"),
            ],
            &[(PONG, b"1"), (PONG, b"2"), (TEXT, b"frag1frag2frag4frag5")],
        ),
        passes(
            "6.1.3: empty first and last",
            &[frame(TEXT_START, b""), frame(MORE, b"middle"), frame(LAST, b"")],
            &[(TEXT, b"middle")],
        ),
        passes(
            "6.1.2: all empty",
            &[frame(TEXT_START, b""), frame(MORE, b""), frame(LAST, b"")],
            &[(TEXT, b"")],
        ),
    ]);
}

#[test]
fn utf8() {
    let mut cases = Vec::new();
    for text in [
        "Hello-µ@ßöäüàá-UTF-8!!",
        "κόσμε",
        "\u{0}",
        "\u{80}\u{7ff}\u{800}\u{fffd}\u{ffff}\u{10000}\u{10ffff}",
        "\u{fdd0}\u{1fffe}\u{10fffe}",
    ] {
        let bytes = text.as_bytes();
        let mut by_byte: Vec<_> = bytes.iter().map(|byte| frame(MORE, &[*byte])).collect();
        by_byte[0][0] = TEXT_START;
        by_byte.push(frame(LAST, b""));
        cases.push(passes(
            &format!("6.2: {text:?}"),
            &[frame(TEXT, bytes)],
            &[(TEXT, bytes)],
        ));
        cases.push(passes(
            &format!("6.2.3: {text:?} by byte"),
            &by_byte,
            &[(TEXT, bytes)],
        ));
    }
    for bytes in [
        &b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"[..],
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited",
        b"\xce\xba\xe1\xbd",
        b"\xf0\x90\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xfc\x84\x80\x80\x80\x80",
        b"\x80",
        b"\xbf\x80",
        b"\xfe",
        b"\xff",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\xaf",
        b"\xc1\xbf",
        b"\xed\xa0\x80\xed\xb0\x80",
        b"\xed\xbf\xbf",
    ] {
        let name = format!("6.3 to 6.23: {bytes:02x?}");
        cases.push(fails(&name, &[frame(TEXT, bytes)], &[], 1007));
        // As bytes they are not text, and not the server's business.
        cases.push(passes(&name, &[frame(BINARY, bytes)], &[(BINARY, bytes)]));
        for cut in 0..=bytes.len() {
            let (first, second) = bytes.split_at(cut);
            let two = [frame(TEXT_START, first), frame(PING, b""), frame(LAST, second)];
            // The part before the ping may be enough to decide.
            let told = std::str::from_utf8(first).is_err_and(|error| error.error_len().is_some());
            let pong: &[(u8, &[u8])] = if told { &[] } else { &[(PONG, b"")] };
            cases.push(fails(&format!("{name} cut at {cut}"), &two, pong, 1007));
        }
    }
    check(cases);
}

#[test]
fn closing() {
    let mut cases = vec![
        Case {
            code: None,
            sent: vec![frame(CLOSE, b"")],
            ..passes("7.3.1: empty", &[], &[])
        },
        fails("7.3.2: one byte", &[frame(CLOSE, b"a")], &[], 1002),
        fails("7.3.4: a reason", &[close(1000, b"Hello World!")], &[], 1000),
        fails("7.3.5: 123 bytes", &[close(1000, &[b'*'; 123])], &[], 1000),
        fails(
            "7.5.1: not UTF-8",
            &[close(1000, b"\xce\xba\xed\xa0\x80")],
            &[],
            1007,
        ),
        fails(
            "7.1.1: a message before",
            &[frame(TEXT, b"Hello World!"), close(1000, b"")],
            &[(TEXT, b"Hello World!")],
            1000,
        ),
        fails("7.1.2: twice", &[close(1000, b""), close(1000, b"")], &[], 1000),
        fails(
            "7.1.3: a ping after",
            &[close(1000, b""), frame(PING, b"")],
            &[],
            1000,
        ),
        fails(
            "7.1.4: a message after",
            &[close(1000, b""), frame(TEXT, b"x")],
            &[],
            1000,
        ),
        fails(
            "7.1.5: in the midst of a message",
            &[
                frame(TEXT_START, b"frag1"),
                close(1000, b""),
                frame(LAST, b"frag2"),
            ],
            &[],
            1000,
        ),
        fails(
            "7.1.6: a large message before",
            &[frame(BINARY, &[7; 256 << 10]), close(1000, b""), frame(PING, b"")],
            &[(BINARY, &[7; 256 << 10])],
            1000,
        ),
    ];
    for code in [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999,
    ] {
        cases.push(fails("7.7: a legal code", &[close(code, b"")], &[], code));
    }
    for code in [
        0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
    ] {
        let name = format!("7.9: {code}");
        cases.push(fails(&name, &[close(code, b"")], &[], 1002));
        cases.push(fails(&name, &[close(code, b"reason")], &[], 1002));
    }
    check(cases);
}

#[test]
fn limits() {
    let largest = vec![b'x'; MAX_MESSAGE_BYTES];
    let half = vec![b'x'; MAX_MESSAGE_BYTES / 2];
    let mut small: Vec<_> = largest
        .chunks(MAX_MESSAGE_BYTES / 1_024)
        .map(|chunk| frame(MORE, chunk))
        .collect();
    small[0][0] = BINARY_START;
    let mut finished = small.clone();
    finished.push(frame(LAST, b""));
    let mut too_much = small;
    too_much.push(frame(LAST, b"x"));
    check(vec![
        passes(
            "9: the largest",
            &[frame(BINARY, &largest)],
            &[(BINARY, &largest)],
        ),
        passes("9: the largest in 1,024", &finished, &[(BINARY, &largest)]),
        fails("one byte more, in 1,024", &too_much, &[], 1009),
        fails(
            "one byte more",
            &[frame(BINARY, &[&largest[..], b"x"].concat())],
            &[],
            1009,
        ),
        fails(
            "one byte more, in three",
            &[frame(BINARY_START, &half), frame(MORE, &half), frame(LAST, b"x")],
            &[],
            1009,
        ),
    ]);
}
