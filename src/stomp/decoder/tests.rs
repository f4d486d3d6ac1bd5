//! The promise: what the decoder accepts and refuses, rule by rule. Every input is decoded whole and byte by byte; both
//! must agree.

use super::*;
use crate::stomp::Version::{V1_0, V1_1, V1_2};
use crate::stomp::error::Quoted;
use crate::stomp::{Command, Headers};

mod limits;
mod naive;
mod properties;

const LIMITS: Limits = Limits {
    frame_bytes: 200,
    headers: 3,
    header_bytes: 40,
    body_bytes: 50,
};

/// Command, headers and body.
type Plain = (String, Vec<(String, String)>, Vec<u8>);

/// The frames up to the first fault or the end of the input, and what came last.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    frames: Vec<Plain>,
    end: Result<End, Fault>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Idle,
    HalfRead,
}

fn decoder(version: Option<Version>, limits: Limits) -> Decoder {
    let mut decoder = Decoder::new(limits);
    if let Some(version) = version {
        decoder.set_version(version);
    }
    decoder
}

fn plain(frame: &Frame) -> Plain {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    (
        frame.command.to_string(),
        frame.headers.iter().map(owned).collect(),
        frame.body.to_vec(),
    )
}

fn decode_chunks<'a>(mut decoder: Decoder, chunks: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let mut frames = Vec::new();
    for mut chunk in chunks {
        loop {
            match decoder.decode(&mut chunk) {
                Ok(Some(frame)) => frames.push(plain(&frame)),
                Ok(None) => break,
                Err(error) => {
                    return Outcome {
                        frames,
                        end: Err(error.fault),
                    };
                }
            }
        }
        assert!(chunk.is_empty(), "Ok(None) means that all is used up");
    }
    let end = if decoder.is_idle() {
        End::Idle
    } else {
        End::HalfRead
    };
    Outcome { frames, end: Ok(end) }
}

#[track_caller]
fn outcome(version: Option<Version>, input: &[u8]) -> Outcome {
    let whole = decode_chunks(decoder(version, LIMITS), std::iter::once(input));
    let byte_by_byte = decode_chunks(decoder(version, LIMITS), input.chunks(1));
    assert_eq!(whole, byte_by_byte, "{:?}", String::from_utf8_lossy(input));
    whole
}

/// Checks the only frame of `input`, each header written `name=value`.
#[track_caller]
fn check(version: impl Into<Option<Version>>, input: &str, command: &str, headers: &[&str], body: &str) {
    let found = outcome(version.into(), input.as_bytes());
    let frame = (
        command.to_owned(),
        headers
            .iter()
            .map(|header| header.split_once('=').unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        body.as_bytes().to_vec(),
    );
    assert_eq!(
        found,
        Outcome {
            frames: vec![frame],
            end: Ok(End::Idle)
        },
        "{input:?}"
    );
}

#[track_caller]
fn check_fault(version: impl Into<Option<Version>>, input: impl AsRef<[u8]>, expected: Fault) {
    let input = input.as_ref();
    let found = outcome(version.into(), input);
    assert_eq!(found.end, Err(expected), "{:?}", String::from_utf8_lossy(input));
}

#[track_caller]
fn check_count(version: impl Into<Option<Version>>, input: &str, frames: usize, end: End) {
    let found = outcome(version.into(), input.as_bytes());
    assert_eq!((found.frames.len(), found.end), (frames, Ok(end)), "{input:?}");
}

#[test]
fn f1_a_frame_is_command_headers_blank_line_body_nul() {
    check(V1_2, "SEND\na:b\n\nhi\0", "SEND", &["a=b"], "hi");
    check(V1_2, "DISCONNECT\n\n\0", "DISCONNECT", &[], "");
    check(None, "CONNECT\n\n\0", "CONNECT", &[], "");
    check_fault(V1_2, "send\n\n\0", Fault::UnknownCommand(Quoted::new("send")));
    check_fault(V1_2, "SEND\na:b\0", Fault::NulInHeaders);
    check_fault(V1_2, "SEND\0", Fault::NulInHeaders);
}

#[test]
fn f2_cr_lf_ends_a_line_in_1_2_and_before_login() {
    for version in [None, Some(V1_2)] {
        check(version, "SEND\r\na:b\n\r\nhi\0", "SEND", &["a=b"], "hi");
        check(version, "SEND\na:b\r\n\n\r\n\0", "SEND", &["a=b"], "\r\n");
        check_fault(version, "SEND\na:b\rc\n\n\0", Fault::LoneCarriageReturn(1));
        check_fault(version, "SEND\na:b\r\r\n\n\0", Fault::LoneCarriageReturn(1));
        check_fault(version, "SE\rND\na:b\n\n\0", Fault::LoneCarriageReturn(0));
        check_fault(version, "SEND\n\ra:b\n\n\0", Fault::LoneCarriageReturn(1));
    }
    for version in [V1_0, V1_1] {
        check(version, "SEND\na:b\r\n\n\0", "SEND", &["a=b\r"], "");
        check(version, "SEND\na:\rb\n\n\0", "SEND", &["a=\rb"], "");
        check_fault(
            version,
            "SEND\r\n\n\0",
            Fault::UnknownCommand(Quoted::new("SEND\r")),
        );
        check_fault(version, "SEND\na:b\n\r\n\n\0", Fault::NoColon(2));
    }
}

#[test]
fn f3_ends_of_line_and_stray_nuls_between_frames_are_skipped() {
    check_count(V1_2, "", 0, End::Idle);
    check_count(V1_2, "\n\n\r\n\0\n", 0, End::Idle);
    check_count(V1_2, "\r", 0, End::HalfRead);
    check_count(V1_2, "\n\0SEND\n\n\0\n\0\r\nSEND\n\n\0\n", 2, End::Idle);
    check_count(V1_1, "\r\n\0SEND\n\n\0\n", 1, End::Idle);
    check_count(V1_2, "S", 0, End::HalfRead);
    check_count(V1_2, "SEND\n\nabc", 0, End::HalfRead);
    for version in [None, Some(V1_0), Some(V1_1), Some(V1_2)] {
        check_fault(version, "\r\r\n", Fault::LoneCarriageReturnBetweenFrames);
        check_fault(version, "\rSEND\n\n\0", Fault::LoneCarriageReturnBetweenFrames);
        check_fault(version, "\r\0", Fault::LoneCarriageReturnBetweenFrames);
    }
}

#[test]
fn f4_commands_and_headers_are_utf_8_and_bodies_are_not() {
    check(V1_2, "SEND\nä:€\n\n\0", "SEND", &["ä=€"], "");
    check_fault(V1_2, b"SEND\xff\n\n\0", Fault::NotUtf8(0));
    check_fault(V1_2, b"SEND\na:b\nc:\xff\n\n\0", Fault::NotUtf8(2));
    check_fault(None, b"CONNECT\n\xc3:\n\n\0", Fault::NotUtf8(1));
    let found = outcome(Some(V1_2), b"SEND\n\n\xff\xfe\0");
    assert_eq!(found.frames[0].2, b"\xff\xfe");
}

#[test]
fn f5_only_send_has_a_body() {
    for command in Command::ALL
        .into_iter()
        .filter(|command| *command != Command::Send)
    {
        let text = command.as_str();
        check(
            V1_2,
            &format!("{text}\ncontent-length:0\n\n\0"),
            text,
            &["content-length=0"],
            "",
        );
        check_fault(V1_2, format!("{text}\n\nx\0"), Fault::BodyNotAllowed(command));
        let text = format!("{text}\naccept-version:1.1,1.2");
        check_fault(V1_2, format!("{text}\n\n\n\0"), Fault::BodyNotAllowed(command));
        let announced = format!("{text}\ncontent-length:1\n\n");
        check_fault(V1_1, announced, Fault::BodyNotAllowed(command));
    }
    // Blank lines behind a CONNECT that asks for 1.0 are ignored, and nothing else is.
    for (command, text) in [(Command::Connect, "CONNECT"), (Command::Stomp, "STOMP")] {
        for body in ["\n", "\r\n\n", "\n\n\n\n"] {
            check(V1_2, &format!("{text}\n\n{body}\0"), text, &[], "");
        }
        for body in ["\nx\0", " \0", "\n\n\x01"] {
            check_fault(V1_2, format!("{text}\n\n{body}"), Fault::BodyNotAllowed(command));
        }
        let long = format!("{text}\n\n{}", "\n".repeat(51));
        check_fault(V1_2, long, Fault::BodyTooLarge(50));
    }
    check(V1_0, "SUBSCRIBE\n\nignored\0", "SUBSCRIBE", &[], "");
    check(
        V1_0,
        "SUBSCRIBE\ncontent-length:2\n\n\0\0\0",
        "SUBSCRIBE",
        &["content-length=2"],
        "",
    );
    check_fault(
        V1_0,
        format!("SUBSCRIBE\n\n{}", "x".repeat(51)),
        Fault::BodyTooLarge(50),
    );
}

#[test]
fn f6_content_length_bytes_are_read_and_nul_follows() {
    let with_nul = &["content-length=3"];
    check(V1_2, "SEND\ncontent-length:3\n\na\0b\0", "SEND", with_nul, "a\0b");
    check(
        V1_0,
        "SEND\ncontent-length: 3\n\na\0b\0",
        "SEND",
        with_nul,
        "a\0b",
    );
    check_count(V1_2, "SEND\ncontent-length:3\n\nabc", 0, End::HalfRead);
    check_fault(V1_2, "SEND\ncontent-length:3\n\nabcd\0", Fault::NoNul(3));
    check_fault(V1_2, "SEND\ncontent-length:0\n\na\0", Fault::NoNul(0));
    // F10: without it the first NUL ends the frame; the rest is the next one.
    check_fault(
        V1_2,
        "SEND\n\na\0b\n\n\0",
        Fault::UnknownCommand(Quoted::new("b")),
    );
}

#[test]
fn f9_a_content_length_that_is_no_number_is_refused() {
    for value in ["", "x", "-1", "+1", "1.0", "1 ", " 1", "0x1", "１"] {
        check_fault(
            V1_2,
            format!("SEND\ncontent-length:{value}\n\n"),
            Fault::BadContentLength,
        );
    }
    let digits = "9".repeat(25);
    check_fault(
        V1_2,
        format!("SEND\ncontent-length:{digits}\n\n"),
        Fault::BodyTooLarge(50),
    );
    check(
        V1_2,
        "SEND\ncontent-length:1\ncontent-length:x\n\na\0",
        "SEND",
        &["content-length=1"],
        "a",
    );
}

#[test]
fn f11_f12_an_unknown_command_is_named_bounded_and_printable() {
    for command in [
        "CONNECTED",
        "MESSAGE",
        "RECEIPT",
        "ERROR",
        "GET / HTTP/1.1",
        "a:b",
    ] {
        check_fault(
            V1_2,
            format!("{command}\n\n\0"),
            Fault::UnknownCommand(Quoted::new(command)),
        );
    }
    // Refused as soon as no command can be so long, without an end of line.
    check_fault(
        None,
        "X".repeat(35),
        Fault::UnknownCommand(Quoted::new(&"X".repeat(32))),
    );
    let shown = Fault::UnknownCommand(Quoted::new("\u{7}\u{202e}")).to_string();
    assert_eq!(shown, r#"unknown command "\u{7}\u{202e}""#);
}

#[test]
fn h1_h2_headers_are_unescaped_as_the_version_says() {
    let bad = |escape, version| Fault::BadEscape {
        header: Quoted::new("a"),
        escape,
        version,
    };
    check(V1_2, "SEND\n\\ca:\\r\\n\\\\\n\n\0", "SEND", &[":a=\r\n\\"], "");
    check(V1_1, "SEND\n\\ca:\\n\\\\\n\n\0", "SEND", &[":a=\n\\"], "");
    check(V1_0, "SEND\na:\\n\\t\\\n\n\0", "SEND", &["a=\\n\\t\\"], "");
    check_fault(V1_2, "SEND\na:x\\t\n\n\0", bad(Some('t'), V1_2));
    check_fault(V1_2, "SEND\na:x\\\n\n\0", bad(None, V1_2));
    check_fault(V1_2, "SEND\na:x\\\r\n\n\0", bad(None, V1_2));
    check_fault(V1_1, "SEND\na:\\r\n\n\0", bad(Some('r'), V1_1));
}

#[test]
fn h3_connect_is_never_unescaped() {
    for version in [None, Some(V1_1), Some(V1_2)] {
        for command in ["CONNECT", "STOMP"] {
            check(
                version,
                &format!("{command}\naccept-version:1.2\npasscode: a\\nb\\x:c\n\n\0"),
                command,
                &["accept-version=1.2", "passcode= a\\nb\\x:c"],
                "",
            );
        }
    }
    // Before login nothing says how other frames are escaped; they are taken as they stand.
    check(
        None,
        "DISCONNECT\nreceipt:\\x\n\n\0",
        "DISCONNECT",
        &["receipt=\\x"],
        "",
    );
}

#[test]
fn h5_blanks_stay_but_in_1_0() {
    check(V1_2, "SEND\na : b \n\n\0", "SEND", &["a = b "], "");
    check(V1_1, "SEND\na: b\n\n\0", "SEND", &["a= b"], "");
    check(V1_0, "SEND\na: \t b \n\n\0", "SEND", &["a=b "], "");
    // A CONNECT without accept-version is 1.0's, whose specification itself writes `login: <username>`.
    check(None, "CONNECT\nlogin: me\n\n\0", "CONNECT", &["login=me"], "");
    check(
        None,
        "CONNECT\nlogin: me\naccept-version:1.0\n\n\0",
        "CONNECT",
        &["login= me", "accept-version=1.0"],
        "",
    );
}

#[test]
fn h6_h7_the_first_colon_parts_and_the_first_header_wins() {
    check(V1_2, "SEND\na:b:c\n\n\0", "SEND", &["a=b:c"], "");
    check(V1_2, "SEND\na:\n\n\0", "SEND", &["a="], "");
    check(V1_2, "SEND\na:1\nb:2\na:3\n\n\0", "SEND", &["a=1", "b=2"], "");
    check(V1_2, "SEND\na:1\nA:2\n\n\0", "SEND", &["a=1", "A=2"], "");
    check_fault(V1_2, "SEND\na:b\nc\n\n\0", Fault::NoColon(2));
    check_fault(V1_2, "SEND\n:b\n\n\0", Fault::EmptyName(1));
}
