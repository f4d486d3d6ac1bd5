//! The promise for what is too large or half read: each limit to the byte, what a fault says, and that nothing comes
//! after it.

use super::*;

#[test]
fn e3_limits_hold_to_the_byte() {
    let too_long = |header: &str| Fault::HeaderTooLong {
        header: Quoted::new(header),
        limit: 40,
    };
    let value = "v".repeat(38);
    let header = format!("ab={value}");
    check(V1_2, &format!("SEND\nab:{value}\n\n\0"), "SEND", &[&header], "");
    check(V1_2, &format!("SEND\nab:{value}\r\n\n\0"), "SEND", &[&header], "");
    check_fault(V1_2, format!("SEND\nabc:{value}\n\n\0"), too_long("abc"));
    check_fault(V1_2, format!("SEND\nabc:{value}\r\n\n\0"), too_long("abc"));
    check_fault(V1_1, format!("SEND\nab:{value}\r\n\n\0"), too_long("ab"));
    // A line without an end is refused as soon as it is too long.
    check_fault(
        V1_2,
        format!("SEND\nx\n{}", "y".repeat(44)),
        too_long(&"y".repeat(41)),
    );

    check_count(V1_2, "SEND\na:\nb:\nc:\n\n\0", 1, End::Idle);
    check_fault(V1_2, "SEND\na:\nb:\nc:\nd:\n", Fault::TooManyHeaders(3));
    check_fault(V1_2, "SEND\na:\na:\na:\na:\n", Fault::TooManyHeaders(3));

    check_count(V1_2, &format!("SEND\n\n{}\0", "x".repeat(50)), 1, End::Idle);
    check_fault(
        V1_2,
        format!("SEND\n\n{}", "x".repeat(51)),
        Fault::BodyTooLarge(50),
    );
    check_count(V1_2, "SEND\ncontent-length:50\n\n", 0, End::HalfRead);
    check_fault(V1_2, "SEND\ncontent-length:51\n\n", Fault::BodyTooLarge(50));
}

#[test]
fn the_whole_frame_is_bounded_and_the_setting_is_named() {
    let limits = Limits {
        frame_bytes: 20,
        ..LIMITS
    };
    #[track_caller]
    fn check(limits: Limits, version: Option<Version>, input: &str, expected: Result<End, Fault>) {
        for size in [1, 7, 100] {
            let found = decode_chunks(decoder(version, limits), input.as_bytes().chunks(size));
            assert_eq!(found.end, expected, "{input:?}");
        }
    }
    let before_login = Err(Fault::FrameTooLargeBeforeLogin(20));
    let after_login = Err(Fault::FrameTooLarge(20));
    check(limits, None, "CONNECT\na:12345678\n\n", before_login.clone());
    check(limits, None, "CONNECT\na:1234567\n\n\0", Ok(End::Idle));
    check(limits, None, "CONNECT\na:1234567890", Ok(End::HalfRead));
    check(limits, None, "CONNECT\na:12345678901", before_login);
    check(limits, Some(V1_2), "SEND\n\n1234567890123\0", Ok(End::Idle));
    check(limits, Some(V1_2), "SEND\n\n12345678901234", after_login.clone());
    let announced = Limits {
        frame_bytes: 27,
        ..LIMITS
    };
    check(
        announced,
        Some(V1_2),
        "SEND\ncontent-length:3\n\n123\0",
        Ok(End::Idle),
    );
    check(
        announced,
        Some(V1_2),
        "SEND\ncontent-length:4\n\n",
        Err(Fault::FrameTooLarge(27)),
    );
    // After login the parts' limits say it all.
    let parts = Limits::after_login(3, 40, 50);
    let header = format!("{}:\r\n", "x".repeat(40));
    let largest = format!("SEND\r\n{}\r\n{}\0", header.repeat(3), "x".repeat(50));
    check(parts, Some(V1_2), &largest, Ok(End::Idle));
}

#[test]
fn e2_a_fault_carries_the_receipt_of_its_frame() {
    #[track_caller]
    fn check(version: Option<Version>, input: &str, expected: Option<&str>) {
        let error = decoder(version, LIMITS)
            .decode(&mut input.as_bytes())
            .unwrap_err();
        assert_eq!(error.receipt.as_deref(), expected, "{input:?} {error}");
        let mut pieces = decoder(version, LIMITS);
        let error = input
            .as_bytes()
            .chunks(5)
            .find_map(|mut piece| pieces.decode(&mut piece).err())
            .unwrap();
        let known = input.find("receipt:") < input.find("bad") || input.contains("\n\n");
        assert_eq!(error.receipt.as_deref(), expected.filter(|_| known), "{input:?}");
    }
    check(Some(V1_2), "NOPE\nreceipt:a\\cb\n\n\0", Some("a:b"));
    check(Some(V1_2), "SEND\nbad\nreceipt:7\n\n\0", Some("7"));
    check(Some(V1_2), "SEND\nreceipt:7\r\nbad\n\n\0", Some("7"));
    check(Some(V1_2), "SEND\nreceipt:7\nreceipt:8\nbad\n\n\0", Some("7"));
    check(Some(V1_2), "ACK\nreceipt:7\n\nbody\0", Some("7"));
    check(Some(V1_2), "SEND\nreceipt:7\ncontent-length:x\n\n\0", Some("7"));
    check(Some(V1_2), "SEND\nreceipt:7\ncontent-length:1\n\nab\0", Some("7"));
    check(
        Some(V1_2),
        &format!("SEND\nreceipt:7\nbad:{}", "x".repeat(99)),
        Some("7"),
    );
    check(Some(V1_2), "SEND\nbad\n\nreceipt:7\n\0", None);
    check(Some(V1_2), "SEND\nreceipt:\\t\n\n\0", None);
    check(Some(V1_0), "SEND\nreceipt: 7\nbad\n\n\0", Some("7"));
    check(None, "CONNECT\nreceipt:7\nbad\n\n\0", None);
    check(None, "CONNECT\nreceipt:7\n\nbody\0", None);
}

#[test]
fn a_size_is_told_from_a_malformed_frame_and_the_words_name_the_setting() {
    #[track_caller]
    fn check(input: &str, too_large: bool, words: &str) {
        let error = decoder(Some(V1_2), LIMITS)
            .decode(&mut input.as_bytes())
            .unwrap_err();
        assert_eq!(error.to_string(), words);
        assert_eq!(error.is_too_large(), too_large, "{words}");
    }
    check(
        "SEND\na:\nb:\nc:\nd:\n",
        true,
        "a frame has at most 3 headers (limits.headers)",
    );
    check(
        &format!("SEND\nlong:{}\n", "x".repeat(40)),
        true,
        "header \"long\" is over 40 bytes (limits.header_bytes)",
    );
    check(
        "SEND\ncontent-length:51\n\n",
        true,
        "a body has at most 50 bytes (limits.body_bytes)",
    );
    check(
        "SEND\na\\b:\\t\n\n\0",
        false,
        "header \"a\\\\b\" has the escape '\\b', which STOMP 1.2 does not define",
    );
    check("SEND\nb\n\n\0", false, "header 1 of the frame has no ':'");
    check("ACK\n\nx\0", false, "ACK must not have a body");
    check("MESSAGE\n\n\0", false, "unknown command \"MESSAGE\"");
}

#[test]
fn after_a_fault_no_frame_comes_any_more() {
    let mut decoder = decoder(Some(V1_2), LIMITS);
    assert!(decoder.decode(&mut b"NOPE\n\n\0".as_slice()).is_err());
    assert_eq!(decoder.decode(&mut b"".as_slice()), Ok(None));
    for _ in 0..2 {
        let error = decoder.decode(&mut b"SEND\n\n\0".as_slice()).unwrap_err();
        assert_eq!(error.fault, Fault::AfterFault);
    }
}

#[test]
fn version_and_limits_hold_from_the_next_frame_on() {
    let mut decoder = Decoder::new(LIMITS);
    let mut input: &[u8] = b"CONNECT\naccept-version:1.2\n\n\0\r\nSEND\na:\\c\n\n\0";
    assert!(decoder.decode(&mut input).unwrap().is_some());
    assert!(
        input.starts_with(b"\r\nSEND"),
        "the rest is left for the new rules"
    );
    decoder.set_version(V1_2);
    decoder.set_limits(Limits {
        body_bytes: 2_000,
        ..Limits::after_login(3, 40, 2_000)
    });
    let frame = decoder.decode(&mut input).unwrap().unwrap();
    assert_eq!(frame.headers.get("a"), Some(":"));
    let large = format!("SEND\n\n{}\0", "x".repeat(2_000));
    let frame = decoder.decode(&mut large.as_bytes()).unwrap().unwrap();
    assert_eq!(frame.body.len(), 2_000);
}

#[test]
fn an_idle_decoder_is_small() {
    assert!(size_of::<Decoder>() <= 56, "{}", size_of::<Decoder>());
}

#[test]
fn debug_shows_nothing_of_what_is_half_read() {
    for input in ["CONNECT\npasscode:hush", "SEND\n\nhush"] {
        let mut decoder = decoder(None, LIMITS);
        assert_eq!(decoder.decode(&mut input.as_bytes()), Ok(None));
        // A Vec<u8> would show as numbers.
        let shown = format!("{decoder:?}");
        assert!(!shown.contains("hush") && !shown.contains("117, 115"), "{shown}");
    }
}

#[test]
fn an_announced_length_allocates_nothing_before_its_bytes_come() {
    let mut decoder = decoder(Some(V1_2), Limits::after_login(3, 40, 1 << 40));
    let mut input: &[u8] = b"SEND\ncontent-length:1099511627776\n\nabc";
    assert_eq!(decoder.decode(&mut input), Ok(None));
    assert!(matches!(&decoder.state, State::Body(body) if body.kept_capacity() <= 8));
}
